//! The thread that evaluates: one request after the other, on one session.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use jupyter_protocol::{
    ClearOutput, CompleteReply, CompleteRequest, DisplayData, ErrorOutput, ExecuteInput,
    ExecuteReply, ExecuteRequest, ExecuteResult, ExecutionCount, InputRequest, InspectReply,
    InspectRequest, JupyterMessage, JupyterMessageContent, Media, MediaType, ReplyError,
    ReplyStatus, Status, Stdio, StreamContent, Transient, UpdateDisplayData,
};
use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Ending, Outbox, is_raised};
use crate::prelude::PreludePaths;
use crate::session::{CellError, CellResult, Frame, Interrupter, Session, StreamName};

/// A request that needs the session.
#[derive(Debug)]
pub enum Job {
    Execute(ExecuteRequest, Box<JupyterMessage>),
    Complete(CompleteRequest, Box<JupyterMessage>),
    Inspect(InspectRequest, Box<JupyterMessage>),
}

impl Job {
    /// `None` if the message is something else.
    pub fn of(message: &JupyterMessage) -> Option<Self> {
        let boxed = || Box::new(message.clone());
        match &message.content {
            JupyterMessageContent::ExecuteRequest(request) => {
                Some(Self::Execute(request.clone(), boxed()))
            }
            JupyterMessageContent::CompleteRequest(request) => {
                Some(Self::Complete(request.clone(), boxed()))
            }
            JupyterMessageContent::InspectRequest(request) => {
                Some(Self::Inspect(request.clone(), boxed()))
            }
            _ => None,
        }
    }
}

/// The message on whose behalf a cell is running, or ran last: the parent of all output.
type Parent = Arc<Mutex<Option<JupyterMessage>>>;

/// The evaluating thread, as the channels see it.
pub struct Worker {
    jobs: Mutex<mpsc::Sender<Job>>,
    interrupter: Arc<Mutex<Option<Interrupter>>>,
    running: Parent,
    ending: Ending,
}

impl Worker {
    /// Starts the thread; the session starts on it.
    pub fn start(
        paths: PreludePaths,
        outbox: Outbox,
        input: UnboundedReceiver<JupyterMessage>,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let worker = Self {
            jobs: Mutex::new(jobs),
            interrupter: Arc::default(),
            running: Parent::default(),
            ending: Ending::default(),
        };
        let evaluator = Evaluator {
            outbox,
            input: Mutex::new(input),
            parent: Parent::default(),
            running: worker.running.clone(),
            ending: worker.ending.clone(),
            count: AtomicUsize::new(0),
        };
        let interrupter = worker.interrupter.clone();
        thread::Builder::new()
            .name("session".into())
            .spawn(move || evaluator.run(&paths, &queue, &interrupter))?;
        Ok(worker)
    }

    pub fn add(&self, job: Job) {
        // Without its thread the kernel is going down.
        let _ = lock(&self.jobs).send(job);
    }

    /// The request that is being executed.
    pub fn running(&self) -> Option<JupyterMessage> {
        lock(&self.running).clone()
    }

    pub fn interrupt(&self) {
        if let Some(interrupter) = &*lock(&self.interrupter) {
            interrupter.interrupt();
        }
    }

    /// Ends the cell process; the thread ends with this program.
    pub fn end(&self) {
        self.ending
            .store(true, std::sync::atomic::Ordering::Relaxed);
        if let Some(interrupter) = &*lock(&self.interrupter) {
            interrupter.kill();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Evaluator {
    outbox: Outbox,
    input: Mutex<UnboundedReceiver<JupyterMessage>>,
    parent: Parent,
    running: Parent,
    ending: Ending,
    count: AtomicUsize,
}

impl Evaluator {
    fn run(
        self,
        paths: &PreludePaths,
        queue: &mpsc::Receiver<Job>,
        interrupter: &Mutex<Option<Interrupter>>,
    ) {
        let output = {
            let (outbox, parent) = (self.outbox.clone(), self.parent.clone());
            Box::new(move |frame| publish_frame(frame, &outbox, lock(&parent).as_ref()))
        };
        let mut session = Session::start(paths, output).map_err(|error| {
            tracing::error!(%error, "no session");
            CellError::plain("KernelError", error.to_string())
        });
        if let Ok(session) = &session {
            *lock(interrupter) = Some(session.interrupter());
        }
        while let Ok(job) = queue.recv() {
            if is_raised(&self.ending) {
                return;
            }
            self.handle(job, &mut session, queue);
        }
    }

    fn handle(
        &self,
        job: Job,
        session: &mut Result<Session, CellError>,
        queue: &mpsc::Receiver<Job>,
    ) {
        match job {
            Job::Execute(request, message) => {
                *lock(&self.running) = Some((*message).clone());
                self.outbox.publish(Status::busy(), Some(&message));
                // What waits behind a cell that fails is taken before anybody can know that it has failed: a request that comes
                // after the reply is a new one.
                let take_waiting = || queue.try_iter().collect::<Vec<_>>();
                let waiting = self.execute(&request, &message, session, take_waiting);
                *lock(&self.running) = None;
                self.outbox.publish(Status::idle(), Some(&message));
                self.abort(waiting, session, queue);
            }
            Job::Complete(request, message) => {
                self.answer(&message, |session| complete(&request, session), session)
            }
            Job::Inspect(request, message) => {
                self.answer(&message, |session| inspect(&request, session), session)
            }
        }
    }

    /// Answers a request between `busy` and `idle`.
    fn answer<R: Into<JupyterMessageContent>>(
        &self,
        message: &JupyterMessage,
        reply: impl FnOnce(Option<&mut Session>) -> R,
        session: &mut Result<Session, CellError>,
    ) {
        self.outbox.publish(Status::busy(), Some(message));
        self.outbox.reply(reply(session.as_mut().ok()), message);
        self.outbox.publish(Status::idle(), Some(message));
    }

    /// After an error, "run all" does not go on: the cells that waited already are given back.
    fn abort(
        &self,
        waiting: Vec<Job>,
        session: &mut Result<Session, CellError>,
        queue: &mpsc::Receiver<Job>,
    ) {
        for job in waiting {
            match job {
                Job::Execute(_, message) => {
                    let reply = ExecuteReply {
                        status: ReplyStatus::Aborted,
                        ..self.reply()
                    };
                    self.answer(&message, |_| reply, session);
                }
                job => self.handle(job, session, queue),
            }
        }
    }

    fn reply(&self) -> ExecuteReply {
        let execution_count =
            ExecutionCount::new(self.count.load(std::sync::atomic::Ordering::Relaxed));
        ExecuteReply {
            execution_count,
            user_expressions: Some(HashMap::new()),
            ..ExecuteReply::default()
        }
    }

    fn execute(
        &self,
        request: &ExecuteRequest,
        message: &JupyterMessage,
        session: &mut Result<Session, CellError>,
        take_waiting: impl FnOnce() -> Vec<Job>,
    ) -> Vec<Job> {
        *lock(&self.parent) = Some(message.clone());
        if !request.silent {
            self.count
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let input = ExecuteInput {
                code: request.code.clone(),
                execution_count: self.reply().execution_count,
            };
            self.outbox.publish(input, Some(message));
        }
        let number = self.reply().execution_count.0;
        let read_input =
            |prompt: &str, password| self.read_input(request, message, prompt, password);
        let result = match session {
            Ok(session) => session.execute(&request.code, number, &read_input),
            Err(error) => Err(error.clone()),
        };
        match result {
            Ok(result) => {
                if let (Some(result), false) = (result, request.silent) {
                    self.publish_result(result, message);
                }
                self.outbox.reply(self.reply(), message);
                Vec::new()
            }
            Err(CellError {
                name,
                message: value,
                report,
            }) => {
                let waiting = if request.stop_on_error {
                    take_waiting()
                } else {
                    Vec::new()
                };
                let error = ReplyError {
                    ename: name,
                    evalue: value,
                    traceback: report,
                };
                let ReplyError {
                    ename,
                    evalue,
                    traceback,
                } = error.clone();
                self.outbox.publish(
                    ErrorOutput {
                        ename,
                        evalue,
                        traceback,
                    },
                    Some(message),
                );
                let reply = ExecuteReply {
                    status: ReplyStatus::Error,
                    error: Some(Box::new(error)),
                    ..self.reply()
                };
                self.outbox.reply(reply, message);
                waiting
            }
        }
    }

    fn publish_result(&self, result: CellResult, message: &JupyterMessage) {
        let result = ExecuteResult {
            execution_count: self.reply().execution_count,
            data: media(result.data),
            metadata: result.metadata,
            transient: Some(Transient::default()),
        };
        self.outbox.publish(result, Some(message));
    }

    /// Asks the person at the front end for a line of input.
    fn read_input(
        &self,
        request: &ExecuteRequest,
        message: &JupyterMessage,
        prompt: &str,
        password: bool,
    ) -> String {
        if !request.allow_stdin {
            return String::new();
        }
        let mut input = lock(&self.input);
        while input.try_recv().is_ok() {}
        self.outbox.ask(
            InputRequest {
                prompt: prompt.to_owned(),
                password,
            },
            message,
        );
        while let Some(reply) = input.blocking_recv() {
            if let JupyterMessageContent::InputReply(reply) = reply.content {
                return reply.value;
            }
        }
        String::new()
    }
}

/// Turns what a cell shows into a message.
fn publish_frame(frame: Frame, outbox: &Outbox, parent: Option<&JupyterMessage>) {
    match frame {
        Frame::Stream { name, text } => {
            let name = match name {
                StreamName::Stdout => Stdio::Stdout,
                StreamName::Stderr => Stdio::Stderr,
            };
            outbox.publish(StreamContent { name, text }, parent);
        }
        Frame::Display {
            data,
            metadata,
            display_id: Some(id),
            update: true,
        } => {
            let transient = Transient {
                display_id: Some(id),
            };
            outbox.publish(
                UpdateDisplayData {
                    data: media(data),
                    metadata,
                    transient,
                },
                parent,
            );
        }
        Frame::Display {
            data,
            metadata,
            display_id,
            ..
        } => {
            let transient = display_id.map(|id| Transient {
                display_id: Some(id),
            });
            outbox.publish(
                DisplayData {
                    data: media(data),
                    metadata,
                    transient,
                },
                parent,
            );
        }
        Frame::Clear { wait } => outbox.publish(ClearOutput { wait }, parent),
        // The session keeps these for the end of the cell.
        Frame::Result { .. } | Frame::Error { .. } | Frame::Panic { .. } => {}
    }
}

/// A MIME bundle as the protocol library has it. A value of the wrong kind for its type is shown as it is.
fn media(data: Map<String, Value>) -> Media {
    serde_json::from_value(Value::Object(data.clone()))
        .unwrap_or_else(|_| Media::new(data.into_iter().map(MediaType::Other).collect()))
}

fn complete(request: &CompleteRequest, session: Option<&mut Session>) -> CompleteReply {
    let found = session.and_then(|session| {
        session.complete(
            &request.code,
            byte_offset(&request.code, request.cursor_pos),
        )
    });
    let (matches, range) = found.map_or((Vec::new(), None), |(matches, range)| {
        (matches, Some(range))
    });
    let characters = |offset: usize| {
        request
            .code
            .get(..offset)
            .map_or(request.cursor_pos, |before| before.chars().count())
    };
    CompleteReply {
        matches,
        cursor_start: range
            .as_ref()
            .map_or(request.cursor_pos, |range| characters(range.start)),
        cursor_end: range
            .as_ref()
            .map_or(request.cursor_pos, |range| characters(range.end)),
        ..CompleteReply::default()
    }
}

fn inspect(request: &InspectRequest, session: Option<&mut Session>) -> InspectReply {
    let found = session.and_then(|session| {
        session.inspect(
            &request.code,
            byte_offset(&request.code, request.cursor_pos),
        )
    });
    match found {
        Some((text, html)) => InspectReply {
            found: true,
            data: Media::new(vec![MediaType::Plain(text), MediaType::Html(html)]),
            ..InspectReply::default()
        },
        None => InspectReply::default(),
    }
}

/// The protocol counts characters, everything else bytes.
fn byte_offset(code: &str, characters: usize) -> usize {
    code.char_indices()
        .nth(characters)
        .map_or(code.len(), |(offset, _)| offset)
}

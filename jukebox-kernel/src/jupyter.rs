//! The Jupyter protocol: five ZeroMQ channels on one side, an evaluation [`Session`](crate::session::Session) on the other.
//!
//! A thread of its own (`worker`) evaluates, one request after the other. The channels are served by tokio tasks, which answer at once
//! what needs no evaluation, so that a kernel that computes still says that it is alive.

mod replies;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jupyter_protocol::{
    ConnectionInfo, InterruptReply, IoPubWelcome, JupyterMessage, JupyterMessageContent,
    ReplyStatus, ShutdownReply, Status,
};
use jupyter_zmq_client as zmq;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::prelude::PreludePaths;
use crate::session::SessionFolder;
use worker::{Job, Worker};

/// How long a channel waits after an error that may repeat itself at once.
const AFTER_ERROR: Duration = Duration::from_millis(20);
/// How often we look whether the program that started us is still there.
const LOOK_FOR_PARENT: Duration = Duration::from_secs(1);

/// A kernel that cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The file in which the front end says how to reach it.
    #[error("cannot read the connection file {path}: {source}")]
    ConnectionFile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A port cannot be opened.
    #[error("cannot open the channel {channel}: {source}")]
    Channel {
        channel: &'static str,
        #[source]
        source: zmq::RuntimeError,
    },
    /// Threads or signals cannot be had.
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
}

/// Where a message goes.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    iopub: UnboundedSender<JupyterMessage>,
    shell: UnboundedSender<JupyterMessage>,
    stdin: UnboundedSender<JupyterMessage>,
}

impl Outbox {
    /// Publishes to all front ends. A failure means that the kernel is going down.
    fn publish(&self, content: impl Into<JupyterMessageContent>, parent: Option<&JupyterMessage>) {
        let message = JupyterMessage::new(content, parent);
        let topic = format!("kernel.{}", message.message_type());
        let _ = self
            .iopub
            .send(message.with_zmq_identities(vec![topic.into_bytes().into()]));
    }

    fn reply(&self, content: impl Into<JupyterMessageContent>, request: &JupyterMessage) {
        let _ = self.shell.send(JupyterMessage::new(content, Some(request)));
    }

    fn ask(&self, content: impl Into<JupyterMessageContent>, request: &JupyterMessage) {
        let _ = self.stdin.send(JupyterMessage::new(content, Some(request)));
    }
}

/// Serves the front end that wrote `connection_file`, until it asks to shut down or goes away.
///
/// # Errors
/// Where the channels cannot be opened. A session that cannot start is told to the front end, cell by cell.
pub fn serve(
    connection_file: &Path,
    paths: PreludePaths,
    folder: SessionFolder,
) -> Result<(), KernelError> {
    let failed = |source| KernelError::ConnectionFile {
        path: connection_file.to_owned(),
        source,
    };
    let text = std::fs::read(connection_file).map_err(failed)?;
    let connection = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve_channels(&connection, paths));
    // The session's thread may still be in a cell: it ends with the process.
    drop(folder);
    runtime.shutdown_background();
    served
}

async fn serve_channels(
    connection: &ConnectionInfo,
    paths: PreludePaths,
) -> Result<(), KernelError> {
    let id = uuid::Uuid::new_v4().to_string();
    let failed = |channel| move |source| KernelError::Channel { channel, source };
    let heartbeat = zmq::create_kernel_heartbeat_connection(connection)
        .await
        .map_err(failed("heartbeat"))?;
    let shell = zmq::create_kernel_shell_connection(connection, &id)
        .await
        .map_err(failed("shell"))?;
    let control = zmq::create_kernel_control_connection(connection, &id)
        .await
        .map_err(failed("control"))?;
    let stdin = zmq::create_kernel_stdin_connection(connection, &id)
        .await
        .map_err(failed("stdin"))?;
    let iopub = zmq::create_kernel_iopub_xpub_connection(connection, &id)
        .await
        .map_err(failed("iopub"))?;

    let (iopub_out, iopub_messages) = unbounded_channel();
    let (shell_out, shell_messages) = unbounded_channel();
    let (stdin_out, stdin_messages) = unbounded_channel();
    let (input_in, input) = unbounded_channel();
    let outbox = Outbox {
        iopub: iopub_out,
        shell: shell_out,
        stdin: stdin_out,
    };
    let worker = Arc::new(Worker::start(paths, outbox.clone(), input)?);
    let stop = Arc::new(tokio::sync::Notify::new());

    tokio::spawn(answer_heartbeat(heartbeat));
    tokio::spawn(publish(iopub, iopub_messages));
    let (stdin_send, stdin_receive) = stdin.split();
    tokio::spawn(send_all(stdin_send, stdin_messages));
    tokio::spawn(receive_all(stdin_receive, move |message| {
        drop(input_in.send(message))
    }));
    let (shell_send, shell_receive) = shell.split();
    tokio::spawn(send_all(shell_send, shell_messages));
    tokio::spawn(receive_all(shell_receive, {
        let (outbox, worker, stop) = (outbox.clone(), worker.clone(), stop.clone());
        move |message| handle_shell(message, &outbox, &worker, &stop)
    }));
    let (control_out, control_messages) = unbounded_channel();
    let control_outbox = Outbox {
        shell: control_out,
        ..outbox.clone()
    };
    let (control_send, control_receive) = control.split();
    tokio::spawn(send_all(control_send, control_messages));
    tokio::spawn(receive_all(control_receive, {
        let (worker, stop) = (worker.clone(), stop.clone());
        move |message| handle_control(message, &control_outbox, &worker, &stop)
    }));

    outbox.publish(Status::starting(), None);
    wait_for_end(&worker, &stop).await?;
    worker.end();
    // Lets the last replies leave.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}

/// Returns when the front end asks to shut down, when it is gone, or on SIGTERM. SIGINT interrupts the cell.
async fn wait_for_end(worker: &Worker, stop: &tokio::sync::Notify) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut parent_check = tokio::time::interval(LOOK_FOR_PARENT);
    // Set by jupyter_client for kernels that should not outlive it.
    let has_parent = std::env::var_os("JPY_PARENT_PID").is_some();
    let parent = std::os::unix::process::parent_id();
    loop {
        tokio::select! {
            () = stop.notified() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => worker.interrupt(),
            _ = parent_check.tick() => {
                if has_parent && std::os::unix::process::parent_id() != parent {
                    return Ok(());
                }
            }
        }
    }
}

async fn answer_heartbeat(mut heartbeat: zmq::KernelHeartbeatConnection) {
    loop {
        if heartbeat.single_heartbeat().await.is_err() {
            tokio::time::sleep(AFTER_ERROR).await;
        }
    }
}

/// Publishes messages, and greets each front end that subscribes.
async fn publish(
    mut iopub: zmq::KernelIoPubXPubConnection,
    mut messages: UnboundedReceiver<JupyterMessage>,
) {
    loop {
        let sent = tokio::select! {
            message = messages.recv() => match message {
                Some(message) => iopub.send(message).await,
                None => return,
            },
            event = iopub.recv_subscription() => match event {
                Ok(zmq::SubscriptionEvent::Subscribe(topic)) => {
                    let welcome: JupyterMessage = IoPubWelcome::new(topic.clone()).into();
                    iopub.send(welcome.with_zmq_identities(vec![topic.into_bytes().into()])).await
                }
                Ok(zmq::SubscriptionEvent::Unsubscribe(_)) => Ok(()),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "iopub");
            tokio::time::sleep(AFTER_ERROR).await;
        }
    }
}

async fn send_all(
    mut connection: zmq::RouterSendConnection,
    mut messages: UnboundedReceiver<JupyterMessage>,
) {
    while let Some(message) = messages.recv().await {
        if let Err(error) = connection.send(message).await {
            tracing::warn!(%error, "cannot send a reply");
        }
    }
}

/// Hands every well-formed message to `handle`. Others (a wrong signature, no JSON) are left unanswered, as the protocol wants.
async fn receive_all(mut connection: zmq::RouterRecvConnection, handle: impl Fn(JupyterMessage)) {
    loop {
        match connection.read().await {
            Ok(message) => handle(message),
            Err(error) => {
                tracing::warn!(%error, "cannot read a message");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

fn handle_shell(
    message: JupyterMessage,
    outbox: &Outbox,
    worker: &Worker,
    stop: &tokio::sync::Notify,
) {
    if let Some(job) = Job::of(&message) {
        worker.add(job);
    } else {
        handle_control(message, outbox, worker, stop);
    }
}

fn handle_control(
    message: JupyterMessage,
    outbox: &Outbox,
    worker: &Worker,
    stop: &tokio::sync::Notify,
) {
    match &message.content {
        JupyterMessageContent::ShutdownRequest(request) => {
            let reply = ShutdownReply {
                restart: request.restart,
                status: ReplyStatus::Ok,
                error: None,
            };
            answer_at_once(&message, outbox, worker, || Some(reply.into()));
            stop.notify_one();
        }
        JupyterMessageContent::InterruptRequest(_) => {
            worker.interrupt();
            answer_at_once(&message, outbox, worker, || {
                Some(InterruptReply::new().into())
            });
        }
        _ => answer_at_once(&message, outbox, worker, || replies::to(&message)),
    }
}

/// Answers a request that needs no evaluation, between `busy` and `idle`. If a cell is running, the kernel says once more that it is busy.
fn answer_at_once(
    request: &JupyterMessage,
    outbox: &Outbox,
    worker: &Worker,
    reply: impl FnOnce() -> Option<JupyterMessageContent>,
) {
    outbox.publish(Status::busy(), Some(request));
    if let Some(reply) = reply() {
        outbox.reply(reply, request);
    }
    outbox.publish(Status::idle(), Some(request));
    if let Some(running) = worker.running() {
        outbox.publish(Status::busy(), Some(&running));
    }
}

/// Raised when the kernel goes down.
type Ending = Arc<AtomicBool>;

fn is_raised(flag: &Ending) -> bool {
    flag.load(Ordering::Relaxed)
}

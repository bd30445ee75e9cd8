//! An evaluation session: cells in, output and errors out.
//!
//! evcxr keeps items and variables between cells, compiles each cell into a shared library and runs it in the cell process. The
//! session prepares cells for it (`cell`), reads what the cell process tells (`wire`) and turns errors into messages about the cell
//! (`error`).

mod cell;
mod completeness;
mod error;
mod interrupt;
mod wire;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use evcxr::{CommandContext, EvalCallbacks, EvalContext, EvalContextOutputs};

use crate::cell_process;
use crate::prelude::PreludePaths;
use crate::toolchain;

use cell::{Cell, Edited};
pub use completeness::{Completeness, completeness};
pub use error::CellError;
pub use interrupt::Interrupter;
pub use wire::{Frame, StreamName};

/// What the first cells use of the compiler's optimiser: nothing, because compiling is most of the time a cell takes.
const OPT_LEVEL: &str = "0";

/// A session that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The session's folder cannot be made.
    #[error("cannot make a folder for the session in {folder}: {source}")]
    Folder {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// evcxr does not start.
    #[error("the evaluation does not start: {0}")]
    Start(String),
}

/// The folder in which a session's cells are compiled; removed with the session.
#[derive(Debug)]
pub struct SessionFolder(tempfile::TempDir);

impl SessionFolder {
    /// Makes the folder and points evcxr to it and to our stand-in for cargo.
    ///
    /// Must be called before any thread is started: it changes the environment.
    ///
    /// # Errors
    /// [`SessionError::Folder`].
    pub fn prepare(paths: &PreludePaths) -> Result<Self, SessionError> {
        let parent = std::env::temp_dir();
        let failed = |source| SessionError::Folder {
            folder: parent.clone(),
            source,
        };
        remove_folders_of_the_dead(&parent);
        let prefix = format!("{FOLDER_PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(&parent)
            .map_err(failed)?;
        toolchain::stand_in(folder.path(), paths).map_err(failed)?;
        let no_sources = folder.path().join("no-sources");
        std::fs::create_dir_all(no_sources.join("core")).map_err(failed)?;
        // SAFETY: the caller has started no other thread.
        unsafe {
            std::env::set_var("EVCXR_TMPDIR", folder.path());
            // rust-analyzer need not know the standard library to parse a cell; it would read it for seconds at every start, and
            // first download it where it is missing.
            std::env::set_var("RUST_SRC_PATH", &no_sources);
            std::env::set_var("RUSTC", &paths.rustc);
            // The user's start-up files for plain evcxr would load what a session here has already.
            std::env::set_var("EVCXR_CONFIG_DIR", folder.path());
        }
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

const FOLDER_PREFIX: &str = "jukebox-session-";

/// Removes the folders of kernels that were killed.
fn remove_folders_of_the_dead(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.strip_prefix(FOLDER_PREFIX)?.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// What evaluating one cell took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// The compiler's pass that tells the types of variables; nothing for a cell that defines none.
    pub check: Duration,
    /// evcxr's own analysis, and compiling and linking the cell.
    pub compile: Duration,
    /// Loading and running it.
    pub run: Duration,
}

/// The result of a cell: one MIME bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct CellResult {
    pub data: serde_json::Map<String, serde_json::Value>,
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// Sends on what arrives while a cell runs. Called on a thread of its own.
pub type Output = Box<dyn Fn(Frame) + Send>;

/// An evaluation session. Lives on the thread that started it: the cell process ends with that thread.
pub struct Session {
    context: CommandContext,
    interrupter: Interrupter,
    /// Asks the output thread to send on all there is; it answers with what it has kept for us.
    collect: Sender<Sender<Kept>>,
    cells: Vec<CellSource>,
    /// What the last cell took.
    pub timing: Timing,
}

/// What the cell process has told that is no output: at the end of the cell it becomes its result or its error.
#[derive(Debug, Default)]
struct Kept {
    result: Option<CellResult>,
    error: Option<Frame>,
}

/// A cell that was run, to find the place of a panic.
struct CellSource {
    number: usize,
    compiled: Edited,
}

impl Session {
    /// Starts the cell process, ready for the first cell.
    ///
    /// # Errors
    /// [`SessionError::Start`].
    pub fn start(paths: &PreludePaths, output: Output) -> Result<Self, SessionError> {
        let failed = |error: &dyn std::fmt::Display| SessionError::Start(error.to_string());
        let mut command = Command::new(std::env::current_exe().map_err(|error| failed(&error))?);
        command
            .env(cell_process::LIBRARY_VARIABLE, &paths.dylib)
            .env("JUKEBOX_KERNEL_FRAMES", "1")
            .env("LD_LIBRARY_PATH", library_path(paths))
            .env("PATH", toolchain::path_without_stand_ins())
            .env_remove("RUSTC")
            .env_remove("RUST_SRC_PATH");
        let (context, outputs) =
            EvalContext::with_subprocess_command(command).map_err(|error| failed(&error))?;
        let mut context = CommandContext::with_eval_context(context);
        context
            .set_opt_level(OPT_LEVEL)
            .map_err(|error| failed(&error))?;
        let (collect, requests) = crossbeam_channel::unbounded();
        std::thread::spawn(move || carry_output(&outputs, &requests, &output));
        let interrupter = Interrupter::new(context.process_handle());
        Ok(Self {
            context,
            interrupter,
            collect,
            cells: Vec::new(),
            timing: Timing::default(),
        })
    }

    /// Stops the running cell, from another thread.
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Evaluates a cell. Its output goes out while it runs, its result comes back; `number` is how messages name the cell.
    ///
    /// # Errors
    /// The compiler's errors, a panic, an error that left the cell through `?`, an interrupt, or the end of the cell process.
    pub fn execute(
        &mut self,
        code: &str,
        number: usize,
        read_input: &dyn Fn(&str, bool) -> String,
    ) -> Result<Option<CellResult>, CellError> {
        let running = self.interrupter.cell();
        let start = Instant::now();
        let edited = self.prepare(code)?;
        self.timing = Timing {
            check: start.elapsed(),
            ..Timing::default()
        };
        if running.is_interrupted() {
            return Err(CellError::plain(
                "Interrupted",
                "interrupted before the cell began to run",
            ));
        }
        let text = edited.text.clone();
        self.cells.push(CellSource {
            number,
            compiled: edited,
        });
        let callbacks = &mut EvalCallbacks {
            input_reader: &|request| read_input(&request.prompt, request.is_password),
        };
        let outputs = self.context.execute_with_callbacks(&text, callbacks);
        let kept = self.collect();
        match outputs {
            Ok(outputs) => {
                for phase in &outputs.phases {
                    let is_run = phase.name == "Execution";
                    *(if is_run {
                        &mut self.timing.run
                    } else {
                        &mut self.timing.compile
                    }) += phase.duration;
                }
                match kept.error {
                    Some(error) => Err(self.told(error)),
                    None => Ok(kept
                        .result
                        .or_else(|| content(outputs.content_by_mime_type))),
                }
            }
            Err(evcxr::Error::CompilationErrors(errors)) => {
                let cell = self.cells.pop().map(|cell| cell.compiled);
                let cell = cell.unwrap_or_else(|| Edited::unchanged(code));
                Err(CellError::compilation(&errors, &cell))
            }
            Err(evcxr::Error::SubprocessTerminated(_)) if running.is_killed() => {
                Err(CellError::plain(
                    "Interrupted",
                    "the cell did not react to the interrupt, so its process was ended.\n\
                 Variables are lost; functions, types and `use` lines are kept.",
                ))
            }
            Err(evcxr::Error::SubprocessTerminated(how)) => Err(CellError::plain(
                "ProcessEnded",
                format!(
                    "the process in which cells run has ended: {}\nVariables are lost; functions, types and `use` lines are kept.",
                    how.trim()
                ),
            )),
            Err(error) => Err(CellError::plain("Error", error.to_string())),
        }
    }

    /// Completions for the code at a byte offset: the texts, and which bytes they replace.
    pub fn complete(
        &mut self,
        code: &str,
        offset: usize,
    ) -> Option<(Vec<String>, std::ops::Range<usize>)> {
        let found = self.context.completions(code, offset).ok()?;
        let range = found.start_offset..found.end_offset;
        Some((
            found
                .completions
                .into_iter()
                .map(|completion| completion.code)
                .collect(),
            range,
        ))
    }

    /// What is known about the name at a byte offset: as text and as HTML.
    pub fn inspect(&mut self, code: &str, offset: usize) -> Option<(String, String)> {
        self.context
            .hover_at(code, offset)
            .ok()
            .filter(|(text, _)| text != "No documentation found")
    }

    /// Finds out the types of the variables that the cell defines and writes them into it.
    fn prepare(&mut self, code: &str) -> Result<Edited, CellError> {
        let cell = Cell::parse(code);
        if !cell.needs_types() {
            return cell
                .annotated(&[])
                .map_err(|message| CellError::plain("CompileError", message));
        }
        let probed = cell.probed();
        let found = match self.context.check(&probed.text) {
            Ok(found) => found,
            Err(evcxr::Error::CompilationErrors(errors)) => {
                return Err(CellError::compilation(&errors, &probed));
            }
            Err(error) => return Err(CellError::plain("Error", error.to_string())),
        };
        if found.iter().any(|message| message.level() == "error") {
            return Err(CellError::compilation(&found, &probed));
        }
        // Without types evcxr's own analysis has a try.
        match cell.types(found.iter().map(|message| &message.json)) {
            Some(types) => cell
                .annotated(&types)
                .map_err(|message| CellError::plain("CompileError", message)),
            None => Ok(Edited::unchanged(code)),
        }
    }

    /// Waits until all output of the cell has been sent on.
    fn collect(&self) -> Kept {
        let (answer, kept) = crossbeam_channel::unbounded();
        let asked = self.collect.send(answer);
        asked
            .ok()
            .and_then(|()| kept.recv().ok())
            .unwrap_or_default()
    }

    /// The error that the cell process has told.
    fn told(&self, error: Frame) -> CellError {
        match error {
            Frame::Panic { message, line, .. } => {
                CellError::panic(&message, line.and_then(|line| self.find_line(line)))
            }
            Frame::Error { message, sources } => CellError::returned(&message, &sources),
            _ => CellError::plain("Error", ""),
        }
    }

    /// The place in a cell of a line in the code that evcxr has made of it.
    fn find_line(&self, line: usize) -> Option<String> {
        let source = self.context.last_source().ok()?;
        let wanted = source.lines().nth(line.checked_sub(1)?)?.trim();
        self.cells.iter().rev().find_map(|cell| {
            let line = cell
                .compiled
                .text
                .lines()
                .position(|line| !wanted.is_empty() && line.contains(wanted))?;
            let original = cell.compiled.original().lines().nth(line)?.trim();
            Some(format!(
                "cell [{}], line {}: `{original}`",
                cell.number,
                line + 1
            ))
        })
    }
}

/// What evcxr itself has to show, such as the answer to `:vars`.
fn content(by_mime_type: std::collections::HashMap<String, String>) -> Option<CellResult> {
    if by_mime_type.is_empty() {
        return None;
    }
    let data = by_mime_type
        .into_iter()
        .map(|(mime, text)| (mime, text.into()))
        .collect();
    Some(CellResult {
        data,
        metadata: serde_json::Map::new(),
    })
}

/// Where the cell process finds the prelude and Rust's standard library.
fn library_path(paths: &PreludePaths) -> std::ffi::OsString {
    let ours = [paths.rust_libraries.clone()]
        .into_iter()
        .chain(paths.dylib.parent().map(Path::to_owned));
    let inherited = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let all: Vec<_> = ours
        .chain(std::env::split_paths(&inherited).filter(|path| !path.as_os_str().is_empty()))
        .collect();
    std::env::join_paths(all).unwrap_or(inherited)
}

/// Sends on what the cell process writes, as it comes, and keeps results and errors until the session asks for them.
fn carry_output(outputs: &EvalContextOutputs, requests: &Receiver<Sender<Kept>>, output: &Output) {
    let mut kept = Kept::default();
    let handle = |kept: &mut Kept, frame| match frame {
        Frame::Result { data, metadata } => kept.result = Some(CellResult { data, metadata }),
        Frame::Error { .. } | Frame::Panic { .. } => kept.error = Some(frame),
        frame => output(frame),
    };
    let stderr = |line: String| Frame::Stream {
        name: StreamName::Stderr,
        text: line + "\n",
    };
    loop {
        crossbeam_channel::select! {
            recv(outputs.stdout) -> line => match line {
                Ok(line) => handle(&mut kept, wire::read_line(line)),
                Err(_) => return,
            },
            recv(outputs.stderr) -> line => match line {
                Ok(line) => handle(&mut kept, stderr(line)),
                Err(_) => return,
            },
            recv(requests) -> answer => {
                let Ok(answer) = answer else { return };
                outputs.stdout.try_iter().for_each(|line| handle(&mut kept, wire::read_line(line)));
                outputs.stderr.try_iter().for_each(|line| handle(&mut kept, stderr(line)));
                let _ = answer.send(std::mem::take(&mut kept));
            }
        }
    }
}

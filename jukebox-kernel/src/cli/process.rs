//! Running other programs: with their output kept for an error message, or supervised until they or the user end it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::error::CliError;

/// How many of the last lines an error message repeats.
const TAIL_LINES: usize = 15;

/// Asks the kernel to end the child when this process ends, however it ends: no orphans after a `kill -9`.
pub fn die_with_parent(command: &mut Command) -> &mut Command {
    #[cfg(target_os = "linux")]
    // SAFETY: runs between fork and exec, where only async-signal-safe calls are allowed; prctl is a plain system call.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            },
        );
    }
    command
}

/// Runs a program to its end, giving each line of its output (both streams) to `on_line` and to the log file.
///
/// # Errors
/// `CliError::Start` when it cannot be started, `CliError::Failed` with the last lines when it does not succeed.
pub fn run_logged(
    what: &str,
    command: &mut Command,
    log_path: &Path,
    mut on_line: impl FnMut(&str),
) -> Result<(), CliError> {
    let mut log = File::create(log_path).map_err(CliError::file("cannot write", log_path))?;
    let (reader, writer) =
        std::io::pipe().map_err(CliError::file("cannot make a pipe for", log_path))?;
    let second = writer
        .try_clone()
        .map_err(CliError::file("cannot make a pipe for", log_path))?;
    command.stdin(Stdio::null()).stdout(writer).stderr(second);
    let mut child = die_with_parent(command)
        .spawn()
        .map_err(start_error(command))?;
    // The command still holds the pipe's writing ends; reading ends only when they are closed.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut tail = VecDeque::new();
    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let _ = writeln!(log, "{line}"); // a full disk shows in the program's own result
        on_line(&line);
        tail.push_back(line.into_owned());
        if tail.len() > TAIL_LINES {
            tail.pop_front();
        }
    }
    let status = child.wait().map_err(CliError::file(
        "cannot wait for the program behind",
        log_path,
    ))?;
    if status.success() {
        return Ok(());
    }
    Err(CliError::Failed {
        what: what.to_owned(),
        status,
        tail: Vec::from(tail).join("\n"),
        log: log_path.to_owned(),
    })
}

/// For `map_err` on a spawn: names the program.
pub fn start_error(command: &Command) -> impl FnOnce(std::io::Error) -> CliError {
    let program = command.get_program().to_string_lossy().into_owned();
    move |source| CliError::Start {
        program,
        advice: "`jukebox-kernel doctor` says what is missing",
        source,
    }
}

/// The first line that a program prints when asked `arguments`, if it runs and succeeds.
pub fn first_line(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output
        .status
        .success()
        .then(|| text.lines().next().unwrap_or("").trim().to_owned())
}

/// A child that ends when the user says so: Ctrl-C (SIGINT), SIGTERM and SIGHUP reach it as one `stop` signal, which it is
/// expected to answer by an orderly end; a second one kills it.
pub struct Supervised {
    child: Child,
    signals: signal_hook::iterator::Handle,
    /// The child's process id while it may be signalled: taken out before it is reaped, after which the id is anyone's.
    pid: Arc<Mutex<Option<libc::pid_t>>>,
    interrupted: Arc<AtomicBool>,
}

impl Supervised {
    /// Starts the child in a process group of its own, so that Ctrl-C in the terminal reaches only us.
    pub fn start(command: &mut Command, stop: libc::c_int) -> Result<Self, CliError> {
        // The handlers are in place before the child is, so that no signal falls between.
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|source| CliError::Start {
                program: "signal handlers".into(),
                advice: "report this",
                source,
            })?;
        let child = die_with_parent(command.process_group(0))
            .spawn()
            .map_err(start_error(command))?;

        let pid = Arc::new(Mutex::new(libc::pid_t::try_from(child.id()).ok()));
        let interrupted = Arc::new(AtomicBool::new(false));
        let handle = signals.handle();
        thread::spawn({
            let (pid, interrupted) = (Arc::clone(&pid), Arc::clone(&interrupted));
            move || {
                for _ in signals.forever() {
                    let again = interrupted.swap(true, Ordering::SeqCst);
                    if let Some(pid) = *pid.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
                    {
                        // SAFETY: a plain system call on a child that is not yet reaped.
                        unsafe {
                            if again {
                                libc::kill(-pid, libc::SIGKILL)
                            } else {
                                libc::kill(pid, stop)
                            }
                        };
                    }
                }
            }
        });
        Ok(Self {
            child,
            signals: handle,
            pid,
            interrupted,
        })
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether the user asked for an end.
    pub fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// Waits for the child's end.
    pub fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = wait_unreaped(&self.child).and_then(|()| {
            *self
                .pid
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
            self.child.wait()
        });
        self.signals.close();
        status
    }
}

/// Waits until the child has ended but leaves its process id reserved, so that no signal can hit a stranger.
fn wait_unreaped(child: &Child) -> std::io::Result<()> {
    loop {
        // SAFETY: a plain system call that fills the zeroed struct.
        let result = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(
                libc::P_PID,
                child.id(),
                &mut info,
                libc::WEXITED | libc::WNOWAIT,
            )
        };
        if result == 0 {
            return Ok(());
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

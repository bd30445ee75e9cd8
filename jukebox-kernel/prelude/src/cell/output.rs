//! Carries what cells write to the standard streams to the kernel, in order and without waiting for the end of a line.
//!
//! evcxr reads the process line by line, so a progress bar or `print!(".")` in a loop would appear only when the line ends. Both
//! standard streams are therefore redirected into pipes, and one thread sends what arrives on to the kernel: text as `stream`
//! messages, messages that are already framed and evcxr's own marker lines as they are. Before the marker that ends a cell goes out,
//! everything the cell has written is sent.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{FRAME_PREFIX, frame, report};

/// How long a piece of a line may wait for the rest of it.
const PARTIAL_LINE: Duration = Duration::from_millis(20);
/// How often the buffer of Rust's standard output is emptied while a cell runs.
const FLUSH_EVERY: Duration = Duration::from_millis(40);
/// How long the end of a cell, or of the process, waits for output that is still on its way.
const PATIENCE: Duration = Duration::from_millis(500);

const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";
const PANIC: &str = "EVCXR_PANIC_NOTIFICATION";
const BEGIN_CONTENT: &str = "EVCXR_BEGIN_CONTENT ";
const END_CONTENT: &str = "EVCXR_END_CONTENT";
/// evcxr's marker lines, by their beginnings.
const MARKERS: [&str; 7] = [
    COMPLETE,
    PANIC,
    BEGIN_CONTENT,
    END_CONTENT,
    "EVCXR_ERROR_OCCURRED",
    "EVCXR_VARIABLE_CHANGED_TYPE:",
    "EVCXR_INPUT_REQUEST",
];

/// The read ends of the pipes, and the bytes that were read and not yet sent: what [`drain`] waits for.
static PIPES: OnceLock<[RawFd; 2]> = OnceLock::new();
static UNSENT: AtomicUsize = AtomicUsize::new(0);

/// Starts to carry both standard streams to the kernel.
pub(super) fn redirect() -> io::Result<()> {
    let kernel = File::from(duplicate(libc::STDOUT_FILENO)?);
    let stdout = redirect_stream(libc::STDOUT_FILENO)?;
    let stderr = redirect_stream(libc::STDERR_FILENO)?;
    let (flushed, flushed_signal) = pipe()?;
    let (flush, flush_requests) = mpsc::channel();
    let _ = PIPES.set([stdout.as_raw_fd(), stderr.as_raw_fd()]);
    // SAFETY: `drain` only reads atomics and descriptors, sleeps and returns.
    unsafe {
        libc::atexit(drain);
        libc::signal(
            libc::SIGABRT,
            drain_on_abort as extern "C" fn(i32) as libc::sighandler_t,
        );
    }
    thread::Builder::new()
        .name("flush".into())
        .spawn(move || flush_often(&flush_requests, &mut File::from(flushed_signal)))?;
    let mut pump = Pump {
        stdout: Stream::new("stdout", stdout),
        stderr: Stream::new("stderr", stderr),
        kernel,
        in_content: false,
        flush,
        flushed: File::from(flushed),
    };
    // Without the kernel there is nobody to compute for.
    thread::Builder::new()
        .name("output".into())
        .spawn(move || {
            if pump.run().is_err() {
                std::process::exit(1);
            }
        })?;
    Ok(())
}

/// Empties the buffer in which Rust's standard output waits for the end of a line.
fn flush_often(requests: &Receiver<()>, done: &mut File) {
    loop {
        match requests.recv_timeout(FLUSH_EVERY) {
            Ok(()) => {
                let _ = io::stdout().flush();
                let _ = done.write_all(&[0]);
            }
            Err(RecvTimeoutError::Timeout) => drop(io::stdout().flush()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// One of the standard streams.
struct Stream {
    name: &'static str,
    pipe: File,
    /// What was read and not yet sent.
    unsent: Vec<u8>,
}

impl Stream {
    fn new(name: &'static str, pipe: OwnedFd) -> Self {
        Self {
            name,
            pipe: File::from(pipe),
            unsent: Vec::new(),
        }
    }

    /// Reads what is there, without waiting for more. Says whether there was anything.
    fn read(&mut self) -> io::Result<bool> {
        let before = self.unsent.len();
        let mut buffer = [0; 1 << 16];
        match self.pipe.read(&mut buffer) {
            Ok(count) => self.unsent.extend_from_slice(&buffer[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
        let count = self.unsent.len() - before;
        UNSENT.fetch_add(count, Ordering::SeqCst);
        Ok(count > 0)
    }

    /// Takes `count` bytes off the front, as text.
    fn take(&mut self, count: usize) -> String {
        let rest = self.unsent.split_off(count);
        let taken = std::mem::replace(&mut self.unsent, rest);
        String::from_utf8_lossy(&taken).into_owned()
    }
}

struct Pump {
    stdout: Stream,
    stderr: Stream,
    kernel: File,
    /// Between `BEGIN_CONTENT` and `END_CONTENT`, where evcxr takes every line as content.
    in_content: bool,
    flush: Sender<()>,
    flushed: File,
}

impl Pump {
    fn run(&mut self) -> io::Result<()> {
        loop {
            let partial = !self.stdout.unsent.is_empty() || !self.stderr.unsent.is_empty();
            if self.wait(if partial { Some(PARTIAL_LINE) } else { None })? {
                self.read()?;
                self.send_lines()?;
            } else {
                self.send_partial_lines()?;
            }
        }
    }

    /// Waits until there is something to read; `false` if there is nothing within the time.
    fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let poll = |file: &File| libc::pollfd {
            fd: file.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut files = [
            poll(&self.stdout.pipe),
            poll(&self.stderr.pipe),
            poll(&self.flushed),
        ];
        let milliseconds = timeout.map_or(-1, |time| {
            i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
        });
        // SAFETY: the pointer and the length describe `files`.
        let ready = unsafe {
            libc::poll(
                files.as_mut_ptr(),
                files.len() as libc::nfds_t,
                milliseconds,
            )
        };
        match ready {
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(true),
                error => Err(error),
            },
            count => Ok(count > 0),
        }
    }

    fn read(&mut self) -> io::Result<bool> {
        Ok(self.stdout.read()? | self.stderr.read()?)
    }

    /// Sends what can be sent now: all complete lines.
    fn send_lines(&mut self) -> io::Result<()> {
        let mut text_end = 0;
        let mut position = 0;
        while let Some(length) = self.stdout.unsent[position..]
            .iter()
            .position(|&byte| byte == b'\n')
        {
            let line_end = position + length;
            match self.marker_in(position, line_end) {
                None => {
                    text_end = line_end + 1;
                    position = text_end;
                }
                Some(start) => {
                    self.send_stdout(start)?;
                    let line = self.stdout.take(line_end - start + 1);
                    self.send_marker(&line)?;
                    (text_end, position) = (0, 0);
                }
            }
        }
        self.send_stdout(text_end)?;
        if !self.in_content {
            let lines = self
                .stderr
                .unsent
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |end| end + 1);
            self.send_stderr(lines)?;
        }
        Ok(())
    }

    /// Where in the line of standard output at `start..end` something begins that is not text.
    fn marker_in(&self, start: usize, end: usize) -> Option<usize> {
        let line = &self.stdout.unsent[start..end];
        if self.in_content {
            return Some(start);
        }
        let markers = MARKERS.iter().chain([&FRAME_PREFIX]);
        markers
            .filter_map(|marker| find(line, marker.as_bytes()))
            .min()
            .map(|offset| start + offset)
    }

    fn send_marker(&mut self, line: &str) -> io::Result<()> {
        let marker = line.trim_end_matches('\n');
        if marker.starts_with(BEGIN_CONTENT) {
            self.in_content = true;
        } else if marker == END_CONTENT {
            self.in_content = false;
        } else if marker == PANIC {
            if let Some(panic) = report::take_panic() {
                self.kernel.write_all(frame(&panic).as_bytes())?;
            }
        } else if marker == COMPLETE {
            self.finish_cell()?;
        }
        self.kernel.write_all(line.as_bytes())?;
        UNSENT.fetch_sub(line.len(), Ordering::SeqCst);
        Ok(())
    }

    /// Sends all that the cell has written and that is still in a buffer or a pipe.
    fn finish_cell(&mut self) -> io::Result<()> {
        self.in_content = false;
        let _ = self.flush.send(());
        let deadline = Instant::now() + PATIENCE;
        let mut flushed = false;
        while !flushed && Instant::now() < deadline {
            self.wait(Some(PARTIAL_LINE))?;
            flushed = matches!(self.flushed.read(&mut [0; 8]), Ok(count) if count > 0);
            self.read()?;
        }
        while self.read()? && Instant::now() < deadline {}
        self.send_lines()?;
        self.send_partial_lines()?;
        jukebox::interrupt::clear();
        Ok(())
    }

    /// Sends pieces of lines, but for what may be the beginning of a marker or of a character.
    fn send_partial_lines(&mut self) -> io::Result<()> {
        if self.in_content {
            return Ok(());
        }
        let unsent = &self.stdout.unsent;
        let markers = MARKERS.iter().chain([&FRAME_PREFIX]);
        let held = markers
            .filter_map(|marker| find_beginning(unsent, marker.as_bytes()))
            .min();
        let stdout = complete_characters(&unsent[..held.unwrap_or(unsent.len())]);
        self.send_stdout(stdout)?;
        self.send_stderr(complete_characters(&self.stderr.unsent))
    }

    fn send_stdout(&mut self, count: usize) -> io::Result<()> {
        send_text(&mut self.stdout, count, &mut self.kernel)
    }

    fn send_stderr(&mut self, count: usize) -> io::Result<()> {
        send_text(&mut self.stderr, count, &mut self.kernel)
    }
}

fn send_text(stream: &mut Stream, count: usize, kernel: &mut File) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let text = stream.take(count);
    kernel.write_all(
        frame(&json!({ "kind": "stream", "name": stream.name, "text": text })).as_bytes(),
    )?;
    UNSENT.fetch_sub(count, Ordering::SeqCst);
    Ok(())
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Where `part`, or a beginning of it that the end of `text` cuts off, starts.
fn find_beginning(text: &[u8], part: &[u8]) -> Option<usize> {
    find(text, part).or_else(|| {
        let first = text.len().saturating_sub(part.len() - 1);
        (first..text.len()).find(|&start| part.starts_with(&text[start..]))
    })
}

/// The length of `text` without a character that its end cuts off.
fn complete_characters(text: &[u8]) -> usize {
    match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => text.len(),
    }
}

extern "C" fn drain_on_abort(_signal: i32) {
    drain();
}

/// Waits, when the process ends, until everything written has been sent.
extern "C" fn drain() {
    let Some(pipes) = PIPES.get() else { return };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let waiting = pipes.iter().any(|&pipe| {
            let mut count: libc::c_int = 0;
            // SAFETY: the request stores one integer.
            unsafe { libc::ioctl(pipe, libc::FIONREAD, &mut count) == 0 && count > 0 }
        });
        if (!waiting && UNSENT.load(Ordering::SeqCst) == 0) || Instant::now() > deadline {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Makes `descriptor` write into a new pipe, and returns the end from which to read.
fn redirect_stream(descriptor: RawFd) -> io::Result<OwnedFd> {
    let (read, write) = pipe()?;
    // SAFETY: both descriptors are open.
    check(unsafe { libc::dup2(write.as_raw_fd(), descriptor) })?;
    Ok(read)
}

/// A pipe from which reading does not block; programs that a cell starts do not inherit it.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the pointer is to two integers; the descriptors are ours from here on.
    unsafe {
        check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        let (read, write) = (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]));
        check(libc::fcntl(ends[0], libc::F_SETFL, libc::O_NONBLOCK))?;
        Ok((read, write))
    }
}

fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the new descriptor is ours.
    unsafe {
        check(libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3))
            .map(|new| OwnedFd::from_raw_fd(new))
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_marker_is_held_back() {
        assert_eq!(
            find_beginning(b"text EVCXR_EX", COMPLETE.as_bytes()),
            Some(5)
        );
        assert_eq!(
            find_beginning(b"text EVCXR_EXECUTION_COMPLETE", COMPLETE.as_bytes()),
            Some(5)
        );
        assert_eq!(find_beginning(b"text", COMPLETE.as_bytes()), None);
        assert_eq!(
            find_beginning(b"\x02juke", FRAME_PREFIX.as_bytes()),
            Some(0)
        );
    }

    #[test]
    fn a_cut_character_is_held_back() {
        let text = "aé".as_bytes();
        assert_eq!(complete_characters(&text[..2]), 1);
        assert_eq!(complete_characters(text), 3);
        assert_eq!(complete_characters(b"a\xff"), 2);
    }
}

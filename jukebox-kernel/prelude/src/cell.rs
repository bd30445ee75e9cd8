//! The kernel's part inside the process in which cells run.
//!
//! The kernel calls [`jukebox_cell_start`] once, before the first cell. From then on everything that cells write to the standard
//! streams reaches the kernel in order (`output`), the value of a cell's last line becomes its result (`result`), errors and
//! panics become errors of the cell (`report`), and the interrupt button raises the flag of [`jukebox::interrupt`].

mod output;
mod report;
#[doc(hidden)]
pub mod result;

pub use report::report_error;

use serde_json::Value;

/// What a line that carries a message to the kernel begins with; the rest of the line is JSON.
const FRAME_PREFIX: &str = "\x02jukebox ";

/// One message to the kernel, as a line. JSON escapes all control characters, so it is one line whatever is in it.
fn frame(message: &Value) -> String {
    format!("{FRAME_PREFIX}{message}\n")
}

/// Sends a message from a cell, after all that the cell has printed so far.
fn send(message: &Value) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // A kernel that has gone away is no reason to stop the computation.
    let _ = out
        .write_all(frame(message).as_bytes())
        .and_then(|()| out.flush());
}

/// Prepares this process for cells. Returns 0, or the number of the system error that prevents it.
#[unsafe(no_mangle)]
pub extern "C" fn jukebox_cell_start() -> i32 {
    report::catch_panics();
    // SAFETY: the handlers only store to an atomic.
    unsafe {
        libc::signal(
            libc::SIGINT,
            on_interrupt as extern "C" fn(i32) as libc::sighandler_t,
        );
        libc::signal(
            libc::SIGURG,
            on_interrupt_taken_back as extern "C" fn(i32) as libc::sighandler_t,
        );
    }
    match output::redirect() {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    }
}

extern "C" fn on_interrupt(_signal: i32) {
    jukebox::interrupt::request();
}

extern "C" fn on_interrupt_taken_back(_signal: i32) {
    jukebox::interrupt::clear();
}

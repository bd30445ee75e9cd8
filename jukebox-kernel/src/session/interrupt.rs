//! Stopping a running cell.
//!
//! The first interrupt raises the flag of `jukebox::interrupt` in the cell process (SIGINT), at which our own loops look. Code that does not
//! look at it goes on; a second interrupt therefore gives it two more seconds and then ends the process.

use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(2);
/// Takes an interrupt back. Its default action is to do nothing, so it is harmless to a process that does not expect it yet.
const CLEAR: libc::c_int = libc::SIGURG;

/// Stops the running cell, from any thread.
#[derive(Clone)]
pub struct Interrupter {
    process: Arc<Mutex<Child>>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts cells, so that a late timer does not hit the next one.
    cell: u64,
    is_running: bool,
    interrupts: u32,
    is_killed: bool,
}

impl Interrupter {
    pub(super) fn new(process: Arc<Mutex<Child>>) -> Self {
        Self {
            process,
            state: Arc::default(),
        }
    }

    /// Interrupts the running cell; does nothing when none is running.
    pub fn interrupt(&self) {
        let mut state = self.state();
        if !state.is_running {
            return;
        }
        state.interrupts += 1;
        self.signal(libc::SIGINT);
        if state.interrupts == 2 {
            let (this, cell) = (self.clone(), state.cell);
            std::thread::spawn(move || {
                std::thread::sleep(GRACE);
                let mut state = this.state();
                if state.cell == cell && state.is_running {
                    state.is_killed = true;
                    this.signal(libc::SIGKILL);
                }
            });
        }
    }

    /// Ends the cell process.
    pub fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    /// Marks the beginning of a cell, and its end when the returned value is dropped.
    pub(super) fn cell(&self) -> Running {
        let mut state = self.state();
        if state.interrupts > 0 && !state.is_killed {
            self.signal(CLEAR);
        }
        *state = State {
            cell: state.cell + 1,
            is_running: true,
            ..State::default()
        };
        Running(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, signal: libc::c_int) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        // A process that has ended is not asked: its number may belong to another one by now.
        if let (Ok(None), Ok(id)) = (process.try_wait(), libc::pid_t::try_from(process.id())) {
            // SAFETY: takes no pointers.
            unsafe { libc::kill(id, signal) };
        }
    }
}

/// A cell that is running.
pub(super) struct Running(Interrupter);

impl Running {
    pub(super) fn is_interrupted(&self) -> bool {
        self.0.state().interrupts > 0
    }

    pub(super) fn is_killed(&self) -> bool {
        self.0.state().is_killed
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state().is_running = false;
    }
}

//! Stopping a long computation from outside: one flag that long loops look at between steps.
//!
//! In a notebook the interrupt button raises the flag; the loop ends with [`Interrupted`] and everything computed so far is kept.

use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// The computation was stopped because somebody asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Asks the running computation to stop. Only sets a flag, so a signal handler may call it.
pub fn request() {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// Takes the request back, before the next computation starts.
pub fn clear() {
    REQUESTED.store(false, Ordering::Relaxed);
}

/// Whether somebody asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// To be called between the steps of a long loop, with `?`.
///
/// # Errors
/// [`Interrupted`], if somebody asked to stop.
pub fn check() -> Result<(), Interrupted> {
    if requested() {
        Err(Interrupted)
    } else {
        Ok(())
    }
}

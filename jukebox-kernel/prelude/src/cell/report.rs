//! Errors and panics of a cell.

use std::error::Error;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// The last panic on the thread that runs cells, until the output thread learns whether it ended the cell.
static PANIC: Mutex<Option<Value>> = Mutex::new(None);

/// Reports the error with which a cell was left through `?`, with all its sources.
pub fn report_error(error: Box<dyn Error>) {
    let mut sources = Vec::new();
    let mut source = error.source();
    while let Some(inner) = source {
        sources.push(inner.to_string());
        source = inner.source();
    }
    super::send(&json!({ "kind": "error", "message": error.to_string(), "sources": sources }));
}

/// Keeps panics of the calling thread for [`take_panic`]; those of other threads are printed as usual.
pub(super) fn catch_panics() {
    let cells = std::thread::current().id();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == cells {
            *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(describe(panic));
        } else {
            usual(panic);
        }
    }));
}

fn describe(panic: &PanicHookInfo) -> Value {
    let place = panic.location();
    json!({
        "kind": "panic",
        "message": panic.payload_as_str().unwrap_or("the panic carries no message"),
        "file": place.map(|place| place.file()),
        "line": place.map(|place| place.line()),
        "column": place.map(|place| place.column()),
    })
}

/// The message about the panic that has just ended the cell.
pub(super) fn take_panic() -> Option<Value> {
    PANIC.lock().unwrap_or_else(PoisonError::into_inner).take()
}

//! Writing a display to the notebook from inside a running cell.
//!
//! A cell runs in a process of its own, whose standard output is read line by line. In our kernel (environment
//! variable `JUKEBOX_KERNEL_FRAMES=1`) a display travels as one such line, `\x02jukebox ` and compact JSON, in
//! order with everything printed. Under stock `evcxr_jupyter` it is written as evcxr's own content blocks, which
//! appear when the cell ends. In a plain program the sentence is printed.

use crate::mime::{Display, MimeBundle};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a line that carries a frame begins with.
pub const FRAME_PREFIX: &str = "\x02jukebox ";

/// Where the output of this process goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    /// Our kernel: framed lines.
    Frames,
    /// Stock `evcxr_jupyter`: content blocks.
    Evcxr,
    /// Any other program: text.
    Terminal,
}

impl Host {
    fn of_this_process() -> Self {
        let has = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if has("JUKEBOX_KERNEL_FRAMES") {
            Self::Frames
        } else if has("EVCXR_IS_RUNTIME") {
            Self::Evcxr
        } else {
            Self::Terminal
        }
    }
}

/// One `display_data` or `update_display_data` message.
struct Message<'a> {
    bundle: &'a MimeBundle,
    display_id: Option<&'a str>,
    update: bool,
}

impl Message<'_> {
    /// What the process must write for this message.
    fn written_for(&self, host: Host) -> String {
        match host {
            Host::Frames => frame(&json!({
                "kind": "display",
                "data": self.bundle.data,
                "metadata": self.bundle.metadata,
                "display_id": self.display_id,
                "update": self.update,
            })),
            Host::Evcxr => self
                .bundle
                .data
                .iter()
                .filter_map(|(mime, value)| Some((mime, value.as_str()?)))
                // The end marker is text like any other to a title; it must not end the block early.
                .map(|(mime, text)| (mime, text.replace("EVCXR_END_CONTENT", "EVCXR END CONTENT")))
                .map(|(mime, text)| {
                    format!("EVCXR_BEGIN_CONTENT {mime}\n{text}\nEVCXR_END_CONTENT\n")
                })
                .collect(),
            Host::Terminal => format!("{}\n", self.bundle.plain()),
        }
    }
}

/// One framed line. JSON escapes every control character, so the line ends where the frame does.
fn frame(content: &Value) -> String {
    format!("{FRAME_PREFIX}{content}\n")
}

/// Writes in one piece. A reader that has gone away is no reason to stop the computation.
fn write(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Shows a display at once, between what the cell printed before and what it prints after.
pub fn show(display: &(impl Display + ?Sized)) {
    let bundle = display.bundle().within_budget();
    write(
        &Message {
            bundle: &bundle,
            display_id: None,
            update: false,
        }
        .written_for(Host::of_this_process()),
    );
}

/// Shows a display that can be replaced in place later: progress, a growing picture.
///
/// Where a display cannot be updated (stock evcxr, a terminal) each state is written anew.
pub fn show_updating(display: &(impl Display + ?Sized)) -> Updating {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let display_id = format!(
        "jukebox-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let handle = Updating { display_id };
    handle.write(display, false);
    handle
}

/// A display that is on the page and can be replaced; made by [`show_updating`].
#[derive(Debug)]
pub struct Updating {
    display_id: String,
}

impl Updating {
    /// Puts `display` in the place of what is shown.
    pub fn update(&self, display: &(impl Display + ?Sized)) {
        self.write(display, true);
    }

    fn write(&self, display: &(impl Display + ?Sized), update: bool) {
        let bundle = display.bundle().within_budget();
        let message = Message {
            bundle: &bundle,
            display_id: Some(&self.display_id),
            update,
        };
        write(&message.written_for(Host::of_this_process()));
    }
}

/// Clears what the cell has shown so far; with `wait`, only when the next output comes, which avoids a flicker.
///
/// Only our kernel can do this; elsewhere nothing happens.
pub fn clear_output(wait: bool) {
    if Host::of_this_process() == Host::Frames {
        write(&frame(&json!({ "kind": "clear", "wait": wait })));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> MimeBundle {
        MimeBundle::text("Two\nlines \u{2028} \x02jukebox ‘quoted’\r.")
            .with_html("<b>\n</b>", "alt")
    }

    #[test]
    fn a_frame_is_one_line_of_json() {
        for (display_id, update) in [(None, false), (Some("d-1"), false), (Some("d-1"), true)] {
            let written = Message {
                bundle: &bundle(),
                display_id,
                update,
            }
            .written_for(Host::Frames);
            let line = written.strip_suffix('\n').unwrap();
            assert!(!line.contains(['\n', '\r']));
            let value: Value =
                serde_json::from_str(line.strip_prefix("\x02jukebox ").unwrap()).unwrap();
            assert_eq!(value["kind"], "display");
            assert_eq!(value["data"]["text/plain"], bundle().plain());
            assert_eq!(value["metadata"]["text/html"]["alt"], "alt");
            assert_eq!(value["display_id"], json!(display_id));
            assert_eq!(value["update"], json!(update));
        }
    }

    #[test]
    fn stock_evcxr_gets_a_block_per_form() {
        let bundle =
            MimeBundle::text("EVCXR_END_CONTENT\nA sentence.").with_html("<b>x</b>", "alt");
        let written = Message {
            bundle: &bundle,
            display_id: None,
            update: false,
        }
        .written_for(Host::Evcxr);
        let ends = written
            .lines()
            .filter(|line| *line == "EVCXR_END_CONTENT")
            .count();
        assert_eq!(ends, 2, "{written}");
        assert!(written.contains("EVCXR_BEGIN_CONTENT text/html\n<b>x</b>\nEVCXR_END_CONTENT\n"));
        assert!(written.contains("A sentence.\nEVCXR_END_CONTENT\n"));
    }

    #[test]
    fn a_terminal_gets_the_sentence() {
        let message = Message {
            bundle: &MimeBundle::text("A sentence."),
            display_id: None,
            update: false,
        };
        assert_eq!(message.written_for(Host::Terminal), "A sentence.\n");
    }
}

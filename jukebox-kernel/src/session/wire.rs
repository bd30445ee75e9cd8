//! What the cell process tells the kernel: framed lines on its standard output.

use serde::Deserialize;
use serde_json::{Map, Value};

/// What a line that carries a message begins with; the rest of the line is JSON.
const FRAME_PREFIX: &str = "\x02jukebox ";

/// One message from the cell process.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Frame {
    /// Text on a standard stream; not always a whole line.
    Stream { name: StreamName, text: String },
    /// Something shown in the middle of a cell, or (with `update`) in the place of what an earlier display shows.
    Display {
        data: Map<String, Value>,
        #[serde(default)]
        metadata: Map<String, Value>,
        #[serde(default)]
        display_id: Option<String>,
        #[serde(default)]
        update: bool,
    },
    /// The value of the cell's last line.
    Result {
        data: Map<String, Value>,
        #[serde(default)]
        metadata: Map<String, Value>,
    },
    /// Removes what the cell has shown so far; with `wait`, when the next output comes.
    Clear {
        #[serde(default)]
        wait: bool,
    },
    /// The error with which the cell was left through `?`, and its sources, outermost first.
    Error {
        message: String,
        sources: Vec<String>,
    },
    /// The panic that ended the cell.
    Panic {
        message: String,
        file: Option<String>,
        line: Option<usize>,
        column: Option<usize>,
    },
}

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    Stdout,
    Stderr,
}

/// Reads one line of the cell process's standard output; what is not a frame is text.
pub fn read_line(line: String) -> Frame {
    let framed = line
        .strip_prefix(FRAME_PREFIX)
        .and_then(|json| serde_json::from_str(json).ok());
    framed.unwrap_or(Frame::Stream {
        name: StreamName::Stdout,
        text: line + "\n",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framed_line_is_a_message() {
        let frame = read_line(
            "\x02jukebox {\"kind\":\"stream\",\"name\":\"stderr\",\"text\":\"12 %\\r\"}".into(),
        );
        assert_eq!(
            frame,
            Frame::Stream {
                name: StreamName::Stderr,
                text: "12 %\r".into()
            }
        );
        let frame = read_line("\x02jukebox {\"kind\":\"display\",\"data\":{\"text/plain\":\"a\"},\"display_id\":\"d\"}".into());
        let Frame::Display {
            data,
            display_id,
            update: false,
            ..
        } = frame
        else {
            panic!("{frame:?}")
        };
        assert_eq!(
            (data["text/plain"].as_str(), display_id.as_deref()),
            (Some("a"), Some("d"))
        );
    }

    #[test]
    fn anything_else_is_text() {
        for line in [
            "plain",
            "",
            "\x02jukebox not json",
            "\x02jukebox {\"kind\":\"unheard of\"}",
        ] {
            assert_eq!(
                read_line(line.into()),
                Frame::Stream {
                    name: StreamName::Stdout,
                    text: format!("{line}\n")
                }
            );
        }
    }
}

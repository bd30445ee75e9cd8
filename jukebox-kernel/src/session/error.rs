//! Why a cell failed, and how that is said: in the manner of the compiler, with lines and columns of the cell.

use std::fmt::Write;

use evcxr::CompilationError;

use super::cell::{Edited, Place};

const RED: &str = "\x1b[1;31m";
const BLUE: &str = "\x1b[1;34m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// A cell that failed, as Jupyter wants it: what kind of error, the message, and the text that is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct CellError {
    /// For example `E0308`, `panic`, `Interrupted`.
    pub name: String,
    pub message: String,
    /// Lines to show, with ANSI colours.
    pub report: Vec<String>,
}

impl CellError {
    /// An error that has no place in the cell.
    pub fn plain(name: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let mut lines = message.lines();
        let mut report = vec![format!(
            "{RED}{name}{RESET}{BOLD}: {}{RESET}",
            lines.next().unwrap_or_default()
        )];
        report.extend(lines.map(str::to_owned));
        Self {
            name: name.to_owned(),
            message,
            report,
        }
    }

    /// The error with which the cell was left through `?`.
    pub fn returned(message: &str, sources: &[String]) -> Self {
        let mut error = Self::plain("Error", message);
        if !sources.is_empty() {
            error.report.push(format!("{BOLD}caused by:{RESET}"));
            error
                .report
                .extend(sources.iter().map(|source| format!("  {source}")));
        }
        error
    }

    /// A panic; `place` says where, if it was in a cell that is known.
    pub fn panic(message: &str, place: Option<String>) -> Self {
        let mut error = Self::plain("panic", message);
        error
            .report
            .extend(place.map(|place| format!("{BLUE} -->{RESET} {place}")));
        error.report.push("The kernel goes on; variables that this cell has used up or was about to define are lost.".to_owned());
        error
    }

    /// The compiler's errors. `cell` is the code that was compiled.
    pub fn compilation(errors: &[CompilationError], cell: &Edited) -> Self {
        let is_error = |error: &&CompilationError| error.level() == "error";
        let first = errors.iter().find(is_error).or(errors.first());
        Self {
            name: first
                .and_then(|error| error.code())
                .unwrap_or("CompileError")
                .to_owned(),
            message: first.map(|error| error.message()).unwrap_or_default(),
            report: errors
                .iter()
                .filter(is_error)
                .flat_map(|error| render(error, cell))
                .collect(),
        }
    }
}

/// A part of the cell that a message is about.
struct Mark {
    start: Place,
    end: Place,
    label: String,
    is_primary: bool,
}

/// One message of the compiler, as lines.
fn render(error: &CompilationError, cell: &Edited) -> Vec<String> {
    let code = error
        .code()
        .map(|code| format!("[{code}]"))
        .unwrap_or_default();
    let mut out = format!(
        "{RED}{}{code}{RESET}{BOLD}: {}{RESET}\n",
        error.level(),
        error.message()
    );
    let title = format!("{}: {}", error.level(), error.message());
    let mut marks: Vec<Mark> = error
        .spanned_messages()
        .iter()
        .filter_map(|message| {
            let span = message.span?;
            let place = |line, column| cell.original_place(Place { line, column });
            Some(Mark {
                start: place(span.start_line, span.start_column),
                end: place(span.end_line, span.end_column),
                label: if message.label == title {
                    String::new()
                } else {
                    message.label.clone()
                },
                is_primary: message.is_primary,
            })
        })
        .collect();
    marks.sort_by_key(|mark| mark.start);
    if let Some(first) = marks.iter().find(|mark| mark.is_primary).or(marks.first()) {
        let width = marks
            .iter()
            .map(|mark| mark.start.line)
            .max()
            .unwrap_or(1)
            .to_string()
            .len();
        let margin = " ".repeat(width);
        let _ = writeln!(
            out,
            "{margin}{BLUE}-->{RESET} line {}, column {}",
            first.start.line, first.start.column
        );
        let _ = writeln!(out, "{margin} {BLUE}|{RESET}");
        let mut shown = 0;
        for mark in &marks {
            let line = cell
                .original()
                .lines()
                .nth(mark.start.line - 1)
                .unwrap_or_default();
            if mark.start.line != shown {
                if shown != 0 && mark.start.line > shown + 1 {
                    let _ = writeln!(out, "{BLUE}...{RESET}");
                }
                shown = mark.start.line;
                let _ = writeln!(out, "{BLUE}{shown:>width$} |{RESET} {line}");
            }
            let end = if mark.end.line == mark.start.line {
                mark.end.column
            } else {
                line.chars().count() + 1
            };
            let length = end.saturating_sub(mark.start.column).max(1);
            let (colour, sign) = if mark.is_primary {
                (RED, "^")
            } else {
                (BLUE, "-")
            };
            let indent = " ".repeat(mark.start.column - 1);
            let label = mark.label.lines().next().unwrap_or_default();
            let _ = writeln!(
                out,
                "{margin} {BLUE}|{RESET} {indent}{colour}{} {label}{RESET}",
                sign.repeat(length)
            );
        }
    }
    for (kind, text) in remarks(error) {
        let _ = writeln!(out, " {BLUE}={RESET} {BOLD}{kind}{RESET}: {text}");
    }
    if let Some(hint) = error.evcxr_extra_hint() {
        let _ = writeln!(out, " {BLUE}={RESET} {BOLD}note{RESET}: {hint}");
    }
    out.lines().map(str::to_owned).collect()
}

/// The compiler's notes and suggestions.
fn remarks(error: &CompilationError) -> Vec<(String, String)> {
    let children = error.json["children"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let remark = |child: &serde_json::Value| {
        let kind = child["level"].as_str()?.to_owned();
        let mut text = child["message"].as_str()?.to_owned();
        if let Some(replacement) = child["spans"][0]["suggested_replacement"].as_str() {
            let replacement = replacement.trim();
            if !replacement.is_empty() {
                let _ = write!(text, ": `{replacement}`");
            }
        }
        Some((kind, text))
    };
    children.iter().filter_map(remark).collect()
}

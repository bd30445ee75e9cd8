//! `run`: executes a notebook without a browser and shows each cell's progress.
//!
//! The execution itself is nbclient's, in the private environment: `execute.py` drives it and reports one JSON line per event.

use std::fs;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};
use signal_hook::consts::SIGUSR1;

use super::error::CliError;
use super::home::Home;
use super::install::set_up;
use super::kernelspec;
use super::process::Supervised;
use super::steps::seconds;

const SCRIPT: &str = include_str!("execute.py");

/// How many characters of a cell's first line a progress line shows.
const LINE_WIDTH: usize = 60;

/// The exit code of a program that was ended by Ctrl-C, as shells know it.
const INTERRUPTED: u8 = 130;

/// Execute a notebook without a browser
///
/// Shows a line per cell and writes the executed notebook: NOTEBOOK.executed.ipynb in the current folder, if neither
/// --output nor --in-place says otherwise. Cells run in the notebook's own folder. Stops at the first error, prints it,
/// and ends with exit code 1; what was executed until then is written all the same. Ctrl-C writes nothing.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// The notebook, an .ipynb file
    notebook: PathBuf,
    /// Also write a page that any browser shows
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Where to write the executed notebook
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the executed notebook over the notebook itself
    #[arg(long, conflicts_with = "output")]
    in_place: bool,
    /// Seconds that one cell may take [default: as long as it likes]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
    /// Go on after a cell that fails, and end with exit code 0
    #[arg(long)]
    allow_errors: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    check(&options.notebook)?;
    let output = options.output_path();
    for path in [Some(&output), options.html.as_ref()].into_iter().flatten() {
        check_folder(path)?;
    }
    let home = Home::find()?;
    let environment = set_up(&home)?;

    let request = json!({
        "notebook": options.notebook,
        "output": output,
        "html": options.html,
        "kernel": kernelspec::NAME,
        "timeout": options.timeout,
        "allow_errors": options.allow_errors,
    });
    let mut command = environment.interpreter();
    command
        .arg("-")
        .arg(request.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut python = Supervised::start(&mut command, SIGUSR1)?;
    let pipes = (python.child().stdin.take(), python.child().stdout.take());
    let (Some(stdin), Some(stdout)) = pipes else {
        bail!("Python was started without pipes")
    };
    send_script(stdin);

    let mut progress = Progress::new();
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(event) => progress.show(event),
            Err(_) => progress.line(&line), // printed by something else in that process
        }
    }
    let status = python.wait().context("cannot wait for Python")?;
    progress.end();

    if python.interrupted() {
        eprintln!("Interrupted; nothing was written.");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if let Some(problem) = progress.problem {
        return Err(CliError::Notebook {
            path: options.notebook.clone(),
            problem,
        }
        .into());
    }
    match status.code() {
        Some(0) => Ok(ExitCode::SUCCESS),
        _ if progress.failed > 0 => {
            let problem = "a cell failed; its error is above".to_owned();
            Err(CliError::Notebook {
                path: options.notebook.clone(),
                problem,
            }
            .into())
        }
        _ => bail!(
            "executing {} failed: Python ended with {status}",
            options.notebook.display()
        ),
    }
}

impl Options {
    fn output_path(&self) -> PathBuf {
        if self.in_place {
            return self.notebook.clone();
        }
        self.output.clone().unwrap_or_else(|| {
            let stem = self
                .notebook
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy();
            PathBuf::from(format!("{stem}.executed.ipynb"))
        })
    }
}

/// Refuses what is no notebook, before anything is built for it.
fn check(path: &Path) -> Result<(), CliError> {
    let problem = |problem: String| CliError::Notebook {
        path: path.to_owned(),
        problem,
    };
    if path.is_dir() {
        return Err(problem(
            "is a folder; name a notebook, an .ipynb file".into(),
        ));
    }
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => problem("there is no such notebook".into()),
        std::io::ErrorKind::InvalidData => problem("is not a notebook (not text)".into()),
        _ => problem(format!("cannot be read: {error}")),
    })?;
    let notebook: Value = serde_json::from_str(&text)
        .map_err(|error| problem(format!("is not a notebook (not JSON: {error})")))?;
    match (notebook["nbformat"].as_u64(), notebook["cells"].is_array()) {
        (Some(4), true) => Ok(()),
        (Some(version), _) if version < 4 => Err(problem(format!(
            "is a notebook of the old format {version}; open and save it in JupyterLab first"
        ))),
        _ => Err(problem(
            "is not a notebook (it has no `nbformat` 4 with `cells`)".into(),
        )),
    }
}

/// Refuses a place that cannot be written to, before the cells have run for an hour.
fn check_folder(path: &Path) -> Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if path.is_dir() || !folder.is_dir() {
        bail!(
            "cannot write {}: {}",
            path.display(),
            if path.is_dir() {
                "it is a folder"
            } else {
                "its folder does not exist"
            }
        );
    }
    Ok(())
}

/// Gives Python the script. It may have ended already; then its exit status tells.
fn send_script(mut stdin: ChildStdin) {
    let _ = stdin.write_all(SCRIPT.as_bytes());
}

/// What `execute.py` reports.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event {
    Start {
        kernel: String,
        cells: usize,
    },
    Cell {
        number: usize,
        source: String,
    },
    CellDone {
        seconds: f64,
        error: Option<CellError>,
    },
    Problem {
        message: String,
    },
    Wrote {
        path: String,
    },
}

#[derive(Debug, Deserialize)]
struct CellError {
    name: String,
    value: String,
    traceback: String,
}

/// Turns events into lines on stdout: on a terminal the running cell's line is live.
struct Progress {
    bar: ProgressBar,
    cells: usize,
    failed: usize,
    running: Option<String>,
    started: Instant,
    problem: Option<String>,
}

impl Progress {
    fn new() -> Self {
        let bar = if std::io::stdout().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{prefix} {spinner} {elapsed}") {
            bar.set_style(style);
        }
        Self {
            bar,
            cells: 0,
            failed: 0,
            running: None,
            started: Instant::now(),
            problem: None,
        }
    }

    fn show(&mut self, event: Event) {
        match event {
            Event::Start { kernel, cells } => {
                self.cells = cells;
                self.line(&format!(
                    "Executing {cells} cells with the kernel `{kernel}`"
                ));
            }
            Event::Cell { number, source } => {
                let width = self.cells.to_string().len();
                let line = format!("[{number:>width$}/{}] {}", self.cells, first_line(&source));
                self.bar.set_prefix(line.clone());
                self.bar.reset_elapsed();
                self.bar.enable_steady_tick(Duration::from_millis(120));
                self.running = Some(line);
            }
            Event::CellDone {
                seconds: took,
                error,
            } => {
                self.finish_cell(
                    Duration::try_from_secs_f64(took).unwrap_or_default(),
                    error.is_none(),
                );
                if let Some(error) = error {
                    self.failed += 1;
                    self.line(&error.text());
                }
            }
            Event::Problem { message } => {
                if self.running.is_some() {
                    self.finish_cell(self.bar.elapsed(), false);
                }
                self.problem = Some(message);
            }
            Event::Wrote { path } => self.line(&format!("wrote {path}")),
        }
    }

    fn finish_cell(&mut self, took: Duration, well: bool) {
        self.bar.disable_steady_tick();
        if let Some(line) = self.running.take() {
            let mark = if well { '✓' } else { '✗' };
            let width = LINE_WIDTH + 2 * self.cells.to_string().len() + 4;
            self.line(&format!("{line:<width$} {mark} {:>9}", seconds(took)));
        }
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    fn end(&self) {
        self.bar.finish_and_clear();
        if self.failed > 0 {
            println!(
                "{} of {} cells failed ({})",
                self.failed,
                self.cells,
                seconds(self.started.elapsed())
            );
        } else if self.cells > 0 && self.problem.is_none() {
            println!("done in {}", seconds(self.started.elapsed()));
        }
    }
}

impl CellError {
    /// The traceback, which ends in the error itself; in colour only for a terminal.
    fn text(&self) -> String {
        let text = if self.traceback.trim().is_empty() {
            format!("{}: {}", self.name, self.value)
        } else {
            self.traceback.clone()
        };
        if std::io::stdout().is_terminal() {
            text
        } else {
            console::strip_ansi_codes(&text).into_owned()
        }
    }
}

/// A cell's first line that says something, shortened: comments and attributes say less than code.
fn first_line(source: &str) -> String {
    let lines = || {
        source
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let line = lines()
        .find(|line| !line.starts_with("//") && !line.starts_with("#["))
        .or_else(|| lines().next())
        .unwrap_or("");
    match line.char_indices().nth(LINE_WIDTH) {
        Some(_) => line.chars().take(LINE_WIDTH - 1).chain(['…']).collect(),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(text: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        check(file.path()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_notebook_is_refused_with_the_reason() {
        assert!(problem_of("fn main() {}").contains("not JSON"));
        assert!(problem_of("{}").contains("nbformat"));
        assert!(problem_of(r#"{"nbformat": 3, "worksheets": []}"#).contains("old format 3"));
        assert!(
            check(Path::new("/nowhere/at.ipynb"))
                .unwrap_err()
                .to_string()
                .contains("no such notebook")
        );
        assert!(
            check(Path::new("/"))
                .unwrap_err()
                .to_string()
                .contains("folder")
        );
    }

    #[test]
    fn a_notebook_is_accepted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            file.path(),
            r#"{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}"#,
        )
        .unwrap();
        check(file.path()).unwrap();
    }

    #[test]
    fn a_cell_is_shown_by_its_first_line_of_code() {
        assert_eq!(
            first_line("\n// Load it.\n  let clip = 1;\nclip"),
            "let clip = 1;"
        );
        assert_eq!(first_line("// only words"), "// only words");
        assert_eq!(first_line(""), "");
        let long = first_line(&"é".repeat(200));
        assert_eq!(long.chars().count(), LINE_WIDTH);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn events_of_the_script_are_understood() {
        let event: Event =
            serde_json::from_str(r#"{"event": "cell-done", "seconds": 0.5, "error": null}"#)
                .unwrap();
        assert!(matches!(event, Event::CellDone { error: None, .. }));
    }
}

//! What a person sees of a run: one line that is rewritten on a terminal, or a line now and then in a log file.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a log file gets a line.
const LOG_EVERY: Duration = Duration::from_secs(15);

/// How far a run is, and how far it will go.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// Updates made.
    pub step: u64,
    /// Share of the budget that is used up, 0 to 1.
    pub progress: f64,
    /// Seconds spent, all sessions of the run together.
    pub elapsed: f64,
    /// Updates per second lately.
    pub steps_per_second: f64,
}

/// The live line of a run, on stderr.
pub struct Progress {
    bar: ProgressBar,
    terminal: bool,
    last_line: Option<Instant>,
}

impl Progress {
    /// A line for a run that is to be shown under `name`.
    pub fn new(name: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal {
            ProgressBar::new(1000)
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{prefix} {bar:20} {percent:>3} %  {msg}")
            .expect("the template is valid");
        bar.set_style(style);
        bar.set_prefix(name.to_owned());
        Self {
            bar,
            terminal,
            last_line: None,
        }
    }

    /// Shows where the run is. `what` are the figures of the model at hand, for instance its loss.
    pub fn show(&mut self, position: &Position, what: &str) {
        let line = format!(
            "step {} · {what} · {:.2} steps/s · {} left",
            position.step,
            position.steps_per_second,
            remaining(position)
        );
        if self.terminal {
            self.bar.set_position((position.progress * 1000.0) as u64);
            self.bar.set_message(line);
        } else if self
            .last_line
            .is_none_or(|last| last.elapsed() >= LOG_EVERY)
        {
            self.last_line = Some(Instant::now());
            eprintln!("{:5.1} % · {line}", position.progress * 100.0);
        }
    }

    /// Writes a line that stays.
    pub fn say(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            eprintln!("{line}");
        }
    }

    /// Ends the live line, leaving its last state.
    pub fn finish(&self) {
        self.bar.abandon();
    }
}

/// The time until the budget is used up, from the share that is.
fn remaining(position: &Position) -> String {
    if position.progress <= 0.0 {
        return "?".into();
    }
    let seconds = position.elapsed * (1.0 - position.progress).max(0.0) / position.progress;
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        _ if seconds < 60.0 => format!("{seconds:.0} s"),
        ..60 => format!("{minutes} min"),
        _ => format!("{} h {:02} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remaining_time_is_in_proportion() {
        let at = |progress, elapsed| {
            remaining(&Position {
                step: 1,
                progress,
                elapsed,
                steps_per_second: 1.0,
            })
        };
        assert_eq!(at(0.0, 10.0), "?");
        assert_eq!(at(0.5, 30.0), "30 s");
        assert_eq!(at(0.25, 600.0), "30 min");
        assert_eq!(at(0.1, 600.0), "1 h 30 min");
    }
}

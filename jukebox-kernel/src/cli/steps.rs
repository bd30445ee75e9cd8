//! Tells the user what a long set-up is doing: numbered steps with the time they take.
//!
//! On a terminal the running step is one live line with its progress and elapsed time; elsewhere (a log, CI) a plain line
//! now and then. Everything goes to stderr, so that stdout stays for results.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a running step says something when stderr is not a terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

/// A known number of steps, taken one after the other.
pub struct Steps {
    total: usize,
    begun: usize,
}

impl Steps {
    pub fn new(total: usize) -> Self {
        Self { total, begun: 0 }
    }

    /// Begins the next step.
    pub fn begin(&mut self, title: &str) -> Step {
        self.begun += 1;
        Step::begin(format!("[{}/{}] {title}", self.begun, self.total))
    }
}

/// A step under way. Ends with [`Step::done`]; dropped without it, its live line is left standing, for the error below it.
pub struct Step {
    title: String,
    started: Instant,
    bar: Option<ProgressBar>,
    last_plain: Instant,
}

impl Step {
    pub fn begin(title: String) -> Self {
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {prefix}  {elapsed}  {wide_msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(title.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            eprintln!("{title} …");
        }
        Self {
            title,
            started: now,
            bar,
            last_plain: now,
        }
    }

    /// Says how far the step is: "312 of 640 crates".
    pub fn progress(&mut self, detail: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(detail.to_owned()),
            None if self.last_plain.elapsed() >= PLAIN_INTERVAL => {
                self.last_plain = Instant::now();
                eprintln!("      {}  {detail}", seconds(self.started.elapsed()));
            }
            None => {}
        }
    }

    /// Prints a line that stays.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("      {line}")),
            None => eprintln!("      {line}"),
        }
    }

    /// Ends the step; `result` says what is there now.
    pub fn done(mut self, result: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        eprintln!(
            "✓ {}  {}  {result}",
            self.title,
            seconds(self.started.elapsed())
        );
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// A duration for people: `0.34 s`, `12.3 s`, `4 min 05 s`.
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 10.0 {
        format!("{seconds:.2} s")
    } else if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!(
            "{} min {:02} s",
            duration.as_secs() / 60,
            duration.as_secs() % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_for_people() {
        let written = |milliseconds| seconds(Duration::from_millis(milliseconds));
        assert_eq!(written(340), "0.34 s");
        assert_eq!(written(12_340), "12.3 s");
        assert_eq!(written(245_900), "4 min 05 s");
    }
}

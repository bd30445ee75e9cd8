//! What can go wrong on the command line, each with what to do about it.

use std::path::PathBuf;

/// An error of the command line's own work: set-up, kernel specs, notebooks.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("{what} {}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    #[error(
        "no home directory is known; set JUKEBOX_HOME to a folder where Jukebox may keep its Python environment"
    )]
    NoHome,

    #[error("environment.yml: {0}")]
    Pins(String),

    #[error(
        "no suitable Python was found (3.{minor} or newer, with its venv module){found}\n\
         Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it in JUKEBOX_PYTHON.",
        found = found.iter().map(|line| format!("\n  {line}")).collect::<String>()
    )]
    NoPython { minor: u32, found: Vec<String> },

    #[error("cannot start {program}; {advice}")]
    Start {
        program: String,
        advice: &'static str,
        #[source]
        source: std::io::Error,
    },

    #[error("{what} failed ({status}):\n{tail}\nThe whole output is in {}", log.display())]
    Failed {
        what: String,
        status: std::process::ExitStatus,
        tail: String,
        log: PathBuf,
    },

    #[error("{}: {problem}", path.display())]
    Notebook { path: PathBuf, problem: String },
}

impl CliError {
    /// For `map_err`: names the file and what was being done to it.
    pub fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}

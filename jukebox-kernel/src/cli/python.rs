//! The private Python environment: JupyterLab and what executes and converts notebooks, in the versions of `environment.yml`.
//!
//! One folder per list of versions, `python-KEY`. It counts only once its `complete` file is there, which is written last:
//! a set-up that was interrupted is thrown away and done again. (The folder itself cannot be made elsewhere and renamed:
//! the scripts of a virtual environment name their own folder.)

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::CliError;
use super::home::{Home, write_atomically};
use super::pins::Pins;
use super::process::{first_line, run_logged};
use super::steps::Step;

/// JupyterLab settings of the private environment: nothing is fetched, nobody is asked about news.
const LAB_SETTINGS: &str = r#"{
  "@jupyterlab/apputils-extension:notification": { "fetchNews": "false", "checkForUpdates": false }
}
"#;

/// Prints "3.11.7" if Python is whole; fails where `venv` or pip's bundle is missing (Debian packs them separately).
const PROBE: &str = "import ensurepip, sys, venv; print('%d.%d.%d' % sys.version_info[:3])";

/// A complete private environment.
#[derive(Debug, Clone)]
pub struct Environment {
    root: PathBuf,
}

impl Environment {
    /// The environment for this list of versions, if it is there and works.
    pub fn find(home: &Home, pins: &Pins) -> Option<Self> {
        let environment = Self::at(home, pins);
        let complete = environment.root.join("complete").is_file();
        // Its interpreter is a link to the system's Python, which may have gone with an upgrade.
        (complete && first_line(environment.python(), &["-c", ""]).is_some()).then_some(environment)
    }

    /// The environment for this list of versions, made now if need be. Two programs that do this at once take turns.
    pub fn find_or_create(home: &Home, pins: &Pins, step: &mut Step) -> Result<Self, CliError> {
        if let Some(environment) = Self::find(home, pins) {
            return Ok(environment);
        }
        let _lock = lock(home, step)?;
        match Self::find(home, pins) {
            Some(environment) => Ok(environment),
            None => Self::create(home, pins, step),
        }
    }

    fn at(home: &Home, pins: &Pins) -> Self {
        Self {
            root: home.path().join(format!("python-{}", pins.key)),
        }
    }

    fn create(home: &Home, pins: &Pins, step: &mut Step) -> Result<Self, CliError> {
        let environment = Self::at(home, pins);
        let root = &environment.root;
        if root.exists() {
            fs::remove_dir_all(root)
                .map_err(CliError::file("cannot remove the unfinished", root))?;
        }
        let base = BasePython::find(pins.python_minor)?;
        let log = home.path().join("python-setup.log");
        step.progress(&format!(
            "making a virtual environment with Python {}",
            base.version
        ));
        run_logged(
            "making the virtual environment",
            isolated(&base.program).args(["-m", "venv"]).arg(root),
            &log,
            |_| {},
        )?;

        let mut pip = environment.command("pip");
        pip.args([
            "install",
            "--no-input",
            "--disable-pip-version-check",
            "--progress-bar=off",
            "--no-color",
        ]);
        pip.args(pins.packages.iter().map(|pin| pin.requirement()));
        run_logged("installing JupyterLab with pip", &mut pip, &log, |line| {
            if let Some(line) = progress_of_pip(line) {
                step.progress(&line);
            }
        })?;

        write_atomically(
            &root.join("share/jupyter/lab/settings/overrides.json"),
            LAB_SETTINGS.as_bytes(),
        )?;
        write_atomically(
            &root.join("complete"),
            format!("Python {}\n", base.version).as_bytes(),
        )?;
        Ok(environment)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where Jupyter looks for kernels in this environment.
    pub fn kernels(&self) -> PathBuf {
        self.root.join("share/jupyter/kernels")
    }

    pub fn python(&self) -> PathBuf {
        self.root.join("bin/python")
    }

    /// `python -m MODULE` in this environment, undisturbed by the user's own Python settings.
    pub fn command(&self, module: &str) -> Command {
        let mut command = self.interpreter();
        command.args(["-m", module]);
        command
    }

    /// `python` in this environment, likewise.
    pub fn interpreter(&self) -> Command {
        let mut command = isolated(self.python());
        command.env("JUPYTER_PREFER_ENV_PATH", "1");
        command
    }

    /// The version of an installed package.
    pub fn installed(&self, package: &str) -> Option<String> {
        let ask = format!("import importlib.metadata as m; print(m.version('{package}'))");
        first_line(self.python(), &["-I", "-c", &ask])
    }
}

/// A Python on this machine that can make virtual environments.
#[derive(Debug)]
pub struct BasePython {
    pub program: OsString,
    pub version: String,
}

impl BasePython {
    /// `$JUKEBOX_PYTHON`, else the newest of python3.13, 3.12, … on the `PATH`, else python3.
    ///
    /// # Errors
    /// `CliError::NoPython` lists what was found and why it will not do.
    pub fn find(oldest_minor: u32) -> Result<Self, CliError> {
        let candidates = match env::var_os("JUKEBOX_PYTHON") {
            Some(chosen) => vec![chosen],
            None => (oldest_minor..=13)
                .rev()
                .map(|minor| format!("python3.{minor}").into())
                .chain(["python3".into()])
                .collect(),
        };
        let mut found = Vec::new();
        for program in candidates {
            let name = program.to_string_lossy();
            if let Some(version) = first_line(&program, &["-I", "-c", PROBE]) {
                if minor(&version).is_some_and(|minor| minor >= oldest_minor) {
                    return Ok(Self { program, version });
                }
                found.push(format!("{name} is Python {version}: too old"));
            } else if let Some(version) = first_line(&program, &["--version"]) {
                found.push(format!(
                    "{name} is {version}, but its venv or ensurepip module is missing"
                ));
            }
        }
        Err(CliError::NoPython {
            minor: oldest_minor,
            found,
        })
    }
}

/// "3.11.7" → 11.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("3.")?.split('.').next()?.parse().ok()
}

/// A Python command that does not see the user's own packages and paths.
fn isolated(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("PYTHONNOUSERSITE", "1");
    for variable in ["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"] {
        command.env_remove(variable);
    }
    command
}

/// What pip is doing, in few words, if the line says something new.
fn progress_of_pip(line: &str) -> Option<String> {
    if line.starts_with("Installing collected packages") {
        return Some("installing the packages".into());
    }
    let requirement = line.strip_prefix("Collecting ")?;
    Some(format!(
        "collecting {}",
        requirement.split_whitespace().next()?
    ))
}

fn lock(home: &Home, step: &Step) -> Result<File, CliError> {
    let path = home.create()?.join("python-setup.lock");
    let file = File::create(&path).map_err(CliError::file("cannot write", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            step.note("another jukebox-kernel is setting up Python: waiting for it");
            file.lock().map_err(CliError::file("cannot lock", &path))?;
        }
        Err(TryLockError::Error(error)) => return Err(CliError::file("cannot lock", &path)(error)),
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_is_read_from_what_python_prints() {
        assert_eq!(minor("3.11.7"), Some(11));
        assert_eq!(minor("3.14"), Some(14));
        assert_eq!(minor("2.7.18"), None);
        assert_eq!(minor(""), None);
    }

    #[test]
    fn pip_lines_become_progress() {
        assert_eq!(
            progress_of_pip("Collecting tornado>=6.2 (from x)").unwrap(),
            "collecting tornado>=6.2"
        );
        assert_eq!(
            progress_of_pip("Installing collected packages: a, b").unwrap(),
            "installing the packages"
        );
        assert_eq!(progress_of_pip("  Downloading a.whl (1 MB)"), None);
    }

    #[test]
    fn an_unfinished_environment_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let pins = Pins::bundled().unwrap();
        let home = Home::new(folder.path());
        fs::create_dir_all(Environment::at(&home, &pins).root.join("bin")).unwrap();
        assert!(Environment::find(&home, &pins).is_none());
        // With the mark but without a working interpreter it does not count either.
        fs::write(Environment::at(&home, &pins).root.join("complete"), "").unwrap();
        assert!(Environment::find(&home, &pins).is_none());
    }

    #[test]
    fn no_python_at_all_says_what_to_do() {
        let error = BasePython::find(99).unwrap_err().to_string();
        assert!(
            error.contains("python3-venv") && error.contains("JUKEBOX_PYTHON"),
            "{error}"
        );
    }
}

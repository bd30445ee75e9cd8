//! `doctor`: checks everything that Jukebox needs on a machine, and says what to do about what is missing.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;
use console::style;

use super::home::Home;
use super::kernelspec;
use super::pins::Pins;
use super::process::first_line;
use super::python::{BasePython, Environment};
use crate::prelude;

/// Check this machine, and say what to do about what is missing
///
/// Ends with exit code 1 if something that Jukebox cannot do without is missing.
#[derive(clap::Args, Debug)]
pub struct Options {}

/// The oldest Rust that will do, as Cargo.toml says.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

const INSTALL: &str = "jukebox-kernel install";

pub fn doctor(_: &Options) -> Result<ExitCode> {
    let home = Home::find()?;
    let pins = Pins::bundled()?;
    let environment = Environment::find(&home, &pins);
    let checks = [
        rust_tool("cargo"),
        rust_tool("rustc"),
        linker(),
        python(pins.python_minor),
        jupyterlab(&pins, environment.as_ref()),
        kernel(environment.as_ref()),
        users_kernel(),
        built_prelude(),
        gpu(),
    ];
    for check in &checks {
        println!("{}", check.line());
    }
    let missing = checks
        .iter()
        .filter(|check| matches!(check.state, State::Missing { .. }))
        .count();
    println!();
    match missing {
        0 => println!("Everything that Jukebox needs is there."),
        1 => println!("One thing is missing: see the line marked ✗."),
        _ => println!("{missing} things are missing: see the lines marked ✗, from the top."),
    }
    println!("Jukebox's own folder is {}", home.path().display());
    Ok(if missing == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One line of the table.
struct Check {
    name: &'static str,
    state: State,
}

enum State {
    /// It is there: what exactly.
    Fine(String),
    /// Nothing works without it: what is wrong, and what to do.
    Missing { problem: String, remedy: String },
    /// Not needed: what goes without it, and how to have it.
    Without(String),
}

impl Check {
    fn fine(name: &'static str, what: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Fine(what.into()),
        }
    }

    fn missing(name: &'static str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Missing {
                problem: problem.into(),
                remedy: remedy.into(),
            },
        }
    }

    fn without(name: &'static str, what: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Without(what.into()),
        }
    }

    fn line(&self) -> String {
        let (mark, text) = match &self.state {
            State::Fine(what) => (style("✓").green(), what.clone()),
            State::Missing { problem, remedy } => {
                (style("✗").red(), format!("{problem}\n{:20}→ {remedy}", ""))
            }
            State::Without(what) => (style("–").dim(), what.clone()),
        };
        format!("{mark} {:<18}{text}", self.name)
    }
}

/// cargo or rustc, in a version that will do.
fn rust_tool(name: &'static str) -> Check {
    match first_line(name, &["--version"]) {
        Some(line) => match rust_version(&line) {
            Some(version) if version < rust_version(OLDEST_RUST).unwrap_or_default() => {
                Check::missing(
                    name,
                    format!("{line} is older than {OLDEST_RUST}"),
                    "rustup update",
                )
            }
            _ => Check::fine(name, line),
        },
        None => Check::missing(
            name,
            "not found, or it does not run",
            "install Rust from https://rustup.rs, then open a new terminal",
        ),
    }
}

/// "cargo 1.95.0 (f2d3ce0bd 2026-03-21)" or "1.95" → (1, 95).
fn rust_version(text: &str) -> Option<(u32, u32)> {
    let version = text
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether rustc can really link a program: that needs a C compiler and the C library's own files, not only a linker.
fn linker() -> Check {
    const NAME: &str = "linker";
    const REMEDY: &str = "install a C compiler (Debian, Ubuntu: apt-get install build-essential)";
    let linked = tempfile::tempdir().and_then(|folder| {
        let source = folder.path().join("main.rs");
        std::fs::write(&source, "fn main() {}")?;
        Command::new("rustc")
            .args(["--edition=2024", "-o"])
            .arg(folder.path().join("main"))
            .arg(&source)
            .stdin(Stdio::null())
            .output()
    });
    match linked {
        Ok(output) if output.status.success() => Check::fine(
            NAME,
            first_line("cc", &["--version"]).unwrap_or_else(|| "rustc links".into()),
        ),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let problem = said
                .lines()
                .find(|line| line.starts_with("error"))
                .unwrap_or("rustc cannot link a program");
            Check::missing(NAME, problem, REMEDY)
        }
        Err(error) => Check::missing(NAME, format!("cannot be tried: {error}"), REMEDY),
    }
}

fn python(oldest_minor: u32) -> Check {
    match BasePython::find(oldest_minor) {
        Ok(python) => Check::fine(
            "Python",
            format!("{} ({})", python.version, python.program.to_string_lossy()),
        ),
        Err(error) => {
            let text = error.to_string();
            let (problem, remedy) = text.rsplit_once('\n').unwrap_or((&text, ""));
            Check::missing("Python", problem.replace('\n', "; "), remedy)
        }
    }
}

/// JupyterLab in the private environment, in the pinned version.
fn jupyterlab(pins: &Pins, environment: Option<&Environment>) -> Check {
    const NAME: &str = "JupyterLab";
    let Some(environment) = environment else {
        return Check::missing(NAME, "the private environment is not set up", INSTALL);
    };
    let wrong = pins
        .packages
        .iter()
        .find_map(|pin| match environment.installed(&pin.name) {
            Some(version) if version == pin.version => None,
            Some(version) => Some(format!("{} is {version}, not {}", pin.name, pin.version)),
            None => Some(format!("{} is not installed", pin.name)),
        });
    match wrong {
        None => Check::fine(
            NAME,
            format!(
                "{} in {}",
                pins.version("jupyterlab").unwrap_or(""),
                environment.root().display()
            ),
        ),
        Some(problem) => Check::missing(
            NAME,
            problem,
            format!("remove {} and run {INSTALL}", environment.root().display()),
        ),
    }
}

/// The kernel spec in the private environment.
fn kernel(environment: Option<&Environment>) -> Check {
    const NAME: &str = "kernel";
    match environment.and_then(|environment| kernelspec::program_of(&environment.kernels())) {
        Some(program) if program.is_file() => Check::fine(
            NAME,
            format!("{}: {}", kernelspec::DISPLAY_NAME, program.display()),
        ),
        Some(program) => Check::missing(
            NAME,
            format!("its program {} is gone", program.display()),
            INSTALL,
        ),
        None => Check::missing(NAME, "not installed", INSTALL),
    }
}

/// The kernel spec in the user's own Jupyter: optional, but wrong if its program is gone.
fn users_kernel() -> Check {
    const NAME: &str = "your own Jupyter";
    let user_install = format!("{INSTALL} --user");
    match kernelspec::user_kernels()
        .ok()
        .and_then(|kernels| kernelspec::program_of(&kernels))
    {
        Some(program) if program.is_file() => Check::fine(NAME, "has the kernel too"),
        Some(program) => Check::missing(
            NAME,
            format!("its kernel's program {} is gone", program.display()),
            user_install,
        ),
        None => Check::without(
            NAME,
            format!("does not have the kernel; {user_install} adds it"),
        ),
    }
}

fn built_prelude() -> Check {
    match prelude::find() {
        Ok(paths) => Check::fine("cell library", paths.dylib.display().to_string()),
        Err(error) => Check::missing("cell library", error.to_string(), INSTALL),
    }
}

/// A GPU that the CUDA build could use: the driver's library, and the card's name if the driver's tool is there.
fn gpu() -> Check {
    const NAME: &str = "GPU";
    let card = first_line(
        "nvidia-smi",
        &["--query-gpu=name,memory.total", "--format=csv,noheader"],
    );
    match (card.filter(|card| !card.is_empty()), driver_library()) {
        (Some(card), true) => Check::fine(NAME, card),
        (Some(card), false) => Check::without(
            NAME,
            format!("{card}, but libcuda.so.1 is not found: install NVIDIA's driver libraries"),
        ),
        (None, true) => Check::without(
            NAME,
            "libcuda.so.1 is there, but no card answers: models run on the CPU",
        ),
        (None, false) => Check::without(NAME, "none: models run on the CPU"),
    }
}

/// Whether the dynamic loader knows libcuda (its cache lists the standard folders), or WSL's own folder has it.
fn driver_library() -> bool {
    const WSL: &str = "/usr/lib/wsl/lib/libcuda.so.1";
    let cached = ["ldconfig", "/sbin/ldconfig"].iter().any(|ldconfig| {
        let output = Command::new(ldconfig)
            .arg("-p")
            .stdin(Stdio::null())
            .output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("libcuda.so.1"))
    });
    cached || Path::new(WSL).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(
            rust_version("cargo 1.95.0 (f2d3ce0bd 2026-03-21)"),
            Some((1, 95))
        );
        assert_eq!(rust_version("rustc 1.100.0-nightly"), Some((1, 100)));
        assert!(rust_version("rustc 1.100.0") > rust_version(OLDEST_RUST));
        assert_eq!(rust_version("no version"), None);
    }

    #[test]
    fn a_missing_thing_comes_with_its_remedy() {
        let line = Check::missing("linker", "cc is not there", "install it").line();
        assert!(
            line.contains('✗') && line.contains("cc is not there") && line.contains("→ install it"),
            "{line}"
        );
    }

    #[test]
    fn this_machine_compiles_so_rust_and_linker_are_fine() {
        for check in [rust_tool("cargo"), rust_tool("rustc"), linker()] {
            assert!(matches!(check.state, State::Fine(_)), "{}", check.line());
        }
    }
}

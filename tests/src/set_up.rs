//! The program under test, built and installed once for all tests.
//!
//! Test programs may run side by side, so the set-up is guarded by a file lock. What it makes lies in cargo's target
//! directory and is kept between runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

/// The installed program.
#[derive(Debug)]
pub struct Jukebox {
    program: PathBuf,
    home: PathBuf,
    target: PathBuf,
}

impl Jukebox {
    /// The program, built, with its Python environment, cell library and kernel spec in place.
    ///
    /// # Panics
    /// With the reason, when that fails: no test can go on without it.
    pub fn ready() -> &'static Self {
        static READY: OnceLock<Jukebox> = OnceLock::new();
        READY.get_or_init(|| {
            Self::set_up()
                .unwrap_or_else(|error| panic!("the set-up of the tests failed: {error:?}"))
        })
    }

    fn set_up() -> Result<Self> {
        let target = target_directory()?;
        fs::create_dir_all(&target)?;
        let lock = File::create(target.join("jukebox-tests.lock"))?;
        lock.lock().context("cannot lock the set-up")?;

        let cargo = clean_cargo()
            .args(["build", "--release", "--locked", "-p", "jukebox-kernel"])
            .stdin(Stdio::null())
            .status()?;
        ensure!(cargo.success(), "cargo could not build jukebox-kernel");

        let jukebox = Self {
            program: target.join("release/jukebox-kernel"),
            home: target.join("jukebox-home"),
            target,
        };
        let output = jukebox.run(&["install"])?;
        ensure!(
            output.status.success(),
            "`jukebox-kernel install` failed:\n{}",
            text(&output)
        );
        Ok(jukebox)
    }

    /// The program with arguments, its home within the target directory; nothing of the user's own Jupyter is seen.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let jupyter = self.target.join("jukebox-tests-jupyter");
        command
            .args(arguments)
            .stdin(Stdio::null())
            .env("JUKEBOX_HOME", &self.home);
        for (variable, folder) in [
            ("JUPYTER_CONFIG_DIR", "config"),
            ("JUPYTER_DATA_DIR", "data"),
            ("JUPYTER_RUNTIME_DIR", "runtime"),
        ] {
            command.env(variable, jupyter.join(folder));
        }
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(arguments).output()?)
    }

    /// A folder for what a person may want to look at after the tests.
    pub fn keep(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// The root of the checkout.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Both streams of a finished program, for a message.
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// cargo in the workspace, without what `cargo test` tells a test about its package: some build scripts watch these
/// variables, and their crates would be compiled again.
fn clean_cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace());
    for (name, _) in std::env::vars_os() {
        let of_a_package = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
            "OUT_DIR",
        ];
        if name
            .to_str()
            .is_some_and(|name| of_a_package.iter().any(|start| name.starts_with(start)))
        {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Where cargo builds, wherever CARGO_TARGET_DIR or a configuration puts it.
fn target_directory() -> Result<PathBuf> {
    let output = clean_cargo()
        .args(["metadata", "--no-deps", "--format-version=1"])
        .output()?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    match metadata["target_directory"].as_str() {
        Some(path) => Ok(path.into()),
        None => bail!(
            "cargo metadata names no target directory: {}",
            text(&output)
        ),
    }
}

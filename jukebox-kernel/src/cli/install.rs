//! `install`: everything that a notebook needs, made ready. `lab` and `run` begin with the same set-up.

use anyhow::{Context, Result};

use super::home::Home;
use super::kernelspec;
use super::pins::Pins;
use super::python::Environment;
use super::steps::Steps;
use crate::prelude;

/// Make everything ready without starting anything
///
/// Builds what notebook cells link, makes a private Python environment with JupyterLab, and installs the kernel
/// "Jukebox (Rust)" into it. `lab` and `run` do the same by themselves.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Also install the kernel for your own Jupyter (in your Jupyter data folder)
    #[arg(long)]
    user: bool,
}

pub fn install(options: &Options) -> Result<()> {
    let home = Home::find()?;
    let environment = set_up(&home)?;
    if options.user {
        let spec = kernelspec::install(&kernelspec::user_kernels()?, &home)?;
        eprintln!(
            "✓ The kernel is there for your own Jupyter too: {}",
            spec.display()
        );
    }
    eprintln!(
        "Ready. The private environment is {}",
        environment.root().display()
    );
    Ok(())
}

/// Makes everything ready, telling what it does; quick when everything is.
pub fn set_up(home: &Home) -> Result<Environment> {
    let pins = Pins::bundled()?;
    let mut steps = Steps::new(3);
    if Environment::find(home, &pins).is_none() {
        eprintln!(
            "Setting up Jukebox in {}. The first time takes some minutes, later starts a second.",
            home.path().display()
        );
    }

    let mut step = steps.begin("Python environment");
    let environment = Environment::find_or_create(home, &pins, &mut step)
        .context("cannot make the private Python environment")?;
    step.done(&format!(
        "JupyterLab {}",
        pins.version("jupyterlab").unwrap_or("")
    ));

    let mut step = steps.begin("Library that cells link");
    let mut compiled = 0;
    prelude::ensure_built(|build| {
        compiled += usize::from(build.compiled);
        step.progress(&format!(
            "{} of about {} crates, {}",
            build.done, build.total, build.name
        ));
    })
    .context("cannot build the library that notebook cells link")?;
    step.done(&match compiled {
        0 => "up to date".to_owned(),
        _ => format!("compiled {compiled} crates"),
    });

    let step = steps.begin("Kernel");
    kernelspec::install(&environment.kernels(), home).context("cannot install the kernel spec")?;
    step.done(kernelspec::DISPLAY_NAME);
    Ok(environment)
}

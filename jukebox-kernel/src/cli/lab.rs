//! `lab`: JupyterLab on the notebooks, with everything set up.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use signal_hook::consts::SIGTERM;

use super::home::Home;
use super::install::set_up;
use super::kernelspec;
use super::process::Supervised;

/// Open JupyterLab on the notebooks
#[derive(clap::Args, Debug)]
pub struct Options {
    /// The folder to show, or a notebook to open [default: the notebooks that come with Jukebox]
    path: Option<PathBuf>,
    /// Do not open a browser; print the address instead
    #[arg(long)]
    no_browser: bool,
    /// The port to listen on [default: 8888, or the next free one]
    #[arg(long)]
    port: Option<u16>,
    /// The network address to listen on [default: localhost only]
    #[arg(long)]
    ip: Option<String>,
    /// Anything more for JupyterLab, after `--`
    #[arg(last = true)]
    more: Vec<String>,
}

pub fn lab(options: &Options) -> Result<ExitCode> {
    let path = options
        .path
        .clone()
        .unwrap_or_else(|| shipped_notebooks().to_owned());
    let path = path
        .canonicalize()
        .with_context(|| format!("there is no {}", path.display()))?;
    let home = Home::find()?;
    let environment = set_up(&home)?;

    let mut command = environment.command("jupyterlab");
    command.stdin(Stdio::null());
    command.arg(format!(
        "--MultiKernelManager.default_kernel_name={}",
        kernelspec::NAME
    ));
    if path.is_dir() {
        command.arg(format!("--ServerApp.root_dir={}", path.display()));
    } else if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
        command.arg(format!("--ServerApp.root_dir={}", folder.display()));
        command.arg(format!(
            "--LabApp.default_url=/lab/tree/{}",
            name.to_string_lossy()
        ));
    }
    if options.no_browser {
        command.arg("--no-browser");
    }
    if let Some(port) = options.port {
        // Asked for by number: another one would only confuse.
        command
            .arg(format!("--ServerApp.port={port}"))
            .arg("--ServerApp.port_retries=0");
    }
    if let Some(ip) = &options.ip {
        command.arg(format!("--ServerApp.ip={ip}"));
    }
    // SAFETY: a plain system call without arguments.
    if unsafe { libc::geteuid() } == 0 {
        command.arg("--allow-root"); // containers; Jupyter refuses root without it
    }
    command.args(&options.more);

    eprintln!(
        "Opening JupyterLab on {}. Ctrl-C ends it and its kernels.",
        path.display()
    );
    let mut jupyter = Supervised::start(&mut command, SIGTERM)?;
    let status = jupyter.wait().context("cannot wait for JupyterLab")?;
    match status.code() {
        _ if jupyter.interrupted() => Ok(ExitCode::SUCCESS),
        Some(0) => Ok(ExitCode::SUCCESS),
        _ => bail!("JupyterLab ended with {status}; its own messages are above"),
    }
}

/// The `notebooks` folder of the checkout that this program was built from.
fn shipped_notebooks() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../notebooks"))
}

//! `kernel`: serves one notebook. Jupyter starts it, by the kernel spec; a person has no use for it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::session::SessionFolder;
use crate::{jupyter, prelude};

/// Serve a notebook (Jupyter starts this)
#[derive(Args, Debug)]
pub struct Options {
    /// The file that says on which ports to serve
    #[arg(short = 'f', value_name = "FILE")]
    connection_file: PathBuf,
}

pub fn kernel(options: &Options) -> anyhow::Result<ExitCode> {
    let paths = prelude::find()?;
    let folder = SessionFolder::prepare(&paths)?;
    jupyter::serve(&options.connection_file, paths, folder)?;
    Ok(ExitCode::SUCCESS)
}

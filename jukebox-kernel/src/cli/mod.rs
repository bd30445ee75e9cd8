//! The command line of `jukebox-kernel`: one file per command, and the rooms they share.

mod doctor;
mod error;
mod home;
mod install;
mod kernel;
mod kernelspec;
mod lab;
mod pins;
mod process;
mod python;
mod run;
mod steps;
mod uninstall;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Jukebox in notebooks: every stage can be run, heard and seen, in Rust
#[derive(Parser, Debug)]
#[command(name = "jukebox-kernel", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Lab(lab::Options),
    Run(run::Options),
    Install(install::Options),
    Uninstall(uninstall::Options),
    Doctor(doctor::Options),
    Kernel(kernel::Options),
}

/// Reads the command line and does what it says. An error is printed with its causes, one a line.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Lab(options) => lab::lab(&options),
        Command::Run(options) => run::run(&options),
        Command::Install(options) => install::install(&options).map(|()| ExitCode::SUCCESS),
        Command::Uninstall(options) => uninstall::uninstall(&options).map(|()| ExitCode::SUCCESS),
        Command::Doctor(options) => doctor::doctor(&options),
        Command::Kernel(options) => kernel::kernel(&options),
    };
    result.unwrap_or_else(|error: anyhow::Error| {
        eprintln!("error: {error}");
        for cause in error.chain().skip(1) {
            eprintln!("  because: {cause}");
        }
        ExitCode::FAILURE
    })
}

//! The program `jukebox-kernel`: see `jukebox-kernel --help`.

use std::process::ExitCode;

use jukebox_kernel::{cell_process, cli, toolchain};

fn main() -> ExitCode {
    // This same program also plays two other parts; in those, one of these calls does not return.
    toolchain::act_if_called_as_tool();
    cell_process::run_if_cell_process();
    cli::main()
}

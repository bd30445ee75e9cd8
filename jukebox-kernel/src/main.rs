//! The program `jukebox-kernel`: see `jukebox-kernel --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // evcxr starts this same program again as the process in which cells run; there, this call does not return.
    evcxr::runtime_hook();
    jukebox_kernel::cli::main()
}

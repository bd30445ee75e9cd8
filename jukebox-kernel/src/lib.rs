//! The notebook kernel: Rust cells, evaluated by evcxr against one prebuilt shared library, over the Jupyter protocol.

pub mod cell_process;
pub mod cli;
pub mod jupyter;
pub mod prelude;
pub mod session;
pub mod toolchain;

//! The notebook kernel: Rust cells, evaluated by evcxr against one prebuilt shared library, over the Jupyter protocol.

pub mod cli;
pub mod prelude;

//! Everything that a notebook cell links, built once into one shared library.
//!
//! A cell starts with all names of this crate in scope. [`cell`] is the part of the kernel that lives in the process in which cells
//! run: it carries output, results, errors and interrupts between the cell and the kernel.

pub mod cell;
mod names;

pub use burn;
pub use jukebox;
pub use jukebox_display as display;
pub use names::*;
pub use ndarray;

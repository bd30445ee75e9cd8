//! Everything that a notebook cell links.

mod names;

pub use burn;
pub use jukebox;
pub use jukebox_display as display;
pub use names::*;
pub use ndarray;

//! Everything that a notebook cell links.
pub use burn;
pub use jukebox;
pub use jukebox_display as display;
pub use ndarray;

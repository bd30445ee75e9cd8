//! The Jukebox music model.

pub mod audio;
mod device;
pub mod inspect;
pub mod interrupt;
mod memory;
pub mod nn;
pub mod train;
pub mod vqvae;
pub mod weights;

pub use device::device;

//! The Jukebox music model.

mod device;
pub mod nn;
pub mod vqvae;

pub use device::device;

//! What can go wrong with a VQ-VAE.

use thiserror::Error;

use crate::audio::AudioError;

/// An error of configuring or using a VQ-VAE.
#[derive(Debug, Error)]
pub enum VqVaeError {
    /// A field of the configuration has a value that cannot work.
    #[error("VQ-VAE configuration: {field} is {value}, but {constraint}")]
    Config {
        /// The field of [`VqVaeConfig`](super::VqVaeConfig).
        field: &'static str,
        /// Its value.
        value: String,
        /// What it has to be.
        constraint: String,
    },
    /// The level does not exist.
    #[error("level {level} was asked for, but this VQ-VAE has levels 0 (bottom) to {} (top)", levels - 1)]
    Level {
        /// The level asked for.
        level: usize,
        /// How many levels there are.
        levels: usize,
    },
    /// A code is not an index into the codebook.
    #[error(
        "code {code} at position {position} of level {level} is outside the codebook of {bins} codes"
    )]
    Code {
        /// The offending value.
        code: i64,
        /// Its position in time.
        position: usize,
        /// Its level.
        level: usize,
        /// Size of the codebook.
        bins: usize,
    },
    /// A tensor has a shape that the model cannot take.
    #[error("{what} has shape {shape:?}, but {constraint}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        shape: Vec<usize>,
        /// What it has to be.
        constraint: String,
    },
    /// Codes of another model.
    #[error(
        "these codes have {what} {found}, but the model has {expected}; decode them with the model that made them"
    )]
    Codes {
        /// What differs.
        what: &'static str,
        /// Of the codes.
        found: String,
        /// Of the model.
        expected: String,
    },
    /// Audio cannot be brought to the model's sample rate.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// Codes were asked of a model that was built without a bottleneck.
    #[error(
        "this VQ-VAE was built without a bottleneck (use_bottleneck = false), so it has no codes and no codebook"
    )]
    NoBottleneck,
}

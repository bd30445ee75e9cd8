//! The VQ-VAE: raw audio to three levels of discrete codes and back (paper §3.1).
//!
//! Read in this order: `config`, `encoder`, `decoder`, `codebook`, `model`, `losses`; `stream` for audio of any length.

mod codebook;
mod codes;
mod config;
mod decoder;
mod draws;
mod encoder;
mod error;
mod losses;
mod metrics;
mod model;
mod stft;
mod stream;

pub use codebook::{Codebook, Quantised};
pub use codes::Codes;
pub use config::{Bandwidth, LossConfig, LossFn, SpectralMeasure, StftConfig, VqVaeConfig};
pub use decoder::Decoder;
pub use draws::{Draws, SeededDraws};
pub use encoder::Encoder;
pub use error::VqVaeError;
pub use losses::{Losses, Spectra};
pub use metrics::Metrics;
pub use model::{Bottleneck, VqVae, VqVaeOutput};
pub use stft::Stft;

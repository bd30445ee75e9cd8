//! The VQ-VAE: raw audio to three levels of discrete codes and back (paper §3.1).
//!
//! Read in this order: `config`, `encoder`, `decoder`, `codebook`, `model`, `losses`; `stream` for audio of any length.
//!
//! ```
//! use jukebox::audio::Audio;
//! use jukebox::weights;
//!
//! let model = weights::load_vqvae(weights::mini()?, &jukebox::device())?;
//! let tone = (0..22_050).map(|t| (t as f32 * 0.05).sin() * 0.3).collect();
//! let audio = Audio::from_mono(tone, 22_050);
//!
//! let codes = model.encode_audio(&audio)?;
//! assert_eq!(codes.levels.iter().map(Vec::len).collect::<Vec<_>>(), [2768, 692, 173]);
//! let heard = model.decode_audio(&codes, 2)?; // what is left at the top level
//! assert_eq!(heard.frames(), audio.frames());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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

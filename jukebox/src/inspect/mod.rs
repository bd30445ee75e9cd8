//! What a person wants to know about a stage, as plain numbers: no tensors, no drawing.
//!
//! * [`CodeUsage`]: how a codebook is used, with entropy and perplexity (bits, codes);
//! * [`Compression`]: bits per second of codes beside those of 16-bit samples;
//! * [`Envelope`], [`Spectrogram`]: what a waveform or spectrogram picture shows;
//! * [`spectral_convergence_db`]: how far a reconstruction is from its original, the figure of merit of the paper.

mod codes;
mod sound;

pub use codes::{CodeUsage, Compression};
pub use sound::{Envelope, Spectrogram, spectral_convergence_db};

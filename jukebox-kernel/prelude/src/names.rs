//! The names that a cell uses most, in scope without any `use`.
//!
//! Whole libraries come under their own names (`jukebox::train`, `ndarray::s!`); a name that a cell defines itself
//! takes the place of one from here.

pub use burn::tensor::{Device, Int, Tensor, TensorData};
pub use jukebox::audio::{Audio, WavFormat};
pub use jukebox::inspect::{
    CodeUsage, Compression, Envelope, Spectrogram, spectral_convergence_db,
};
pub use jukebox::vqvae::{Codes, VqVae, VqVaeConfig};
pub use jukebox::{device, weights};
pub use jukebox_display::{
    CodesRaster, Columns, Display, MimeBundle, Player, SpectrogramView, Table, Updating,
    UsageHeatmap, Waveform, clear_output, show, show_updating,
};
pub use ndarray::{Array1, Array2, Array3, Axis};

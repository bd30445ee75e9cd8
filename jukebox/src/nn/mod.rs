//! Blocks that several models share: convolutions with PyTorch's weight layout, and the dilated residual network
//! of the VQ-VAE, which the upsampling conditioner uses too.

pub mod conv;
pub mod convolve;
mod resnet;

pub use conv::{Conv1d, Conv1dConfig, ConvTranspose1d, ConvTranspose1dConfig};
pub use resnet::{ResBlock, Resnet1d, Resnet1dConfig};

//! Short-time Fourier transform of tensors, for losses that need its gradient. (`audio::spectrum` has the one for
//! pictures and reports.)

use burn::tensor::signal::{StftOptions, stft};
use burn::tensor::{Device, Tensor, TensorData};

use super::config::StftConfig;

/// Added to the power before the root, whose gradient would be infinite at silence. Its effect on a magnitude is at
/// most a millionth.
const POWER_FLOOR: f64 = 1e-12;

/// Magnitudes of a centred STFT with a periodic Hann window.
#[derive(Clone, Debug)]
pub struct Stft {
    window: Tensor<1>,
    options: StftOptions,
}

impl Stft {
    /// Prepares the window on `device`.
    pub fn new(config: &StftConfig, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let window: Vec<f32> = (0..config.window)
            .map(|n| {
                let phase = std::f64::consts::TAU * n as f64 / config.window as f64;
                (0.5 - 0.5 * phase.cos()) as f32
            })
            .collect();
        Self {
            window: Tensor::from_data(TensorData::new(window, [config.window]), &device),
            options: StftOptions {
                n_fft: config.n_fft,
                hop_length: config.hop,
                win_length: Some(config.window),
                center: true,
                onesided: true,
            },
        }
    }

    /// Shortest signal, in samples, that can be reflected at its ends.
    pub fn shortest(&self) -> usize {
        self.options.n_fft / 2 + 1
    }

    /// `[batch, samples]` → magnitudes `[batch, frames, n_fft / 2 + 1]`, with `samples / hop + 1` frames.
    pub fn magnitude(&self, signal: Tensor<2>) -> Tensor<3> {
        let window = if signal.is_autodiff() {
            self.window.clone().autodiff()
        } else {
            self.window.clone()
        };
        let spectrum = stft(signal, Some(window), self.options); // [batch, frames, bands, 2]
        let power = spectrum.square().sum_dim(3);
        (power + POWER_FLOOR).sqrt().squeeze_dim(3)
    }
}

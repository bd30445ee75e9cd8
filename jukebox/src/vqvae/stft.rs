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

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(length: usize) -> Vec<f32> {
        let tone = |t: f64, hz: f64| (std::f64::consts::TAU * hz * t / 44_100.0).sin();
        (0..length)
            .map(|t| (0.5 * tone(t as f64, 440.0) + 0.1 * tone(t as f64, 9001.0)) as f32)
            .collect()
    }

    /// Magnitudes in double precision, straight from the definition.
    fn exact(signal: &[f32], config: &StftConfig) -> Vec<f64> {
        let half = config.n_fft / 2;
        let reflect = |index: isize| {
            let last = signal.len() as isize - 1;
            let index = index.abs();
            signal[(last - (last - index).abs()) as usize]
        };
        let before = (config.n_fft - config.window) / 2;
        let window: Vec<f64> = (0..config.n_fft)
            .map(|n| {
                let inside = n >= before && n < before + config.window;
                let phase =
                    std::f64::consts::TAU * (n as f64 - before as f64) / config.window as f64;
                if inside { 0.5 - 0.5 * phase.cos() } else { 0.0 }
            })
            .collect();
        let mut magnitudes = Vec::new();
        for frame in 0..=signal.len() / config.hop {
            let start = (frame * config.hop) as isize - half as isize;
            for band in 0..=half {
                let (mut re, mut im) = (0.0, 0.0);
                for (n, weight) in window.iter().enumerate() {
                    let turns = (band * n % config.n_fft) as f64 / config.n_fft as f64;
                    let (sin, cos) = (std::f64::consts::TAU * turns).sin_cos();
                    let value = weight * f64::from(reflect(start + n as isize));
                    re += value * cos;
                    im -= value * sin;
                }
                magnitudes.push((re * re + im * im).sqrt());
            }
        }
        magnitudes
    }

    #[test]
    fn magnitudes_are_those_of_the_definition() {
        let config = StftConfig {
            n_fft: 512,
            hop: 50,
            window: 240,
        };
        let signal = signal(700);
        let device = Device::flex();
        let x = Tensor::<1>::from_data(signal.as_slice(), &device).unsqueeze::<2>();
        let found = Stft::new(&config, &device).magnitude(x);
        assert_eq!(found.dims(), [1, 15, 257]);
        // Relative to the largest magnitude, about 30: what single precision can hold.
        for (found, exact) in found.into_data().iter::<f32>().zip(exact(&signal, &config)) {
            assert!(
                (f64::from(found) - exact).abs() < 1e-5,
                "{found} instead of {exact}"
            );
        }
    }

    #[test]
    fn silence_has_finite_gradients() {
        let device = Device::flex().autodiff();
        let x = Tensor::<2>::zeros([1, 2000], &device).require_grad();
        let gradients = Stft::new(&StftConfig::DEFAULT, &device)
            .magnitude(x.clone())
            .sum()
            .backward();
        let gradient = x.grad(&gradients).unwrap().into_data();
        assert!(gradient.iter::<f32>().all(f32::is_finite));
    }
}

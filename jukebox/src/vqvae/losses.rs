//! What training minimises, and what it reports (paper §3.1 eq. 4, §3.2 and appendix B.2).
//!
//! Squared error alone makes the model reproduce low frequencies and drop the rest. The spectral losses compare
//! magnitudes of short-time spectra, at several resolutions, because no single one resolves both pitch and attack.

use burn::tensor::{Device, Tensor};

use super::config::{Bandwidth, LossConfig, LossFn, SpectralMeasure};
use super::stft::Stft;

/// Below this Frobenius norm a spectrum counts as silence.
const SILENCE: f64 = 2e-3;

/// Added to a squared norm before the root, whose gradient would be infinite where two spectra are equal.
const NORM_FLOOR: f64 = 1e-12;

/// Keeps the logarithm of a magnitude finite.
const LOG_FLOOR: f64 = 1e-4;

/// The losses of one configuration, ready to be computed on one device.
#[derive(Clone, Debug)]
pub struct Losses {
    config: LossConfig,
    bandwidth: Bandwidth,
    stft: Stft,
    multi_stft: Vec<Stft>,
}

/// Magnitude spectra of a signal at all resolutions that the losses need.
pub struct Spectra {
    default: Tensor<3>,
    multi: Vec<Tensor<3>>,
}

impl Losses {
    /// Prepares the windows. `bandwidth` says how large the data set's signals are.
    pub fn new(config: &LossConfig, bandwidth: Bandwidth, device: &Device) -> Self {
        Self {
            config: config.clone(),
            bandwidth,
            stft: Stft::new(&config.stft, device),
            multi_stft: config
                .multi_stft
                .iter()
                .map(|stft| Stft::new(stft, device))
                .collect(),
        }
    }

    /// Their configuration.
    pub fn config(&self) -> &LossConfig {
        &self.config
    }

    /// Shortest signal, in samples, that the spectral losses can be computed of.
    pub fn shortest(&self) -> usize {
        let all = self.multi_stft.iter().chain([&self.stft]);
        all.map(Stft::shortest).max().unwrap_or(1)
    }

    /// The configured difference in the time domain. Both are `[batch, samples, 1]`; the result is `[1]`.
    pub fn reconstruction(&self, target: &Tensor<3>, prediction: &Tensor<3>) -> Tensor<1> {
        match self.config.loss_fn {
            LossFn::L1 => self.l1(target, prediction),
            LossFn::L2 => self.l2(target, prediction),
            LossFn::Linf => self.linf(target, prediction),
            LossFn::Lmix => self.lmix(target, prediction),
        }
    }

    /// Mean absolute difference, relative to the data set's.
    pub fn l1(&self, target: &Tensor<3>, prediction: &Tensor<3>) -> Tensor<1> {
        (prediction.clone() - target.clone()).abs().mean() / self.bandwidth.l1
    }

    /// Mean squared difference, relative to the data set's variance.
    pub fn l2(&self, target: &Tensor<3>, prediction: &Tensor<3>) -> Tensor<1> {
        (prediction.clone() - target.clone()).square().mean() / self.bandwidth.l2
    }

    /// Mean of the `linf_k` largest squared differences of each item, relative to the data set's variance.
    pub fn linf(&self, target: &Tensor<3>, prediction: &Tensor<3>) -> Tensor<1> {
        let [batch, samples, channels] = target.dims();
        let squared = (prediction.clone() - target.clone()).square();
        let squared: Tensor<2> = squared.reshape([batch, samples * channels]);
        let largest = self.config.linf_k.min(samples * channels);
        squared.topk(largest, 1).mean() / self.bandwidth.l2
    }

    /// The weighted sum of the three; terms without weight are not computed.
    fn lmix(&self, target: &Tensor<3>, prediction: &Tensor<3>) -> Tensor<1> {
        type Term = fn(&Losses, &Tensor<3>, &Tensor<3>) -> Tensor<1>;
        let terms: [(f64, Term); 3] = [
            (self.config.lmix_l1, Losses::l1),
            (self.config.lmix_l2, Losses::l2),
            (self.config.lmix_linf, Losses::linf),
        ];
        terms
            .iter()
            .filter(|(weight, _)| *weight > 0.0)
            .map(|(weight, term)| term(self, target, prediction) * *weight)
            .reduce(|sum, term| sum + term)
            .unwrap_or_else(|| Tensor::zeros([1], &target.device()))
    }

    /// Magnitude spectra of the mean over the channels of `[batch, samples, channels]`.
    pub fn spectra(&self, audio: &Tensor<3>) -> Spectra {
        let mono: Tensor<2> = audio.clone().mean_dim(2).squeeze_dim(2);
        Spectra {
            default: self.stft.magnitude(mono.clone()),
            multi: self
                .multi_stft
                .iter()
                .map(|stft| stft.magnitude(mono.clone()))
                .collect(),
        }
    }

    /// The spectral loss that training minimises, `[1]`: [`spectral`](Self::spectral) relative to the data set, or
    /// [`spectral_convergence`](Self::spectral_convergence).
    pub fn configured_spectral(&self, target: &Spectra, prediction: &Spectra) -> Tensor<1> {
        match self.config.spectral_measure {
            SpectralMeasure::Absolute => {
                self.spectral(target, prediction).mean() / self.bandwidth.spec
            }
            SpectralMeasure::Relative => self.spectral_convergence(target, prediction).mean(),
        }
    }

    /// The multi-resolution spectral loss relative to the data set, `[1]`.
    pub fn configured_multispectral(&self, target: &Spectra, prediction: &Spectra) -> Tensor<1> {
        self.multispectral(target, prediction).mean() / self.bandwidth.spec
    }

    /// Per item: Frobenius norm of the difference of magnitudes, `[batch]`.
    pub fn spectral(&self, target: &Spectra, prediction: &Spectra) -> Tensor<1> {
        distance(&target.default, &prediction.default)
    }

    /// Per item: the same norm, averaged over several resolutions, `[batch]`.
    pub fn multispectral(&self, target: &Spectra, prediction: &Spectra) -> Tensor<1> {
        let count = self.multi_stft.len() as f64;
        let pairs = target.multi.iter().zip(&prediction.multi);
        let distances: Vec<_> = pairs
            .map(|(target, prediction)| distance(target, prediction))
            .collect();
        Tensor::stack::<2>(distances, 0).sum_dim(0).squeeze_dim(0) / count
    }

    /// Per item: the norm of the difference relative to the norm of the target; 0 for a silent target, `[batch]`.
    pub fn spectral_convergence(&self, target: &Spectra, prediction: &Spectra) -> Tensor<1> {
        let norm = frobenius(target.default.clone());
        let audible = norm.clone().greater_elem(SILENCE).float();
        let residual = distance(&target.default, &prediction.default);
        residual * audible / norm.clamp_min(SILENCE)
    }

    /// Mean absolute difference of log magnitudes, `[1]`. Reported, never minimised.
    pub fn log_magnitude(&self, target: &Spectra, prediction: &Spectra) -> Tensor<1> {
        let log = |magnitude: &Tensor<3>| (magnitude.clone() + LOG_FLOOR).log();
        (log(&target.default) - log(&prediction.default))
            .abs()
            .mean()
    }
}

/// Frobenius norm of the difference of two spectra, per item: `[batch]`.
fn distance(target: &Tensor<3>, prediction: &Tensor<3>) -> Tensor<1> {
    frobenius(target.clone() - prediction.clone())
}

/// `[batch, frames, bands]` → `[batch]`.
fn frobenius(spectrum: Tensor<3>) -> Tensor<1> {
    let squared: Tensor<2> = spectrum.square().flatten(1, 2); // [batch, frames · bands]
    (squared.sum_dim(1).squeeze_dim::<1>(1) + NORM_FLOOR).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vqvae::StftConfig;

    fn losses(config: LossConfig, bandwidth: Bandwidth) -> Losses {
        Losses::new(&config, bandwidth, &Device::flex())
    }

    fn audio(values: &[f32]) -> Tensor<3> {
        Tensor::<1>::from_data(values, &Device::flex()).reshape([2, -1, 1])
    }

    fn scalar(tensor: Tensor<1>) -> f32 {
        tensor.into_scalar()
    }

    #[test]
    fn differences_in_the_time_domain() {
        let config = LossConfig {
            linf_k: 2,
            lmix_l1: 10.0,
            lmix_l2: 100.0,
            lmix_linf: 1000.0,
            ..LossConfig::published()
        };
        let bandwidth = Bandwidth {
            l1: 0.5,
            l2: 0.25,
            spec: 1.0,
        };
        let losses = losses(config, bandwidth);
        let target = audio(&[0.0; 8]);
        let prediction = audio(&[1.0, -2.0, 0.0, 3.0, 0.0, 0.0, -4.0, 0.0]);
        // Means of |1, 2, 0, 3, 0, 0, 4, 0| and of their squares; the two largest squares are 9, 4 and 16, 0.
        let expected = [1.25 / 0.5, 3.75 / 0.25, 7.25 / 0.25];
        let found = [
            scalar(losses.l1(&target, &prediction)),
            scalar(losses.l2(&target, &prediction)),
            scalar(losses.linf(&target, &prediction)),
        ];
        assert_eq!(found, expected);
        let mixed = scalar(losses.reconstruction(&target, &prediction));
        assert_eq!(
            mixed,
            10.0 * expected[0] + 100.0 * expected[1] + 1000.0 * expected[2]
        );
    }

    #[test]
    fn spectral_convergence_of_a_quieter_copy() {
        let losses = losses(LossConfig::published(), Bandwidth::unit());
        let tone: Vec<f32> = (0..8192).map(|t| (t as f32 * 0.1).sin()).collect();
        let target = losses.spectra(&audio(&tone));
        let prediction = losses.spectra(&(audio(&tone) * 0.75));
        for value in losses
            .spectral_convergence(&target, &prediction)
            .into_data()
            .iter::<f32>()
        {
            assert!((value - 0.25).abs() < 1e-6, "{value}");
        }
        let silence = losses.spectra(&(audio(&tone) * 0.0));
        for value in losses
            .spectral_convergence(&silence, &target)
            .into_data()
            .iter::<f32>()
        {
            assert_eq!(value, 0.0);
        }
    }

    #[test]
    fn equal_and_silent_audio_has_finite_gradients() {
        let device = Device::flex().autodiff();
        let config = LossConfig {
            spectral: 1.0,
            ..LossConfig::published()
        };
        let losses = Losses::new(&config, Bandwidth::unit(), &device);
        assert_eq!(losses.shortest(), StftConfig::DEFAULT.n_fft / 2 + 1);
        let silence = Tensor::<3>::zeros([1, 2048, 1], &device);
        let prediction = silence.clone().require_grad();
        let (target, spectra) = (losses.spectra(&silence), losses.spectra(&prediction));
        let loss = losses.reconstruction(&silence, &prediction)
            + losses.configured_spectral(&target, &spectra)
            + losses.configured_multispectral(&target, &spectra)
            + losses.spectral_convergence(&target, &spectra);
        let gradient = prediction.grad(&loss.backward()).unwrap().into_data();
        assert!(gradient.iter::<f32>().all(f32::is_finite));
    }
}

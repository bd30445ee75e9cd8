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

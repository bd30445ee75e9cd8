//! Every hyper-parameter of a VQ-VAE, and the published configurations by name.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::error::VqVaeError;
use super::model::VqVae;
use crate::nn::Resnet1dConfig;

/// Hyper-parameters of a VQ-VAE (paper §3.1, table 1 of appendix B.3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VqVaeConfig {
    /// Samples per second of the audio that the model is for, in Hz.
    pub sample_rate: u32,
    /// Number of levels; each has an encoder, a codebook and a decoder of its own.
    pub levels: usize,
    /// Per level: how many times it divides the length by its stride.
    pub downs_t: Vec<usize>,
    /// Per level: the stride, even (an odd one would not divide the length exactly).
    pub strides_t: Vec<usize>,
    /// Width of the codebook vectors.
    pub emb_width: usize,
    /// Number of codes in each codebook.
    pub l_bins: usize,
    /// Channels of the residual networks, before `multipliers`.
    pub width: usize,
    /// Blocks of each residual network, before `multipliers`.
    pub depth: usize,
    /// Width inside a residual block, as a factor.
    pub m_conv: f64,
    /// The dilation grows by this factor from block to block.
    pub dilation_growth_rate: usize,
    /// The dilation starts over after this many blocks; `None`: never.
    pub dilation_cycle: Option<usize>,
    /// Per level: factor of `width` and `depth`.
    pub multipliers: Vec<usize>,
    /// Decoders run their residual blocks from the largest dilation to the smallest.
    pub reverse_decoder_dilation: bool,
    /// Quantise between encoder and decoder. `false` makes a plain autoencoder, to see what the bottleneck costs.
    pub use_bottleneck: bool,
    /// Decay of the codebook's moving averages, per training step.
    pub l_mu: f64,
    /// A code used less often than this (moving average, vectors per step) is restarted when training a restored model.
    pub revival_threshold: f64,
    /// What training minimises.
    pub loss: LossConfig,
}

/// Which difference between audio and reconstruction the loss measures in the time domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossFn {
    /// Mean absolute difference.
    L1,
    /// Mean squared difference.
    L2,
    /// Mean of the largest squared differences of each item.
    Linf,
    /// Weighted sum of the three.
    Lmix,
}

/// Weights and constants of the training loss (paper §3.1, eq. 4 and §3.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossConfig {
    /// The difference measured in the time domain.
    pub loss_fn: LossFn,
    /// How many of the largest squared differences `linf` averages.
    pub linf_k: usize,
    /// Weight of `l1` in `lmix`.
    pub lmix_l1: f64,
    /// Weight of `l2` in `lmix`.
    pub lmix_l2: f64,
    /// Weight of `linf` in `lmix`.
    pub lmix_linf: f64,
    /// Weight of the spectral loss.
    pub spectral: f64,
    /// Weight of the multi-resolution spectral loss.
    pub multispectral: f64,
    /// Weight of the commitment loss.
    pub commit: f64,
    /// What the spectral loss is measured against.
    pub spectral_measure: SpectralMeasure,
    /// The STFT of the spectral loss.
    pub stft: StftConfig,
    /// The STFTs that the multi-resolution spectral loss averages over.
    pub multi_stft: Vec<StftConfig>,
}

/// What the spectral loss is measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpectralMeasure {
    /// Against the mean magnitude of the data set ([`Bandwidth::spec`]).
    Absolute,
    /// Against the magnitude of the item itself (spectral convergence).
    Relative,
}

/// A short-time Fourier transform; all in samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StftConfig {
    /// Length of a frame, a power of two.
    pub n_fft: usize,
    /// Distance between frames.
    pub hop: usize,
    /// Length of the Hann window in the middle of a frame.
    pub window: usize,
}

/// How large the data set's signals are: what makes the losses independent of loudness.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Mean absolute sample.
    pub l1: f64,
    /// Variance of the samples.
    pub l2: f64,
    /// Mean Frobenius norm of a training clip's magnitude spectrogram.
    pub spec: f64,
}

impl Bandwidth {
    /// Losses in raw units.
    pub fn unit() -> Self {
        Self {
            l1: 1.0,
            l2: 1.0,
            spec: 1.0,
        }
    }
}

impl StftConfig {
    const fn new(n_fft: usize, hop: usize, window: usize) -> Self {
        Self { n_fft, hop, window }
    }

    /// The STFT of the spectral loss and of all reported spectral convergences.
    pub const DEFAULT: Self = Self::new(2048, 256, 1536);
}

impl LossConfig {
    /// The losses of the published model: squared error, a little of the largest errors, multi-resolution spectra.
    pub fn published() -> Self {
        Self {
            loss_fn: LossFn::Lmix,
            linf_k: 2048,
            lmix_l1: 0.0,
            lmix_l2: 1.0,
            lmix_linf: 0.02,
            spectral: 0.0,
            multispectral: 1.0,
            commit: 0.02,
            spectral_measure: SpectralMeasure::Absolute,
            stft: StftConfig::DEFAULT,
            multi_stft: vec![
                StftConfig::new(2048, 240, 1200),
                StftConfig::new(1024, 120, 600),
                StftConfig::new(512, 50, 240),
            ],
        }
    }
}

impl VqVaeConfig {
    /// The published model: 44.1 kHz, three levels that keep one code for 8, 32 and 128 samples.
    pub fn published() -> Self {
        Self {
            sample_rate: 44_100,
            levels: 3,
            downs_t: vec![3, 2, 2],
            strides_t: vec![2, 2, 2],
            emb_width: 64,
            l_bins: 2048,
            width: 32,
            depth: 4,
            m_conv: 1.0,
            dilation_growth_rate: 3,
            dilation_cycle: None,
            multipliers: vec![2, 1, 1],
            reverse_decoder_dilation: true,
            use_bottleneck: true,
            l_mu: 0.99,
            revival_threshold: 1.0,
            loss: LossConfig::published(),
        }
    }

    /// The published example for training one's own: 22 kHz, two levels, one code for 32 and 256 samples.
    pub fn small() -> Self {
        Self {
            sample_rate: 22_050,
            levels: 2,
            downs_t: vec![5, 3],
            strides_t: vec![2, 2],
            l_bins: 1024,
            multipliers: vec![1, 1],
            loss: LossConfig {
                loss_fn: LossFn::L2,
                lmix_l2: 0.0,
                lmix_linf: 0.0,
                ..LossConfig::published()
            },
            ..Self::published()
        }
    }

    /// Ours, small enough to train within hours on a CPU: 22 kHz, the published model's three levels at single width.
    pub fn mini() -> Self {
        Self {
            sample_rate: 22_050,
            l_bins: 1024,
            multipliers: vec![1, 1, 1],
            ..Self::published()
        }
    }

    /// Per level: the factor by which it shortens the level below.
    pub fn downsamples(&self) -> Vec<usize> {
        self.strides_t
            .iter()
            .zip(&self.downs_t)
            .map(|(stride, downs)| stride.pow(*downs as u32))
            .collect()
    }

    /// Per level: samples for one code.
    pub fn hop_lengths(&self) -> Vec<usize> {
        self.downsamples()
            .iter()
            .scan(1, |hop, factor| {
                *hop *= factor;
                Some(*hop)
            })
            .collect()
    }

    /// The residual network in encoder `level`.
    pub(super) fn encoder_resnet(&self, level: usize) -> Resnet1dConfig {
        Resnet1dConfig {
            width: self.width * self.multipliers[level],
            depth: self.depth * self.multipliers[level],
            m_conv: self.m_conv,
            dilation_growth_rate: self.dilation_growth_rate,
            dilation_cycle: self.dilation_cycle,
            reverse_dilation: false,
        }
    }

    /// The residual network in decoder `level`.
    pub(super) fn decoder_resnet(&self, level: usize) -> Resnet1dConfig {
        Resnet1dConfig {
            reverse_dilation: self.reverse_decoder_dilation,
            ..self.encoder_resnet(level)
        }
    }

    /// Builds the model with fresh weights on `device`.
    ///
    /// # Errors
    /// What [`validate`](Self::validate) finds.
    pub fn init(&self, device: &Device) -> Result<VqVae, VqVaeError> {
        self.validate()?;
        Ok(VqVae::new(self, device))
    }

    /// Checks that a model of this configuration can be built and trained.
    ///
    /// # Errors
    /// The first field whose value cannot work.
    pub fn validate(&self) -> Result<(), VqVaeError> {
        require(
            self.sample_rate > 0,
            "sample_rate",
            self.sample_rate,
            "it must be positive",
        )?;
        require(
            self.levels > 0,
            "levels",
            self.levels,
            "a model needs at least one",
        )?;
        for (field, list) in [
            ("downs_t", &self.downs_t),
            ("strides_t", &self.strides_t),
            ("multipliers", &self.multipliers),
        ] {
            let constraint = format!("it needs one entry for each of the {} levels", self.levels);
            require(
                list.len() == self.levels,
                field,
                format!("{list:?}"),
                constraint,
            )?;
            require(
                !list.contains(&0),
                field,
                format!("{list:?}"),
                "every entry must be positive",
            )?;
        }
        require(
            self.strides_t.iter().all(|stride| stride % 2 == 0),
            "strides_t",
            format!("{:?}", self.strides_t),
            "every stride must be even, or lengths would not divide exactly",
        )?;
        for (field, value) in [
            ("emb_width", self.emb_width),
            ("l_bins", self.l_bins),
            ("width", self.width),
            ("depth", self.depth),
            ("dilation_growth_rate", self.dilation_growth_rate),
            ("dilation_cycle", self.dilation_cycle.unwrap_or(1)),
        ] {
            require(value > 0, field, value, "it must be positive")?;
        }
        let hidden = self.m_conv * self.width as f64;
        require(
            hidden.is_finite() && hidden >= 1.0,
            "m_conv",
            self.m_conv,
            format!(
                "m_conv × width ({}) must leave at least one channel",
                self.width
            ),
        )?;
        self.validate_sizes()?;
        require(
            (0.0..1.0).contains(&self.l_mu),
            "l_mu",
            self.l_mu,
            "it must be at least 0 and below 1",
        )?;
        require(
            self.revival_threshold >= 0.0,
            "revival_threshold",
            self.revival_threshold,
            "it must not be negative",
        )?;
        self.loss.validate()
    }

    /// The powers of stride and dilation must stay numbers that a convolution can use.
    fn validate_sizes(&self) -> Result<(), VqVaeError> {
        const LONGEST: usize = 1 << 24;
        let hop =
            self.strides_t
                .iter()
                .zip(&self.downs_t)
                .try_fold(1usize, |hop, (stride, downs)| {
                    let factor = stride.checked_pow(u32::try_from(*downs).ok()?)?;
                    hop.checked_mul(factor).filter(|hop| *hop <= LONGEST)
                });
        require(
            hop.is_some(),
            "strides_t",
            format!("{:?} with downs_t {:?}", self.strides_t, self.downs_t),
            format!("one code of the top level must not stand for more than {LONGEST} samples"),
        )?;
        let largest = self.multipliers.iter().max().copied().unwrap_or(1);
        let steps = (self.depth.saturating_mul(largest) - 1)
            .min(self.dilation_cycle.unwrap_or(usize::MAX) - 1);
        let dilation = u32::try_from(steps)
            .ok()
            .and_then(|steps| self.dilation_growth_rate.checked_pow(steps));
        require(
            dilation.is_some_and(|dilation| dilation <= LONGEST),
            "dilation_growth_rate",
            self.dilation_growth_rate,
            format!(
                "the dilation of the deepest block must not exceed {LONGEST}; lower depth or set dilation_cycle"
            ),
        )
    }
}

impl LossConfig {
    fn validate(&self) -> Result<(), VqVaeError> {
        for (field, weight) in [
            ("loss.lmix_l1", self.lmix_l1),
            ("loss.lmix_l2", self.lmix_l2),
            ("loss.lmix_linf", self.lmix_linf),
            ("loss.spectral", self.spectral),
            ("loss.multispectral", self.multispectral),
            ("loss.commit", self.commit),
        ] {
            require(
                weight.is_finite() && weight >= 0.0,
                field,
                weight,
                "a weight must be finite and not negative",
            )?;
        }
        require(
            self.linf_k > 0,
            "loss.linf_k",
            self.linf_k,
            "it must be positive",
        )?;
        require(
            !self.multi_stft.is_empty(),
            "loss.multi_stft",
            "empty",
            "the multi-resolution loss needs at least one STFT",
        )?;
        for stft in self.multi_stft.iter().chain([&self.stft]) {
            let ordered = 0 < stft.hop && stft.hop <= stft.window && stft.window <= stft.n_fft;
            require(
                stft.n_fft.is_power_of_two() && ordered,
                "loss.stft",
                format!("{stft:?}"),
                "n_fft must be a power of two, with 0 < hop ≤ window ≤ n_fft",
            )?;
        }
        Ok(())
    }
}

fn require(
    holds: bool,
    field: &'static str,
    value: impl ToString,
    constraint: impl Into<String>,
) -> Result<(), VqVaeError> {
    if holds {
        return Ok(());
    }
    Err(VqVaeError::Config {
        field,
        value: value.to_string(),
        constraint: constraint.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_configurations_are_valid() {
        for config in [
            VqVaeConfig::published(),
            VqVaeConfig::small(),
            VqVaeConfig::mini(),
        ] {
            config.validate().unwrap();
        }
        assert_eq!(VqVaeConfig::published().hop_lengths(), [8, 32, 128]);
        assert_eq!(VqVaeConfig::small().hop_lengths(), [32, 256]);
    }

    #[test]
    fn an_error_names_the_field() {
        type Break = fn(&mut VqVaeConfig);
        let broken: [(&str, Break); 8] = [
            ("levels", |c| c.levels = 0),
            ("downs_t", |c| c.downs_t = vec![3]),
            ("multipliers", |c| c.multipliers = vec![1, 0, 1]),
            ("strides_t", |c| c.strides_t = vec![3, 2, 2]),
            ("strides_t", |c| c.downs_t = vec![40, 40, 40]),
            ("m_conv", |c| c.m_conv = 0.001),
            ("dilation_growth_rate", |c| c.depth = 60),
            ("loss.stft", |c| c.loss.stft.hop = 0),
        ];
        for (field, breaks) in broken {
            let mut config = VqVaeConfig::published();
            breaks(&mut config);
            let message = config.validate().unwrap_err().to_string();
            assert!(message.contains(field), "{message}");
        }
    }

    #[test]
    fn json_keeps_a_configuration() {
        let config = VqVaeConfig::published();
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<VqVaeConfig>(&json).unwrap(), config);
    }
}

//! How well a VQ-VAE reproduces music it has not heard.
//!
//! The measure is the one the paper reports: spectral convergence, the norm of the difference of two magnitude
//! spectrograms relative to the norm of the original, in dB. −20 dB means that a tenth is left as error.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::batches::{Clips, mix};
use super::error::TrainError;
use crate::inspect::CodeUsage;
use crate::vqvae::{Bandwidth, Losses, VqVae};

/// A clip whose mean square is below this (−60 dB) counts as silence and is left out: relative to next to nothing, any
/// error is huge, and a single such clip would outweigh all others.
const SILENCE: f32 = 1e-6;

/// How well one level does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelEvaluation {
    /// 0 is the bottom.
    pub level: usize,
    /// Samples for one code.
    pub hop_length: usize,
    /// Spectral convergence in dB: of its mean over the clips.
    pub spectral_convergence_db: f64,
    /// Codes of the codebook that occurred.
    pub codes_used: usize,
    /// Size of the codebook.
    pub bins: usize,
    /// Perplexity of the codes: how many there would be if all were used evenly.
    pub perplexity: f64,
}

/// How well a model does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Bottom first.
    pub levels: Vec<LevelEvaluation>,
    /// Clips that were listened to, silent ones not counted.
    pub clips: usize,
    /// Their length together, in seconds.
    pub seconds: f64,
}

impl Evaluation {
    /// The mean over the levels, in dB: one figure to compare checkpoints by.
    pub fn mean_db(&self) -> f64 {
        let sum: f64 = self
            .levels
            .iter()
            .map(|level| level.spectral_convergence_db)
            .sum();
        sum / self.levels.len().max(1) as f64
    }
}

/// Encodes and decodes `amount` clips, evenly spread over the data set, and compares.
///
/// # Errors
/// When a clip cannot be decoded, is too short for a spectrogram, or all are silent.
pub fn evaluate(
    model: &VqVae,
    clips: &impl Clips,
    amount: usize,
    device: &Device,
) -> Result<Evaluation, TrainError> {
    let config = model.config();
    let losses = Losses::new(&config.loss, Bandwidth::unit(), device);
    let levels = config.levels;
    let mut convergence = vec![0.0; levels];
    let mut usage = vec![
        CodeUsage {
            counts: vec![0; config.l_bins]
        };
        levels
    ];
    let (mut heard, mut samples) = (0, 0);
    let amount = amount.clamp(1, clips.count().max(1));
    for index in (0..amount).map(|n| n * clips.count() / amount) {
        let clip = mix(&clips.clip(index, 0)?, 0.5);
        let power = clip.iter().map(|sample| sample * sample).sum::<f32>() / clip.len() as f32;
        if power < SILENCE {
            continue;
        }
        let length = clip.len();
        let audio = Tensor::<3>::from_data(TensorData::new(clip, [1, length, 1]), device);
        let target = losses.spectra(&audio);
        let codes = model.encode(audio, 1)?;
        for (level, codes) in codes.into_iter().enumerate() {
            for code in codes.to_data().iter::<i64>() {
                usage[level].counts[code as usize] += 1;
            }
            let decoded = losses.spectra(&model.decode(codes, level, 1)?);
            let ratio = losses.spectral_convergence(&target, &decoded);
            convergence[level] += f64::from(ratio.into_scalar::<f32>());
        }
        heard += 1;
        samples += length;
    }
    if heard == 0 {
        return Err(TrainError::Data(
            "there is no clip with any sound in it to evaluate on".into(),
        ));
    }
    let hops = model.hop_lengths();
    let levels = (0..levels)
        .map(|level| LevelEvaluation {
            level,
            hop_length: hops[level],
            spectral_convergence_db: 20.0 * (convergence[level] / heard as f64).log10(),
            codes_used: usage[level].used(),
            bins: config.l_bins,
            perplexity: usage[level].perplexity(),
        })
        .collect();
    Ok(Evaluation {
        levels,
        clips: heard,
        seconds: samples as f64 / f64::from(config.sample_rate),
    })
}

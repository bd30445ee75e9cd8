//! What decides how a VQ-VAE run goes.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::restarts::Restarts;
use crate::train::adam::AdamConfig;
use crate::train::ema::Ema;
use crate::train::error::TrainError;
use crate::train::schedule::Schedule;
use crate::vqvae::{Bandwidth, Losses, VqVaeConfig};

/// Everything that decides how a run goes, besides the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VqVaeTrainConfig {
    /// The model.
    pub model: VqVaeConfig,
    /// Clips in a batch.
    pub batch: usize,
    /// Samples in a clip: a multiple of the top level's hop length.
    pub sample_length: usize,
    /// Seed of the initial weights, of the order of the data and of the codebooks' draws.
    pub seed: u64,
    /// Move each clip by a random part of its length.
    pub shift: bool,
    /// Mix stereo by a random share instead of equally.
    pub blend: bool,
    /// When the run ends.
    pub budget: Budget,
    /// The learning rate.
    pub schedule: Schedule,
    /// The optimiser.
    pub adam: AdamConfig,
    /// Decay of the moving average of the weights.
    pub ema_decay: f64,
    /// How unused codes come back to life.
    pub restarts: Restarts,
    /// Seconds between checkpoints.
    pub save_seconds: f64,
    /// Seconds between evaluations on held-out clips; each also saves.
    pub evaluate_seconds: f64,
    /// Held-out clips that an evaluation listens to.
    pub evaluate_clips: usize,
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// After so many updates.
    Steps(u64),
    /// After so many minutes of training, interruptions not counted.
    Minutes(f64),
}

impl Budget {
    /// The share that is used up, 0 to 1.
    pub fn progress(&self, step: u64, elapsed_seconds: f64) -> f64 {
        let share = match self {
            Budget::Steps(steps) => step as f64 / (*steps).max(1) as f64,
            Budget::Minutes(minutes) => elapsed_seconds / 60.0 / minutes.max(f64::MIN_POSITIVE),
        };
        share.min(1.0)
    }
}

impl VqVaeTrainConfig {
    /// The published way of training, with a budget.
    pub fn published(
        model: VqVaeConfig,
        batch: usize,
        sample_length: usize,
        budget: Budget,
    ) -> Self {
        Self {
            model,
            batch,
            sample_length,
            seed: 0,
            shift: true,
            blend: true,
            budget,
            schedule: Schedule::published(3e-4),
            adam: AdamConfig::published(),
            ema_decay: Ema::published_decay(batch),
            restarts: Restarts::Share(0.3),
            save_seconds: 180.0,
            evaluate_seconds: 300.0,
            evaluate_clips: 24,
        }
    }

    /// Checks that such a run can start.
    ///
    /// # Errors
    /// The first option whose value cannot work.
    pub fn validate(&self) -> Result<(), TrainError> {
        self.model.validate()?;
        let hop = self.model.hop_lengths().last().copied().unwrap_or(1);
        let shortest = Losses::new(&self.model.loss, Bandwidth::unit(), &Device::flex()).shortest();
        let budget = self.budget.progress(0, 0.0) < 1.0
            && match self.budget {
                Budget::Steps(steps) => steps > 0,
                Budget::Minutes(minutes) => minutes.is_finite() && minutes > 0.0,
            };
        let rate = self.schedule.learning_rate;
        let checks = [
            (
                self.batch > 0,
                "--batch",
                self.batch.to_string(),
                "it must be positive".to_owned(),
            ),
            (
                self.sample_length > 0
                    && self.sample_length.is_multiple_of(hop)
                    && self.sample_length >= shortest,
                "--sample-length",
                self.sample_length.to_string(),
                format!("it must be a multiple of {hop} and at least {shortest}"),
            ),
            (
                budget,
                "--steps / --minutes",
                format!("{:?}", self.budget),
                "it must be positive".to_owned(),
            ),
            (
                rate.is_finite() && rate > 0.0,
                "--lr",
                rate.to_string(),
                "it must be positive".to_owned(),
            ),
            (
                matches!(
                    self.restarts,
                    Restarts::Published | Restarts::Share(0.0..1.0)
                ),
                "--restart-share",
                format!("{:?}", self.restarts),
                "it must be at least 0 and below 1".to_owned(),
            ),
        ];
        match checks.into_iter().find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some((_, option, value, constraint)) => Err(TrainError::Option {
                option,
                value,
                constraint,
            }),
        }
    }

    /// Per level: vectors for each code in a batch.
    pub(super) fn vectors_per_code(&self) -> Vec<f64> {
        let samples = (self.batch * self.sample_length) as f64;
        let hops = self.model.hop_lengths().into_iter();
        hops.map(|hop| samples / hop as f64 / self.model.l_bins as f64)
            .collect()
    }
}

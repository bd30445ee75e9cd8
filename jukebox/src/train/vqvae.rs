//! Training a VQ-VAE (paper §3, appendix B.2).
//!
//! Reading order: [`VqVaeTraining::run`] is the loop, [`VqVaeTraining::step`] one update.

mod config;
mod restarts;
mod state;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use super::adam::{Adam, gradient_norm};
use super::bandwidth;
use super::batches::{Batch, Batches, Clips, Order};
use super::checkpoint::Checkpoint;
use super::ema::Ema;
use super::error::TrainError;
use super::evaluate::{Evaluation, evaluate};
use super::parameters::{gradients, values, with_values};
use super::progress::{Position, Progress};
use super::run::RunFolder;
use super::stop::Stop;
use crate::vqvae::{Losses, SeededDraws, VqVae};

pub use config::{Budget, VqVaeTrainConfig};
pub use restarts::Restarts;
use state::State;

/// Seconds of audio that the bandwidth is measured on.
const BANDWIDTH_SECONDS: f64 = 600.0;

/// What one update reports.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which update, from 1.
    pub step: u64,
    /// Seconds spent on training.
    pub elapsed: f64,
    /// What was minimised.
    pub loss: f64,
    /// Spectral convergence of the bottom level on this batch, in dB.
    pub spectral_convergence_db: f64,
    /// Norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Of this update.
    pub learning_rate: f64,
    /// Per level, bottom first: codes in use (moving average above the threshold of restarting).
    pub codes_used: Vec<usize>,
    /// All terms of the loss.
    pub metrics: BTreeMap<String, f64>,
}

/// A line of the log with an evaluation.
#[derive(Serialize)]
struct EvaluationLine<'a> {
    step: u64,
    elapsed: f64,
    evaluation: &'a Evaluation,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its budget is used up, or its schedule has reached zero.
    Finished,
    /// It was asked to stop; it can be resumed.
    Stopped,
}

/// Which checkpoint of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The last one.
    Latest,
    /// The one that did best on held-out clips.
    Best,
}

/// A VQ-VAE in training.
pub struct VqVaeTraining {
    config: VqVaeTrainConfig,
    model: VqVae,
    adam: Adam,
    ema: Ema,
    losses: Losses,
    state: State,
    folder: RunFolder,
    device: Device,
}

impl VqVaeTraining {
    /// Starts a run in a new folder.
    ///
    /// # Errors
    /// When the configuration cannot work, the data cannot be read, or the folder holds a run already.
    pub fn start(
        folder: &Path,
        config: VqVaeTrainConfig,
        clips: &impl Clips,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        let bandwidth =
            bandwidth::measure(clips, config.model.sample_rate, BANDWIDTH_SECONDS, device)?;
        let folder = RunFolder::create(folder, &config)?;
        let state = State {
            step: 0,
            elapsed: 0.0,
            bandwidth,
            best: None,
            codebooks: vec![false; config.model.levels],
            ema_updates: 0,
            adam_steps: 0,
        };
        Self::assemble(folder, config, state, device)
    }

    /// Goes on with the run in a folder, from one of its checkpoints. `change` may alter the configuration: the budget
    /// or the learning rate, for instance.
    ///
    /// # Errors
    /// When there is no run, or its checkpoint is damaged or that of another model.
    pub fn resume(
        folder: &Path,
        which: Which,
        change: impl FnOnce(&mut VqVaeTrainConfig),
        device: &Device,
    ) -> Result<Self, TrainError> {
        let (folder, mut config) = RunFolder::open::<VqVaeTrainConfig>(folder)?;
        let before = config.clone();
        change(&mut config);
        config.validate()?;
        let path = match which {
            Which::Latest => folder.latest(),
            Which::Best => folder.best(),
        };
        let checkpoint = Checkpoint::read(&path)?;
        let state = checkpoint.state(&path)?;
        let mut training = Self::assemble(folder, config, state, device)?;
        training.restore(checkpoint, &path)?;
        if training.config != before {
            training.folder.write_config(&training.config)?;
        }
        Ok(training)
    }

    fn assemble(
        folder: RunFolder,
        config: VqVaeTrainConfig,
        state: State,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let device = device.clone().autodiff();
        device.seed(config.seed);
        let model = config.model.init(&device)?;
        let mut training = Self {
            ema: Ema::new(&model, config.ema_decay).with_warm_up(),
            adam: Adam::new(config.adam),
            losses: Losses::new(&config.model.loss, state.bandwidth, &device),
            model,
            state,
            folder,
            device,
            config,
        };
        let restarts = training.config.restarts;
        restarts.set_thresholds(&mut training.model, &training.config.vectors_per_code());
        Ok(training)
    }

    /// How the run goes.
    pub fn config(&self) -> &VqVaeTrainConfig {
        &self.config
    }

    /// Updates made so far.
    pub fn steps(&self) -> u64 {
        self.state.step
    }

    /// Minutes spent on training so far.
    pub fn minutes(&self) -> f64 {
        self.state.elapsed / 60.0
    }

    /// Hours of audio that the model has heard, repetitions counted.
    pub fn hours_heard(&self) -> f64 {
        let samples =
            self.state.step as f64 * (self.config.batch * self.config.sample_length) as f64;
        samples / f64::from(self.config.model.sample_rate) / 3600.0
    }

    /// The best evaluation so far.
    pub fn best(&self) -> Option<&Evaluation> {
        self.state.best.as_ref()
    }

    /// The model with averaged weights, off the autodiff device: what is evaluated and shipped.
    pub fn averaged(&self) -> VqVae {
        use burn::module::Module;
        self.ema.averaged(&self.model).valid()
    }

    /// Trains until the budget is used up or `stop` is asked, saving and evaluating as it goes.
    ///
    /// # Errors
    /// When data cannot be decoded, the disk refuses, or the loss is no number any more.
    pub fn run(
        &mut self,
        clips: Arc<impl Clips>,
        heldout: &impl Clips,
        stop: &Stop,
    ) -> Result<Ended, TrainError> {
        let batches = Batches::start(clips, self.order(), self.state.step);
        let mut progress = Progress::new("VQ-VAE");
        let (mut saved, mut evaluated) = (Instant::now(), Instant::now());
        let mut speed = Speed::default();
        while self.progress() < 1.0 && !self.config.schedule.is_over(self.state.step) {
            if stop.is_asked() {
                self.save(&self.folder.latest())?;
                progress.finish();
                return Ok(Ended::Stopped);
            }
            let begun = Instant::now();
            let report = self.step(&batches.next()?)?;
            let seconds = begun.elapsed().as_secs_f64();
            self.state.elapsed += seconds;
            self.folder.log(&report)?;
            let position = Position {
                step: self.state.step,
                progress: self.progress(),
                elapsed: self.state.elapsed,
                steps_per_second: speed.after(seconds),
            };
            progress.show(&position, &figures(&report));

            if evaluated.elapsed().as_secs_f64() >= self.config.evaluate_seconds {
                self.evaluate(heldout, &progress)?;
                self.save(&self.folder.latest())?;
                (saved, evaluated) = (Instant::now(), Instant::now());
            } else if saved.elapsed().as_secs_f64() >= self.config.save_seconds {
                self.save(&self.folder.latest())?;
                saved = Instant::now();
            }
        }
        self.evaluate(heldout, &progress)?;
        self.save(&self.folder.latest())?;
        progress.finish();
        Ok(Ended::Finished)
    }

    /// One update from a batch of clips.
    ///
    /// # Errors
    /// When the loss is no number any more.
    pub fn step(&mut self, batch: &Batch) -> Result<Report, TrainError> {
        let step = self.state.step;
        let shape = [self.config.batch, self.config.sample_length, 1];
        let data = TensorData::new(batch.clone(), shape);
        let audio = Tensor::<3>::from_data(data, &self.device.clone().without_autodiff());
        let mut draws = SeededDraws::new(self.config.seed, step);
        let output = self.model.forward_train(audio, &self.losses, &mut draws)?;
        let loss = f64::from(output.loss.clone().into_scalar::<f32>());
        let (restarts, averages) = (self.config.restarts, self.config.vectors_per_code());
        restarts.settle(&mut self.model, &averages, step == 0);
        let gradients = gradients(&self.model, &output.loss.backward());
        let norm = gradient_norm(&gradients);
        if !loss.is_finite() || !norm.is_finite() {
            return Err(TrainError::Diverged { step, loss });
        }
        let learning_rate = self.config.schedule.at(step, self.progress());
        let updated = self
            .adam
            .update(&values(&self.model), gradients, learning_rate, norm, 1.0);
        self.model = with_values(self.model.clone(), updated);
        self.ema.update(&self.model);
        self.state.step += 1;

        let metrics = output.metrics.read();
        let convergence = metrics
            .get("spectral_convergence")
            .copied()
            .unwrap_or(f64::NAN);
        Ok(Report {
            step: self.state.step,
            elapsed: self.state.elapsed,
            loss,
            spectral_convergence_db: 20.0 * convergence.log10(),
            gradient_norm: norm,
            learning_rate,
            codes_used: self.codes_used(),
            metrics,
        })
    }

    /// Evaluates the averaged weights on held-out clips, logs the result, and keeps the checkpoint if it is the best.
    fn evaluate(&mut self, heldout: &impl Clips, progress: &Progress) -> Result<(), TrainError> {
        let device = self.device.clone().without_autodiff();
        let model = self.averaged();
        let evaluation = evaluate(&model, heldout, self.config.evaluate_clips, &device)?;
        self.folder.log(&EvaluationLine {
            step: self.state.step,
            elapsed: self.state.elapsed,
            evaluation: &evaluation,
        })?;
        let levels: Vec<String> = evaluation
            .levels
            .iter()
            .map(|level| {
                format!(
                    "{:.1} dB ({} codes)",
                    level.spectral_convergence_db, level.codes_used
                )
            })
            .collect();
        progress.say(&format!(
            "held out, step {}: {}",
            self.state.step,
            levels.join(", ")
        ));
        let best = self.state.best.as_ref();
        if best.is_none_or(|best| evaluation.mean_db() < best.mean_db()) {
            self.state.best = Some(evaluation);
            self.save(&self.folder.best())?;
        }
        Ok(())
    }

    fn progress(&self) -> f64 {
        self.config
            .budget
            .progress(self.state.step, self.state.elapsed)
    }

    fn order(&self) -> Order {
        Order {
            batch: self.config.batch,
            length: self.config.sample_length,
            shift: self.config.shift,
            blend: self.config.blend,
            seed: self.config.seed,
        }
    }

    /// Per level: codes that are used often enough not to be restarted.
    fn codes_used(&self) -> Vec<usize> {
        let codebooks = self.model.bottleneck.iter().flat_map(|b| &b.level_blocks);
        codebooks
            .map(|codebook| {
                let counts = codebook.k_elem.to_data();
                counts
                    .iter::<f64>()
                    .filter(|count| *count >= codebook.threshold)
                    .count()
            })
            .collect()
    }
}

/// The figures of the live line.
fn figures(report: &Report) -> String {
    let used: Vec<String> = report.codes_used.iter().map(usize::to_string).collect();
    format!(
        "loss {:.3} · {:.1} dB · codes {}",
        report.loss,
        report.spectral_convergence_db,
        used.join("/")
    )
}

/// Updates per second, as a moving average.
#[derive(Default)]
struct Speed {
    seconds_per_step: Option<f64>,
}

impl Speed {
    fn after(&mut self, seconds: f64) -> f64 {
        let average = self
            .seconds_per_step
            .map_or(seconds, |old| 0.9 * old + 0.1 * seconds);
        self.seconds_per_step = Some(average);
        1.0 / average.max(1e-9)
    }
}

#[cfg(test)]
mod tests;

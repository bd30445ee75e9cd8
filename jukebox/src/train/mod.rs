//! Training: data, optimiser, schedules, moving averages, checkpoints and the loops.
//!
//! Everything but `vqvae`, `bandwidth` and `evaluate` knows nothing of the model and serves any other. Reading order:
//! `vqvae` (the loop), `adam`, `ema`, `schedule`, then the plumbing: `batches`, `parameters`, `checkpoint`, `run`.

mod adam;
mod bandwidth;
mod batches;
mod checkpoint;
pub mod dataset;
mod ema;
mod error;
mod evaluate;
mod parameters;
mod progress;
mod run;
mod schedule;
mod stop;
mod vqvae;

pub use adam::{Adam, AdamConfig, gradient_norm};
pub use bandwidth::measure as measure_bandwidth;
pub use batches::{Batch, Batches, Clips, Order};
pub use checkpoint::{Checkpoint, write_whole};
pub use ema::Ema;
pub use error::TrainError;
pub use evaluate::{Evaluation, LevelEvaluation, evaluate};
pub use parameters::{Named, gradients, missing, values, with_values};
pub use progress::{Position, Progress};
pub use run::RunFolder;
pub use schedule::{Decay, Schedule};
pub use stop::Stop;
pub use vqvae::{Budget, Ended, Report, Restarts, VqVaeTrainConfig, VqVaeTraining, Which};

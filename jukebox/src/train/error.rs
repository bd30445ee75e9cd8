//! What can go wrong in training.

use std::path::PathBuf;

use thiserror::Error;

use super::dataset::DatasetError;
use crate::vqvae::VqVaeError;

/// An error of a training run.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A file of the run cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A checkpoint is damaged or belongs to another model.
    #[error(
        "{path} is not a checkpoint of this run: {reason}. Move it away to start over, or resume with the \
         configuration that wrote it",
        path = path.display()
    )]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A JSON file of the run does not say what it should.
    #[error("{path}: {source}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The folder holds a run already.
    #[error("{folder} holds a training run already: resume it with --resume, or choose another folder", folder = folder.display())]
    RunExists {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no run to resume.
    #[error("{folder} holds no training run to resume (no {file}); leave --resume away to start one", folder = folder.display())]
    NoRun {
        /// The folder.
        folder: PathBuf,
        /// What is not there.
        file: &'static str,
    },
    /// An option cannot work.
    #[error("training option {option} is {value}, but {constraint}")]
    Option {
        /// Which.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it has to be.
        constraint: String,
    },
    /// The data cannot be used.
    #[error("{0}")]
    Data(String),
    /// A song cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The loss is no number any more.
    #[error(
        "the loss became {loss} at step {step}; the last checkpoint is intact. Resume it with a smaller --lr"
    )]
    Diverged {
        /// Update at which it happened.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// The model refused.
    #[error(transparent)]
    Model(#[from] VqVaeError),
}

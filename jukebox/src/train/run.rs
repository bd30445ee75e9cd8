//! The folder of a training run: its configuration, its checkpoints, its log.
//!
//! ```text
//! RUN/config.json                what the run does, written once
//! RUN/latest.safetensors         the last checkpoint
//! RUN/best.safetensors           the checkpoint that did best on held-out data
//! RUN/metrics.jsonl              one JSON object per line, training and evaluation
//! ```

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checkpoint::write_whole;
use super::error::TrainError;

const CONFIG: &str = "config.json";

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder of a new run and writes its configuration.
    ///
    /// # Errors
    /// When the folder holds a run already, or cannot be written.
    pub fn create(path: &Path, config: &impl Serialize) -> Result<Self, TrainError> {
        let folder = Self {
            path: path.to_owned(),
        };
        if folder.config_path().exists() {
            return Err(TrainError::RunExists {
                folder: path.to_owned(),
            });
        }
        std::fs::create_dir_all(path).map_err(|source| TrainError::Io {
            path: path.to_owned(),
            source,
        })?;
        folder.write_config(config)?;
        Ok(folder)
    }

    /// Opens the folder of a run that was started before, with its configuration.
    ///
    /// # Errors
    /// When there is none, or its configuration is not of this type.
    pub fn open<T: DeserializeOwned>(path: &Path) -> Result<(Self, T), TrainError> {
        let folder = Self {
            path: path.to_owned(),
        };
        let config = folder.config_path();
        let json = std::fs::read(&config).map_err(|_| TrainError::NoRun {
            folder: path.to_owned(),
            file: CONFIG,
        })?;
        let parsed = serde_json::from_slice(&json).map_err(|source| TrainError::Json {
            path: config,
            source,
        })?;
        Ok((folder, parsed))
    }

    /// Replaces the configuration, when a run is resumed with other options.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_config(&self, config: &impl Serialize) -> Result<(), TrainError> {
        let mut json = serde_json::to_vec_pretty(config)
            .expect("a configuration is plain data with string keys");
        json.push(b'\n');
        write_whole(&self.config_path(), &json)
    }

    /// The last checkpoint.
    pub fn latest(&self) -> PathBuf {
        self.path.join("latest.safetensors")
    }

    /// The checkpoint that did best on held-out data.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Adds a line to the log.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn log(&self, line: &impl Serialize) -> Result<(), TrainError> {
        let path = self.path.join("metrics.jsonl");
        let io = |source| TrainError::Io {
            path: path.clone(),
            source,
        };
        let json = serde_json::to_string(line).expect("a line is plain data with string keys");
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(io)?;
        writeln!(file, "{json}").map_err(io)
    }

    fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }
}

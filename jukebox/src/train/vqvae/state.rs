//! Saving and restoring a VQ-VAE run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::VqVaeTraining;
use crate::train::checkpoint::Checkpoint;
use crate::train::error::TrainError;
use crate::train::evaluate::Evaluation;
use crate::train::parameters::{missing, values, with_values};
use crate::vqvae::Bandwidth;

/// Where a run is: what a checkpoint stores besides tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Updates made, and batches seen. Everything random is drawn from the seed and this number.
    pub step: u64,
    /// Seconds spent on training.
    pub elapsed: f64,
    /// The data set's.
    pub bandwidth: Bandwidth,
    /// The best evaluation so far.
    pub best: Option<Evaluation>,
    /// Whether each codebook has been initialised.
    pub codebooks: Vec<bool>,
    /// Updates of the moving average of the weights.
    pub ema_updates: u64,
    /// Updates of the optimiser.
    pub adam_steps: u64,
}

impl VqVaeTraining {
    /// Writes everything that resuming needs.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let codebooks = self.model.bottleneck.iter().flat_map(|b| &b.level_blocks);
        let state = State {
            codebooks: codebooks
                .clone()
                .map(|codebook| codebook.initialised)
                .collect(),
            ema_updates: self.ema.updates,
            adam_steps: self.adam.steps,
            ..self.state.clone()
        };
        let mut checkpoint = Checkpoint::new(&state);
        checkpoint.put_all("model", &values(&self.model));
        checkpoint.put_all("ema", &self.ema.shadow);
        checkpoint.put_all("adam.first", &self.adam.first);
        checkpoint.put_all("adam.second", &self.adam.second);
        for (level, codebook) in codebooks.enumerate() {
            checkpoint.put("codebook", &format!("{level}.k"), codebook.k.clone());
            checkpoint.put(
                "codebook",
                &format!("{level}.k_sum"),
                codebook.k_sum.clone(),
            );
            checkpoint.put(
                "codebook",
                &format!("{level}.k_elem"),
                codebook.k_elem.clone(),
            );
        }
        checkpoint.write(path)
    }

    /// Takes everything from a checkpoint.
    pub(super) fn restore(
        &mut self,
        mut checkpoint: Checkpoint,
        path: &Path,
    ) -> Result<(), TrainError> {
        let bad = |reason: String| TrainError::Checkpoint {
            path: path.to_owned(),
            reason,
        };
        let device = self.device.clone().without_autodiff();
        let weights = checkpoint.take_flat("model", &device);
        let shadow = checkpoint.take_flat("ema", &device);
        for named in [&weights, &shadow] {
            if let Some(reason) = missing(&self.model, named) {
                return Err(bad(reason));
            }
        }
        self.model = with_values(self.model.clone(), weights);
        self.ema.shadow = shadow;
        self.ema.updates = self.state.ema_updates;
        self.adam.first = checkpoint.take_flat("adam.first", &device);
        self.adam.second = checkpoint.take_flat("adam.second", &device);
        self.adam.steps = self.state.adam_steps;
        let codebooks = self
            .model
            .bottleneck
            .iter_mut()
            .flat_map(|b| &mut b.level_blocks);
        for (level, codebook) in codebooks.enumerate() {
            let mut take = |name: &str| {
                let name = format!("{level}.{name}");
                let tensor = checkpoint.take("codebook", &name, &device);
                tensor.ok_or_else(|| bad(format!("codebook `{name}` is missing")))
            };
            let (k, k_sum) = (take("k")?, take("k_sum")?);
            if k.dims() != codebook.k.dims() || k_sum.dims() != codebook.k.dims() {
                return Err(bad(format!("codebook {level} has shape {:?}", k.dims())));
            }
            codebook.k = k;
            codebook.k_sum = k_sum;
            codebook.k_elem = checkpoint
                .take("codebook", &format!("{level}.k_elem"), &device)
                .ok_or_else(|| bad(format!("codebook `{level}.k_elem` is missing")))?;
            codebook.initialised = self.state.codebooks.get(level).copied().unwrap_or(true);
        }
        Ok(())
    }
}

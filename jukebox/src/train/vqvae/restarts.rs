//! How codes that are hardly used come back to life (paper §3.2, "random restart").

use serde::{Deserialize, Serialize};

use crate::vqvae::VqVae;

/// How codes that are hardly used are restarted at a random vector of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restarts {
    /// The published rule: below `revival_threshold` vectors per update (moving average) a code is moved, and keeps its
    /// moving averages. Good for batches with hundreds of vectors for each code.
    Published,
    /// For small batches, with few vectors for each code or less than one: below this share of the average code's use, a
    /// code is moved, and starts there with the averages of an average code. The published rule would restart codes in
    /// good use, and let a code's past pull it away from where it was moved to.
    Share(f64),
}

impl Restarts {
    /// Tells the codebooks of a model below which use a code is restarted. `averages`: per level, vectors for each code
    /// in a batch.
    pub(super) fn set_thresholds(&self, model: &mut VqVae, averages: &[f64]) {
        let Restarts::Share(share) = self else {
            return;
        };
        let codebooks = model
            .bottleneck
            .iter_mut()
            .flat_map(|b| &mut b.level_blocks);
        for (codebook, average) in codebooks.zip(averages.iter().copied()) {
            codebook.threshold = share * average;
        }
    }

    /// Gives the codes that were just restarted, and on the first update all codes, the moving averages of an average
    /// code that has always been where they are now.
    pub(super) fn settle(&self, model: &mut VqVae, averages: &[f64], all: bool) {
        let Restarts::Share(_) = self else {
            return;
        };
        let codebooks = model
            .bottleneck
            .iter_mut()
            .flat_map(|b| &mut b.level_blocks);
        for (codebook, average) in codebooks.zip(averages.iter().copied()) {
            let below = if all {
                f64::INFINITY
            } else {
                codebook.threshold
            };
            let restarted = codebook.k_elem.clone().lower_elem(below); // [bins]
            let rows = restarted
                .clone()
                .unsqueeze_dim::<2>(1)
                .expand(codebook.k.dims()); // [bins, width]
            let sums = codebook.k.clone() * average;
            codebook.k_elem = codebook.k_elem.clone().mask_fill(restarted, average);
            codebook.k_sum = codebook.k_sum.clone().mask_where(rows, sums);
        }
    }
}

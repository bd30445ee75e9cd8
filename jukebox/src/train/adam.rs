//! Adam, in the form the published model was trained with (Kingma & Ba 2015; decoupled weight decay).
//!
//! It differs from the textbook in two places: ε is added to the root of the *uncorrected* second moment, and the
//! weight decay is multiplied by the bias-corrected step size.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::parameters::Named;

/// Hyper-parameters of [`Adam`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamConfig {
    /// Decay of the moving average of the gradient.
    pub beta1: f64,
    /// Decay of the moving average of the squared gradient.
    pub beta2: f64,
    /// Keeps the step finite where gradients vanish.
    pub eps: f64,
    /// How much of a parameter is taken away per unit of step size.
    pub weight_decay: f64,
    /// Gradients whose norm is larger are scaled down to it.
    pub clip: f64,
}

impl AdamConfig {
    /// The published defaults.
    pub fn published() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            clip: 1.0,
        }
    }
}

/// The optimiser and its state.
#[derive(Clone, Debug)]
pub struct Adam {
    config: AdamConfig,
    /// Updates made so far.
    pub steps: u64,
    /// Moving average of the gradient.
    pub first: Named,
    /// Moving average of the squared gradient.
    pub second: Named,
}

impl Adam {
    /// An optimiser that has seen no gradient.
    pub fn new(config: AdamConfig) -> Self {
        Self {
            config,
            steps: 0,
            first: Named::new(),
            second: Named::new(),
        }
    }

    /// One update: the new values of those parameters that have a gradient.
    ///
    /// `norm` is the norm of the gradients, from [`gradient_norm`]. Gradients above the clip are scaled down by folding
    /// the factor into `loss_scale`, by which the gradients are divided anyway (1 where the loss was not scaled).
    pub fn update(
        &mut self,
        values: &Named,
        gradients: Named,
        learning_rate: f64,
        norm: f64,
        loss_scale: f64,
    ) -> Named {
        let AdamConfig {
            beta1,
            beta2,
            eps,
            weight_decay,
            clip,
        } = self.config;
        self.steps += 1;
        let t = self.steps as f64;
        let step_size = learning_rate * (1.0 - beta2.powf(t)).sqrt() / (1.0 - beta1.powf(t));
        let scale = loss_scale * (norm / clip).max(1.0);

        let mut updated = Named::new();
        for (name, gradient) in gradients {
            let Some(value) = values.get(&name) else {
                continue;
            };
            let gradient = gradient / scale;
            let first = moving_average(self.first.remove(&name), gradient.clone(), beta1);
            let second = moving_average(self.second.remove(&name), gradient.square(), beta2);
            let direction = first.clone() / (second.clone().sqrt() + eps);
            let direction = if weight_decay == 0.0 {
                direction
            } else {
                direction + value.clone() * weight_decay
            };
            updated.insert(name.clone(), value.clone() - direction * step_size);
            self.first.insert(name.clone(), first);
            self.second.insert(name, second);
        }
        updated
    }
}

/// L2 norm over all gradients together.
pub fn gradient_norm(gradients: &Named) -> f64 {
    let squares: Vec<Tensor<1>> = gradients
        .values()
        .map(|gradient| gradient.clone().square().sum())
        .collect();
    if squares.is_empty() {
        return 0.0;
    }
    f64::from(Tensor::cat(squares, 0).sum().sqrt().into_scalar::<f32>())
}

/// `decay · average + (1 − decay) · value`, starting from zero.
fn moving_average(average: Option<Tensor<1>>, value: Tensor<1>, decay: f64) -> Tensor<1> {
    let value = value * (1.0 - decay);
    match average {
        Some(average) => average * decay + value,
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;
    use crate::weights::Tensors;

    /// Five updates of two parameters as the published implementation made them, with clipping and weight decay.
    #[test]
    fn recorded_updates_are_reproduced() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/training/adam.safetensors"
        );
        let recorded = Tensors::read(path.as_ref()).unwrap();
        let tensor = |name: &str| {
            let values = recorded.floats(&format!("adam32.{name}")).unwrap();
            let values = values.into_raw_vec_and_offset().0;
            let count = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [count]), &Device::flex())
        };
        let both = |prefix: &str| -> Named {
            ["0", "1"]
                .map(|n| (n.to_owned(), tensor(&format!("{prefix}{n}"))))
                .into()
        };
        // Rounding of single precision, through five updates.
        let tolerance = Tolerance::<f32>::rel_abs(1e-5, 1e-7);
        let mut adam = Adam::new(AdamConfig {
            beta1: 0.9,
            beta2: 0.925,
            eps: 1e-8,
            weight_decay: 0.02,
            clip: 1.0,
        });
        let loss_scale = 2.0;
        let mut values =
            Named::from(["0", "1"].map(|n| (n.to_owned(), tensor(&format!("p{n}.init")))));
        for step in 0..5 {
            let gradients = both(&format!("s{step}.g"));
            let norm = gradient_norm(&gradients) / loss_scale;
            let expected = f64::from(tensor(&format!("s{step}.gn")).into_scalar::<f32>());
            assert!((norm / expected - 1.0).abs() < 1e-6, "{norm} {expected}");
            values = adam.update(&values, gradients, 0.01, norm, loss_scale);
            for (found, prefix) in [(&values, "p"), (&adam.first, "m"), (&adam.second, "v")] {
                for (name, expected) in both(&format!("s{step}.{prefix}")) {
                    let expected = expected.into_data();
                    found[&name]
                        .to_data()
                        .assert_approx_eq::<f32>(&expected, tolerance);
                }
            }
        }
    }
}

//! Named scalars of a training step.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};

/// Scalars by name, still on the device, without gradients.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    values: BTreeMap<String, Tensor<1>>,
}

impl Metrics {
    /// Adds a scalar of shape `[1]`, or replaces the one of that name.
    pub fn insert(&mut self, name: impl Into<String>, value: Tensor<1>) {
        self.values.insert(name.into(), value.inner());
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Metrics) {
        self.values.extend(other.values);
    }

    /// The scalars on the host.
    pub fn read(&self) -> BTreeMap<String, f64> {
        self.values
            .iter()
            .map(|(name, value)| (name.clone(), f64::from(value.clone().into_scalar::<f32>())))
            .collect()
    }

    /// The quantiser's metrics where there is no quantiser: all zero.
    pub(super) fn unused(device: &Device) -> Metrics {
        let zero = Tensor::zeros([1], device);
        Metrics::from(
            ["entropy", "usage", "used_curr", "pn", "dk"].map(|name| (name, zero.clone())),
        )
    }

    /// The mean of each scalar over several sets of the same names.
    pub(super) fn mean(sets: &[Metrics]) -> Metrics {
        let mut mean = Metrics::default();
        let Some(first) = sets.first() else {
            return mean;
        };
        for name in first.values.keys() {
            let values: Vec<_> = sets
                .iter()
                .filter_map(|set| set.values.get(name).cloned())
                .collect();
            mean.insert(name, Tensor::cat(values, 0).mean());
        }
        mean
    }
}

impl<const N: usize> From<[(&str, Tensor<1>); N]> for Metrics {
    fn from(values: [(&str, Tensor<1>); N]) -> Self {
        let mut metrics = Metrics::default();
        for (name, value) in values {
            metrics.insert(name, value);
        }
        metrics
    }
}

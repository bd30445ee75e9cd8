//! A moving average of the weights: what evaluation and sampling use, because it is less noisy than the weights
//! themselves.

use burn::module::Module;

use super::parameters::{Named, values, with_values};

/// A moving average of all parameters of a module. Buffers, such as codebooks, are not averaged.
#[derive(Clone, Debug)]
pub struct Ema {
    /// Share that the average keeps at each update.
    decay: f64,
    /// Average over a shorter time at first.
    warm_up: bool,
    /// Updates so far.
    pub updates: u64,
    /// The averages.
    pub shadow: Named,
}

impl Ema {
    /// The published decay: the average of the last thousand updates or so with a batch of 8, longer with a smaller one.
    pub fn published_decay(batch: usize) -> f64 {
        1.0 - batch as f64 / 8.0 / 1000.0
    }

    /// An average that starts at the module's present weights.
    pub fn new(module: &impl Module, decay: f64) -> Self {
        Self {
            decay,
            warm_up: false,
            updates: 0,
            shadow: values(module),
        }
    }

    /// Averages the first updates over a shorter time, with decay `(1 + t) / (10 + t)`, so that a young average is not
    /// made of the random weights it started from. The published training has no such warm-up.
    pub fn with_warm_up(self) -> Self {
        Self {
            warm_up: true,
            ..self
        }
    }

    /// Takes in the module's weights after an update of theirs: `shadow = decay · shadow + (1 − decay) · weights`.
    pub fn update(&mut self, module: &impl Module) {
        let t = self.updates as f64;
        self.updates += 1;
        let young = if self.warm_up {
            (1.0 + t) / (10.0 + t)
        } else {
            1.0
        };
        let decay = self.decay.min(young);
        for (name, value) in values(module) {
            let average = match self.shadow.remove(&name) {
                Some(average) => average * decay + value * (1.0 - decay),
                None => value,
            };
            self.shadow.insert(name, average);
        }
    }

    /// Exchanges the module's weights and their averages. Swapping twice changes nothing.
    pub fn swap<M: Module>(&mut self, module: M) -> M {
        let live = values(&module);
        with_values(module, std::mem::replace(&mut self.shadow, live))
    }

    /// A copy of the module that has the averages as its weights.
    pub fn averaged<M: Module>(&self, module: &M) -> M {
        with_values(module.clone(), self.shadow.clone())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::nn::{Conv1d, Conv1dConfig};

    fn module_of(value: f32) -> Conv1d {
        let device = Device::flex();
        let module = Conv1dConfig::pointwise(1, 1).init(&device);
        let named =
            ["weight", "bias"].map(|name| (name.to_owned(), Tensor::full([1], value, &device)));
        with_values(module, Named::from(named))
    }

    fn weight(module: &Conv1d) -> f32 {
        module.weight.val().into_scalar()
    }

    #[test]
    fn the_average_follows_the_weights() {
        let mut ema = Ema::new(&module_of(0.0), 0.5);
        ema.update(&module_of(1.0));
        assert_eq!(weight(&ema.averaged(&module_of(0.0))), 0.5);
        ema.update(&module_of(1.0));
        assert_eq!(weight(&ema.averaged(&module_of(0.0))), 0.75);
    }

    #[test]
    fn a_young_average_forgets_its_start() {
        let mut ema = Ema::new(&module_of(0.0), 0.999).with_warm_up();
        for _ in 0..30 {
            ema.update(&module_of(1.0));
        }
        assert!(weight(&ema.averaged(&module_of(0.0))) > 0.99);
    }

    #[test]
    fn swapping_twice_changes_nothing() {
        let mut ema = Ema::new(&module_of(3.0), 0.9);
        let swapped = ema.swap(module_of(7.0));
        assert_eq!(weight(&swapped), 3.0);
        assert_eq!(weight(&ema.swap(swapped)), 7.0);
    }
}

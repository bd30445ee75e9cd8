//! A module's parameters as named, flat tensors.
//!
//! Optimiser, moving average and checkpoint treat all parameters alike, whatever their shape. So they work on a map
//! from a parameter's name (its path in the module, `encoders.0.level_blocks.0…weight`) to its values in one row, and
//! know nothing of modules.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};

/// Flat tensors, `[values]`, by parameter name. Never on an autodiff device.
pub type Named = BTreeMap<String, Tensor<1>>;

/// The values of all parameters.
pub fn values(module: &impl Module) -> Named {
    let mut visitor = Values::default();
    module.visit(&mut visitor);
    visitor.named
}

/// The gradients of all parameters that have one.
pub fn gradients(module: &impl Module, gradients: &Gradients) -> Named {
    let mut visitor = Collect {
        path: Vec::new(),
        gradients,
        named: Named::new(),
    };
    module.visit(&mut visitor);
    visitor.named
}

/// The module with new values for the parameters that `named` has; the others stay.
///
/// The number of values must be that of the parameter; [`missing`] tells beforehand for values that come from a file.
pub fn with_values<M: Module>(module: M, named: Named) -> M {
    module.map(&mut Replace {
        path: Vec::new(),
        named,
    })
}

/// Why `named` cannot give this module its values: the first parameter that is not there or has another size.
pub fn missing(module: &impl Module, named: &Named) -> Option<String> {
    values(module).into_iter().find_map(|(name, value)| {
        let wanted = value.dims()[0];
        match named.get(&name).map(|tensor| tensor.dims()[0]) {
            None => Some(format!("`{name}` is missing")),
            Some(found) if found != wanted => {
                Some(format!("`{name}` has {found} values instead of {wanted}"))
            }
            Some(_) => None,
        }
    })
}

#[derive(Default)]
struct Values {
    path: Vec<String>,
    named: Named,
}

impl ModuleVisitor for Values {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let flat = flat(param.val().inner());
        self.named.insert(self.path.join("."), flat);
    }
}

struct Collect<'a> {
    path: Vec<String>,
    gradients: &'a Gradients,
    named: Named,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            let flat = flat(gradient);
            self.named.insert(self.path.join("."), flat);
        }
    }
}

struct Replace {
    path: Vec<String>,
    named: Named,
}

impl ModuleMapper for Replace {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(value) = self.named.remove(&self.path.join(".")) else {
            return param;
        };
        param.map(|old| {
            let value = value.reshape(old.dims()); // [values] -> the parameter's shape
            if old.is_autodiff() {
                value.autodiff().set_require_grad(old.is_require_grad())
            } else {
                value
            }
        })
    }
}

/// Any shape → `[values]`.
fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let count = tensor.dims().iter().product::<usize>();
    tensor.reshape([count])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;
    use crate::nn::Conv1dConfig;

    #[test]
    fn values_go_out_and_in() {
        let device = Device::flex().autodiff();
        let (one, other) = (
            Conv1dConfig::same3(2, 3, 1).init(&device),
            Conv1dConfig::same3(2, 3, 1).init(&device),
        );
        let named = values(&one);
        assert_eq!(named.keys().collect::<Vec<_>>(), ["bias", "weight"]);
        assert_eq!(missing(&other, &named), None);
        let other = with_values(other, named);
        assert!(other.weight.val().is_require_grad());
        other
            .weight
            .val()
            .into_data()
            .assert_eq(&one.weight.val().into_data(), true);
    }

    #[test]
    fn a_wrong_size_is_told() {
        let device = Device::flex();
        let module = Conv1dConfig::same3(2, 3, 1).init(&device);
        let mut named = values(&module);
        named.insert("bias".into(), Tensor::zeros([4], &device));
        assert_eq!(
            missing(&module, &named).as_deref(),
            Some("`bias` has 4 values instead of 3")
        );
        named.remove("bias");
        assert_eq!(
            missing(&module, &named).as_deref(),
            Some("`bias` is missing")
        );
    }

    #[test]
    fn gradients_have_the_names_of_their_parameters() {
        let device = Device::flex().autodiff();
        let module = Conv1dConfig::pointwise(1, 2).init(&device);
        let x = Tensor::<3>::ones([1, 1, 5], &device);
        let backward = module.forward(x).sum().backward();
        let found = gradients(&module, &backward);
        for name in ["weight", "bias"] {
            let expected = Tensor::<1>::full([2], 5.0, &Device::flex()).into_data();
            found[name]
                .to_data()
                .assert_approx_eq::<f32>(&expected, Tolerance::default());
        }
    }
}

//! Between the parameters of a model and named arrays.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use ndarray::{ArrayD, IxDyn};

use super::error::WeightsError;
use super::keys::{codebook_key, vqvae_key};
use super::tensors::Tensors;
use crate::vqvae::{VqVae, VqVaeConfig};

/// All weights of a VQ-VAE under their published names: what a checkpoint holds under `model`. The moving averages of
/// the codebooks are not among them.
pub fn vqvae_state(model: &VqVae) -> BTreeMap<String, ArrayD<f32>> {
    let mut state = Collect {
        path: Vec::new(),
        config: model.config(),
        values: BTreeMap::new(),
    };
    model.visit(&mut state);
    let mut values = state.values;
    if let Some(bottleneck) = &model.bottleneck {
        for (level, codebook) in bottleneck.level_blocks.iter().enumerate() {
            values.insert(codebook_key(level), array(&codebook.k));
        }
    }
    values
}

/// For every parameter of a VQ-VAE, by its path through our modules: its published name.
pub fn vqvae_names(model: &VqVae) -> BTreeMap<String, String> {
    let mut names = Names {
        path: Vec::new(),
        config: model.config(),
        names: BTreeMap::new(),
    };
    model.visit(&mut names);
    names.names
}

/// Puts the weights of a file into a VQ-VAE of the same configuration.
///
/// # Errors
/// When the file lacks a tensor, has one too many, has one of another shape, or is damaged.
pub fn load_state(model: VqVae, tensors: &Tensors) -> Result<VqVae, WeightsError> {
    check(&model, tensors)?;
    let config = model.config().clone();
    let mut load = Load {
        path: Vec::new(),
        config: &config,
        tensors,
        error: None,
    };
    let mut model = model.map(&mut load);
    if let Some(error) = load.error {
        return Err(error);
    }
    if let Some(bottleneck) = &mut model.bottleneck {
        for (level, codebook) in bottleneck.level_blocks.iter_mut().enumerate() {
            codebook.k =
                Tensor::from_data(data(tensors, &codebook_key(level))?, &codebook.k.device());
        }
    }
    Ok(model)
}

/// Compares names and shapes.
fn check(model: &VqVae, tensors: &Tensors) -> Result<(), WeightsError> {
    let expected = vqvae_state(model);
    let is_known = |name: &&str| expected.contains_key(*name);
    let unexpected: Vec<String> = tensors
        .names()
        .filter(|name| !is_known(name))
        .map(str::to_owned)
        .collect();
    let mut missing = Vec::new();
    let mut shapes = Vec::new();
    for (name, values) in &expected {
        match tensors.get(name) {
            None => missing.push(name.clone()),
            Some(tensor) if tensor.shape() != values.shape() => {
                shapes.push(format!(
                    "{name} ({:?}, not {:?})",
                    tensor.shape(),
                    values.shape()
                ));
            }
            Some(_) => {}
        }
    }
    if missing.is_empty() && unexpected.is_empty() && shapes.is_empty() {
        return Ok(());
    }
    Err(WeightsError::Keys {
        path: tensors.path().to_owned(),
        missing,
        unexpected,
        shapes,
    })
}

/// Lists the names of parameters.
struct Names<'a> {
    path: Vec<String>,
    config: &'a VqVaeConfig,
    names: BTreeMap<String, String>,
}

impl ModuleVisitor for Names<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        let published = vqvae_key(&self.path, self.config);
        self.names.insert(self.path.join("."), published);
    }
}

/// Copies parameters out of a model.
struct Collect<'a> {
    path: Vec<String>,
    config: &'a VqVaeConfig,
    values: BTreeMap<String, ArrayD<f32>>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.values
            .insert(vqvae_key(&self.path, self.config), array(&param.val()));
    }
}

/// Copies parameters into a model. Traversal cannot stop half-way, so the first error is kept.
struct Load<'a> {
    path: Vec<String>,
    config: &'a VqVaeConfig,
    tensors: &'a Tensors,
    error: Option<WeightsError>,
}

impl ModuleMapper for Load<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match data(self.tensors, &vqvae_key(&self.path, self.config)) {
            Ok(data) => param.map(|old| {
                let tracked = old.is_require_grad();
                Tensor::from_data(data, &old.device()).set_require_grad(tracked)
            }),
            Err(error) => {
                self.error.get_or_insert(error);
                param
            }
        }
    }
}

fn data(tensors: &Tensors, name: &str) -> Result<TensorData, WeightsError> {
    let values = tensors.floats(name)?;
    let shape = values.shape().to_vec();
    Ok(TensorData::new(values.into_raw_vec_and_offset().0, shape))
}

fn array<const D: usize>(tensor: &Tensor<D>) -> ArrayD<f32> {
    let values = tensor.to_data().iter::<f32>().collect();
    ArrayD::from_shape_vec(IxDyn(&tensor.dims()), values)
        .expect("a tensor has as many values as its shape says")
}

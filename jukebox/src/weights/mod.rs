//! Weights on disk: reading published and own checkpoints, writing safetensors, and bundles that say what they hold.
//!
//! Parameters are named on disk as the published checkpoints name them (see `keys`), whatever the file format, so that
//! a file from either side loads into the other.

mod bundle;
mod error;
mod hps;
mod keys;
mod state;
mod tensors;

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use crate::vqvae::{VqVae, VqVaeConfig};

pub use bundle::{Bundle, Manifest};
pub use error::WeightsError;
pub use hps::vqvae_config_from_hps;
pub use state::{load_state, vqvae_names, vqvae_state};
pub use tensors::{StoredTensor, Tensors, write_safetensors};

/// Loads a VQ-VAE from
/// - the folder of a [`Bundle`],
/// - a `.safetensors` file with its configuration in `config.json` beside it, or
/// - a PyTorch checkpoint (`.pth.tar`, zip or legacy). One whose hyper-parameters do not describe a VQ-VAE is taken for
///   the published one.
///
/// The moving averages of the codebooks are in none of these: call [`VqVae::restore_codebooks`] to train further.
///
/// # Errors
/// When a file is missing, damaged, or does not hold the model that its configuration describes.
pub fn load_vqvae(path: impl AsRef<Path>, device: &Device) -> Result<VqVae, WeightsError> {
    let path = path.as_ref();
    if path.is_dir() {
        return Bundle::open(path)?.load_vqvae(device);
    }
    let tensors = Tensors::read(path)?;
    let config = match tensors.hps() {
        Some(hps) => vqvae_config_from_hps(hps).unwrap_or_else(|_| VqVaeConfig::published()),
        None => config_beside(path)?,
    };
    load_vqvae_tensors(&tensors, &config, device)
}

/// Builds a VQ-VAE of a known configuration from tensors that were read already.
///
/// # Errors
/// When the tensors are not those of such a model.
pub fn load_vqvae_tensors(
    tensors: &Tensors,
    config: &VqVaeConfig,
    device: &Device,
) -> Result<VqVae, WeightsError> {
    load_state(config.init(device)?, tensors)
}

/// The folder of the small VQ-VAE that comes with the project: in `$JUKEBOX_WEIGHTS`, else in the source tree.
///
/// # Errors
/// When it is not there.
pub fn mini() -> Result<PathBuf, WeightsError> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights");
    let folder = std::env::var_os("JUKEBOX_WEIGHTS").map_or(source, PathBuf::from);
    let bundle = folder.join("mini-vqvae");
    if bundle.join(bundle::MANIFEST).is_file() {
        return Ok(bundle);
    }
    Err(WeightsError::NoMini { folder: bundle })
}

/// The configuration in the `config.json` beside a weights file: ours, or hyper-parameters under the key `hps`.
fn config_beside(weights: &Path) -> Result<VqVaeConfig, WeightsError> {
    let path = weights.with_file_name("config.json");
    let json = tensors::read_file(&path)?;
    let parse = |source| WeightsError::Json {
        path: path.clone(),
        source,
    };
    let value: serde_json::Value = serde_json::from_slice(&json).map_err(parse)?;
    match value.get("hps") {
        Some(hps) => vqvae_config_from_hps(hps),
        None => serde_json::from_value(value).map_err(parse),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny(width: usize) -> VqVaeConfig {
        VqVaeConfig {
            levels: 1,
            downs_t: vec![2],
            strides_t: vec![2],
            multipliers: vec![1],
            emb_width: 2,
            l_bins: 3,
            width,
            depth: 1,
            ..VqVaeConfig::mini()
        }
    }

    #[test]
    fn weights_have_the_published_names() {
        let names: Vec<String> = vqvae_state(&tiny(2).init(&Device::flex()).unwrap())
            .into_keys()
            .collect();
        let expected = [
            "bottleneck.level_blocks.0.k",
            "decoders.0.level_blocks.0.model.0.bias",
            "decoders.0.level_blocks.0.model.0.weight",
            "decoders.0.level_blocks.0.model.1.0.model.0.model.1.bias",
            "decoders.0.level_blocks.0.model.1.0.model.0.model.1.weight",
            "decoders.0.level_blocks.0.model.1.0.model.0.model.3.bias",
            "decoders.0.level_blocks.0.model.1.0.model.0.model.3.weight",
            "decoders.0.level_blocks.0.model.1.1.bias",
            "decoders.0.level_blocks.0.model.1.1.weight",
            "decoders.0.level_blocks.0.model.2.0.model.0.model.1.bias",
        ];
        assert_eq!(names[..expected.len()], expected);
        assert!(names.contains(&"encoders.0.level_blocks.0.model.2.weight".to_owned()));
        assert!(names.contains(&"decoders.0.out.weight".to_owned()));
    }

    #[test]
    fn the_published_model_has_the_published_number_of_tensors_and_values() {
        let state = vqvae_state(&VqVaeConfig::published().init(&Device::flex()).unwrap());
        let values = |prefix: &str| -> usize {
            let tensors = state.iter().filter(|(name, _)| name.starts_with(prefix));
            tensors.map(|(_, values)| values.len()).sum()
        };
        assert_eq!(state.len(), 669);
        assert_eq!(values(""), 1_485_763 + 393_216);
        assert_eq!(
            [values("encoders.0"), values("decoders.0")],
            [441_856, 458_177]
        );
        assert_eq!(
            [values("encoders.2"), values("decoders.2")],
            [168_224, 176_481]
        );
    }

    #[test]
    fn the_small_model_that_comes_with_the_project_loads() {
        let model = load_vqvae(mini().unwrap(), &Device::flex()).unwrap();
        assert_eq!(model.hop_lengths(), [8, 32, 128]);
        let codebook = model.codebook(2).unwrap();
        assert!(codebook.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn a_mismatch_names_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let mut state = vqvae_state(&tiny(2).init(&Device::flex()).unwrap());
        let bias = state.remove("decoders.0.out.bias").unwrap();
        state.insert("decoders.0.bias".to_owned(), bias);
        write_safetensors(&path, &state).unwrap();
        let config = serde_json::to_vec(&tiny(4)).unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let message = load_vqvae(&path, &Device::flex()).unwrap_err().to_string();
        for part in [
            "missing: decoders.0.out.bias",
            "unexpected: decoders.0.bias",
            "[2, 2, 3], not [4, 2, 3]",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn files_that_are_no_checkpoints_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let page = b"<!DOCTYPE html><html>Not found</html>".as_slice();
        for (name, bytes) in [
            ("page.pth.tar", page),
            ("empty.pth.tar", b"".as_slice()),
            ("cut.pth.tar", b"PK\x03\x04".as_slice()),
            ("page.safetensors", page),
            ("empty.safetensors", b"".as_slice()),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let message = load_vqvae(&path, &Device::flex()).unwrap_err().to_string();
            assert!(
                message.contains(name) && message.contains("damaged"),
                "{message}"
            );
        }
        let message = load_vqvae(folder.path().join("none.pth.tar"), &Device::flex()).unwrap_err();
        assert!(matches!(message, WeightsError::Io { .. }), "{message}");
    }
}

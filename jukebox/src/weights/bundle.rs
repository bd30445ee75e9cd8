//! A bundle: a folder with weights and a manifest that says what they are, under which licence, and how they were made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::WeightsError;
use super::tensors::{Tensors, read_file, write_file, write_safetensors};
use super::{load_vqvae_tensors, vqvae_state};
use crate::vqvae::{VqVae, VqVaeConfig};

pub(super) const MANIFEST: &str = "manifest.json";
const WEIGHTS: &str = "model.safetensors";
const VQVAE: &str = "vqvae";

/// What a bundle holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// What kind of model it is; `vqvae` for now.
    pub kind: String,
    /// The model's configuration.
    pub config: serde_json::Value,
    /// Licence of the weights, as an SPDX expression or in words.
    pub licence: String,
    /// Whom to credit: for instance the makers of the music that the model was trained on.
    pub credits: Vec<String>,
    /// How to make these weights again.
    pub recipe: String,
    /// Facts about the training run: steps, data, measured quality.
    pub training: serde_json::Value,
    /// SHA-256 of each file, in hexadecimal. Filled in when the bundle is written.
    pub files: BTreeMap<String, String>,
}

/// A bundle on disk.
#[derive(Clone, Debug)]
pub struct Bundle {
    folder: PathBuf,
    manifest: Manifest,
}

impl Manifest {
    /// The manifest of a VQ-VAE, with everything but the configuration still to be said.
    pub fn vqvae(config: &VqVaeConfig) -> Self {
        Self {
            kind: VQVAE.to_owned(),
            config: serde_json::to_value(config).expect("a configuration is plain data"),
            licence: String::new(),
            credits: Vec::new(),
            recipe: String::new(),
            training: serde_json::Value::Null,
            files: BTreeMap::new(),
        }
    }
}

impl Bundle {
    /// Opens a bundle and checks its files against the manifest.
    ///
    /// # Errors
    /// When a file is missing or is not the one that the manifest describes.
    pub fn open(folder: &Path) -> Result<Self, WeightsError> {
        let path = folder.join(MANIFEST);
        let json = read_file(&path)?;
        let manifest: Manifest =
            serde_json::from_slice(&json).map_err(|source| WeightsError::Json { path, source })?;
        let unnamed = (!manifest.files.contains_key(WEIGHTS)).then_some((WEIGHTS, "none"));
        let named = manifest
            .files
            .iter()
            .map(|(name, hash)| (name.as_str(), hash.as_str()));
        for (name, expected) in named.chain(unnamed) {
            let path = folder.join(name);
            let found = sha256(&read_file(&path)?);
            if found != expected {
                return Err(WeightsError::Hash {
                    path,
                    expected: expected.to_owned(),
                    found,
                });
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            manifest,
        })
    }

    /// Writes the weights of a VQ-VAE and their manifest to a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(folder: &Path, model: &VqVae, manifest: Manifest) -> Result<Self, WeightsError> {
        let io = |source| WeightsError::Io {
            path: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(io)?;
        let weights = folder.join(WEIGHTS);
        write_safetensors(&weights, &vqvae_state(model))?;
        let files = BTreeMap::from([(WEIGHTS.to_owned(), sha256(&read_file(&weights)?))]);
        let manifest = Manifest { files, ..manifest };
        let mut json = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        json.push(b'\n');
        write_file(&folder.join(MANIFEST), &json)?;
        Ok(Self {
            folder: folder.to_owned(),
            manifest,
        })
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Loads the VQ-VAE in it.
    ///
    /// # Errors
    /// When it holds something else, or its weights are not those of its configuration.
    pub fn load_vqvae(&self, device: &Device) -> Result<VqVae, WeightsError> {
        if self.manifest.kind != VQVAE {
            return Err(WeightsError::Kind {
                path: self.folder.clone(),
                expected: VQVAE,
                found: self.manifest.kind.clone(),
            });
        }
        let parse = |source| WeightsError::Json {
            path: self.folder.join(MANIFEST),
            source,
        };
        let config: VqVaeConfig =
            serde_json::from_value(self.manifest.config.clone()).map_err(parse)?;
        load_vqvae_tensors(&Tensors::read(&self.folder.join(WEIGHTS))?, &config, device)
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::load_vqvae;

    fn tiny() -> VqVaeConfig {
        VqVaeConfig {
            downs_t: vec![1, 1, 1],
            emb_width: 2,
            l_bins: 3,
            width: 2,
            depth: 1,
            ..VqVaeConfig::mini()
        }
    }

    fn written() -> (tempfile::TempDir, VqVae) {
        let folder = tempfile::tempdir().unwrap();
        let model = tiny().init(&Device::flex()).unwrap();
        Bundle::write(folder.path(), &model, Manifest::vqvae(&tiny())).unwrap();
        (folder, model)
    }

    #[test]
    fn a_bundle_gives_back_the_model() {
        let (folder, model) = written();
        let loaded = load_vqvae(folder.path(), &Device::flex()).unwrap();
        assert_eq!(loaded.config(), model.config());
        assert_eq!(vqvae_state(&loaded), vqvae_state(&model));
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let (folder, _) = written();
        let path = folder.path().join(WEIGHTS);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = load_vqvae(folder.path(), &Device::flex()).unwrap_err();
        assert!(matches!(error, WeightsError::Hash { .. }), "{error}");
    }

    #[test]
    fn weights_that_the_manifest_does_not_vouch_for_are_refused() {
        let (folder, _) = written();
        let path = folder.path().join(MANIFEST);
        let mut manifest = Bundle::open(folder.path()).unwrap().manifest().clone();
        manifest.files.clear();
        std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
        let error = load_vqvae(folder.path(), &Device::flex()).unwrap_err();
        assert!(matches!(error, WeightsError::Hash { .. }), "{error}");
    }

    #[test]
    fn another_kind_is_refused() {
        let (folder, model) = written();
        let manifest = Manifest {
            kind: "prior".to_owned(),
            ..Manifest::vqvae(&tiny())
        };
        Bundle::write(folder.path(), &model, manifest).unwrap();
        let error = load_vqvae(folder.path(), &Device::flex()).unwrap_err();
        assert!(matches!(error, WeightsError::Kind { .. }), "{error}");
    }
}

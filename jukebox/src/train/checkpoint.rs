//! A checkpoint: one safetensors file with all tensors of a run and, in its header, its state as JSON.
//!
//! One file, so that it can be replaced in one step: whoever reads it sees the old checkpoint or the new one, never a
//! mixture, even when the machine goes down in between.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::TrainError;
use super::parameters::Named;

/// Key of the state in the file's metadata.
const STATE: &str = "state";

/// What a checkpoint holds, on the host. Names are `group/name`.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    tensors: BTreeMap<String, Stored>,
    state: String,
}

#[derive(Clone, Debug)]
struct Stored {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Checkpoint {
    /// A checkpoint without tensors.
    pub fn new(state: &impl Serialize) -> Self {
        Self {
            tensors: BTreeMap::new(),
            state: serde_json::to_string(state).expect("a state is plain data with string keys"),
        }
    }

    /// Adds one tensor of any shape.
    pub fn put<const D: usize>(&mut self, group: &str, name: &str, tensor: Tensor<D>) {
        let shape = tensor.dims().to_vec();
        let values = tensor.into_data().iter::<f32>().collect();
        let stored = Stored { shape, values };
        self.tensors.insert(format!("{group}/{name}"), stored);
    }

    /// Adds a group of named tensors.
    pub fn put_all(&mut self, group: &str, named: &Named) {
        for (name, tensor) in named {
            self.put(group, name, tensor.clone());
        }
    }

    /// One tensor, if it is there with as many extents.
    pub fn take<const D: usize>(
        &mut self,
        group: &str,
        name: &str,
        device: &Device,
    ) -> Option<Tensor<D>> {
        let Stored { shape, values } = self.tensors.remove(&format!("{group}/{name}"))?;
        let shape: [usize; D] = shape.try_into().ok()?;
        Some(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// All tensors of a group, each `[values]`.
    pub fn take_flat(&mut self, group: &str, device: &Device) -> Named {
        let prefix = format!("{group}/");
        let names: Vec<String> = self
            .tensors
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect();
        names
            .into_iter()
            .filter_map(|name| {
                let tensor = self.take(group, &name, device)?;
                Some((name, tensor))
            })
            .collect()
    }

    /// The state.
    ///
    /// # Errors
    /// When it is not of this type; `path` is for the message.
    pub fn state<T: DeserializeOwned>(&self, path: &Path) -> Result<T, TrainError> {
        serde_json::from_str(&self.state).map_err(|error| TrainError::Checkpoint {
            path: path.to_owned(),
            reason: format!("its state cannot be read ({error})"),
        })
    }

    /// Writes the file under a temporary name and puts it in place of the old one.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, stored)| {
                let bytes = stored.values.iter().flat_map(|x| x.to_le_bytes()).collect();
                (name, &stored.shape, bytes)
            })
            .collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes)
                .expect("a tensor has as many values as its shape says");
            (name.as_str(), view)
        });
        let metadata = HashMap::from([(STATE.to_owned(), self.state.clone())]);
        let file = safetensors::serialize(views, Some(metadata)).map_err(|error| {
            TrainError::Checkpoint {
                path: path.to_owned(),
                reason: error.to_string(),
            }
        })?;
        write_whole(path, &file)
    }

    /// Reads a file that [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let file = std::fs::read(path).map_err(|source| TrainError::Io {
            path: path.to_owned(),
            source,
        })?;
        let bad = |reason: String| TrainError::Checkpoint {
            path: path.to_owned(),
            reason,
        };
        let (_, metadata) = SafeTensors::read_metadata(&file).map_err(|e| bad(e.to_string()))?;
        let state = metadata
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get(STATE))
            .ok_or_else(|| bad("it has no training state".into()))?
            .clone();
        let parsed = SafeTensors::deserialize(&file).map_err(|e| bad(e.to_string()))?;
        let tensors = parsed
            .iter()
            .map(|(name, view)| {
                if view.dtype() != Dtype::F32 {
                    return Err(bad(format!(
                        "`{name}` is {:?} instead of F32",
                        view.dtype()
                    )));
                }
                let (values, _) = view.data().as_chunks::<4>();
                let stored = Stored {
                    shape: view.shape().to_vec(),
                    values: values.iter().map(|x| f32::from_le_bytes(*x)).collect(),
                };
                Ok((name.to_owned(), stored))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { tensors, state })
    }
}

/// Writes a file under a temporary name beside `path` and renames it.
///
/// # Errors
/// When the disk refuses.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let io = |source| TrainError::Io {
        path: path.to_owned(),
        source,
    };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let temporary = Path::new(&temporary);
    let mut file = File::create(temporary).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.sync_all().map_err(io)?;
    std::fs::rename(temporary, path).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latest.safetensors");
        let device = Device::flex();
        let tensor = Tensor::<2>::from_data([[1.0, -2.5], [3.0, f32::MIN_POSITIVE]], &device);
        let mut checkpoint = Checkpoint::new(&("state", 7));
        checkpoint.put("codebook", "0.k", tensor.clone());
        checkpoint.put(
            "model",
            "weight",
            Tensor::<1>::from_data([0.1, 0.2], &device),
        );
        checkpoint.write(&path).unwrap();

        let mut read = Checkpoint::read(&path).unwrap();
        assert_eq!(
            read.state::<(String, u32)>(&path).unwrap(),
            ("state".into(), 7)
        );
        let k = read.take::<2>("codebook", "0.k", &device).unwrap();
        k.into_data().assert_eq(&tensor.into_data(), true);
        assert!(read.take::<2>("codebook", "1.k", &device).is_none());
        let model = read.take_flat("model", &device);
        assert_eq!(model.keys().collect::<Vec<_>>(), ["weight"]);
    }

    #[test]
    fn a_damaged_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latest.safetensors");
        std::fs::write(&path, b"not a checkpoint").unwrap();
        let error = Checkpoint::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("latest.safetensors is not a checkpoint"),
            "{error}"
        );
    }
}

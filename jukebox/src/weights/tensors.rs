//! Named tensors in a file, read one at a time: PyTorch checkpoints (zip and legacy containers) and safetensors.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use pytorch_reader::{PickleValue, PytorchReader};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::error::WeightsError;

/// Data-parallel training puts this in front of every name.
const PARALLEL_PREFIX: &str = "module.";

/// The tensors of one file by name, with their values still on disk where the format allows.
#[derive(Debug)]
pub struct Tensors {
    path: PathBuf,
    tensors: BTreeMap<String, StoredTensor>,
    hps: Option<serde_json::Value>,
}

/// One tensor of a file.
#[derive(Debug)]
pub struct StoredTensor {
    shape: Vec<usize>,
    dtype: Dtype,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Torch(pytorch_reader::Tensor),
    Safetensors {
        file: Arc<Vec<u8>>,
        start: usize,
        end: usize,
    },
}

impl StoredTensor {
    /// Its extents, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
}

impl Tensors {
    /// Opens a safetensors file (by its extension) or else the model in a PyTorch checkpoint.
    ///
    /// # Errors
    /// When the file cannot be read, or is neither.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        match path.extension() {
            Some(extension) if extension == "safetensors" => Self::read_safetensors(path),
            _ => Self::read_torch(path, Some("model")),
        }
    }

    /// Opens a PyTorch checkpoint: the dictionary under `key`, or all of it, with names joined by dots.
    ///
    /// # Errors
    /// When the file cannot be read, or is no such checkpoint.
    pub fn read_torch(path: &Path, key: Option<&str>) -> Result<Self, WeightsError> {
        let torch = |source| WeightsError::Torch {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let io = |source| WeightsError::Io {
            path: path.to_owned(),
            source,
        };
        fs::metadata(path).map_err(io)?;
        let reader = match key {
            Some(key) => PytorchReader::with_top_level_key(path, key),
            None => PytorchReader::new(path),
        };
        let tensors = reader
            .map_err(torch)?
            .into_tensors()
            .into_iter()
            .map(|(name, tensor)| (own_name(&name), StoredTensor::from_torch(tensor)))
            .collect();
        let hps = match PytorchReader::read_pickle_data(path, Some("hps")) {
            Ok(value) => json(value),
            Err(_) => serde_json::Value::Null,
        };
        Ok(Self {
            path: path.to_owned(),
            tensors,
            hps: Some(hps),
        })
    }

    /// Opens a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be read, or is no such file.
    pub fn read_safetensors(path: &Path) -> Result<Self, WeightsError> {
        let file = Arc::new(read_file(path)?);
        let (header, metadata) =
            SafeTensors::read_metadata(&file).map_err(|source| WeightsError::Safetensors {
                path: path.to_owned(),
                source,
            })?;
        let data = header + size_of::<u64>();
        let tensors = metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| {
                let tensor = StoredTensor {
                    shape: info.shape.clone(),
                    dtype: info.dtype,
                    values: Values::Safetensors {
                        file: Arc::clone(&file),
                        start: data + info.data_offsets.0,
                        end: data + info.data_offsets.1,
                    },
                };
                (own_name(&name), tensor)
            })
            .collect();
        Ok(Self {
            path: path.to_owned(),
            tensors,
            hps: None,
        })
    }

    /// Where they come from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The hyper-parameters in a PyTorch checkpoint (null when it has none); `None` for other formats.
    pub fn hps(&self) -> Option<&serde_json::Value> {
        self.hps.as_ref()
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor by name, its values not yet read.
    pub fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name)
    }

    /// The values of a floating-point tensor; half precision is widened.
    ///
    /// # Errors
    /// When there is no such tensor, it is not floating point, or the file is damaged.
    pub fn floats(&self, name: &str) -> Result<ArrayD<f32>, WeightsError> {
        let (tensor, bytes) = self.bytes(name)?;
        let values = match tensor.dtype {
            Dtype::F32 => convert(&bytes, f32::from_le_bytes),
            Dtype::F16 => convert(&bytes, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => convert(&bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Dtype::F64 => convert(&bytes, |b| f64::from_le_bytes(b) as f32),
            other => return Err(self.wrong_type(name, other)),
        };
        self.shaped(tensor, values)
    }

    /// The values of a tensor of integers or truth values.
    ///
    /// # Errors
    /// When there is no such tensor, it is floating point, or the file is damaged.
    pub fn integers(&self, name: &str) -> Result<ArrayD<i64>, WeightsError> {
        let (tensor, bytes) = self.bytes(name)?;
        let values = match tensor.dtype {
            Dtype::I64 => convert(&bytes, i64::from_le_bytes),
            Dtype::I32 => convert(&bytes, |b| i32::from_le_bytes(b).into()),
            Dtype::U8 | Dtype::BOOL => convert(&bytes, |b| u8::from_le_bytes(b).into()),
            other => return Err(self.wrong_type(name, other)),
        };
        self.shaped(tensor, values)
    }

    fn bytes(&self, name: &str) -> Result<(&StoredTensor, Vec<u8>), WeightsError> {
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| WeightsError::NoTensor {
                path: self.path.clone(),
                name: name.to_owned(),
            })?;
        let bytes = match &tensor.values {
            Values::Safetensors { file, start, end } => file[*start..*end].to_vec(),
            Values::Torch(tensor) => tensor.read().map_err(|source| WeightsError::Io {
                path: self.path.clone(),
                source,
            })?,
        };
        Ok((tensor, bytes))
    }

    fn shaped<T>(&self, tensor: &StoredTensor, values: Vec<T>) -> Result<ArrayD<T>, WeightsError> {
        ArrayD::from_shape_vec(IxDyn(&tensor.shape), values).map_err(|error| WeightsError::Io {
            path: self.path.clone(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
        })
    }

    fn wrong_type(&self, name: &str, dtype: Dtype) -> WeightsError {
        WeightsError::Type {
            name: name.to_owned(),
            dtype: format!("{dtype:?}"),
        }
    }
}

impl StoredTensor {
    fn from_torch(tensor: pytorch_reader::Tensor) -> Self {
        use pytorch_reader::DType;
        let dtype = match tensor.dtype() {
            DType::F64 => Dtype::F64,
            DType::F32 => Dtype::F32,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            DType::I64 => Dtype::I64,
            DType::I32 => Dtype::I32,
            DType::I16 => Dtype::I16,
            DType::I8 => Dtype::I8,
            DType::U64 => Dtype::U64,
            DType::U32 => Dtype::U32,
            DType::U16 => Dtype::U16,
            DType::U8 => Dtype::U8,
            DType::Bool => Dtype::BOOL,
        };
        Self {
            shape: tensor.shape().to_vec(),
            dtype,
            values: Values::Torch(tensor),
        }
    }
}

/// Writes tensors as safetensors: to a temporary file that then takes the name, so that a reader never sees half.
///
/// # Errors
/// When the file cannot be written.
pub fn write_safetensors(
    path: &Path,
    tensors: &BTreeMap<String, ArrayD<f32>>,
) -> Result<(), WeightsError> {
    let bytes: Vec<(&String, &[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(name, values)| {
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            (name, values.shape(), bytes)
        })
        .collect();
    let broken = |source| WeightsError::Safetensors {
        path: path.to_owned(),
        source,
    };
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| {
            Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(broken)?;
    write_file(path, &safetensors::serialize(views, None).map_err(broken)?)
}

/// Writes a file under a temporary name beside its own, then renames it.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), WeightsError> {
    let io = |source| WeightsError::Io {
        path: path.to_owned(),
        source,
    };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.partial", std::process::id()));
    fs::write(&temporary, bytes).map_err(io)?;
    fs::rename(&temporary, path).map_err(io)
}

/// Reads a whole file.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, WeightsError> {
    fs::read(path).map_err(|source| WeightsError::Io {
        path: path.to_owned(),
        source,
    })
}

/// The name without what data-parallel training put in front.
fn own_name(name: &str) -> String {
    name.strip_prefix(PARALLEL_PREFIX)
        .unwrap_or(name)
        .to_owned()
}

/// Little-endian bytes to values.
fn convert<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|chunk| value(*chunk))
        .collect()
}

/// A pickled value as JSON; what JSON cannot say (arrays of numpy, classes) becomes null.
fn json(value: PickleValue) -> serde_json::Value {
    use serde_json::Value;
    match value {
        PickleValue::Bool(value) => Value::Bool(value),
        PickleValue::Int(value) => value.into(),
        PickleValue::Float(value) => value.into(),
        PickleValue::String(value) => Value::String(value),
        PickleValue::List(values) => values.into_iter().map(json).collect(),
        PickleValue::Dict(values) => values
            .into_iter()
            .map(|(name, value)| (name, json(value)))
            .collect(),
        PickleValue::None | PickleValue::Bytes(_) | PickleValue::Unsupported(_) => Value::Null,
    }
}

//! What can go wrong with weights on disk.

use std::path::PathBuf;

use thiserror::Error;

use crate::vqvae::VqVaeError;

/// An error of reading or writing weights.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A PyTorch checkpoint cannot be read.
    #[error("{}: not a PyTorch checkpoint, or a damaged one; if it was downloaded, download it again", path.display())]
    Torch {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: Box<pytorch_reader::PytorchError>,
    },
    /// A safetensors file cannot be read or written.
    #[error("{}: not a safetensors file, or a damaged one", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: safetensors::SafeTensorError,
    },
    /// A JSON file does not hold what it should.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A tensor has an element type that weights cannot have.
    #[error("tensor {name} holds {dtype} values, but weights must be floating point")]
    Type {
        /// Name of the tensor.
        name: String,
        /// Its element type.
        dtype: String,
    },
    /// A file lacks a tensor that was asked for.
    #[error("there is no tensor named {name} in {}", path.display())]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        name: String,
    },
    /// The tensors are not those of the model.
    #[error("{} does not hold the weights of this configuration{}", path.display(), mismatch(missing, unexpected, shapes))]
    Keys {
        /// The file.
        path: PathBuf,
        /// Names that the model has and the file lacks.
        missing: Vec<String>,
        /// Names that the file has and the model lacks.
        unexpected: Vec<String>,
        /// Tensors of another shape than the model's.
        shapes: Vec<String>,
    },
    /// Hyper-parameters do not describe a VQ-VAE.
    #[error("hyper-parameters: {field} is missing or is not {expected}")]
    Hps {
        /// Their name.
        field: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A file of a bundle is not the one that its manifest describes.
    #[error("{} is not the file that its manifest describes (sha256 {found} instead of {expected}); fetch the bundle again", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// The hash in the manifest.
        expected: String,
        /// The hash of the file.
        found: String,
    },
    /// A bundle is of another kind.
    #[error("{} is a bundle of kind {found:?}, but {expected:?} was asked for", path.display())]
    Kind {
        /// The bundle.
        path: PathBuf,
        /// What was asked for.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// The small VQ-VAE is not where it should be.
    #[error("no weights in {}; set JUKEBOX_WEIGHTS to the folder that contains mini-vqvae", folder.display())]
    NoMini {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The configuration cannot work.
    #[error(transparent)]
    Model(#[from] VqVaeError),
}

/// Names a few of each, so that the message stays readable when nothing matches.
fn mismatch(missing: &[String], unexpected: &[String], shapes: &[String]) -> String {
    const SHOWN: usize = 4;
    let list = |label: &str, names: &[String]| {
        if names.is_empty() {
            return String::new();
        }
        let more = match names.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let shown = names[..names.len().min(SHOWN)].join(", ");
        format!("; {label}: {shown}{more}")
    };
    list("missing", missing) + &list("unexpected", unexpected) + &list("of another shape", shapes)
}

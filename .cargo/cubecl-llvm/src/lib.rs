//! Stand-in for `cubecl-llvm`: the types that `cubecl-cuda` names, without the compiler behind them.
//!
//! The real crate downloads an LLVM bundle while it builds, so that neither an offline machine nor one without
//! CUDA could build us. We never use that compiler: with CubeCL's feature `cuda-cpp`, kernels are written as CUDA C++
//! and compiled by NVRTC at run time. Whoever asks this one to compile gets an error that says so.

use cubecl_core::ir::{DeviceProperties, nvidia::SmArch};
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::{compiler::CompilationError, kernel::BufferIOAttr};
use std::{ffi::c_char, fmt};

/// PTX dialects.
pub mod nvptx {
    /// The PTX version that a driver understands.
    pub mod ptx_version {
        use std::fmt;

        /// A driver's version, as the driver numbers it: 1000 × major + 10 × minor.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(i32);

        impl PtxVersion {
            /// The dialect of a CUDA driver, from CUDA 10 on.
            pub fn for_driver(driver: i32) -> Option<Self> {
                (driver >= 10_000).then_some(Self(driver))
            }
        }

        impl fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "driver {}", self.0)
            }
        }
    }
}

/// What the LLVM targets share.
pub mod shared {
    /// Features that a target takes away from a device.
    pub mod lowered_features {
        use super::super::DeviceProperties;

        /// A GPU target.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA's.
            Nvptx,
        }

        /// CUDA C++ restricts nothing.
        pub fn restrict_features(_properties: &mut DeviceProperties, _target: GpuTarget) {}
    }
}

/// An LLVM target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA's.
    Nvptx,
}

/// A compiled module: never made here.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// The PTX text, ending in a zero.
    pub ptx: Vec<c_char>,
    /// The kernel's name.
    pub entrypoint: String,
    /// The IR it came from.
    pub ir: String,
    /// Bytes of shared memory.
    pub shared_memory_size: usize,
    /// What each buffer is used for.
    pub io: Vec<BufferIOAttr>,
}

/// What the compiler hands back: never made here.
#[derive(Clone)]
pub enum PlironArtifact {
    /// NVIDIA code.
    NvptxCode(NvptxModule),
    /// Keeps matches on this type from being irrefutable, as they are not in the real crate.
    #[doc(hidden)]
    None,
}

impl fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no LLVM")
    }
}

/// Options of the compiler.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// The host's architecture.
    pub arch: Option<()>,
    /// The GPU's architecture.
    pub sm_arch: Option<SmArch>,
    /// The PTX dialect.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Whether constants go into the grid's constant memory.
    pub grid_constants: bool,
    /// Lets callers write `..Default::default()`, as they must with the real crate.
    #[doc(hidden)]
    pub _more: (),
}

/// The compiler, which only refuses.
#[derive(Clone, Debug)]
pub struct PlironCompiler {
    /// What it would compile for.
    pub target: LlvmTarget,
}

impl PlironCompiler {
    /// Refuses: there is no LLVM here.
    pub fn compile(&mut self, _kernel: KernelDefinition, _options: &PlironOptions) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "built without LLVM: enable CubeCL's feature `cuda-cpp`".into(),
            backtrace: BackTrace::capture(),
        })
    }

    /// The language this compiler writes.
    pub fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}

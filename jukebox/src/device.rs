//! The device that models run on.

use burn::tensor::Device;

/// The first CUDA device when built with feature `cuda` and a GPU is there, else the CPU.
///
/// A binary built with `cuda` that finds no GPU says so once, in one line on stderr. On the CPU, memory that tensors
/// leave behind is kept for the next ones from here on.
pub fn device() -> Device {
    #[cfg(feature = "cuda")]
    {
        use std::sync::Once;

        use burn::tensor::DeviceType;

        static FALLBACK: Once = Once::new();
        if !Device::enumerate(DeviceType::Cuda).is_empty() {
            return Device::cuda(0);
        }
        FALLBACK.call_once(|| eprintln!("jukebox: no CUDA device found, running on the CPU"));
    }
    crate::memory::keep_freed();
    Device::flex()
}

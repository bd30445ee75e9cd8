//! The names that published checkpoints give to parameters.

use crate::vqvae::VqVaeConfig;

/// The published name of a VQ-VAE parameter, from its path through our modules.
///
/// Published names number the layers of a sequence; ours say what a layer is.
pub(super) fn vqvae_key(path: &[String], config: &VqVaeConfig) -> String {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        // Encoder block: (strided convolution, residual network) × downs_t, then one convolution.
        ["encoders", l, "level_blocks", b, "downs", i, "conv", leaf] => {
            format!("encoders.{l}.level_blocks.{b}.model.{i}.0.{leaf}")
        }
        [
            "encoders",
            l,
            "level_blocks",
            b,
            "downs",
            i,
            "resnet",
            block @ ..,
        ] => {
            format!(
                "encoders.{l}.level_blocks.{b}.model.{i}.1.{}",
                resnet_key(block)
            )
        }
        ["encoders", l, "level_blocks", b, "out", leaf] => {
            let after_the_downs = config.downs_t[index(b)];
            format!("encoders.{l}.level_blocks.{b}.model.{after_the_downs}.{leaf}")
        }
        // Decoder block: one convolution, then (residual network, transposed convolution) × downs_t.
        ["decoders", l, "level_blocks", b, "input", leaf] => {
            format!("decoders.{l}.level_blocks.{b}.model.0.{leaf}")
        }
        [
            "decoders",
            l,
            "level_blocks",
            b,
            "ups",
            i,
            "resnet",
            block @ ..,
        ] => {
            format!(
                "decoders.{l}.level_blocks.{b}.model.{}.0.{}",
                index(i) + 1,
                resnet_key(block)
            )
        }
        ["decoders", l, "level_blocks", b, "ups", i, "conv", leaf] => {
            format!(
                "decoders.{l}.level_blocks.{b}.model.{}.1.{leaf}",
                index(i) + 1
            )
        }
        // The decoder's last convolution has the same name on both sides.
        _ => path.join("."),
    }
}

/// The name of the codebook of `level`. It is a buffer, not a parameter.
pub(super) fn codebook_key(level: usize) -> String {
    format!("bottleneck.level_blocks.{level}.k")
}

/// Inside a residual network, a block is (relu, dilated convolution, relu, pointwise convolution).
fn resnet_key(path: &[&str]) -> String {
    match path {
        ["blocks", j, "dilated", leaf] => format!("model.{j}.model.1.{leaf}"),
        ["blocks", j, "pointwise", leaf] => format!("model.{j}.model.3.{leaf}"),
        _ => path.join("."),
    }
}

fn index(name: &str) -> usize {
    name.parse()
        .expect("the modules of a list are named by their index")
}

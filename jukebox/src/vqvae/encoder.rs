//! Encoders: audio to one vector per code (paper §3.1, appendix B.1).

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::config::VqVaeConfig;
use crate::nn::{Conv1d, Conv1dConfig, Resnet1d};

/// Halves the length (for stride 2) and refines what is left.
#[derive(Module, Debug)]
struct Down {
    conv: Conv1d,
    resnet: Resnet1d,
}

/// Takes the signal from the resolution of one level to that of the next.
#[derive(Module, Debug)]
struct EncoderBlock {
    downs: Vec<Down>,
    out: Conv1d,
}

/// The encoder of one level: the blocks of all levels up to its own, with weights of their own.
#[derive(Module, Debug)]
pub struct Encoder {
    level_blocks: Vec<EncoderBlock>,
}

impl Encoder {
    /// An encoder for `level` with fresh weights.
    pub(super) fn new(config: &VqVaeConfig, level: usize, device: &Device) -> Self {
        let resnet = config.encoder_resnet(level);
        let level_blocks = (0..=level)
            .map(|block| {
                let stride = config.strides_t[block];
                let downs = (0..config.downs_t[block])
                    .map(|index| {
                        let channels_in = match (block, index) {
                            (0, 0) => 1,
                            (_, 0) => config.emb_width,
                            _ => resnet.width,
                        };
                        Down {
                            conv: Conv1dConfig::downsampling(channels_in, resnet.width, stride)
                                .init(device),
                            resnet: resnet.init(device),
                        }
                    })
                    .collect();
                EncoderBlock {
                    downs,
                    out: Conv1dConfig::same3(resnet.width, config.emb_width, 1).init(device),
                }
            })
            .collect();
        Self { level_blocks }
    }

    /// `[batch, 1, samples]` → `[batch, emb_width, codes]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.level_blocks.iter().fold(x, |x, block| {
            let x = block
                .downs
                .iter()
                .fold(x, |x, down| down.resnet.forward(down.conv.forward(x)));
            block.out.forward(x)
        })
    }

    /// The samples that a range of codes depends on. It may reach beyond the audio.
    pub fn sources(&self, codes: Range<isize>) -> Range<isize> {
        self.level_blocks.iter().rev().fold(codes, |needed, block| {
            let downs = block.downs.iter().rev();
            downs.fold(block.out.sources(needed), |needed, down| {
                down.conv.sources(down.resnet.sources(needed))
            })
        })
    }
}

//! Decoders: one vector per code to audio (paper §3.1, appendix B.1). The mirror image of the encoders.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::config::VqVaeConfig;
use crate::nn::{Conv1d, Conv1dConfig, ConvTranspose1d, ConvTranspose1dConfig, Resnet1d};

/// Refines, then doubles the length (for stride 2).
#[derive(Module, Debug)]
struct Up {
    resnet: Resnet1d,
    conv: ConvTranspose1d,
}

/// Takes the signal from the resolution of one level to that of the level below.
#[derive(Module, Debug)]
struct DecoderBlock {
    input: Conv1d,
    ups: Vec<Up>,
}

/// The decoder of one level: the blocks from its own level down to the bottom, with weights of their own.
#[derive(Module, Debug)]
pub struct Decoder {
    level_blocks: Vec<DecoderBlock>,
    out: Conv1d,
}

impl Decoder {
    /// A decoder for `level` with fresh weights.
    pub(super) fn new(config: &VqVaeConfig, level: usize, device: &Device) -> Self {
        let resnet = config.decoder_resnet(level);
        let level_blocks = (0..=level)
            .map(|block| {
                let (stride, downs) = (config.strides_t[block], config.downs_t[block]);
                let ups = (0..downs)
                    .map(|index| {
                        let last = index + 1 == downs;
                        let channels_out = if last { config.emb_width } else { resnet.width };
                        Up {
                            resnet: resnet.init(device),
                            conv: ConvTranspose1dConfig::upsampling(
                                resnet.width,
                                channels_out,
                                stride,
                            )
                            .init(device),
                        }
                    })
                    .collect();
                DecoderBlock {
                    input: Conv1dConfig::same3(config.emb_width, resnet.width, 1).init(device),
                    ups,
                }
            })
            .collect();
        Self {
            level_blocks,
            out: Conv1dConfig::same3(config.emb_width, 1, 1).init(device),
        }
    }

    /// `[batch, emb_width, codes]` → `[batch, 1, samples]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.level_blocks.iter().rev().fold(x, |x, block| {
            block.ups.iter().fold(block.input.forward(x), |x, up| {
                up.conv.forward(up.resnet.forward(x))
            })
        });
        self.out.forward(x)
    }

    /// The codes that a range of samples depends on. It may reach beyond the codes.
    pub fn sources(&self, samples: Range<isize>) -> Range<isize> {
        let needed = self.out.sources(samples);
        self.level_blocks.iter().fold(needed, |needed, block| {
            let ups = block.ups.iter().rev();
            let needed = ups.fold(needed, |needed, up| {
                up.resnet.sources(up.conv.sources(needed))
            });
            block.input.sources(needed)
        })
    }
}

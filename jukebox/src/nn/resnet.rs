//! The dilated residual network between the resampling convolutions (paper §3.1, appendix B.1).
//!
//! Each block looks three taps wide with a dilation that grows from block to block, so that a few blocks see far.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::conv::{Conv1d, Conv1dConfig};
use super::convolve::residual_block;

/// Depth, width and dilations of a [`Resnet1d`].
#[derive(Clone, Copy, Debug)]
pub struct Resnet1dConfig {
    /// Channels of the residual stream.
    pub width: usize,
    /// Number of residual blocks.
    pub depth: usize,
    /// Width inside a block, as a factor of `width`.
    pub m_conv: f64,
    /// The dilation grows by this factor from block to block.
    pub dilation_growth_rate: usize,
    /// The dilation starts over after this many blocks; `None`: never.
    pub dilation_cycle: Option<usize>,
    /// Run the block with the largest dilation first (decoders do).
    pub reverse_dilation: bool,
}

impl Resnet1dConfig {
    /// The blocks' dilations, in the order in which the blocks run.
    pub fn dilations(&self) -> Vec<usize> {
        let cycle = self.dilation_cycle.unwrap_or(usize::MAX);
        let mut dilations: Vec<usize> = (0..self.depth)
            .map(|index| self.dilation_growth_rate.pow((index % cycle) as u32))
            .collect();
        if self.reverse_dilation {
            dilations.reverse();
        }
        dilations
    }

    /// Channels between the two convolutions of a block.
    pub fn hidden(&self) -> usize {
        (self.m_conv * self.width as f64) as usize
    }

    /// A network with fresh weights.
    pub fn init(&self, device: &Device) -> Resnet1d {
        let blocks = self
            .dilations()
            .into_iter()
            .map(|dilation| ResBlock {
                dilated: Conv1dConfig::same3(self.width, self.hidden(), dilation).init(device),
                pointwise: Conv1dConfig::pointwise(self.hidden(), self.width).init(device),
            })
            .collect();
        Resnet1d { blocks }
    }
}

/// One residual block: `x + pointwise(relu(dilated(relu(x))))`.
#[derive(Module, Debug)]
pub struct ResBlock {
    dilated: Conv1d,
    pointwise: Conv1d,
}

impl ResBlock {
    /// `[batch, width, time]` → the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        residual_block(
            x,
            self.dilated.filter(),
            self.pointwise.filter(),
            self.dilated.dilation,
        )
    }
}

/// Residual blocks one after the other.
#[derive(Module, Debug)]
pub struct Resnet1d {
    blocks: Vec<ResBlock>,
}

impl Resnet1d {
    /// `[batch, width, time]` → the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.blocks.iter().fold(x, |x, block| block.forward(x))
    }

    /// The part of the input, in time steps, that a part of the output depends on.
    pub fn sources(&self, output: Range<isize>) -> Range<isize> {
        let blocks = self.blocks.iter().rev();
        blocks.fold(output, |needed, block| block.dilated.sources(needed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(depth: usize, cycle: Option<usize>, reverse: bool) -> Resnet1dConfig {
        Resnet1dConfig {
            width: 4,
            depth,
            m_conv: 0.5,
            dilation_growth_rate: 3,
            dilation_cycle: cycle,
            reverse_dilation: reverse,
        }
    }

    #[test]
    fn dilations_grow_start_over_and_reverse() {
        assert_eq!(config(4, None, false).dilations(), [1, 3, 9, 27]);
        assert_eq!(config(3, Some(2), false).dilations(), [1, 3, 1]);
        assert_eq!(config(3, None, true).dilations(), [9, 3, 1]);
    }

    #[test]
    fn sources_add_up_over_the_blocks() {
        let network = config(4, None, true).init(&Device::flex());
        assert_eq!(network.sources(100..101), 60..141);
    }

    #[test]
    fn the_length_is_kept() {
        let device = Device::flex();
        let y = config(3, None, false)
            .init(&device)
            .forward(Tensor::ones([2, 4, 11], &device));
        assert_eq!(y.dims(), [2, 4, 11]);
    }
}

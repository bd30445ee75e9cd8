//! One-dimensional convolutions over `[batch, channels, time]`.
//!
//! Every convolution of the project goes through this file, and from here through [`convolve`](super::convolve), which is
//! fast on the CPU. Weights have PyTorch's layout and PyTorch's default initialisation, because published
//! weights have that layout and the published training recipe relies on that initialisation.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, Tensor};

use super::convolve::{Filter, conv_transpose1d, conv1d};

/// Shape and arithmetic of a [`Conv1d`].
#[derive(Clone, Copy, Debug)]
pub struct Conv1dConfig {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Taps of the kernel.
    pub kernel: usize,
    /// Samples between two outputs.
    pub stride: usize,
    /// Zeros put before and after the input, in samples.
    pub padding: usize,
    /// Samples between two taps.
    pub dilation: usize,
}

impl Conv1dConfig {
    /// A kernel of three taps that keeps the length: the convolution at the ends of each encoder and decoder block.
    pub fn same3(channels_in: usize, channels_out: usize, dilation: usize) -> Self {
        Self {
            channels_in,
            channels_out,
            kernel: 3,
            stride: 1,
            padding: dilation,
            dilation,
        }
    }

    /// One tap: a linear map of the channels at every time step.
    pub fn pointwise(channels_in: usize, channels_out: usize) -> Self {
        Self {
            channels_in,
            channels_out,
            kernel: 1,
            stride: 1,
            padding: 0,
            dilation: 1,
        }
    }

    /// Divides the length by an even `stride`, with a kernel of twice the stride.
    pub fn downsampling(channels_in: usize, channels_out: usize, stride: usize) -> Self {
        Self {
            channels_in,
            channels_out,
            kernel: 2 * stride,
            stride,
            padding: stride / 2,
            dilation: 1,
        }
    }

    /// A convolution with fresh weights, uniform within ±1/√fan_in.
    pub fn init(&self, device: &Device) -> Conv1d {
        let fan_in = self.channels_in * self.kernel;
        Conv1d {
            weight: uniform_fan_in(
                [self.channels_out, self.channels_in, self.kernel],
                fan_in,
                device,
            ),
            bias: uniform_fan_in([self.channels_out], fan_in, device),
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
        }
    }
}

/// A one-dimensional convolution with bias.
#[derive(Module, Debug)]
pub struct Conv1d {
    /// `[channels_out, channels_in, kernel]`.
    pub weight: Param<Tensor<3>>,
    /// `[channels_out]`.
    pub bias: Param<Tensor<1>>,
    stride: usize,
    padding: usize,
    pub(super) dilation: usize,
}

impl Conv1d {
    /// Weight and bias as they are now.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            weight: self.weight.val(),
            bias: self.bias.val(),
        }
    }

    /// `[batch, channels_in, time]` → `[batch, channels_out, time / stride]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        conv1d(
            x,
            weight,
            Some(bias),
            self.stride,
            self.padding,
            self.dilation,
        )
    }

    /// The part of the input, in time steps, that a part of the output depends on. It may reach beyond the input, where
    /// the convolution reads zeros.
    pub fn sources(&self, output: Range<isize>) -> Range<isize> {
        let [_, _, kernel] = self.weight.dims();
        let (stride, padding) = (self.stride as isize, self.padding as isize);
        let reach = ((kernel - 1) * self.dilation) as isize;
        output.start * stride - padding..(output.end - 1) * stride - padding + reach + 1
    }
}

/// Shape and arithmetic of a [`ConvTranspose1d`].
#[derive(Clone, Copy, Debug)]
pub struct ConvTranspose1dConfig {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Taps of the kernel.
    pub kernel: usize,
    /// Outputs for each input.
    pub stride: usize,
    /// Samples cut from both ends of the output.
    pub padding: usize,
}

impl ConvTranspose1dConfig {
    /// Multiplies the length by an even `stride`: the mirror image of [`Conv1dConfig::downsampling`].
    pub fn upsampling(channels_in: usize, channels_out: usize, stride: usize) -> Self {
        Self {
            channels_in,
            channels_out,
            kernel: 2 * stride,
            stride,
            padding: stride / 2,
        }
    }

    /// A transposed convolution with fresh weights. As in PyTorch, the fan-in is counted on the output's channels.
    pub fn init(&self, device: &Device) -> ConvTranspose1d {
        let fan_in = self.channels_out * self.kernel;
        ConvTranspose1d {
            weight: uniform_fan_in(
                [self.channels_in, self.channels_out, self.kernel],
                fan_in,
                device,
            ),
            bias: uniform_fan_in([self.channels_out], fan_in, device),
            stride: self.stride,
            padding: self.padding,
        }
    }
}

/// A one-dimensional transposed convolution with bias.
#[derive(Module, Debug)]
pub struct ConvTranspose1d {
    /// `[channels_in, channels_out, kernel]`.
    pub weight: Param<Tensor<3>>,
    /// `[channels_out]`.
    pub bias: Param<Tensor<1>>,
    stride: usize,
    padding: usize,
}

impl ConvTranspose1d {
    /// `[batch, channels_in, time]` → `[batch, channels_out, time · stride]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        conv_transpose1d(x, weight, Some(bias), self.stride, self.padding)
    }

    /// The part of the input, in time steps, that a part of the output depends on. It may reach beyond the input.
    pub fn sources(&self, output: Range<isize>) -> Range<isize> {
        let [_, _, kernel] = self.weight.dims();
        let (stride, padding) = (self.stride as isize, self.padding as isize);
        // Input i reaches the outputs from i · stride − padding on, as many as the kernel has taps.
        let first = output.start + padding - (kernel as isize - 1);
        let last = output.end - 1 + padding;
        -(-first).div_euclid(stride)..last.div_euclid(stride) + 1
    }
}

/// PyTorch's default for weights and biases of convolutions.
fn uniform_fan_in<const D: usize>(
    shape: [usize; D],
    fan_in: usize,
    device: &Device,
) -> Param<Tensor<D>> {
    let bound = 1.0 / (fan_in as f64).sqrt();
    Param::from_tensor(Tensor::random(
        shape,
        Distribution::Uniform(-bound, bound),
        device,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which inputs change when one output is asked for, by trying: the gradient of that output.
    fn gradient_support(
        forward: impl Fn(Tensor<3>) -> Tensor<3>,
        time: usize,
        output: usize,
    ) -> Range<isize> {
        let device = Device::flex().autodiff();
        let x = Tensor::<3>::ones([1, 1, time], &device).require_grad();
        let gradients = forward(x.clone()).narrow(2, output, 1).sum().backward();
        let gradient = x.grad(&gradients).unwrap().into_data();
        let touched: Vec<isize> = gradient
            .iter::<f32>()
            .enumerate()
            .filter_map(|(index, value)| (value != 0.0).then_some(index as isize))
            .collect();
        touched[0]..touched[touched.len() - 1] + 1
    }

    #[test]
    fn sources_are_the_inputs_with_a_gradient() {
        let device = Device::flex().autodiff();
        for (stride, dilation) in [(2, 1), (4, 1), (1, 1), (1, 9)] {
            let config = match stride {
                1 => Conv1dConfig::same3(1, 1, dilation),
                _ => Conv1dConfig::downsampling(1, 1, stride),
            };
            let conv = config.init(&device);
            let found = gradient_support(|x| conv.forward(x), 128, 20);
            let expected = conv.sources(20..21);
            assert_eq!(
                found,
                expected.start.max(0)..expected.end,
                "stride {stride}, dilation {dilation}"
            );
        }
        for stride in [2, 4] {
            let conv = ConvTranspose1dConfig::upsampling(1, 1, stride).init(&device);
            for output in 12..20 {
                let found = gradient_support(|x| conv.forward(x), 16, output);
                assert_eq!(
                    found,
                    conv.sources(output as isize..output as isize + 1),
                    "stride {stride}"
                );
            }
        }
    }
}

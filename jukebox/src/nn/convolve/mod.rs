//! One-dimensional convolutions that are fast on the CPU.
//!
//! Burn's own convolution takes two to three times PyTorch's time to train on a CPU; these take a third to a fifth of
//! Burn's (`cargo run --release -p jukebox-examples --example conv` shows both). On the CPU backend they run the kernels of
//! this folder, as an operation of our own with gradients; on any other backend the same functions call Burn's.
//!
//! On the CPU an output sample is always the same sum in the same order, whatever surrounds it: chunks of a signal
//! give the same bits as the whole.

mod contract;
mod correlate;
mod gather;
mod kernels;
mod op;
mod residual;

use burn::backend::Dispatch;
use burn::tensor::module;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{DType, Device, Tensor, activation};

use kernels::Geometry;
use op::{Convolve, Direction};
use residual::{Block, Residual};

/// Convolution: `x` `[batch, in, time]`, `weight` `[out, in, kernel]` → `[batch, out, time']`, where
/// `time' = (time + 2·padding - dilation·(kernel - 1) - 1) / stride + 1`, rounded down.
///
/// # Panics
///
/// Where the shapes disagree, or the padded input is shorter than the kernel.
pub fn conv1d(
    x: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> Tensor<3> {
    let [narrow_channels, wide_channels, kernel] = weight.dims();
    let geometry = Geometry {
        wide_channels,
        narrow_channels,
        kernel,
        stride,
        padding,
        dilation,
    };
    if !ours(&x, &geometry) {
        return module::conv1d(
            x,
            weight,
            bias,
            ConvOptions::new([stride], [padding], [dilation], 1),
        );
    }
    let [_, channels, time] = x.dims();
    assert_eq!(
        channels, wide_channels,
        "conv1d: the input has {channels} channels, the weight takes {wide_channels}"
    );
    let reach = dilation * (kernel - 1) + 1;
    assert!(
        time + 2 * padding >= reach,
        "conv1d: {time} samples padded by {padding} are shorter than the kernel, {reach}"
    );
    run(
        x,
        weight,
        bias,
        narrow_channels,
        Direction::Forward(geometry),
    )
}

/// Transposed convolution: `x` `[batch, in, time]`, `weight` `[in, out, kernel]` → `[batch, out, time']`, where
/// `time' = (time - 1)·stride + kernel - 2·padding`.
///
/// # Panics
///
/// Where the shapes disagree, or nothing is left of the output once `padding` is cut off at both ends.
pub fn conv_transpose1d(
    x: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<3> {
    let [narrow_channels, wide_channels, kernel] = weight.dims();
    let geometry = Geometry {
        wide_channels,
        narrow_channels,
        kernel,
        stride,
        padding,
        dilation: 1,
    };
    if !ours(&x, &geometry) {
        let options = ConvTransposeOptions::new([stride], [padding], [0], [1], 1);
        return module::conv_transpose1d(x, weight, bias, options);
    }
    let [_, channels, time] = x.dims();
    assert_eq!(
        channels, narrow_channels,
        "conv_transpose1d: the input has {channels} channels, the weight takes {narrow_channels}"
    );
    let whole = (time - 1) * stride + kernel;
    assert!(
        whole > 2 * padding,
        "conv_transpose1d: cutting {padding} from both ends of {whole} samples leaves nothing"
    );
    run(
        x,
        weight,
        bias,
        wide_channels,
        Direction::Transposed(geometry),
    )
}

/// A convolution's weight `[out, in, kernel]` and bias `[out]`.
#[derive(Debug, Clone)]
pub struct Filter {
    pub weight: Tensor<3>,
    pub bias: Tensor<1>,
}

/// The residual block `x + pointwise(relu(dilated(relu(x))))`: `x` `[batch, width, time]` → the same shape, with
/// `dilated.weight` `[hidden, width, 3]`, padded to keep the length, and `pointwise.weight` `[width, hidden, 1]`.
///
/// # Panics
///
/// Where the shapes disagree.
pub fn residual_block(
    x: Tensor<3>,
    dilated: Filter,
    pointwise: Filter,
    dilation: usize,
) -> Tensor<3> {
    let [hidden, width, kernel] = dilated.weight.dims();
    assert!(
        kernel == 3 && x.dims()[1] == width,
        "residual_block: three taps for each of the input's channels"
    );
    assert_eq!(
        pointwise.weight.dims(),
        [width, hidden, 1],
        "residual_block: the second weight undoes the first's widths"
    );
    assert_eq!(
        [dilated.bias.dims(), pointwise.bias.dims()],
        [[hidden], [width]],
        "residual_block: one bias per output channel"
    );
    let geometry = |wide_channels, narrow_channels, kernel, dilation| Geometry {
        wide_channels,
        narrow_channels,
        kernel,
        stride: 1,
        padding: dilation * (kernel - 1) / 2,
        dilation,
    };
    let block = Block {
        dilated: geometry(width, hidden, 3, dilation),
        pointwise: geometry(hidden, width, 1, 1),
    };
    if !ours(&x, &block.dilated) {
        let read = conv1d(
            activation::relu(x.clone()),
            dilated.weight,
            Some(dilated.bias),
            1,
            dilation,
            dilation,
        );
        return x + conv1d(
            activation::relu(read),
            pointwise.weight,
            Some(pointwise.bias),
            1,
            0,
            1,
        );
    }
    Tensor::from_dispatch(Dispatch::residual(
        x.into_dispatch(),
        dilated.weight.into_dispatch(),
        dilated.bias.into_dispatch(),
        pointwise.weight.into_dispatch(),
        pointwise.bias.into_dispatch(),
        block,
    ))
}

/// Whether the kernels of this folder can do it: single precision on the CPU.
fn ours(x: &Tensor<3>, geometry: &Geometry) -> bool {
    x.device() == Device::flex()
        && x.dtype() == DType::F32
        && geometry.supported()
        && x.shape().num_elements() > 0
}

fn run(
    x: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    channels: usize,
    direction: Direction,
) -> Tensor<3> {
    let bias = bias.unwrap_or_else(|| Tensor::zeros([channels], &x.device()));
    assert_eq!(
        bias.dims(),
        [channels],
        "convolution: one bias for each output channel"
    );
    let (x, weight, bias) = (
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    );
    Tensor::from_dispatch(Dispatch::convolve(x, weight, bias, direction))
}

#[cfg(test)]
mod tests;

//! One-dimensional convolutions and their gradients on plain slices: what each of them is in terms of
//! [`correlate`](super::correlate) and [`contract`](super::contract).
//!
//! Signals are `[batch, channels, time]`. Weights are laid out as PyTorch lays them out.

use super::contract::{Sums, contract};
use super::correlate::{Finish, Target, Weights, correlate};
use super::gather::{Signal, Taps};

/// The geometry of a convolution, or of the transposed convolution that runs it backwards.
///
/// It maps `wide` signals (`[batch, wide channels, wide time]`, the input of a convolution) to `narrow` ones
/// (the output, fewer samples where the stride is above 1): `narrow[o, q] = Σ_i Σ_k weight[o, i, k] ·
/// wide[i, q · stride + k · dilation - padding]`, with weights `[narrow channels, wide channels, kernel]`. A transposed
/// convolution takes narrow signals to wide ones with the same weights, which is PyTorch's `[in, out, kernel]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    pub wide_channels: usize,
    pub narrow_channels: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    pub dilation: usize,
}

impl Geometry {
    /// Samples that `wide` samples are taken to.
    pub fn narrow_time(&self, wide: usize) -> usize {
        (wide + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) / self.stride + 1
    }

    /// Samples that a transposed convolution takes `narrow` samples to.
    pub fn wide_time(&self, narrow: usize) -> usize {
        (narrow - 1) * self.stride + self.dilation * (self.kernel - 1) + 1 - 2 * self.padding
    }

    /// Whether these kernels cover it: a stride and a dilation at once are nobody's use.
    pub fn supported(&self) -> bool {
        self.stride == 1 || self.dilation == 1
    }

    /// Where narrow sample `q` looks in the wide signal.
    fn taps(&self) -> Taps {
        let offsets = (0..self.kernel)
            .map(|k| (k * self.dilation) as isize - self.padding as isize)
            .collect();
        Taps {
            step: self.stride,
            offsets,
        }
    }

    fn weight(&self, weights: &[f32], narrow: usize, wide: usize, k: usize) -> f32 {
        weights[(narrow * self.wide_channels + wide) * self.kernel + k]
    }
}

/// Wide to narrow: the output of a convolution, or the gradient of a transposed convolution's input.
pub fn to_narrow(
    geometry: &Geometry,
    wide: &Signal,
    weights: &[f32],
    bias: Option<&[f32]>,
    finish: Finish,
) -> Vec<f32> {
    let kernel = geometry.kernel;
    let weights = Weights::new(
        geometry.narrow_channels,
        geometry.wide_channels * kernel,
        |narrow, term| geometry.weight(weights, narrow, term / kernel, term % kernel),
        |narrow| bias.map_or(0.0, |bias| bias[narrow]),
    );
    let time = geometry.narrow_time(wide.time);
    let target = Target {
        channels: geometry.narrow_channels,
        time,
        phases: 1,
        shift: 0,
        finish,
    };
    correlate(wide, &geometry.taps(), &weights, &target)
}

/// Narrow to wide: the output of a transposed convolution, or the gradient of a convolution's input. `time` samples
/// come out: a convolution of stride above 1 may have left some at the end unread, so `narrow` alone does not say.
///
/// Wide sample `u` hears narrow sample `q` through tap `k` where `u + padding = q · stride + k · dilation`. With a stride, the
/// taps that reach `u` depend on its phase `(u + padding) mod stride` alone: one row of weights per phase.
pub fn to_wide(
    geometry: &Geometry,
    narrow: &Signal,
    time: usize,
    weights: &[f32],
    bias: Option<&[f32]>,
    finish: Finish,
) -> Vec<f32> {
    let Geometry {
        wide_channels,
        narrow_channels,
        kernel,
        stride,
        padding,
        dilation,
    } = *geometry;
    let taps_per_phase = kernel.div_ceil(stride);
    let ahead = (padding / stride) as isize;
    let taps = Taps {
        step: 1,
        offsets: (0..taps_per_phase)
            .map(|j| ahead - (j * dilation) as isize)
            .collect(),
    };
    let weights = Weights::new(
        wide_channels * stride,
        narrow_channels * taps_per_phase,
        |row, term| {
            let k = row % stride + term % taps_per_phase * stride;
            if k < kernel {
                geometry.weight(weights, term / taps_per_phase, row / stride, k)
            } else {
                0.0
            }
        },
        |row| bias.map_or(0.0, |bias| bias[row / stride]),
    );
    let target = Target {
        channels: wide_channels,
        time,
        phases: stride,
        shift: padding % stride,
        finish,
    };
    correlate(narrow, &taps, &weights, &target)
}

/// Gradient of the weights, `[narrow channels, wide channels, kernel]`, and the sum of each narrow channel, which is the
/// gradient of a convolution's bias where `narrow` is the gradient of its output.
pub fn weight_gradient(geometry: &Geometry, narrow: &Signal, wide: &Signal) -> Sums {
    contract(narrow, wide, &geometry.taps())
}

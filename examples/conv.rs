//! How long a convolution takes on the CPU: ours beside Burn's own, for the shapes of the VQ-VAE's layers.
//!
//! `cargo run --release -p jukebox-examples --example conv`
//!
//! The two take turns, so that whatever else the machine is doing weighs on both; the ratio is the figure to trust.

use std::time::Instant;

use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{Distribution, Tensor, module};
use jukebox::nn::convolve::{conv_transpose1d, conv1d};

/// Runs of each; the median is shown.
const RUNS: usize = 9;

enum Layer {
    /// Kernel 3 with this dilation.
    Dilated(usize),
    /// Kernel 1.
    Pointwise,
    /// Kernel 4, half the samples.
    Down,
    /// Kernel 4, twice the samples.
    Up,
}

/// Name, layer, channels in and out, samples in; batch 4.
const LAYERS: [(&str, Layer, usize, usize, usize); 11] = [
    ("first down", Layer::Down, 1, 32, 65_536),
    ("down", Layer::Down, 32, 32, 32_768),
    ("residual, dilation 1", Layer::Dilated(1), 32, 32, 32_768),
    ("residual, dilation 27", Layer::Dilated(27), 32, 32, 32_768),
    ("residual, pointwise", Layer::Pointwise, 32, 32, 32_768),
    ("to the codebook", Layer::Dilated(1), 32, 64, 8_192),
    ("from the codebook", Layer::Dilated(1), 64, 32, 8_192),
    ("up", Layer::Up, 32, 32, 16_384),
    ("last up", Layer::Up, 32, 64, 32_768),
    ("out", Layer::Dilated(1), 64, 1, 65_536),
    (
        "published, dilation 2187",
        Layer::Dilated(2187),
        64,
        64,
        32_768,
    ),
];

impl Layer {
    fn weight(&self, channels_in: usize, channels_out: usize) -> [usize; 3] {
        match self {
            Layer::Dilated(_) => [channels_out, channels_in, 3],
            Layer::Pointwise => [channels_out, channels_in, 1],
            Layer::Down => [channels_out, channels_in, 4],
            Layer::Up => [channels_in, channels_out, 4],
        }
    }

    fn ours(&self, x: Tensor<3>, weight: Tensor<3>, bias: Tensor<1>) -> Tensor<3> {
        match *self {
            Layer::Dilated(dilation) => conv1d(x, weight, Some(bias), 1, dilation, dilation),
            Layer::Pointwise => conv1d(x, weight, Some(bias), 1, 0, 1),
            Layer::Down => conv1d(x, weight, Some(bias), 2, 1, 1),
            Layer::Up => conv_transpose1d(x, weight, Some(bias), 2, 1),
        }
    }

    fn burns(&self, x: Tensor<3>, weight: Tensor<3>, bias: Tensor<1>) -> Tensor<3> {
        let options =
            |stride, padding, dilation| ConvOptions::new([stride], [padding], [dilation], 1);
        match *self {
            Layer::Dilated(dilation) => {
                module::conv1d(x, weight, Some(bias), options(1, dilation, dilation))
            }
            Layer::Pointwise => module::conv1d(x, weight, Some(bias), options(1, 0, 1)),
            Layer::Down => module::conv1d(x, weight, Some(bias), options(2, 1, 1)),
            Layer::Up => {
                let options = ConvTransposeOptions::new([2], [1], [0], [1], 1);
                module::conv_transpose1d(x, weight, Some(bias), options)
            }
        }
    }
}

fn main() {
    let device = jukebox::device();
    println!("batch 4; milliseconds, median of {RUNS}; ours / Burn's");
    println!(
        "{:26} {:>24} {:>32}",
        "layer", "forward", "forward + backward"
    );
    for (name, layer, channels_in, channels_out, time) in LAYERS {
        let random = |shape| Tensor::<3>::random(shape, Distribution::Uniform(-1.0, 1.0), &device);
        let (x, weight) = (
            random([4, channels_in, time]),
            random(layer.weight(channels_in, channels_out)),
        );
        let bias = Tensor::<1>::zeros([channels_out], &device);
        let tracked = device.clone().autodiff();
        let (tx, tw) = (
            Tensor::from_data(x.to_data(), &tracked),
            Tensor::from_data(weight.to_data(), &tracked),
        );
        let tb = Tensor::<1>::zeros([channels_out], &tracked);
        let backward = |run: &dyn Fn(Tensor<3>, Tensor<3>, Tensor<1>) -> Tensor<3>| {
            let (x, w, b) = (
                tx.clone().require_grad(),
                tw.clone().require_grad(),
                tb.clone().require_grad(),
            );
            run(x, w, b).sum().backward();
        };
        let forward = side_by_side(
            || drop(layer.ours(x.clone(), weight.clone(), bias.clone())),
            || drop(layer.burns(x.clone(), weight.clone(), bias.clone())),
        );
        let both = side_by_side(
            || backward(&|x, w, b| layer.ours(x, w, b)),
            || backward(&|x, w, b| layer.burns(x, w, b)),
        );
        let show =
            |[ours, burns]: [f64; 2]| format!("{ours:8.1} / {burns:8.1} = 1/{:4.1}", burns / ours);
        println!("{name:26} {} {}", show(forward), show(both));
    }
}

/// Median milliseconds of each, taking turns.
fn side_by_side(ours: impl Fn(), burns: impl Fn()) -> [f64; 2] {
    let time = |run: &dyn Fn()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1e3
    };
    let runs: Vec<[f64; 2]> = (0..RUNS).map(|_| [time(&ours), time(&burns)]).collect();
    [0, 1].map(|side| {
        let mut times: Vec<f64> = runs.iter().map(|run| run[side]).collect();
        times.sort_by(f64::total_cmp);
        times[RUNS / 2]
    })
}

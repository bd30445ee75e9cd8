//! Our convolutions against Burn's: results, gradients, and what Burn's do not promise: the same bits for any cut.

use burn::tensor::{Distribution, Tolerance};

use super::*;

/// One convolution: batch, in and out channels, time, kernel, stride, padding, dilation.
type Case = (usize, usize, usize, usize, usize, usize, usize, usize);

const CONVOLUTIONS: [Case; 14] = [
    (1, 1, 1, 8, 3, 1, 1, 1),
    (3, 2, 5, 37, 3, 1, 1, 1),
    (1, 32, 32, 1000, 3, 1, 9, 9),
    (2, 8, 7, 100, 3, 1, 243, 243),
    (1, 4, 3, 8, 3, 1, 2187, 2187),
    (1, 1, 32, 3001, 4, 2, 1, 1),
    (3, 32, 32, 333, 4, 2, 1, 1),
    (2, 6, 10, 131, 8, 4, 2, 1),
    (2, 3, 2, 99, 12, 6, 3, 1),
    (1, 64, 1, 5000, 3, 1, 1, 1),
    (3, 64, 32, 211, 1, 1, 0, 1),
    (1, 128, 20, 49, 3, 1, 1, 1),
    (1, 17, 33, 96, 3, 1, 0, 1),
    (1, 5, 4, 10, 4, 2, 0, 1),
];

const TRANSPOSED: [Case; 7] = [
    (1, 1, 1, 8, 4, 2, 1, 1),
    (3, 32, 32, 333, 4, 2, 1, 1),
    (1, 32, 64, 1000, 4, 2, 1, 1),
    (2, 6, 10, 31, 8, 4, 2, 1),
    (2, 3, 5, 99, 12, 6, 3, 1),
    (1, 64, 1, 1601, 4, 2, 1, 1),
    (1, 7, 9, 2, 4, 2, 0, 1),
];

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)
}

/// Output and gradients of `x`, `weight`, `bias` for a loss that weighs every output differently.
fn with_gradients(
    [x, weight]: [&Tensor<3>; 2],
    bias: &Tensor<1>,
    weigh: &Tensor<3>,
    run: impl Fn(Tensor<3>, Tensor<3>, Option<Tensor<1>>) -> Tensor<3>,
) -> (Tensor<3>, [Tensor<3>; 2], Tensor<1>) {
    let (x, weight, bias) = (
        x.clone().require_grad(),
        weight.clone().require_grad(),
        bias.clone().require_grad(),
    );
    let y = run(x.clone(), weight.clone(), Some(bias.clone()));
    let grads = (y.clone() * weigh.clone()).sum().backward();
    let of = |t: &Tensor<3>| t.grad(&grads).expect("a gradient");
    (
        y.inner(),
        [of(&x), of(&weight)],
        bias.grad(&grads).expect("a gradient"),
    )
}

fn same<const D: usize>(ours: Tensor<D>, burns: Tensor<D>) {
    // Sums of up to 5,000 products of values below one, in another order.
    ours.into_data()
        .assert_approx_eq::<f32>(&burns.into_data(), Tolerance::rel_abs(1e-4, 2e-4));
}

#[test]
fn convolutions_and_their_gradients_are_burns() {
    let device = Device::flex().autodiff();
    for (batch, channels_in, channels_out, time, kernel, stride, padding, dilation) in CONVOLUTIONS
    {
        let (x, weight) = (
            random([batch, channels_in, time], &device),
            random([channels_out, channels_in, kernel], &device),
        );
        let bias = random([channels_out], &device);
        let burns = |x, w, b| {
            module::conv1d(
                x,
                w,
                b,
                ConvOptions::new([stride], [padding], [dilation], 1),
            )
        };
        let ours = |x, w, b| conv1d(x, w, b, stride, padding, dilation);
        let weigh = random(burns(x.clone(), weight.clone(), None).dims(), &device);
        let expected = with_gradients([&x, &weight], &bias, &weigh, burns);
        let found = with_gradients([&x, &weight], &bias, &weigh, ours);
        same(found.0, expected.0);
        found
            .1
            .into_iter()
            .zip(expected.1)
            .for_each(|(found, expected)| same(found, expected));
        same(found.2, expected.2);
    }
}

#[test]
fn transposed_convolutions_and_their_gradients_are_burns() {
    let device = Device::flex().autodiff();
    for (batch, channels_in, channels_out, time, kernel, stride, padding, _) in TRANSPOSED {
        let (x, weight) = (
            random([batch, channels_in, time], &device),
            random([channels_in, channels_out, kernel], &device),
        );
        let bias = random([channels_out], &device);
        let burns = |x, w, b| {
            module::conv_transpose1d(
                x,
                w,
                b,
                ConvTransposeOptions::new([stride], [padding], [0], [1], 1),
            )
        };
        let ours = |x, w, b| conv_transpose1d(x, w, b, stride, padding);
        let weigh = random(burns(x.clone(), weight.clone(), None).dims(), &device);
        let expected = with_gradients([&x, &weight], &bias, &weigh, burns);
        let found = with_gradients([&x, &weight], &bias, &weigh, ours);
        same(found.0, expected.0);
        found
            .1
            .into_iter()
            .zip(expected.1)
            .for_each(|(found, expected)| same(found, expected));
        same(found.2, expected.2);
    }
}

#[test]
fn a_residual_block_and_its_gradients_are_burns() {
    let device = Device::flex().autodiff();
    for (batch, width, hidden, time, dilation) in
        [(1, 3, 5, 40, 1), (3, 32, 32, 777, 27), (2, 8, 4, 100, 243)]
    {
        let shapes = [[batch, width, time], [hidden, width, 3], [width, hidden, 1]];
        let tensors = shapes.map(|shape| random(shape, &device));
        let biases = [hidden, width].map(|channels| random([channels], &device));
        let weigh = random([batch, width, time], &device);
        let run = |block: &dyn Fn(Tensor<3>, Filter, Filter) -> Tensor<3>| {
            let [x, first, second] = tensors.clone().map(Tensor::require_grad);
            let [first_bias, second_bias] = biases.clone().map(Tensor::require_grad);
            let y = block(
                x.clone(),
                Filter {
                    weight: first.clone(),
                    bias: first_bias.clone(),
                },
                Filter {
                    weight: second.clone(),
                    bias: second_bias.clone(),
                },
            );
            let grads = (y.clone() * weigh.clone()).sum().backward();
            let of_three =
                [x, first, second].map(|tensor| tensor.grad(&grads).expect("a gradient"));
            let of_biases =
                [first_bias, second_bias].map(|bias| bias.grad(&grads).expect("a gradient"));
            (y.inner(), of_three, of_biases)
        };
        let found = run(&|x, first, second| residual_block(x, first, second, dilation));
        let expected = run(&|x, first, second| {
            let options = |dilation, padding| ConvOptions::new([1], [padding], [dilation], 1);
            let hidden = activation::relu(x.clone());
            let hidden = module::conv1d(
                hidden,
                first.weight,
                Some(first.bias),
                options(dilation, dilation),
            );
            x + module::conv1d(
                activation::relu(hidden),
                second.weight,
                Some(second.bias),
                options(1, 0),
            )
        });
        same(found.0, expected.0);
        found
            .1
            .into_iter()
            .zip(expected.1)
            .for_each(|(found, expected)| same(found, expected));
        found
            .2
            .into_iter()
            .zip(expected.2)
            .for_each(|(found, expected)| same(found, expected));
    }
}

#[test]
fn views_are_read_as_they_are_shown() {
    let device = Device::flex();
    // [batch, time, channels] turned to [batch, channels, time] without a copy, and only some of its time.
    let x = random::<3>([2, 50, 3], &device)
        .swap_dims(1, 2)
        .slice([0..2, 0..3, 5..45]);
    let weight = random([3, 4, 3], &device).swap_dims(0, 1);
    let burns = module::conv1d(
        x.clone(),
        weight.clone(),
        None,
        ConvOptions::new([1], [1], [1], 1),
    );
    same(conv1d(x, weight, None, 1, 1, 1), burns);
}

#[test]
fn a_piece_gives_the_same_bits_as_the_whole() {
    let device = Device::flex();
    let (x, weight) = (
        random::<3>([1, 24, 4099], &device),
        random([20, 24, 3], &device),
    );
    let (bias, dilation) = (Some(random([20], &device)), 27);
    let whole = conv1d(
        x.clone(),
        weight.clone(),
        bias.clone(),
        1,
        dilation,
        dilation,
    );
    for (from, to) in [(0, 700), (1, 1600), (1000, 1001), (777, 4099), (1536, 3333)] {
        let (reach_from, reach_to) = (from.max(dilation) - dilation, (to + dilation).min(4099));
        let piece = x.clone().slice([0..1, 0..24, reach_from..reach_to]);
        let piece = conv1d(piece, weight.clone(), bias.clone(), 1, dilation, dilation);
        let piece = piece.slice([0..1, 0..20, from - reach_from..to - reach_from]);
        piece.into_data().assert_eq(
            &whole.clone().slice([0..1, 0..20, from..to]).into_data(),
            true,
        );
    }
    let weight = random([24, 20, 4], &device);
    let whole = conv_transpose1d(x.clone(), weight.clone(), bias.clone(), 2, 1);
    for (from, to) in [(0, 7), (33, 1700), (2000, 4099)] {
        let (reach_from, reach_to) = (from.max(1) - 1, (to + 1).min(4099));
        let piece = conv_transpose1d(
            x.clone().slice([0..1, 0..24, reach_from..reach_to]),
            weight.clone(),
            bias.clone(),
            2,
            1,
        );
        let piece = piece.slice([0..1, 0..20, 2 * (from - reach_from)..2 * (to - reach_from)]);
        piece.into_data().assert_eq(
            &whole
                .clone()
                .slice([0..1, 0..20, 2 * from..2 * to])
                .into_data(),
            true,
        );
    }
}

#[test]
fn gradients_do_not_depend_on_the_number_of_threads() {
    let device = Device::flex().autodiff();
    let (x, weight, bias) = (
        random([2, 6, 20_011], &device),
        random([5, 6, 3], &device),
        random([5], &device),
    );
    let weigh = random([2, 5, 20_011], &device);
    let run = || {
        with_gradients([&x, &weight], &bias, &weigh, |x, w, b| {
            conv1d(x, w, b, 1, 9, 9)
        })
    };
    let with_threads = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a thread pool")
            .install(run)
    };
    let ((_, [x1, w1], b1), (_, [x3, w3], b3)) = (with_threads(1), with_threads(3));
    x1.into_data().assert_eq(&x3.into_data(), true);
    w1.into_data().assert_eq(&w3.into_data(), true);
    b1.into_data().assert_eq(&b3.into_data(), true);
}

#[test]
fn gradients_are_finite_differences() {
    let device = Device::flex().autodiff();
    let (x, weight, bias) = (
        random([1, 2, 9], &device),
        random([3, 2, 4], &device),
        random([3], &device),
    );
    // A square, so that the gradient depends on the point.
    let loss = |weight: Tensor<3>| {
        conv1d(x.clone(), weight, Some(bias.clone()), 2, 1, 1)
            .powf_scalar(2.0)
            .sum()
    };
    let tracked = weight.clone().require_grad();
    let gradient = tracked
        .grad(&loss(tracked.clone()).backward())
        .expect("a gradient");
    let step = 1e-2;
    for index in 0..24 {
        let mut direction = vec![0.0f32; 24];
        direction[index] = step;
        let direction = Tensor::<1>::from_floats(direction.as_slice(), &device).reshape([3, 2, 4]);
        let up: f32 = loss(weight.clone() + direction.clone()).into_scalar();
        let down: f32 = loss(weight.clone() - direction).into_scalar();
        let slope = (up - down) / (2.0 * step);
        let found = gradient
            .clone()
            .into_data()
            .try_to_vec::<f32>()
            .expect("single precision")[index];
        // Central differences of a quadratic are exact up to rounding of a loss of about 30.
        assert!(
            (slope - found).abs() < 2e-2,
            "weight {index}: slope {slope}, gradient {found}"
        );
    }
}

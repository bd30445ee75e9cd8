//! The convolution kernels as an operation of Burn: on the CPU backend, and with gradients on top of it.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::TensorData;

use super::contract::channel_sums;
use super::correlate::Finish;
use super::gather::Signal;
use super::kernels::{Geometry, to_narrow, to_wide, weight_gradient};

/// Which way a convolution's geometry is run.
#[derive(Debug, Clone, Copy)]
pub enum Direction {
    /// A convolution: wide signals to narrow ones.
    Forward(Geometry),
    /// A transposed convolution: narrow signals to wide ones.
    Transposed(Geometry),
}

/// Backends that have the operation. The macro writes the step from a tensor to its backend.
#[backend_extension(Flex, Autodiff)]
pub trait Convolve: Backend {
    /// `x` `[batch, in, time]`, `bias` `[out]`, `weight` as PyTorch has it for that direction; all single precision.
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        direction: Direction,
    ) -> FloatTensor<Self>;
}

/// A tensor as the CPU backend keeps it.
pub(super) type Primitive = FloatTensor<Flex>;

impl Convolve for Flex {
    fn convolve(
        x: Primitive,
        weight: Primitive,
        bias: Primitive,
        direction: Direction,
    ) -> Primitive {
        let (x, weight, bias) = (
            x.to_contiguous(),
            weight.to_contiguous(),
            bias.to_contiguous(),
        );
        let (weight, bias) = (slice(&weight), Some(slice(&bias)));
        let signal = signal(&x);
        let (channels, out) = match direction {
            Direction::Forward(geometry) => (
                geometry.narrow_channels,
                to_narrow(&geometry, &signal, weight, bias, Finish::default()),
            ),
            Direction::Transposed(geometry) => {
                let time = geometry.wide_time(signal.time);
                (
                    geometry.wide_channels,
                    to_wide(&geometry, &signal, time, weight, bias, Finish::default()),
                )
            }
        };
        tensor(out, [signal.batch(), channels])
    }
}

impl<C: CheckpointStrategy> Convolve for Autodiff<Flex, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        direction: Direction,
    ) -> FloatTensor<Self> {
        match Gradient
            .prepare::<C>([x.node(), weight.node(), bias.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prepared) => {
                let state = (
                    prepared.checkpoint(&x),
                    prepared.checkpoint(&weight),
                    direction,
                );
                let out = Flex::convolve(
                    x.into_primitive(),
                    weight.into_primitive(),
                    bias.into_primitive(),
                    direction,
                );
                prepared.finish(state, out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(Flex::convolve(
                x.into_primitive(),
                weight.into_primitive(),
                bias.into_primitive(),
                direction,
            )),
        }
    }
}

/// The step back through a convolution: gradients of its input, weight and bias.
#[derive(Debug)]
struct Gradient;

impl Backward<Flex, 3> for Gradient {
    type State = (NodeId, NodeId, Direction);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [x_node, weight_node, bias_node] = ops.parents;
        let (x, weight, direction) = ops.state;
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let x = checkpointer
            .retrieve_node_output::<Primitive>(x)
            .to_contiguous();
        let weight = checkpointer
            .retrieve_node_output::<Primitive>(weight)
            .to_contiguous();
        let (out, input) = (signal(&gradient), signal(&x));

        if let Some(node) = x_node {
            let finish = Finish::default();
            let values = match direction {
                Direction::Forward(geometry) => {
                    to_wide(&geometry, &out, input.time, slice(&weight), None, finish)
                }
                Direction::Transposed(geometry) => {
                    to_narrow(&geometry, &out, slice(&weight), None, finish)
                }
            };
            grads.register::<Flex>(node.id, tensor(values, [input.batch(), input.channels]));
        }
        if weight_node.is_none() && bias_node.is_none() {
            return;
        }
        let (weights, biases) = match direction {
            Direction::Forward(geometry) => {
                let sums = weight_gradient(&geometry, &out, &input);
                (sums.products, sums.left)
            }
            Direction::Transposed(geometry) => (
                weight_gradient(&geometry, &input, &out).products,
                channel_sums(&out),
            ),
        };
        if let Some(node) = weight_node {
            let [first, second, kernel] = dims(&weight);
            debug_assert_eq!(weights.len(), first * second * kernel);
            grads.register::<Flex>(node.id, tensor(weights, [first, second]));
        }
        if let Some(node) = bias_node {
            grads.register::<Flex>(node.id, vector(biases));
        }
    }
}

/// A `[batch, channels, time]` tensor as the kernels see it.
pub(super) fn signal(tensor: &Primitive) -> Signal<'_> {
    let [_, channels, time] = dims(tensor);
    Signal::new(slice(tensor), channels, time)
}

fn dims(tensor: &Primitive) -> [usize; 3] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1], shape[2]]
}

pub(super) fn slice(tensor: &Primitive) -> &[f32] {
    tensor
        .as_slice()
        .expect("contiguous and of single precision: seen to by the caller")
}

/// A tensor of three dimensions, of which the last follows from the number of values.
pub(super) fn tensor(values: Vec<f32>, [first, second]: [usize; 2]) -> Primitive {
    let third = values.len() / (first * second);
    Primitive::from_data(TensorData::new(values, [first, second, third]))
}

/// A tensor of one dimension.
pub(super) fn vector(values: Vec<f32>) -> Primitive {
    let length = values.len();
    Primitive::from_data(TensorData::new(values, [length]))
}

//! A residual block as one operation: `x + pointwise(relu(dilated(relu(x))))` (paper §3.1, appendix B.1).
//!
//! Beside its two convolutions a block makes four passes over memory, two ReLUs, their gradients and the sum, which
//! on a CPU cost as much as the smaller convolution. Here the ReLUs happen while samples are gathered, and gradients of
//! ReLUs and the sum while results are stored.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};

use super::correlate::Finish;
use super::kernels::{Geometry, to_narrow, to_wide, weight_gradient};
use super::op::{Primitive, signal, slice, tensor, vector};

/// The two convolutions of a block; neither changes the length.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    pub dilated: Geometry,
    pub pointwise: Geometry,
}

/// Backends that have the operation.
#[backend_extension(Flex, Autodiff)]
pub trait Residual: Backend {
    /// `x` `[batch, width, time]`, weights `[hidden, width, kernel]` and `[width, hidden, 1]`, biases `[hidden]` and `[width]`;
    /// all single precision.
    fn residual(
        x: FloatTensor<Self>,
        dilated_weight: FloatTensor<Self>,
        dilated_bias: FloatTensor<Self>,
        pointwise_weight: FloatTensor<Self>,
        pointwise_bias: FloatTensor<Self>,
        block: Block,
    ) -> FloatTensor<Self>;
}

/// What the second convolution reads (before its ReLU), and the block's output.
fn forward(
    x: &Primitive,
    dilated: [&Primitive; 2],
    pointwise: [&Primitive; 2],
    block: Block,
) -> [Primitive; 2] {
    let read = |[weight, bias]: [&Primitive; 2]| (weight.to_contiguous(), bias.to_contiguous());
    let (dilated, pointwise, x) = (read(dilated), read(pointwise), x.to_contiguous());
    let input = signal(&x);
    let hidden = to_narrow(
        &block.dilated,
        &input.relu(),
        slice(&dilated.0),
        Some(slice(&dilated.1)),
        Finish::default(),
    );
    let hidden = tensor(hidden, [input.batch(), block.dilated.narrow_channels]);
    let out = to_narrow(
        &block.pointwise,
        &signal(&hidden).relu(),
        slice(&pointwise.0),
        Some(slice(&pointwise.1)),
        Finish {
            residual: Some(input.samples),
            ..Finish::default()
        },
    );
    let out = tensor(out, [input.batch(), input.channels]);
    [hidden, out]
}

impl Residual for Flex {
    fn residual(
        x: Primitive,
        dilated_weight: Primitive,
        dilated_bias: Primitive,
        pointwise_weight: Primitive,
        pointwise_bias: Primitive,
        block: Block,
    ) -> Primitive {
        let [_, out] = forward(
            &x,
            [&dilated_weight, &dilated_bias],
            [&pointwise_weight, &pointwise_bias],
            block,
        );
        out
    }
}

impl<C: CheckpointStrategy> Residual for Autodiff<Flex, C> {
    fn residual(
        x: FloatTensor<Self>,
        dilated_weight: FloatTensor<Self>,
        dilated_bias: FloatTensor<Self>,
        pointwise_weight: FloatTensor<Self>,
        pointwise_bias: FloatTensor<Self>,
        block: Block,
    ) -> FloatTensor<Self> {
        let inputs = [
            &x,
            &dilated_weight,
            &dilated_bias,
            &pointwise_weight,
            &pointwise_bias,
        ];
        let nodes = inputs.map(|input| input.node());
        let [hidden, out] = forward(
            x.primitive(),
            [dilated_weight.primitive(), dilated_bias.primitive()],
            [pointwise_weight.primitive(), pointwise_bias.primitive()],
            block,
        );
        match Gradient.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let inputs = [&x, &dilated_weight, &pointwise_weight]
                    .map(|input| prepared.checkpoint(input));
                prepared.finish((inputs, hidden, block), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}

/// The step back through a block.
#[derive(Debug)]
struct Gradient;

impl Backward<Flex, 5> for Gradient {
    /// Input and weights, what the second convolution read, and the geometry.
    type State = ([NodeId; 3], Primitive, Block);

    fn backward(
        self,
        ops: Ops<Self::State, 5>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [
            x_id,
            dilated_weight_id,
            dilated_bias_id,
            pointwise_weight_id,
            pointwise_bias_id,
        ] = ops.parents.map(|node| node.map(|node| node.id));
        let (inputs, hidden, block) = ops.state;
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let [x, dilated, pointwise] = inputs.map(|input| {
            checkpointer
                .retrieve_node_output::<Primitive>(input)
                .to_contiguous()
        });
        let (out, input, hidden) = (signal(&gradient), signal(&x), signal(&hidden));
        let mut register = |id: Option<NodeId>, value| {
            if let Some(id) = id {
                grads.register::<Flex>(id, value);
            }
        };

        let sums = weight_gradient(&block.pointwise, &out, &hidden.relu());
        register(
            pointwise_weight_id,
            tensor(sums.products, [out.channels, hidden.channels]),
        );
        register(pointwise_bias_id, vector(sums.left));

        let through_relu = Finish {
            gate: Some(hidden.samples),
            ..Finish::default()
        };
        let inner = to_wide(
            &block.pointwise,
            &out,
            out.time,
            slice(&pointwise),
            None,
            through_relu,
        );
        let inner = tensor(inner, [out.batch(), hidden.channels]);
        let inner = signal(&inner);
        let sums = weight_gradient(&block.dilated, &inner, &input.relu());
        register(
            dilated_weight_id,
            tensor(sums.products, [hidden.channels, input.channels]),
        );
        register(dilated_bias_id, vector(sums.left));

        if x_id.is_some() {
            let finish = Finish {
                gate: Some(input.samples),
                residual: Some(out.samples),
            };
            let values = to_wide(
                &block.dilated,
                &inner,
                input.time,
                slice(&dilated),
                None,
                finish,
            );
            register(x_id, tensor(values, [input.batch(), input.channels]));
        }
    }
}

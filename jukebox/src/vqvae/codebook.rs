//! The bottleneck of one level: a codebook learned by moving averages (paper §3.1, appendix B.1).
//!
//! A vector becomes the index of the nearest codebook vector. The codebook takes no part in gradient descent: it
//! follows the moving average of the vectors that were assigned to each code. A code that hardly any vector chooses is
//! restarted at a random vector of the current batch, which keeps the codebook from collapsing (paper §3.1, "codebook
//! collapse").

use burn::module::Module;
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

use super::draws::Draws;
use super::metrics::Metrics;

/// Vectors compared with the codebook at a time. It bounds the memory of the distance matrix, and as every product has
/// the same shape, a vector's distances have the same bits whatever other vectors it is quantised with.
const TILE_ROWS: usize = 512;

/// Noise that tells repeated vectors apart has this standard deviation, divided by the root of their width.
const TILE_NOISE: f32 = 0.01;

/// The codebook of one level and its moving averages.
#[derive(Module, Debug)]
pub struct Codebook {
    /// The codebook vectors, `[bins, width]`.
    pub k: Tensor<2>,
    /// Moving average of the sum of the vectors assigned to each code, `[bins, width]`.
    pub k_sum: Tensor<2>,
    /// Moving average of the number of vectors assigned to each code, `[bins]`.
    pub k_elem: Tensor<1>,
    /// Whether the codebook has vectors yet. The first training step takes them from its batch.
    pub initialised: bool,
    /// A code whose `k_elem` is below this is restarted.
    pub threshold: f64,
    mu: f64,
}

/// What the bottleneck makes of the encoder's output.
pub struct Quantised {
    /// `[batch, width, codes]`: the codebook vectors forward, the encoder's output backward (straight-through).
    pub vectors: Tensor<3>,
    /// `[batch, codes]`.
    pub codes: Tensor<2, Int>,
    /// Mean squared distance that pulls the encoder towards the codebook, `[1]`.
    pub commit: Tensor<1>,
    /// `fit`, `pn` and, when training, `entropy`, `used_curr`, `usage`, `dk`.
    pub metrics: Metrics,
}

/// The nearest codebook vector of each row.
struct Nearest {
    /// `[rows]`.
    codes: Tensor<1, Int>,
    /// Squared distance, `[rows]`.
    distance: Tensor<1>,
}

impl Codebook {
    /// A codebook that waits for its first training step.
    pub fn new(bins: usize, width: usize, mu: f64, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        Self {
            k: Tensor::zeros([bins, width], &device),
            k_sum: Tensor::zeros([bins, width], &device),
            k_elem: Tensor::ones([bins], &device),
            initialised: false,
            threshold: 1.0,
            mu,
        }
    }

    /// Number of codes.
    pub fn bins(&self) -> usize {
        self.k.dims()[0]
    }

    /// Prepares a codebook loaded from a checkpoint, where the moving averages are not stored, for more training: as if
    /// `tokens` vectors per step had been assigned evenly. Codes used less than `threshold` will be restarted.
    pub fn restore(&mut self, tokens: usize, threshold: f64) {
        let per_code = tokens as f64 / self.bins() as f64;
        self.k_sum = self.k.clone() * per_code;
        self.k_elem = Tensor::full([self.bins()], per_code, &self.k.device());
        self.initialised = true;
        self.threshold = threshold;
    }

    /// `[batch, width, codes]` → `[batch, codes]`.
    pub fn encode(&self, x: Tensor<3>) -> Tensor<2, Int> {
        let [batch, _, time] = x.dims();
        self.nearest(rows(x.inner())).codes.reshape([batch, time])
    }

    /// `[batch, codes]` → `[batch, width, codes]`.
    pub fn decode(&self, codes: Tensor<2, Int>) -> Tensor<3> {
        let [batch, time] = codes.dims();
        unrows(self.look_up(codes.flatten(0, 1)), batch, time)
    }

    /// Quantises without learning from it. `x` is `[batch, width, codes]`.
    pub fn quantise(&self, x: Tensor<3>) -> Quantised {
        let rows = rows(x.clone().inner());
        let nearest = self.nearest(rows.clone());
        let metrics = self.quality(&rows, &nearest);
        self.straight_through(x, nearest.codes, metrics)
    }

    /// Quantises with the codebook as it is, then moves the codebook towards the vectors. `x` is `[batch, width, codes]`.
    pub fn quantise_and_learn(&mut self, x: Tensor<3>, draws: &mut dyn Draws) -> Quantised {
        let rows = rows(x.clone().inner());
        if !self.initialised {
            self.initialise(&rows, draws);
        }
        let nearest = self.nearest(rows.clone());
        let mut metrics = self.quality(&rows, &nearest);
        let quantised = self.straight_through(x, nearest.codes.clone(), Metrics::default());
        metrics.extend(self.learn(rows, nearest.codes, draws));
        Quantised {
            metrics,
            ..quantised
        }
    }

    /// `x + (k[codes] − x)`, where no gradient flows through the bracket.
    fn straight_through(&self, x: Tensor<3>, codes: Tensor<1, Int>, metrics: Metrics) -> Quantised {
        let [batch, _, time] = x.dims();
        let vectors = like(unrows(self.look_up(codes.clone()), batch, time), &x);
        let commit = (vectors.clone() - x.clone()).square().mean();
        Quantised {
            vectors: x.clone() + (vectors - x).detach(),
            codes: codes.reshape([batch, time]),
            commit,
            metrics,
        }
    }

    /// `[rows]` → `[rows, width]`.
    fn look_up(&self, codes: Tensor<1, Int>) -> Tensor<2> {
        self.k.clone().inner().select(0, codes)
    }

    /// The nearest code of each row of `[rows, width]`; the lower index on ties.
    fn nearest(&self, x: Tensor<2>) -> Nearest {
        let k = self.k.clone().inner();
        let norms = k.clone().square().sum_dim(1).transpose(); // [1, bins]
        let k = k.transpose(); // [width, bins]
        let [count, _] = x.dims();
        let missing = count.next_multiple_of(TILE_ROWS) - count;
        let x = x.pad([(0, missing), (0, 0)], PadMode::Constant(0.0));
        let tiles = x.split(TILE_ROWS, 0).into_iter().map(|tile| {
            let products = tile.clone().matmul(k.clone()) * 2.0;
            let distances = tile.square().sum_dim(1) - products + norms.clone(); // [tile, bins]
            distances.min_dim_with_indices(1)
        });
        let (distance, codes): (Vec<_>, Vec<_>) = tiles.unzip();
        Nearest {
            codes: Tensor::cat(codes, 0).flatten(0, 1).narrow(0, 0, count),
            distance: Tensor::cat(distance, 0).flatten(0, 1).narrow(0, 0, count),
        }
    }

    /// How well the codebook fits: mean squared distance, and the spread of the encoder's output.
    fn quality(&self, rows: &Tensor<2>, nearest: &Nearest) -> Metrics {
        let centred = rows.clone() - rows.clone().mean().reshape([1, 1]);
        Metrics::from([
            ("fit", nearest.distance.clone().mean()),
            ("pn", centred.square().mean().sqrt()),
        ])
    }

    /// Takes the first codebook from random rows of the batch.
    fn initialise(&mut self, rows: &Tensor<2>, draws: &mut dyn Draws) {
        self.k = self.random_rows(rows, draws);
        self.k_sum = self.k.clone();
        self.k_elem = Tensor::ones([self.bins()], &rows.device());
        self.initialised = true;
    }

    /// Moves the averages towards this batch, restarts codes that died, and reports how the codebook is used.
    fn learn(&mut self, rows: Tensor<2>, codes: Tensor<1, Int>, draws: &mut dyn Draws) -> Metrics {
        let bins = self.bins();
        let device = rows.device();
        let count = codes.dims()[0];
        let ones = Tensor::<1>::ones([count], &device);
        let sum = Tensor::zeros_like(&self.k).select_assign(
            0,
            codes.clone(),
            rows.clone(),
            IndexingUpdateOp::Add,
        );
        let elem = Tensor::<1>::zeros([bins], &device).select_assign(
            0,
            codes,
            ones,
            IndexingUpdateOp::Add,
        );
        let fresh = self.random_rows(&rows, draws);

        let old = self.k.clone();
        self.k_sum = self.k_sum.clone() * self.mu + sum * (1.0 - self.mu);
        self.k_elem = self.k_elem.clone() * self.mu + elem.clone() * (1.0 - self.mu);
        let dead = self.k_elem.clone().lower_elem(self.threshold); // [bins]
        let mean = self.k_sum.clone() / self.k_elem.clone().unsqueeze_dim::<2>(1); // [bins, width]
        let everywhere = dead.clone().unsqueeze_dim::<2>(1).expand(mean.dims());
        self.k = mean.mask_where(everywhere, fresh);

        let share = elem.clone() / elem.clone().sum();
        let entropy = (share.clone() * (share + 1e-8).log()).sum().neg();
        Metrics::from([
            ("entropy", entropy),
            (
                "used_curr",
                elem.greater_equal_elem(self.threshold).float().sum(),
            ),
            ("usage", dead.bool_not().float().sum()),
            ("dk", (self.k.clone() - old).square().mean().sqrt()),
        ])
    }

    /// As many random rows of `[rows, width]` as there are codes. When there are too few, they are repeated with a
    /// little noise, so that no two codes start equal.
    fn random_rows(&self, rows: &Tensor<2>, draws: &mut dyn Draws) -> Tensor<2> {
        let bins = self.bins();
        let device = rows.device();
        let [available, width] = rows.dims();
        let rows = if available < bins {
            let repeated = rows.clone().repeat_dim(0, bins.div_ceil(available));
            let shape = repeated.dims();
            let noise = TensorData::new(draws.normals(shape[0] * width), shape);
            repeated + Tensor::from_data(noise, &device) * (TILE_NOISE / (width as f32).sqrt())
        } else {
            rows.clone()
        };
        let chosen: Vec<i64> = draws
            .rows(rows.dims()[0], bins)
            .into_iter()
            .map(|row| row as i64)
            .collect();
        rows.select(0, Tensor::from_data(chosen.as_slice(), &device))
    }
}

/// `[batch, width, time]` → `[batch · time, width]`.
fn rows(x: Tensor<3>) -> Tensor<2> {
    let [batch, width, time] = x.dims();
    x.swap_dims(1, 2).reshape([batch * time, width])
}

/// `[batch · time, width]` → `[batch, width, time]`.
fn unrows(rows: Tensor<2>, batch: usize, time: usize) -> Tensor<3> {
    let width = rows.dims()[1];
    rows.reshape([batch, time, width]).swap_dims(1, 2)
}

/// Brings a plain tensor into the autodiff context of `model`.
fn like<const D: usize>(tensor: Tensor<D>, model: &Tensor<D>) -> Tensor<D> {
    if model.is_autodiff() {
        tensor.autodiff()
    } else {
        tensor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vqvae::SeededDraws;

    /// Takes the first rows, without noise.
    struct InOrder;

    impl Draws for InOrder {
        fn rows(&mut self, _rows: usize, amount: usize) -> Vec<usize> {
            (0..amount).collect()
        }

        fn normals(&mut self, count: usize) -> Vec<f32> {
            vec![0.0; count]
        }
    }

    fn codebook(vectors: &[f32], width: usize) -> Codebook {
        let device = Device::flex();
        let bins = vectors.len() / width;
        Codebook {
            k: Tensor::<1>::from_data(vectors, &device).reshape([bins, width]),
            ..Codebook::new(bins, width, 0.5, &device)
        }
    }

    /// One item of vectors of width 1: `[1, 1, vectors]`.
    fn line(values: &[f32]) -> Tensor<3> {
        Tensor::<1>::from_data(values, &Device::flex()).reshape([1, 1, -1])
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn the_nearest_code_wins_and_ties_go_to_the_first() {
        let codebook = codebook(&[0.0, 2.0, 2.0, 5.0], 1);
        let codes = codebook.encode(line(&[-1.0, 1.0, 1.1, 3.4, 3.6]));
        assert_eq!(
            codes.to_data().iter::<i64>().collect::<Vec<_>>(),
            [0, 0, 1, 1, 3]
        );
        assert_eq!(values(codebook.decode(codes)), [0.0, 0.0, 2.0, 2.0, 5.0]);
    }

    #[test]
    fn many_vectors_give_what_each_gives_alone() {
        let device = Device::flex();
        let mut draws = SeededDraws::new(0, 0);
        let codebook = codebook(&draws.normals(7 * 8), 8);
        let x = Tensor::<1>::from_data(draws.normals(8 * 1100).as_slice(), &device)
            .reshape([1, 8, 1100]);
        let together = codebook.nearest(rows(x.clone()));
        for index in [0, 1, 511, 512, 700, 1099] {
            let alone = codebook.nearest(rows(x.clone().narrow(2, index, 1)));
            let same = together.distance.clone().narrow(0, index, 1);
            assert_eq!(values(alone.distance), values(same));
        }
    }

    #[test]
    fn gradients_pass_straight_through() {
        let device = Device::flex().autodiff();
        let codebook = codebook(&[0.0, 2.0], 1);
        let x = line(&[0.5, 1.5])
            .to_device(&device)
            .autodiff()
            .require_grad();
        let quantised = codebook.quantise(x.clone());
        assert_eq!(values(quantised.vectors.clone()), [0.0, 2.0]);
        let gradients = (quantised.vectors * 3.0).sum().backward();
        assert_eq!(values(x.grad(&gradients).unwrap()), [3.0, 3.0]);
        // The commitment loss alone pulls the encoder towards the codebook: 2 (x − k) / count.
        let gradients = quantised.commit.backward();
        assert_eq!(values(x.grad(&gradients).unwrap()), [0.5, -0.5]);
    }

    #[test]
    fn codes_follow_their_vectors_and_dead_ones_restart() {
        let mut codebook = codebook(&[0.0, 10.0], 1);
        codebook.restore(4, 1.0);
        // Two vectors per code so far. All four of this batch choose code 0: its average moves halfway.
        let x = line(&[1.0, 2.0, 2.0, 3.0]);
        codebook.quantise_and_learn(x.clone(), &mut InOrder);
        assert_eq!(values(codebook.k_elem.clone()), [3.0, 1.0]);
        assert_eq!(values(codebook.k.clone()), [4.0 / 3.0, 10.0]);
        // Code 1 falls below one vector per step and takes the row of its index; its averages stay.
        codebook.quantise_and_learn(x, &mut InOrder);
        assert_eq!(values(codebook.k_elem.clone()), [3.5, 0.5]);
        assert_eq!(values(codebook.k.clone())[1], 2.0);
        assert_eq!(values(codebook.k_sum.clone())[1], 5.0);
    }
}

//! The random draws of training a codebook, behind a trait so that a test can replay recorded ones.

use rand::SeedableRng;
use rand::distr::Distribution;
use rand_chacha::ChaCha8Rng;

/// Where a codebook takes its random numbers from.
pub trait Draws {
    /// The first `amount` entries of a random permutation of `0..rows`.
    fn rows(&mut self, rows: usize, amount: usize) -> Vec<usize>;

    /// `count` independent draws of the standard normal distribution.
    fn normals(&mut self, count: usize) -> Vec<f32>;
}

/// Draws that depend on nothing but a seed and the number of the training step, so that a run that was interrupted
/// goes on exactly as it would have.
#[derive(Clone, Debug)]
pub struct SeededDraws {
    rng: ChaCha8Rng,
}

impl SeededDraws {
    /// The draws of training step `step` of a run with `seed`.
    pub fn new(seed: u64, step: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(step);
        Self { rng }
    }
}

impl Draws for SeededDraws {
    fn rows(&mut self, rows: usize, amount: usize) -> Vec<usize> {
        rand::seq::index::sample(&mut self.rng, rows, amount.min(rows)).into_vec()
    }

    fn normals(&mut self, count: usize) -> Vec<f32> {
        // Box–Muller: one pair of uniform draws gives a pair of normal ones.
        let uniform = rand::distr::StandardUniform;
        let mut pairs = std::iter::repeat_with(|| {
            let (u, v): (f64, f64) = (uniform.sample(&mut self.rng), uniform.sample(&mut self.rng));
            let radius = (-2.0 * (1.0 - u).ln()).sqrt();
            let angle = std::f64::consts::TAU * v;
            [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
        });
        let mut draws: Vec<f32> = pairs.by_ref().take(count.div_ceil(2)).flatten().collect();
        draws.truncate(count);
        draws
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_step_draws_the_same() {
        let draw = |seed, step| {
            let mut draws = SeededDraws::new(seed, step);
            (draws.rows(100, 5), draws.normals(3))
        };
        assert_eq!(draw(1, 7), draw(1, 7));
        assert_ne!(draw(1, 7), draw(1, 8));
        assert_ne!(draw(1, 7), draw(2, 7));
    }

    #[test]
    fn rows_are_distinct() {
        let mut rows = SeededDraws::new(0, 0).rows(50, 50);
        rows.sort_unstable();
        assert_eq!(rows, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let draws = SeededDraws::new(3, 0).normals(100_001);
        let mean = draws.iter().sum::<f32>() / draws.len() as f32;
        let variance = draws.iter().map(|x| x * x).sum::<f32>() / draws.len() as f32;
        assert!(
            mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03,
            "{mean} {variance}"
        );
    }
}

//! Batches of clips in an order that depends on nothing but the seed, so that a resumed run sees what it would have
//! seen. A thread of its own decodes ahead of the model.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use ndarray::{Array2, Zip};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::dataset::ClipSet;
use super::error::TrainError;

/// Batches decoded ahead.
const AHEAD: usize = 3;

/// A source of clips of equal length; for audio files it is a [`ClipSet`].
pub trait Clips: Send + Sync + 'static {
    /// How many clips there are.
    fn count(&self) -> usize;

    /// Clip `index`, moved by `shift` samples as far as its song allows: `[time, channels]`, one or two channels.
    ///
    /// # Errors
    /// When the file cannot be decoded.
    fn clip(&self, index: usize, shift: i64) -> Result<Array2<f32>, TrainError>;
}

impl Clips for ClipSet {
    fn count(&self) -> usize {
        ClipSet::count(self)
    }

    fn clip(&self, index: usize, shift: i64) -> Result<Array2<f32>, TrainError> {
        Ok(ClipSet::clip(self, index, shift)?)
    }
}

/// How clips are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Clips in a batch.
    pub batch: usize,
    /// Samples in a clip.
    pub length: usize,
    /// Move each clip by a random part of its length.
    pub shift: bool,
    /// Mix the two channels by a random share instead of equally.
    pub blend: bool,
    /// Seed of everything random.
    pub seed: u64,
}

/// One batch: the clips one after the other, `batch · length` samples.
pub type Batch = Vec<f32>;

/// An endless supply of batches.
pub struct Batches {
    receiver: Receiver<Result<Batch, TrainError>>,
}

/// What is to be read for one clip.
#[derive(Debug, PartialEq)]
struct Draw {
    index: usize,
    shift: i64,
    /// Share of the left channel in the mix.
    left: f32,
}

impl Order {
    /// The clips of update `step`. Each epoch goes through all clips in a new order; an incomplete last batch is left
    /// out, except when there are fewer clips than a batch takes, which are then repeated.
    fn draw(&self, step: u64, count: usize) -> Vec<Draw> {
        let per_epoch = (count / self.batch).max(1) as u64;
        let (epoch, position) = (step / per_epoch, (step % per_epoch) as usize);
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(&mut self.rng(2 * epoch));
        let mut rng = self.rng(2 * step + 1);
        let half = (self.length / 2) as i64;
        (0..self.batch)
            .map(|item| Draw {
                index: order[(position * self.batch + item) % count],
                shift: if self.shift {
                    rng.random_range(-half..half.max(1))
                } else {
                    0
                },
                left: if self.blend { rng.random() } else { 0.5 },
            })
            .collect()
    }

    /// A generator for one purpose: even streams order epochs, odd ones draw augmentations.
    fn rng(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream);
        rng
    }
}

/// Mixes `[time, channels]` down to one channel: `left · L + (1 − left) · R`.
pub(super) fn mix(clip: &Array2<f32>, left: f32) -> Vec<f32> {
    match clip.ncols() {
        1 => clip.column(0).to_vec(),
        _ => Zip::from(clip.column(0))
            .and(clip.column(1))
            .map_collect(|l, r| left * l + (1.0 - left) * r)
            .to_vec(),
    }
}

impl Batches {
    /// Starts to decode the batches from update `step` on.
    pub fn start(clips: Arc<impl Clips>, order: Order, step: u64) -> Self {
        let (sender, receiver) = sync_channel(AHEAD);
        std::thread::spawn(move || {
            for step in step.. {
                let batch: Result<Vec<Vec<f32>>, TrainError> = order
                    .draw(step, clips.count())
                    .into_iter()
                    .map(|draw| Ok(mix(&clips.clip(draw.index, draw.shift)?, draw.left)))
                    .collect();
                // The run has ended when nobody takes batches any more.
                if sender.send(batch.map(|clips| clips.concat())).is_err() {
                    return;
                }
            }
        });
        Self { receiver }
    }

    /// The next batch.
    ///
    /// # Errors
    /// When a clip of it could not be decoded.
    pub fn next(&self) -> Result<Batch, TrainError> {
        self.receiver.recv().map_err(|_| {
            TrainError::Data("the thread that decodes audio ended unexpectedly".into())
        })?
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ORDER: Order = Order {
        batch: 3,
        length: 8,
        shift: true,
        blend: true,
        seed: 5,
    };

    #[test]
    fn an_epoch_has_every_clip_once() {
        let mut seen: Vec<usize> = (0..4)
            .flat_map(|step| ORDER.draw(step, 12))
            .map(|draw| draw.index)
            .collect();
        assert_ne!(seen, (0..12).collect::<Vec<_>>());
        seen.sort_unstable();
        assert_eq!(seen, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn draws_depend_on_the_step_only() {
        assert_eq!(ORDER.draw(17, 12), ORDER.draw(17, 12));
        assert_ne!(ORDER.draw(17, 12), ORDER.draw(18, 12));
        let draws = (0..100).flat_map(|step| ORDER.draw(step, 12));
        let shifts: BTreeSet<i64> = draws.map(|draw| draw.shift).collect();
        assert_eq!(shifts, (-4..4).collect(), "[-length/2, length/2)");
    }

    #[test]
    fn few_clips_fill_a_batch() {
        let draws = ORDER.draw(2, 2);
        assert_eq!(draws.len(), 3);
    }

    #[test]
    fn batches_continue_where_asked() {
        struct Numbers;
        impl Clips for Numbers {
            fn count(&self) -> usize {
                12
            }
            fn clip(&self, index: usize, _: i64) -> Result<Array2<f32>, TrainError> {
                Ok(Array2::from_elem((8, 1), index as f32))
            }
        }
        let clips = Arc::new(Numbers);
        let whole = Batches::start(clips.clone(), ORDER, 0);
        let first: Vec<Batch> = (0..6).map(|_| whole.next().unwrap()).collect();
        let resumed = Batches::start(clips, ORDER, 4);
        assert_eq!(resumed.next().unwrap(), first[4]);
        assert_eq!(resumed.next().unwrap(), first[5]);
    }
}

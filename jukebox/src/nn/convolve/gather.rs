//! Reads the input samples that a run of outputs needs into one small, dense block.
//!
//! A convolution reads each channel at several *taps*: positions that move along with the output. Gathering them first
//! (`rows = channels · taps`, each row a run of consecutive outputs) settles dilation, stride, zero padding and the ends of
//! the signal in one place, and leaves plain dense arithmetic to [`correlate`](super::correlate) and
//! [`contract`](super::contract). The block stays in the processor's cache; without it, channels that lie a power of two
//! apart in memory push each other out.

use macerator::{Scalar, Simd, vload_unaligned, vstore_unaligned};

/// Where the outputs of a convolution look in its input: output `q` reads sample `q · step + offset` for each offset.
/// Samples before the start or after the end are zero.
#[derive(Debug, Clone)]
pub struct Taps {
    pub step: usize,
    pub offsets: Vec<isize>,
}

/// A signal `[batch, channels, time]` and what is done to each sample as it is read.
#[derive(Debug, Clone, Copy)]
pub struct Signal<'a> {
    pub samples: &'a [f32],
    pub channels: usize,
    pub time: usize,
    /// Read `max(0, sample)`: a ReLU in front of the convolution, for free.
    pub relu: bool,
}

impl<'a> Signal<'a> {
    /// `samples` is `[batch, channels, time]`, time fastest.
    pub fn new(samples: &'a [f32], channels: usize, time: usize) -> Self {
        Signal {
            samples,
            channels,
            time,
            relu: false,
        }
    }

    /// The same signal with a ReLU in front of whoever reads it.
    pub fn relu(self) -> Self {
        Signal { relu: true, ..self }
    }

    pub fn batch(&self) -> usize {
        self.samples.len() / (self.channels * self.time)
    }

    pub fn row(&self, item: usize, channel: usize) -> &'a [f32] {
        &self.samples[(item * self.channels + channel) * self.time..][..self.time]
    }
}

/// Fills `block` `[channels · taps, width]` with what outputs `first .. first + width` of batch entry `item` read.
/// `width` is a whole number of vectors. Outputs from `end` on read zeros.
#[inline(always)]
pub fn gather<S: Simd>(
    block: &mut [f32],
    signal: &Signal,
    taps: &Taps,
    item: usize,
    first: usize,
    width: usize,
    end: usize,
) {
    let wanted = width.min(end - first);
    let steps = taps.offsets.len();
    for (tap, &offset) in taps.offsets.iter().enumerate() {
        // Outputs `from .. to` of these see a sample: 0 <= start + i · step < time.
        let start = (first * taps.step) as isize + offset;
        let seen_before = |sample: isize| (sample.max(0) as usize).div_ceil(taps.step).min(wanted);
        let (from, to) = (
            seen_before(-start),
            seen_before(signal.time as isize - start),
        );
        for channel in 0..signal.channels {
            let source = signal.row(item, channel);
            let row = &mut block[(channel * steps + tap) * width..][..width];
            if from == 0 && to == width && taps.step == 1 {
                let start = start as usize;
                prefetch(source, start + width, width);
                copy::<S>(row, &source[start..start + width]);
            } else {
                row[..from].fill(0.0);
                row[to..].fill(0.0);
                if from < to {
                    let source = &source[(start + (from * taps.step) as isize) as usize..];
                    prefetch(source, width * taps.step, width * taps.step);
                    every::<S>(&mut row[from..to], source, taps.step);
                }
            }
            if signal.relu {
                relu::<S>(row);
            }
        }
    }
}

/// Asks for the stretch that the next call will read: rows are too many, and each call's part of them too short, for the
/// processor to see where this is going.
#[inline(always)]
fn prefetch(source: &[f32], start: usize, count: usize) {
    /// Values in a cache line.
    const LINE: usize = 16;
    #[cfg(target_arch = "x86_64")]
    for at in (start..start + count).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address is allowed; it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(source.as_ptr().wrapping_add(at).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (source, start, count, LINE);
}

/// Every `step`-th value.
#[inline(always)]
fn every<S: Simd>(to: &mut [f32], from: &[f32], step: usize) {
    match step {
        1 => copy::<S>(to, &from[..to.len()]),
        2 => every_other(to, from),
        _ => {
            for (to, from) in to.iter_mut().zip(from.iter().step_by(step)) {
                *to = *from;
            }
        }
    }
}

/// `from` as it is; both of one length.
#[inline(always)]
pub fn copy<S: Simd>(to: &mut [f32], from: &[f32]) {
    let lanes = S::lanes32();
    let whole = to.len() / lanes * lanes;
    for i in (0..whole).step_by(lanes) {
        // SAFETY: both slices hold `lanes` values from `i` on.
        unsafe {
            vstore_unaligned::<S, f32>(
                to.as_mut_ptr().add(i),
                vload_unaligned(from.as_ptr().add(i)),
            )
        }
    }
    to[whole..].copy_from_slice(&from[whole..]);
}

/// Its own function, with the step a constant, so that the compiler makes vector shuffles of it.
#[inline(always)]
fn every_other(to: &mut [f32], from: &[f32]) {
    let from = &from[..2 * to.len() - 1];
    for i in 0..to.len() {
        to[i] = from[2 * i];
    }
}

/// `row` is a whole number of vectors.
#[inline(always)]
fn relu<S: Simd>(row: &mut [f32]) {
    let zero = 0.0f32.splat::<S>();
    for chunk in row.chunks_exact_mut(S::lanes32()) {
        // SAFETY: the chunk is one vector.
        unsafe {
            vstore_unaligned::<S, f32>(
                chunk.as_mut_ptr(),
                vload_unaligned::<S, f32>(chunk.as_ptr()).max(zero),
            )
        }
    }
}

//! Convolution as small dense products: `output[m, q] = bias[m] + Σ_r weight[m, r] · gathered[r, q]`.
//!
//! The forward passes and the gradients with respect to the input, of the plain, dilated, strided and transposed convolution,
//! are all this one operation with different [`Taps`] and weights. A transposed convolution of stride `s` computes its
//! `s` output phases as `s` rows per channel and interleaves them on the way out.
//!
//! Each output is one accumulator that adds its terms in the order of `r`, whatever tile, block, thread or length it falls
//! in: so a piece of a signal decodes to the same bits as the whole.

use macerator::{Scalar, Simd, Vector, vload_unaligned, vstore_unaligned, with_simd};
use rayon::prelude::*;

use super::gather::{Signal, Taps, copy, gather};

/// Weight rows are stored in groups of this many, and computed a whole group at a time where registers allow.
const GROUP: usize = 8;
/// Vectors of consecutive outputs that one tile spans: 8 rows × 3 vectors fill 24 of AVX-512's 32 registers with sums.
const VECTORS: usize = 3;
/// Outputs per unit of work handed to a thread.
const UNIT: usize = 1536;

/// The weights as tiles read them: `[rows / GROUP, terms, GROUP]`, and the bias `[rows / GROUP, GROUP]`, padded with zeros.
pub struct Weights {
    rows: usize,
    terms: usize,
    values: Vec<f32>,
    bias: Vec<f32>,
}

impl Weights {
    /// `weight(row, term)` for `rows` outputs of `terms = channels · taps` terms each; `bias(row)` starts each sum.
    pub fn new(
        rows: usize,
        terms: usize,
        weight: impl Fn(usize, usize) -> f32,
        bias: impl Fn(usize) -> f32,
    ) -> Self {
        let groups = rows.div_ceil(GROUP);
        let mut values = vec![0.0; groups * terms * GROUP];
        let mut padded = vec![0.0; groups * GROUP];
        for row in 0..rows {
            padded[row] = bias(row);
            for term in 0..terms {
                values[(row / GROUP * terms + term) * GROUP + row % GROUP] = weight(row, term);
            }
        }
        Weights {
            rows,
            terms,
            values,
            bias: padded,
        }
    }
}

/// Where results go: sample `q · phases + phase - shift` of `[batch, channels, time]`, for row `channel · phases + phase`.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub channels: usize,
    pub time: usize,
    pub phases: usize,
    pub shift: usize,
    pub finish: Finish<'a>,
}

/// What happens to a result on its way out. Both signals have the output's shape.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finish<'a> {
    /// The result counts only where this signal is positive: the gradient of a ReLU.
    pub gate: Option<&'a [f32]>,
    /// Then this is added: a residual connection.
    pub residual: Option<&'a [f32]>,
}

/// Runs the convolution; returns `[batch, channels, time]` of `target`.
pub fn correlate(signal: &Signal, taps: &Taps, weights: &Weights, target: &Target) -> Vec<f32> {
    let batch = signal.batch();
    let outputs = (target.time + target.shift).div_ceil(target.phases);
    let units = outputs.div_ceil(UNIT);
    let size = batch * target.channels * target.time;
    // Not zeroed first: with a few operations per sample, that pass over memory would be felt.
    let mut out = Vec::with_capacity(size);
    let rows = Rows {
        start: out.as_mut_ptr(),
        time: target.time,
    };
    (0..batch * units)
        .into_par_iter()
        .for_each_init(Vec::new, |scratch, unit| {
            let (item, first) = (unit / units, unit % units * UNIT);
            correlate_unit(
                &Job {
                    signal,
                    taps,
                    weights,
                    target,
                    rows,
                    item,
                    first,
                    end: outputs.min(first + UNIT),
                },
                scratch,
            );
        });
    // SAFETY: the units together wrote every sample of every row.
    unsafe { out.set_len(size) };
    out
}

struct Job<'a> {
    signal: &'a Signal<'a>,
    taps: &'a Taps,
    weights: &'a Weights,
    target: &'a Target<'a>,
    rows: Rows,
    item: usize,
    first: usize,
    end: usize,
}

/// The output's rows, shared by threads that write separate stretches of them.
#[derive(Clone, Copy)]
struct Rows {
    start: *mut f32,
    time: usize,
}
// SAFETY: units cover disjoint ranges of (item, time), so no two threads touch the same sample.
unsafe impl Send for Rows {}
unsafe impl Sync for Rows {}

impl Rows {
    /// # Safety
    ///
    /// `from <= to <= time`, the output is alive, and no one else holds that stretch of the row.
    #[inline(always)]
    unsafe fn stretch<'a>(self, row: usize, from: usize, to: usize) -> &'a mut [f32] {
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.time + from), to - from) }
    }
}

#[with_simd]
fn correlate_unit<'a, S: Simd>(job: &'a Job<'a>, scratch: &mut Vec<f32>) {
    let weights = job.weights;
    let width = VECTORS * S::lanes32();
    let (panel_size, tile_size) = (
        weights.terms * width,
        weights.rows.next_multiple_of(GROUP) * width,
    );
    scratch.resize(panel_size + tile_size + width * job.target.phases, 0.0);
    let (panel, rest) = scratch.split_at_mut(panel_size);
    let (tile, line) = rest.split_at_mut(tile_size);
    for first in (job.first..job.end).step_by(width) {
        gather::<S>(panel, job.signal, job.taps, job.item, first, width, job.end);
        for (group, rows) in tile.chunks_exact_mut(GROUP * width).enumerate() {
            let values = &weights.values[group * weights.terms * GROUP..][..weights.terms * GROUP];
            let bias = &weights.bias[group * GROUP..][..GROUP];
            match (weights.rows - group * GROUP).min(GROUP) {
                1 => tile_rows::<S, 1>(panel, values, bias, rows, 0),
                2 => tile_rows::<S, 2>(panel, values, bias, rows, 0),
                3 | 4 => tile_rows::<S, 4>(panel, values, bias, rows, 0),
                _ if S::lanes32() >= 16 => tile_rows::<S, 8>(panel, values, bias, rows, 0),
                _ => {
                    // 16 registers hold the sums of four rows.
                    tile_rows::<S, 4>(panel, values, bias, rows, 0);
                    tile_rows::<S, 4>(panel, values, bias, rows, 4);
                }
            }
        }
        store::<S>(job, tile, line, first, width.min(job.end - first), width);
    }
}

/// `rows[row, q] = bias[row] + Σ_term values[term, row] · panel[term, q]` for `ROWS` rows from `row` on.
#[inline(always)]
fn tile_rows<S: Simd, const ROWS: usize>(
    panel: &[f32],
    values: &[f32],
    bias: &[f32],
    rows: &mut [f32],
    row: usize,
) {
    let lanes = S::lanes32();
    let width = VECTORS * lanes;
    assert!(rows.len() == GROUP * width && row + ROWS <= GROUP && bias.len() == GROUP);
    assert!(panel.len() / width == values.len() / GROUP);
    let mut sums: [[Vector<S, f32>; VECTORS]; ROWS] = [[0.0f32.splat(); VECTORS]; ROWS];
    for (r, sums) in sums.iter_mut().enumerate() {
        *sums = [bias[row + r].splat(); VECTORS];
    }
    for (samples, values) in panel.chunks_exact(width).zip(values.chunks_exact(GROUP)) {
        let mut x: [Vector<S, f32>; VECTORS] = [0.0f32.splat(); VECTORS];
        for (v, x) in x.iter_mut().enumerate() {
            // SAFETY: `samples` holds `VECTORS` vectors.
            *x = unsafe { vload_unaligned(samples.as_ptr().add(v * lanes)) };
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            let weight = values[row + r].splat::<S>();
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = weight.mul_add(x, *sum);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: `rows` holds `GROUP` rows of `VECTORS` vectors, and `row + r < GROUP`.
            unsafe { vstore_unaligned(rows.as_mut_ptr().add((row + r) * width + v * lanes), sum) };
        }
    }
}

/// Writes `count` finished outputs of every row, from output `first` on, to where they belong.
#[inline(always)]
fn store<S: Simd>(
    job: &Job,
    tile: &[f32],
    line: &mut [f32],
    first: usize,
    count: usize,
    width: usize,
) {
    let Target {
        channels,
        time,
        phases,
        shift,
        finish,
    } = *job.target;
    // Samples `from .. to` of the output, of which `skip` before the start are dropped.
    let skip = shift.saturating_sub(first * phases);
    let from = (first * phases).saturating_sub(shift);
    let to = (from + (count * phases - skip)).min(time);
    if to <= from {
        return;
    }
    for channel in 0..channels {
        let rows = &tile[channel * phases * width..][..phases * width];
        let values = if phases == 1 {
            rows
        } else {
            interleave(rows, line, width);
            &*line
        };
        let values = &values[skip..skip + to - from];
        let row = job.item * channels + channel;
        // SAFETY: `from < to <= time`; units, and tiles within a unit, cover disjoint stretches.
        let out = unsafe { job.rows.stretch(row, from, to) };
        copy::<S>(out, values);
        let same = row * time + from..row * time + to;
        if let Some(gate) = finish.gate {
            for (out, gate) in out.iter_mut().zip(&gate[same.clone()]) {
                *out = if *gate > 0.0 { *out } else { 0.0 };
            }
        }
        if let Some(residual) = finish.residual {
            for (out, residual) in out.iter_mut().zip(&residual[same]) {
                *out += residual;
            }
        }
    }
}

/// `[phases, width]` to `[width, phases]`.
#[inline(always)]
fn interleave(rows: &[f32], line: &mut [f32], width: usize) {
    let phases = rows.len() / width;
    if phases == 2 {
        // The common case on its own, so that the compiler makes vector shuffles of it.
        let (even, odd) = rows.split_at(width);
        for ((pair, even), odd) in line.chunks_exact_mut(2).zip(even).zip(odd) {
            pair[0] = *even;
            pair[1] = *odd;
        }
    } else {
        for (phase, row) in rows.chunks_exact(width).enumerate() {
            for (to, from) in line[phase..].iter_mut().step_by(phases).zip(row) {
                *to = *from;
            }
        }
    }
}

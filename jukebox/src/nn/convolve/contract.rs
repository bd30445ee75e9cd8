//! The gradient of a convolution's weights: `gradient[m, r] = Σ_q left[m, q] · gathered[r, q]`, summed over the batch.
//!
//! Time is cut into units by the shape alone, each unit sums on its own, and the units' sums are added in their order: the
//! result does not depend on the number of threads.

use macerator::{Scalar, Simd, Vector, vload_unaligned, with_simd};
use rayon::prelude::*;

use super::gather::{Signal, Taps, gather};

/// Outputs gathered at a time: long enough that adding up the lanes at the end of a block costs little,
/// short enough that 200 rows fit the second-level cache.
const BLOCK: usize = 576;
/// Outputs per unit of work: few units keep the partial sums small, many keep the threads evenly busy.
const UNIT: usize = 8 * BLOCK;
/// At most this many units, so that partial sums stay small beside the signal.
const MOST_UNITS: usize = 64;

/// Sums over batch and time.
#[derive(Debug, PartialEq)]
pub struct Sums {
    /// `[left channels, gathered channels · taps]`.
    pub products: Vec<f32>,
    /// `[left channels]`: the sum of each channel of `left`, the gradient of a bias.
    pub left: Vec<f32>,
}

/// `left` is `[batch, m, outputs]`; `right` is read at `taps` for each of those outputs.
pub fn contract(left: &Signal, right: &Signal, taps: &Taps) -> Sums {
    let (rows, terms) = (left.channels, right.channels * taps.offsets.len());
    let (batch, outputs) = (left.batch(), left.time);
    let unit = UNIT.max(
        (batch * outputs)
            .div_ceil(MOST_UNITS)
            .next_multiple_of(BLOCK),
    );
    let units = outputs.div_ceil(unit);
    let size = rows * terms + rows;
    let partial: Vec<Vec<f32>> = (0..batch * units)
        .into_par_iter()
        .map_init(Vec::new, |scratch, index| {
            let mut sums = vec![0.0; size];
            let (item, first) = (index / units, index % units * unit);
            contract_unit(
                left,
                right,
                taps,
                item,
                first,
                outputs.min(first + unit),
                &mut sums,
                scratch,
            );
            sums
        })
        .collect();
    let mut products = vec![0.0; size];
    for sums in &partial {
        products
            .iter_mut()
            .zip(sums)
            .for_each(|(total, sum)| *total += sum);
    }
    let left = products.split_off(rows * terms);
    Sums { products, left }
}

#[with_simd]
#[allow(clippy::too_many_arguments)]
fn contract_unit<'a, S: Simd>(
    left: &'a Signal<'a>,
    right: &'a Signal<'a>,
    taps: &Taps,
    item: usize,
    first: usize,
    end: usize,
    sums: &mut [f32],
    scratch: &mut Vec<f32>,
) {
    let (rows, terms) = (left.channels, right.channels * taps.offsets.len());
    let here = Taps {
        step: 1,
        offsets: vec![0],
    };
    scratch.resize((rows + terms) * BLOCK, 0.0);
    let (a, b) = scratch.split_at_mut(rows * BLOCK);
    let (products, totals) = sums.split_at_mut(rows * terms);
    for first in (first..end).step_by(BLOCK) {
        gather::<S>(a, left, &here, item, first, BLOCK, end);
        gather::<S>(b, right, taps, item, first, BLOCK, end);
        for (row, total) in totals.iter_mut().enumerate() {
            *total += sum::<S>(&a[row * BLOCK..][..BLOCK]);
        }
        // 4 × 6 sums, 4 and 1 operands fill AVX-512's 32 registers; half of it AVX2's 16.
        match (S::lanes32() >= 16, terms.is_multiple_of(6)) {
            (true, true) => dots::<S, 4, 6>(a, b, products, terms),
            (true, false) => dots::<S, 4, 4>(a, b, products, terms),
            (false, true) => dots::<S, 2, 6>(a, b, products, terms),
            (false, false) => dots::<S, 2, 4>(a, b, products, terms),
        }
    }
}

/// `products[m, r] += a[m] · b[r]` for all rows of both, `M` × `R` at a time.
#[inline(always)]
fn dots<S: Simd, const M: usize, const R: usize>(
    a: &[f32],
    b: &[f32],
    products: &mut [f32],
    terms: usize,
) {
    let rows = products.len() / terms;
    assert!(a.len() == rows * BLOCK && b.len() == terms * BLOCK);
    for row in (0..rows).step_by(M) {
        for term in (0..terms).step_by(R) {
            // At the edge, rows beyond the last repeat the last; their results are not used.
            let left: [&[f32]; M] =
                std::array::from_fn(|m| &a[(row + m).min(rows - 1) * BLOCK..][..BLOCK]);
            let right: [&[f32]; R] =
                std::array::from_fn(|r| &b[(term + r).min(terms - 1) * BLOCK..][..BLOCK]);
            let mut sums: [[Vector<S, f32>; R]; M] = [[0.0f32.splat(); R]; M];
            for i in (0..BLOCK).step_by(S::lanes32()) {
                let mut x: [Vector<S, f32>; M] = [0.0f32.splat(); M];
                for m in 0..M {
                    // SAFETY: each row holds `BLOCK` values, a whole number of vectors, and `i < BLOCK`.
                    x[m] = unsafe { vload_unaligned(left[m].as_ptr().add(i)) };
                }
                for r in 0..R {
                    // SAFETY: as above.
                    let y: Vector<S, f32> = unsafe { vload_unaligned(right[r].as_ptr().add(i)) };
                    for m in 0..M {
                        sums[m][r] = x[m].mul_add(y, sums[m][r]);
                    }
                }
            }
            for m in 0..M.min(rows - row) {
                for r in 0..R.min(terms - term) {
                    products[(row + m) * terms + term + r] += sums[m][r].reduce_add();
                }
            }
        }
    }
}

/// Sum of a row of `BLOCK` values.
#[inline(always)]
fn sum<S: Simd>(row: &[f32]) -> f32 {
    let mut total: Vector<S, f32> = 0.0f32.splat();
    for chunk in row.chunks_exact(S::lanes32()) {
        // SAFETY: the chunk is one vector.
        total += unsafe { vload_unaligned::<S, f32>(chunk.as_ptr()) };
    }
    total.reduce_add()
}

/// The sum of each channel over batch and time: the gradient of a bias.
pub fn channel_sums(signal: &Signal) -> Vec<f32> {
    let sum_of = |channel| {
        (0..signal.batch())
            .map(|item| row_sum(signal.row(item, channel)))
            .sum()
    };
    (0..signal.channels).into_par_iter().map(sum_of).collect()
}

#[with_simd]
fn row_sum<S: Simd>(row: &[f32]) -> f32 {
    let blocks = row.chunks_exact(BLOCK);
    let rest: f32 = blocks.remainder().iter().sum();
    blocks.map(sum::<S>).sum::<f32>() + rest
}

//! An axis: the values it spans, where its ticks are and what each says.
//!
//! plotters picks ticks and labels by itself, or takes ticks without labels; this coordinate takes both, so that a
//! pitch axis can say "1k" at the row of a spectrogram whose centre is 1000 Hz.

use crate::units;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// A linear scale with labelled ticks.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    from: f64,
    to: f64,
    /// Place on the scale and label, ascending.
    ticks: Vec<(f64, String)>,
}

impl Scale {
    /// A scale with ticks of one's own.
    pub(crate) fn new(from: f64, to: f64, ticks: Vec<(f64, String)>) -> Self {
        Self { from, to, ticks }
    }

    /// Seconds, about `most` ticks; the first tick names the unit.
    pub(crate) fn seconds(from: f64, to: f64, most: usize) -> Self {
        let ticks = units::linear_ticks(from, to, most);
        let decimals = units::tick_decimals(&ticks);
        let label = |(place, value): (usize, f64)| {
            let unit = if place == 0 { " s" } else { "" };
            (value, format!("{}{unit}", units::fixed(value, decimals)))
        };
        Self::new(from, to, ticks.into_iter().enumerate().map(label).collect())
    }

    /// Decibels, about `most` ticks.
    pub(crate) fn decibels(from: f64, to: f64, most: usize) -> Self {
        let ticks = units::linear_ticks(from, to, most);
        Self::new(
            from,
            to,
            ticks
                .into_iter()
                .map(|value| (value, units::fixed(value, 0)))
                .collect(),
        )
    }

    /// Rows of a spectrogram, ticked at round frequencies; row `k` reaches from `k` to `k + 1` and has its centre
    /// at `hz[k]`. The highest tick names the unit.
    pub(crate) fn rows_in_hertz(hz: &[f32]) -> Self {
        let (Some(low), Some(high)) = (hz.first(), hz.last()) else {
            return Self::new(0.0, 1.0, Vec::new());
        };
        let mut ticks: Vec<(f64, String)> = units::log_ticks(f64::from(*low), f64::from(*high))
            .into_iter()
            .map(|value| (row_of(hz, value), units::hertz_tick(value)))
            .collect();
        if let Some((_, label)) = ticks.last_mut() {
            label.push_str(" Hz");
        }
        Self::new(0.0, hz.len() as f64, ticks)
    }

    /// The same scale with the labels left out.
    pub(crate) fn unlabelled(mut self) -> Self {
        for (_, label) in &mut self.ticks {
            label.clear();
        }
        self
    }
}

/// Where a frequency lies between the centres of the bands.
fn row_of(hz: &[f32], value: f64) -> f64 {
    let above = hz
        .partition_point(|centre| f64::from(*centre) < value)
        .clamp(1, hz.len().max(2) - 1);
    let (Some(low), Some(high)) = (hz.get(above - 1), hz.get(above)) else {
        return 0.5;
    };
    let (low, high) = (f64::from(*low), f64::from(*high));
    above as f64 - 0.5 + (value - low) / (high - low).max(f64::EPSILON)
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let span = self.to - self.from;
        let place = if span > 0.0 {
            (value - self.from) / span
        } else {
            0.5
        };
        let pixels = f64::from(limit.1 - limit.0);
        // Far outside values stay far outside, without overflow.
        limit.0 + (place * pixels).round().clamp(-1e6, 1e6) as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(place, _)| *place).collect()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Scale {
    fn format(_value: &f64) -> String {
        String::new()
    }

    fn format_ext(&self, value: &f64) -> String {
        let label = self.ticks.iter().find(|(place, _)| place == value);
        label.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequency_finds_its_row() {
        // Octaves: 100, 200, 400 Hz in rows 0, 1, 2, whose centres lie at 0.5, 1.5, 2.5.
        let hz = [100.0, 200.0, 400.0];
        for (value, row) in [(100.0, 0.5), (200.0, 1.5), (300.0, 2.0), (400.0, 2.5)] {
            assert!((row_of(&hz, value) - row).abs() < 1e-9, "{value} Hz");
        }
        let labels: Vec<String> = Scale::rows_in_hertz(&hz)
            .ticks
            .into_iter()
            .map(|(_, label)| label)
            .collect();
        assert_eq!(labels, ["100", "200 Hz"]);
    }

    #[test]
    fn degenerate_scales_do_not_panic() {
        for hz in [vec![], vec![100.0], vec![100.0, 100.0], vec![0.0, f32::NAN]] {
            let scale = Scale::rows_in_hertz(&hz);
            for (place, _) in &scale.ticks {
                scale.map(place, (0, 100));
            }
        }
        assert_eq!(Scale::seconds(0.0, 0.0, 4).map(&1.0, (0, 100)), 50);
    }

    #[test]
    fn the_first_second_names_the_unit() {
        let labels: Vec<String> = Scale::seconds(0.0, 1.0, 4)
            .ticks
            .into_iter()
            .map(|(_, label)| label)
            .collect();
        assert_eq!(labels, ["0.0 s", "0.5", "1.0"]);
    }
}

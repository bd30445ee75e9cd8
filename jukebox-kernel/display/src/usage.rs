//! How a codebook is used: one square per code, brighter the more often it occurs; codes that never occur are
//! marked, because a codebook with many dead codes carries less than its size promises.

use crate::codes::level_name;
use crate::colour_bar::ColourBar;
use crate::drawing::{Chart, DENSITY, Drawing, DrawingError, Ink};
use crate::mime::{Display, MimeBundle};
use crate::raster::{MAP_STEPS, Placed, Raster, Rgba, map_index, palette};
use crate::scale::Scale;
use crate::{html, units};
use jukebox::inspect::CodeUsage;
use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::{Value, json};

/// Codes as a grid (1024 as 32 × 32, 2048 as 32 rows of 64), one panel per level, on one logarithmic colour scale.
///
/// ```
/// use jukebox::inspect::CodeUsage;
/// use jukebox_display::{Display, UsageHeatmap};
///
/// let usage = CodeUsage::from_codes(&[0, 1, 1, 0, 3, 3, 0, 1], 4);
/// let heatmap = UsageHeatmap::new(&usage).title("Codebook");
/// assert!(heatmap.bundle().plain().contains("3 of 4 codes used, 1 dead"));
/// ```
#[derive(Clone, Debug)]
pub struct UsageHeatmap {
    panels: Vec<(String, CodeUsage)>,
    title: String,
}

impl UsageHeatmap {
    /// The usage of one codebook.
    pub fn new(usage: &CodeUsage) -> Self {
        Self {
            panels: vec![(String::new(), usage.clone())],
            title: String::new(),
        }
    }

    /// The usage at each level, given bottom first as everywhere; the top is drawn first.
    pub fn levels<'a>(levels: impl IntoIterator<Item = &'a CodeUsage>) -> Self {
        let levels: Vec<&CodeUsage> = levels.into_iter().collect();
        let named = levels.iter().enumerate().rev();
        let panels = named
            .map(|(level, usage)| (level_name(level, levels.len()), (*usage).clone()))
            .collect();
        Self {
            panels,
            title: String::new(),
        }
    }

    /// A title above the picture.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    fn sentence(&self) -> String {
        let panels: Vec<String> = self
            .panels
            .iter()
            .map(|(name, usage)| {
                let name = if name.is_empty() {
                    String::new()
                } else {
                    format!("{name}: ")
                };
                let [used, spread] = facts(usage);
                format!("{name}{used}, {spread}")
            })
            .collect();
        format!(
            "Code usage{}; {}.",
            crate::called(&self.title),
            panels.join("; ")
        )
    }

    /// The count with the brightest colour.
    fn most(&self) -> u64 {
        self.panels
            .iter()
            .flat_map(|(_, usage)| usage.counts.iter())
            .copied()
            .max()
            .unwrap_or(0)
    }

    /// Colour of a count, on a logarithmic scale from 1 to the largest.
    fn colour(&self, count: u64) -> u8 {
        let most = (self.most().max(2) as f64).ln();
        map_index((count.max(1) as f64).ln() / most)
    }

    /// One square of `cell` pixels per code, with a gap; a dead code is a dot on empty ground.
    fn raster(&self, usage: &CodeUsage, cell: usize) -> Raster {
        let (rows, columns) = grid(usage.counts.len());
        let (width, height) = (columns * cell, rows * cell);
        let mut colours = palette(colorous::VIRIDIS, MAP_STEPS);
        colours.extend([EMPTY, DEAD]);
        let (empty, dead) = (MAP_STEPS as u8, MAP_STEPS as u8 + 1);
        let mut pixels = vec![empty; width * height];
        for (code, count) in usage.counts.iter().enumerate() {
            let (top, left) = (code / columns * cell, code % columns * cell);
            // A square that leaves a gap of one pixel, or a dot of a quarter of it in the middle.
            let (size, colour) = if *count == 0 {
                ((cell / 4).max(2), dead)
            } else {
                (cell - 1, self.colour(*count))
            };
            let inset = (cell - size).div_ceil(2);
            let end = inset + size;
            for y in inset..end {
                pixels[(top + y) * width + left + inset..(top + y) * width + left + end]
                    .fill(colour);
            }
        }
        Raster {
            width,
            height,
            pixels,
            palette: colours,
        }
    }

    /// Sides of one cell in figure pixels: the same in all panels.
    fn cell(&self) -> usize {
        let columns = self
            .panels
            .iter()
            .map(|(_, usage)| grid(usage.counts.len()).1)
            .max()
            .unwrap_or(1);
        ((PANEL * DENSITY) as usize / columns.max(1)).clamp(MIN_CELL, MAX_CELL)
    }

    /// Width and height of a panel's grid, in CSS pixels.
    fn panel(&self, usage: &CodeUsage) -> (u32, u32) {
        let (rows, columns) = grid(usage.counts.len());
        let css = |cells: usize| (cells * self.cell()) as u32 / DENSITY;
        (css(columns), css(rows))
    }

    /// Left edge, in CSS pixels, of each panel, and of what comes after the last.
    fn lefts(&self) -> Vec<u32> {
        let mut lefts = vec![0];
        for (_, usage) in &self.panels {
            // The words below need room as well.
            let width = self.panel(usage).0.max(WORDS);
            lefts.push(lefts.last().copied().unwrap_or(0) + width + GAP);
        }
        lefts
    }

    /// What the script needs to tell the code under the pointer.
    fn data(&self) -> Value {
        let panels = self
            .panels
            .iter()
            .zip(self.lefts())
            .map(|((name, usage), left)| {
                json!({
                    "name": name,
                    "left": left * DENSITY,
                    "top": TOP * DENSITY,
                    "cell": self.cell(),
                    "columns": grid(usage.counts.len()).1,
                    "counts": usage.counts,
                })
            });
        Value::Array(panels.collect())
    }
}

/// No code at all: the ground shows.
const EMPTY: Rgba = [0, 0, 0, 0];
/// A grey that shows on light and dark ground alike.
const DEAD: Rgba = [128, 128, 128, 255];

/// CSS pixels.
const PANEL: u32 = 256;
const WORDS: u32 = 200;
const GAP: u32 = 28;
const TOP: u32 = 24;
const LINES: u32 = 40;
/// Figure pixels.
const MIN_CELL: usize = 6;
const MAX_CELL: usize = 20;

/// Rows and columns for a number of codes: a square, or twice as wide as high, when the number is a power of two.
fn grid(bins: usize) -> (usize, usize) {
    let columns = (bins.max(1) as f64).sqrt().ceil() as usize;
    let columns = columns.next_power_of_two();
    (bins.div_ceil(columns).max(1), columns)
}

/// "812 of 1024 codes used, 212 dead" and "entropy 8.91 of 10 bits, perplexity 481".
fn facts(usage: &CodeUsage) -> [String; 2] {
    let bins = usage.counts.len();
    let most = (bins.max(1) as f64).log2();
    let group = |count: usize| units::grouped(count as u64);
    [
        format!(
            "{} of {} codes used, {} dead",
            group(usage.used()),
            group(bins),
            group(usage.dead())
        ),
        format!(
            "entropy {} of {} bits, perplexity {}",
            units::fixed(usage.entropy_bits(), 2),
            units::fixed(most, if most.fract() == 0.0 { 0 } else { 2 }),
            units::fixed(
                usage.perplexity(),
                if usage.perplexity() < 10.0 { 1 } else { 0 }
            ),
        ),
    ]
}

impl Display for UsageHeatmap {
    fn bundle(&self) -> MimeBundle {
        let alt = self.sentence();
        Chart {
            kind: "usage",
            title: &self.title,
            note: "One square per code, in reading order; the brighter, the more often (logarithmic). A dot is a code that never occurs.",
            alt: &alt,
            overlay: "<rect class=\"jb-mark\" width=\"0\" height=\"0\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"3\"/>",
            extra: &format!("{}<output></output>", html::data(&self.data())),
            style: "#ID output{display:block;min-height:1.4em;font-variant-numeric:tabular-nums}",
            script: include_str!("usage.js"),
            ..Chart::of(self)
        }
        .bundle()
    }
}

impl Drawing for UsageHeatmap {
    fn size(&self) -> (u32, u32) {
        let height = self
            .panels
            .iter()
            .map(|(_, usage)| self.panel(usage).1)
            .max()
            .unwrap_or(0);
        let width = self.lefts().last().copied().unwrap_or(0)
            - GAP.min(self.lefts().last().copied().unwrap_or(0));
        (width + ColourBar::WIDTH, TOP + height.max(40) + LINES)
    }

    fn draw<DB>(
        &self,
        area: &DrawingArea<DB, Shift>,
        ink: &Ink,
    ) -> Result<Vec<Placed>, DrawingError>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        let d = DENSITY as i32;
        let mut placed = Vec::new();
        for ((name, usage), left) in self.panels.iter().zip(self.lefts()) {
            let (width, height) = self.panel(usage);
            let (left, top) = (left as i32 * d, TOP as i32 * d);
            area.draw_text(name, &ink.label(12), (left, 2 * d))?;
            let below = top + height as i32 * d;
            for (line, words) in facts(usage).iter().enumerate() {
                area.draw_text(
                    words,
                    &ink.label(11),
                    (left, below + (8 + 16 * line as i32) * d),
                )?;
            }
            placed.push(Placed {
                raster: self.raster(usage, self.cell()),
                x: left,
                y: top,
                width: width as i32 * d,
                height: height as i32 * d,
                // Where a screen has fewer pixels, gaps and dots fade evenly instead of vanishing here and there.
                smooth: true,
            });
        }
        let most = self.most().max(2);
        let ticks = units::log_ticks(1.0, most as f64)
            .into_iter()
            .filter(|count| count.log10().fract() == 0.0 || most < 100);
        let ticks = ticks
            .map(|count| (count.ln(), units::grouped(count as u64)))
            .collect();
        let scale = Scale::new(0.0, (most as f64).ln(), ticks);
        let bar = ColourBar {
            unit: "times",
            scale,
            map: colorous::VIRIDIS,
        };
        let (_, height) = area.dim_in_pixel();
        placed.push(bar.draw(area, ink, TOP * DENSITY, height - LINES * DENSITY)?);
        Ok(placed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_bundle;

    /// 1024 codes, of which the last `dead` never occur and code 3 occurs 1000 times.
    fn usage(dead: usize) -> CodeUsage {
        let mut counts = vec![10; 1024];
        counts[3] = 1000;
        counts[1024 - dead..].fill(0);
        CodeUsage { counts }
    }

    #[test]
    fn grids_are_square_or_twice_as_wide() {
        for (bins, want) in [
            (1024, (32, 32)),
            (2048, (32, 64)),
            (512, (16, 32)),
            (1, (1, 1)),
            (100, (7, 16)),
            (0, (1, 1)),
        ] {
            assert_eq!(grid(bins), want, "{bins} codes");
        }
    }

    #[test]
    fn dead_codes_are_dots_and_live_ones_squares() {
        let heatmap = UsageHeatmap::new(&usage(24));
        let raster = heatmap.raster(&usage(24), 10);
        let dead = MAP_STEPS as u8 + 1;
        let middle =
            |code: usize| raster.pixels[(code / 32 * 10 + 5) * raster.width + code % 32 * 10 + 5];
        let marked = (0..1024).filter(|code| middle(*code) == dead).count();
        assert_eq!(marked, 24);
        assert_eq!(
            usize::from(middle(3)),
            MAP_STEPS - 1,
            "the most frequent code is brightest"
        );
        assert_eq!(middle(0), map_index(10f64.ln() / 1000f64.ln()));
        // The gap between squares, and the ground round a dot.
        assert_eq!(raster.palette[usize::from(raster.pixels[0])], EMPTY);
        assert_eq!(
            raster.palette[usize::from(raster.pixels[raster.pixels.len() - 1])],
            EMPTY
        );
    }

    #[test]
    fn small_cells_still_show_their_dots() {
        let dead = MAP_STEPS as u8 + 1;
        for cell in MIN_CELL..=MAX_CELL {
            let raster = UsageHeatmap::new(&usage(24)).raster(&usage(24), cell);
            let dots = raster.pixels.iter().filter(|p| **p == dead).count();
            assert_eq!(
                dots,
                24 * (cell / 4).max(2).pow(2),
                "cells of {cell} pixels"
            );
        }
    }

    #[test]
    fn facts_count_the_dead() {
        let [used, spread] = facts(&usage(24));
        assert_eq!(used, "1000 of 1024 codes used, 24 dead");
        assert_eq!(spread, "entropy 9.50 of 10 bits, perplexity 723");
        let [used, spread] = facts(&CodeUsage {
            counts: vec![5, 5, 0],
        });
        assert_eq!(
            (used.as_str(), spread.as_str()),
            (
                "2 of 3 codes used, 1 dead",
                "entropy 1.00 of 1.58 bits, perplexity 2.0"
            )
        );
    }

    #[test]
    fn bundles_are_whole() {
        let heatmap = UsageHeatmap::levels([&usage(0), &usage(10), &usage(900)])
            .title("<svg/onload=alert(1)>");
        let html = check_bundle(&heatmap, (3 * 256 + 2 * 28 + 64, 24 + 256 + 40));
        assert!(html.contains("124 of 1024 codes used, 900 dead"));
        assert!(html.find("level 2 (top)").unwrap() < html.find("level 0 (bottom)").unwrap());
        let wide = UsageHeatmap::new(&CodeUsage {
            counts: vec![1; 2048],
        });
        check_bundle(&wide, (256 + 64, 24 + 128 + 40));
        check_bundle(
            &UsageHeatmap::new(&CodeUsage { counts: vec![] }),
            (200 + 64, 24 + 40 + 40),
        );
        check_bundle(&UsageHeatmap::levels([]), (64, 24 + 40 + 40));
    }
}

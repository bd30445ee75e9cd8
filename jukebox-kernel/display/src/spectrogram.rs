//! Spectrograms: level over time and frequency, one or several side by side on one colour scale.

use crate::colour_bar::ColourBar;
use crate::drawing::{Chart, DENSITY, Drawing, DrawingError, Ink};
use crate::mime::{Display, MimeBundle};
use crate::raster::{MAP_STEPS, Placed, Raster, map_index, palette};
use crate::scale::Scale;
use crate::units;
use jukebox::inspect::Spectrogram;
use plotters::coord::Shift;
use plotters::prelude::*;

/// Decibels from the darkest to the brightest colour, unless asked otherwise.
const DYNAMIC_RANGE: f64 = 80.0;

/// One or several spectrograms in viridis, with axes in seconds and hertz and a colour bar in decibels.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (original, top) = (jukebox::audio::Audio::read("a.wav")?, jukebox::audio::Audio::read("b.wav")?);
/// use jukebox::inspect::Spectrogram;
/// use jukebox_display::{SpectrogramView, show};
///
/// let original = Spectrogram::log_frequency(&original, 192);
/// let top = Spectrogram::log_frequency(&top, 192);
/// show(&SpectrogramView::new(&original));
/// show(&SpectrogramView::compare([("Original", &original), ("Level 3", &top)]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SpectrogramView {
    panels: Vec<(String, Spectrogram)>,
    title: String,
    range_db: f64,
    width: u32,
}

impl SpectrogramView {
    /// One spectrogram.
    pub fn new(spectrogram: &Spectrogram) -> Self {
        Self {
            panels: vec![(String::new(), spectrogram.clone())],
            title: String::new(),
            range_db: DYNAMIC_RANGE,
            width: 720,
        }
    }

    /// Several spectrograms with names, side by side: one colour scale, so that equal colours are equal levels.
    pub fn compare<'a, N: Into<String>>(
        panels: impl IntoIterator<Item = (N, &'a Spectrogram)>,
    ) -> Self {
        let panels = panels
            .into_iter()
            .map(|(name, spectrogram)| (name.into(), spectrogram.clone()))
            .collect();
        Self {
            panels,
            title: String::new(),
            range_db: DYNAMIC_RANGE,
            width: 960,
        }
    }

    /// A title above the picture.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Decibels from the darkest to the brightest colour; 80 unless given. The brightest is the loudest point.
    pub fn range_db(mut self, decibels: f64) -> Self {
        if decibels.is_finite() && decibels > 0.0 {
            self.range_db = decibels;
        }
        self
    }

    /// The levels of the darkest and the brightest colour.
    fn limits(&self) -> (f64, f64) {
        let levels = self
            .panels
            .iter()
            .flat_map(|(_, s)| s.db.iter())
            .copied()
            .filter(|level| level.is_finite());
        let loudest = levels.fold(f32::NEG_INFINITY, f32::max);
        let loudest = if loudest.is_finite() {
            f64::from(loudest)
        } else {
            0.0
        };
        (loudest - self.range_db, loudest)
    }

    fn sentence(&self) -> String {
        let (low, high) = self.limits();
        let names: Vec<&str> = self
            .panels
            .iter()
            .map(|(name, _)| name.trim())
            .filter(|name| !name.is_empty())
            .collect();
        let what = match self.panels.len() {
            1 => "Spectrogram".to_string(),
            n => format!("{n} spectrograms side by side ({})", names.join(", ")),
        };
        let seconds = self
            .panels
            .iter()
            .map(|(_, s)| span(s).1)
            .fold(0.0, f64::max);
        let hz = |pick: fn(&Spectrogram) -> Option<&f32>| {
            self.panels.first().and_then(|(_, s)| pick(s)).copied()
        };
        let (lowest, highest) = (
            hz(|s| s.hz.first()).unwrap_or(0.0),
            hz(|s| s.hz.last()).unwrap_or(0.0),
        );
        format!(
            "{what}, {}, {lowest:.0} Hz to {highest:.0} Hz, colours from {} to {} dB{}.",
            units::seconds(seconds),
            units::fixed(low, 0),
            units::fixed(high, 0),
            crate::called(&self.title),
        )
    }

    fn raster(&self, spectrogram: &Spectrogram, columns: usize) -> Raster {
        let (bands, frames) = spectrogram.db.dim();
        let (low, high) = self.limits();
        let width = frames.min(columns).max(1);
        let pixel = |row: usize, column: usize| {
            // Several frames in one column: the loudest, so that a short attack is not lost.
            let (from, to) = (
                column * frames / width,
                ((column + 1) * frames / width).min(frames),
            );
            let level = (from..to)
                .map(|frame| spectrogram.db[[bands - 1 - row, frame]])
                .fold(f32::NEG_INFINITY, f32::max);
            map_index((f64::from(level) - low) / (high - low))
        };
        let pixels = (0..bands).flat_map(|row| (0..width).map(move |column| (row, column)));
        let pixels = pixels.map(|(row, column)| pixel(row, column)).collect();
        Raster {
            width,
            height: bands,
            pixels,
            palette: palette(colorous::VIRIDIS, MAP_STEPS),
        }
    }
}

/// Start and end of the time that the columns stand for: each column reaches half a frame to both sides.
fn span(spectrogram: &Spectrogram) -> (f64, f64) {
    let half = spectrogram.seconds_per_frame / 2.0;
    (
        -half,
        spectrogram.db.ncols() as f64 * spectrogram.seconds_per_frame - half,
    )
}

impl Display for SpectrogramView {
    fn bundle(&self) -> MimeBundle {
        let alt = self.sentence();
        Chart {
            kind: "spectrogram",
            title: &self.title,
            alt: &alt,
            ..Chart::of(self)
        }
        .bundle()
    }

    fn bundle_within(&self, width: u32) -> MimeBundle {
        Self {
            width,
            ..self.clone()
        }
        .bundle()
    }
}

/// CSS pixels around and between the panels.
const LEFT: u32 = 48;
const GAP: u32 = 12;
const BOTTOM: u32 = 26;
const NAME: u32 = 22;
const TOP: u32 = 8;

impl Drawing for SpectrogramView {
    fn size(&self) -> (u32, u32) {
        let height = if self.panels.len() > 1 { 230 } else { 240 };
        (self.width, self.top() + height + BOTTOM)
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
        let d = DENSITY;
        let (width, height) = area.dim_in_pixel();
        let count = self.panels.len().max(1) as u32;
        let taken = (LEFT + ColourBar::WIDTH + GAP * (count - 1)) * d;
        let panel = width.saturating_sub(taken) / count;
        let mut placed = Vec::new();
        for (place, (name, spectrogram)) in self.panels.iter().enumerate() {
            let labels = if place == 0 { LEFT * d } else { 0 };
            let left = if place == 0 {
                0
            } else {
                LEFT * d + place as u32 * (panel + GAP * d)
            };
            let part = area.clone().shrink((left, 0), (panel + labels, height));
            let (from, to) = span(spectrogram);
            let pitch = Scale::rows_in_hertz(&spectrogram.hz);
            let mut chart = ChartBuilder::on(&part)
                .margin_top(self.top() * d)
                .x_label_area_size(BOTTOM * d)
                .y_label_area_size(labels)
                .build_cartesian_2d(
                    Scale::seconds(from, to, (panel / d / 52).max(2) as usize),
                    if place == 0 {
                        pitch
                    } else {
                        pitch.unlabelled()
                    },
                )?;
            let mut mesh = chart.configure_mesh();
            mesh.disable_mesh()
                .axis_style(ink.faint())
                .set_all_tick_mark_size(4 * d)
                .label_style(ink.label(11));
            mesh.draw()?;
            let (x, y) = chart.plotting_area().get_pixel_range();
            area.draw_text(
                name.trim(),
                &ink.label(12),
                (x.start, ((self.top() - NAME) * d) as i32),
            )?;
            placed.push(Placed {
                raster: self.raster(spectrogram, x.len()),
                x: x.start,
                y: y.start,
                width: x.end - x.start,
                height: y.end - y.start,
                smooth: true,
            });
        }
        let (low, high) = self.limits();
        let bar = ColourBar {
            unit: "dB",
            scale: Scale::decibels(low, high, 4),
            map: colorous::VIRIDIS,
        };
        placed.push(bar.draw(area, ink, self.top() * d, height - BOTTOM * d)?);
        Ok(placed)
    }
}

impl SpectrogramView {
    /// CSS pixels above the panels: room for their names, if they have any.
    fn top(&self) -> u32 {
        if self.panels.iter().all(|(name, _)| name.trim().is_empty()) {
            TOP + 10
        } else {
            NAME
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_bundle, page};
    use ndarray::Array2;

    #[test]
    fn bundles_are_whole() {
        check_bundle(
            &SpectrogramView::new(&click(50)).title("<script>alert(1)</script>"),
            (720, 284),
        );
        check_bundle(
            &SpectrogramView::compare([("<b>", &click(50)), ("&]]>", &click(9))]),
            (960, 278),
        );
        // Nothing to see is no reason to stop the cell.
        check_bundle(&SpectrogramView::new(&click(0)), (720, 284));
        check_bundle(
            &SpectrogramView::compare(Vec::<(String, &Spectrogram)>::new()),
            (960, 284),
        );
    }

    #[test]
    fn names_reach_the_picture_as_text() {
        let html = check_bundle(
            &SpectrogramView::compare([("<b>", &click(50)), ("&]]>", &click(9))]),
            (960, 278),
        );
        let page = page(&html);
        let texts: Vec<&str> = page
            .descendants()
            .filter(|n| n.tag_name().name() == "text")
            .filter_map(|n| n.text())
            .collect();
        assert!(texts.contains(&"<b>"), "{texts:?}");
        assert!(texts.contains(&"dB"), "{texts:?}");
        assert_eq!(
            page.descendants()
                .filter(|n| n.tag_name().name() == "image")
                .count(),
            3,
            "two panels and the bar"
        );
    }

    /// A loud column at frame 1, else silence 60 dB below.
    fn click(frames: usize) -> Spectrogram {
        let db = Array2::from_shape_fn((3, frames), |(band, frame)| {
            if frame == 1 && band == 0 {
                -10.0
            } else {
                -70.0
            }
        });
        Spectrogram {
            db,
            hz: vec![100.0, 200.0, 400.0],
            seconds_per_frame: 0.1,
        }
    }

    #[test]
    fn low_bands_lie_at_the_bottom_and_the_loudest_is_brightest() {
        let view = SpectrogramView::new(&click(4));
        let raster = view.raster(&click(4), 100);
        assert_eq!((raster.width, raster.height), (4, 3));
        let brightest = raster
            .pixels
            .iter()
            .position(|p| usize::from(*p) == MAP_STEPS - 1);
        assert_eq!(brightest, Some(2 * 4 + 1));
        assert_eq!(
            raster
                .pixels
                .iter()
                .filter(|p| **p == map_index(0.25))
                .count(),
            11
        );
    }

    #[test]
    fn a_short_attack_survives_fewer_columns() {
        let raster = SpectrogramView::new(&click(1000)).raster(&click(1000), 10);
        assert_eq!(raster.width, 10);
        assert_eq!(usize::from(raster.pixels[2 * 10]), MAP_STEPS - 1);
    }

    #[test]
    fn panels_share_one_colour_scale() {
        let mut quiet = click(4);
        quiet.db -= 20.0;
        let view = SpectrogramView::compare([("loud", &click(4)), ("quiet", &quiet)]);
        assert_eq!(view.limits(), (-90.0, -10.0));
        let loudest = view.raster(&quiet, 100).pixels.into_iter().max();
        assert_eq!(loudest, Some(map_index(0.75)));
    }

    #[test]
    fn the_sentence_tells_time_pitch_and_level() {
        let one = SpectrogramView::new(&click(100)).title("Click");
        assert_eq!(
            one.sentence(),
            "Spectrogram, 9.9 s, 100 Hz to 400 Hz, colours from −90 to −10 dB: ‘Click’."
        );
        let two = SpectrogramView::compare([("a", &click(4)), ("b", &click(4))]);
        assert!(
            two.sentence()
                .starts_with("2 spectrograms side by side (a, b), 0.35 s"),
            "{}",
            two.sentence()
        );
    }
}

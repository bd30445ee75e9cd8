//! The codes of every level as strips over one time axis: what the model keeps of a sound.

use crate::colour_bar::ColourBar;
use crate::drawing::{Chart, DENSITY, Drawing, DrawingError, Ink};
use crate::mime::{Display, MimeBundle};
use crate::raster::{MAP_STEPS, Placed, Raster, map_index, palette};
use crate::scale::Scale;
use crate::{html, units};
use jukebox::vqvae::Codes;
use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::{Value, json};
use std::ops::Range;

/// Codes as a raster of time × level, the coarsest level on top. A colour is the index of a code. Pointing at a
/// moment tells the codes of all levels there, and how long each lasts.
///
/// ```no_run
/// # fn example(codes: &jukebox::vqvae::Codes) {
/// use jukebox_display::{CodesRaster, show};
///
/// show(&CodesRaster::new(codes).title("Codes"));
/// show(&CodesRaster::new(codes).seconds(2.0..2.5)); // close enough to see single codes at the bottom
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CodesRaster {
    levels: Vec<Level>,
    bins: usize,
    /// What is shown, in seconds.
    time: Range<f64>,
    title: String,
    width: u32,
}

/// One strip.
#[derive(Clone, Debug)]
struct Level {
    name: String,
    codes: Vec<u32>,
    /// Seconds that one code stands for.
    period: f64,
}

impl Level {
    fn seconds(&self) -> f64 {
        self.codes.len() as f64 * self.period
    }

    /// Indices of the codes that touch a stretch of time.
    fn shown(&self, time: &Range<f64>) -> Range<usize> {
        let place = |seconds: f64| (seconds / self.period).clamp(0.0, self.codes.len() as f64);
        let end = (place(time.end) - 1e-6).ceil().max(0.0) as usize;
        ((place(time.start) + 1e-6).floor() as usize).min(end)..end
    }
}

impl CodesRaster {
    /// The codes of all levels, over the whole length.
    pub fn new(codes: &Codes) -> Self {
        let count = codes.levels.len();
        let rate = f64::from(codes.sample_rate.max(1));
        let levels = codes
            .levels
            .iter()
            .zip(&codes.hop_lengths)
            .enumerate()
            .rev();
        let levels: Vec<Level> = levels
            .map(|(level, (codes, hop))| Level {
                name: level_name(level, count),
                codes: codes.clone(),
                period: *hop.max(&1) as f64 / rate,
            })
            .collect();
        let end = levels.iter().map(Level::seconds).fold(0.0, f64::max);
        Self {
            levels,
            bins: codes.bins,
            time: 0.0..end,
            title: String::new(),
            width: 960,
        }
    }

    /// A title above the picture.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Only the part between two times, in seconds, clamped to what there is.
    pub fn seconds(mut self, part: Range<f64>) -> Self {
        let end = self.levels.iter().map(Level::seconds).fold(0.0, f64::max);
        let start = part.start.max(0.0);
        if start < part.end.min(end) {
            self.time = start..part.end.min(end);
        }
        self
    }

    fn sentence(&self) -> String {
        let counts: Vec<String> = self
            .levels
            .iter()
            .map(|level| {
                let count = units::grouped(level.shown(&self.time).len() as u64);
                format!(
                    "{} {count} of {}",
                    level.name,
                    units::short_time(level.period)
                )
            })
            .collect();
        format!(
            "Codes of {} levels from {} to {}, from a codebook of {} each: {}{}.",
            self.levels.len(),
            units::seconds(self.time.start),
            units::seconds(self.time.end),
            units::grouped(self.bins as u64),
            counts.join(", "),
            crate::called(&self.title),
        )
    }

    /// Left and right edge of the strips, in figure pixels.
    fn edges(&self) -> (i32, i32) {
        let right = self.width.saturating_sub(ColourBar::WIDTH).max(LEFT + 1);
        ((LEFT * DENSITY) as i32, (right * DENSITY) as i32)
    }

    /// The height at which a strip begins, in figure pixels.
    fn strip_top(place: usize) -> i32 {
        ((TOP + place as u32 * (STRIP + GAP)) * DENSITY) as i32
    }

    /// Where a time lies, in figure pixels.
    fn x_of(&self, seconds: f64) -> i32 {
        let (left, right) = self.edges();
        let place =
            (seconds - self.time.start) / (self.time.end - self.time.start).max(f64::EPSILON);
        left + (place.clamp(0.0, 1.0) * f64::from(right - left)).round() as i32
    }

    /// The codes that are drawn of a level: all that are shown, or one a pixel if they are more than pixels.
    fn drawn(&self, level: &Level) -> Vec<u32> {
        let (left, right) = self.edges();
        let shown = level.shown(&self.time);
        let count = shown.len();
        let columns = count.min((right - left) as usize);
        (0..columns)
            .map(|column| level.codes[shown.start + (2 * column + 1) * count / (2 * columns)])
            .collect()
    }

    fn strip(&self, place: usize, level: &Level) -> Placed {
        let shown = level.shown(&self.time);
        let drawn = self.drawn(level);
        let colour = |code: &u32| map_index(f64::from(*code) / (self.bins.max(2) - 1) as f64);
        // The first and the last code may be cut by the edges; the strip is then a little wider than the picture
        // shows, so whole codes keep their width up to a rounding of one pixel.
        let (x, end) = (
            self.x_of(shown.start as f64 * level.period),
            self.x_of(shown.end as f64 * level.period),
        );
        Placed {
            raster: Raster {
                width: drawn.len(),
                height: 1,
                pixels: drawn.iter().map(colour).collect(),
                palette: palette(colorous::VIRIDIS, MAP_STEPS),
            },
            x,
            y: Self::strip_top(place),
            width: end - x,
            height: (STRIP * DENSITY) as i32,
            smooth: false,
        }
    }

    /// What the script needs to tell the codes under the pointer.
    fn data(&self) -> Value {
        let (left, right) = self.edges();
        let levels = self.levels.iter().enumerate().map(|(place, level)| {
            let shown = level.shown(&self.time);
            json!({
                "name": level.name,
                "top": Self::strip_top(place),
                "height": STRIP * DENSITY,
                "period": level.period,
                "first": shown.start,
                "count": shown.len(),
                "codes": self.drawn(level),
            })
        });
        json!({
            "from": self.time.start, "to": self.time.end, "left": left, "right": right,
            "levels": levels.collect::<Vec<_>>(),
        })
    }
}

/// "level 2 (top)": counted as the library counts, bottom first, with the paper's name.
pub(crate) fn level_name(level: usize, count: usize) -> String {
    let name = match (level, count) {
        (_, 0 | 1) => return format!("level {level}"),
        (0, _) => "bottom",
        (l, n) if l + 1 == n => "top",
        (1, 3) => "middle",
        _ => return format!("level {level}"),
    };
    format!("level {level} ({name})")
}

/// CSS pixels around and between the strips.
const LEFT: u32 = 112;
const TOP: u32 = 20;
const STRIP: u32 = 40;
const GAP: u32 = 8;
const BOTTOM: u32 = 28;

const STYLE: &str = "\
#ID svg:focus-visible{outline:2px solid var(--jp-brand-color1,#1976d2);outline-offset:2px}\
#ID output{display:block;min-height:1.4em;font-variant-numeric:tabular-nums}";

impl Display for CodesRaster {
    fn bundle(&self) -> MimeBundle {
        let alt = self.sentence();
        // Marks for the codes under the pointer, in the page's two strongest colours so that they show on any code.
        let mark = "<rect class=\"jb-mark\" width=\"0\" height=\"0\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"3\"/>";
        Chart {
            kind: "codes",
            title: &self.title,
            note: "A colour is the index of a code in its level’s codebook.",
            alt: &alt,
            overlay: &mark.repeat(self.levels.len()),
            extra: &format!("{}<output></output>", html::data(&self.data())),
            style: STYLE,
            script: include_str!("codes.js"),
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

impl Drawing for CodesRaster {
    fn size(&self) -> (u32, u32) {
        (
            self.width,
            TOP + self.levels.len() as u32 * (STRIP + GAP) + BOTTOM,
        )
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
        let (left, right) = self.edges();
        let mut placed = Vec::new();
        for (place, level) in self.levels.iter().enumerate() {
            let y = Self::strip_top(place);
            area.draw_text(&level.name, &ink.label(12), (0, y + 6 * d as i32))?;
            let every = format!("{} a code", units::short_time(level.period));
            area.draw_text(&every, &ink.label(10), (0, y + 22 * d as i32))?;
            let strip = self.strip(place, level);
            if strip.raster.width > 0 && strip.width > 0 {
                placed.push(strip);
            }
        }

        let below = area.clone().shrink(
            (left as u32, 0),
            ((right - left) as u32 + 16 * d, height - d),
        );
        let mut chart = ChartBuilder::on(&below)
            .margin_right(16 * d)
            .x_label_area_size(BOTTOM * d)
            .build_cartesian_2d(
                Scale::seconds(
                    self.time.start,
                    self.time.end,
                    ((right - left) as u32 / d / 70).max(2) as usize,
                ),
                Scale::new(0.0, 1.0, Vec::new()),
            )?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_mesh()
            .axis_style(ink.faint())
            .set_all_tick_mark_size(4 * d)
            .label_style(ink.label(11));
        mesh.draw()?;

        let last = self.bins.saturating_sub(1) as f64;
        let ticks =
            [0.0, (last / 2.0).round(), last].map(|code| (code, units::grouped(code as u64)));
        let bar = ColourBar {
            unit: "code",
            scale: Scale::new(0.0, last, ticks.to_vec()),
            map: colorous::VIRIDIS,
        };
        if width > (right as u32) {
            placed.push(bar.draw(area, ink, TOP * d, height - (BOTTOM + GAP) * d)?);
        }
        Ok(placed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_bundle;

    /// Three levels of hop 8, 32, 128 over `tops` top codes at 1024 samples a second; a code is its own index.
    fn codes(tops: u32) -> Codes {
        Codes {
            levels: [16, 4, 1]
                .map(|per_top| (0..tops * per_top).map(|code| code % 1000).collect())
                .to_vec(),
            hop_lengths: vec![8, 32, 128],
            bins: 1000,
            sample_rate: 1024,
            frames: (tops * 128) as usize,
        }
    }

    #[test]
    fn the_coarsest_level_lies_on_top_and_all_end_together() {
        let raster = CodesRaster::new(&codes(8));
        assert_eq!(raster.time, 0.0..1.0);
        let names: Vec<&str> = raster
            .levels
            .iter()
            .map(|level| level.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["level 2 (top)", "level 1 (middle)", "level 0 (bottom)"]
        );
        let strips: Vec<Placed> = raster
            .levels
            .iter()
            .enumerate()
            .map(|(i, level)| raster.strip(i, level))
            .collect();
        let widths: Vec<usize> = strips.iter().map(|strip| strip.raster.width).collect();
        assert_eq!(widths, [8, 32, 128]);
        for strip in &strips {
            assert_eq!((strip.x, strip.x + strip.width), raster.edges());
        }
        assert!(strips[0].y < strips[1].y && strips[1].y < strips[2].y);
    }

    #[test]
    fn a_part_shows_the_codes_that_touch_it() {
        let raster = CodesRaster::new(&codes(8)).seconds(0.25..0.5);
        let shown: Vec<Range<usize>> = raster
            .levels
            .iter()
            .map(|level| level.shown(&raster.time))
            .collect();
        assert_eq!(shown, [2..4, 8..16, 32..64]);
        assert_eq!(
            raster.drawn(&raster.levels[1]),
            (8..16).collect::<Vec<u32>>()
        );
        // Clamped; and an empty part is no part.
        assert_eq!(CodesRaster::new(&codes(8)).seconds(0.5..9.0).time, 0.5..1.0);
        assert_eq!(CodesRaster::new(&codes(8)).seconds(2.0..3.0).time, 0.0..1.0);
    }

    #[test]
    fn more_codes_than_pixels_are_sampled_at_each_pixel() {
        let raster = CodesRaster::new(&codes(400));
        let (left, right) = raster.edges();
        let bottom = raster.drawn(&raster.levels[2]);
        assert_eq!(bottom.len(), (right - left) as usize);
        assert_eq!(bottom[0], (6400 / (2 * bottom.len())) as u32);
        assert_eq!(raster.drawn(&raster.levels[0]).len(), 400);
    }

    #[test]
    fn colours_follow_the_index() {
        let mut ends = codes(2);
        ends.levels[2] = vec![0, 999];
        let raster = CodesRaster::new(&ends);
        assert_eq!(
            raster.strip(0, &raster.levels[0]).raster.pixels,
            [0, (MAP_STEPS - 1) as u8]
        );
    }

    #[test]
    fn bundles_are_whole() {
        let html = check_bundle(
            &CodesRaster::new(&codes(8)).title("</script><b>"),
            (960, 192),
        );
        assert!(
            html.contains("\"codes\":[0,1,2,3,4,5,6,7]"),
            "the script is told the codes"
        );
        assert_eq!(html.matches("class=\"jb-mark\"").count(), 3);
        let plain = CodesRaster::new(&codes(8))
            .title("x")
            .bundle()
            .plain()
            .to_string();
        let want = "Codes of 3 levels from 0.00 s to 1.0 s, from a codebook of 1000 each: level 2 (top) 8 of 125 ms, \
                    level 1 (middle) 32 of 31 ms, level 0 (bottom) 128 of 7.8 ms: ‘x’.";
        assert_eq!(plain, want);
        // Nothing to see is no reason to stop the cell.
        check_bundle(&CodesRaster::new(&codes(0)), (960, 192));
    }
}

//! The waveform: highest and lowest sample of each column of time, on an axis in seconds.

use crate::drawing::{Chart, DENSITY, Drawing, DrawingError, Ink};
use crate::mime::{Display, MimeBundle};
use crate::raster::Placed;
use crate::scale::Scale;
use crate::units;
use jukebox::audio::Audio;
use jukebox::inspect::Envelope;
use plotters::coord::Shift;
use plotters::prelude::*;

/// Columns of the envelope: one per figure pixel at the usual width.
pub(crate) const COLUMNS: usize = 1440;

/// A still waveform with a time axis. To hear it as well, show a [`crate::Player`].
#[derive(Clone, Debug)]
pub struct Waveform {
    envelope: Envelope,
    title: String,
    width: u32,
}

impl Waveform {
    /// The waveform of a sound.
    pub fn new(audio: &Audio) -> Self {
        Self::of(Envelope::of(audio, COLUMNS))
    }

    /// The waveform of an envelope computed before.
    pub fn of(envelope: Envelope) -> Self {
        Self {
            envelope,
            title: String::new(),
            width: 720,
        }
    }

    /// A title above the picture.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }
}

impl Display for Waveform {
    fn bundle(&self) -> MimeBundle {
        let alt = format!(
            "Waveform of {}, peak {:.2} of full scale{}.",
            units::seconds(self.envelope.seconds),
            peak(&self.envelope),
            crate::called(&self.title),
        );
        Chart {
            kind: "waveform",
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

impl Drawing for Waveform {
    fn size(&self) -> (u32, u32) {
        (self.width, 150)
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
        let seconds = self.envelope.seconds.max(1e-3);
        let time = Scale::seconds(0.0, seconds, (self.width / 70) as usize);
        let amplitude = Scale::new(
            -1.0,
            1.0,
            [-1.0, 0.0, 1.0].map(|v| (v, units::fixed(v, 0))).to_vec(),
        );
        let mut chart = ChartBuilder::on(area)
            .margin_top(8 * d)
            .margin_right(16 * d)
            .x_label_area_size(28 * d)
            .y_label_area_size(34 * d)
            .build_cartesian_2d(time, amplitude)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .axis_style(ink.faint())
            .set_all_tick_mark_size(4 * d)
            .label_style(ink.label(11))
            .draw()?;
        let points = outline(&self.envelope, seconds, |column, value| (column, value));
        chart.draw_series(std::iter::once(Polygon::new(points, ink.accent.filled())))?;
        Ok(Vec::new())
    }
}

/// The largest absolute value, full scale 1.
pub(crate) fn peak(envelope: &Envelope) -> f32 {
    envelope
        .min
        .iter()
        .chain(&envelope.max)
        .fold(0.0, |peak, value| peak.max(value.abs()))
}

/// The area between the two curves of an envelope as one polygon: along the top, and back along the bottom.
/// Silence stays visible as a thin line.
pub(crate) fn outline<P>(envelope: &Envelope, width: f64, point: impl Fn(f64, f64) -> P) -> Vec<P> {
    let columns = envelope.max.len().min(envelope.min.len());
    let at = |column: usize| (column as f64 + 0.5) / columns as f64 * width;
    let clean = |value: f32| {
        if value.is_finite() {
            f64::from(value).clamp(-1.0, 1.0)
        } else {
            0.0
        }
    };
    let top = (0..columns).map(|c| {
        (
            c,
            clean(envelope.max[c]).max(clean(envelope.min[c]) + HAIRLINE),
        )
    });
    let bottom = (0..columns).rev().map(|c| (c, clean(envelope.min[c])));
    top.chain(bottom)
        .map(|(column, value)| point(at(column), value))
        .collect()
}

/// Least height of the outline, full scale 1.
const HAIRLINE: f64 = 0.012;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_bundle;

    #[test]
    fn the_outline_goes_along_the_top_and_back_along_the_bottom() {
        let envelope = Envelope {
            min: vec![-0.5, 0.0],
            max: vec![1.0, 0.0],
            seconds: 2.0,
        };
        let points = outline(&envelope, 2.0, |x, y| (x, y));
        assert_eq!(
            points,
            [(0.5, 1.0), (1.5, HAIRLINE), (1.5, 0.0), (0.5, -0.5)]
        );
        assert_eq!(peak(&envelope), 1.0);
    }

    #[test]
    fn bundles_are_whole() {
        let envelope = |value: f32| Envelope {
            min: vec![-value; 10],
            max: vec![value; 10],
            seconds: 1.5,
        };
        check_bundle(&Waveform::of(envelope(0.5)).title("<i>&"), (720, 150));
        check_bundle(&Waveform::of(envelope(f32::NAN)), (720, 150));
        check_bundle(
            &Waveform::of(Envelope {
                min: vec![],
                max: vec![],
                seconds: 0.0,
            }),
            (720, 150),
        );
        let plain = Waveform::of(envelope(0.5))
            .title("x")
            .bundle()
            .plain()
            .to_string();
        assert_eq!(plain, "Waveform of 1.5 s, peak 0.50 of full scale: ‘x’.");
    }
}

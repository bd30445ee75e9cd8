//! The colour bar at the right edge of a picture: which colour is which value.

use crate::drawing::{DENSITY, DrawingError, Ink};
use crate::raster::{MAP_STEPS, Placed, Raster, palette};
use crate::scale::Scale;
use colorous::Gradient;
use plotters::coord::Shift;
use plotters::prelude::*;

/// A vertical bar of a map's colours, lowest at the bottom.
pub(crate) struct ColourBar<'a> {
    /// Said above the bar.
    pub unit: &'a str,
    /// From the lowest to the highest colour.
    pub scale: Scale,
    pub map: Gradient,
}

impl ColourBar<'_> {
    /// CSS pixels that the bar takes at the right edge, with the space before it and its labels.
    pub(crate) const WIDTH: u32 = 64;
    const GAP: u32 = 16;
    const BAR: u32 = 10;

    /// Draws labels between two heights (figure pixels) at the right edge of `area`; returns the bar itself.
    pub(crate) fn draw<DB>(
        self,
        area: &DrawingArea<DB, Shift>,
        ink: &Ink,
        top: u32,
        bottom: u32,
    ) -> Result<Placed, DrawingError>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        let d = DENSITY;
        let (width, _) = area.dim_in_pixel();
        let left = width.saturating_sub((Self::WIDTH - Self::GAP) * d);
        let part = area.clone().shrink(
            (left, top),
            ((Self::WIDTH - Self::GAP) * d, bottom.saturating_sub(top)),
        );
        let mut chart = ChartBuilder::on(&part)
            .right_y_label_area_size((Self::WIDTH - Self::GAP - Self::BAR) * d)
            .build_cartesian_2d(Scale::new(0.0, 1.0, Vec::new()), self.scale)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_mesh()
            .axis_style(ink.faint())
            .set_all_tick_mark_size(4 * d)
            .label_style(ink.label(11));
        mesh.draw()?;
        let (x, y) = chart.plotting_area().get_pixel_range();
        area.draw_text(
            self.unit,
            &ink.label(11),
            (x.start, top as i32 - 17 * d as i32),
        )?;
        Ok(Placed {
            raster: Raster {
                width: 1,
                height: MAP_STEPS,
                pixels: (0..MAP_STEPS).rev().map(|step| step as u8).collect(),
                palette: palette(self.map, MAP_STEPS),
            },
            x: x.start,
            y: y.start,
            width: x.end - x.start,
            height: y.end - y.start,
            smooth: true,
        })
    }
}

//! The still picture: a drawing as a PNG file, on white paper with a margin.

use crate::drawing::{DENSITY, Drawing, DrawingError, Ink, pixels, register_carried_font};
use crate::html;
use crate::mime::data_uri;
use crate::raster::{Placed, Rgba};
use plotters::prelude::*;
use plotters_backend::{
    BackendColor, BackendCoord, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};
use std::collections::HashMap;

/// CSS pixels of paper round the drawing.
pub(crate) const MARGIN: u32 = 10;

const INK: Ink = Ink {
    text: RGBColor(34, 34, 34),
    accent: RGBColor(25, 118, 210),
    text_size: 1.164, // from the lowest to the highest point of DejaVu Sans
};

/// A PNG file and the size at which it is to be shown.
pub(crate) struct Still {
    pub png: Vec<u8>,
    /// CSS pixels.
    pub size: (u32, u32),
}

impl Still {
    /// The image that stands in where a sanitiser removes the drawing (see [`crate::html`]).
    pub(crate) fn html(&self, alt: &str) -> String {
        let (uri, alt) = (data_uri("image/png", &self.png), html::escape(alt));
        let (width, height) = self.size;
        format!(
            "<img class=\"jb-still\" src=\"{uri}\" width=\"{width}\" height=\"{height}\" alt=\"{alt}\"/>"
        )
    }
}

/// Draws on paper.
pub(crate) fn still(drawing: &impl Drawing) -> Result<Still, DrawingError> {
    register_carried_font();
    let (width, height) = pixels(drawing)?;
    let margin = MARGIN * DENSITY;
    let (outer_width, outer_height) = (width + 2 * margin, height + 2 * margin);

    let mut rgb = vec![255; (width * height * 3) as usize];
    let placed = {
        let backend = Bitmap(BitMapBackend::with_buffer(&mut rgb, (width, height)));
        let root = backend.into_drawing_area();
        let placed = drawing.draw(&root, &INK)?;
        root.present()?;
        placed
    };
    for p in &placed {
        blend(&mut rgb, (width as i32, height as i32), p);
    }

    let mut paper = vec![255; (outer_width * outer_height * 3) as usize];
    let row = (width * 3) as usize;
    for (y, line) in rgb.chunks_exact(row).enumerate() {
        let start = ((y as u32 + margin) * outer_width + margin) as usize * 3;
        paper[start..start + row].copy_from_slice(line);
    }
    Ok(Still {
        png: encode(&paper, outer_width, outer_height)?,
        size: (outer_width / DENSITY, outer_height / DENSITY),
    })
}

/// plotters' bitmap backend, with text where its SVG backend puts it.
///
/// With a font that a program carries, plotters draws the base line half a text height below the top, where the
/// letters of DejaVu Sans reach higher: labels would stand above their ticks and be cut off at the top.
struct Bitmap<'a>(BitMapBackend<'a>);

/// What is missing, in heights of the text.
const BASE_LINE_DROP: f64 = 0.145;

impl DrawingBackend for Bitmap<'_> {
    type ErrorType = <BitMapBackend<'static> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.present()
    }

    fn draw_pixel(
        &mut self,
        point: BackendCoord,
        color: BackendColor,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_pixel(point, color)
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (x, y): BackendCoord,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        let drop = (style.size() * BASE_LINE_DROP).round() as i32;
        self.0.draw_text(text, style, (x, y + drop))
    }
}

/// Lays a bitmap on an RGB picture, enlarged to its place, nearest pixel.
fn blend(rgb: &mut [u8], (width, height): (i32, i32), placed: &Placed) {
    for y in placed.y.max(0)..(placed.y + placed.height).min(height) {
        for x in placed.x.max(0)..(placed.x + placed.width).min(width) {
            let u = (f64::from(x - placed.x) + 0.5) / f64::from(placed.width);
            let v = (f64::from(y - placed.y) + 0.5) / f64::from(placed.height);
            let [r, g, b, opacity]: Rgba = placed.raster.at(u, v);
            let at = ((y * width + x) * 3) as usize;
            for (under, over) in rgb[at..at + 3].iter_mut().zip([r, g, b]) {
                let mixed = u32::from(over) * u32::from(opacity)
                    + u32::from(*under) * (255 - u32::from(opacity));
                *under = (mixed / 255) as u8;
            }
        }
    }
}

/// RGB pixels as a PNG file: with a palette when 256 colours suffice, which is less than half as large.
fn encode(rgb: &[u8], width: u32, height: u32) -> Result<Vec<u8>, DrawingError> {
    let (pixels, _) = rgb.as_chunks::<3>();
    let mut index_of = HashMap::new();
    let mut palette = Vec::new();
    let mut indices = Vec::with_capacity(pixels.len());
    for pixel in pixels {
        let index = *index_of.entry(*pixel).or_insert_with(|| {
            palette.extend_from_slice(pixel);
            palette.len() / 3 - 1
        });
        let Ok(index) = u8::try_from(index) else {
            break;
        };
        indices.push(index);
    }

    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_depth(png::BitDepth::Eight);
    let fits = indices.len() == pixels.len();
    if fits {
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette(palette);
    } else {
        encoder.set_color(png::ColorType::Rgb);
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(if fits { &indices } else { rgb })?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::Raster;
    use crate::raster::tests::decode;
    use plotters::coord::Shift;

    /// A red and a transparent pixel, each ten figure pixels wide, in a drawing of 20 × 10 CSS pixels.
    struct TwoPixels;

    impl Drawing for TwoPixels {
        fn size(&self) -> (u32, u32) {
            (20, 10)
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
            area.draw(&Rectangle::new([(30, 0), (39, 19)], ink.accent.filled()))?;
            let palette = vec![[255, 0, 0, 255], [0, 0, 0, 0]];
            let raster = Raster {
                width: 2,
                height: 1,
                pixels: vec![0, 1],
                palette,
            };
            let (x, y, width, height) = (4, 2, 20, 10);
            Ok(vec![Placed {
                raster,
                x,
                y,
                width,
                height,
                smooth: false,
            }])
        }
    }

    #[test]
    fn paper_holds_the_drawing_and_its_bitmaps_inside_a_margin() {
        let still = still(&TwoPixels).unwrap();
        assert_eq!(still.size, (20 + 2 * MARGIN, 10 + 2 * MARGIN));
        let (width, _, pixels) = decode(&still.png);
        let margin = (MARGIN * DENSITY) as usize;
        let at = |x: usize, y: usize| &pixels[(y + margin) * width + x + margin][..3];
        assert_eq!(
            at(4, 2),
            [255, 0, 0],
            "the first pixel begins where the bitmap does"
        );
        assert_eq!(at(13, 11), [255, 0, 0], "and ends half way");
        assert_eq!(at(3, 2), [255, 255, 255]);
        assert_eq!(at(4, 12), [255, 255, 255]);
        assert_eq!(at(14, 5), [255, 255, 255], "paper shows through");
        assert_eq!(
            at(35, 10),
            [25, 118, 210],
            "the accent has a colour of its own here"
        );
        assert_eq!(&pixels[0][..3], [255, 255, 255], "the margin is empty");
    }

    #[test]
    fn many_colours_are_kept_as_they_are() {
        let rgb: Vec<u8> = (0..300u32)
            .flat_map(|k| [k as u8, (k >> 8) as u8, 7])
            .collect();
        let (_, _, pixels) = decode(&encode(&rgb, 20, 15).unwrap());
        assert_eq!(pixels[299][..3], [43, 1, 7]);
        assert_eq!(pixels[0][..3], [0, 0, 7]);
    }

    #[test]
    fn the_drawing_in_the_page_takes_its_colours() {
        let svg = crate::drawing::svg(&TwoPixels, "class=\"x\"", "<g/>").unwrap();
        assert!(
            svg.contains("fill=\"var(--jp-brand-color1,#1976d2)\""),
            "{svg}"
        );
        assert!(
            svg.contains("viewBox=\"0 0 40 20\"") && svg.contains("width=\"20\""),
            "{svg}"
        );
        assert!(
            svg.contains("<image x=\"4\" y=\"2\" width=\"20\" height=\"10\""),
            "{svg}"
        );
    }
}

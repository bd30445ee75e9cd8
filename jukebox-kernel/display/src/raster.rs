//! A small indexed bitmap: what a spectrogram, a code strip or a grid of counts is before axes are drawn round it.
//!
//! One byte a pixel and a palette of at most 256 colours: small as a PNG, and exactly the colours of the map.

use crate::mime::data_uri;
use colorous::Gradient;

/// Red, green, blue, opacity.
pub(crate) type Rgba = [u8; 4];

/// Pixels as indices into a palette, row by row from the top.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raster {
    pub width: usize,
    pub height: usize,
    /// `[height × width]`, each below `palette.len()`.
    pub pixels: Vec<u8>,
    /// At most 256 colours.
    pub palette: Vec<Rgba>,
}

/// Colours of a map. Half of what a palette holds: the greys of text find room in the same PNG (see
/// [`crate::drawing`]), and no eye counts them.
pub(crate) const MAP_STEPS: usize = 128;

/// The colour of a map for a value in 0..=1; what lies outside gets the colour at that end.
pub(crate) fn map_index(value: f64) -> u8 {
    // A NaN casts to 0.
    (value.clamp(0.0, 1.0) * (MAP_STEPS - 1) as f64).round() as u8
}

/// `steps` opaque colours of a map, from its lowest to its highest.
pub(crate) fn palette(map: Gradient, steps: usize) -> Vec<Rgba> {
    (0..steps)
        .map(|step| {
            let colour = map.eval_rational(step, steps.max(2));
            [colour.r, colour.g, colour.b, 255]
        })
        .collect()
}

impl Raster {
    /// The picture as a PNG file.
    pub(crate) fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        encoder.set_palette(
            self.palette
                .iter()
                .flat_map(|[r, g, b, _]| [*r, *g, *b])
                .collect::<Vec<u8>>(),
        );
        if self.palette.iter().any(|colour| colour[3] < 255) {
            encoder.set_trns(
                self.palette
                    .iter()
                    .map(|colour| colour[3])
                    .collect::<Vec<u8>>(),
            );
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(file)
    }

    /// The picture as a `data:` address.
    pub(crate) fn uri(&self) -> Result<String, png::EncodingError> {
        Ok(data_uri("image/png", &self.png()?))
    }

    /// The colour at a point of the unit square, nearest pixel.
    pub(crate) fn at(&self, x: f64, y: f64) -> Rgba {
        let column = ((x * self.width as f64) as usize).min(self.width.saturating_sub(1));
        let row = ((y * self.height as f64) as usize).min(self.height.saturating_sub(1));
        let index = self
            .pixels
            .get(row * self.width + column)
            .copied()
            .unwrap_or(0);
        self.palette
            .get(usize::from(index))
            .copied()
            .unwrap_or([0; 4])
    }
}

/// A raster and the rectangle of the figure (in figure pixels) that it fills.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub raster: Raster,
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
    /// Blend between pixels when enlarged; otherwise each pixel stays a sharp rectangle.
    pub smooth: bool,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Decodes a PNG to (width, height, RGBA pixels).
    pub(crate) fn decode(file: &[u8]) -> (usize, usize, Vec<Rgba>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::ALPHA);
        let mut reader = decoder.read_info().unwrap();
        let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut buffer).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgba);
        let pixels = buffer[..info.buffer_size()].as_chunks::<4>().0.to_vec();
        (info.width as usize, info.height as usize, pixels)
    }

    #[test]
    fn a_png_round_trips() {
        let raster = Raster {
            width: 3,
            height: 2,
            pixels: vec![0, 1, 2, 2, 1, 0],
            palette: vec![[1, 2, 3, 255], [9, 8, 7, 0], [255, 0, 0, 255]],
        };
        let (width, height, pixels) = decode(&raster.png().unwrap());
        assert_eq!((width, height), (3, 2));
        let want: Vec<Rgba> = raster
            .pixels
            .iter()
            .map(|i| raster.palette[usize::from(*i)])
            .collect();
        assert_eq!(pixels, want);
        assert_eq!(raster.at(0.99, 0.0), [255, 0, 0, 255]);
        assert_eq!(raster.at(0.0, 1.0), [255, 0, 0, 255]);
    }

    #[test]
    fn palettes_run_from_end_to_end() {
        let colours = palette(colorous::VIRIDIS, 256);
        assert_eq!(colours.len(), 256);
        assert_eq!(colours[0], [68, 1, 84, 255]);
        assert!(
            colours[255][0] > 240 && colours[255][1] > 220,
            "viridis ends in yellow"
        );
    }
}

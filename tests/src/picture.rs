//! Whether a picture shows anything: counts over its pixels.

use std::collections::HashMap;
use std::io::Cursor;

use anyhow::{Context, Result, bail};

/// What a screenshot holds, in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureFacts {
    pub width: u32,
    pub height: u32,
    /// How many different colours there are.
    pub colours: usize,
    /// Which part of all pixels has the most frequent colour, 0..1.
    pub background: f64,
}

impl PictureFacts {
    /// Reads an 8-bit RGB or RGBA PNG.
    pub fn of_png(bytes: &[u8]) -> Result<Self> {
        let mut reader = png::Decoder::new(Cursor::new(bytes))
            .read_info()
            .context("not a PNG")?;
        let mut pixels = vec![0; reader.output_buffer_size().context("a huge PNG")?];
        let info = reader.next_frame(&mut pixels)?;
        let channels = match (info.color_type, info.bit_depth) {
            (png::ColorType::Rgb, png::BitDepth::Eight) => 3,
            (png::ColorType::Rgba, png::BitDepth::Eight) => 4,
            other => bail!("a PNG of another kind: {other:?}"),
        };
        let mut counts: HashMap<&[u8], usize> = HashMap::new();
        for pixel in pixels[..info.buffer_size()].chunks_exact(channels) {
            *counts.entry(&pixel[..3]).or_default() += 1;
        }
        let total: usize = counts.values().sum();
        let most = counts.values().max().copied().unwrap_or(0);
        Ok(Self {
            width: info.width,
            height: info.height,
            colours: counts.len(),
            background: most as f64 / total.max(1) as f64,
        })
    }

    /// A picture of one colour, or nearly, shows nothing.
    pub fn is_blank(&self) -> bool {
        self.colours < 4 || self.background > 0.999
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, pixels: &[[u8; 3]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, pixels.len() as u32 / width);
        encoder.set_color(png::ColorType::Rgb);
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&pixels.concat())
            .unwrap();
        bytes
    }

    #[test]
    fn one_colour_is_blank_and_a_gradient_is_not() {
        let white = PictureFacts::of_png(&png(8, &[[255; 3]; 64])).unwrap();
        assert_eq!(
            (white.width, white.height, white.colours, white.background),
            (8, 8, 1, 1.0)
        );
        assert!(white.is_blank());

        let gradient: Vec<[u8; 3]> = (0..64).map(|level| [level; 3]).collect();
        assert!(!PictureFacts::of_png(&png(8, &gradient)).unwrap().is_blank());
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        assert!(PictureFacts::of_png(b"<html>").is_err());
    }
}

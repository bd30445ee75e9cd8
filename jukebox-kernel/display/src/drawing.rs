//! A picture drawn once with `plotters` and written in two forms: an SVG in the colours of the page's theme, and a
//! PNG on paper of its own.
//!
//! Both are drawn on the same grid of whole pixels, [`DENSITY`] of them to a CSS pixel, so that the PNG is sharp on
//! a dense screen and the SVG is placed to half a pixel. The SVG backend knows plain colours only, so the theme's
//! colours travel through it as two reserved values and are replaced afterwards.

use crate::html;
use crate::mime::MimeBundle;
use crate::paper;
use crate::raster::Placed;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, RGBAColor, register_font};
use std::fmt::Write as _;
use std::sync::Once;

/// Figure pixels per CSS pixel.
pub(crate) const DENSITY: u32 = 2;

/// Why a display could not be drawn.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DrawingError {
    #[error("the drawing failed: {0}")]
    Plot(String),
    #[error("the picture could not be written as PNG")]
    Png(#[from] png::EncodingError),
    #[error(
        "a picture of {width} × {height} pixels is too large to draw: at most {most} on a side; show a shorter part"
    )]
    TooLarge { width: u32, height: u32, most: u32 },
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for DrawingError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self::Plot(error.to_string())
    }
}

/// CSS pixels that the words round a picture have at least.
const LEAST_WIDTH: u32 = 480;
/// Figure pixels on a side, at most.
const LARGEST_SIDE: u32 = 8192;

/// The colours of a drawing.
#[derive(Clone, Copy)]
pub(crate) struct Ink {
    /// Text and outlines.
    pub text: RGBColor,
    /// What the picture is about: the waveform.
    pub accent: RGBColor,
    /// What the backend takes as the size of a text of one pixel per em.
    pub text_size: f64,
}

/// Reserved colours that stand for `currentColor` and for the theme's accent while an SVG is being drawn.
const THEME: Ink = Ink {
    text: RGBColor(1, 1, 1),
    accent: RGBColor(1, 1, 2),
    text_size: 1.24, // the SVG backend divides by this
};

impl Ink {
    /// Ticks and outlines, less strong than text.
    pub(crate) fn faint(&self) -> RGBAColor {
        self.text.mix(0.45)
    }

    /// The style of a text of `size` CSS pixels.
    pub(crate) fn label(&self, size: u32) -> TextStyle<'static> {
        ("sans-serif", f64::from(size * DENSITY) * self.text_size)
            .into_font()
            .color(&self.text.mix(0.85))
    }
}

/// Something drawn with plotters.
pub(crate) trait Drawing {
    /// Width and height in CSS pixels.
    fn size(&self) -> (u32, u32);

    /// Draws text and lines on an area of `size()` × [`DENSITY`] pixels; returns the bitmaps that go beneath them.
    fn draw<DB>(
        &self,
        area: &DrawingArea<DB, Shift>,
        ink: &Ink,
    ) -> Result<Vec<Placed>, DrawingError>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static;
}

/// Width and height in figure pixels.
pub(crate) fn pixels(drawing: &impl Drawing) -> Result<(u32, u32), DrawingError> {
    let (width, height) = drawing.size();
    let (width, height) = (
        width.saturating_mul(DENSITY),
        height.saturating_mul(DENSITY),
    );
    if width > LARGEST_SIDE || height > LARGEST_SIDE {
        return Err(DrawingError::TooLarge {
            width,
            height,
            most: LARGEST_SIDE,
        });
    }
    Ok((width.max(1), height.max(1)))
}

/// The drawing as inline SVG: `attributes` go on the `<svg>` element, `overlay` on top of the picture.
pub(crate) fn svg(
    drawing: &impl Drawing,
    attributes: &str,
    overlay: &str,
) -> Result<String, DrawingError> {
    register_carried_font();
    let (width, height) = pixels(drawing)?;
    let mut plotted = String::new();
    let placed = {
        let root = SVGBackend::with_string(&mut plotted, (width, height)).into_drawing_area();
        let placed = drawing.draw(&root, &THEME)?;
        root.present()?;
        placed
    };
    let mut images = String::new();
    for p in &placed {
        let rendering = if p.smooth { "auto" } else { "pixelated" };
        let _ = write!(
            images,
            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:{rendering}\" href=\"{}\"/>",
            p.x,
            p.y,
            p.width,
            p.height,
            p.raster.uri()?,
        );
    }
    let (css_width, css_height) = drawing.size();
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{css_width}\" height=\"{css_height}\" \
         viewBox=\"0 0 {width} {height}\" {attributes}>{images}{}{overlay}</svg>",
        in_theme_colours(&plotted),
    ))
}

/// The elements inside plotters' `<svg>`, with the reserved colours replaced and text as CDATA.
///
/// plotters writes one tag a line and the text of a label on a line of its own.
fn in_theme_colours(plotted: &str) -> String {
    let mut themed = String::with_capacity(plotted.len());
    for line in plotted
        .lines()
        .filter(|line| !line.starts_with("<svg") && !line.starts_with("</svg"))
    {
        if line.starts_with('<') {
            themed.push_str(
                &line
                    .replace("\"#010101\"", "\"currentColor\"")
                    .replace("\"#010102\"", "\"var(--jp-brand-color1,#1976d2)\"")
                    .replace(" font-family=\"sans-serif\"", ""),
            );
        } else {
            let text = line
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&apos;", "'")
                .replace("&amp;", "&")
                .replace("]]>", "]] >");
            let _ = write!(themed, "<![CDATA[{text}]]>");
        }
    }
    themed
}

/// The bundle of a display that is one picture and a caption.
pub(crate) struct Chart<'a, D> {
    pub drawing: &'a D,
    /// The value of `data-jukebox`.
    pub kind: &'a str,
    pub title: &'a str,
    /// Markup.
    pub note: &'a str,
    /// The sentence that says what the picture shows.
    pub alt: &'a str,
    /// Markup on top of the picture, in figure pixels.
    pub overlay: &'a str,
    /// Markup after the picture.
    pub extra: &'a str,
    pub style: &'a str,
    pub script: &'a str,
}

impl<'a, D: Drawing> Chart<'a, D> {
    /// A chart without words.
    pub(crate) fn of(drawing: &'a D) -> Self {
        Self {
            drawing,
            kind: "",
            title: "",
            note: "",
            alt: "",
            overlay: "",
            extra: "",
            style: "",
            script: "",
        }
    }

    /// HTML with the SVG, a PNG, and the sentence. A drawing that fails says so instead of stopping the cell.
    pub(crate) fn bundle(&self) -> MimeBundle {
        self.try_bundle()
            .unwrap_or_else(|error| MimeBundle::text(format!("{} (Not drawn: {error}.)", self.alt)))
    }

    fn try_bundle(&self) -> Result<MimeBundle, DrawingError> {
        let still = paper::still(self.drawing)?;
        let label = format!("role=\"img\" aria-label=\"{}\"", html::escape(self.alt));
        let picture = svg(self.drawing, &label, self.overlay)?;
        let body = format!("{picture}{}{}", still.html(self.alt), self.extra);
        let page = html::Figure {
            id: &html::unique_id(),
            kind: self.kind,
            title: self.title,
            note: self.note,
            width: self.drawing.size().0.max(LEAST_WIDTH),
            body: &body,
            style: self.style,
            script: self.script,
        };
        Ok(MimeBundle::text(self.alt)
            .with_html(page.html(), self.alt)
            .with_png(&still.png, still.size, self.alt))
    }
}

/// The bitmap backend draws text with this font, so that pictures need no font of the system.
/// DejaVu Sans, Latin letters only; its licence lies beside it.
pub(crate) fn register_carried_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A failure shows up as a drawing error ("font not available") when text is drawn.
        let _ = register_font(
            "sans-serif",
            FontStyle::Normal,
            include_bytes!("../assets/DejaVuSans-Latin.ttf"),
        );
    });
}

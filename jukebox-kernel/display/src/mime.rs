//! The MIME bundle: one value in several forms, of which a front end shows the richest that it can.
//!
//! `text/html` for JupyterLab, `image/png` where a still picture is wanted (GitHub, PDF), `text/plain` for a
//! terminal and as the sentence that a screen reader speaks. Each form carries its alternative text in
//! `metadata[mime].alt`.

use crate::html::escape;
use crate::units;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// Bytes of all the forms of one bundle together, at most. What is larger makes a notebook slow to open and to save,
/// and code hosts do not show it.
pub const BUNDLE_BUDGET: usize = 12_000_000;

/// Something that a notebook cell can show.
pub trait Display {
    /// All the forms of this value.
    fn bundle(&self) -> MimeBundle;

    /// The same in a column `width` CSS pixels wide. By default the width is left to the front end.
    fn bundle_within(&self, width: u32) -> MimeBundle {
        let _ = width;
        self.bundle()
    }
}

/// MIME type → content, with metadata per MIME type: `data` and `metadata` of Jupyter's `display_data`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MimeBundle {
    /// MIME type → content; text as it is, binary as base64.
    pub data: Map<String, Value>,
    /// MIME type → its metadata (`alt`, `width`, `height`).
    pub metadata: Map<String, Value>,
}

impl MimeBundle {
    /// A bundle of one sentence.
    pub fn text(sentence: impl Into<String>) -> Self {
        let mut bundle = Self::default();
        bundle
            .data
            .insert("text/plain".into(), Value::String(sentence.into()));
        bundle
    }

    /// Adds HTML, with the text that says the same.
    pub fn with_html(mut self, html: impl Into<String>, alt: &str) -> Self {
        self.data
            .insert("text/html".into(), Value::String(html.into()));
        self.metadata
            .insert("text/html".into(), json!({ "alt": alt }));
        self
    }

    /// Adds a PNG file that is to be shown `width` × `height` CSS pixels large.
    pub fn with_png(mut self, file: &[u8], (width, height): (u32, u32), alt: &str) -> Self {
        self.data
            .insert("image/png".into(), Value::String(STANDARD.encode(file)));
        self.metadata.insert(
            "image/png".into(),
            json!({ "alt": alt, "width": width, "height": height }),
        );
        self
    }

    /// The content of a MIME type, if the bundle has it as text.
    pub fn get(&self, mime: &str) -> Option<&str> {
        self.data.get(mime).and_then(Value::as_str)
    }

    /// The `text/plain` form.
    pub fn plain(&self) -> &str {
        self.get("text/plain").unwrap_or("")
    }

    /// Bytes of all forms together.
    pub fn size(&self) -> usize {
        self.data
            .values()
            .map(|value| value.as_str().map_or(0, str::len))
            .sum()
    }

    /// The bundle itself, or, above [`BUNDLE_BUDGET`], its sentence and what to do instead.
    pub fn within_budget(self) -> Self {
        if self.size() <= BUNDLE_BUDGET {
            return self;
        }
        let message = format!(
            "{} (Not shown: this output is {}, and a notebook output may be {} at most. Show fewer things at once, \
             or a shorter part; or write it to a file and link to it.)",
            self.plain(),
            units::megabytes(self.size()),
            units::megabytes(BUNDLE_BUDGET),
        );
        let html = format!("<p>{}</p>", escape(&message));
        Self::text(message.clone()).with_html(html, &message)
    }
}

impl Display for MimeBundle {
    fn bundle(&self) -> MimeBundle {
        self.clone()
    }
}

/// A `data:` address holding a whole file.
pub(crate) fn data_uri(mime: &str, file: &[u8]) -> String {
    format!("data:{mime};base64,{}", STANDARD.encode(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_carries_its_alternative_text() {
        let bundle = MimeBundle::text("A picture.")
            .with_html("<b>x</b>", "alt 1")
            .with_png(b"png", (3, 4), "alt 2");
        assert_eq!(bundle.plain(), "A picture.");
        assert_eq!(bundle.get("image/png"), Some("cG5n"));
        assert_eq!(bundle.metadata["text/html"], json!({"alt": "alt 1"}));
        assert_eq!(
            bundle.metadata["image/png"],
            json!({"alt": "alt 2", "width": 3, "height": 4})
        );
    }

    #[test]
    fn a_bundle_above_its_budget_says_what_to_do() {
        let fits =
            MimeBundle::text("A picture.").with_html("x".repeat(BUNDLE_BUDGET - 100), "A picture.");
        assert_eq!(fits.clone().within_budget(), fits);
        let small = MimeBundle::text("A picture.")
            .with_html("x".repeat(BUNDLE_BUDGET), "A picture.")
            .within_budget();
        assert!(small.size() < 2_000);
        assert!(
            small
                .plain()
                .starts_with("A picture. (Not shown: this output is 12.0 MB"),
            "{}",
            small.plain()
        );
        assert!(small.get("text/html").unwrap().contains("link to it"));
    }
}

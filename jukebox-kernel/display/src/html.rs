//! The frame that every display has in a page: one `<figure>` with a caption, an unguessable id, and a still
//! picture for readers that take the drawing away.
//!
//! JupyterLab shows the outputs of a notebook that it does not trust yet (a downloaded one) through a sanitiser,
//! which removes `<svg>`, `<style>` and `<script>` but keeps `<img>` and `<audio>`. So a figure carries its still
//! picture as well, hidden by a style rule that vanishes together with the drawing. Text inside the drawing is
//! written as CDATA (see [`crate::drawing`]), which the sanitiser drops instead of leaving the words behind.

use std::hash::{BuildHasher, RandomState};

/// Text for a place between tags or in a double-quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Control characters are allowed neither in HTML nor in XML.
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// An id that no other display has, in this notebook or in another one open on the same page.
pub(crate) fn unique_id() -> String {
    // A RandomState is seeded by the system's random numbers and differs at every call.
    format!("jukebox-{:016x}", RandomState::new().hash_one("display"))
}

/// A `<figure>` under construction.
pub(crate) struct Figure<'a> {
    /// From [`unique_id`].
    pub id: &'a str,
    /// What kind of display it is: the value of `data-jukebox`.
    pub kind: &'a str,
    /// Shown above, in bold; nothing if empty.
    pub title: &'a str,
    /// Shown below, smaller; nothing if empty. Markup.
    pub note: &'a str,
    /// Largest width, in CSS pixels.
    pub width: u32,
    /// The drawing and the native elements. Markup.
    pub body: &'a str,
    /// Rules for the inside of this figure; `#ID` stands for the figure.
    pub style: &'a str,
    /// A script that adds interaction; `__ID__` stands for the figure's id. Nothing if empty.
    pub script: &'a str,
}

/// Rules that all figures share. The colours are JupyterLab's theme variables, or whatever the page uses.
const STYLE: &str = "\
#ID{margin:4px 0 8px;padding:0;color:var(--jp-ui-font-color1,currentColor);\
font-family:var(--jp-ui-font-family,system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif);font-size:13px;line-height:1.4}\
#ID .jb-title{font-weight:600;margin:0 0 4px}\
#ID .jb-note{opacity:.75;font-size:12px;margin:2px 0 0;min-height:1.4em}\
#ID svg{display:block;max-width:100%;height:auto;overflow:visible}\
#ID svg text{font-family:inherit}\
#ID .jb-still{display:none}";

impl Figure<'_> {
    pub(crate) fn html(&self) -> String {
        let style = format!("{STYLE}{}", self.style).replace("#ID", &format!("#{}", self.id));
        let title = optional("<div class=\"jb-title\">", &escape(self.title), "</div>");
        let note = optional("<figcaption class=\"jb-note\">", self.note, "</figcaption>");
        let script = optional(
            "<script>",
            &self.script.replace("__ID__", self.id),
            "</script>",
        );
        format!(
            "<figure id=\"{}\" data-jukebox=\"{}\" style=\"max-width:{}px\"><style>{style}</style>{title}{}{note}{script}</figure>",
            self.id, self.kind, self.width, self.body,
        )
    }
}

/// Data for a figure's script.
pub(crate) fn data(value: &serde_json::Value) -> String {
    // A "<" could end the script element; in JSON it occurs only inside strings, where it can be written as a number.
    let json = value.to_string().replace('<', "\\u003c");
    format!("<script type=\"application/json\" class=\"jb-data\">{json}</script>")
}

fn optional(open: &str, content: &str, close: &str) -> String {
    if content.is_empty() {
        String::new()
    } else {
        format!("{open}{content}{close}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_harmless() {
        let text = "<script>alert('1')</script> & \"\u{1b}";
        assert_eq!(
            escape(text),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot; "
        );
    }

    #[test]
    fn data_cannot_leave_its_element() {
        let value = serde_json::json!({ "name": "</script><b>" });
        let element = data(&value);
        let json = element
            .split_once('>')
            .unwrap()
            .1
            .strip_suffix("</script>")
            .unwrap();
        assert!(!json.contains('<'));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(json).unwrap(),
            value
        );
    }

    #[test]
    fn ids_differ() {
        let ids: std::collections::HashSet<String> = (0..100).map(|_| unique_id()).collect();
        assert_eq!(ids.len(), 100);
    }
}

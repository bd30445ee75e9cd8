//! Several displays side by side, to compare them: the decodes of each level, with a player for each.

use crate::html;
use crate::mime::{Display, MimeBundle};
use std::fmt::{self, Debug, Formatter};

/// Displays next to each other, each under its caption; they wrap where the page is narrow.
///
/// ```no_run
/// # fn example(original: &jukebox::audio::Audio, top: &jukebox::audio::Audio) {
/// use jukebox_display::{Columns, Player, show};
///
/// show(&Columns::new().column("Original", Player::new(original)).column("Top level", Player::new(top)));
/// # }
/// ```
#[derive(Default)]
pub struct Columns {
    columns: Vec<(String, Box<dyn Display + Send + Sync>)>,
    title: String,
    across: usize,
}

impl Columns {
    /// No column yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a display, with a caption above it (empty for none).
    pub fn column(
        mut self,
        caption: impl Into<String>,
        display: impl Display + Send + Sync + 'static,
    ) -> Self {
        self.columns.push((caption.into(), Box::new(display)));
        self
    }

    /// A title above them all.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// So many columns at most, then a new row: a grid. Without it, four.
    pub fn across(mut self, columns: usize) -> Self {
        self.across = columns;
        self
    }

    /// Width of a column in CSS pixels.
    fn width(&self) -> u32 {
        let across = if self.across == 0 { 4 } else { self.across };
        let columns = self.columns.len().min(across).max(1) as u32;
        ((TOTAL.saturating_sub(GAP * (columns - 1))) / columns).clamp(LEAST, MOST)
    }
}

/// CSS pixels.
const TOTAL: u32 = 960;
const GAP: u32 = 20;
const LEAST: u32 = 180;
const MOST: u32 = 720;

impl Debug for Columns {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let captions: Vec<&str> = self
            .columns
            .iter()
            .map(|(caption, _)| caption.as_str())
            .collect();
        f.debug_struct("Columns")
            .field("title", &self.title)
            .field("columns", &captions)
            .finish()
    }
}

impl Display for Columns {
    fn bundle(&self) -> MimeBundle {
        let width = self.width();
        let mut body = String::from("<div class=\"jb-columns\">");
        let mut sentences = Vec::new();
        for (caption, display) in &self.columns {
            let bundle = display.bundle_within(width);
            let caption = caption.trim();
            body.push_str("<div>");
            if !caption.is_empty() {
                body.push_str(&format!(
                    "<div class=\"jb-title\">{}</div>",
                    html::escape(caption)
                ));
            }
            match bundle.get("text/html") {
                Some(html) => body.push_str(html),
                None => body.push_str(&format!("<p>{}</p>", html::escape(bundle.plain()))),
            }
            body.push_str("</div>");
            let name = if caption.is_empty() {
                String::new()
            } else {
                format!("{caption}: ")
            };
            sentences.push(format!("{name}{}", bundle.plain()));
        }
        body.push_str("</div>");
        let plain = [vec![self.title.trim().to_string()], sentences].concat();
        let plain: Vec<String> = plain.into_iter().filter(|line| !line.is_empty()).collect();
        let alt = format!(
            "{} displays side by side{}.",
            self.columns.len(),
            crate::called(&self.title)
        );
        let page = html::Figure {
            id: &html::unique_id(),
            kind: "columns",
            title: &self.title,
            note: "",
            width: TOTAL,
            body: &body,
            style: &format!(
                "#ID .jb-columns{{display:grid;gap:12px {GAP}px;align-items:start;\
                 grid-template-columns:repeat(auto-fill,minmax(min({width}px,100%),1fr))}}\
                 #ID .jb-columns>div{{min-width:0}}"
            ),
            script: "",
        };
        MimeBundle::text(plain.join("\n")).with_html(page.html(), &alt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;
    use crate::testing::page;

    #[test]
    fn columns_hold_their_displays_in_order() {
        let columns = Columns::new()
            .title("Both")
            .column("<Left>", Table::new(["a"]).row([1]))
            .column("", MimeBundle::text("Only words & such."));
        let bundle = columns.bundle();
        assert_eq!(bundle.plain(), "Both\n<Left>: a\n1\nOnly words & such.");
        let html = bundle.get("text/html").unwrap();
        let page = page(html);
        let texts: Vec<&str> = page
            .descendants()
            .filter(|n| n.is_text())
            .filter_map(|n| n.text())
            .collect();
        let place = |text: &str| texts.iter().position(|t| *t == text).unwrap();
        assert!(
            place("Both") < place("<Left>")
                && place("<Left>") < place("1")
                && place("1") < place("Only words & such.")
        );
        let ids: std::collections::HashSet<&str> = page
            .descendants()
            .filter_map(|n| n.attribute("id"))
            .collect();
        assert_eq!(
            ids.len(),
            2,
            "the frame and the table have ids of their own"
        );
    }

    #[test]
    fn columns_share_the_width() {
        let of = |count: usize| {
            (0..count).fold(Columns::new(), |columns, _| {
                columns.column("", MimeBundle::text("x"))
            })
        };
        let cases = [
            (of(0), 720),
            (of(1), 720),
            (of(2), 470),
            (of(4), 225),
            (of(6), 225),
            (of(6).across(2), 470),
        ];
        for (columns, width) in cases {
            assert_eq!(columns.width(), width);
        }
    }
}

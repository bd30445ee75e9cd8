//! A small table of numbers with a caption.

use crate::html;
use crate::mime::{Display, MimeBundle};
use crate::units;
use std::fmt::Write as _;

/// Rows that a table shows at most; the rest is counted in the caption.
const MOST_ROWS: usize = 500;

/// A table: columns of numbers are aligned to the right.
///
/// ```
/// use jukebox_display::{Display, Table};
///
/// let table = Table::new(["level", "codes per second", "bits per second"])
///     .row(("top", 344.53, 3790))
///     .row(("bottom", 5512.5, 60_638))
///     .caption("What each level keeps");
/// assert!(table.bundle().plain().contains("5512.5"));
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<Cell>>,
    caption: String,
}

/// One cell: a text, or a number as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    text: String,
    number: bool,
}

impl Table {
    /// A table without rows yet.
    pub fn new<H: Into<String>>(headings: impl IntoIterator<Item = H>) -> Self {
        Self {
            headings: headings.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
            caption: String::new(),
        }
    }

    /// Adds a row: a tuple of texts and numbers, or a `Vec` or array of one kind.
    pub fn row(mut self, row: impl Row) -> Self {
        self.rows.push(row.cells());
        self
    }

    /// The caption above the table.
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    fn columns(&self) -> usize {
        self.rows
            .iter()
            .map(Vec::len)
            .chain([self.headings.len()])
            .max()
            .unwrap_or(0)
    }

    /// Whether a column holds numbers only.
    fn numeric(&self, column: usize) -> bool {
        let mut cells = self
            .rows
            .iter()
            .filter_map(|row| row.get(column))
            .filter(|cell| !cell.text.is_empty())
            .peekable();
        cells.peek().is_some() && cells.all(|cell| cell.number)
    }

    /// The caption, and what is left out.
    fn heading(&self) -> String {
        let hidden = self.rows.len().saturating_sub(MOST_ROWS);
        match (self.caption.trim(), hidden) {
            (caption, 0) => caption.to_string(),
            (caption, n) => {
                format!("{caption} (the first {MOST_ROWS} rows; {n} more are not shown)")
                    .trim()
                    .to_string()
            }
        }
    }

    fn text_of(&self, row: &[Cell], column: usize) -> String {
        row.get(column)
            .map(|cell| cell.text.clone())
            .unwrap_or_default()
    }

    /// Columns lined up with spaces.
    fn plain(&self) -> String {
        let heading = |column| self.headings.get(column).cloned().unwrap_or_default();
        let mut lines = vec![(0..self.columns()).map(heading).collect::<Vec<_>>()];
        for row in self.rows.iter().take(MOST_ROWS) {
            lines.push(
                (0..self.columns())
                    .map(|column| self.text_of(row, column))
                    .collect(),
            );
        }
        let lines: Vec<Vec<String>> = lines
            .into_iter()
            .map(|line| {
                line.into_iter()
                    .map(|text| text.replace(char::is_control, " "))
                    .collect()
            })
            .collect();
        let widths: Vec<usize> = (0..self.columns())
            .map(|column| {
                lines
                    .iter()
                    .map(|line| line[column].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = self.heading();
        for line in lines {
            let cells: Vec<String> = line
                .iter()
                .enumerate()
                .map(|(column, cell)| {
                    let width = widths[column];
                    if self.numeric(column) {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                })
                .collect();
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(cells.join("  ").trim_end());
        }
        text
    }

    fn html(&self) -> String {
        let side = |column| {
            if self.numeric(column) {
                " class=\"jb-number\""
            } else {
                ""
            }
        };
        let mut table = String::from("<table><thead><tr>");
        for column in 0..self.columns() {
            let heading = self
                .headings
                .get(column)
                .map(String::as_str)
                .unwrap_or_default();
            let _ = write!(
                table,
                "<th scope=\"col\"{}>{}</th>",
                side(column),
                html::escape(heading)
            );
        }
        table.push_str("</tr></thead><tbody>");
        for row in self.rows.iter().take(MOST_ROWS) {
            table.push_str("<tr>");
            for column in 0..self.columns() {
                let _ = write!(
                    table,
                    "<td{}>{}</td>",
                    side(column),
                    html::escape(&self.text_of(row, column))
                );
            }
            table.push_str("</tr>");
        }
        table.push_str("</tbody></table>");
        table
    }
}

const STYLE: &str = "\
#ID table{border-collapse:collapse;margin:0;font-size:13px;font-variant-numeric:tabular-nums;table-layout:auto;color:inherit}\
#ID th,#ID td{padding:4px 16px 4px 0;border:0;text-align:left;vertical-align:baseline;background:none;color:inherit;max-width:none;white-space:nowrap}\
#ID thead th{font-weight:600;border-bottom:1px solid var(--jp-border-color1,currentColor)}\
#ID tbody tr{background:none}\
#ID tbody tr+tr td{border-top:1px solid var(--jp-border-color2,rgba(128,128,128,.25))}\
#ID .jb-number{text-align:right}\
#ID th:last-child,#ID td:last-child{padding-right:0}\
#ID{overflow-x:auto}";

impl Display for Table {
    fn bundle(&self) -> MimeBundle {
        let heading = self.heading();
        let body = self.html();
        let page = html::Figure {
            id: &html::unique_id(),
            kind: "table",
            title: &heading,
            note: "",
            width: 960,
            body: &body,
            style: STYLE,
            script: "",
        };
        let size = format!(
            "Table of {} rows and {} columns{}.",
            self.rows.len(),
            self.columns(),
            crate::called(&self.caption)
        );
        MimeBundle::text(self.plain()).with_html(page.html(), &size)
    }
}

/// What [`Table::row`] takes.
pub trait Row {
    /// The cells from left to right.
    fn cells(self) -> Vec<Cell>;
}

impl<C: Into<Cell>> Row for Vec<C> {
    fn cells(self) -> Vec<Cell> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<C: Into<Cell>, const N: usize> Row for [C; N] {
    fn cells(self) -> Vec<Cell> {
        self.into_iter().map(Into::into).collect()
    }
}

macro_rules! rows_of_tuples {
    ($(($($cell:ident),+))+) => {
        $(impl<$($cell: Into<Cell>),+> Row for ($($cell,)+) {
            #[allow(non_snake_case)] // a type's name doubles as its value's
            fn cells(self) -> Vec<Cell> {
                let ($($cell,)+) = self;
                vec![$($cell.into()),+]
            }
        })+
    };
}

rows_of_tuples! { (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) (A, B, C, D, E, F, G) (A, B, C, D, E, F, G, H) }

impl From<&str> for Cell {
    /// A text that begins like a number ("-12.3 dB", "186 ×") is aligned as one, its minus as wide as a digit.
    fn from(text: &str) -> Self {
        let digits = text
            .trim_start_matches(['-', '−', '+', '±', '≈'])
            .trim_start();
        let number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '∞');
        let text = match text.strip_prefix('-') {
            Some(rest) if number => format!("−{rest}"),
            _ => text.to_string(),
        };
        Self { text, number }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<f64> for Cell {
    /// Four digits or so: 0.0123, 1.23, 12.3, 1234.5.
    fn from(value: f64) -> Self {
        let text = if value.is_nan() {
            "–".to_string()
        } else if value.is_infinite() {
            if value < 0.0 {
                "−∞".to_string()
            } else {
                "∞".to_string()
            }
        } else if value == value.trunc() && value.abs() < 1e9 {
            units::fixed(value, 0)
        } else {
            let decimals = match value.abs() {
                size if size >= 100.0 => 1,
                size if size >= 1.0 => 2,
                size if size >= 0.1 => 3,
                _ => 4,
            };
            units::fixed(value, decimals)
        };
        Self { text, number: true }
    }
}

impl From<f32> for Cell {
    fn from(value: f32) -> Self {
        f64::from(value).into()
    }
}

macro_rules! cells_of_integers {
    ($($integer:ty),+) => {
        $(impl From<$integer> for Cell {
            fn from(value: $integer) -> Self {
                let magnitude = units::in_thousands(value.unsigned_abs() as u64);
                let sign = if value < 0 { "−" } else { "" };
                Self { text: format!("{sign}{magnitude}"), number: true }
            }
        })+
    };
}

cells_of_integers!(i32, i64, isize);

macro_rules! cells_of_counts {
    ($($integer:ty),+) => {
        $(impl From<$integer> for Cell {
            fn from(value: $integer) -> Self {
                Self { text: units::in_thousands(value as u64), number: true }
            }
        })+
    };
}

cells_of_counts!(u32, u64, usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::page;

    fn table() -> Table {
        Table::new(["level", "ratio", "error"])
            .row(("top <1>", 128, "−3.2 dB"))
            .row(("bottom", 8, "−21.0 dB"))
            .caption("What & why")
    }

    #[test]
    fn numbers_stand_to_the_right_in_text_and_html() {
        let plain = "What & why\nlevel    ratio     error\ntop <1>    128   −3.2 dB\nbottom       8  −21.0 dB";
        let bundle = table().bundle();
        assert_eq!(bundle.plain(), plain);
        let html = bundle.get("text/html").unwrap();
        let page = page(html);
        let cells: Vec<(Option<&str>, Option<&str>)> = page
            .descendants()
            .filter(|node| node.has_tag_name("td"))
            .map(|node| (node.attribute("class"), node.text()))
            .collect();
        assert_eq!(cells[0], (None, Some("top <1>")));
        assert_eq!(cells[1], (Some("jb-number"), Some("128")));
        assert_eq!(cells[2], (Some("jb-number"), Some("−3.2 dB")));
        assert_eq!(cells.len(), 6);
        assert_eq!(
            bundle.metadata["text/html"]["alt"],
            "Table of 2 rows and 3 columns: ‘What & why’."
        );
    }

    #[test]
    fn cells_write_numbers_for_people() {
        let cases: [(Cell, &str, bool); 12] = [
            (0.01234.into(), "0.0123", true),
            (1.239.into(), "1.24", true),
            (5512.5.into(), "5512.5", true),
            ((-3.0).into(), "−3", true),
            (f64::NEG_INFINITY.into(), "−∞", true),
            (f64::NAN.into(), "–", true),
            (1234.into(), "1\u{a0}234", true),
            ((-7i64).into(), "−7", true),
            ("12 s".into(), "12 s", true),
            ("-12.5 dB".into(), "−12.5 dB", true),
            ("-v".into(), "-v", false),
            ("x12".into(), "x12", false),
        ];
        for (cell, text, number) in cases {
            assert_eq!((cell.text.as_str(), cell.number), (text, number));
        }
    }

    #[test]
    fn ragged_and_long_tables_are_shown_as_far_as_they_go() {
        let ragged = Table::new(["a"]).row([1, 2, 3]).row(Vec::<i32>::new());
        assert_eq!(ragged.bundle().plain(), "a\n1  2  3\n");
        let long = (0..MOST_ROWS + 7).fold(Table::new(["n"]), |table, n| table.row([n]));
        assert!(long.bundle().plain().contains("7 more are not shown"));
        assert_eq!(
            long.bundle()
                .get("text/html")
                .unwrap()
                .matches("<td")
                .count(),
            MOST_ROWS
        );
    }
}

//! What a notebook cell shows: a player, a waveform, spectrograms, codes, code usage, tables.
//!
//! Every display is a [`MimeBundle`] that degrades: HTML with inline SVG in the colours of JupyterLab's theme (a
//! script only adds interaction), a PNG where a still picture is wanted, and a sentence that a screen reader can
//! speak. Nothing is loaded from a network. This crate renders; what it renders is computed by `jukebox::inspect`.
//!
//! A cell whose last expression is a display shows it; [`show`] shows one in the middle of a cell, and
//! [`show_updating`] one that is replaced in place.

mod codes;
mod colour_bar;
mod columns;
mod drawing;
mod html;
mod mime;
mod paper;
mod player;
mod raster;
mod scale;
mod show;
mod spectrogram;
mod table;
#[cfg(test)]
mod testing;
mod units;
mod usage;
mod waveform;

pub use codes::CodesRaster;
pub use columns::Columns;
pub use mime::{BUNDLE_BUDGET, Display, MimeBundle};
pub use player::{Player, SOUND_BUDGET};
pub use show::{FRAME_PREFIX, Updating, clear_output, show, show_updating};
pub use spectrogram::SpectrogramView;
pub use table::{Cell, Row, Table};
pub use usage::UsageHeatmap;
pub use waveform::Waveform;

/// evcxr calls `evcxr_display` on the value of a cell's last expression, if it has such a method.
macro_rules! shown_as_last_expression {
    ($($display:ty),+) => {
        $(impl $display {
            /// Shows this display; called for the last expression of a cell.
            pub fn evcxr_display(&self) {
                show(self);
            }
        })+
    };
}

shown_as_last_expression!(
    CodesRaster,
    Columns,
    MimeBundle,
    Player,
    SpectrogramView,
    Table,
    UsageHeatmap,
    Waveform
);

/// ": ‘title’" for the end of a sentence, or nothing.
fn called(title: &str) -> String {
    let title = title.trim().replace(char::is_control, " ");
    if title.is_empty() {
        String::new()
    } else {
        format!(": ‘{title}’")
    }
}

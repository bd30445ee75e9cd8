//! What a notebook cell shows: a player, a waveform, spectrograms, codes, code usage, tables.
//!
//! Every display is a [`MimeBundle`] that degrades: HTML with inline SVG in the colours of JupyterLab's theme (a
//! script only adds interaction), a PNG where a still picture is wanted, and a sentence that a screen reader can
//! speak. Nothing is loaded from a network. This crate renders; what it renders is computed by `jukebox::inspect`.
//!
//! A cell whose last expression is a display shows it; [`show`] shows one in the middle of a cell, and
//! [`show_updating`] one that is replaced in place:
//!
//! ```
//! use jukebox::audio::Audio;
//! use jukebox_display::{Columns, Player, Table, Waveform, show};
//!
//! let tone = (0..22_050).map(|t| 0.5 * (t as f32 * 0.0627).sin()).collect();
//! let audio = Audio::from_mono(tone, 22_050);
//! show(&Player::new(&audio).title("A tone of 220 Hz"));
//! show(&Table::new(["what", "Hz"]).row(("tone", 220)).row(("rate", audio.sample_rate)));
//! show(&Columns::new().column("to hear", Player::new(&audio)).column("to see", Waveform::new(&audio)));
//! ```
//!
//! A notebook is a text file that people open, compare and send, so a display keeps to a size:
//!
//! | what | at most | above it |
//! | --- | --- | --- |
//! | sound inside a [`Player`] | [`SOUND_BUDGET`], 4 MB of 16-bit wav | no sound, and how to write a file and link it |
//! | waveform, spectrogram, strip of codes | one column per pixel, 0.1–0.7 MB in all | columns are merged or sampled |
//! | rows of a [`Table`] | 500 | the caption counts the rest |
//! | any bundle, all forms together | [`BUNDLE_BUDGET`], 12 MB | its sentence, and what to do |

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

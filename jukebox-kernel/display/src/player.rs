//! The player: a waveform with a playhead over the browser's own audio element.

use crate::drawing::{DENSITY, Drawing, DrawingError, Ink, svg};
use crate::mime::{Display, MimeBundle, data_uri};
use crate::raster::Placed;
use crate::waveform::{COLUMNS, outline, peak};
use crate::{html, paper, units};
use jukebox::audio::{Audio, WavFormat};
use jukebox::inspect::Envelope;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::fmt::Write as _;

/// Bytes of sound, as 16-bit wav, that a player carries inside the notebook: 95 s of mono at 22 050 Hz.
/// What is longer is written to a file and linked.
pub const SOUND_BUDGET: usize = 4_000_000;

/// Hears and sees a sound: a waveform to click in over `<audio controls>`.
///
/// The sound itself travels inside the output as a 16-bit wav, up to [`SOUND_BUDGET`]; link a file above it:
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use jukebox::audio::{Audio, WavFormat};
/// use jukebox_display::{Player, show};
///
/// let audio = Audio::read("song.flac")?;
/// show(&Player::new(&audio.slice_seconds(0.0, 20.0)).title("The first 20 seconds"));
///
/// audio.write_wav("song.wav", WavFormat::Pcm16)?;
/// show(&Player::new(&audio).title("All of it").linked("song.wav"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Player {
    envelope: Envelope,
    facts: Facts,
    sound: Sound,
    title: String,
}

/// What the sentence says about a sound.
#[derive(Clone, Debug)]
struct Facts {
    seconds: f64,
    sample_rate: u32,
    channels: usize,
    peak: f32,
}

/// Where the browser finds the sound.
#[derive(Clone, Debug)]
enum Sound {
    /// In the output itself: a wav file.
    Inside(Vec<u8>),
    /// In a file, at an address relative to the notebook.
    Linked(String),
    /// Nowhere: so many bytes are above the budget.
    TooLarge(usize),
    /// There is no sample to play.
    Empty,
}

impl Player {
    /// A player of a sound, of any rate and number of channels.
    pub fn new(audio: &Audio) -> Self {
        let bytes = 44 + 2 * audio.samples.len();
        let sound = match audio.frames() {
            0 => Sound::Empty,
            _ if bytes > SOUND_BUDGET => Sound::TooLarge(bytes),
            _ => Sound::Inside(audio.wav_bytes(WavFormat::Pcm16)),
        };
        let peak = audio
            .samples
            .iter()
            .filter(|s| s.is_finite())
            .fold(0f32, |peak, s| peak.max(s.abs()));
        let facts = Facts {
            seconds: audio.seconds(),
            sample_rate: audio.sample_rate,
            channels: audio.channels(),
            peak,
        };
        Self {
            envelope: Envelope::of(audio, COLUMNS),
            facts,
            sound,
            title: String::new(),
        }
    }

    /// A title above the waveform.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Plays a file instead of carrying the sound: `address` is relative to the notebook.
    pub fn linked(mut self, address: impl Into<String>) -> Self {
        self.sound = Sound::Linked(address.into());
        self
    }

    /// "Audio, 12.3 s, 22050 Hz, mono, peak −3.2 dBFS: ‘title’."
    fn sentence(&self) -> String {
        let Facts {
            seconds,
            sample_rate,
            channels,
            ..
        } = self.facts;
        let (time, channels) = (units::seconds(seconds), units::channels(channels));
        format!(
            "Audio, {time}, {sample_rate} Hz, {channels}, {}{}.",
            self.loudness(),
            crate::called(&self.title)
        )
    }

    fn loudness(&self) -> String {
        if self.facts.peak > 0.0 {
            format!(
                "peak {} dBFS",
                units::fixed(20.0 * f64::from(self.facts.peak).log10(), 1)
            )
        } else {
            "silent".to_string()
        }
    }

    /// The native element, or what to do where there is none.
    fn element(&self, sentence: &str) -> String {
        let label = html::escape(sentence);
        let audio = |source: &str| {
            format!(
                "<audio controls=\"controls\" preload=\"metadata\" aria-label=\"{label}\" src=\"{source}\"></audio>"
            )
        };
        match &self.sound {
            Sound::Inside(wav) => audio(&data_uri("audio/wav", wav)),
            Sound::Linked(address) => {
                let address = html::escape(address);
                format!(
                    "{}<div class=\"jb-note\"><a href=\"{address}\" download=\"download\">{address}</a></div>",
                    audio(&address)
                )
            }
            Sound::Empty => "<p>There is no sample to play.</p>".to_string(),
            Sound::TooLarge(_) => format!("<p>{}</p>", html::escape(&self.advice())),
        }
    }

    /// What to do with a sound above the budget.
    fn advice(&self) -> String {
        let Sound::TooLarge(bytes) = self.sound else {
            return String::new();
        };
        let fits = (self.facts.seconds * SOUND_BUDGET as f64 / bytes as f64).floor();
        format!(
            "This sound is {} as 16-bit wav; a notebook output carries {} at most. Write it with \
             audio.write_wav(\"sound.wav\", WavFormat::Pcm16) and show Player::new(&audio).linked(\"sound.wav\"), \
             or play a part: audio.slice_seconds(0.0, {fits:.1}).",
            units::megabytes(bytes),
            units::megabytes(SOUND_BUDGET),
        )
    }

    fn try_bundle(&self) -> Result<MimeBundle, DrawingError> {
        let sentence = self.sentence();
        let size = self.size();
        let still = paper::still(self)?;
        let attributes = format!(
            "role=\"img\" aria-label=\"Waveform\" data-seconds=\"{}\" data-lm-suppress-shortcuts=\"true\" \
             preserveAspectRatio=\"none\"",
            self.facts.seconds,
        );
        let picture = svg(self, &attributes, &playhead(size))?;
        let body = format!(
            "{picture}{}{}",
            still.html(&sentence),
            self.element(&sentence)
        );
        let mut note = format!(
            "{} · {} Hz · {} · {}",
            units::seconds(self.facts.seconds),
            units::grouped(u64::from(self.facts.sample_rate)),
            units::channels(self.facts.channels),
            self.loudness(),
        );
        if self.title.is_empty() {
            note.insert_str(0, "Audio · ");
        }
        let playable = matches!(self.sound, Sound::Inside(_) | Sound::Linked(_));
        let page = html::Figure {
            id: &html::unique_id(),
            kind: "player",
            title: &self.title,
            note: &note,
            width: WIDTH,
            body: &body,
            style: STYLE,
            script: if playable {
                include_str!("player.js")
            } else {
                ""
            },
        };
        let mut plain = sentence.clone();
        let advice = self.advice();
        if !advice.is_empty() {
            let _ = write!(plain, " {advice}");
        }
        Ok(MimeBundle::text(plain)
            .with_html(page.html(), &sentence)
            .with_png(&still.png, still.size, &sentence))
    }
}

impl Display for Player {
    fn bundle(&self) -> MimeBundle {
        self.try_bundle().unwrap_or_else(|error| {
            MimeBundle::text(format!("{} (Not drawn: {error}.)", self.sentence()))
        })
    }
}

/// Largest width in CSS pixels. The picture holds no text, so it may be squeezed to any smaller one.
const WIDTH: u32 = 720;

const STYLE: &str = "\
#ID svg{width:100%;height:72px;cursor:pointer;touch-action:none;border-radius:3px}\
#ID svg:focus-visible{outline:2px solid var(--jp-brand-color1,#1976d2);outline-offset:2px}\
#ID audio{display:block;width:100%;height:36px;margin-top:6px}\
#ID p{margin:6px 0}";

/// The veil over what is still to come, and the line at the playing position; the script moves both.
fn playhead((width, height): (u32, u32)) -> String {
    let (width, height) = (width * DENSITY, height * DENSITY);
    format!(
        "<rect class=\"jb-rest\" x=\"{width}\" y=\"0\" width=\"0\" height=\"{height}\" \
         fill=\"var(--jp-layout-color0,Canvas)\" opacity=\"0.6\"/>\
         <g class=\"jb-head\"><rect x=\"-1\" y=\"0\" width=\"2\" height=\"{height}\" fill=\"currentColor\"/></g>"
    )
}

impl Drawing for Player {
    fn size(&self) -> (u32, u32) {
        (WIDTH, 72)
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
        let (width, height) = area.dim_in_pixel();
        let middle = f64::from(height) / 2.0;
        // As high as there is room: quiet sounds want to be seen as well, and the peak is written below.
        let gain = 0.97 / f64::from(peak(&self.envelope)).max(1e-3);
        let to_pixel = |x: f64, value: f64| {
            (
                x.round() as i32,
                (middle * (1.0 - (value * gain).clamp(-1.0, 1.0))).round() as i32,
            )
        };
        area.draw(&Polygon::new(
            outline(&self.envelope, f64::from(width), to_pixel),
            ink.accent.filled(),
        ))?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_bundle, page};
    use base64::{Engine, engine::general_purpose::STANDARD};
    use ndarray::Array2;

    /// A tone of half the full scale.
    fn tone(seconds: f64, channels: usize) -> Audio {
        let frames = (seconds * 8000.0).round() as usize;
        let sample = |(t, _): (usize, usize)| 0.5 * (t as f32 * 0.3).sin();
        Audio {
            samples: Array2::from_shape_fn((frames, channels), sample),
            sample_rate: 8000,
        }
    }

    #[test]
    fn the_sentence_tells_what_is_heard() {
        let cases = [
            (
                Player::new(&tone(2.0, 1)),
                "Audio, 2.0 s, 8000 Hz, mono, peak −6.0 dBFS.",
            ),
            (
                Player::new(&tone(0.5, 2)).title("A ‘b’ "),
                "Audio, 0.50 s, 8000 Hz, stereo, peak −6.0 dBFS: ‘A ‘b’’.",
            ),
            (
                Player::new(&tone(0.0, 1)),
                "Audio, 0.00 s, 8000 Hz, mono, silent.",
            ),
        ];
        for (player, sentence) in cases {
            assert_eq!(player.bundle().plain(), sentence);
        }
    }

    #[test]
    fn the_sound_travels_as_a_wav_inside_the_native_element() {
        let html = check_bundle(&Player::new(&tone(1.0, 2)).title("x"), (720, 72));
        let page = page(&html);
        let audio = page
            .descendants()
            .find(|node| node.has_tag_name("audio"))
            .unwrap();
        assert!(audio.has_attribute("controls"));
        let wav = STANDARD
            .decode(
                audio
                    .attribute("src")
                    .unwrap()
                    .strip_prefix("data:audio/wav;base64,")
                    .unwrap(),
            )
            .unwrap();
        assert_eq!(wav.len(), 44 + 2 * 2 * 8000);
        assert_eq!((&wav[..4], &wav[8..12]), (&b"RIFF"[..], &b"WAVE"[..]));
        // What the script looks for.
        for class in ["jb-head", "jb-rest"] {
            assert!(
                page.descendants()
                    .any(|node| node.attribute("class") == Some(class)),
                "{class}"
            );
        }
        assert_eq!(
            page.descendants()
                .filter(|node| node.attribute("data-seconds") == Some("1"))
                .count(),
            1
        );
        assert!(
            html.contains("<script>"),
            "a playable figure has its script"
        );
        assert!(!html.contains("__ID__"));
    }

    #[test]
    fn a_sound_above_the_budget_says_what_to_do() {
        let largest = (SOUND_BUDGET - 44) as f64 / 2.0 / 8000.0;
        for (seconds, fits) in [(largest, true), (largest + 0.001, false)] {
            let player = Player::new(&tone(seconds, 1));
            let html = check_bundle(&player, (720, 72));
            assert_eq!(html.contains("<audio"), fits);
            assert_eq!(
                !player.bundle().plain().contains("linked(\"sound.wav\")"),
                fits,
                "{}",
                player.bundle().plain()
            );
            assert_eq!(
                html.contains("<script>"),
                fits,
                "nothing to play, nothing to script"
            );
        }
        let advice = Player::new(&tone(2.0 * largest, 1)).bundle();
        let part = units::fixed(largest.floor(), 1);
        assert!(
            advice
                .plain()
                .contains(&format!("slice_seconds(0.0, {part})")),
            "{}",
            advice.plain()
        );
    }

    #[test]
    fn a_linked_file_is_not_carried() {
        let player = Player::new(&tone(500.0, 1)).linked("my \"clip\" & more.wav");
        let html = check_bundle(&player, (720, 72));
        let page = page(&html);
        let audio = page
            .descendants()
            .find(|node| node.has_tag_name("audio"))
            .unwrap();
        assert_eq!(audio.attribute("src"), Some("my \"clip\" & more.wav"));
        assert!(player.bundle().size() < 200_000);
    }

    #[test]
    fn broken_samples_do_not_stop_the_cell() {
        let mut audio = tone(0.1, 1);
        audio.samples.fill(f32::NAN);
        check_bundle(&Player::new(&audio), (720, 72));
        assert!(Player::new(&audio).bundle().plain().contains("silent"));
    }
}

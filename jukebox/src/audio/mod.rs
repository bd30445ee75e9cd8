//! Samples in, samples out: reading any usual sound file, mixing, resampling, writing wav, and spectra.
//!
//! [`Audio`] is the plain value that everything else takes and returns: an array of samples and their rate, no tensors.
//! The model works on mono at its own rate (SPEC §2), so the usual way in is
//! `Audio::read(path)?.mono().resample(model_rate)?`. Files too long for memory are read in blocks with [`AudioReader`] or in
//! parts with [`read_range`].
//!
//! * `reader` decodes (symphonia), `probe` and `range` use it; `resample` is rubato; `wav` is hound; [`spectrum`] is realfft.

mod error;
mod range;
mod reader;
mod resample;
pub mod spectrum;
mod wav;

use std::path::Path;

use ndarray::{Array2, Axis, s};

pub use error::AudioError;
pub use range::{read_range, read_range_at};
pub use reader::{AudioInfo, AudioReader, Damage, probe};
pub use wav::WavFormat;

/// A stretch of sound in memory.
///
/// ```
/// use jukebox::audio::Audio;
///
/// // A second of a 440 Hz tone in stereo, the right channel silent.
/// let tone = |t: usize| (t as f32 * 440.0 * std::f32::consts::TAU / 44_100.0).sin();
/// let audio = Audio {
///     samples: ndarray::Array2::from_shape_fn((44_100, 2), |(t, c)| if c == 0 { tone(t) } else { 0.0 }),
///     sample_rate: 44_100,
/// };
/// assert_eq!(audio.seconds(), 1.0);
///
/// let mono = audio.mono().resample(22_050)?;
/// assert_eq!((mono.frames(), mono.channels()), (22_050, 1));
/// # Ok::<(), jukebox::audio::AudioError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// The samples, `[time, channels]`, nominally in -1..1.
    pub samples: Array2<f32>,
    /// Frames per second, in Hz.
    pub sample_rate: u32,
}

impl Audio {
    /// Reads a whole file: wav, flac, mp3, ogg/vorbis or aac/m4a, at any rate and with any number of channels.
    ///
    /// What can be decoded is returned. A file that is cut short, or has packets that cannot be decoded, gives the rest
    /// of its sound (lost packets are silence, so that the rest keeps its time) and one line on stderr that says what is
    /// missing; [`AudioReader::damage`] gives the same as data.
    ///
    /// # Errors
    /// The file cannot be opened, is no sound file, holds no sound at all, or would take more than 2 GiB in memory
    /// (1.7 hours of 44.1 kHz stereo).
    pub fn read(path: impl AsRef<Path>) -> Result<Audio, AudioError> {
        reader::read_whole(path.as_ref(), reader::MAX_SAMPLES_IN_MEMORY)
    }

    /// One channel from samples in time order.
    pub fn from_mono(samples: Vec<f32>, sample_rate: u32) -> Audio {
        Audio {
            samples: Array2::from_shape_vec((samples.len(), 1), samples)
                .expect("one column of len rows"),
            sample_rate,
        }
    }

    /// The equal mix of all channels, `[time, 1]`: for stereo `m·L + (1 - m)·R` with `m = 1/2` (SPEC §11).
    pub fn mono(&self) -> Audio {
        if self.channels() == 1 {
            return self.clone();
        }
        let samples = match self.samples.mean_axis(Axis(1)) {
            Some(mean) => mean.insert_axis(Axis(1)), // [time] -> [time, 1]
            None => Array2::zeros((self.frames(), 1)),
        };
        Audio {
            samples,
            sample_rate: self.sample_rate,
        }
    }

    /// The samples of [`Audio::mono`] as a plain vector, `[time]`.
    pub fn mono_samples(&self) -> Vec<f32> {
        self.mono().samples.into_raw_vec_and_offset().0
    }

    /// The part between two times in seconds, clamped to what there is; empty when `to <= from`.
    pub fn slice_seconds(&self, from: f64, to: f64) -> Audio {
        let frame = |seconds: f64| {
            ((seconds.max(0.0) * f64::from(self.sample_rate)).round() as usize).min(self.frames())
        };
        let (from, to) = (frame(from), frame(to));
        Audio {
            samples: self.samples.slice(s![from..to.max(from), ..]).to_owned(),
            sample_rate: self.sample_rate,
        }
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.frames() as f64 / f64::from(self.sample_rate)
    }

    /// Length in frames (samples per channel).
    pub fn frames(&self) -> usize {
        self.samples.nrows()
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.samples.ncols()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mono_is_the_equal_mix() {
        let audio = Audio {
            samples: ndarray::array![[1.0, 0.0], [0.5, -0.5], [-1.0, -0.5]],
            sample_rate: 10,
        };
        assert_eq!(audio.mono().samples, ndarray::array![[0.5], [0.0], [-0.75]]);
        assert_eq!(audio.mono().mono(), audio.mono());
        assert_eq!(audio.mono_samples(), [0.5, 0.0, -0.75]);
    }

    #[test]
    fn slices_are_clamped() {
        let audio = Audio::from_mono((0..100).map(|i| i as f32).collect(), 10);
        let frames = |from, to| {
            audio
                .slice_seconds(from, to)
                .samples
                .into_raw_vec_and_offset()
                .0
        };
        assert_eq!(frames(1.0, 1.3), [10.0, 11.0, 12.0]);
        assert_eq!(frames(-5.0, 0.2), [0.0, 1.0]);
        assert_eq!(frames(9.9, 1e300), [99.0]);
        assert_eq!(frames(f64::NAN, 0.1), [0.0]);
        assert!(frames(3.0, 2.0).is_empty());
        assert!(frames(100.0, 200.0).is_empty());
    }
}

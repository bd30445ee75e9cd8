//! Changing the sample rate, with rubato's FFT resampler: a linear-phase low-pass, so nothing is shifted in time.
//!
//! The result of `n` frames has `round(n · to / from)` frames, and its frame `k` lies at the time of `k · from / to` in the source.

use ndarray::Array2;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

use super::reader::MAX_SAMPLE_RATE;
use super::{Audio, AudioError};

/// Frames of the source per transform. Longer means a steeper filter: with 2048 it passes up to about 97 % of the lower
/// of the two Nyquist frequencies.
const BLOCK: usize = 2048;

impl Audio {
    /// The same sound at another rate (Hz). The number of frames becomes `round(frames · rate / sample_rate)`; there is no
    /// delay; frequencies that the new rate cannot hold are removed.
    ///
    /// # Errors
    /// A rate of 0 or above 768 kHz.
    pub fn resample(&self, rate: u32) -> Result<Audio, AudioError> {
        check_rates(self.sample_rate, rate)?;
        let (from, to) = (self.sample_rate, rate);
        let (frames, channels) = self.samples.dim();
        let new_frames =
            ((frames as u128 * u128::from(to) + u128::from(from) / 2) / u128::from(from)) as usize;
        if from == to || new_frames == 0 || channels == 0 {
            let samples = if from == to {
                self.samples.clone()
            } else {
                Array2::zeros((new_frames, channels))
            };
            return Ok(Audio {
                samples,
                sample_rate: to,
            });
        }

        let failed = |reason: &dyn std::fmt::Display| AudioError::Resample {
            from,
            to,
            reason: reason.to_string(),
        };
        let input = self.samples.as_standard_layout();
        let input = input.as_slice().expect("the standard layout is contiguous");
        let input =
            InterleavedSlice::new(input, channels, frames).map_err(|error| failed(&error))?;
        let mut resampler = Fft::<f32>::new_custom(
            from as usize,
            to as usize,
            BLOCK,
            1,
            channels,
            rubato::WindowFunction::BlackmanHarris2,
            FixedSync::Input,
        )
        .map_err(|error| failed(&error))?;

        let room = resampler.process_all_needed_output_len(frames);
        let mut output = vec![0.0; room * channels];
        let mut adapter = InterleavedSlice::new_mut(&mut output, channels, room)
            .map_err(|error| failed(&error))?;
        resampler
            .process_all_into_buffer(&input, &mut adapter, frames, None)
            .map_err(|error| failed(&error))?;
        output.truncate(new_frames * channels);
        output.shrink_to_fit();
        let samples = Array2::from_shape_vec((new_frames, channels), output)
            .expect("truncated to whole frames");
        Ok(Audio {
            samples,
            sample_rate: to,
        })
    }
}

/// Frames of the source on either side that one resampled frame depends on, at most.
pub(super) fn margin_frames(from: u32, to: u32) -> usize {
    let step = (from / gcd(from, to)) as usize;
    2 * BLOCK.div_ceil(step) * step
}

pub(super) fn check_rates(from: u32, to: u32) -> Result<(), AudioError> {
    match (1..=MAX_SAMPLE_RATE).contains(&from) && (1..=MAX_SAMPLE_RATE).contains(&to) {
        true => Ok(()),
        false => Err(AudioError::Resample {
            from,
            to,
            reason: "a rate is out of range".into(),
        }),
    }
}

/// Greatest common divisor.
pub(super) fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

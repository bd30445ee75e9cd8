//! Changing the sample rate, with rubato's FFT resampler: a linear-phase low-pass, so nothing is shifted in time.
//!
//! The result of `n` frames has `round(n · to / from)` frames, and its frame `k` lies at the time of `k · from / to` in the source.

use ndarray::Array2;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

use super::reader::MAX_SAMPLE_RATE;
use super::{Audio, AudioError};

/// Frames of the source per transform, at least: enough to pass 95 % of the lower Nyquist frequency within 0.1 dB.
const BLOCK: usize = 2048;

/// Frames of the source per transform: the next multiple of twice the smallest number that has a whole number of frames
/// at the new rate. Twice, because the filter delays by half a block, and that too must be a whole number of new frames.
fn block_frames(from: u32, to: u32) -> usize {
    BLOCK.next_multiple_of(2 * (from / gcd(from, to)) as usize)
}

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
            block_frames(from, to),
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
    2 * block_frames(from, to)
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

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [(u32, u32); 8] = [
        (44_100, 22_050),
        (22_050, 44_100),
        (48_000, 44_100),
        (44_100, 16_000),
        (8000, 22_050),
        (96_000, 44_100),
        (44_100, 44_101),
        (11_025, 11_025),
    ];

    fn tone(hz: f64, rate: u32, seconds: f64) -> Audio {
        let sample =
            |t: usize| (std::f64::consts::TAU * hz * t as f64 / f64::from(rate)).sin() as f32;
        Audio::from_mono(
            (0..(seconds * f64::from(rate)) as usize)
                .map(sample)
                .collect(),
            rate,
        )
    }

    #[test]
    fn a_tone_stays_the_same_tone_at_the_same_time() {
        for (from, to) in RATES {
            for part in [0.01, 0.3, 0.85] {
                let hz = part * f64::from(from.min(to)) / 2.0;
                let (resampled, expected) =
                    (tone(hz, from, 1.0).resample(to).unwrap(), tone(hz, to, 1.0));
                assert_eq!(
                    (resampled.sample_rate, resampled.frames()),
                    (to, to as usize)
                );
                // Away from the ends, where the tone begins and stops at once.
                let middle = to as usize / 4..to as usize * 3 / 4;
                let error = middle
                    .map(|t| (resampled.samples[[t, 0]] - expected.samples[[t, 0]]).abs())
                    .fold(0.0, f32::max);
                assert!(error < 2e-4, "{hz} Hz from {from} to {to}: {error}"); // -74 dB
            }
        }
    }

    #[test]
    fn an_impulse_stays_in_its_place() {
        for (from, to) in RATES {
            let mut impulse = vec![0.0; from as usize];
            impulse[from as usize / 2] = 1.0;
            let resampled = Audio::from_mono(impulse, from)
                .resample(to)
                .unwrap()
                .mono_samples();
            // Its centre of energy: between two samples of the new rate if need be.
            let energy: f64 = resampled.iter().map(|&x| f64::from(x * x)).sum();
            let centre = resampled
                .iter()
                .enumerate()
                .map(|(t, &x)| t as f64 * f64::from(x * x))
                .sum::<f64>()
                / energy;
            let expected = (from as usize / 2) as f64 * f64::from(to) / f64::from(from);
            assert!(
                (centre - expected).abs() < 0.1,
                "from {from} to {to}: {centre} instead of {expected}"
            );
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_removed() {
        let high = tone(15_000.0, 44_100, 1.0)
            .resample(22_050)
            .unwrap()
            .mono_samples();
        let loudest = high[5000..17_000]
            .iter()
            .fold(0.0f32, |max, x| max.max(x.abs()));
        assert!(loudest < 1e-4, "{loudest}"); // -80 dB
    }

    #[test]
    fn a_tone_near_the_limit_passes() {
        for (from, to) in [(44_100, 22_050), (48_000, 44_100), (22_050, 44_100)] {
            let hz = 0.95 * f64::from(from.min(to)) / 2.0;
            let middle = to as usize / 4..to as usize * 3 / 4;
            let resampled = tone(hz, from, 1.0).resample(to).unwrap().mono_samples();
            let power =
                resampled[middle.clone()].iter().map(|x| x * x).sum::<f32>() / middle.len() as f32;
            let db = 10.0 * (2.0 * power).log10();
            assert!(db.abs() < 0.1, "{hz} Hz from {from} to {to}: {db} dB");
        }
    }

    #[test]
    fn lengths_are_rounded_and_channels_kept() {
        for frames in [0usize, 1, 2, 3, 7, 100, 2047, 2048, 2049, 10_000] {
            for (from, to) in RATES {
                let audio = Audio {
                    samples: Array2::from_shape_fn((frames, 3), |(_, c)| c as f32),
                    sample_rate: from,
                };
                let resampled = audio.resample(to).unwrap();
                let expected = (frames as f64 * f64::from(to) / f64::from(from)).round() as usize;
                assert_eq!(
                    (resampled.frames(), resampled.channels()),
                    (expected, 3),
                    "{frames} from {from} to {to}"
                );
                if frames == 10_000 {
                    for c in 0..3 {
                        assert!((resampled.samples[[expected / 2, c]] - c as f32).abs() < 1e-3);
                    }
                }
            }
        }
    }

    #[test]
    fn impossible_rates_are_errors() {
        let audio = Audio::from_mono(vec![0.0; 10], 8000);
        for rate in [0, 768_001, u32::MAX] {
            let error = audio.resample(rate).unwrap_err().to_string();
            assert!(
                error.contains(&format!("from 8000 Hz to {rate} Hz")),
                "{error}"
            );
        }
        assert!(Audio::from_mono(vec![0.0; 10], 0).resample(8000).is_err());
    }
}

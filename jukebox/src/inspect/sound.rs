//! Figures about sound: what a picture of it shows, and how far a reconstruction is from its original.

use ndarray::Array2;

use crate::audio::spectrum::{Bands, Stft, spectral_convergence};
use crate::audio::{Audio, AudioError};

/// The lowest level in a [`Spectrogram`], in dB.
pub const FLOOR_DB: f32 = -90.0;

/// The lowest band of a log-frequency [`Spectrogram`] in Hz: C1, the lowest C of a piano.
const LOWEST_HZ: f32 = 32.703;

/// Smallest and largest sample in each of a number of equal stretches of time: what a drawn waveform shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Smallest sample over all channels, `[columns]`.
    pub min: Vec<f32>,
    /// Largest sample over all channels, `[columns]`.
    pub max: Vec<f32>,
    /// Length of the sound in seconds.
    pub seconds: f64,
}

impl Envelope {
    /// The envelope in `columns` columns; with more columns than frames, neighbours repeat. Zero for a sound without frames.
    pub fn of(audio: &Audio, columns: usize) -> Envelope {
        let frames = audio.frames();
        let mut envelope = Envelope {
            min: vec![0.0; columns],
            max: vec![0.0; columns],
            seconds: audio.seconds(),
        };
        if frames == 0 || audio.channels() == 0 {
            return envelope;
        }
        for column in 0..columns {
            let start = column * frames / columns;
            let end = ((column + 1) * frames / columns).max(start + 1);
            let samples = audio.samples.slice(ndarray::s![start..end, ..]);
            envelope.min[column] = samples.fold(f32::INFINITY, |min, &sample| min.min(sample));
            envelope.max[column] = samples.fold(f32::NEG_INFINITY, |max, &sample| max.max(sample));
        }
        envelope
    }
}

/// Loudness over time and frequency, of the mono mix, in dB: 0 dB is a sine of full scale (amplitude 1) in the middle of a
/// band, the floor is -90 dB (`FLOOR_DB`).
///
/// ```
/// use jukebox::{audio::Audio, inspect::Spectrogram};
///
/// let tone = (0..22_050).map(|t| (t as f32 * 440.0 * std::f32::consts::TAU / 22_050.0).sin()).collect();
/// let spectrogram = Spectrogram::log_frequency(&Audio::from_mono(tone, 22_050), 96);
/// let middle = spectrogram.db.column(spectrogram.db.ncols() / 2);
/// let loudest = (0..96).max_by(|&a, &b| middle[a].total_cmp(&middle[b])).unwrap();
/// assert!((spectrogram.hz[loudest] / 440.0).log2().abs() < 1.0 / 12.0); // within a semitone
/// assert!(middle[loudest].abs() < 3.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrogram {
    /// Level in dB, low bands first, `[bands, frames]`.
    pub db: Array2<f32>,
    /// Centre of each band in Hz, `[bands]`.
    pub hz: Vec<f32>,
    /// Seconds from one frame to the next; frame 0 is centred on time 0.
    pub seconds_per_frame: f64,
}

impl Spectrogram {
    /// Bands evenly spaced in the logarithm of frequency, from 32.7 Hz (C1) to half the sample rate: an octave is as high
    /// anywhere. (Frames of about 93 ms every 23 ms.)
    pub fn log_frequency(audio: &Audio, bands: usize) -> Spectrogram {
        let n_fft = n_fft_for(audio.sample_rate);
        let lowest = LOWEST_HZ.min(audio.sample_rate as f32 / 8.0);
        Spectrogram::of_bands(
            audio,
            n_fft,
            &Bands::log_frequency(bands, lowest, audio.sample_rate, n_fft),
        )
    }

    /// Bands evenly spaced in mel, from 0 Hz to half the sample rate. (Frames of about 93 ms every 23 ms.)
    pub fn mel(audio: &Audio, bands: usize) -> Spectrogram {
        let n_fft = n_fft_for(audio.sample_rate);
        Spectrogram::of_bands(audio, n_fft, &Bands::mel(bands, audio.sample_rate, n_fft))
    }

    fn of_bands(audio: &Audio, n_fft: usize, bands: &Bands) -> Spectrogram {
        let stft = Stft {
            n_fft,
            hop: n_fft / 4,
            window: n_fft,
        };
        let mut signal = audio.mono_samples();
        let frames = stft.frames(signal.len());
        // Too short to be mirrored: as if followed by silence.
        signal.resize(signal.len().max(n_fft / 2 + 1), 0.0);

        // A sine of amplitude 1 has magnitude n_fft / 4 at the peak of a Hann window, and 1.5 times that power in all.
        let full_scale = 1.5 * (n_fft as f32 / 4.0).powi(2);
        let mut db = Array2::from_elem((bands.hz.len(), frames), FLOOR_DB);
        let mut frame = 0;
        stft.for_each_frame(&[&signal], |magnitudes| {
            if frame < frames {
                for (db, power) in db
                    .column_mut(frame)
                    .iter_mut()
                    .zip(bands.power(&magnitudes[0]))
                {
                    *db = (10.0 * (power / full_scale).log10()).max(FLOOR_DB);
                }
            }
            frame += 1;
        })
        .expect("n_fft is a power of two and the signal longer than half of it");
        Spectrogram {
            db,
            hz: bands.hz.clone(),
            seconds_per_frame: stft.hop as f64 / f64::from(audio.sample_rate.max(1)),
        }
    }
}

/// The power of two nearest to 93 ms: 2048 samples at 22.05 kHz, 4096 at 44.1 kHz.
fn n_fft_for(sample_rate: u32) -> usize {
    let samples = (f64::from(sample_rate) * 2048.0 / 22_050.0).max(16.0);
    1 << samples.log2().round() as u32
}

/// How far a reconstruction is from its original, in dB: `20 · log10(‖S x − S y‖ / ‖S x‖)` over magnitude spectra of the mono
/// mixes (n_fft 2048, hop 256, window 1536; SPEC §2.8). Lower is better: -20 dB means that a tenth of the spectrum's norm is
/// wrong, 0 dB is as wrong as silence, negative infinity is equal.
///
/// # Errors
/// The sounds differ in rate or length, are shorter than 1025 frames, or the original is silent.
pub fn spectral_convergence_db(
    reference: &Audio,
    reconstruction: &Audio,
) -> Result<f64, AudioError> {
    let shape = |audio: &Audio| (audio.sample_rate, audio.frames());
    if shape(reference) != shape(reconstruction) {
        let (a, b) = (shape(reference), shape(reconstruction));
        return Err(AudioError::Differ {
            a_rate: a.0,
            a_frames: a.1,
            b_rate: b.0,
            b_frames: b.1,
        });
    }
    let reference = reference.mono_samples();
    if reference.iter().all(|sample| sample.abs() < 1e-9) {
        return Err(AudioError::Silent);
    }
    Ok(20.0 * spectral_convergence(&reference, &reconstruction.mono_samples())?.log10())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, amplitude: f32, seconds: f32, sample_rate: u32) -> Audio {
        let sample = |t: usize| {
            amplitude * (t as f32 * hz * std::f32::consts::TAU / sample_rate as f32).sin()
        };
        Audio::from_mono(
            (0..(seconds * sample_rate as f32) as usize)
                .map(sample)
                .collect(),
            sample_rate,
        )
    }

    #[test]
    fn an_envelope_has_the_extremes_of_each_column() {
        let audio = Audio {
            samples: ndarray::array![[0.0, 0.1], [0.5, -0.5], [1.0, 0.0], [-1.0, 0.2]],
            sample_rate: 2,
        };
        let envelope = Envelope::of(&audio, 2);
        assert_eq!(
            (envelope.min, envelope.max, envelope.seconds),
            (vec![-0.5, -1.0], vec![0.5, 1.0], 2.0)
        );
        assert_eq!(
            Envelope::of(&audio, 8).max,
            [0.1, 0.1, 0.5, 0.5, 1.0, 1.0, 0.2, 0.2]
        );
        assert_eq!(Envelope::of(&audio, 3).max, [0.1, 0.5, 1.0]);
        assert!(Envelope::of(&audio, 0).min.is_empty());
        assert_eq!(
            Envelope::of(&Audio::from_mono(vec![], 8000), 3).min,
            [0.0; 3]
        );
    }

    #[test]
    fn a_tone_is_in_its_band_at_its_level() {
        for rate in [8000, 22_050, 44_100] {
            for hz in [110.0, 440.0, 3000.0] {
                for amplitude in [1.0, 0.1] {
                    let audio = tone(hz, amplitude, 1.0, rate);
                    for spectrogram in [
                        Spectrogram::log_frequency(&audio, 128),
                        Spectrogram::mel(&audio, 128),
                    ] {
                        let bands = spectrogram.db.column(spectrogram.db.ncols() / 2);
                        let loudest = (0..128)
                            .max_by(|&a, &b| bands[a].total_cmp(&bands[b]))
                            .unwrap();
                        let (below, above) = (
                            spectrogram.hz[loudest.saturating_sub(1)],
                            spectrogram.hz[(loudest + 1).min(127)],
                        );
                        let bin = rate as f32 / 2048.0;
                        assert!(
                            below - bin < hz && hz < above + bin,
                            "{hz} Hz at {rate} Hz is loudest at {} Hz",
                            spectrogram.hz[loudest]
                        );
                        // Between two bands or two bins a tone loses up to 4 dB.
                        let level = bands[loudest] - 20.0 * amplitude.log10();
                        assert!(
                            (-4.0..1.0).contains(&level),
                            "{hz} Hz at {rate} Hz: {level} dB"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_spectrogram_tells_its_times_and_keeps_its_floor() {
        let mut audio = tone(1000.0, 1.0, 2.0, 22_050);
        audio.samples.slice_mut(ndarray::s![..22_050, ..]).fill(0.0);
        let spectrogram = Spectrogram::log_frequency(&audio, 64);
        assert!((spectrogram.seconds_per_frame * spectrogram.db.ncols() as f64 - 2.0).abs() < 0.05);
        let loud = |frame: usize| {
            spectrogram
                .db
                .column(frame)
                .fold(f32::MIN, |max, &db| max.max(db))
                > -20.0
        };
        let first = (0..spectrogram.db.ncols())
            .find(|&frame| loud(frame))
            .unwrap();
        assert!(
            (first as f64 * spectrogram.seconds_per_frame - 1.0).abs() < 0.05,
            "it begins in frame {first}"
        );
        assert_eq!(spectrogram.db.column(0).to_vec(), [FLOOR_DB; 64]);
    }

    #[test]
    fn any_sound_has_a_spectrogram() {
        for frames in [0, 1, 100, 1024, 1025] {
            for rate in [1, 100, 8000, 768_000] {
                let audio = Audio::from_mono(vec![0.5; frames], rate);
                for spectrogram in [
                    Spectrogram::log_frequency(&audio, 20),
                    Spectrogram::mel(&audio, 20),
                ] {
                    assert_eq!((spectrogram.db.nrows(), spectrogram.hz.len()), (20, 20));
                    assert!(spectrogram.db.ncols() >= 1);
                    assert!(
                        spectrogram
                            .db
                            .iter()
                            .all(|db| (FLOOR_DB..20.0).contains(db))
                    );
                }
            }
        }
        assert_eq!(
            Spectrogram::mel(&tone(440.0, 1.0, 0.1, 8000), 0).db.nrows(),
            0
        );
    }

    #[test]
    fn spectral_convergence_in_db() {
        let original = tone(440.0, 0.5, 1.0, 22_050);
        let scaled = |factor: f32| Audio {
            samples: &original.samples * factor,
            ..original
        };
        assert!((spectral_convergence_db(&original, &scaled(0.9)).unwrap() + 20.0).abs() < 1e-3);
        assert!(
            spectral_convergence_db(&original, &scaled(0.0))
                .unwrap()
                .abs()
                < 1e-6
        );
        assert_eq!(
            spectral_convergence_db(&original, &original).unwrap(),
            f64::NEG_INFINITY
        );

        let message = |a: &Audio, b: &Audio| spectral_convergence_db(a, b).unwrap_err().to_string();
        assert!(
            message(&original, &tone(440.0, 0.5, 2.0, 22_050))
                .contains("22050 frames and 22050 Hz, 44100 frames")
        );
        assert!(
            message(&original, &tone(440.0, 0.5, 0.5, 44_100)).contains("differ in rate or length")
        );
        assert!(message(&scaled(0.0), &original).contains("silent"));
        assert!(
            message(
                &tone(440.0, 0.5, 0.01, 22_050),
                &tone(440.0, 0.5, 0.01, 22_050)
            )
            .contains("at least 1025")
        );
    }
}

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
/// band, the floor is -90 dB ([`FLOOR_DB`]).
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

//! Magnitude spectra of plain arrays, with the conventions of `torch.stft` that the losses are defined by (SPEC §2.8), and
//! maps from its linear frequency bins to the bands that an ear or an eye prefers.

use std::sync::Arc;

use ndarray::Array2;
use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use super::AudioError;

/// A short-time Fourier transform: frames centred on multiples of `hop`, the signal mirrored at both ends, a periodic Hann
/// window padded with zeros on both sides to `n_fft`, frequencies from 0 to Nyquist, not normalised.
///
/// ```
/// use jukebox::audio::spectrum::Stft;
///
/// let tone: Vec<f32> = (0..22_050).map(|t| (t as f32 * 1000.0 * std::f32::consts::TAU / 22_050.0).sin()).collect();
/// let magnitude = Stft::default().magnitude(&tone)?;
/// assert_eq!(magnitude.dim(), (1025, 22_050 / 256 + 1));
/// let loudest = (0..1025).max_by(|&a, &b| magnitude[[a, 40]].total_cmp(&magnitude[[b, 40]])).unwrap();
/// assert_eq!(loudest, 93); // 93 · 22050 / 2048 = 1001 Hz
/// # Ok::<(), jukebox::audio::AudioError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stft {
    /// Samples per transform.
    pub n_fft: usize,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// Samples of the Hann window, at most `n_fft`.
    pub window: usize,
}

impl Default for Stft {
    /// The transform of spectral loss and spectral convergence: `n_fft` 2048, hop 256, window 6 · 256 (SPEC §2.8).
    fn default() -> Stft {
        Stft {
            n_fft: 2048,
            hop: 256,
            window: 1536,
        }
    }
}

impl Stft {
    /// Frequency bins, from 0 Hz to Nyquist.
    pub fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    /// Frames of a signal of `samples` samples.
    pub fn frames(&self, samples: usize) -> usize {
        samples / self.hop + 1
    }

    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field, its value and the constraint.
    pub fn validate(&self) -> Result<(), AudioError> {
        let check = |field, value: usize, valid: bool, constraint: &str| match valid {
            true => Ok(()),
            false => Err(AudioError::Stft {
                field,
                value,
                constraint: constraint.into(),
            }),
        };
        check(
            "n_fft",
            self.n_fft,
            self.n_fft >= 2 && self.n_fft.is_multiple_of(2),
            "it must be even and at least 2",
        )?;
        check("hop", self.hop, self.hop >= 1, "it must be at least 1")?;
        check(
            "window",
            self.window,
            (1..=self.n_fft).contains(&self.window),
            "it must be from 1 to n_fft",
        )
    }

    /// Magnitudes of all frames, `[bins, frames]`.
    ///
    /// # Errors
    /// An invalid setting; a signal of `n_fft / 2` samples or fewer, which cannot be mirrored.
    pub fn magnitude(&self, signal: &[f32]) -> Result<Array2<f32>, AudioError> {
        self.validate()?;
        let mut magnitudes = Array2::zeros((self.bins(), self.frames(signal.len())));
        let mut column = 0;
        self.for_each_frame(&[signal], |frame| {
            magnitudes
                .column_mut(column)
                .iter_mut()
                .zip(&frame[0])
                .for_each(|(to, from)| *to = *from);
            column += 1;
        })?;
        Ok(magnitudes)
    }

    /// Calls `visit` with the magnitudes `[signal][bin]` of each frame in turn, so that long signals need no memory for
    /// their whole spectra. Signals longer than the first are cut to its length, shorter ones are an error.
    ///
    /// # Errors
    /// As [`Stft::magnitude`].
    ///
    pub fn for_each_frame(
        &self,
        signals: &[&[f32]],
        mut visit: impl FnMut(&[Vec<f32>]),
    ) -> Result<(), AudioError> {
        self.validate()?;
        let samples = signals.first().map_or(0, |signal| signal.len());
        if let Some(short) = signals
            .iter()
            .map(|signal| signal.len())
            .find(|&len| len <= self.n_fft / 2 || len < samples)
        {
            return Err(AudioError::TooShort {
                frames: short,
                n_fft: self.n_fft,
                needed: samples.max(self.n_fft / 2 + 1),
            });
        }
        let mut transform = Transform::new(self);
        let mut magnitudes = vec![vec![0.0; self.bins()]; signals.len()];
        for frame in 0..self.frames(samples) {
            let start = (frame * self.hop) as isize - (self.n_fft / 2) as isize;
            for (signal, magnitudes) in signals.iter().zip(&mut magnitudes) {
                transform.frame(&signal[..samples], start, magnitudes);
            }
            visit(&magnitudes);
        }
        Ok(())
    }
}

/// One planned transform with its window and buffers.
struct Transform {
    fft: Arc<dyn RealToComplex<f32>>,
    /// The window, `[n_fft]`, zero outside its middle.
    window: Vec<f32>,
    input: Vec<f32>,
    output: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl Transform {
    fn new(stft: &Stft) -> Transform {
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(stft.n_fft);
        let mut window = vec![0.0; stft.n_fft];
        let left = (stft.n_fft - stft.window) / 2;
        for (i, weight) in window[left..left + stft.window].iter_mut().enumerate() {
            *weight =
                (0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / stft.window as f64).cos()) as f32;
        }
        let (input, output, scratch) = (
            fft.make_input_vec(),
            fft.make_output_vec(),
            fft.make_scratch_vec(),
        );
        Transform {
            fft,
            window,
            input,
            output,
            scratch,
        }
    }

    /// Magnitudes of the frame whose first sample is `start`, which may lie before or after the signal.
    fn frame(&mut self, signal: &[f32], start: isize, magnitudes: &mut [f32]) {
        let last = signal.len() as isize - 1;
        for (i, (value, weight)) in self.input.iter_mut().zip(&self.window).enumerate() {
            let t = (start + i as isize).abs(); // mirrored at sample 0
            let t = if t > last { 2 * last - t } else { t }; // mirrored at the last sample
            *value = signal[t as usize] * weight;
        }
        self.fft
            .process_with_scratch(&mut self.input, &mut self.output, &mut self.scratch)
            .expect("the buffers were made by this plan");
        for (magnitude, value) in magnitudes.iter_mut().zip(&self.output) {
            *magnitude = value.norm();
        }
    }
}

/// `‖Sx − Sy‖ / ‖Sx‖` over the default [`Stft`] of two signals of one length (Frobenius norms), 0 when `‖Sx‖ ≤ 2e-3`
/// (SPEC §2.8, `spectral_convergence`).
///
/// # Errors
/// Fewer than 1025 samples, or `y` shorter than `x`.
pub fn spectral_convergence(x: &[f32], y: &[f32]) -> Result<f64, AudioError> {
    const SILENCE: f64 = 2e-3;
    let (mut difference, mut reference) = (0.0f64, 0.0f64);
    Stft::default().for_each_frame(&[x, y], |magnitudes| {
        for (&x, &y) in magnitudes[0].iter().zip(&magnitudes[1]) {
            let (x, y) = (f64::from(x), f64::from(y));
            difference += (x - y) * (x - y);
            reference += x * x;
        }
    })?;
    let reference = reference.sqrt();
    Ok(if reference > SILENCE {
        difference.sqrt() / reference
    } else {
        0.0
    })
}

/// Overlapping triangular bands over the bins of a spectrum: each rises from the centre of the band below to its own and
/// falls to the centre of the band above.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands {
    /// Centre of each band in Hz, rising, `[bands]`.
    pub hz: Vec<f32>,
    /// For each band its first bin and the weights from there on, peak 1.
    weights: Vec<(usize, Vec<f32>)>,
}

impl Bands {
    /// Bands evenly spaced in the logarithm of frequency, from `lowest` Hz to Nyquist: every octave has the same height.
    pub fn log_frequency(bands: usize, lowest: f32, sample_rate: u32, n_fft: usize) -> Bands {
        let highest = sample_rate as f32 / 2.0;
        let octaves = (highest / lowest).log2();
        Bands::with_edges(bands, |x| lowest * (x * octaves).exp2(), sample_rate, n_fft)
    }

    /// Bands evenly spaced in mel, `2595 · log10(1 + f / 700)`, from 0 Hz to Nyquist: about even steps of perceived pitch.
    pub fn mel(bands: usize, sample_rate: u32, n_fft: usize) -> Bands {
        let highest = 2595.0 * (1.0 + sample_rate as f32 / 2.0 / 700.0).log10();
        Bands::with_edges(
            bands,
            |x| 700.0 * (10f32.powf(x * highest / 2595.0) - 1.0),
            sample_rate,
            n_fft,
        )
    }

    /// Bands whose edges are `edge(0)`, `edge(1 / (bands + 1))`, …, `edge(1)` in Hz.
    fn with_edges(
        bands: usize,
        edge: impl Fn(f32) -> f32,
        sample_rate: u32,
        n_fft: usize,
    ) -> Bands {
        let hz_per_bin = sample_rate as f32 / n_fft as f32;
        let edges: Vec<f32> = (0..bands + 2)
            .map(|i| edge(i as f32 / (bands + 1) as f32))
            .collect();
        let weights = edges
            .windows(3)
            .map(|edges| triangle(edges[0], edges[1], edges[2], hz_per_bin, n_fft / 2))
            .collect();
        Bands {
            hz: edges[1..=bands].to_vec(),
            weights,
        }
    }

    /// Power in each band of one frame of magnitudes, `[bins]` → `[bands]`: the weighted sum of squared magnitudes.
    pub fn power(&self, magnitudes: &[f32]) -> Vec<f32> {
        let power = |(first, weights): &(usize, Vec<f32>)| {
            weights
                .iter()
                .zip(&magnitudes[*first..])
                .map(|(weight, magnitude)| weight * magnitude * magnitude)
                .sum()
        };
        self.weights.iter().map(power).collect()
    }
}

/// First bin and weights of one band. A side narrower than a bin is widened to one, so that no band falls between two bins.
fn triangle(
    low: f32,
    centre: f32,
    high: f32,
    hz_per_bin: f32,
    last_bin: usize,
) -> (usize, Vec<f32>) {
    let (low, high) = (low.min(centre - hz_per_bin), high.max(centre + hz_per_bin));
    let first = (low / hz_per_bin).ceil().max(0.0) as usize;
    let last = ((high / hz_per_bin).floor() as usize).min(last_bin);
    let weight = |bin: usize| {
        let hz = bin as f32 * hz_per_bin;
        let side = if hz <= centre {
            (hz - low) / (centre - low)
        } else {
            (high - hz) / (high - centre)
        };
        side.max(0.0)
    };
    (first.min(last_bin), (first..=last).map(weight).collect())
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn noise(samples: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..samples).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// One frame by the definition: the signal mirrored without its end sample, the window in the middle of `n_fft`.
    fn direct(signal: &[f32], stft: &Stft, bin: usize, frame: usize) -> f64 {
        let mirrored = |t: isize| {
            let (last, mut t) = (signal.len() as isize - 1, t);
            if t < 0 {
                t = -t;
            }
            if t > last {
                t = 2 * last - t;
            }
            f64::from(signal[t as usize])
        };
        let tau = std::f64::consts::TAU;
        let left = (stft.n_fft - stft.window) / 2;
        let (mut re, mut im) = (0.0, 0.0);
        for n in left..left + stft.window {
            let window = 0.5 - 0.5 * (tau * (n - left) as f64 / stft.window as f64).cos();
            let t = (frame * stft.hop + n) as isize - (stft.n_fft / 2) as isize;
            let phase = tau * (bin * n) as f64 / stft.n_fft as f64;
            re += window * mirrored(t) * phase.cos();
            im -= window * mirrored(t) * phase.sin();
        }
        re.hypot(im)
    }

    #[test]
    fn magnitudes_follow_the_definition() {
        let stfts = [
            Stft {
                n_fft: 64,
                hop: 10,
                window: 64,
            },
            Stft {
                n_fft: 64,
                hop: 16,
                window: 37,
            },
            Stft {
                n_fft: 50,
                hop: 7,
                window: 20,
            },
        ];
        for stft in stfts {
            for samples in [33, 64, 100, 161] {
                let signal = noise(samples, 1);
                let magnitude = stft.magnitude(&signal).unwrap();
                assert_eq!(
                    magnitude.dim(),
                    (stft.n_fft / 2 + 1, samples / stft.hop + 1)
                );
                for ((bin, frame), &found) in magnitude.indexed_iter() {
                    let expected = direct(&signal, &stft, bin, frame);
                    assert!(
                        (f64::from(found) - expected).abs() < 1e-5,
                        "{stft:?} bin {bin} frame {frame}: {found} {expected}"
                    );
                }
            }
        }
    }

    /// Values that torch gave for a pair of signals; f32 sums over a million magnitudes leave five digits.
    #[test]
    fn spectral_convergence_is_that_of_the_reference() {
        let bytes = std::fs::read(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/vqvae_3level/io.safetensors"
        ))
        .unwrap();
        let fixture = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let values = |name: &str| -> Vec<f32> {
            fixture
                .tensor(name)
                .unwrap()
                .data()
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
                .collect()
        };
        let (x, y) = (values("x"), values("forward.x_out"));
        let (convergence, loss) = (values("spectral_convergence"), values("spectral_loss"));
        let samples = x.len() / 2; // two signals, [2, time, 1]
        for (n, (x, y)) in x.chunks(samples).zip(y.chunks(samples)).enumerate() {
            let found = spectral_convergence(x, y).unwrap();
            assert!(
                (found / f64::from(convergence[n]) - 1.0).abs() < 1e-5,
                "{found} instead of {}",
                convergence[n]
            );

            let difference =
                Stft::default().magnitude(x).unwrap() - Stft::default().magnitude(y).unwrap();
            let norm = difference.mapv(|d| f64::from(d).powi(2)).sum().sqrt();
            assert!(
                (norm / f64::from(loss[n]) - 1.0).abs() < 1e-5,
                "{norm} instead of {}",
                loss[n]
            );
        }
    }

    #[test]
    fn convergence_of_scaled_and_silent_signals() {
        let x = noise(5000, 3);
        let half: Vec<f32> = x.iter().map(|x| x / 2.0).collect();
        assert!((spectral_convergence(&x, &half).unwrap() - 0.5).abs() < 1e-6);
        assert_eq!(spectral_convergence(&x, &x).unwrap(), 0.0);
        assert!((spectral_convergence(&x, &[0.0; 5000]).unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(spectral_convergence(&[0.0; 5000], &x).unwrap(), 0.0);
    }

    #[test]
    fn impossible_settings_and_short_signals_are_errors() {
        let stft = Stft::default();
        let error = stft.magnitude(&[0.0; 1024]).unwrap_err().to_string();
        assert!(
            error.contains("1024 samples are too few") && error.contains("at least 1025"),
            "{error}"
        );
        assert!(stft.magnitude(&[0.0; 1025]).is_ok());
        assert!(spectral_convergence(&[0.0; 3000], &[0.0; 2000]).is_err());
        for (stft, field) in [
            (
                Stft {
                    n_fft: 5,
                    hop: 1,
                    window: 2,
                },
                "n_fft is 5",
            ),
            (
                Stft {
                    n_fft: 8,
                    hop: 0,
                    window: 2,
                },
                "hop is 0",
            ),
            (
                Stft {
                    n_fft: 8,
                    hop: 1,
                    window: 9,
                },
                "window is 9",
            ),
        ] {
            let error = stft.magnitude(&[0.0; 100]).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn bands_share_every_bin_between_two() {
        for bands in [
            Bands::mel(40, 22_050, 2048),
            Bands::log_frequency(40, 500.0, 22_050, 2048),
        ] {
            assert!(bands.hz.is_sorted() && bands.hz.len() == 40);
            // A rising and a falling side add up to one between the first centre and the last.
            let sum_at = |bin: usize| -> f32 {
                let mut magnitudes = vec![0.0; 1025];
                magnitudes[bin] = 1.0;
                bands.power(&magnitudes).iter().sum()
            };
            let bin = |hz: f32| (hz / (22_050.0 / 2048.0)) as usize;
            for bin in bin(1000.0)..bin(bands.hz[39]) {
                assert!(
                    (sum_at(bin) - 1.0).abs() < 0.05,
                    "bin {bin}: {}",
                    sum_at(bin)
                );
            }
        }
        // mel: 1000 Hz is 1000 mel by definition.
        let mel = |hz: f32| 2595.0 * (1.0 + hz / 700.0).log10();
        let hz = Bands::mel(10, 22_050, 2048).hz;
        let steps: Vec<f32> = hz.windows(2).map(|hz| mel(hz[1]) - mel(hz[0])).collect();
        assert!(
            steps.iter().all(|step| (step - steps[0]).abs() < 0.1),
            "{steps:?}"
        );
        assert!((mel(1000.0) - 1000.0).abs() < 0.1);
    }
}

//! Files of every format, whole and broken.

use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::*;
use crate::audio::{WavFormat, read_range, read_range_at};

/// An encoded file under `tests/fixtures/audio`: a second of 440 Hz on the left and 2500 Hz on the right, or their mix.
struct Encoded {
    name: &'static str,
    rate: u32,
    channels: usize,
    /// Amplitude of the 440 Hz tone as ffmpeg decodes it; the other has half of it. (Encoders change levels a little.)
    level: f64,
    /// Frames more or fewer than a second, as the decoder gives them: aac keeps the encoder's start-up of 1024 frames,
    /// whose length symphonia does not tell, and a bare stream its whole last packet too.
    more: i64,
    /// Whether the file says how long it is, so that it is seen when it is cut short.
    announced: bool,
    /// How exactly a decoder that starts in the middle gives the same samples: aac fills noise bands with noise of its own.
    same: f32,
}

const ENCODED: [Encoded; 8] = [
    Encoded {
        name: "two_tone.flac",
        rate: 44_100,
        channels: 2,
        level: 0.5,
        more: 0,
        announced: true,
        same: 0.0,
    },
    Encoded {
        name: "two_tone.mp3",
        rate: 44_100,
        channels: 2,
        level: 0.475,
        more: 0,
        announced: true,
        same: 0.0,
    },
    Encoded {
        name: "no_index.mp3",
        rate: 44_100,
        channels: 2,
        level: 0.5012,
        more: 1980,
        announced: false,
        same: 0.0,
    },
    Encoded {
        name: "two_tone.ogg",
        rate: 44_100,
        channels: 2,
        level: 0.5034,
        more: 0,
        announced: false,
        same: 0.0,
    },
    Encoded {
        name: "two_tone.m4a",
        rate: 44_100,
        channels: 2,
        level: 0.4884,
        more: 1024,
        announced: true,
        same: 1e-3,
    },
    Encoded {
        name: "two_tone.aac",
        rate: 44_100,
        channels: 2,
        level: 0.4884,
        more: 1980,
        announced: false,
        same: 1e-3,
    },
    Encoded {
        name: "mono_22k.mp3",
        rate: 22_050,
        channels: 1,
        level: 0.336,
        more: 0,
        announced: true,
        same: 0.0,
    },
    Encoded {
        name: "mono_48k.ogg",
        rate: 48_000,
        channels: 1,
        level: 0.3535,
        more: 0,
        announced: false,
        same: 0.0,
    },
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures/audio")
        .join(name)
}

/// Amplitude of the sine of frequency `hz` in the middle half of channel `c`.
fn amplitude(audio: &Audio, c: usize, hz: f64) -> f64 {
    let quarter = audio.frames() / 4;
    // Whole periods of both tones, so that they do not leak into each other: 1/20 s holds 22 and 125.
    let unit = audio.sample_rate as usize / 20;
    let frames = quarter * 2 / unit * unit;
    let (mut re, mut im) = (0.0, 0.0);
    for t in quarter..quarter + frames {
        let phase = std::f64::consts::TAU * hz * t as f64 / f64::from(audio.sample_rate);
        re += f64::from(audio.samples[[t, c]]) * phase.cos();
        im += f64::from(audio.samples[[t, c]]) * phase.sin();
    }
    2.0 * re.hypot(im) / frames as f64
}

/// Root of the mean square of the middle half of channel `c`.
fn rms(audio: &Audio, c: usize) -> f64 {
    let quarter = audio.frames() / 4;
    let middle = audio.samples.slice(ndarray::s![quarter..3 * quarter, c]);
    (middle
        .iter()
        .map(|&sample| f64::from(sample).powi(2))
        .sum::<f64>()
        / middle.len() as f64)
        .sqrt()
}

/// The largest difference of two sounds of one shape.
fn difference(a: &Audio, b: ndarray::ArrayView2<f32>) -> f32 {
    assert_eq!(a.samples.dim(), b.dim());
    (&a.samples - &b).fold(0.0, |max, error| error.abs().max(max))
}

#[test]
fn every_format_gives_its_tones_at_their_levels() {
    for Encoded {
        name,
        rate,
        channels,
        level,
        more,
        ..
    } in ENCODED
    {
        let audio = Audio::read(fixture(name)).unwrap();
        assert_eq!(
            (audio.sample_rate, audio.channels()),
            (rate, channels),
            "{name}"
        );
        assert_eq!(audio.frames() as i64 - i64::from(rate), more, "{name}");

        let near = |c: usize, hz: f64, level: f64| {
            let found = amplitude(&audio, c, hz);
            let close = (found - level).abs() < 0.03 * level.max(0.1);
            assert!(
                close,
                "{name}: {hz} Hz on channel {c} is {found}, not {level}"
            );
        };
        if channels == 2 {
            for (c, low, high) in [(0, level, 0.0), (1, 0.0, level / 2.0)] {
                near(c, 440.0, low);
                near(c, 2500.0, high);
            }
            // Nothing else is there: the whole power is that of the tone.
            assert!(
                (rms(&audio, 0) - level / 2f64.sqrt()).abs() < 0.01,
                "{name}: {}",
                rms(&audio, 0)
            );
        } else {
            near(0, 440.0, level);
            near(0, 2500.0, level / 2.0);
        }
    }
}

#[test]
fn probe_tells_what_reading_gives() {
    for Encoded {
        name,
        rate,
        channels,
        ..
    } in ENCODED
    {
        let info = probe(fixture(name)).unwrap();
        let audio = Audio::read(fixture(name)).unwrap();
        assert_eq!(
            (info.sample_rate, info.channels),
            (rate, channels),
            "{name}"
        );
        assert_eq!(info.frames, audio.frames() as u64, "{name}");
        assert!(
            (info.seconds() - 1.0).abs() < 0.12,
            "{name}: {} s",
            info.seconds()
        );
    }
}

#[test]
fn a_range_is_what_the_whole_file_holds_there() {
    for Encoded { name, same, .. } in ENCODED {
        let whole = Audio::read(fixture(name)).unwrap();
        let frames = whole.frames();
        for from in [0, 1, 1000, 18_000, frames - 3000, frames - 1] {
            let part = read_range(fixture(name), from as u64, 2500).unwrap();
            let expected = whole
                .samples
                .slice(ndarray::s![from..(from + 2500).min(frames), ..]);
            let difference = difference(&part, expected);
            assert!(difference <= same, "{name} from {from}: {difference}");
        }
        for beyond in [frames as u64, frames as u64 + 1, 1 << 40, u64::MAX] {
            let part = read_range(fixture(name), beyond, 10).unwrap();
            assert_eq!(
                (part.frames(), part.channels()),
                (0, whole.channels()),
                "{name} from {beyond}"
            );
        }
    }
}

#[test]
fn a_range_at_another_rate_is_what_the_resampled_file_holds_there() {
    for Encoded { name, same, .. } in ENCODED {
        for rate in [22_050, 16_000] {
            let whole = Audio::read(fixture(name)).unwrap().resample(rate).unwrap();
            let frames = whole.frames();
            for from in [0, 777, 9001, frames - 500] {
                let part = read_range_at(fixture(name), rate, from as u64, 1500).unwrap();
                let expected = whole
                    .samples
                    .slice(ndarray::s![from..(from + 1500).min(frames), ..]);
                let difference = difference(&part, expected);
                // f32 rounding in the transforms
                assert!(
                    difference <= same.max(1e-6),
                    "{name} at {rate} from {from}: {difference}"
                );
            }
        }
    }
}

#[test]
fn wav_files_of_every_width_are_exact() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.wav");
    for (bits, format) in [
        (8, SampleFormat::Int),
        (16, SampleFormat::Int),
        (24, SampleFormat::Int),
        (32, SampleFormat::Int),
        (32, SampleFormat::Float),
    ] {
        for (channels, rate) in [(1, 8000), (2, 44_100), (6, 96_000)] {
            let spec = WavSpec {
                channels,
                sample_rate: rate,
                bits_per_sample: bits,
                sample_format: format,
            };
            let mut writer = WavWriter::create(&path, spec).unwrap();
            // Sixteenths are exact in every width.
            let value = |t: usize, c: usize| ((t + 5 * c) % 32) as f32 / 16.0 - 1.0;
            for (t, c) in (0..3000).flat_map(|t| (0..channels as usize).map(move |c| (t, c))) {
                match format {
                    SampleFormat::Int => writer
                        .write_sample((value(t, c) * 2f32.powi(bits as i32 - 1)) as i32)
                        .unwrap(),
                    SampleFormat::Float => writer.write_sample(value(t, c)).unwrap(),
                }
            }
            writer.finalize().unwrap();
            let audio = Audio::read(&path).unwrap();
            let expected = Array2::from_shape_fn((3000, channels as usize), |(t, c)| value(t, c));
            assert_eq!(
                audio,
                Audio {
                    samples: expected,
                    sample_rate: rate
                },
                "{bits} bits, {channels} channels"
            );
            assert_eq!(
                probe(&path).unwrap(),
                AudioInfo {
                    frames: 3000,
                    sample_rate: rate,
                    channels: channels as usize
                }
            );
        }
    }
}

fn error_of(path: impl AsRef<Path>) -> String {
    let error = Audio::read(&path).unwrap_err().to_string();
    assert!(
        error.contains(path.as_ref().to_str().unwrap()),
        "the error names the file: {error}"
    );
    assert_eq!(probe(&path).unwrap_err().to_string(), error);
    assert_eq!(read_range(&path, 5, 5).unwrap_err().to_string(), error);
    error
}

#[test]
fn what_is_no_sound_file_is_a_clear_error() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    assert!(error_of(folder.path().join("missing.wav")).contains("cannot be opened"));
    assert!(error_of(folder.path()).contains("is not a file"));
    assert!(error_of(file("nothing.mp3", b"")).contains("is empty (0 bytes)"));
    let text = "A text that somebody named like a sound file.\n".repeat(100_000);
    for name in [
        "text.mp3",
        "text.wav",
        "text.flac",
        "text.ogg",
        "text.m4a",
        "text.aac",
        "text",
    ] {
        assert!(
            error_of(file(name, text.as_bytes())).contains("is not a sound file"),
            "{name}"
        );
        assert!(
            error_of(file(name, b"x")).contains("is not a sound file"),
            "{name}"
        );
    }
    let mut random = vec![0u8; 3_000_000];
    ChaCha8Rng::seed_from_u64(1).fill(&mut random[..]);
    for name in ["noise.mp3", "noise.wav", "noise"] {
        let path = file(name, &random);
        let _ = probe(&path); // random bytes may hold something like a frame of mp3; only a panic is wrong
        let _ = Audio::read(&path);
    }
    let silence = Audio::from_mono(vec![0.0; 5000], 8000);
    assert!(
        error_of(file(
            "header.wav",
            &silence.wav_bytes(WavFormat::Pcm16)[..44]
        ))
        .contains("holds no sound")
    );
    assert!(
        error_of(file(
            "half_a_header.wav",
            &silence.wav_bytes(WavFormat::Pcm16)[..30]
        ))
        .contains("is not a sound file")
    );
    assert!(
        error_of(file(
            "no_frames.wav",
            &Audio::from_mono(vec![], 8000).wav_bytes(WavFormat::Pcm16)
        ))
        .contains("holds no sound")
    );
}

#[test]
fn silence_and_wrong_names_are_read() {
    let folder = TempDir::new().unwrap();
    let silence = Audio {
        samples: Array2::zeros((5000, 2)),
        sample_rate: 8000,
    };
    for name in ["silence.wav", "really_a_wav.mp3", "no_extension"] {
        let path = folder.path().join(name);
        std::fs::write(&path, silence.wav_bytes(WavFormat::Pcm16)).unwrap();
        assert_eq!(Audio::read(&path).unwrap(), silence, "{name}");
    }
}

#[test]
fn a_claimed_length_is_not_believed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("claims.wav");
    let sound = Audio::from_mono((0..5000).map(|t| t as f32 / 5000.0).collect(), 8000);
    for claim in [u32::MAX, u32::MAX - 9, 0x7fff_fff0, 40_000] {
        let mut bytes = sound.wav_bytes(WavFormat::Float32);
        let data = bytes
            .windows(4)
            .position(|window| window == b"data")
            .unwrap();
        let length = if claim == u32::MAX {
            claim
        } else {
            claim - data as u32
        };
        bytes[4..8].copy_from_slice(&claim.to_le_bytes());
        bytes[data + 4..data + 8].copy_from_slice(&length.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let samples = Audio::read(&path).unwrap();
        assert_eq!(samples, sound, "claimed length {claim}");
        assert_eq!(probe(&path).unwrap().frames, 5000, "claimed length {claim}");
        assert_eq!(read_range(&path, 4990, 100).unwrap().frames(), 10);
    }
}

#[test]
fn a_truncated_file_gives_what_it_holds_and_says_what_is_missing() {
    let folder = TempDir::new().unwrap();
    for Encoded {
        name,
        rate,
        channels,
        announced,
        ..
    } in ENCODED
    {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let path = folder.path().join(name);
        let whole = Audio::read(fixture(name)).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() * 6 / 10]).unwrap();
        if name == "two_tone.m4a" {
            // symphonia follows the lengths of an MP4 file's parts, of which one now lies beyond the end.
            assert!(error_of(&path).contains("holds no sound"), "{name}");
            continue;
        }
        let part = Audio::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((part.sample_rate, part.channels()), (rate, channels));
        let held = part.frames() as f64 / whole.frames() as f64;
        assert!(
            (0.05..0.8).contains(&held),
            "{name}: {held} of the sound in 0.6 of the file"
        ); // half of an ogg file are headers
        let common = part.frames() - 2048; // the last packet may be silence for what is cut off
        assert_eq!(
            part.samples.slice(ndarray::s![..common, ..]),
            whole.samples.slice(ndarray::s![..common, ..]),
            "{name}"
        );

        let mut reader = AudioReader::open(&path).unwrap();
        while reader.next_block().is_some() {}
        assert_eq!(
            !reader.damage().is_none(),
            announced,
            "{name}: {}",
            reader.damage()
        );

        // The first bytes alone are an error or a sound, but nothing else.
        for length in (1..400).step_by(7) {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let _ = Audio::read(&path);
        }
    }
}

#[test]
fn damaged_files_never_panic() {
    let folder = TempDir::new().unwrap();
    for Encoded { name, .. } in ENCODED {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let path = folder.path().join(name);
        for seed in 0..60 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut damaged = bytes.clone();
            // Half of the damage goes into the headers.
            let end = if seed % 2 == 0 { damaged.len() } else { 500 };
            for _ in 0..rng.random_range(1..12) {
                damaged[rng.random_range(0..end)] = rng.random();
            }
            std::fs::write(&path, &damaged).unwrap();
            if let Ok(audio) = Audio::read(&path) {
                assert!(
                    audio.samples.iter().all(|sample| sample.is_finite()),
                    "{name}, seed {seed}"
                );
                assert!(
                    audio.frames() < 10 * 48_000,
                    "{name}, seed {seed}: {} frames",
                    audio.frames()
                );
            }
            let _ = probe(&path);
            let _ = read_range(&path, 20_000, 1000);
        }
    }
}

#[test]
fn lost_packets_are_silence_so_that_the_rest_keeps_its_time() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("two_tone.mp3");
    let mut bytes = std::fs::read(fixture("two_tone.mp3")).unwrap();
    let whole = Audio::read(fixture("two_tone.mp3")).unwrap();
    let middle = bytes.len() / 2;
    // The contents of a few frames, not their headers: the side information is impossible afterwards.
    let header =
        |&i: &usize| bytes[i] == 0xff && bytes[i + 1] == 0xfb && bytes[i + 2] & 0xf0 == 0x70;
    let first = (middle..).find(header).unwrap();
    let headers: Vec<usize> = (first..first + 1000).filter(header).collect();
    for header in &headers {
        bytes[header + 4..header + 40].fill(0xff);
    }
    std::fs::write(&path, &bytes).unwrap();
    let mut reader = AudioReader::open(&path).unwrap();
    let mut frames = 0;
    while let Some(block) = reader.next_block() {
        frames += block.len() / 2;
    }
    assert!(!headers.is_empty());
    assert!(reader.damage().lost_packets > 0, "{}", reader.damage());
    assert_eq!(frames, whole.frames());
    let damaged = Audio::read(&path).unwrap();
    let end = ndarray::s![30_000.., ..];
    assert_eq!(damaged.samples.slice(end), whole.samples.slice(end));
}

#[test]
fn samples_that_are_no_numbers_become_zero() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nan.wav");
    Audio::from_mono(vec![0.5, f32::NAN, f32::INFINITY, -0.5], 8000)
        .write_wav(&path, WavFormat::Float32)
        .unwrap();
    assert_eq!(
        Audio::read(&path).unwrap().mono_samples(),
        [0.5, 0.0, 0.0, -0.5]
    );
    let mut reader = AudioReader::open(&path).unwrap();
    assert!(reader.next_block().is_some());
    assert_eq!(
        reader.damage().to_string(),
        "2 samples were not numbers and are zero"
    );
}

#[test]
fn a_file_too_long_for_memory_is_refused_but_can_be_read_in_parts() {
    let path = fixture("two_tone.flac");
    let error = read_whole(&path, 10_000).unwrap_err().to_string();
    assert!(
        error.contains("too long to be read whole (more than 0 s at 44100 Hz in 2 channels)"),
        "{error}"
    );
    assert!(error.contains("read_range"), "{error}");
    assert_eq!(read_whole(&path, 88_200).unwrap().frames(), 44_100);

    // A wav file of 4 GB, which takes no room on the disk: refused without reading it, but any part can be read.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("huge.wav");
    let mut header = Audio::from_mono(vec![0.0], 44_100).wav_bytes(WavFormat::Pcm16)[..44].to_vec();
    let bytes = 0xf000_0000u32;
    header[4..8].copy_from_slice(&(bytes + 36).to_le_bytes());
    header[40..44].copy_from_slice(&bytes.to_le_bytes());
    std::fs::write(&path, &header).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(u64::from(bytes) + 44).unwrap();
    assert!(matches!(
        Audio::read(&path),
        Err(AudioError::TooLong { .. })
    ));
    assert_eq!(probe(&path).unwrap().frames, u64::from(bytes) / 2);
    assert_eq!(
        read_range(&path, 1_999_999_999, 100).unwrap().samples,
        Array2::<f32>::zeros((100, 1))
    );
}

#[test]
fn seeking_goes_forwards_and_backwards() {
    for Encoded { name, same, .. } in ENCODED {
        let whole = Audio::read(fixture(name)).unwrap();
        let mut reader = AudioReader::open(fixture(name)).unwrap();
        for frame in [20_000, 19_000, 0, 20_500, 100, 100] {
            reader.seek(frame).unwrap();
            assert_eq!(reader.position(), frame, "{name}");
            let block = reader.next_block().unwrap();
            let expected = whole.samples.slice(ndarray::s![frame as usize.., ..]);
            let difference = expected
                .iter()
                .zip(block)
                .fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
            assert!(difference <= same, "{name} at {frame}: {difference}");
        }
    }
}

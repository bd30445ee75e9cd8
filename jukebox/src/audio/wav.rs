//! Writing wav files (hound), 16-bit or float.

use std::io::{BufWriter, Cursor, Seek, Write};
use std::path::Path;

use hound::{SampleFormat, WavSpec, WavWriter};

use super::{Audio, AudioError};

/// The most channels that a wav file gives a place (front left, …, top back right).
const MAX_CHANNELS: usize = 18;

/// The most bytes of samples in a wav file: its lengths are 32-bit, and the header needs some of them.
const MAX_BYTES: usize = u32::MAX as usize - 4096;

/// How samples are stored in a wav file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WavFormat {
    /// 16-bit integers, what every player reads; samples outside -1..1 are clipped.
    Pcm16,
    /// 32-bit floats, exact.
    Float32,
}

impl WavFormat {
    fn bytes_per_sample(self) -> usize {
        match self {
            WavFormat::Pcm16 => 2,
            WavFormat::Float32 => 4,
        }
    }
}

impl Audio {
    /// Writes a wav file: first under a temporary name in the same folder, then renamed, so that a file of this name is
    /// always whole.
    ///
    /// # Errors
    /// The folder does not exist or is not writable, the disk is full, or the sound does not fit into the format (4 GiB,
    /// 18 channels).
    pub fn write_wav(&self, path: impl AsRef<Path>, format: WavFormat) -> Result<(), AudioError> {
        let path = path.as_ref();
        if self.channels() > MAX_CHANNELS {
            return Err(AudioError::Wav {
                reason: format!("{} channels, {MAX_CHANNELS} are possible", self.channels()),
            });
        }
        if self.samples.len() > MAX_BYTES / format.bytes_per_sample() {
            let reason = format!(
                "{:.0} s are more than 4 GiB of samples; write it in parts",
                self.seconds()
            );
            return Err(AudioError::Wav { reason });
        }
        let write = || -> std::io::Result<()> {
            let folder = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            let mut builder = tempfile::Builder::new();
            // A temporary file is private by default; the finished one gets the permissions of any new file.
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
            let mut file = builder
                .prefix(".jukebox-")
                .suffix(".wav")
                .tempfile_in(folder)?;
            self.encode(format, BufWriter::new(file.as_file_mut()))
                .map_err(into_io)?;
            file.persist(path)?;
            Ok(())
        };
        write().map_err(|source| AudioError::Write {
            path: path.into(),
            source,
        })
    }

    /// The bytes of a wav file, for a player. What exceeds the format (4 GiB, 18 channels) is left out.
    ///
    /// ```
    /// use jukebox::audio::{Audio, WavFormat};
    ///
    /// let silence = Audio::from_mono(vec![0.0; 100], 22_050);
    /// assert_eq!(silence.wav_bytes(WavFormat::Pcm16).len(), 44 + 2 * 100);
    /// ```
    pub fn wav_bytes(&self, format: WavFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::with_capacity(
            self.samples.len() * format.bytes_per_sample() + 128,
        ));
        self.encode(format, &mut bytes)
            .expect("memory does not fail, and the channels and lengths are within the format");
        bytes.into_inner()
    }

    fn encode<W: Write + Seek>(&self, format: WavFormat, output: W) -> hound::Result<()> {
        let channels = self.channels().clamp(1, MAX_CHANNELS);
        let (bits_per_sample, sample_format) = match format {
            WavFormat::Pcm16 => (16, SampleFormat::Int),
            WavFormat::Float32 => (32, SampleFormat::Float),
        };
        let spec = WavSpec {
            channels: channels as u16,
            sample_rate: self.sample_rate,
            bits_per_sample,
            sample_format,
        };
        let mut writer = WavWriter::new(output, spec)?;
        let frames = MAX_BYTES / format.bytes_per_sample() / channels;
        for &sample in self
            .samples
            .rows()
            .into_iter()
            .take(frames)
            .flat_map(|frame| frame.into_iter().take(channels))
        {
            match format {
                // Full scale is 32768 as in decoding, so that a 16-bit file read and written again is the same.
                WavFormat::Pcm16 => writer
                    .write_sample((sample * 32768.0).round().clamp(-32768.0, 32767.0) as i16)?,
                WavFormat::Float32 => writer.write_sample(sample)?,
            }
        }
        writer.finalize()
    }
}

fn into_io(error: hound::Error) -> std::io::Error {
    match error {
        hound::Error::IoError(error) => error,
        other => std::io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn stereo() -> Audio {
        let sample = |(t, c): (usize, usize)| ((t * (c + 2)) % 200) as f32 / 100.0 - 1.0;
        Audio {
            samples: Array2::from_shape_fn((1000, 2), sample),
            sample_rate: 22_050,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        stereo().write_wav(&path, WavFormat::Float32).unwrap();
        assert_eq!(Audio::read(&path).unwrap(), stereo());

        stereo().write_wav(&path, WavFormat::Pcm16).unwrap();
        let read = Audio::read(&path).unwrap();
        let error =
            (&read.samples - &stereo().samples).fold(0.0f32, |max, error| max.max(error.abs()));
        assert!(error <= 0.5 / 32_768.0, "{error}");
        // A 16-bit file written again is the same file.
        assert_eq!(
            read.wav_bytes(WavFormat::Pcm16),
            std::fs::read(&path).unwrap()
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn too_loud_samples_are_clipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loud.wav");
        Audio::from_mono(vec![1.5, 1.0, -1.0, -9.0, f32::NAN], 8000)
            .write_wav(&path, WavFormat::Pcm16)
            .unwrap();
        assert_eq!(
            Audio::read(&path).unwrap().mono_samples(),
            [32_767.0 / 32_768.0, 32_767.0 / 32_768.0, -1.0, -1.0, 0.0]
        );
    }

    #[test]
    fn a_failed_write_says_why_and_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/folder/a.wav");
        let error = stereo()
            .write_wav(&missing, WavFormat::Pcm16)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(missing.to_str().unwrap())
                && error.contains("check that the folder exists"),
            "{error}"
        );

        let path = folder.path().join("a.wav");
        stereo().write_wav(&path, WavFormat::Pcm16).unwrap();
        let many = Audio {
            samples: Array2::zeros((10, 40)),
            sample_rate: 8000,
        };
        let error = many
            .write_wav(&path, WavFormat::Pcm16)
            .unwrap_err()
            .to_string();
        assert!(error.contains("40 channels, 18 are possible"), "{error}");
        assert_eq!(Audio::read(&path).unwrap().frames(), 1000);
    }

    #[test]
    fn odd_shapes_have_bytes_too() {
        for (frames, channels) in [(0, 0), (0, 1), (5, 0), (5, 40), (5, 18)] {
            let audio = Audio {
                samples: Array2::zeros((frames, channels)),
                sample_rate: 8000,
            };
            for format in [WavFormat::Pcm16, WavFormat::Float32] {
                let bytes = audio.wav_bytes(format);
                let data = frames * channels.min(18) * format.bytes_per_sample();
                assert_eq!(
                    bytes[bytes.len() - data - 4..][..4],
                    (data as u32).to_le_bytes(),
                    "{frames} frames, {channels} channels"
                );
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_written_file_has_the_permissions_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            std::fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode()
        };
        std::fs::write(folder.path().join("other"), "").unwrap();
        stereo()
            .write_wav(folder.path().join("a.wav"), WavFormat::Pcm16)
            .unwrap();
        assert_eq!(mode("a.wav"), mode("other"));
    }
}

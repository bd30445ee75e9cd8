//! Reading a part of a file without decoding what comes before it.

use std::path::Path;

use ndarray::{Array2, s};

use super::resample::{self, gcd};
use super::{Audio, AudioError, AudioReader};

/// Reads up to `frames` frames beginning at frame `from`, at the file's own rate. Where the file ends earlier, the result is
/// shorter, and empty past the end. The samples equal those of [`Audio::read`].
///
/// # Errors
/// As [`AudioReader::open`].
pub fn read_range(path: impl AsRef<Path>, from: u64, frames: usize) -> Result<Audio, AudioError> {
    let mut reader = AudioReader::open(path)?;
    range_of(&mut reader, from, frames)
}

/// Reads up to `frames` frames beginning at frame `from`, both counted at `rate`: what `Audio::read(path)?.resample(rate)?`
/// holds there, to the accuracy of `f32`, without reading the rest of the file.
///
/// The part is read with a margin on both sides and begins at a frame of the file that falls on a frame of the new rate, so
/// that the resampler sees what it would see in the whole file.
///
/// # Errors
/// As [`read_range`] and [`Audio::resample`].
pub fn read_range_at(
    path: impl AsRef<Path>,
    rate: u32,
    from: u64,
    frames: usize,
) -> Result<Audio, AudioError> {
    let mut reader = AudioReader::open(path)?;
    let file_rate = reader.sample_rate();
    if rate == file_rate {
        return range_of(&mut reader, from, frames);
    }
    resample::check_rates(file_rate, rate)?;
    // `step_in` frames of the file last as long as `step_out` frames at the new rate.
    let divisor = gcd(file_rate, rate);
    let (step_in, step_out) = (u64::from(file_rate / divisor), u64::from(rate / divisor));
    let margin = (resample::margin_frames(file_rate, rate) as u64).div_ceil(step_in);
    let first = (from / step_out).saturating_sub(margin);
    let last = (from + frames as u64).div_ceil(step_out) + margin;

    let part = range_of(
        &mut reader,
        first * step_in,
        ((last - first) * step_in) as usize,
    )?
    .resample(rate)?;
    let start = ((from - first * step_out) as usize).min(part.frames());
    let end = (start + frames).min(part.frames());
    Ok(Audio {
        samples: part.samples.slice(s![start..end, ..]).to_owned(),
        sample_rate: rate,
    })
}

fn range_of(reader: &mut AudioReader, from: u64, frames: usize) -> Result<Audio, AudioError> {
    let (sample_rate, channels) = (reader.sample_rate(), reader.channels());
    reader.seek(from)?;
    let mut samples = Vec::new();
    while samples.len() < frames * channels {
        let Some(block) = reader.next_block() else {
            break;
        };
        let wanted = block.len().min(frames * channels - samples.len());
        samples.extend_from_slice(&block[..wanted]);
    }
    let frames = samples.len() / channels;
    let samples =
        Array2::from_shape_vec((frames, channels), samples).expect("blocks hold whole frames");
    Ok(Audio {
        samples,
        sample_rate,
    })
}

//! Decoding: one file, block by block, with bounded memory.
//!
//! symphonia does the work; this file decides what a damaged file means. The rule: sound that can be decoded is given, at its
//! right time, and what is missing is told. A packet that cannot be decoded becomes silence of its length; a stream that
//! stops early ends there; samples that are not numbers become zero. [`Damage`] counts all of it.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as DecodeError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{
    FORMAT_ID_ADTS, FORMAT_ID_ISOMP4, FORMAT_ID_MP3, FORMAT_ID_WAVE,
};
use symphonia::core::formats::{FormatOptions, FormatReader, SeekMode, SeekTo, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::Timestamp;

use super::{Audio, AudioError};

/// The most samples that [`Audio::read`] keeps: 2 GiB of `f32`.
pub(super) const MAX_SAMPLES_IN_MEMORY: usize = 1 << 29;

/// Rates above this are taken for a broken header; no converter reaches it.
pub(super) const MAX_SAMPLE_RATE: u32 = 768_000;

/// Frames decoded and dropped after a seek, until a decoder's memory of what came before is filled: the bit reservoir
/// and overlap of mp3 and the overlap of vorbis (8192) and aac all fit.
const PREROLL: u64 = 16_384;

/// The longest silence put in place of one undecodable packet, in frames; a broken packet may claim any length.
const MAX_PACKET_SILENCE: u64 = 16_384;

/// What a file says about itself, without decoding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioInfo {
    /// Length in frames (samples per channel).
    pub frames: u64,
    /// Frames per second, in Hz.
    pub sample_rate: u32,
    /// Number of channels.
    pub channels: usize,
}

impl AudioInfo {
    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.frames as f64 / f64::from(self.sample_rate)
    }
}

/// What of a file could not be decoded, counted while it is read. `Display` gives it as a phrase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Packets that could not be decoded and became silence.
    pub lost_packets: u64,
    /// Samples that were infinite or not a number and became zero.
    pub invalid_samples: u64,
    /// Frames that the file announces but does not hold.
    pub missing_frames: u64,
    /// Why reading stopped before the end of the file, if it did.
    pub stopped: Option<String>,
}

impl Damage {
    /// Whether the file is whole.
    pub fn is_none(&self) -> bool {
        *self == Damage::default()
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut parts = Vec::new();
        if self.lost_packets > 0 {
            parts.push(format!(
                "{} packets could not be decoded and are silence",
                self.lost_packets
            ));
        }
        if self.invalid_samples > 0 {
            parts.push(format!(
                "{} samples were not numbers and are zero",
                self.invalid_samples
            ));
        }
        if self.missing_frames > 0 {
            parts.push(format!(
                "{} frames that the file announces are missing at its end",
                self.missing_frames
            ));
        }
        if let Some(reason) = &self.stopped {
            parts.push(format!("reading stopped early: {reason}"));
        }
        f.write_str(if parts.is_empty() { "no damage" } else { "" })?;
        f.write_str(&parts.join("; "))
    }
}

/// A sound file being decoded, block by block: memory stays small however long the file is.
///
/// ```no_run
/// use jukebox::audio::AudioReader;
///
/// let mut reader = AudioReader::open("concert.flac")?;
/// let mut peak = 0.0f32;
/// while let Some(block) = reader.next_block() {
///     peak = block.iter().fold(peak, |peak, sample| peak.max(sample.abs()));
/// }
/// println!("peak {peak}, {}", reader.damage());
/// # Ok::<(), jukebox::audio::AudioError>(())
/// ```
pub struct AudioReader {
    path: PathBuf,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    sample_rate: u32,
    channels: usize,
    /// Length that the container announces, in frames.
    announced: Option<u64>,
    /// Whether the announced length is a guess from the bit rate.
    estimated: bool,
    /// Whether the last packet may hold more than the announced length, which the decoder does not cut.
    padded: bool,
    /// Whether a packet's timestamp counts frames, so that seeking can be exact.
    counts_frames: bool,
    /// Bytes and frames of the first packet of a wav file: all packets have that proportion.
    first_packet: Option<(u64, u64)>,
    /// Frame at which the next block begins.
    position: u64,
    /// Frames to drop before the next block, after a seek.
    skip: u64,
    /// A block decoded when the file was opened, to learn its channels.
    block: Vec<f32>,
    pending: bool,
    ended: bool,
    damage: Damage,
}

impl AudioReader {
    /// Opens a file and decodes its first packet (some files tell their channels only there).
    ///
    /// # Errors
    /// The file cannot be opened, is a folder, is empty, is no sound file that we read, or holds no sound.
    pub fn open(path: impl AsRef<Path>) -> Result<AudioReader, AudioError> {
        let path = path.as_ref().to_path_buf();
        let unreadable = |reason: &dyn fmt::Display| AudioError::Unreadable {
            path: path.clone(),
            reason: reason.to_string(),
        };
        let open_error = |source| AudioError::Open {
            path: path.clone(),
            source,
        };

        let metadata = std::fs::metadata(&path).map_err(open_error)?;
        if !metadata.is_file() {
            return Err(AudioError::NotAFile { path });
        }
        if metadata.len() == 0 {
            return Err(AudioError::Empty { path });
        }
        let file = File::open(&path).map_err(open_error)?;

        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
            hint.with_extension(extension);
        }
        let stream = MediaSourceStream::new(Box::new(file), Default::default());
        let format = symphonia::default::get_probe()
            .probe(
                &hint,
                stream,
                FormatOptions::default(),
                MetadataOptions::default(),
            )
            .map_err(|error| unreadable(&error))?;
        let track = format
            .default_track(TrackType::Audio)
            .ok_or_else(|| unreadable(&"it has no audio track"))?;
        let params = audio_params(track)
            .ok_or_else(|| unreadable(&"its audio track is of an unknown kind"))?;
        let sample_rate = params.sample_rate.unwrap_or(0);
        if sample_rate == 0 || sample_rate > MAX_SAMPLE_RATE {
            return Err(unreadable(&format!(
                "it states a sample rate of {sample_rate} Hz"
            )));
        }
        let counts_frames = track
            .time_base
            .is_some_and(|base| base.numer.get() == 1 && base.denom.get() == sample_rate);
        let track_id = track.id;
        let announced = track.num_frames.or(track
            .duration
            .filter(|_| counts_frames)
            .map(|duration| duration.get()));
        // An mp3 file without a header of its own tells its length no more than a bare aac stream.
        let estimated = match format.format_info().format {
            FORMAT_ID_ADTS => true,
            FORMAT_ID_MP3 => track.delay.is_none() && track.padding.is_none(),
            _ => false,
        };
        let decoder = make_decoder(params, !estimated).map_err(|error| unreadable(&error))?;
        let padded = format.format_info().format == FORMAT_ID_ISOMP4;

        let mut reader = AudioReader {
            path,
            format,
            decoder,
            track_id,
            sample_rate,
            channels: 0,
            announced,
            estimated,
            padded,
            counts_frames,
            first_packet: None,
            position: 0,
            skip: 0,
            block: Vec::new(),
            pending: false,
            ended: false,
            damage: Damage::default(),
        };
        reader.decode_block();
        if reader.ended {
            let reason = if reader.damage.is_none() {
                "its header is followed by no data".into()
            } else {
                reader.damage.to_string()
            };
            return Err(AudioError::NoSound {
                path: reader.path,
                reason,
            });
        }
        reader.pending = true;
        Ok(reader)
    }

    /// Frames per second, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Length in frames that the file's header announces, if it does; a damaged file may hold less.
    pub fn announced_frames(&self) -> Option<u64> {
        self.announced
    }

    /// Frame at which the next block begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What could not be decoded so far.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    /// The next samples, interleaved, as many as one packet holds; `None` at the end. Damage may bring the end early, and
    /// is told by [`AudioReader::damage`].
    pub fn next_block(&mut self) -> Option<&[f32]> {
        loop {
            if !std::mem::take(&mut self.pending) {
                self.decode_block();
            }
            if self.ended {
                return None;
            }
            let frames = (self.block.len() / self.channels) as u64;
            let skipped = self.skip.min(frames);
            self.skip -= skipped;
            let mut kept = frames - skipped;
            if let Some(announced) = self.announced.filter(|_| self.padded) {
                kept = kept.min(announced.saturating_sub(self.position));
            }
            if kept > 0 {
                self.position += kept;
                let samples =
                    skipped as usize * self.channels..(skipped + kept) as usize * self.channels;
                return Some(&self.block[samples]);
            }
        }
    }

    /// Moves so that the next block begins at `frame`, to the sample: decoding from there gives the samples that decoding
    /// from the start gives (aac: up to the noise that its decoder draws). Past the end, the next block is `None`.
    ///
    /// # Errors
    /// The file cannot be opened any more.
    pub fn seek(&mut self, frame: u64) -> Result<(), AudioError> {
        if frame == self.position && !self.ended {
            return Ok(());
        }
        if self
            .announced
            .is_some_and(|announced| frame >= announced && !self.estimated)
        {
            self.ended = true;
            return Ok(());
        }
        if self.seek_packet(frame).is_none() {
            // Decoding from the start is exact for every format, and works without an index too.
            *self = AudioReader::open(&self.path)?;
            self.skip = frame;
            self.position = frame;
        }
        Ok(())
    }

    /// Seeks by packets and decodes the first; `None` where that is not possible or not exact.
    fn seek_packet(&mut self, frame: u64) -> Option<()> {
        // Below two prerolls, encoder delays before frame 0 would come in; without timestamps that count frames, only
        // the start is a place that is known exactly.
        let from = frame
            .checked_sub(PREROLL)
            .filter(|&from| from >= PREROLL && self.counts_frames)?;
        let to = SeekTo::Timestamp {
            ts: Timestamp::new(i64::try_from(from).ok()?),
            track_id: self.track_id,
        };
        self.format.seek(SeekMode::Accurate, to).ok()?;
        self.decoder.reset();
        (self.pending, self.ended) = (false, false);

        // Packets lost before the wanted frame are not missed.
        let damage = self.damage.clone();
        let start = self.decode_block().filter(|&start| start <= frame)?;
        self.damage = damage;
        self.pending = true;
        self.skip = frame - start;
        self.position = frame;
        Some(())
    }

    /// Decodes packets until one gives sound, into `block`; returns the frame at which that begins. Ends the stream at its
    /// end or where it cannot be followed.
    fn decode_block(&mut self) -> Option<u64> {
        self.block.clear();
        while !self.ended {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track_id => packet,
                Ok(Some(_)) => continue,
                Ok(None) => {
                    self.end(None);
                    break;
                }
                Err(DecodeError::ResetRequired) => {
                    self.follow_new_track();
                    continue;
                }
                Err(DecodeError::IoError(error))
                    if error.kind() == std::io::ErrorKind::UnexpectedEof =>
                {
                    self.end(None);
                    break;
                }
                Err(error) => {
                    self.end(Some(error.to_string()));
                    break;
                }
            };
            self.decode_packet(&packet);
            if !self.block.is_empty() {
                if self.first_packet.is_none() && self.format.format_info().format == FORMAT_ID_WAVE
                {
                    let frames = self.block.len() / self.channels;
                    self.first_packet = Some((packet.data.len() as u64, frames as u64));
                }
                let start = packet
                    .pts
                    .get()
                    .saturating_add_unsigned(packet.trim_start.get());
                return Some(u64::try_from(start).unwrap_or(0));
            }
        }
        None
    }

    /// Decodes one packet into `block`; an undecodable one becomes silence.
    fn decode_packet(&mut self, packet: &Packet) {
        match self.decoder.decode(packet) {
            Ok(decoded) => {
                let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
                if self.channels == 0 && channels > 0 {
                    self.channels = channels;
                    self.sample_rate = if (1..=MAX_SAMPLE_RATE).contains(&rate) {
                        rate
                    } else {
                        self.sample_rate
                    };
                }
                if (rate, channels) == (self.sample_rate, self.channels) {
                    decoded.copy_to_vec_interleaved(&mut self.block);
                } else if !decoded.is_empty() {
                    let reason = format!(
                        "it changes from {} Hz, {} channels to {rate} Hz, {channels} channels",
                        self.sample_rate, self.channels
                    );
                    self.end(Some(reason));
                }
            }
            Err(DecodeError::DecodeError(_) | DecodeError::IoError(_)) => {
                self.damage.lost_packets += 1;
                let frames = packet.dur.get().min(MAX_PACKET_SILENCE) as usize;
                self.block.resize(frames * self.channels, 0.0);
            }
            Err(error) => self.end(Some(error.to_string())),
        }
        for sample in self.block.iter_mut().filter(|sample| !sample.is_finite()) {
            *sample = 0.0;
            self.damage.invalid_samples += 1;
        }
    }

    /// Goes on with the next of several chained streams (internet radio recordings are such ogg files).
    fn follow_new_track(&mut self) {
        let next = self
            .format
            .default_track(TrackType::Audio)
            .and_then(|track| {
                let params = audio_params(track)?;
                (params.sample_rate == Some(self.sample_rate)).then(|| {
                    make_decoder(params, !self.estimated)
                        .ok()
                        .map(|decoder| (track.id, decoder))
                })?
            });
        match next {
            Some((track_id, decoder)) => (self.track_id, self.decoder) = (track_id, decoder),
            None => self.end(Some("it goes on with a stream of another kind".into())),
        }
        // The announced length was that of the first stream.
        self.announced = None;
    }

    fn end(&mut self, stopped: Option<String>) {
        self.ended = true;
        self.damage.stopped = stopped;
        if let Some(announced) = self.announced.filter(|_| !self.estimated) {
            let missing = announced.saturating_sub(self.position);
            // Lengths of compressed files count whole packets or are rounded; a few packets are no damage.
            if missing > 4608.max(announced / 100) || (missing > 0 && self.position == 0) {
                self.damage.missing_frames = missing;
            }
        }
    }
}

/// Length, rate and channels of a file, without decoding it. Where no header states the length (some mp3, bare aac), the
/// packets are counted.
///
/// # Errors
/// As [`AudioReader::open`].
pub fn probe(path: impl AsRef<Path>) -> Result<AudioInfo, AudioError> {
    let mut reader = AudioReader::open(path)?;
    let frames = match reader.announced {
        Some(frames) if !reader.estimated && (1..=reader.most_frames()).contains(&frames) => frames,
        _ => reader.count_frames(),
    };
    Ok(AudioInfo {
        frames,
        sample_rate: reader.sample_rate,
        channels: reader.channels,
    })
}

impl AudioReader {
    /// The most frames that a file of this size can hold. Only in wav files have frames a fixed size; there, a recorder
    /// that was cut off leaves any length in the header.
    fn most_frames(&self) -> u64 {
        match (self.first_packet, std::fs::metadata(&self.path)) {
            (Some((bytes, frames)), Ok(metadata)) => scale(metadata.len(), frames, bytes),
            _ => u64::MAX,
        }
    }

    /// Counts the frames of all packets, without decoding any but the first.
    fn count_frames(&mut self) -> u64 {
        let first = (self.block.len() / self.channels) as u64;
        let mut total = first;
        while let Ok(Some(packet)) = self.format.next_packet() {
            if packet.track_id == self.track_id {
                total = total.saturating_add(match self.first_packet {
                    // The last packet of a wav file may claim frames that are not there.
                    Some((bytes, frames)) => scale(packet.data.len() as u64, frames, bytes),
                    // All packets of mp3 and aac hold as many frames. (symphonia takes what lies beyond its estimate of
                    // the whole length from the packets' durations.)
                    None if self.estimated => first,
                    None => packet.dur.get(),
                });
            }
        }
        total
    }
}

/// `value · numerator / denominator`, rounded down.
fn scale(value: u64, numerator: u64, denominator: u64) -> u64 {
    (u128::from(value) * u128::from(numerator) / u128::from(denominator.max(1))) as u64
}

/// Reads a whole file of at most `max_samples` samples over all channels.
pub(super) fn read_whole(path: &Path, max_samples: usize) -> Result<Audio, AudioError> {
    let mut reader = AudioReader::open(path)?;
    let (sample_rate, channels) = (reader.sample_rate, reader.channels);
    let too_long = || AudioError::TooLong {
        path: path.into(),
        limit_seconds: max_samples as f64 / channels as f64 / f64::from(sample_rate),
        sample_rate,
        channels,
    };
    // In a wav file an announced length can be checked against the file's size, so it need not be read to know.
    let certain = |&frames: &u64| reader.first_packet.is_some() && frames <= reader.most_frames();
    let announced = reader.announced.filter(certain).unwrap_or(0);
    if announced.saturating_mul(channels as u64) > max_samples as u64 {
        return Err(too_long());
    }
    let mut samples = Vec::new();
    while let Some(block) = reader.next_block() {
        if samples.len() + block.len() > max_samples {
            return Err(too_long());
        }
        samples.extend_from_slice(block);
    }
    if !reader.damage.is_none() {
        eprintln!("warning: {}: {}", path.display(), reader.damage);
    }
    let frames = samples.len() / channels;
    let samples =
        Array2::from_shape_vec((frames, channels), samples).expect("blocks hold whole frames");
    Ok(Audio {
        samples,
        sample_rate,
    })
}

fn audio_params(track: &Track) -> Option<&AudioCodecParameters> {
    track.codec_params.as_ref()?.audio()
}

/// `trim`: cut what encoders add before and after the sound. With a length that is only estimated, symphonia would cut
/// the sound where the estimate ends.
fn make_decoder(
    params: &AudioCodecParameters,
    trim: bool,
) -> Result<Box<dyn AudioDecoder>, DecodeError> {
    let options = AudioDecoderOptions::default().gapless(trim);
    symphonia::default::get_codecs().make_audio_decoder(params, &options)
}

#[cfg(test)]
mod tests;

//! What can go wrong with sound files. Each message names the file and says what to do.

use std::path::PathBuf;

use thiserror::Error;

/// An error of [`crate::audio`].
#[derive(Debug, Error)]
pub enum AudioError {
    #[error("{path}: cannot be opened: {source}; check the name and the permissions")]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error("{path}: is not a file; give the path of one sound file")]
    NotAFile { path: PathBuf },

    #[error(
        "{path}: is empty (0 bytes); the download or copy may have failed, fetch the file again"
    )]
    Empty { path: PathBuf },

    #[error(
        "{path}: is not a sound file that can be read ({reason}); wav, flac, mp3, ogg (vorbis) and m4a (aac) can: \
         convert it, for example with `ffmpeg -i INPUT OUTPUT.wav`, or fetch it again if it should be one of these"
    )]
    Unreadable { path: PathBuf, reason: String },

    #[error("{path}: holds no sound ({reason}); fetch the file again or leave it out")]
    NoSound { path: PathBuf, reason: String },

    #[error(
        "{path}: is too long to be read whole (more than {limit_seconds:.0} s at {sample_rate} Hz in {channels} channels); \
         read a part of it with `audio::read_range`, or block by block with `audio::AudioReader`"
    )]
    TooLong {
        path: PathBuf,
        limit_seconds: f64,
        sample_rate: u32,
        channels: usize,
    },

    #[error(
        "cannot resample from {from} Hz to {to} Hz: {reason}; rates from 1 to 768000 Hz are possible"
    )]
    Resample { from: u32, to: u32, reason: String },

    #[error(
        "{path}: cannot be written: {source}; check that the folder exists, is writable and has room"
    )]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error("the sound does not fit into a wav file: {reason}")]
    Wav { reason: String },

    #[error("invalid spectrum setting: {field} is {value}, but {constraint}")]
    Stft {
        field: &'static str,
        value: usize,
        constraint: String,
    },

    #[error(
        "{frames} samples are too few for a spectrum with n_fft {n_fft}; at least {needed} are needed"
    )]
    TooShort {
        frames: usize,
        n_fft: usize,
        needed: usize,
    },

    #[error(
        "the two sounds differ in rate or length ({a_rate} Hz, {a_frames} frames and {b_rate} Hz, {b_frames} frames); \
         resample one, or cut the longer"
    )]
    Differ {
        a_rate: u32,
        a_frames: usize,
        b_rate: u32,
        b_frames: usize,
    },

    #[error(
        "the original is silent, so nothing can be compared with it; choose a stretch with sound"
    )]
    Silent,
}

//! A folder of songs as clips of equal length (SPEC §11).
//!
//! [`Dataset::open`] searches the folder, asks each file for its length, and sets some of it aside as a test set. Each of its two
//! [`ClipSet`]s then gives clips by number, read from just their part of the file: nothing is decoded twice or kept.
//! Which clips make up which batch is decided elsewhere; a clip depends on its number and shift alone.

mod files;
mod line;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array2, s};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use crate::audio::{Audio, AudioError, read_range_at};

pub use files::Skipped;
pub use line::{Place, SongLine};

/// An error of a [`Dataset`].
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A field of the configuration.
    #[error("data set option {field} is {value}, but {constraint}")]
    Config {
        field: &'static str,
        value: String,
        constraint: String,
    },
    /// The folder.
    #[error(
        "{folder}: cannot be searched: {source}; give an existing folder with sound files in it"
    )]
    Folder {
        folder: PathBuf,
        source: std::io::Error,
    },
    /// Nothing to learn from.
    #[error(
        "{folder}: no song to use: {found}; needed are wav, flac, mp3, ogg, m4a or aac files of at least {min_seconds} s"
    )]
    NoSongs {
        folder: PathBuf,
        found: String,
        min_seconds: f64,
    },
    /// A split that leaves one side without a clip.
    #[error(
        "{folder}: {songs} songs ({clips} clips) cannot be split into training and test; add songs or choose no split"
    )]
    Split {
        folder: PathBuf,
        songs: usize,
        clips: usize,
    },
    /// The file with the lengths of songs.
    #[error(
        "{path}: the lengths of songs cannot be written: {source}; choose another file for them, or none"
    )]
    Cache {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A song that could be opened before.
    #[error("clip {index} cannot be read: {source}")]
    Clip { index: usize, source: AudioError },
    /// A number beyond the end of the set.
    #[error("there is no clip {index} in a set of {count}")]
    NoClip { index: usize, count: usize },
}

/// What is set aside for testing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    /// Nothing: all songs are for training.
    None,
    /// The last part of all clips in file order (the reference's split, with a fraction of 0.1). The song at the border
    /// is on both sides.
    Contiguous { test_fraction: f64 },
    /// Whole songs, drawn by the seed until they make up the fraction: nothing of a test song is heard in training.
    BySong { test_fraction: f64, seed: u64 },
}

/// How a folder becomes clips.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetConfig {
    /// Folder that is searched, with all folders in it.
    pub folder: PathBuf,
    /// Rate that clips have, in Hz; files of other rates are resampled.
    pub sample_rate: u32,
    /// Length of a clip in samples.
    pub sample_length: usize,
    /// Shortest song used, in seconds; it must be longer than a clip. By default the next whole number of seconds.
    pub min_duration: Option<f64>,
    /// Songs of this length in seconds or more are not used.
    pub max_duration: Option<f64>,
    /// What is set aside for testing.
    pub split: Split,
    /// File in which the songs' lengths are kept, so that the next start need not open every song again. It should lie in
    /// the run's own folder; nothing is ever written beside the songs. `None` keeps nothing.
    pub cache: Option<PathBuf>,
}

impl DatasetConfig {
    /// All songs of a folder, for training.
    pub fn new(
        folder: impl Into<PathBuf>,
        sample_rate: u32,
        sample_length: usize,
    ) -> DatasetConfig {
        DatasetConfig {
            folder: folder.into(),
            sample_rate,
            sample_length,
            min_duration: None,
            max_duration: None,
            split: Split::None,
            cache: None,
        }
    }

    /// Length of a clip in seconds.
    pub fn clip_seconds(&self) -> f64 {
        self.sample_length as f64 / f64::from(self.sample_rate)
    }

    fn min_seconds(&self) -> f64 {
        self.min_duration
            .unwrap_or(self.clip_seconds().floor() + 1.0)
    }

    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field, its value and the constraint.
    pub fn validate(&self) -> Result<(), DatasetError> {
        let check = |field, value: &dyn ToString, valid: bool, constraint: &str| match valid {
            true => Ok(()),
            false => Err(DatasetError::Config {
                field,
                value: value.to_string(),
                constraint: constraint.into(),
            }),
        };
        check(
            "sample_rate",
            &self.sample_rate,
            (1..=768_000).contains(&self.sample_rate),
            "it must be from 1 to 768000 Hz",
        )?;
        check(
            "sample_length",
            &self.sample_length,
            self.sample_length >= 2,
            "it must be at least 2 samples",
        )?;
        let min = self.min_seconds();
        check(
            "min_duration",
            &min,
            min > self.clip_seconds(),
            "songs must be longer than a clip (sample_length / sample_rate)",
        )?;
        let max = self.max_duration.unwrap_or(f64::INFINITY);
        check(
            "max_duration",
            &max,
            max > min,
            "it must be more than min_duration",
        )?;
        match self.split {
            Split::None => Ok(()),
            Split::Contiguous { test_fraction } | Split::BySong { test_fraction, .. } => {
                let valid = test_fraction > 0.0 && test_fraction < 1.0;
                check(
                    "test_fraction",
                    &test_fraction,
                    valid,
                    "it must be between 0 and 1; choose no split to test nothing",
                )
            }
        }
    }
}

/// One song of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Song {
    /// The file.
    pub path: PathBuf,
    /// Length in samples at the data set's rate.
    pub samples: u64,
}

/// A folder of songs, divided into clips for training and clips for testing.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Clips to learn from.
    pub train: ClipSet,
    /// Clips set aside; none with [`Split::None`].
    pub test: ClipSet,
    /// Files that look like sound by their name but are not used, and why.
    pub skipped: Vec<Skipped>,
}

/// A numbered set of clips.
#[derive(Clone, Debug)]
pub struct ClipSet {
    songs: Arc<[Song]>,
    line: SongLine,
    /// The clips of the line that belong to this set.
    clips: Range<usize>,
    sample_rate: u32,
    sample_length: usize,
}

impl Dataset {
    /// Searches the folder and finds the lengths of its songs. Files that cannot be used are told in
    /// [`Dataset::skipped`], and do not stop it.
    ///
    /// # Errors
    /// An invalid configuration, a folder that cannot be searched, no song of the right length, a split that leaves a side
    /// empty, or a cache file that cannot be written.
    pub fn open(config: &DatasetConfig) -> Result<Dataset, DatasetError> {
        config.validate()?;
        let (songs, skipped) = files::find_songs(config)?;
        let clip_set = |songs: Vec<Song>| {
            let line = SongLine::new(songs.iter().map(|song| song.samples));
            let clips = 0..line.clips(config.sample_length);
            let (sample_rate, sample_length) = (config.sample_rate, config.sample_length);
            ClipSet {
                songs: songs.into(),
                line,
                clips,
                sample_rate,
                sample_length,
            }
        };
        let all = songs.len();
        let (train, test) = match config.split {
            Split::None => (clip_set(songs), clip_set(Vec::new())),
            Split::Contiguous { test_fraction } => {
                let (mut train, mut test) = (clip_set(songs.clone()), clip_set(songs));
                let border = ((1.0 - test_fraction) * train.count() as f64) as usize;
                (train.clips.end, test.clips.start) = (border, border);
                (train, test)
            }
            Split::BySong {
                test_fraction,
                seed,
            } => {
                let (train, test) = split_songs(songs, test_fraction, seed);
                (clip_set(train), clip_set(test))
            }
        };
        let split = config.split != Split::None;
        if train.count() == 0 || (split && test.count() == 0) {
            let clips = train.count() + test.count();
            return Err(DatasetError::Split {
                folder: config.folder.clone(),
                songs: all,
                clips,
            });
        }
        Ok(Dataset {
            train,
            test,
            skipped,
        })
    }
}

/// Draws test songs until they make up `fraction` of the whole length, at least one and not all; both sides in file order.
fn split_songs(songs: Vec<Song>, fraction: f64, seed: u64) -> (Vec<Song>, Vec<Song>) {
    let wanted = fraction * songs.iter().map(|song| song.samples as f64).sum::<f64>();
    let mut order: Vec<usize> = (0..songs.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let (mut drawn, mut is_test) = (0.0, vec![false; songs.len()]);
    for &song in order.iter().take(songs.len().saturating_sub(1)) {
        if drawn >= wanted {
            break;
        }
        drawn += songs[song].samples as f64;
        is_test[song] = true;
    }
    let mut is_test = is_test.into_iter();
    let (test, train) = songs
        .into_iter()
        .partition(|_| is_test.next().unwrap_or(false));
    (train, test)
}

impl ClipSet {
    /// Number of clips.
    pub fn count(&self) -> usize {
        self.clips.len()
    }

    /// The songs that the clips are taken from, in file order.
    pub fn songs(&self) -> &[Song] {
        &self.songs
    }

    /// Length of all songs together, in seconds.
    pub fn seconds(&self) -> f64 {
        self.songs
            .iter()
            .map(|song| song.samples as f64)
            .sum::<f64>()
            / f64::from(self.sample_rate)
    }

    /// File and first sample (at the set's rate) of clip `index` moved by `shift` samples.
    ///
    /// # Errors
    /// No such clip.
    pub fn place(&self, index: usize, shift: i64) -> Result<(&Path, u64), DatasetError> {
        let no_clip = DatasetError::NoClip {
            index,
            count: self.count(),
        };
        if index >= self.count() {
            return Err(no_clip);
        }
        let place = self
            .line
            .place(self.clips.start + index, self.sample_length, shift)
            .ok_or(no_clip)?;
        Ok((&self.songs[place.song].path, place.start))
    }

    /// Clip `index`, moved by `shift` samples as far as its song allows, `[time, channels]` with one or two channels
    /// (files with more are mixed to one). Where a file ends before its header said, the clip ends in silence.
    ///
    /// # Errors
    /// No such clip, or a file that cannot be read any more.
    pub fn clip(&self, index: usize, shift: i64) -> Result<Array2<f32>, DatasetError> {
        let (path, start) = self.place(index, shift)?;
        let audio = read_range_at(path, self.sample_rate, start, self.sample_length)
            .map_err(|source| DatasetError::Clip { index, source })?;
        if audio.frames() < self.sample_length {
            let missing = self.sample_length - audio.frames();
            tracing::warn!(
                "{}: ends {missing} samples before the end of the clip at {start}",
                path.display()
            );
        }
        Ok(pad(
            if audio.channels() > 2 {
                audio.mono()
            } else {
                audio
            },
            self.sample_length,
        ))
    }
}

/// Silence after the end, up to `frames` frames.
fn pad(audio: Audio, frames: usize) -> Array2<f32> {
    if audio.frames() == frames {
        return audio.samples;
    }
    let mut samples = Array2::zeros((frames, audio.channels()));
    samples
        .slice_mut(s![..audio.frames(), ..])
        .assign(&audio.samples);
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::WavFormat;

    const RATE: u32 = 8000;
    const CLIP: usize = 1000;

    /// A song whose sample `t` tells the song and `t`.
    fn song(number: usize, frames: usize, channels: usize, rate: u32) -> Audio {
        let sample =
            |(t, c): (usize, usize)| (number * 20_000 + t) as f32 / 131_072.0 - c as f32 / 4.0;
        Audio {
            samples: Array2::from_shape_fn((frames, channels), sample),
            sample_rate: rate,
        }
    }

    /// Five songs in nested folders, of different lengths and channels, and files that are no songs.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let songs = [
            ("b/one.wav", 9000, 1),
            ("a/two.WAV", 12_345, 2),
            ("a/x/three.wav", 8100, 6),
            ("four.wav", 19_999, 2),
            ("five.wav", 8001, 1),
        ];
        for (number, (name, frames, channels)) in songs.into_iter().enumerate() {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            song(number, frames, channels, RATE)
                .write_wav(path, WavFormat::Float32)
                .unwrap();
        }
        song(9, 7999, 1, RATE)
            .write_wav(folder.path().join("short.wav"), WavFormat::Pcm16)
            .unwrap();
        std::fs::write(folder.path().join("broken.mp3"), "this is no mp3 file").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "not sound").unwrap();
        std::fs::write(folder.path().join(".hidden.wav"), "not looked at").unwrap();
        folder
    }

    fn config(folder: &tempfile::TempDir) -> DatasetConfig {
        DatasetConfig::new(folder.path(), RATE, CLIP)
    }

    #[test]
    fn songs_are_found_in_order_and_others_are_told() {
        let folder = folder();
        let set = Dataset::open(&config(&folder)).unwrap();
        let names: Vec<_> = set
            .train
            .songs()
            .iter()
            .map(|song| {
                song.path
                    .strip_prefix(folder.path())
                    .unwrap()
                    .to_str()
                    .unwrap()
            })
            .collect();
        assert_eq!(
            names,
            [
                "a/two.WAV",
                "a/x/three.wav",
                "b/one.wav",
                "five.wav",
                "four.wav"
            ]
        );
        assert_eq!(set.train.songs()[1].samples, 8100);
        assert_eq!(
            (set.train.count(), set.test.count()),
            ((12_345 + 8100 + 9000 + 8001 + 19_999) / 1000, 0)
        );
        let skipped: Vec<_> = set
            .skipped
            .iter()
            .map(|skipped| skipped.path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(skipped, ["broken.mp3", "short.wav"]);
        assert!(
            set.skipped[1]
                .reason
                .contains("1.00 s long, shorter than 1 s"),
            "{}",
            set.skipped[1].reason
        );
    }

    #[test]
    fn a_clip_is_that_part_of_its_song() {
        let folder = folder();
        let set = Dataset::open(&config(&folder)).unwrap().train;
        for (index, shift) in [
            (0, 0),
            (0, 499),
            (3, -500),
            (12, 0),
            (12, 499),
            (20, 17),
            (set.count() - 1, -3),
        ] {
            let clip = set.clip(index, shift).unwrap();
            let (path, start) = set.place(index, shift).unwrap();
            let whole = Audio::read(path).unwrap();
            let whole = if whole.channels() > 2 {
                whole.mono()
            } else {
                whole
            };
            assert_eq!(
                clip,
                whole
                    .samples
                    .slice(s![start as usize..start as usize + CLIP, ..]),
                "clip {index} shifted by {shift}"
            );
        }
        assert!(matches!(
            set.clip(set.count(), 0),
            Err(DatasetError::NoClip { .. })
        ));
    }

    #[test]
    fn a_contiguous_split_cuts_the_clips_at_the_fraction() {
        let folder = folder();
        let whole = Dataset::open(&config(&folder)).unwrap().train;
        let split = Dataset::open(&DatasetConfig {
            split: Split::Contiguous { test_fraction: 0.1 },
            ..config(&folder)
        })
        .unwrap();
        assert_eq!(whole.count(), 57);
        assert_eq!((split.train.count(), split.test.count()), (51, 6)); // int(0.9 · 57) = 51
        for index in 0..whole.count() {
            let (set, inside) = if index < 51 {
                (&split.train, index)
            } else {
                (&split.test, index - 51)
            };
            assert_eq!(
                set.place(inside, 5).unwrap(),
                whole.place(index, 5).unwrap()
            );
        }
    }

    #[test]
    fn a_split_by_song_shares_no_song() {
        let folder = folder();
        let split = |seed| {
            let split = Split::BySong {
                test_fraction: 0.3,
                seed,
            };
            Dataset::open(&DatasetConfig {
                split,
                ..config(&folder)
            })
            .unwrap()
        };
        let mut draws = std::collections::HashSet::new();
        for seed in 0..20 {
            let set = split(seed);
            assert!(
                set.test
                    .songs()
                    .iter()
                    .all(|song| !set.train.songs().contains(song))
            );
            assert_eq!(set.test.songs().len() + set.train.songs().len(), 5);
            assert!(set.test.seconds() >= 0.3 * (set.test.seconds() + set.train.seconds()));
            assert!(set.train.count() > 0 && set.test.count() > 0);
            assert_eq!(set.test.songs(), split(seed).test.songs());
            draws.insert(
                set.test
                    .songs()
                    .to_vec()
                    .into_iter()
                    .map(|song| song.path)
                    .collect::<Vec<_>>(),
            );
        }
        assert!(draws.len() > 3, "the seed decides");
    }

    #[test]
    fn lengths_are_kept_only_where_told_and_only_while_files_stay() {
        let (folder, run) = (folder(), tempfile::tempdir().unwrap());
        let count = |path: &Path| walkdir::WalkDir::new(path).into_iter().count();
        let before = count(folder.path());
        let cache = run.path().join("new/lengths.json");
        let config = DatasetConfig {
            cache: Some(cache.clone()),
            ..config(&folder)
        };
        let first = Dataset::open(&config).unwrap();
        assert_eq!(
            count(folder.path()),
            before,
            "nothing is written beside the songs"
        );

        // What the cache says is believed …
        let text = std::fs::read_to_string(&cache).unwrap();
        std::fs::write(&cache, text.replace("12345", "10345")).unwrap();
        assert_eq!(
            Dataset::open(&config).unwrap().train.songs()[0].samples,
            10_345
        );
        // … until the file changes.
        song(0, 11_111, 2, RATE)
            .write_wav(folder.path().join("a/two.WAV"), WavFormat::Float32)
            .unwrap();
        assert_eq!(
            Dataset::open(&config).unwrap().train.songs()[0].samples,
            11_111
        );
        std::fs::write(&cache, "damaged").unwrap();
        assert_eq!(
            Dataset::open(&config).unwrap().train.songs()[1..],
            first.train.songs()[1..]
        );
    }

    #[test]
    fn songs_of_other_rates_are_resampled_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let tone = |t: usize| {
            (t as f32 * 300.0 * std::f32::consts::TAU / 11_025.0).sin() * (t as f32 / 2e5)
        };
        Audio::from_mono((0..60_000).map(tone).collect(), 11_025)
            .write_wav(folder.path().join("a.wav"), WavFormat::Float32)
            .unwrap();
        let set = Dataset::open(&config(&folder)).unwrap().train;
        assert_eq!(set.songs()[0].samples, 60_000 * 8000 / 11_025);
        let whole = Audio::read(folder.path().join("a.wav"))
            .unwrap()
            .resample(RATE)
            .unwrap();
        for index in [0, 1, 20, set.count() - 1] {
            let clip = set.clip(index, 250).unwrap();
            let start = set.place(index, 250).unwrap().1 as usize;
            let error = (&clip - &whole.samples.slice(s![start..start + CLIP, ..])).mapv(f32::abs);
            // Single precision transforms of other blocks: rounding only.
            assert!(
                error.iter().all(|&error| error < 1e-6),
                "clip {index}: {}",
                error.fold(0.0f32, |a, &b| a.max(b))
            );
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let message = |config: DatasetConfig| Dataset::open(&config).unwrap_err().to_string();
        assert!(message(config(&folder)).contains("holds no sound files"));
        std::fs::write(folder.path().join("a.opus"), "x").unwrap();
        assert!(message(config(&folder)).contains("none of its 1 sound files can be used"));
        assert!(
            message(DatasetConfig::new("/no/such/folder", RATE, CLIP))
                .contains("cannot be searched")
        );
        assert!(
            message(DatasetConfig {
                min_duration: Some(0.1),
                ..config(&folder)
            })
            .contains("min_duration is 0.1")
        );
        assert!(
            message(DatasetConfig {
                split: Split::Contiguous { test_fraction: 1.0 },
                ..config(&folder)
            })
            .contains("test_fraction is 1")
        );
        song(0, 9000, 1, RATE)
            .write_wav(folder.path().join("b.wav"), WavFormat::Pcm16)
            .unwrap();
        let split = Split::BySong {
            test_fraction: 0.5,
            seed: 0,
        };
        assert!(
            message(DatasetConfig {
                split,
                ..config(&folder)
            })
            .contains("cannot be split")
        );
    }
}

//! Finding the songs of a folder and their lengths.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::{DatasetConfig, DatasetError, Song};
use crate::audio::{AudioInfo, probe};

/// Names that end so are taken for sound.
const EXTENSIONS: [&str; 8] = ["aac", "flac", "m4a", "mp3", "oga", "ogg", "opus", "wav"];

/// A file that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

/// What was learnt of one file, and by what to see that it has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    modified_ns: u64,
    frames: u64,
    sample_rate: u32,
}

/// Lengths of songs by path.
type Lengths = BTreeMap<String, Entry>;

/// The songs of the folder in the order of their paths, and the files that are left out.
pub(super) fn find_songs(
    config: &DatasetConfig,
) -> Result<(Vec<Song>, Vec<Skipped>), DatasetError> {
    let (paths, mut skipped) = find_files(&config.folder)?;
    let known = config.cache.as_deref().map(read_cache).unwrap_or_default();
    let mut lengths = Lengths::new();
    let mut songs = Vec::new();
    let min_seconds = config.min_seconds();
    let max_seconds = config.max_duration.unwrap_or(f64::INFINITY);
    let files = paths.len() + skipped.len();
    for path in paths {
        match length_of(&path, &known) {
            Ok(entry) => {
                let seconds = entry.frames as f64 / f64::from(entry.sample_rate);
                if let Some(name) = path.to_str() {
                    lengths.insert(name.into(), entry);
                }
                if seconds < min_seconds {
                    skipped.push(Skipped {
                        path,
                        reason: format!("{seconds:.2} s long, shorter than {min_seconds} s"),
                    });
                } else if seconds >= max_seconds {
                    skipped.push(Skipped {
                        path,
                        reason: format!("{seconds:.2} s long, not shorter than {max_seconds} s"),
                    });
                } else {
                    let samples = (u128::from(entry.frames) * u128::from(config.sample_rate)
                        / u128::from(entry.sample_rate)) as u64;
                    songs.push(Song { path, samples });
                }
            }
            Err(reason) => skipped.push(Skipped { path, reason }),
        }
    }
    if let Some(cache) = config.cache.as_deref().filter(|_| lengths != known) {
        write_cache(cache, &lengths).map_err(|source| DatasetError::Cache {
            path: cache.into(),
            source,
        })?;
    }
    if songs.is_empty() {
        let found = match skipped.first() {
            None => "it holds no sound files".into(),
            Some(first) => format!(
                "none of its {files} sound files can be used (the first: {}: {})",
                first.path.display(),
                first.reason
            ),
        };
        return Err(DatasetError::NoSongs {
            folder: config.folder.clone(),
            found,
            min_seconds,
        });
    }
    Ok((songs, skipped))
}

/// All files named like sound below `folder`, in the order of their paths, and the places that cannot be searched. Hidden
/// files and folders are passed over.
fn find_files(folder: &Path) -> Result<(Vec<PathBuf>, Vec<Skipped>), DatasetError> {
    std::fs::read_dir(folder).map_err(|source| DatasetError::Folder {
        folder: folder.into(),
        source,
    })?;
    let (mut paths, mut skipped) = (Vec::new(), Vec::new());
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    for entry in WalkDir::new(folder)
        .follow_links(true)
        .into_iter()
        .filter_entry(visible)
    {
        match entry {
            Ok(entry) if entry.file_type().is_file() && is_sound(entry.path()) => {
                paths.push(entry.into_path())
            }
            Ok(_) => {}
            Err(error) => {
                let path = error.path().unwrap_or(folder).into();
                skipped.push(Skipped {
                    path,
                    reason: error.to_string(),
                });
            }
        }
    }
    paths.sort();
    Ok((paths, skipped))
}

fn is_sound(path: &Path) -> bool {
    let extension = path
        .extension()
        .and_then(OsStr::to_str)
        .map(str::to_ascii_lowercase);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// The length of a file, from `known` where the file has not changed since.
fn length_of(path: &Path, known: &Lengths) -> Result<Entry, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let (bytes, modified_ns) = (
        metadata.len(),
        modified.map_or(0, |time| time.as_nanos() as u64),
    );
    let entry = path.to_str().and_then(|name| known.get(name));
    if let Some(entry) = entry.filter(|entry| {
        (entry.bytes, entry.modified_ns) == (bytes, modified_ns) && entry.sample_rate > 0
    }) {
        return Ok(*entry);
    }
    let AudioInfo {
        frames,
        sample_rate,
        ..
    } = probe(path).map_err(|error| error.to_string())?;
    Ok(Entry {
        bytes,
        modified_ns,
        frames,
        sample_rate,
    })
}

/// A cache that is missing or damaged is no loss: the files are asked again.
fn read_cache(path: &Path) -> Lengths {
    std::fs::read(path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

fn write_cache(path: &Path, lengths: &Lengths) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, lengths)?;
    file.persist(path)?;
    Ok(())
}

//! Where Jukebox keeps what it installs for a user.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::CliError;

/// The user's Jukebox folder: `$JUKEBOX_HOME`, else `$XDG_DATA_HOME/jukebox-kernel`, else `~/.local/share/jukebox-kernel`.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Home {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Finds the folder's path; creates nothing.
    pub fn find() -> Result<Self, CliError> {
        let variable = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let path = variable("JUKEBOX_HOME")
            .or_else(|| data_home().map(|data| data.join("jukebox-kernel")))
            .ok_or(CliError::NoHome)?;
        // Kernel specs and cells outlive the current directory, so a relative JUKEBOX_HOME is resolved once, here.
        let path = std::path::absolute(&path).map_err(CliError::file("cannot resolve", &path))?;
        Ok(Self::new(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the folder and returns it.
    pub fn create(&self) -> Result<&Path, CliError> {
        fs::create_dir_all(&self.0).map_err(CliError::file("cannot create", &self.0))?;
        Ok(&self.0)
    }
}

/// `$XDG_DATA_HOME`, else `~/.local/share`.
pub fn data_home() -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
}

/// Writes a file under a temporary name beside it, then renames it, so that nobody ever sees half of it.
pub fn write_atomically(path: &Path, contents: &[u8]) -> Result<(), CliError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(CliError::file("cannot create", folder))?;
    let mut file = tempfile::Builder::new()
        .prefix(".jukebox-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(CliError::file("cannot write in", folder))?;
    file.write_all(contents)
        .map_err(CliError::file("cannot write", path))?;
    file.persist(path)
        .map_err(|error| CliError::file("cannot write", path)(error.error))?;
    Ok(())
}

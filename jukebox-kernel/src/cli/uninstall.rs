//! `uninstall`: takes away what `install`, `lab` and `run` put on the machine, and says what that was.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::error::CliError;
use super::home::Home;
use super::kernelspec;

/// Remove what `install` put on this machine
///
/// Removes the private Python environment with all else in Jukebox's own folder, and the kernel from your own Jupyter.
/// Your notebooks stay.
#[derive(clap::Args, Debug)]
pub struct Options {}

pub fn uninstall(_: &Options) -> Result<()> {
    let mut removed = Vec::new();
    removed.extend(kernelspec::uninstall(&kernelspec::user_kernels()?)?);
    removed.extend(remove_home(&Home::find()?)?);
    if removed.is_empty() {
        println!("Nothing of Jukebox is installed.");
    }
    for path in removed {
        println!("removed {}", path.display());
    }
    Ok(())
}

/// Removes only what is known to be ours, then the folder itself if nothing else is in it: JUKEBOX_HOME may be any folder.
fn remove_home(home: &Home) -> Result<Vec<PathBuf>, CliError> {
    let Ok(entries) = fs::read_dir(home.path()) else {
        return Ok(Vec::new());
    };
    let mut removed = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with("python-") || name.starts_with("prelude")) {
            continue;
        }
        let path = entry.path();
        let result = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        result.map_err(CliError::file("cannot remove", &path))?;
        removed.push(path);
    }
    if fs::remove_dir(home.path()).is_ok() {
        removed = vec![home.path().to_owned()];
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_goes() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"));
        fs::create_dir_all(home.path().join("python-abc/bin")).unwrap();
        fs::write(home.path().join("python-setup.log"), "").unwrap();
        fs::write(home.path().join("song.wav"), "").unwrap();
        assert_eq!(remove_home(&home).unwrap().len(), 2);
        assert!(home.path().join("song.wav").is_file());

        fs::remove_file(home.path().join("song.wav")).unwrap();
        fs::create_dir_all(home.path().join("python-abc")).unwrap();
        assert_eq!(remove_home(&home).unwrap(), [home.path().to_owned()]);
        assert!(remove_home(&home).unwrap().is_empty());
    }
}

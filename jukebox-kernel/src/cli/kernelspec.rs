//! The kernel spec "Jukebox (Rust)": the small folder by which Jupyter finds and starts the kernel.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::error::CliError;
use super::home::{Home, data_home, write_atomically};

/// The name that notebooks record in their metadata.
pub const NAME: &str = "jukebox";
pub const DISPLAY_NAME: &str = "Jukebox (Rust)";

const LOGO: &str = include_str!("logo.svg");

/// Writes the spec of this very program into a folder of kernels; returns the spec's own folder.
pub fn install(kernels: &Path, home: &Home) -> Result<PathBuf, CliError> {
    let folder = kernels.join(NAME);
    write_atomically(&folder.join("logo-svg.svg"), LOGO.as_bytes())?;
    write_atomically(
        &folder.join("kernel.json"),
        format!("{:#}\n", contents(&this_program()?, home)).as_bytes(),
    )?;
    Ok(folder)
}

/// Removes the spec from a folder of kernels, if one of ours is there; returns what was removed.
pub fn uninstall(kernels: &Path) -> Result<Option<PathBuf>, CliError> {
    let folder = kernels.join(NAME);
    if program_of(kernels).is_none() {
        return Ok(None);
    }
    fs::remove_dir_all(&folder).map_err(CliError::file("cannot remove", &folder))?;
    Ok(Some(folder))
}

/// The program that the installed spec starts, if a spec of ours is there.
pub fn program_of(kernels: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(kernels.join(NAME).join("kernel.json")).ok()?;
    let spec: Value = serde_json::from_str(&text).ok()?;
    (spec["display_name"] == DISPLAY_NAME).then_some(())?;
    Some(PathBuf::from(spec["argv"][0].as_str()?))
}

/// Where the user's own Jupyter, outside the private environment, looks for kernels.
pub fn user_kernels() -> Result<PathBuf, CliError> {
    let data = match env::var_os("JUPYTER_DATA_DIR").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None if cfg!(target_os = "macos") => {
            PathBuf::from(env::var_os("HOME").ok_or(CliError::NoHome)?).join("Library/Jupyter")
        }
        None => data_home().ok_or(CliError::NoHome)?.join("jupyter"),
    };
    Ok(data.join("kernels"))
}

/// The path of the running program, which the spec starts as the kernel.
pub fn this_program() -> Result<PathBuf, CliError> {
    env::current_exe().map_err(CliError::file("cannot find the path of", "this program"))
}

/// What `kernel.json` says. Jupyter puts the path of a connection file in place of `{connection_file}`; an interrupt comes as
/// a message on the control channel, not as a signal to the process.
fn contents(program: &Path, home: &Home) -> Value {
    json!({
        "argv": [program, "kernel", "-f", "{connection_file}"],
        "display_name": DISPLAY_NAME,
        "language": "rust",
        "interrupt_mode": "message",
        "env": { "JUKEBOX_HOME": home.path() },
        "metadata": { "debugger": false },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_spec_starts_this_program_and_goes_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"));
        let installed = install(folder.path(), &home).unwrap();
        assert_eq!(program_of(folder.path()), Some(env::current_exe().unwrap()));
        assert_eq!(uninstall(folder.path()).unwrap(), Some(installed.clone()));
        assert!(!installed.exists());
        assert_eq!(uninstall(folder.path()).unwrap(), None);
    }

    #[test]
    fn another_kernel_of_the_same_name_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join(NAME).join("kernel.json");
        write_atomically(
            &spec,
            br#"{"argv": ["theirs"], "display_name": "Juke", "language": "perl"}"#,
        )
        .unwrap();
        assert_eq!(uninstall(folder.path()).unwrap(), None);
        assert!(spec.is_file());
    }

    #[test]
    fn the_spec_passes_the_connection_file() {
        let spec = contents(
            Path::new("/opt/jukebox-kernel"),
            &Home::new("/home/me/jukebox"),
        );
        assert_eq!(
            spec["argv"],
            json!(["/opt/jukebox-kernel", "kernel", "-f", "{connection_file}"])
        );
        assert_eq!(spec["env"]["JUKEBOX_HOME"], "/home/me/jukebox");
    }
}

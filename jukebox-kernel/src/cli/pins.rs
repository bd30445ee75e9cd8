//! `environment.yml`, the one list of Python versions, read for pip.
//!
//! Conda and mamba read the file as it is. This reads the small part of their format that the file uses: a list of
//! `name=version` for packages, and `python>=3.minor` for Python.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::error::CliError;

/// The file as it was when this program was built.
const ENVIRONMENT: &str = include_str!("../../../environment.yml");

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    /// Python 3.`minor` is the oldest that will do.
    pub python_minor: u32,
    /// Every package with its exact version, in the file's order.
    pub packages: Vec<Pin>,
    /// A short hash of the whole list: another list gets another environment.
    pub key: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub name: String,
    pub version: String,
}

impl Pins {
    /// The list that this program was built with.
    pub fn bundled() -> Result<Self, CliError> {
        Self::parse(ENVIRONMENT)
    }

    /// Reads the text of an `environment.yml`.
    ///
    /// # Errors
    /// `CliError::Pins` names the entry that is not `name=version` (or `python>=3.minor`).
    pub fn parse(text: &str) -> Result<Self, CliError> {
        #[derive(Deserialize)]
        struct File {
            dependencies: Vec<String>,
        }
        let file: File =
            serde_yaml_ng::from_str(text).map_err(|error| CliError::Pins(error.to_string()))?;

        let mut python_minor = None;
        let mut packages = Vec::new();
        for entry in &file.dependencies {
            if let Some(version) = entry.strip_prefix("python>=") {
                let minor = version
                    .strip_prefix("3.")
                    .and_then(|minor| minor.parse().ok());
                python_minor = Some(minor.ok_or_else(|| unreadable(entry, "python>=3.11"))?);
            } else {
                packages.push(Pin::parse(entry)?);
            }
        }
        let python_minor = python_minor
            .ok_or_else(|| CliError::Pins("no `python>=3.…` among the dependencies".into()))?;

        let digest = Sha256::digest(format!("{python_minor} {packages:?}"));
        let key = digest
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            python_minor,
            packages,
            key,
        })
    }

    /// The pinned version of a package.
    pub fn version(&self, name: &str) -> Option<&str> {
        let pin = self.packages.iter().find(|pin| pin.name == name)?;
        Some(&pin.version)
    }
}

impl Pin {
    fn parse(entry: &str) -> Result<Self, CliError> {
        let plain = |part: &str| {
            !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "=<>!~*,".contains(c))
        };
        match entry.split_once('=') {
            Some((name, version)) if plain(name) && plain(version) => Ok(Self {
                name: name.into(),
                version: version.into(),
            }),
            _ => Err(unreadable(entry, "jupyterlab=4.6.6")),
        }
    }

    /// The requirement as pip writes it.
    pub fn requirement(&self) -> String {
        format!("{}=={}", self.name, self.version)
    }
}

fn unreadable(entry: &str, example: &str) -> CliError {
    CliError::Pins(format!(
        "cannot read the dependency `{entry}`; write it like `{example}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_list_pins_what_lab_and_run_need() {
        let pins = Pins::bundled().unwrap();
        assert!(pins.python_minor >= 11);
        for name in [
            "jupyterlab",
            "jupyter_client",
            "nbclient",
            "nbconvert",
            "nbformat",
        ] {
            let version = pins
                .version(name)
                .unwrap_or_else(|| panic!("{name} is not pinned"));
            assert!(
                version.starts_with(|c: char| c.is_ascii_digit()),
                "{name}={version}"
            );
        }
    }

    #[test]
    fn reads_pins_and_the_lowest_python() {
        let pins = Pins::parse(
            "name: x\nchannels: [conda-forge]\ndependencies:\n - python>=3.12\n - a_b=1.2.0\n",
        )
        .unwrap();
        assert_eq!(pins.python_minor, 12);
        assert_eq!(
            pins.packages,
            [Pin {
                name: "a_b".into(),
                version: "1.2.0".into()
            }]
        );
        assert_eq!(pins.packages[0].requirement(), "a_b==1.2.0");
    }

    #[test]
    fn another_version_is_another_key_but_a_comment_is_not() {
        let key = |text| Pins::parse(text).unwrap().key;
        let one = key("dependencies: [python>=3.11, a=1]");
        assert_ne!(one, key("dependencies: [python>=3.11, a=2]"));
        assert_ne!(one, key("dependencies: [python>=3.12, a=1]"));
        assert_eq!(one, key("# words\ndependencies: [python>=3.11, a=1]"));
    }

    #[test]
    fn names_the_entry_it_cannot_read() {
        for entry in [
            "jupyterlab",
            "jupyterlab>=4",
            "jupyterlab=4.*",
            "jupyterlab==4",
            "=4",
        ] {
            let text = format!("dependencies:\n - python>=3.11\n - '{entry}'\n");
            assert!(
                Pins::parse(&text).unwrap_err().to_string().contains(entry),
                "{entry}"
            );
        }
        assert!(
            Pins::parse("dependencies: [a=1]")
                .unwrap_err()
                .to_string()
                .contains("python")
        );
        assert!(Pins::parse("dependencies: {").is_err());
        assert!(Pins::parse("dependencies: [python>=4]").is_err());
    }
}

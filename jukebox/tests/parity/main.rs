//! Parity with recorded runs of the published implementation.
//!
//! A fixture is a folder: `config.json` describes a model, `model.safetensors` holds its weights and `io.safetensors`
//! what went in and came out. This test walks all fixtures that it finds, builds what each describes and checks every
//! tensor that it holds. A tensor that the test does not know fails it; a fixture of a kind that we do not build yet is
//! listed as ignored.
//!
//! Fixtures are looked for in `tests/fixtures`, where a small set is committed, and in `$JUKEBOX_FIXTURES` or, if that
//! is not set, `../shared/fixtures`, seen from the root of the workspace.

mod bottleneck;
mod checkpoint;
mod fixture;
mod training;
mod vqvae;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fixture::{Failure, Fixture};
use libtest_mimic::{Arguments, Trial};

/// How to check a fixture.
type Check = fn(&mut Fixture) -> Result<(), Failure>;

/// Which check is for which fixtures, by the first prefix that matches.
const CHECKS: [(&str, Check); 5] = [
    ("vqvae_train", training::check_training),
    ("vqvae_restore_k", training::check_restored),
    ("vqvae_", vqvae::check),
    ("bottleneck_", bottleneck::check),
    ("legacy_format", checkpoint::check_containers),
];

fn main() {
    let trials = fixtures().into_iter().map(|(name, folder)| {
        match CHECKS.iter().find(|(prefix, _)| name.starts_with(prefix)) {
            Some((_, check)) => Trial::test(name, move || run(&folder, *check)),
            None => {
                Trial::test(format!("{name} (not covered yet)"), || Ok(())).with_ignored_flag(true)
            }
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn run(folder: &Path, check: Check) -> Result<(), libtest_mimic::Failed> {
    let mut fixture = Fixture::open(folder)?;
    check(&mut fixture)?;
    println!("{}", fixture.finish()?);
    Ok(())
}

/// All fixtures by name. Where both folders have one, the larger collection's is taken.
fn fixtures() -> BTreeMap<String, PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let collection = match std::env::var_os("JUKEBOX_FIXTURES") {
        Some(folder) => {
            let folder = PathBuf::from(folder);
            assert!(
                folder.is_dir(),
                "JUKEBOX_FIXTURES={} is not a folder",
                folder.display()
            );
            folder
        }
        None => workspace.join("../shared/fixtures"),
    };
    let mut found = BTreeMap::new();
    for folder in [workspace.join("tests/fixtures"), collection] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let marks =
                ["config.json", &format!("{name}.json")].map(|mark| entry.path().join(mark));
            if marks.iter().any(|mark| mark.is_file()) {
                found.insert(name, entry.path());
            }
        }
    }
    assert!(
        !found.is_empty(),
        "no fixtures found, not even the committed ones in tests/fixtures"
    );
    found
}

//! Every member of the workspace, built alone, must ask for the same dependency features as the whole workspace.
//!
//! Otherwise `cargo run -p jukebox-kernel`, the prelude's build and `cargo test --workspace` each compile their own copy
//! of Burn or rust-analyzer: many minutes on a small machine. `.cargo/one-build/Cargo.toml` lists what keeps them equal.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Dependency "name version" → the feature sets it is built with (one for the target, perhaps one for the host).
type Features = BTreeMap<String, BTreeSet<String>>;

/// What cargo would build for `packages`, given as its own arguments (`--workspace` or `-p NAME`).
fn features(packages: &[&str]) -> Features {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}|{f}",
        ])
        .args(packages)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo tree failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut found = Features::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((package, features)) = line.split_once('|') else {
            continue;
        };
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            continue;
        };
        let is_local = package.contains("(/");
        if !is_local {
            let features = features.trim_end_matches(" (*)").to_owned();
            found
                .entry(format!("{name} {version}"))
                .or_default()
                .insert(features);
        }
    }
    found
}

#[test]
fn members_share_one_build_of_each_dependency() {
    let whole = features(&["--workspace"]);
    assert!(
        whole.len() > 100,
        "cargo tree's output was not understood: {whole:?}"
    );
    let mut missing = Vec::new();
    for member in [
        "jukebox",
        "jukebox-display",
        "jukebox-prelude",
        "jukebox-kernel",
        "jukebox-examples",
        "jukebox-tests",
    ] {
        for (dependency, alone) in features(&["-p", member]) {
            let shared = &whole[&dependency];
            if !alone.is_subset(shared) {
                missing.push(format!("{member} alone builds {dependency} with {alone:?}, the workspace with {shared:?}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "add the features that differ to .cargo/one-build/Cargo.toml:\n{}",
        missing.join("\n")
    );
}

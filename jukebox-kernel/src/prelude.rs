//! The prelude: one shared library with everything that a notebook cell links.
//!
//! Cells are compiled against it by plain `rustc`, so it is built once and only looked up when a kernel starts. A shared library,
//! because a `static` inside Burn (device registry, memory pools) must exist once for all cells of a session, and because linking a
//! cell to it takes a tenth of a second where linking Burn into it would take many.
//!
//! Cargo compiles the crate `jukebox-prelude` and all it needs, in the workspace's release profile. [`ensure_built`] then links them
//! into one library with Rust's standard library outside it (`-C prefer-dynamic`, which cargo does not pass for a workspace member),
//! and puts it into a folder of its own, together with hard links to the metadata that `rustc` reads to compile a cell: a later
//! `cargo build` does not disturb the kernels that are running. A small record, `jukebox-prelude.json`, says where all this is;
//! [`find`] reads it.

use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// Names the record when the kernel binary does not lie in cargo's target directory.
pub const RECORD_VARIABLE: &str = "JUKEBOX_PRELUDE";
const RECORD_NAME: &str = "jukebox-prelude.json";
const CRATE: &str = "jukebox-prelude";
/// The prelude's name in a cell's code.
pub const CRATE_NAME: &str = "jukebox_prelude";

/// Where the prelude and the tools that compile against it are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreludePaths {
    /// The shared library that a cell links.
    pub dylib: PathBuf,
    /// Folder with the metadata of all crates that the prelude was built from (`rustc -L dependency=…`).
    pub dependencies: PathBuf,
    /// The compiler that built the prelude: only this one can compile a cell against it.
    pub rustc: PathBuf,
    /// The cargo that belongs to `rustc`; used when a cell adds a dependency.
    pub cargo: PathBuf,
    /// The compiler's library folder, with Rust's standard library as a shared library.
    pub rust_libraries: PathBuf,
}

/// A step of the build, for whoever shows progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildStep {
    /// Crates done so far.
    pub done: usize,
    /// Crates in all; an estimate, never less than `done`.
    pub total: usize,
    /// The crate that was just done.
    pub name: String,
    /// Whether it had to be compiled (`false`: it was up to date).
    pub compiled: bool,
}

/// What can go wrong with the prelude.
#[derive(Debug, thiserror::Error)]
pub enum PreludeError {
    /// No record where one was looked for.
    #[error("the notebook prelude is not built (looked for {}); run `jukebox-kernel install`", .looked.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "))]
    NotBuilt { looked: Vec<PathBuf> },
    /// The record names a file that is gone.
    #[error(
        "the notebook prelude {missing} is gone; run `jukebox-kernel install` to build it again"
    )]
    Gone { missing: PathBuf },
    /// The record cannot be read or written.
    #[error(
        "cannot use the prelude's record {path}: {source}; run `jukebox-kernel install` to write it again"
    )]
    Record {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A tool of the Rust toolchain does not start.
    #[error("cannot run `{tool}`: {source}; is Rust installed (https://rustup.rs) and on PATH?")]
    Tool {
        tool: String,
        #[source]
        source: std::io::Error,
    },
    /// The tool answered something unusable.
    #[error("`{tool}` did not answer as expected: {answer}")]
    Answer { tool: String, answer: String },
    /// cargo could not build the prelude.
    #[error("cargo could not build the notebook prelude:\n{output}")]
    Build { output: String },
}

/// Builds the prelude if it is not up to date, tells `progress` of each crate, and records where everything is.
///
/// From an empty cache this compiles Burn and takes some minutes; when all is built, about a second.
///
/// # Errors
/// Where cargo or rustc are missing or the build fails.
pub fn ensure_built(mut progress: impl FnMut(BuildStep)) -> Result<PreludePaths, PreludeError> {
    let workspace = workspace();
    let total = count_crates(&workspace).unwrap_or(0);
    let mut child = clean_cargo(&workspace)
        .args([
            "build",
            "--release",
            "-p",
            CRATE,
            "--message-format=json-render-diagnostics",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| PreludeError::Tool {
            tool: "cargo".into(),
            source,
        })?;
    let complaints = std::thread::spawn({
        let stderr = child.stderr.take();
        move || stderr.map(std::io::read_to_string)
    });
    let mut done = 0;
    let mut artifacts = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let Ok(artifact) = serde_json::from_str::<Artifact>(&line) else {
                continue;
            };
            done += 1;
            progress(BuildStep {
                done,
                total: total.max(done),
                name: artifact.target.name.clone(),
                compiled: !artifact.fresh,
            });
            artifacts.push(artifact);
        }
    }
    let status = child.wait().map_err(|source| PreludeError::Tool {
        tool: "cargo".into(),
        source,
    })?;
    if !status.success() {
        let output = match complaints.join() {
            Ok(Some(Ok(text))) => text,
            _ => String::new(),
        };
        return Err(PreludeError::Build { output });
    }
    assemble(&artifacts)
}

/// Finds the prelude that [`ensure_built`] built: through `$JUKEBOX_PRELUDE`, beside this program, or in the workspace's target
/// directory.
///
/// # Errors
/// [`PreludeError::NotBuilt`] or [`PreludeError::Gone`]; both say what to run.
pub fn find() -> Result<PreludePaths, PreludeError> {
    let looked = record_places();
    let Some(path) = looked.iter().find(|path| path.is_file()) else {
        return Err(PreludeError::NotBuilt { looked });
    };
    let text = std::fs::read_to_string(path).map_err(|source| PreludeError::Record {
        path: path.clone(),
        source,
    })?;
    let paths: PreludePaths =
        serde_json::from_str(&text).map_err(|error| PreludeError::Record {
            path: path.clone(),
            source: error.into(),
        })?;
    for needed in [&paths.dylib, &paths.dependencies, &paths.rustc] {
        if !needed.exists() {
            return Err(PreludeError::Gone {
                missing: needed.clone(),
            });
        }
    }
    Ok(paths)
}

/// The part of cargo's `compiler-artifact` message that we read.
#[derive(Deserialize)]
struct Artifact {
    target: ArtifactTarget,
    filenames: Vec<PathBuf>,
    fresh: bool,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    name: String,
    kind: Vec<String>,
}

fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

fn record_places() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os(RECORD_VARIABLE) {
        return vec![PathBuf::from(named)];
    }
    let program = std::env::current_exe().ok();
    let beside = program
        .iter()
        .flat_map(|program| program.ancestors().skip(1).take(2))
        .map(Path::to_owned);
    beside
        .chain([workspace().join("target/release")])
        .map(|folder| folder.join(RECORD_NAME))
        .collect()
}

/// Links the library, collects the metadata, writes the record. Does nothing that an earlier call has done for the same artifacts.
fn assemble(artifacts: &[Artifact]) -> Result<PreludePaths, PreludeError> {
    let library = artifacts
        .iter()
        .filter(|artifact| artifact.target.name == CRATE_NAME)
        .flat_map(|artifact| &artifact.filenames)
        .find(|file| has_extension(file, "rlib"))
        .ok_or_else(|| PreludeError::Answer {
            tool: "cargo build".into(),
            answer: format!("no library {CRATE_NAME}"),
        })?;
    let release = library.parent().unwrap_or(Path::new("."));
    let folder = release.join(format!("{CRATE}-{:016x}", fingerprint(artifacts)));
    let sysroot = PathBuf::from(ask("rustc", &["--print", "sysroot"])?);
    let tool = |name: &str| {
        let own = sysroot.join("bin").join(name);
        if own.is_file() {
            own
        } else {
            PathBuf::from(name)
        }
    };
    let paths = PreludePaths {
        dylib: folder.join(format!("lib{CRATE_NAME}.so")),
        dependencies: folder.join("dependencies"),
        rustc: tool("rustc"),
        cargo: tool("cargo"),
        rust_libraries: PathBuf::from(ask("rustc", &["--print", "target-libdir"])?),
    };
    let record = release.join(RECORD_NAME);
    let write = |source| PreludeError::Record {
        path: record.clone(),
        source,
    };
    if !folder.is_dir() {
        let draft = tempfile::Builder::new()
            .prefix("jukebox-prelude-draft")
            .tempdir_in(release)
            .map_err(write)?;
        link_metadata(artifacts, &draft.path().join("dependencies")).map_err(write)?;
        link_library(library, &release.join("deps"), &paths.rustc, draft.path())?;
        match std::fs::rename(draft.path(), &folder) {
            // Somebody else was faster, with the same result.
            Err(_) if folder.is_dir() => {}
            renamed => renamed.map_err(write)?,
        }
    }
    let write_record = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(release)?;
        serde_json::to_writer_pretty(&mut file, &paths)?;
        file.persist(&record)?;
        Ok(())
    };
    let before = find_in(&record);
    write_record().map_err(write)?;
    let in_use = [
        Some(folder),
        before.and_then(|paths| Some(paths.dylib.parent()?.to_owned())),
    ];
    remove_others(release, &in_use);
    Ok(paths)
}

/// What the record says, if there is one.
fn find_in(record: &Path) -> Option<PreludePaths> {
    serde_json::from_slice(&std::fs::read(record).ok()?).ok()
}

/// Removes libraries of earlier builds. The last one before this may be in use by kernels that are running.
fn remove_others(release: &Path, in_use: &[Option<PathBuf>]) {
    for entry in std::fs::read_dir(release).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(CRATE)?.strip_prefix('-'));
        let is_library = number
            .is_some_and(|number| number.len() == 16 && u64::from_str_radix(number, 16).is_ok());
        if is_library && !in_use.contains(&Some(path.clone())) {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// Changes whenever cargo has compiled one of the crates again.
fn fingerprint(artifacts: &[Artifact]) -> u64 {
    let mut files: Vec<_> = artifacts
        .iter()
        .flat_map(|artifact| &artifact.filenames)
        .collect();
    files.sort();
    let mut hasher = std::hash::DefaultHasher::new();
    for file in files {
        let changed = file.metadata().and_then(|about| about.modified()).ok();
        (file, changed).hash(&mut hasher);
    }
    hasher.finish()
}

/// Hard-links what `rustc` reads of each crate when it compiles a cell: its metadata, or the library if it is a procedural macro.
fn link_metadata(artifacts: &[Artifact], folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir(folder)?;
    let crates = artifacts.iter().filter(|artifact| {
        !artifact
            .target
            .kind
            .iter()
            .any(|kind| kind == "custom-build")
    });
    for artifact in crates {
        for file in artifact
            .filenames
            .iter()
            .filter(|file| has_extension(file, "rmeta") || has_extension(file, "so"))
        {
            if let Some(name) = file.file_name() {
                let target = folder.join(name);
                std::fs::hard_link(file, &target)
                    .or_else(|_| std::fs::copy(file, &target).map(drop))?;
            }
        }
    }
    Ok(())
}

/// Links the prelude's crates into one shared library.
fn link_library(
    library: &Path,
    dependencies: &Path,
    rustc: &Path,
    folder: &Path,
) -> Result<(), PreludeError> {
    let root = folder.join("lib.rs");
    std::fs::write(&root, "pub use prelude::*;\n").map_err(|source| PreludeError::Record {
        path: root.clone(),
        source,
    })?;
    let output = Command::new(rustc)
        .args([
            "--crate-name",
            CRATE_NAME,
            "--edition",
            "2024",
            "--crate-type",
            "dylib",
        ])
        .args([
            "-Cprefer-dynamic",
            "-Cmetadata=notebook",
            "-Cstrip=debuginfo",
        ])
        .arg("--extern")
        .arg(format!("prelude={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg("--out-dir")
        .arg(folder)
        .arg(&root)
        .output()
        .map_err(|source| PreludeError::Tool {
            tool: "rustc".into(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(PreludeError::Build {
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension() == Some(extension.as_ref())
}

/// How many crates the build goes through, to say how far it is.
fn count_crates(workspace: &Path) -> Option<usize> {
    let output = clean_cargo(workspace)
        .args([
            "tree",
            "-p",
            CRATE,
            "--prefix",
            "none",
            "--edges",
            "normal,build",
            "--no-dedupe",
        ])
        .output()
        .ok()?;
    let lines = String::from_utf8(output.stdout).ok()?;
    Some(
        lines
            .lines()
            .map(|line| line.trim_end_matches(" (*)"))
            .collect::<std::collections::HashSet<_>>()
            .len(),
    )
}

/// cargo in the workspace, without the variables that an outer `cargo run` or `cargo test` leaves: build scripts that watch them
/// would be run again, and their crates compiled again.
fn clean_cargo(workspace: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace);
    for (name, _) in std::env::vars_os() {
        let left_by_cargo = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
            "OUT_DIR",
        ];
        if name
            .to_str()
            .is_some_and(|name| left_by_cargo.iter().any(|start| name.starts_with(start)))
        {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// One line of answer from a tool.
fn ask(tool: &str, arguments: &[&str]) -> Result<String, PreludeError> {
    let output = Command::new(tool)
        .args(arguments)
        .output()
        .map_err(|source| PreludeError::Tool {
            tool: tool.into(),
            source,
        })?;
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !answer.is_empty() {
        return Ok(answer);
    }
    Err(PreludeError::Answer {
        tool: format!("{tool} {}", arguments.join(" ")),
        answer: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

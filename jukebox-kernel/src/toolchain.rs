//! Our stand-in for `cargo`, so that a cell is compiled by one direct call of `rustc`.
//!
//! evcxr compiles every cell by `cargo build`. With Burn among the dependencies that takes seconds, most of them spent on finding out
//! that nothing has changed. A session therefore puts links to this program, named `cargo` and `rustup`, at the front of the `PATH` on
//! which evcxr looks for its tools. Called by such a name, we
//!
//! - compile a cell that has no dependencies of its own by one call of `rustc` against the prelude, and answer as cargo does;
//! - pass everything else on to the real cargo, and add the prelude when it compiles the cell.
//!
//! On the way we [`adapt`] the code that evcxr generates around a cell.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::prelude::{CRATE_NAME, PreludePaths};

/// Names the folder of the session whose tools we stand in for.
const SESSION_VARIABLE: &str = "JUKEBOX_SESSION";
const PATHS_NAME: &str = "prelude.json";
/// evcxr's name for the crate that it makes of a cell.
const CELL_CRATE: &str = "ctx";
const CELL_RUSTC: &str = "cell-rustc";

/// The code that evcxr wraps around a cell that uses `?`: it prints the error alone, and the cell counts as done.
const QUESTION_MARK_BOUND: &str = "impl<T: std::fmt::Display> From<T> for EvcxrUserCodeError";
const QUESTION_MARK_PRINT: &str = r#"eprintln!("{}", error);"#;

/// Puts the stand-ins into `session` and at the front of this process's `PATH`.
///
/// Must be called before any thread is started: it changes the environment.
pub fn stand_in(session: &Path, paths: &PreludePaths) -> std::io::Result<()> {
    let tools = session.join("bin");
    std::fs::create_dir_all(&tools)?;
    let program = std::env::current_exe()?;
    for name in ["cargo", "rustup", CELL_RUSTC] {
        std::os::unix::fs::symlink(&program, tools.join(name))?;
    }
    std::fs::write(session.join(PATHS_NAME), serde_json::to_vec(paths)?)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extended = std::env::join_paths([tools].into_iter().chain(std::env::split_paths(&path)))
        .map_err(std::io::Error::other)?;
    // SAFETY: the caller has started no other thread.
    unsafe {
        std::env::set_var("PATH", extended);
        std::env::set_var(SESSION_VARIABLE, session);
    }
    Ok(())
}

/// `PATH` without the stand-ins, for programs that a cell starts.
pub fn path_without_stand_ins() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(session) = std::env::var_os(SESSION_VARIABLE).map(PathBuf::from) else {
        return path;
    };
    std::env::join_paths(
        std::env::split_paths(&path).filter(|folder| !folder.starts_with(&session)),
    )
    .unwrap_or(path)
}

/// Acts as the tool by whose name this program was called. Returns only if it was called by its own name.
pub fn act_if_called_as_tool() {
    let mut arguments = std::env::args_os();
    let called = arguments.next().map(PathBuf::from).unwrap_or_default();
    let (Some(name), Some(session)) = (called.file_name(), std::env::var_os(SESSION_VARIABLE))
    else {
        return;
    };
    let act: fn(&Tools, Vec<OsString>) -> std::io::Result<()> = match name.to_str() {
        Some("cargo") => cargo,
        Some("rustup") => rustup,
        Some(CELL_RUSTC) => cell_rustc,
        _ => return,
    };
    let done = Tools::open(Path::new(&session)).and_then(|tools| act(&tools, arguments.collect()));
    let code = match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {}: {error}", called.display());
            1
        }
    };
    std::process::exit(code);
}

struct Tools {
    bin: PathBuf,
    paths: PreludePaths,
}

impl Tools {
    fn open(session: &Path) -> std::io::Result<Self> {
        let paths = serde_json::from_slice(&std::fs::read(session.join(PATHS_NAME))?)?;
        Ok(Self {
            bin: session.join("bin"),
            paths,
        })
    }

    /// Adds what a cell needs to see the prelude.
    fn add_prelude(&self, rustc: &mut Command) {
        rustc
            .arg("--extern")
            .arg(format!("{CRATE_NAME}={}", self.paths.dylib.display()))
            .arg("-L")
            .arg(format!("dependency={}", self.paths.dependencies.display()));
    }
}

/// `rustup which TOOL`, asked by evcxr: our cargo, and the compiler that built the prelude.
fn rustup(tools: &Tools, arguments: Vec<OsString>) -> std::io::Result<()> {
    let arguments: Vec<_> = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .collect();
    match arguments[..] {
        ["which", "cargo"] => println!("{}", tools.bin.join("cargo").display()),
        ["which", "rustc"] => println!("{}", tools.paths.rustc.display()),
        _ => {
            return Err(Command::new("rustup")
                .args(&arguments)
                .env("PATH", path_without_stand_ins())
                .exec());
        }
    }
    Ok(())
}

fn cargo(tools: &Tools, arguments: Vec<OsString>) -> std::io::Result<()> {
    let manifest = std::fs::read_to_string("Cargo.toml").unwrap_or_default();
    let command = arguments
        .iter()
        .find(|argument| !argument.as_encoded_bytes().starts_with(b"-"));
    match command.and_then(|command| command.to_str()) {
        Some("build") if is_plain_cell(&manifest) => build_cell(tools, &manifest),
        Some("check") if is_plain_cell(&manifest) => check_cell(tools),
        _ => Err(Command::new(&tools.paths.cargo)
            .args(arguments)
            .env("PATH", path_without_stand_ins())
            .env("RUSTC_WORKSPACE_WRAPPER", tools.bin.join(CELL_RUSTC))
            .exec()),
    }
}

/// Whether the manifest is evcxr's, for a cell without dependencies.
fn is_plain_cell(manifest: &str) -> bool {
    manifest.contains(&format!("name = \"{CELL_CRATE}\""))
        && manifest
            .split("[dependencies]")
            .nth(1)
            .is_some_and(|dependencies| dependencies.trim().is_empty())
}

/// `cargo build` of a cell: compiles it into `target/cell/libctx.so` and says so in cargo's words.
fn build_cell(tools: &Tools, manifest: &str) -> std::io::Result<()> {
    let output = Path::new("target/cell");
    std::fs::create_dir_all(output)?;
    let library = std::env::current_dir()?
        .join(output)
        .join(format!("lib{CELL_CRATE}.so"));
    let opt_level = manifest
        .lines()
        .find_map(|line| line.strip_prefix("opt-level = "))
        .unwrap_or("0");
    // Read by evcxr only if the compiler succeeds, so it may be said before.
    let artifact = serde_json::json!({
        "reason": "compiler-artifact", "target": { "name": CELL_CRATE }, "filenames": [library],
    });
    println!("{artifact}");
    std::io::stdout().flush()?;
    let mut rustc = rustc(tools);
    rustc
        .arg(adapted(Path::new("src/lib.rs"))?)
        .arg(format!("-Copt-level={opt_level}"))
        .args([
            "-Cdebug-assertions=on",
            "-Coverflow-checks=on",
            "-Cstrip=debuginfo",
            "-Awarnings",
            "--out-dir",
        ])
        .arg(output);
    for flag in std::env::var("RUSTFLAGS")
        .unwrap_or_default()
        .split_whitespace()
    {
        rustc.arg(flag);
    }
    Err(rustc.exec())
}

/// `cargo check` of a cell. The session asks for it to learn the types of variables, by the warning that `drop(&variable)` gives:
/// so that warning is on, and types are printed in full, as they must be written. Where the cell has errors they are printed
/// again in the usual short form, which is the one for people.
fn check_cell(tools: &Tools) -> std::io::Result<()> {
    std::fs::create_dir_all("target/check")?;
    let source = adapted(Path::new("src/lib.rs"))?;
    let check = || {
        let mut rustc = rustc(tools);
        rustc.arg(&source).args([
            "--emit=metadata",
            "--cap-lints=allow",
            "--out-dir",
            "target/check",
        ]);
        rustc
    };
    let output = check()
        .args([
            "--force-warn=dropping-references",
            "--verbose",
            "-Ztrim-diagnostic-paths=no",
        ])
        // Unlocks the `-Z` option, which changes nothing but how types are printed.
        .env("RUSTC_BOOTSTRAP", "1")
        .output()?;
    if output.status.success() {
        std::io::stderr().write_all(&output.stderr)?;
        return Ok(());
    }
    Err(check().exec())
}

/// The compiler, set up for the cell's crate.
fn rustc(tools: &Tools) -> Command {
    let mut rustc = Command::new(&tools.paths.rustc);
    rustc
        .args([
            "--crate-name",
            CELL_CRATE,
            "--edition=2024",
            "--crate-type=cdylib",
        ])
        .args(["--error-format=json", "--json=diagnostic-rendered-ansi"])
        .env("PATH", path_without_stand_ins());
    tools.add_prelude(&mut rustc);
    rustc
}

/// Called by the real cargo as `cell-rustc RUSTC ARGUMENTS…` for a cell that has dependencies.
fn cell_rustc(tools: &Tools, arguments: Vec<OsString>) -> std::io::Result<()> {
    let mut arguments = arguments.into_iter();
    let mut rustc = Command::new(arguments.next().unwrap_or_default());
    let arguments: Vec<_> = arguments.collect();
    let is_cell = arguments
        .windows(2)
        .any(|pair| pair[0] == "--crate-name" && pair[1] == CELL_CRATE);
    for argument in arguments {
        if is_cell && argument == "src/lib.rs" {
            rustc.arg(adapted(Path::new("src/lib.rs"))?);
        } else {
            rustc.arg(argument);
        }
    }
    if is_cell {
        tools.add_prelude(&mut rustc);
    }
    Err(rustc.exec())
}

/// Writes the adapted code beside the original and returns where. The name must end in `lib.rs`: evcxr looks for that in messages.
fn adapted(source: &Path) -> std::io::Result<PathBuf> {
    let code = std::fs::read_to_string(source)?;
    let target = Path::new("target/adapted-lib.rs");
    std::fs::create_dir_all("target")?;
    std::fs::write(target, adapt(&code))?;
    Ok(target.to_owned())
}

/// Changes the code that evcxr generates around a cell; lines keep their numbers.
///
/// - The prelude is in scope.
/// - An error that leaves the cell through `?` is reported with its sources, as an error of the cell.
/// - In the code that is only analysed, variables are not stored: a cell may move them.
fn adapt(code: &str) -> String {
    let mut out = String::with_capacity(code.len() + 128);
    for line in code.lines() {
        if line.contains(QUESTION_MARK_BOUND) {
            let bound = "impl<T: Into<Box<dyn std::error::Error>>> From<T> for EvcxrUserCodeError";
            out.push_str(&line.replace(QUESTION_MARK_BOUND, bound));
        } else if line.trim() == QUESTION_MARK_PRINT {
            out.push_str(&format!("{CRATE_NAME}::cell::report_error(error.into());"));
        } else if !(line.starts_with("evcxr_variable_store(") && line.ends_with(");")) {
            out.push_str(line);
        }
        out.push('\n');
    }
    out.push_str(&format!("#[allow(unused_imports)] use {CRATE_NAME}::*;\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapting_keeps_line_numbers() {
        let code =
            "fn f() {\n  eprintln!(\"{}\", error);\nevcxr_variable_store(x);\nlet y = 1;\n}\n";
        let adapted = adapt(code);
        let lines: Vec<_> = adapted.lines().collect();
        assert_eq!(
            lines[1],
            "jukebox_prelude::cell::report_error(error.into());"
        );
        assert_eq!(lines[2], "");
        assert_eq!(lines[3], "let y = 1;");
        assert!(lines[5].contains("use jukebox_prelude::*;"));
    }

    #[test]
    fn a_dependency_needs_cargo() {
        let manifest = |dependencies: &str| {
            format!("[package]\nname = \"ctx\"\n[dependencies]\n{dependencies}\n")
        };
        assert!(is_plain_cell(&manifest("")));
        assert!(!is_plain_cell(&manifest("rand = \"0.9\"")));
        assert!(!is_plain_cell(
            "[package]\nname = \"else\"\n[dependencies]\n"
        ));
    }
}

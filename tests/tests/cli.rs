//! The command line: what it says when all is well, and when the user asks for what cannot be.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use jukebox_tests::notebook::Notebook;
use jukebox_tests::set_up::{Jukebox, text};

#[test]
fn doctor_finds_an_installed_jukebox_in_order() -> Result<()> {
    let output = Jukebox::ready().run(&["doctor"])?;
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains('✗'), "{said}");
    for name in [
        "cargo",
        "rustc",
        "linker",
        "Python",
        "JupyterLab",
        "kernel",
        "GPU",
    ] {
        assert!(said.contains(name), "no word about {name}:\n{said}");
    }
    Ok(())
}

#[test]
fn doctor_says_what_to_do_where_nothing_is_installed() -> Result<()> {
    let empty = tempfile::tempdir()?;
    let output = Jukebox::ready()
        .command(&["doctor"])
        .env("JUKEBOX_HOME", empty.path().join("home"))
        .output()?;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let problem = said
        .lines()
        .skip_while(|line| !line.contains("✗ JupyterLab"))
        .nth(1);
    assert!(
        problem.is_some_and(|remedy| remedy.contains("→ jukebox-kernel install")),
        "{said}"
    );
    assert!(
        !empty.path().join("home").exists(),
        "doctor changed something"
    );
    Ok(())
}

#[test]
fn doctor_and_set_up_name_what_is_missing_without_a_path() -> Result<()> {
    let empty = tempfile::tempdir()?;
    let bare = |arguments: &[&str]| -> Result<Output> {
        let mut command = Jukebox::ready().command(arguments);
        Ok(command
            .env("PATH", empty.path())
            .env("JUKEBOX_HOME", empty.path().join("home"))
            .output()?)
    };
    let said = text(&bare(&["doctor"])?);
    assert!(
        said.contains("✗ cargo") && said.contains("rustup.rs"),
        "{said}"
    );
    assert!(
        said.contains("✗ Python") && said.contains("python3-venv"),
        "{said}"
    );

    let output = bare(&["install"])?;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no suitable Python"), "{said}");
    Ok(())
}

#[test]
fn install_for_the_users_own_jupyter_and_uninstall_leave_nothing_behind() -> Result<()> {
    let jukebox = Jukebox::ready();
    let scratch = tempfile::tempdir()?;
    let spec = scratch.path().join("kernels/jukebox/kernel.json");
    let own = |arguments: &[&str]| -> Result<String> {
        let output = jukebox
            .command(arguments)
            .env("JUPYTER_DATA_DIR", scratch.path())
            .output()?;
        assert!(output.status.success(), "{}", text(&output));
        Ok(text(&output))
    };
    own(&["install", "--user"])?;
    let written: serde_json::Value = serde_json::from_slice(&fs::read(&spec)?)?;
    assert_eq!(written["display_name"], "Jukebox (Rust)");
    let program = written["argv"][0].as_str().unwrap_or_default().to_owned();
    assert!(fs::metadata(program)?.is_file());

    // A home of its own with nothing in it, so that the other tests keep theirs.
    let empty = scratch.path().join("home");
    let output = jukebox
        .command(&["uninstall"])
        .env("JUPYTER_DATA_DIR", scratch.path())
        .env("JUKEBOX_HOME", &empty)
        .output()?;
    assert!(text(&output).contains("removed"), "{}", text(&output));
    assert!(!spec.exists());
    Ok(())
}

#[test]
fn run_refuses_what_it_cannot_execute() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let file = |name: &str, contents: &str| -> Result<String> {
        let path = scratch.path().join(name);
        fs::write(&path, contents)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let folder = scratch.path().to_string_lossy().into_owned();
    let cases = [
        ("/nowhere/x.ipynb".to_owned(), "there is no such notebook"),
        (folder, "is a folder"),
        (
            file("song.ipynb", "la la la")?,
            "is not a notebook (not JSON",
        ),
        (file("other.ipynb", "{\"a\": 1}")?, "is not a notebook"),
        (
            file("old.ipynb", "{\"nbformat\": 3, \"worksheets\": []}")?,
            "old format 3",
        ),
    ];
    for (notebook, reason) in cases {
        let output = in_folder(scratch.path(), &["run", &notebook])?;
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{notebook}: {said}");
        assert!(
            said.contains(reason) && said.contains(&notebook),
            "{notebook}: {said}"
        );
    }
    Ok(())
}

#[test]
fn run_refuses_a_place_it_cannot_write_to_before_it_runs_anything() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let notebook = scratch.path().join("x.ipynb");
    Notebook::write(&notebook, "jukebox", &["1"])?;
    let notebook = notebook.to_string_lossy();
    let output = in_folder(
        scratch.path(),
        &["run", &notebook, "--html", "no/such/folder/x.html"],
    )?;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot write no/such/folder/x.html") && !said.contains("Executing"),
        "{said}"
    );
    Ok(())
}

#[test]
fn run_names_a_kernel_that_is_not_there_and_those_that_are() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let notebook = scratch.path().join("x.ipynb");
    Notebook::write(&notebook, "fortran", &["1"])?;
    let output = in_folder(scratch.path(), &["run", &notebook.to_string_lossy()])?;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("`fortran`") && said.contains("jukebox"),
        "{said}"
    );
    assert!(
        !scratch.path().join("x.executed.ipynb").exists(),
        "wrote a notebook that was never executed"
    );
    Ok(())
}

#[test]
fn run_stops_at_a_failing_cell_prints_its_error_and_keeps_what_was_done() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let notebook = scratch.path().join("x.ipynb");
    Notebook::write(
        &notebook,
        "jukebox",
        &[
            "println!(\"before\");",
            "no_such_function();",
            "println!(\"after\");",
        ],
    )?;
    let output = in_folder(scratch.path(), &["run", &notebook.to_string_lossy()])?;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no_such_function") && said.contains("1 of 3 cells failed"),
        "{said}"
    );

    let executed = Notebook::read(&scratch.path().join("x.executed.ipynb"))?;
    assert_eq!(executed.printed(), "before\n");
    assert_eq!(executed.errors().len(), 1);
    Ok(())
}

#[test]
fn run_goes_on_after_a_failing_cell_when_asked_to() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let notebook = scratch.path().join("x.ipynb");
    Notebook::write(
        &notebook,
        "jukebox",
        &["no_such_function();", "println!(\"after\");"],
    )?;
    let output = in_folder(
        scratch.path(),
        &[
            "run",
            &notebook.to_string_lossy(),
            "--allow-errors",
            "--in-place",
        ],
    )?;
    assert!(output.status.success(), "{}", text(&output));

    let executed = Notebook::read(&notebook)?;
    assert_eq!(executed.printed(), "after\n");
    assert_eq!(executed.errors().len(), 1);
    Ok(())
}

#[test]
fn ctrl_c_ends_a_run_at_once_and_leaves_neither_files_nor_processes() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let notebook = scratch.path().join("x.ipynb");
    let first = "std::fs::write(\"pid\", std::process::id().to_string()).unwrap();";
    let second = "std::thread::sleep(std::time::Duration::from_secs(100_000));";
    Notebook::write(&notebook, "jukebox", &[first, second])?;
    let mut run = Jukebox::ready()
        .command(&["run", "x.ipynb"])
        .current_dir(scratch.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // The first cell's line comes when it is done; then the second is about to run, or runs.
    let mut lines = BufReader::new(run.stdout.take().expect("a pipe was asked for")).lines();
    assert!(
        lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("[1/2]") && line.contains('✓'))
    );
    let cell_process = fs::read_to_string(scratch.path().join("pid"))?;

    Command::new("kill")
        .args(["-s", "INT", &run.id().to_string()])
        .status()?;
    lines.for_each(drop); // until the program closes its end
    assert_eq!(run.wait()?.code(), Some(130));
    assert!(
        !scratch.path().join("x.executed.ipynb").exists(),
        "an interrupted run wrote its notebook"
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    while Path::new("/proc").join(&cell_process).exists() {
        assert!(
            Instant::now() < deadline,
            "the process of the cells, {cell_process}, lives on"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Runs the program with a current folder of its own.
fn in_folder(folder: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command: Command = Jukebox::ready().command(arguments);
    Ok(command.current_dir(folder).output()?)
}

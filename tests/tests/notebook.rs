//! `jukebox-kernel run` executes the notebooks that ship with Jukebox.

use anyhow::{Result, ensure};
use jukebox_tests::notebook::Notebook;
use jukebox_tests::set_up::{Jukebox, text, workspace};

#[test]
fn the_compression_notebook_runs_from_the_command_line() -> Result<()> {
    let jukebox = Jukebox::ready();
    let scratch = tempfile::tempdir()?;
    let (executed, page) = (
        scratch.path().join("executed.ipynb"),
        scratch.path().join("page.html"),
    );
    let output = jukebox
        .command(&["run"])
        .arg(workspace().join("notebooks/01_compression.ipynb"))
        .arg("--output")
        .arg(&executed)
        .arg("--html")
        .arg(&page)
        .output()?;
    ensure!(
        output.status.success(),
        "`jukebox-kernel run` ended with {}:\n{}",
        output.status,
        text(&output)
    );

    let notebook = Notebook::read(&executed)?;
    assert_eq!(notebook.errors(), Vec::<String>::new());
    assert_eq!(notebook.unexecuted(), Vec::<String>::new());

    // A line of progress for each cell.
    let cells = notebook.code_cells().len();
    let progress = text(&output);
    assert_eq!(
        progress
            .lines()
            .filter(|line| line.contains('✓') && line.contains(&format!("/{cells}]")))
            .count(),
        cells
    );

    // Players and pictures, each with a sentence for those who see neither.
    let html = notebook.of_type("text/html");
    let players = html
        .iter()
        .filter(|html| html.contains("<audio") && html.contains("data:audio/wav;base64,"))
        .count();
    assert!(
        players >= 4,
        "the clip and its three reconstructions should have players, {players} have"
    );
    assert!(
        html.iter()
            .any(|html| html.contains("<svg") || html.contains("data:image/png;base64,")),
        "no picture"
    );
    assert!(
        notebook.of_type("text/plain").len() >= html.len(),
        "a display without plain text"
    );

    // The page stands alone: what is heard and seen in the notebook is in it.
    let page = std::fs::read_to_string(&page)?;
    assert!(page.matches("<audio").count() >= players);
    Ok(())
}

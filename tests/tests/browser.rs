//! A person opens the notebooks in a real JupyterLab, in a real browser, runs all cells, looks and listens.
//!
//! Screenshots of what was seen are kept in cargo's target directory, under `screenshots/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jukebox_tests::browser::Browser;
use jukebox_tests::jupyterlab::{OpenNotebook, Server, Theme};
use jukebox_tests::notebook::Notebook;
use jukebox_tests::picture::PictureFacts;
use jukebox_tests::set_up::{Jukebox, workspace};

/// All cells of a notebook together may take this long, on a machine that has much else to do.
const A_NOTEBOOK: Duration = Duration::from_secs(1200);

#[test]
fn the_compression_notebook_runs_looks_and_sounds_right() -> Result<()> {
    let seen = use_notebook("01_compression.ipynb")?;
    // One player for the clip, one for each of the three levels.
    ensure!(seen.players >= 4, "only {} players were seen", seen.players);
    ensure!(
        seen.pictures >= 4,
        "only {} pictures were seen",
        seen.pictures
    );
    Ok(())
}

/// What was found in a notebook.
#[derive(Debug, Default)]
struct Seen {
    players: usize,
    pictures: usize,
}

/// Opens the notebook, runs all, and checks what is seen and heard on the way down; once more in the dark theme.
fn use_notebook(name: &str) -> Result<Seen> {
    let jukebox = Jukebox::ready();
    let screenshots = Screenshots::new(jukebox, name)?;
    let scratch = tempfile::tempdir()?;
    let folder = scratch.path().join("notebooks");
    copy_folder(&workspace().join("notebooks"), &folder)?;

    let log = screenshots.folder.join(format!("{}.log", screenshots.stem));
    let server = Server::start(jukebox, &folder, &scratch.path().join("settings"), &log)?;
    let browser = Browser::open(1280, 900)?;
    let checked = (|| {
        let notebook = OpenNotebook::open(&browser, &server, name)?;
        let cells = notebook.run_all(A_NOTEBOOK)?;
        for cell in &cells {
            ensure!(
                cell.errors.is_empty(),
                "the cell\n{}\nfailed: {:?}",
                cell.source,
                cell.errors
            );
        }

        let light = check_by_looking(&browser, &notebook, Theme::Light, &screenshots)?;
        let dark = check_by_looking(&browser, &notebook, Theme::Dark, &screenshots)?;
        ensure!(
            light.pictures == dark.pictures,
            "{} pictures in light, {} in dark",
            light.pictures,
            dark.pictures
        );

        notebook.save()?;
        let saved = Notebook::read(&folder.join(name))?;
        ensure!(
            saved.errors().is_empty(),
            "the saved notebook has errors: {:?}",
            saved.errors()
        );
        ensure!(
            saved.unexecuted().is_empty(),
            "the saved notebook has cells that did not run: {:?}",
            saved.unexecuted()
        );
        ensure!(
            browser.exceptions().is_empty(),
            "scripts of the page failed: {:?}",
            browser.exceptions()
        );
        Ok(light)
    })();
    if checked.is_err() {
        screenshots.keep("failure", &browser.screenshot(None)?)?;
    }
    let seen = checked.with_context(|| {
        format!(
            "screenshots and the server's log are in {}",
            screenshots.folder.display()
        )
    })?;

    let status = server.interrupt()?;
    ensure!(
        status.success(),
        "`jukebox-kernel lab` ended with {status} after Ctrl-C"
    );
    Ok(seen)
}

/// Scrolls through the notebook in a theme, plays what can be played and looks at every picture.
fn check_by_looking(
    browser: &Browser,
    notebook: &OpenNotebook,
    theme: Theme,
    screenshots: &Screenshots,
) -> Result<Seen> {
    notebook.switch_to(theme)?;
    let mut seen = Seen::default();
    let mut pictures_seen = std::collections::BTreeSet::new();
    let theme_name = format!("{theme:?}").to_lowercase();
    notebook.scroll_through(|stop| {
        screenshots.keep(
            &format!("{theme_name}-{stop:02}"),
            &browser.screenshot(None)?,
        )?;

        let errors = notebook.errors_in_view()?;
        ensure!(errors.is_empty(), "error outputs are seen: {errors:?}");

        for audio in notebook.play_audio()? {
            seen.players += 1;
            ensure!(audio.error.is_none(), "a player says: {:?}", audio.error);
            ensure!(
                audio.duration.is_some_and(|seconds| seconds > 0.0),
                "a player has no duration: {audio:?}"
            );
            ensure!(
                audio.advanced > 0.0,
                "a player was started but its time stood still: {audio:?}"
            );
        }

        for picture in notebook.pictures()? {
            let area = picture.area;
            let what = format!(
                "{} {:?} ({theme_name}, window {stop})",
                picture.tag, picture.label
            );
            ensure!(
                picture.natural_width > 0.0 && picture.natural_height > 0.0,
                "{what} is broken"
            );
            let stretch =
                (area.width / area.height) / (picture.natural_width / picture.natural_height);
            ensure!(
                (stretch - 1.0).abs() < 0.02,
                "{what} is distorted {stretch:.2} times: {picture:?}"
            );
            let facts = PictureFacts::of_png(&browser.screenshot(Some(area))?)?;
            ensure!(!facts.is_blank(), "{what} is blank: {facts:?}");
            pictures_seen.insert((picture.label, area.width as u32, area.height as u32));
        }
        Ok(())
    })?;
    seen.pictures = pictures_seen.len();
    Ok(seen)
}

/// Where the screenshots of one notebook go.
struct Screenshots {
    folder: PathBuf,
    stem: String,
}

impl Screenshots {
    fn new(jukebox: &Jukebox, notebook: &str) -> Result<Self> {
        let stem = Path::new(notebook)
            .file_stem()
            .context("a notebook's name")?
            .to_string_lossy()
            .into_owned();
        let screenshots = Self {
            folder: jukebox.keep("screenshots")?,
            stem,
        };
        for old in fs::read_dir(&screenshots.folder)?.flatten() {
            if old
                .file_name()
                .to_string_lossy()
                .starts_with(&screenshots.stem)
            {
                fs::remove_file(old.path())?;
            }
        }
        Ok(screenshots)
    }

    fn keep(&self, what: &str, png: &[u8]) -> Result<()> {
        Ok(fs::write(
            self.folder.join(format!("{}-{what}.png", self.stem)),
            png,
        )?)
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

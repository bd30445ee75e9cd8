//! A JupyterLab of the test's own, started by `jukebox-kernel lab`, and what a person does in it.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::browser::{Area, Browser};
use crate::set_up::Jukebox;

/// For what the page does by itself. Long, because a busy machine is no reason to fail.
const SOON: Duration = Duration::from_secs(120);

/// The running server on a folder.
pub struct Server {
    process: Child,
    port: u16,
    token: String,
    log: PathBuf,
}

impl Server {
    /// Starts JupyterLab on the folder, with settings of its own, and waits until it answers.
    pub fn start(jukebox: &Jukebox, folder: &Path, settings: &Path, log: &Path) -> Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port(); // free now, and most likely still in a second
        let token = format!("test-{}-{port}", std::process::id());
        let output = File::create(log)?;
        let process = jukebox
            .command(&["lab", "--no-browser", "--port", &port.to_string()])
            .arg(folder)
            // The app is exposed to the page's scripts so that the test can ask which cells have run; it acts by mouse and keys.
            .args([
                "--",
                &format!("--IdentityProvider.token={token}"),
                "--LabApp.expose_app_in_browser=True",
            ])
            .env("JUPYTERLAB_SETTINGS_DIR", settings)
            .env("JUPYTERLAB_WORKSPACES_DIR", settings.join("workspaces"))
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()?;
        let mut server = Self {
            process,
            port,
            token,
            log: log.to_owned(),
        };

        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.process.try_wait()? {
                bail!(
                    "`jukebox-kernel lab` ended with {status}:\n{}",
                    server.log()
                );
            }
            if started.elapsed() > SOON {
                bail!(
                    "JupyterLab does not listen on port {port}:\n{}",
                    server.log()
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(server)
    }

    /// The address that opens a notebook of the folder.
    pub fn address(&self, notebook: &str) -> String {
        format!(
            "http://127.0.0.1:{}/lab/tree/{notebook}?token={}",
            self.port, self.token
        )
    }

    /// What the server and the kernels have said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Presses Ctrl-C and waits for the end.
    pub fn interrupt(mut self) -> Result<ExitStatus> {
        send(&self.process, "INT")?;
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() > SOON {
                bail!(
                    "JupyterLab did not end {} s after Ctrl-C:\n{}",
                    SOON.as_secs(),
                    self.log()
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let _ = send(&self.process, "TERM");
            let _ = self.process.wait();
        }
    }
}

fn send(process: &Child, signal: &str) -> Result<()> {
    let status = Command::new("kill")
        .args(["-s", signal, &process.id().to_string()])
        .stdin(Stdio::null())
        .status()?;
    anyhow::ensure!(status.success(), "cannot send {signal}");
    Ok(())
}

/// JupyterLab's two stock themes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

impl Theme {
    /// As the Settings menu calls it.
    fn name(self) -> &'static str {
        match self {
            Theme::Light => "JupyterLab Light",
            Theme::Dark => "JupyterLab Dark",
        }
    }
}

/// A notebook that is open in the browser.
pub struct OpenNotebook<'a> {
    browser: &'a Browser,
    name: String,
}

/// A code cell as JupyterLab knows it, whether it is scrolled into view or not.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CellState {
    pub source: String,
    /// It was run and is done.
    pub done: bool,
    /// Its error outputs, as "Name: value".
    pub errors: Vec<String>,
}

/// An audio element.
#[derive(Debug, Clone, Deserialize)]
pub struct AudioState {
    /// Seconds; null while unknown.
    pub duration: Option<f64>,
    /// Seconds that the playback went on when it was played.
    pub advanced: f64,
    /// What the browser says is wrong with it.
    pub error: Option<String>,
}

/// A picture in an output: an `img` or an `svg` element.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PictureState {
    pub tag: String,
    /// Its own size in pixels (an SVG's: of its view box).
    pub natural_width: f64,
    pub natural_height: f64,
    /// What a screen reader says.
    pub label: Option<String>,
    /// Where it is now.
    pub area: Area,
}

/// The notebook panel's scrolled part, in which `cells` are drawn.
const SCROLLED: &str =
    "document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer')";

/// Whether the end of the last cell can be seen; below it there is only room for another one.
const LAST_CELL_IN_VIEW: &str = "(() => {
  const panel = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer').getBoundingClientRect();
  const last = jupyterapp.shell.currentWidget.content.widgets.at(-1).node;
  return last.isConnected && last.getBoundingClientRect().bottom <= panel.bottom;
})()";

impl<'a> OpenNotebook<'a> {
    /// Opens the notebook and waits until its kernel is idle.
    pub fn open(browser: &'a Browser, server: &Server, name: &str) -> Result<Self> {
        browser.go_to(&server.address(name))?;
        let notebook = Self {
            browser,
            name: name.to_owned(),
        };
        browser.area("the notebook", SCROLLED, SOON)?;
        browser.wait_for(
            "the notebook's cells and an idle kernel",
            "(({ content, sessionContext }) => content.widgets.length > 0 && sessionContext.isReady
               && sessionContext.session?.kernel?.status === 'idle')(jupyterapp.shell.currentWidget)",
            SOON,
        )?;
        Ok(notebook)
    }

    /// Takes "Run All Cells" in the Run menu and waits until every code cell is done, or one shows an error.
    pub fn run_all(&self, at_most: Duration) -> Result<Vec<CellState>> {
        self.choose("Run", "Run All Cells")?;
        let finished = format!(
            "(() => {{ const cells = {CELLS}; return cells.length > 0 && cells.every(cell => cell.done) || cells.some(cell => cell.errors.length > 0); }})()"
        );
        self.browser
            .wait_for("all cells to be done", &finished, at_most)?;
        self.cells()
    }

    /// The code cells now.
    pub fn cells(&self) -> Result<Vec<CellState>> {
        Ok(serde_json::from_value(self.browser.look(CELLS)?)?)
    }

    /// Saves with Ctrl-S and waits until nothing is unsaved.
    pub fn save(&self) -> Result<()> {
        self.browser.click(
            "a place in the notebook's tool bar",
            "document.querySelector('.jp-NotebookPanel-toolbar')",
            SOON,
        )?;
        self.browser.press_control('s')?;
        self.browser.wait_for(
            "the notebook to be saved",
            "!jupyterapp.shell.currentWidget.context.model.dirty",
            SOON,
        )?;
        Ok(())
    }

    /// Takes a theme in the Settings menu and waits until the page has it.
    pub fn switch_to(&self, theme: Theme) -> Result<()> {
        let has_theme = format!("document.body.dataset.jpThemeName === '{}'", theme.name());
        if self.browser.look(&has_theme)? == Value::Bool(true) {
            return Ok(());
        }
        self.open_menu("Settings")?;
        self.browser
            .hover("the entry Theme", &menu_item("Theme"), SOON)?;
        self.browser
            .click("the entry of the theme", &menu_item(theme.name()), SOON)?;
        self.browser.wait_for("the theme", &has_theme, SOON)?;
        Ok(())
    }

    /// Goes through the notebook from top to bottom, a window's height at a time; calls `look` at each stop with its number.
    pub fn scroll_through(&self, mut look: impl FnMut(usize) -> Result<()>) -> Result<()> {
        self.browser.look(&format!("{SCROLLED}.scrollTop = 0"))?;
        for stop in 1.. {
            self.settle()?;
            look(stop)?;
            if self.browser.look(LAST_CELL_IN_VIEW)? == Value::Bool(true) {
                break;
            }
            let area = self.browser.area("the notebook", SCROLLED, SOON)?;
            let before = self.position()?;
            self.browser.wheel(area, area.height * 0.85)?;
            self.browser.wait_for(
                "the notebook to scroll",
                &format!("{SCROLLED}.scrollTop > {before}"),
                SOON,
            )?;
        }
        Ok(())
    }

    /// The audio elements in view, each played until its time has gone on.
    pub fn play_audio(&self) -> Result<Vec<AudioState>> {
        Ok(serde_json::from_value(self.browser.look(PLAY_AUDIO)?)?)
    }

    /// The pictures that are wholly in view.
    pub fn pictures(&self) -> Result<Vec<PictureState>> {
        Ok(serde_json::from_value(self.browser.look(PICTURES)?)?)
    }

    /// The error outputs in view, as a person sees them.
    pub fn errors_in_view(&self) -> Result<Vec<String>> {
        let expression = "[...document.querySelectorAll('.jp-OutputArea-output[data-mime-type=\"application/vnd.jupyter.error\"], \
             .jp-RenderedText[data-mime-type=\"application/vnd.jupyter.stderr\"]')].map(e => e.innerText)";
        Ok(serde_json::from_value(self.browser.look(expression)?)?)
    }

    fn position(&self) -> Result<f64> {
        self.browser
            .look(&format!("{SCROLLED}.scrollTop"))?
            .as_f64()
            .context("no scroll position")
    }

    /// Waits until the layout stays the same for some frames, and pictures in view are decoded.
    fn settle(&self) -> Result<()> {
        let expression = format!(
            "(async () => {{
               const frame = () => new Promise(done => requestAnimationFrame(done));
               const layout = () => {{ const e = {SCROLLED}; return e.scrollTop + '/' + e.scrollHeight + '/' + e.querySelectorAll('.jp-Cell').length; }};
               let same = 0, last = '';
               for (let frames = 0; same < 15 && frames < 1200; frames++) {{
                 await frame();
                 same = layout() === last ? same + 1 : 0;
                 last = layout();
               }}
               const pictures = [...document.querySelectorAll('.jp-OutputArea img')];
               await Promise.all(pictures.map(picture => picture.decode().catch(() => null)));
               return same >= 15;
             }})()"
        );
        self.browser
            .wait_for("a settled layout", &expression, SOON)?;
        Ok(())
    }

    fn choose(&self, menu: &str, entry: &str) -> Result<()> {
        self.open_menu(menu)?;
        self.browser.click(
            &format!("the entry {entry} of the menu {menu}, for {}", self.name),
            &menu_item(entry),
            SOON,
        )
    }

    fn open_menu(&self, menu: &str) -> Result<()> {
        let element = format!(
            "[...document.querySelectorAll('#jp-MainMenu .lm-MenuBar-item')].find(item => item.innerText.trim() === '{menu}')"
        );
        self.browser
            .click(&format!("the menu {menu}"), &element, SOON)
    }
}

/// An entry of an open menu, by its text.
fn menu_item(text: &str) -> String {
    format!(
        "[...document.querySelectorAll('.lm-Menu .lm-Menu-item')]\
         .find(item => item.querySelector('.lm-Menu-itemLabel')?.innerText.trim() === '{text}')"
    )
}

/// All code cells that say something, as [`CellState`].
const CELLS: &str = "jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === 'code' && cell.model.sharedModel.source.trim() !== '')
  .map(cell => ({
    source: cell.model.sharedModel.source,
    done: cell.model.executionCount !== null && cell.model.executionState === 'idle',
    errors: cell.model.outputs.toJSON().filter(output => output.output_type === 'error')
      .map(output => `${output.ename}: ${output.evalue}`),
  }))";

/// Plays each audio element in view that was not played yet, as [`AudioState`].
const PLAY_AUDIO: &str = "(async () => {
  const states = [];
  for (const audio of document.querySelectorAll('.jp-OutputArea audio:not([data-test-played])')) {
    audio.dataset.testPlayed = 'yes';
    const event = name => new Promise(done => audio.addEventListener(name, done, { once: true }));
    const failed = event('error');
    const patience = new Promise(done => setTimeout(done, 60000));
    if (audio.readyState < 1) await Promise.race([event('loadedmetadata'), failed, patience]);
    const before = audio.currentTime;
    let error = audio.error?.message ?? null;
    try {
      await Promise.race([audio.play(), patience]);
      const goal = Math.min(before + 0.3, audio.duration * 0.9);
      while (audio.currentTime < goal && !audio.ended && !audio.error) {
        const more = await Promise.race([event('timeupdate').then(() => true), event('ended').then(() => true), failed, patience]);
        if (more !== true) break;
      }
    } catch (refused) {
      error = String(refused);
    }
    states.push({
      duration: Number.isFinite(audio.duration) ? audio.duration : null,
      advanced: audio.currentTime - before,
      error: audio.error?.message ?? error,
    });
    audio.pause();
    audio.currentTime = 0;
  }
  return states;
})()";

/// The pictures wholly in view, as [`PictureState`]. Icons (of the player, of JupyterLab) are none.
const PICTURES: &str = "(() => {
  const panel = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer').getBoundingClientRect();
  return [...document.querySelectorAll('.jp-OutputArea img, .jp-OutputArea svg')]
    .map(picture => {
      const box = picture.getBoundingClientRect();
      const view = picture.viewBox?.baseVal;
      return {
        tag: picture.tagName.toLowerCase(),
        naturalWidth: picture.naturalWidth ?? (view?.width || box.width),
        naturalHeight: picture.naturalHeight ?? (view?.height || box.height),
        label: picture.getAttribute('alt') ?? picture.getAttribute('aria-label') ?? picture.querySelector('title')?.textContent ?? null,
        area: { x: box.x, y: box.y, width: box.width, height: box.height },
      };
    })
    .filter(({ area }) => area.width > 32 && area.height > 32 && area.y >= panel.y && area.y + area.height <= panel.bottom);
})()";

//! A headless Chromium that is used as a person uses it: it looks, clicks and types; it waits for what it can see.

use std::cell::RefCell;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::devtools::DevTools;

/// Names under which distributions install it.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(100);

/// A browser window with one page.
pub struct Browser(RefCell<DevTools>);

/// A place on the page, in CSS pixels from the window's top left.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    fn middle(self) -> (f64, f64) {
        (self.x + self.width / 2.0, self.y + self.height / 2.0)
    }
}

/// What is done with the mouse, as the protocol calls it.
#[derive(Debug, Clone, Copy)]
enum Mouse {
    Move,
    Press,
    Release,
    /// Turns the wheel down by so many pixels.
    Wheel(f64),
}

impl Browser {
    /// Opens a window of this size, in CSS pixels.
    pub fn open(width: u32, height: u32) -> Result<Self> {
        let window = format!("--window-size={width},{height}");
        let mut arguments = vec![
            window.as_str(),
            "--autoplay-policy=no-user-gesture-required",
            "--disable-breakpad",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-dev-shm-usage",
            "--disable-domain-reliability",
            "--disable-extensions",
            "--disable-gpu",
            "--disable-sync",
            "--force-color-profile=srgb",
            "--mute-audio",
            "--no-default-browser-check",
            "--no-pings",
            "--password-store=basic",
        ];
        if is_root() {
            arguments.push("--no-sandbox"); // the sandbox does not start for root
        }
        let browser = Self(RefCell::new(DevTools::start(
            &find_or_install()?,
            &arguments,
        )?));
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser.call("Emulation.setDeviceMetricsOverride", size)?;
        browser.call("Runtime.enable", json!({}))?;
        browser.call("Page.enable", json!({}))?;
        Ok(browser)
    }

    fn call(&self, method: &str, parameters: Value) -> Result<Value> {
        self.0.borrow_mut().call(method, parameters)
    }

    pub fn go_to(&self, address: &str) -> Result<()> {
        let answer = self.call("Page.navigate", json!({ "url": address }))?;
        ensure!(
            answer["errorText"].is_null(),
            "cannot open {address}: {}",
            answer["errorText"]
        );
        Ok(())
    }

    /// Uncaught exceptions of the page since the last time.
    pub fn exceptions(&self) -> Vec<String> {
        let thrown = self.0.borrow_mut().events("Runtime.exceptionThrown");
        thrown
            .iter()
            .map(|event| exception_text(&event["params"]["exceptionDetails"]))
            .collect()
    }

    /// The value of a JavaScript expression; a promise is awaited.
    pub fn look(&self, expression: &str) -> Result<Value> {
        let question = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true });
        let mut answer = self.call("Runtime.evaluate", question)?;
        let exception = &answer["exceptionDetails"];
        if !exception.is_null() {
            bail!(
                "the page answered `{}` with {}",
                shortened(expression),
                exception_text(exception)
            );
        }
        Ok(answer["result"]["value"].take())
    }

    /// Waits until the expression gives something other than null, false, "", 0; gives that.
    ///
    /// An expression that throws (an element that is not there yet) counts as not yet.
    pub fn wait_for(&self, what: &str, expression: &str, at_most: Duration) -> Result<Value> {
        let started = Instant::now();
        loop {
            let seen = self.look(expression);
            match &seen {
                Ok(Value::Null | Value::Bool(false)) | Err(_) => {}
                Ok(Value::String(text)) if text.is_empty() => {}
                Ok(Value::Number(number)) if number.as_f64() == Some(0.0) => {}
                Ok(value) => return Ok(value.clone()),
            }
            if started.elapsed() > at_most {
                bail!(
                    "waited {} s in vain for {what}; the page says {seen:?}",
                    at_most.as_secs()
                );
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for an element that can be seen, and where it is.
    pub fn area(&self, what: &str, element: &str, at_most: Duration) -> Result<Area> {
        let expression = format!(
            "(() => {{ const element = {element}; if (!element) return null;
               const box = element.getBoundingClientRect();
               return box.width > 0 && box.height > 0 ? {{x: box.x, y: box.y, width: box.width, height: box.height}} : null; }})()"
        );
        let area = self.wait_for(what, &expression, at_most)?;
        Ok(serde_json::from_value(area)?)
    }

    /// Clicks in the middle of an element, once it can be seen.
    pub fn click(&self, what: &str, element: &str, at_most: Duration) -> Result<()> {
        let area = self.area(what, element, at_most)?;
        for what in [Mouse::Move, Mouse::Press, Mouse::Release] {
            self.mouse(area, what)?;
        }
        Ok(())
    }

    /// Moves the mouse over an element, once it can be seen.
    pub fn hover(&self, what: &str, element: &str, at_most: Duration) -> Result<()> {
        self.mouse(self.area(what, element, at_most)?, Mouse::Move)
    }

    /// Turns the mouse wheel over a place, down by so many pixels.
    pub fn wheel(&self, over: Area, down: f64) -> Result<()> {
        self.mouse(over, Mouse::Wheel(down))
    }

    fn mouse(&self, over: Area, what: Mouse) -> Result<()> {
        let (x, y) = over.middle();
        let event = match what {
            Mouse::Move => json!({ "type": "mouseMoved", "x": x, "y": y }),
            Mouse::Press => {
                json!({ "type": "mousePressed", "x": x, "y": y, "button": "left", "clickCount": 1 })
            }
            Mouse::Release => {
                json!({ "type": "mouseReleased", "x": x, "y": y, "button": "left", "clickCount": 1 })
            }
            Mouse::Wheel(down) => {
                json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": down })
            }
        };
        self.call("Input.dispatchMouseEvent", event)?;
        Ok(())
    }

    /// Presses a letter together with Control.
    pub fn press_control(&self, letter: char) -> Result<()> {
        const CONTROL: u32 = 2;
        let upper = letter.to_ascii_uppercase();
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": letter.to_string(), "code": format!("Key{upper}"),
                                "windowsVirtualKeyCode": u32::from(upper), "modifiers": CONTROL });
            self.call("Input.dispatchKeyEvent", event)?;
        }
        Ok(())
    }

    /// A PNG of the window, or of a part of it.
    pub fn screenshot(&self, part: Option<Area>) -> Result<Vec<u8>> {
        let mut wish = json!({ "format": "png" });
        if let Some(Area {
            x,
            y,
            width,
            height,
        }) = part
        {
            wish["clip"] = json!({ "x": x, "y": y, "width": width, "height": height, "scale": 1 });
        }
        let answer = self.call("Page.captureScreenshot", wish)?;
        let data = answer["data"]
            .as_str()
            .context("a screenshot without data")?;
        Ok(BASE64_STANDARD.decode(data)?)
    }
}

fn exception_text(details: &Value) -> String {
    let text = details["exception"]["description"]
        .as_str()
        .or(details["text"].as_str());
    text.map_or_else(|| details.to_string(), str::to_owned)
}

/// The browser's program: on the `PATH`, else installed with apt-get where that is possible.
fn find_or_install() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    const ADVICE: &str =
        "the browser test needs Chromium; install it (Debian: apt-get install chromium)";
    ensure!(is_root() && on_path("apt-get").is_some(), "{ADVICE}");
    for arguments in [
        &["update", "-qq"][..],
        &[
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "chromium",
        ],
    ] {
        let status = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        ensure!(
            status.success(),
            "apt-get {} failed; {ADVICE}",
            arguments.join(" ")
        );
    }
    find().context(ADVICE)
}

fn find() -> Option<PathBuf> {
    NAMES.iter().find_map(|name| on_path(name))
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Chromium's sandbox does not start for root.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    Path::new("/proc/self")
        .metadata()
        .is_ok_and(|metadata| metadata.uid() == 0)
}

fn shortened(expression: &str) -> String {
    expression.chars().take(200).collect()
}

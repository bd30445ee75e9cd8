//! Chromium's DevTools protocol, as far as the tests need it: commands and answers as JSON over two pipes.
//!
//! The pipes (`--remote-debugging-pipe`) need neither a port nor a WebSocket, and plain JSON needs no bindings that go out of
//! date with each release of Chromium. Protocol: <https://chromedevtools.github.io/devtools-protocol/>.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// How long the browser may take for one answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running browser with one page. Ends with the browser when dropped.
pub struct DevTools {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    /// What the page told without being asked, oldest first.
    events: VecDeque<Value>,
    /// The page's session; empty before there is one.
    session: Option<String>,
    last_id: u64,
    /// The browser's profile, removed at the end.
    _profile: tempfile::TempDir,
}

impl DevTools {
    /// Starts the browser and opens a page.
    pub fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        // The browser reads commands from descriptor 3 and answers on 4; the shell puts our two pipes there.
        let mut process = Command::new("sh")
            .args([
                "-c",
                r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#,
            ])
            .arg(program)
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--no-first-run",
                "--disable-background-networking",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let commands = process.stdin.take().context("no pipe to the browser")?;
        let answers = BufReader::new(process.stdout.take().context("no pipe from the browser")?);

        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else {
                    continue;
                };
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut devtools = Self {
            process,
            commands,
            messages,
            events: VecDeque::new(),
            session: None,
            last_id: 0,
            _profile: profile,
        };
        let target = devtools.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let session = devtools.call(
            "Target.attachToTarget",
            json!({ "targetId": target["targetId"], "flatten": true }),
        )?;
        devtools.session = Some(
            session["sessionId"]
                .as_str()
                .context("the page has no session")?
                .to_owned(),
        );
        Ok(devtools)
    }

    /// Gives the page a command and waits for its answer.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut line = serde_json::to_vec(&command)?;
        line.push(0);
        self.commands
            .write_all(&line)
            .with_context(|| format!("the browser is gone before {method}"))?;
        loop {
            let mut message = self
                .messages
                .recv_timeout(PATIENCE)
                .with_context(|| format!("the browser does not answer {method}"))?;
            if message["id"] == self.last_id {
                if !message["error"].is_null() {
                    bail!("the browser refuses {method}: {}", message["error"]);
                }
                return Ok(message["result"].take());
            }
            self.note(message);
        }
    }

    /// What the page told by itself under this name since the last time it was asked for.
    pub fn events(&mut self, method: &str) -> Vec<Value> {
        while let Ok(message) = self.messages.try_recv() {
            self.note(message);
        }
        let (wanted, others) = self
            .events
            .drain(..)
            .partition(|event| event["method"] == method);
        self.events = others;
        let wanted: VecDeque<Value> = wanted;
        wanted.into()
    }

    fn note(&mut self, message: Value) {
        if message["method"].is_string() {
            self.events.push_back(message);
        }
    }
}

impl Drop for DevTools {
    fn drop(&mut self) {
        self.session = None;
        if self.call("Browser.close", json!({})).is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

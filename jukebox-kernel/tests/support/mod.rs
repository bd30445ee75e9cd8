//! A Jupyter client that starts the kernel's program as a front end would, and keeps every message it gets.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use jupyter_protocol::connection_info::Transport;
use jupyter_protocol::{
    ConnectionInfo, ExecuteReply, ExecuteRequest, ExecutionState, JupyterMessage,
    JupyterMessageContent, KernelInfoRequest, ShutdownRequest,
};
use jupyter_zmq_client as zmq;
use tokio::runtime::Runtime;

/// Long enough for a loaded machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running kernel and a client of it.
pub struct Kernel {
    pub process: Child,
    pub connection: ConnectionInfo,
    runtime: Runtime,
    shell: zmq::ClientShellConnection,
    control: zmq::ClientControlConnection,
    iopub: zmq::ClientIoPubConnection,
    heartbeat: zmq::ClientHeartbeatConnection,
    _folder: tempfile::TempDir,
}

/// What came back for one `execute_request`.
pub struct Outcome {
    /// The messages on iopub that belong to it, in order.
    pub messages: Vec<JupyterMessageContent>,
    pub reply: ExecuteReply,
}

/// Builds the prelude, once for all tests of a program.
pub fn build_prelude() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| drop(jukebox_kernel::prelude::ensure_built(|_| {}).unwrap()));
}

impl Kernel {
    /// Starts the kernel and waits until it answers.
    pub fn start() -> Self {
        build_prelude();
        Self::start_program(env!("CARGO_BIN_EXE_jukebox-kernel").into(), |file| {
            vec!["kernel".into(), "-f".into(), file]
        })
    }

    /// Starts any kernel program; `arguments` are made from the path of the connection file.
    pub fn start_program(program: PathBuf, arguments: impl FnOnce(String) -> Vec<String>) -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (connection, process) = runtime.block_on(async {
            let (ports, listeners) =
                zmq::peek_ports_with_listeners(IpAddr::V4(Ipv4Addr::LOCALHOST), 5)
                    .await
                    .unwrap();
            let connection = ConnectionInfo {
                ip: "127.0.0.1".into(),
                transport: Transport::TCP,
                shell_port: ports[0],
                iopub_port: ports[1],
                stdin_port: ports[2],
                control_port: ports[3],
                hb_port: ports[4],
                key: uuid::Uuid::new_v4().to_string(),
                signature_scheme: "hmac-sha256".into(),
                kernel_name: None,
            };
            let file = folder.path().join("connection.json");
            std::fs::write(&file, serde_json::to_vec(&connection).unwrap()).unwrap();
            drop(listeners);
            let process = Command::new(program)
                .args(arguments(file.display().to_string()))
                .stdin(Stdio::null())
                .env("JPY_PARENT_PID", std::process::id().to_string())
                .spawn()
                .unwrap();
            (connection, process)
        });
        let session = uuid::Uuid::new_v4().to_string();
        let (shell, control, iopub, heartbeat) = runtime.block_on(async {
            let identity = zmq::peer_identity_for_session(&session).unwrap();
            let iopub =
                retry(|| zmq::create_client_iopub_connection(&connection, "", &session)).await;
            let shell =
                zmq::create_client_shell_connection_with_identity(&connection, &session, identity)
                    .await
                    .unwrap();
            let control = zmq::create_client_control_connection(&connection, &session)
                .await
                .unwrap();
            let heartbeat = zmq::create_client_heartbeat_connection(&connection)
                .await
                .unwrap();
            (shell, control, iopub, heartbeat)
        });
        let mut kernel = Self {
            process,
            connection,
            runtime,
            shell,
            control,
            iopub,
            heartbeat,
            _folder: folder,
        };
        kernel.wait_until_ready();
        kernel
    }

    /// Asks for the kernel's description until the status messages of one request have come: the subscription is in force then.
    fn wait_until_ready(&mut self) {
        loop {
            let request: JupyterMessage = KernelInfoRequest {}.into();
            let id = request.header.msg_id.clone();
            self.send(request);
            self.reply_to(&id);
            let idle = self.runtime.block_on(async {
                tokio::time::timeout(Duration::from_millis(500), async {
                    loop {
                        let message = self.iopub.read().await.unwrap();
                        if parent_of(&message) == Some(&id) && is_idle(&message) {
                            return;
                        }
                    }
                })
                .await
            });
            if idle.is_ok() {
                return;
            }
        }
    }

    /// Sends on the shell channel.
    pub fn send(&mut self, message: JupyterMessage) {
        self.runtime.block_on(self.shell.send(message)).unwrap();
    }

    /// Sends on the control channel and returns the reply.
    pub fn control(&mut self, request: impl Into<JupyterMessage>) -> JupyterMessage {
        let request = request.into();
        self.runtime.block_on(async {
            self.control.send(request).await.unwrap();
            within(self.control.read()).await
        })
    }

    /// Sends a request on the shell channel and returns the reply.
    pub fn request(&mut self, request: impl Into<JupyterMessage>) -> JupyterMessageContent {
        let request = request.into();
        let id = request.header.msg_id.clone();
        self.send(request);
        self.reply_to(&id)
    }

    fn reply_to(&mut self, id: &str) -> JupyterMessageContent {
        loop {
            let reply = self.runtime.block_on(within(self.shell.read()));
            if parent_of(&reply).is_some_and(|parent| parent == id) {
                return reply.content;
            }
        }
    }

    /// Starts a cell and returns the id of the request.
    pub fn begin(&mut self, code: &str) -> String {
        let request: JupyterMessage = ExecuteRequest::new(code.to_owned()).into();
        let id = request.header.msg_id.clone();
        self.send(request);
        id
    }

    /// The next message on iopub that belongs to the request.
    pub fn next(&mut self, id: &str) -> JupyterMessageContent {
        loop {
            let message = self.runtime.block_on(within(self.iopub.read()));
            if parent_of(&message).is_some_and(|parent| parent == id) {
                return message.content;
            }
        }
    }

    /// Sends a cell by a connection of its own, and does not wait for an answer.
    pub fn send_as(&self, connection: &ConnectionInfo, code: &str) {
        self.runtime.block_on(async {
            let identity = zmq::peer_identity_for_session("stranger").unwrap();
            let mut shell =
                zmq::create_client_shell_connection_with_identity(connection, "stranger", identity)
                    .await
                    .unwrap();
            shell
                .send(ExecuteRequest::new(code.to_owned()).into())
                .await
                .unwrap();
        });
    }

    /// Waits for a text on a stream.
    pub fn wait_for_text(&mut self, id: &str, wanted: &str) {
        loop {
            match self.next(id) {
                JupyterMessageContent::StreamContent(stream) if stream.text.contains(wanted) => {
                    return;
                }
                JupyterMessageContent::Status(status)
                    if status.execution_state == ExecutionState::Idle =>
                {
                    panic!("the cell ended without {wanted:?}")
                }
                _ => {}
            }
        }
    }

    /// Collects what is left of a cell that was begun.
    pub fn finish(&mut self, id: &str) -> Outcome {
        let mut messages = Vec::new();
        loop {
            let content = self.next(id);
            let idle = matches!(&content, JupyterMessageContent::Status(status) if status.execution_state == ExecutionState::Idle);
            messages.push(content);
            if idle {
                break;
            }
        }
        match self.reply_to(id) {
            JupyterMessageContent::ExecuteReply(reply) => Outcome { messages, reply },
            other => panic!("not a reply to a cell: {other:?}"),
        }
    }

    /// Runs a cell to its end.
    pub fn execute(&mut self, code: &str) -> Outcome {
        let id = self.begin(code);
        self.finish(&id)
    }

    /// Whether the heartbeat is answered.
    pub fn beats(&mut self) {
        self.runtime
            .block_on(within(self.heartbeat.single_heartbeat()));
    }

    /// Asks the kernel to shut down and waits until it has. Returns whether it ended well.
    pub fn shut_down(&mut self, restart: bool) -> bool {
        let reply = self.control(ShutdownRequest { restart });
        assert_eq!(reply.message_type(), "shutdown_reply");
        self.wait_for_exit()
    }

    pub fn wait_for_exit(&mut self) -> bool {
        eventually(|| self.process.try_wait().unwrap()).success()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Outcome {
    /// The types of the messages, without those about streams, of which there may be more or fewer.
    pub fn kinds(&self) -> Vec<&str> {
        let kinds = self.messages.iter().map(|message| message.message_type());
        let mut kinds: Vec<_> = kinds.collect();
        kinds.dedup_by(|a, b| a == b && *a == "stream");
        kinds
    }

    /// All that was written to a stream.
    pub fn text(&self, stream: &str) -> String {
        let texts = self.messages.iter().filter_map(|message| match message {
            JupyterMessageContent::StreamContent(content) => {
                let name = serde_json::to_value(&content.name).unwrap();
                (name == stream).then_some(content.text.as_str())
            }
            _ => None,
        });
        texts.collect()
    }

    /// The result as text; panics with the error if there is none.
    pub fn result(&self) -> String {
        let result = self.messages.iter().find_map(|message| match message {
            JupyterMessageContent::ExecuteResult(result) => {
                Some(serde_json::to_value(&result.data).unwrap())
            }
            _ => None,
        });
        let result = result.unwrap_or_else(|| panic!("no result: {:?}", self.messages));
        result["text/plain"].as_str().unwrap().to_owned()
    }

    /// The error's name, message and report; panics if there is none.
    pub fn error(&self) -> (String, String, String) {
        let error = self.messages.iter().find_map(|message| match message {
            JupyterMessageContent::ErrorOutput(error) => Some(error),
            _ => None,
        });
        let error = error.unwrap_or_else(|| panic!("no error: {:?}", self.messages));
        (
            error.ename.clone(),
            error.evalue.clone(),
            without_colours(&error.traceback.join("\n")),
        )
    }

    pub fn assert_ok(&self) -> &Self {
        assert_eq!(
            self.reply.status,
            jupyter_protocol::ReplyStatus::Ok,
            "{:?}",
            self.messages
        );
        self
    }
}

/// Waits until something is there.
pub fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn parent_of(message: &JupyterMessage) -> Option<&String> {
    message.parent_header.as_ref().map(|header| &header.msg_id)
}

fn is_idle(message: &JupyterMessage) -> bool {
    matches!(&message.content, JupyterMessageContent::Status(status) if status.execution_state == ExecutionState::Idle)
}

async fn within<T>(future: impl Future<Output = zmq::Result<T>>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("no message in time")
        .unwrap()
}

/// Tries again until the kernel has opened its ports.
async fn retry<T, F: Future<Output = zmq::Result<T>>>(mut connect: impl FnMut() -> F) -> T {
    let start = std::time::Instant::now();
    loop {
        match connect().await {
            Ok(connection) => return connection,
            Err(error) => assert!(start.elapsed() < PATIENCE, "cannot connect: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn without_colours(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split('\x1b');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    out
}

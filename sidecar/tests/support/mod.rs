//! A sidecar as a process of its own, and subscribers that speak HTTP to it.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub(crate) mod postgres;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use mock_node::{Event, Filter, Network as _, Node, RealNetwork, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Long enough for a busy machine; whatever takes longer is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A port that was free a moment ago.
pub(crate) async fn free_port() -> u16 {
    let listener = RealNetwork::loopback().bind(0).await.expect("loopback has free ports");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// A node with defaults, served on free ports.
pub(crate) async fn node() -> Running {
    Node::builder().build().start(RealNetwork::loopback()).await.expect("loopback has free ports")
}

/// A deploy that expired: a small event with a name of its own.
pub(crate) fn expired(number: usize) -> Event {
    let json = format!("{{\"DeployExpired\":{{\"deploy_hash\":\"{number:064x}\"}}}}");
    Event::raw(Filter::Main, Bytes::from(json))
}

/// Lets a node send so many of them, each `pause` after the one before.
pub(crate) fn feed(node: &Running, count: usize, pause: Duration) -> JoinSet<()> {
    let node = node.node();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for number in 0..count {
            node.emit(expired(number));
            sleep(pause).await;
        }
    });
    tasks
}

/// Ports and files of a sidecar, which survive its process.
pub(crate) struct Place {
    pub folder: tempfile::TempDir,
    pub events: u16,
    pub rest: u16,
    pub admin: u16,
    /// The section of the configuration that says which database.
    pub database: String,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let [events, rest, admin] = [free_port().await, free_port().await, free_port().await];
        let database = "[storage.sqlite_config]\nfile_name = \"events.db3\"\nmax_connections_in_pool = 10\n\
                        wal_autocheckpointing_interval = 1000\n"
            .to_owned();
        Self { folder, events, rest, admin, database }
    }

    /// Writes a configuration for these nodes, given by their ports.
    pub(crate) fn configure(&self, nodes: &[(u16, u16)], max_attempts: u32) -> PathBuf {
        let mut text = format!(
            "[storage]\nstorage_path = \"{}\"\n{}[rest_server]\nport = {}\nmax_concurrent_requests = 50\nmax_requests_per_second = 50\n\
             [event_stream_server]\nport = {}\nmax_concurrent_subscribers = 100\nevent_stream_buffer_length = 5000\n\
             [admin_server]\nport = {}\nmax_concurrent_requests = 50\nmax_requests_per_second = 50\n",
            self.storage().display(),
            self.database,
            self.rest,
            self.events,
            self.admin
        );
        for (sse, rest) in nodes {
            text += &format!(
                "[[connections]]\nip_address = \"127.0.0.1\"\nsse_port = {sse}\nrest_port = {rest}\n\
                 max_attempts = {max_attempts}\ndelay_between_retries_in_seconds = 1\n\
                 allow_partial_connection = false\nenable_logging = true\n"
            );
        }
        let path = self.folder.path().join("config.toml");
        std::fs::write(&path, text).expect("the configuration is written");
        path
    }

    pub(crate) fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    /// Starts the binary and waits until its streams answer.
    pub(crate) async fn start(&self, config: &Path) -> Sidecar {
        let sidecar = Sidecar::spawn(&mut command(config));
        let answers = async {
            while TcpStream::connect(("127.0.0.1", self.events)).await.is_err() {
                sleep(Duration::from_millis(20)).await
            }
        };
        timeout(PATIENCE, answers).await.expect("the sidecar answers");
        sidecar
    }
}

/// What runs the binary with a configuration.
pub(crate) fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casper-event-sidecar"));
    command.arg("--path-to-config").arg(config).env("RUST_LOG", "warn").stdout(Stdio::null());
    command
}

/// The ports of a running node.
pub(crate) fn ports(node: &Running) -> (u16, u16) {
    (node.sse_addr().port(), node.rest_addr().port())
}

/// A process that is killed if the test ends without it.
pub(crate) struct Sidecar {
    process: Child,
}

impl Sidecar {
    /// Starts what `command` says.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self { process: command.spawn().expect("the binary starts") }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// SIGTERM, as a service manager ends it.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        let sent = Command::new("kill").arg(self.id().to_string()).status().expect("there is a kill command");
        assert!(sent.success());
        self.ended().await
    }

    /// Waits until it ends.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = async {
            loop {
                if let Some(status) = self.process.try_wait().expect("the process can be asked") {
                    return status;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, ended).await.expect("the sidecar ends")
    }

    /// Resident memory that is not of files, in MB.
    pub(crate) fn anonymous_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("RssAnon")).expect("Linux tells it");
        let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
        kilobytes / 1000
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended by itself, which is no error here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One message of a stream, as far as these tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub data: String,
    pub id: Option<u64>,
}

/// A subscriber on a plain socket; HTTP/1.0, so that no chunk sizes stand between the messages.
pub(crate) struct Subscriber {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Subscriber {
    /// Subscribes to `path`, and reads the header of the answer.
    pub(crate) async fn connect(port: u16, path: &str, last_event_id: Option<u64>) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("the sidecar listens");
        let resume = last_event_id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{resume}\r\n");
        socket.write_all(request.as_bytes()).await.expect("it takes a request");
        let mut subscriber = Self { socket, buffer: Vec::new() };
        let header = subscriber.until(b"\r\n\r\n").await.expect("it answers");
        assert!(header.starts_with("HTTP/1.0 200"), "{header}");
        subscriber
    }

    /// The next message; `None` when the stream has ended, in good order or not.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            let text = self.until(b"\n\n").await?;
            let data = text.lines().find_map(|line| line.strip_prefix("data:"));
            let id = text.lines().find_map(|line| line.strip_prefix("id:"));
            if let Some(data) = data {
                return Some(Message { data: data.to_owned(), id: id.and_then(|id| id.parse().ok()) });
            }
        }
    }

    /// The next `count` messages that have an id.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.len() < count {
            let next = timeout(PATIENCE, self.next()).await;
            let message = next.unwrap_or_else(|_| panic!("only {} of {count} messages came", messages.len()));
            let message = message.expect("the stream goes on");
            if message.id.is_some() {
                messages.push(message);
            }
        }
        messages
    }

    async fn until(&mut self, end: &[u8]) -> Option<String> {
        let mut looked_at = 0;
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer[looked_at..], end) {
                let part = self.buffer.drain(..looked_at + at + end.len()).collect();
                return Some(String::from_utf8(part).expect("UTF-8"));
            }
            looked_at = self.buffer.len().saturating_sub(end.len());
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }
}

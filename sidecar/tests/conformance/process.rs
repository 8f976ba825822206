//! The binary as a process of its own, on free ports.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use conformance::wire::Origin;
use mock_node::{Network as _, Node, RealNetwork, Running};

/// A running sidecar. Killed if the test ends without it.
pub(crate) struct Sidecar {
    process: Child,
    pub(crate) events: Origin,
    pub(crate) rest: Origin,
    pub(crate) admin: Origin,
    /// Holds the configuration and the database.
    _folder: tempfile::TempDir,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended by itself, which is no error here.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The section of a configuration for SQLite.
const SQLITE: &str = "[storage.sqlite_config]\nfile_name = \"events.db3\"\nmax_connections_in_pool = 10\n\
                      wal_autocheckpointing_interval = 1000\n";

impl Sidecar {
    /// Starts the binary for these nodes, with SQLite, and waits until its servers answer.
    pub(crate) async fn start(nodes: &[&Running]) -> Self {
        Self::start_on(SQLITE, nodes).await
    }

    /// The same with this section of the configuration for the database.
    pub(crate) async fn start_on(database: &str, nodes: &[&Running]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let ports = [free_port().await, free_port().await, free_port().await];
        let config = folder.path().join("config.toml");
        let places: Vec<_> = nodes.iter().map(|node| (node.sse_addr(), node.rest_addr())).collect();
        std::fs::write(&config, configuration(folder.path(), database, ports, &places))
            .expect("the configuration is written");
        let process = Command::new(env!("CARGO_BIN_EXE_casper-event-sidecar"))
            .arg("--path-to-config")
            .arg(&config)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let [events, rest, admin] = ports.map(origin);
        let mut sidecar = Self { process, events, rest, admin, _folder: folder };
        for server in [&sidecar.events, &sidecar.rest, &sidecar.admin] {
            // It is not known when it is ready; one that never is ends, or the harness ends the test.
            while reqwest::get(format!("{server}/")).await.is_err() {
                let ended = sidecar.process.try_wait().expect("the process can be asked");
                assert!(ended.is_none(), "the sidecar ended before it answered: {ended:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        sidecar
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn end(mut self) -> ExitStatus {
        let waiting = tokio::task::spawn_blocking(move || self.process.wait());
        waiting.await.expect("no panic").expect("the process can be waited for")
    }
}

/// A mock node on free ports.
pub(crate) async fn node() -> Running {
    Node::builder().build().start(RealNetwork::loopback()).await.expect("loopback has free ports")
}

/// The address of a port of this machine.
pub(crate) fn origin(port: u16) -> Origin {
    Origin::parse(&format!("http://127.0.0.1:{port}")).expect("an address of the right form")
}

/// A port that was free a moment ago.
async fn free_port() -> u16 {
    let listener = RealNetwork::loopback().bind(0).await.expect("loopback has free ports");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Twelve attempts a second apart: more time than a node of the suite is away, and an end within the suite's patience.
fn configuration(
    folder: &Path,
    database: &str,
    ports: [u16; 3],
    nodes: &[(SocketAddr, SocketAddr)],
) -> String {
    let [events, rest, admin] = ports;
    let mut text = format!(
        r#"
        [storage]
        storage_path = "{folder}"
        {database}
        [rest_server]
        address = "127.0.0.1"
        port = {rest}
        max_concurrent_requests = 50
        max_requests_per_second = 30
        [event_stream_server]
        address = "127.0.0.1"
        port = {events}
        max_concurrent_subscribers = 100
        event_stream_buffer_length = 5000
        [admin_server]
        address = "127.0.0.1"
        port = {admin}
        max_concurrent_requests = 10
        max_requests_per_second = 50
        "#,
        folder = folder.display()
    );
    for (sse, status) in nodes {
        text.push_str(&format!(
            r#"
            [[connections]]
            ip_address = "{}"
            sse_port = {}
            rest_port = {}
            max_attempts = 12
            delay_between_retries_in_seconds = 1
            allow_partial_connection = false
            enable_logging = true
            "#,
            sse.ip(),
            sse.port(),
            status.port()
        ));
    }
    text
}

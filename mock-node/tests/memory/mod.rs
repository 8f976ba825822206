#![allow(dead_code, reason = "each test file uses another part")]
//! A network in memory: with paused time the tests that use it need no real seconds and no ports.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use mock_node::{Listener, Network, Node};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Enough for a client to stall: what it does not read stays in the node.
const PIPE: usize = 64 * 1024;

type Ports = Arc<Mutex<BTreeMap<u16, mpsc::Sender<DuplexStream>>>>;

#[derive(Clone, Default)]
pub(crate) struct MemoryNetwork {
    ports: Ports,
}

pub(crate) struct MemoryListener {
    port: u16,
    incoming: mpsc::Receiver<DuplexStream>,
}

impl Network for MemoryNetwork {
    type Io = DuplexStream;
    type Listener = MemoryListener;

    async fn bind(&self, port: u16) -> io::Result<MemoryListener> {
        let mut ports = self.ports.lock().expect("no test panics while it holds the lock");
        // A node binds the event stream first.
        let free = || [SSE, REST].into_iter().find(|port| !ports.contains_key(port)).unwrap_or_default();
        let port = if port == 0 { free() } else { port };
        if ports.get(&port).is_some_and(|sender| !sender.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, incoming) = mpsc::channel(128);
        ports.insert(port, sender);
        Ok(MemoryListener { port, incoming })
    }
}

impl Listener for MemoryListener {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        let stream = self.incoming.recv().await.ok_or(io::ErrorKind::NotConnected)?;
        Ok((stream, SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000))))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }
}

impl MemoryNetwork {
    pub(crate) async fn connect(&self, port: u16) -> io::Result<Client> {
        let sender = self.ports.lock().expect("no test panics with the lock").get(&port).cloned();
        let (ours, theirs) = duplex(PIPE);
        let sender = sender.ok_or(io::ErrorKind::ConnectionRefused)?;
        sender.send(theirs).await.map_err(|_closed| io::ErrorKind::ConnectionRefused)?;
        Ok(Client { stream: ours })
    }
}

/// A raw connection.
pub(crate) struct Client {
    stream: DuplexStream,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.expect("the node reads requests");
    }

    /// Everything that comes within a time, and whether the connection ended in it.
    pub(crate) async fn read_for(&mut self, time: Duration) -> (String, bool) {
        let mut all = Vec::new();
        let end = timeout(time, self.stream.read_to_end(&mut all)).await.is_ok();
        (String::from_utf8(all).expect("the node sends text"), end)
    }

    /// Everything that comes within a tenth of a second.
    pub(crate) async fn read(&mut self) -> String {
        self.read_for(Duration::from_millis(100)).await.0
    }
}

/// A served node and its network.
pub(crate) struct Served {
    pub(crate) node: Node,
    pub(crate) network: MemoryNetwork,
    token: CancellationToken,
    tasks: JoinSet<()>,
}

pub(crate) const SSE: u16 = 9999;
pub(crate) const REST: u16 = 8888;

impl Served {
    pub(crate) async fn new(node: Node) -> Self {
        let network = MemoryNetwork::default();
        let mut served = Self { node, network, token: CancellationToken::new(), tasks: JoinSet::new() };
        served.serve().await;
        served
    }

    pub(crate) async fn serve(&mut self) {
        let (node, network) = (self.node.clone(), self.network.clone());
        self.token = CancellationToken::new();
        let token = self.token.clone();
        self.tasks.spawn(async move { node.serve(&network, token).await.expect("the ports are free") });
        // The tasks that it spawned have been polled once this returns.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// The process that hosts the node ends, by its token.
    pub(crate) async fn end_host(&mut self) {
        self.token.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// The process that hosts the node is gone from one moment to the next.
    pub(crate) async fn abort_host(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Sends a request and returns the connection.
    pub(crate) async fn request(&self, port: u16, request: &str) -> Client {
        let mut client = self.network.connect(port).await.expect("the port is open");
        client.send(request).await;
        client
    }

    pub(crate) async fn get(&self, port: u16, path: &str) -> Client {
        self.request(port, &format!("GET {path} HTTP/1.1\r\nhost: node\r\n\r\n")).await
    }

    /// Subscribes and reads the opening away.
    pub(crate) async fn subscribe(&self, path: &str) -> Client {
        let mut client = self.get(SSE, path).await;
        let opening = client.read().await;
        assert!(opening.contains("\r\n\r\n1D\r\ndata:{\"ApiVersion\":\"1.5.8\"}\n\n\r\n"), "{opening}");
        client
    }
}

/// The lines of a chunked body that carry something: framing and blank lines left out.
pub(crate) fn lines(body: &str) -> Vec<&str> {
    let body =
        body.split_once("\r\n\r\n").filter(|_| body.starts_with("HTTP/")).map_or(body, |parts| parts.1);
    body.split('\n').filter(|line| !line.is_empty() && !line.ends_with('\r')).collect()
}

//! turmoil's network as the sidecar's [`Environment`] and as the mock node's [`Network`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use casper_event_sidecar::config;
use casper_event_sidecar::environment::{self, Environment};
use casper_event_sidecar::store::OpenError;
use mock_node::Network;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

use crate::storage::{SimStore, Storage};

/// Where the virtual wall clock stands when a simulation begins: that of the chains that the mock node makes up.
pub const EPOCH: Duration = Duration::from_secs(1_704_067_200);

/// Segments that a simulated connection holds in each direction before its writer has to wait.
pub const WINDOW: usize = 64;

/// Most bytes of one segment. turmoil makes a segment of whatever is written at once, and a window of segments of
/// megabytes would be no limit at all.
const SEGMENT: usize = 16 * 1024;

/// A simulated connection.
///
/// turmoil 0.7.2 loses the FIN of a writer whose window is full: the FIN takes no credit of the window, does not fit
/// into the reader's queue of the same length, and nothing delivers it later. A real FIN waits its turn. So here
/// the end of writing waits until the window has room. A connection that is *dropped* with a full window still
/// loses its FIN: its reader sees silence, which the simulated client takes for the end after a while.
#[derive(Debug)]
pub struct SimIo(TcpStream);

impl SimIo {
    /// Dials from the simulated host that calls it.
    ///
    /// # Errors
    /// If the host refuses, or is not known.
    pub async fn connect(host: &str, port: u16) -> io::Result<Self> {
        TcpStream::connect((host, port)).await.map(Self)
    }
}

impl AsyncRead for SimIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for SimIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, &bytes[..bytes.len().min(SEGMENT)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(pin!(self.0.writable()).poll(context))?;
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// A simulated port.
pub struct SimListener(TcpListener);

impl SimListener {
    async fn bind(port: u16) -> io::Result<Self> {
        TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)).await.map(Self)
    }

    async fn accept(&self) -> io::Result<(SimIo, SocketAddr)> {
        let (io, peer) = self.0.accept().await?;
        Ok((SimIo(io), peer))
    }
}

/// What a simulated sidecar reaches the outside by.
#[derive(Debug, Clone)]
pub struct SimEnvironment {
    storage: Storage,
}

impl SimEnvironment {
    /// An environment whose log is there.
    pub fn new(storage: Storage) -> Self {
        Self { storage }
    }
}

impl Environment for SimEnvironment {
    type Io = SimIo;
    type Listener = SimListener;
    type Store = SimStore;

    async fn connect(&self, host: &str, port: u16) -> io::Result<SimIo> {
        SimIo::connect(host, port).await
    }

    async fn bind(&self, _address: IpAddr, port: u16) -> io::Result<SimListener> {
        SimListener::bind(port).await
    }

    async fn open_store(&self, _storage: &config::Storage) -> Result<SimStore, OpenError> {
        self.storage.open()
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + EPOCH + now()
    }

    fn ready(&self, _ports: &[(&'static str, SocketAddr)]) {}
}

impl environment::Listener for SimListener {
    type Io = SimIo;

    async fn accept(&mut self) -> io::Result<(SimIo, SocketAddr)> {
        SimListener::accept(self).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Where simulated nodes get their ports.
#[derive(Debug, Clone, Copy)]
pub struct SimNetwork;

impl Network for SimNetwork {
    type Io = SimIo;
    type Listener = SimListener;

    async fn bind(&self, port: u16) -> io::Result<SimListener> {
        SimListener::bind(port).await
    }
}

impl mock_node::Listener for SimListener {
    type Io = SimIo;

    async fn accept(&mut self) -> io::Result<(SimIo, SocketAddr)> {
        SimListener::accept(self).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Virtual time since the simulation began, for whoever runs inside of it.
pub fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

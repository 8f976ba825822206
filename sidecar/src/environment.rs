//! The only way out: network, wall clock and storage come in by an [`Environment`].
//!
//! The binary builds a [`RealEnvironment`], a simulation builds a simulated one, and both call the same
//! [`run`](crate::run). Durations are `tokio::time`, which follows virtual time. Nothing else in this crate may
//! touch `std::time::*::now`, `tokio::net` or a global registry: `clippy.toml` denies them.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::config::Storage;
use crate::store::sqlite::Sqlite;
use crate::store::{OpenError, Store};

/// What a run reaches the outside world by.
pub trait Environment: Clone + Send + Sync + 'static {
    /// A byte stream to a peer.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// A bound port.
    type Listener: Listener<Io = Self::Io>;
    /// Where the log is kept.
    type Store: Store;

    /// Opens a connection to `host`, an IP address or a name.
    fn connect(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Self::Io>> + Send;

    /// Binds a port; 0 takes a free one.
    fn bind(&self, address: IpAddr, port: u16) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Opens the log, as its one writer.
    fn open_store(&self, storage: &Storage) -> impl Future<Output = Result<Self::Store, OpenError>> + Send;

    /// The wall clock.
    fn now(&self) -> SystemTime;
}

/// A bound port.
pub trait Listener: Send + 'static {
    /// A byte stream to a peer.
    type Io;

    /// The next connection and its peer's address. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send;

    /// The address it is bound to.
    ///
    /// # Errors
    /// If the operating system does not tell.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// The network and the clock of the operating system, and a database.
#[derive(Debug, Clone)]
pub struct RealEnvironment;

impl Environment for RealEnvironment {
    type Io = TcpStream;
    type Listener = TcpListener;
    type Store = Sqlite;

    #[expect(clippy::disallowed_methods, reason = "this is the one place that dials")]
    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let io = TcpStream::connect((host, port)).await?;
        io.set_nodelay(true)?;
        Ok(io)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that binds")]
    async fn bind(&self, address: IpAddr, port: u16) -> io::Result<TcpListener> {
        TcpListener::bind((address, port)).await
    }

    async fn open_store(&self, storage: &Storage) -> Result<Sqlite, OpenError> {
        Sqlite::open(storage).await
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (io, peer) = Self::accept(self).await?;
        io.set_nodelay(true)?;
        Ok((io, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// Milliseconds since the Unix epoch, 0 before it.
pub fn unix_milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

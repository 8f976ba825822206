//! The only way out: network, wall clock and storage come in by an [`Environment`].
//!
//! The binary builds a [`RealEnvironment`], a simulation builds a simulated one, and both call the same
//! [`run`](crate::run()). Durations are `tokio::time`, which follows virtual time. Nothing else in this crate may
//! touch `std::time::*::now`, `tokio::net` or a global registry: `clippy.toml` denies them.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::config::Storage;
use crate::store::any::AnyStore;
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

    /// Opens the log, as its one writer. May wait for a database that is not there yet; the future can be dropped.
    fn open_store(&self, storage: &Storage) -> impl Future<Output = Result<Self::Store, OpenError>> + Send;

    /// The wall clock.
    fn now(&self) -> SystemTime;

    /// All ports are open: each server by its section in the configuration, and where it listens.
    fn ready(&self, ports: &[(&'static str, SocketAddr)]);
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
#[derive(Clone, Default)]
pub struct RealEnvironment {
    ready: Option<Ready>,
}

/// What is told once all ports are open.
type Ready = Arc<dyn Fn(&[(&'static str, SocketAddr)]) + Send + Sync>;

impl RealEnvironment {
    /// Calls `ready` once all ports are open.
    pub fn telling(ready: impl Fn(&[(&'static str, SocketAddr)]) + Send + Sync + 'static) -> Self {
        Self { ready: Some(Arc::new(ready)) }
    }
}

impl Environment for RealEnvironment {
    type Io = TcpStream;
    type Listener = TcpListener;
    type Store = AnyStore;

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

    async fn open_store(&self, storage: &Storage) -> Result<AnyStore, OpenError> {
        AnyStore::open(storage).await
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn ready(&self, ports: &[(&'static str, SocketAddr)]) {
        if let Some(ready) = &self.ready {
            ready(ports);
        }
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

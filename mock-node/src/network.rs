//! The injected network layer: where a node's listeners come from.
//!
//! A node never touches `tokio::net` itself: [`RealNetwork`] binds real sockets, a simulation brings its own
//! [`Network`] (`tests/simulated.rs` has the twenty lines that adapt turmoil's).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncWrite};

/// Where listeners come from.
pub trait Network: Clone + Send + Sync + 'static {
    /// One accepted connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// A bound listener.
    type Listener: Listener<Io = Self::Io>;

    /// Binds `port`, 0 meaning any free one.
    fn bind(&self, port: u16) -> impl Future<Output = io::Result<Self::Listener>> + Send;
}

/// A bound listener. Dropping it closes the port: later connections are refused.
pub trait Listener: Send + 'static {
    /// One accepted connection.
    type Io;

    /// The next connection and who made it. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send;

    /// The address that clients dial.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Real TCP sockets on one address of this machine.
#[derive(Debug, Clone, Copy)]
pub struct RealNetwork {
    ip: IpAddr,
}

impl RealNetwork {
    /// Reachable from this machine alone.
    pub fn loopback() -> Self {
        Self::on(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// On a chosen address, such as `0.0.0.0` inside a container.
    pub fn on(ip: IpAddr) -> Self {
        Self { ip }
    }
}

impl Default for RealNetwork {
    fn default() -> Self {
        Self::loopback()
    }
}

impl Network for RealNetwork {
    type Io = tokio::net::TcpStream;
    type Listener = tokio::net::TcpListener;

    #[allow(clippy::disallowed_methods, reason = "this is the real implementation of the injected layer")]
    async fn bind(&self, port: u16) -> io::Result<Self::Listener> {
        tokio::net::TcpListener::bind((self.ip, port)).await
    }
}

impl Listener for tokio::net::TcpListener {
    type Io = tokio::net::TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Io, SocketAddr)> {
        let (stream, peer) = tokio::net::TcpListener::accept(self).await?;
        // Small events must not wait for the acknowledgement of the one before. It fails if the peer is gone already:
        // whoever reads will notice.
        let _peer_gone = stream.set_nodelay(true);
        Ok((stream, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        tokio::net::TcpListener::local_addr(self)
    }
}

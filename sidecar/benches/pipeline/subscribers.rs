//! Subscribers on plain sockets, and the bare loop that the sidecar's fan-out is compared with.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::process::Usage;

const PATIENCE: Duration = Duration::from_secs(120);

/// Subscribers that count bytes.
pub(crate) struct Subscribers {
    _readers: JoinSet<()>,
    counts: Vec<Arc<AtomicU64>>,
}

impl Subscribers {
    /// Connects `count` of them; each has had the first bytes of its answer.
    pub(crate) async fn connect(server: SocketAddr, count: usize, path: &str) -> anyhow::Result<Self> {
        let mut readers = JoinSet::new();
        let mut counts = Vec::new();
        for _ in 0..count {
            let mut socket = connect(server).await?;
            socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await?;
            let read = Arc::new(AtomicU64::new(0));
            counts.push(read.clone());
            let mut buffer = vec![0; 64 * 1024];
            ensure!(socket.read(&mut buffer).await? > 0, "no answer");
            readers.spawn(async move {
                while let Ok(bytes @ 1..) = socket.read(&mut buffer).await {
                    read.fetch_add(bytes as u64, Ordering::Relaxed);
                }
            });
        }
        Ok(Self { _readers: readers, counts })
    }

    /// Waits until each has read at least this much.
    pub(crate) async fn wait_for_bytes(&self, bytes: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        while !self.counts.iter().all(|count| count.load(Ordering::Relaxed) >= bytes) {
            let slowest = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).min();
            ensure!(began.elapsed() < PATIENCE, "the slowest subscriber read {slowest:?} of {bytes} bytes");
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Time and usage of a process that does nothing but write the same bytes to as many sockets.
    pub(crate) async fn bare(
        subscribers: usize,
        count: usize,
        bytes: usize,
    ) -> anyhow::Result<(Duration, Usage)> {
        let listener = listen().await?;
        let port = listener.local_addr()?.port().to_string();
        let arguments = [subscribers, count, bytes].map(|number| number.to_string());
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--bare-fan-out", &port])
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()?;
        let mut sockets = Vec::new();
        for _ in 0..subscribers {
            sockets.push(listener.accept().await?.0);
        }
        let before = Usage::of(child.id())?;
        let began = Instant::now();
        let all = (count * bytes) as u64;
        let mut readers = JoinSet::new();
        for mut socket in sockets {
            readers.spawn(async move {
                socket.write_all(b"go").await?;
                let mut buffer = vec![0; 64 * 1024];
                let mut read = 0;
                while read < all {
                    read += socket.read(&mut buffer).await? as u64;
                }
                anyhow::Ok(())
            });
        }
        while let Some(reader) = readers.join_next().await {
            reader??;
        }
        let time = began.elapsed();
        let usage = Usage::of(child.id())?.since(&before);
        drop(child.stdin.take());
        child.wait()?;
        Ok((time, usage))
    }
}

/// The other side of [`Subscribers::bare`]: one task for each socket, one write for each event.
pub(crate) async fn bare_fan_out(port: u16, arguments: &[String]) -> anyhow::Result<()> {
    let [subscribers, count, bytes] = arguments else { anyhow::bail!("three numbers are needed") };
    let (subscribers, count, bytes) =
        (subscribers.parse::<usize>()?, count.parse::<usize>()?, bytes.parse::<usize>()?);
    let event: Arc<[u8]> = vec![b'x'; bytes].into();
    let mut writers = JoinSet::new();
    for _ in 0..subscribers {
        let mut socket = connect(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        let event = event.clone();
        writers.spawn(async move {
            socket.read_exact(&mut [0; 2]).await?;
            for _ in 0..count {
                socket.write_all(&event).await?;
            }
            anyhow::Ok(socket)
        });
    }
    let mut sockets = Vec::new();
    while let Some(writer) = writers.join_next().await {
        sockets.push(writer??);
    }
    // The parent reads what was used before it lets this process end.
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// A subscriber that reads messages.
pub(crate) struct Reader {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    /// Connects it, and waits for the first message, which is the version.
    pub(crate) async fn connect(server: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let mut socket = connect(server).await?;
        // HTTP/1.0, so that no chunk sizes stand between the messages.
        socket.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes()).await?;
        let mut reader = Self { socket, buffer: Vec::new() };
        if !path.contains("start_from") {
            reader.next_message().await?;
        }
        Ok(reader)
    }

    /// Waits for the end of the next message, and forgets all that came.
    pub(crate) async fn next_message(&mut self) -> anyhow::Result<()> {
        self.buffer.clear();
        while !(self.buffer.ends_with(b"\n\n") && self.buffer.windows(5).any(|window| window == b"data:")) {
            self.more().await?;
        }
        Ok(())
    }

    /// Reads until the message with this id, and counts the messages with an id.
    pub(crate) async fn read_until_id(&mut self, last: u64) -> anyhow::Result<usize> {
        let end = format!("\nid:{last}\n\n");
        let mut count = 0;
        loop {
            self.more().await?;
            let complete =
                self.buffer.windows(2).rposition(|window| window == b"\n\n").map_or(0, |at| at + 2);
            count += memchr::memmem::find_iter(&self.buffer[..complete], b"\nid:").count();
            if self.buffer[..complete].ends_with(end.as_bytes()) {
                return Ok(count);
            }
            self.buffer.drain(..complete);
        }
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        self.buffer.reserve(256 * 1024);
        let bytes = timeout(PATIENCE, self.socket.read_buf(&mut self.buffer)).await??;
        ensure!(bytes > 0, "the stream ended");
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the real network")]
async fn connect(server: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpStream::connect(server).await.context("cannot connect")?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the real network")]
async fn listen() -> anyhow::Result<TcpListener> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).await?)
}

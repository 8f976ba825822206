//! The sidecar as a process, and what it uses.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use mock_node::{Node, RealNetwork};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// What a process has used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Time on a processor.
    pub(crate) cpu: Duration,
    /// Resident memory, files that are mapped included.
    pub(crate) resident_mb: f64,
    /// Resident memory that is not of files.
    pub(crate) anonymous_mb: f64,
}

impl Usage {
    /// Of the process `id`, as the kernel tells.
    pub(crate) fn of(id: u32) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).context("the process is gone")?;
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        // utime and stime, in hundredths of a second on every Linux.
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let megabytes = |name: &str| -> anyhow::Result<f64> {
            let line = status.lines().find(|line| line.starts_with(name)).context("no such field")?;
            let kilobytes: f64 = line.split_whitespace().nth(1).context("no value")?.parse()?;
            Ok(kilobytes / 1000.0 * 1.024)
        };
        Ok(Self {
            cpu: Duration::from_millis(ticks * 10),
            resident_mb: megabytes("VmRSS")?,
            anonymous_mb: megabytes("RssAnon")?,
        })
    }

    /// What was used since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self { cpu: self.cpu - before.cpu, ..*self }
    }
}

/// The section of a configuration for SQLite.
const SQLITE: &str = "[storage.sqlite_config]\nfile_name = \"events.db3\"\nmax_connections_in_pool = 10\n\
                      wal_autocheckpointing_interval = 1000\n";

/// Time on a processor of a process and all that it started, whether they have ended or not.
pub(crate) fn cpu_of_all(id: u32) -> anyhow::Result<Duration> {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc")? {
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
        let (Some(own), Some(rest)) = (stat.split(' ').next(), stat.rsplit(") ").next()) else { continue };
        let fields: Vec<_> = rest.split(' ').collect();
        let number = |at: usize| fields[at].parse::<u64>().unwrap_or(0);
        if own.parse() == Ok(id) {
            ticks += number(11) + number(12) + number(13) + number(14);
        } else if number(1) == u64::from(id) {
            ticks += number(11) + number(12);
        }
    }
    Ok(Duration::from_millis(ticks * 10))
}

/// A running sidecar with a folder and free ports of its own.
pub(crate) struct Sidecar {
    child: Child,
    /// Most anonymous memory that was seen, in kB.
    peak: Arc<AtomicU64>,
    _sampler: JoinSet<()>,
    folder: TempDir,
    events: SocketAddr,
    admin: SocketAddr,
}

impl Sidecar {
    /// Starts one that listens to these nodes, and waits until its ports are open.
    pub(crate) async fn start(nodes: &[&Node]) -> anyhow::Result<Self> {
        Self::start_on(SQLITE, nodes).await
    }

    /// The same with this section of the configuration for the database.
    pub(crate) async fn start_on(database: &str, nodes: &[&Node]) -> anyhow::Result<Self> {
        // Beside the build, not in a temporary folder, which may be memory: a sync must be one.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let [events, rest, admin] = [free_port().await?, free_port().await?, free_port().await?];
        let mut config = String::new();
        for node in nodes {
            let (sse, rest) =
                (node.bound_sse_addr().context("not served")?, node.bound_rest_addr().context("not served")?);
            config += &format!(
                "[[connections]]\nip_address = \"127.0.0.1\"\nsse_port = {}\nrest_port = {}\nmax_attempts = 10\n\
                 delay_between_retries_in_seconds = 1\nallow_partial_connection = false\nenable_logging = false\n",
                sse.port(),
                rest.port()
            );
        }
        config += &format!(
            "[storage]\nstorage_path = \"{}\"\n{database}[rest_server]\nport = {rest}\nmax_concurrent_requests = 50\nmax_requests_per_second = 50\n\
             [event_stream_server]\nport = {events}\nmax_concurrent_subscribers = 200\nevent_stream_buffer_length = 5000\n\
             [admin_server]\nport = {admin}\nmax_concurrent_requests = 50\nmax_requests_per_second = 500\n",
            folder.path().display()
        );
        let path = folder.path().join("config.toml");
        fs::File::create(&path)?.write_all(config.as_bytes())?;
        let child = Command::new(env!("CARGO_BIN_EXE_casper-event-sidecar"))
            .arg(&path)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start the sidecar")?;
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (peak, mut sampler) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        sampler.spawn(sample(child.id(), peak.clone()));
        let sidecar = Self { child, peak, _sampler: sampler, folder, events: at(events), admin: at(admin) };
        let began = Instant::now();
        while sidecar.head().await.is_err() {
            ensure!(began.elapsed() < Duration::from_secs(10), "the sidecar does not start");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(sidecar)
    }

    pub(crate) fn events_port(&self) -> SocketAddr {
        self.events
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// Most anonymous memory that was seen since the start, in MB.
    pub(crate) fn peak_mb(&self) -> f64 {
        f64::from(u32::try_from(self.peak.load(Ordering::Relaxed)).unwrap_or(u32::MAX)) / 1000.0
    }

    /// Id of the newest entry.
    async fn head(&self) -> anyhow::Result<u64> {
        let text = reqwest::get(format!("http://{}/metrics", self.admin)).await?.text().await?;
        let line =
            text.lines().find_map(|line| line.strip_prefix("sidecar_log_head_id ")).context("no head")?;
        Ok(line.parse()?)
    }

    /// Waits until this many entries are durable.
    pub(crate) async fn wait_for_head(&self, count: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let head = self.head().await?;
            if head >= count {
                return Ok(());
            }
            if began.elapsed() > Duration::from_secs(120) {
                bail!("only {head} of {count} events came in");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Bytes of the database and its write-ahead log.
    pub(crate) fn database_bytes(&self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(self.folder.path())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(".db3") {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes)
    }

    /// Ends it as a service manager would.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let status = Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(status.success(), "cannot end the sidecar");
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(began.elapsed() < Duration::from_secs(15), "the sidecar does not end");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // Only what went wrong leaves it running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks at a process's memory a hundred times a second until it is gone: the kernel keeps no peak of it.
async fn sample(id: u32, peak: Arc<AtomicU64>) {
    while let Ok(usage) = Usage::of(id) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size in kB")]
        peak.fetch_max((usage.anonymous_mb * 1000.0) as u64, Ordering::Relaxed);
        sleep(Duration::from_millis(10)).await;
    }
}

async fn free_port() -> anyhow::Result<u16> {
    use mock_node::Network;
    Ok(RealNetwork::loopback().bind(0).await?.local_addr()?.port())
}

/// How long each of `count` syncs of a small write takes on the disk that the sidecar used.
pub(crate) fn sync_times(count: usize) -> anyhow::Result<Vec<Duration>> {
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut times = Vec::new();
    for _ in 0..count {
        file.write_all(&[7; 4096])?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(times)
}

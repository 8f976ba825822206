//! The whole way of an event, measured from outside: mock nodes, the sidecar binary as a process of its own, and
//! subscribers on real sockets. What it prints is explained in `docs/benchmarks.md`.
//!
//! `cargo bench -p casper-event-sidecar --bench pipeline -- [--quick] [PART ...]`, where a part is one of `idle`,
//! `ingest`, `postgres`, `nodes`, `fanout`, `latency`, `replay`.

#[path = "../../tests/support/postgres.rs"]
mod postgres;
mod process;
mod source;
mod subscribers;

use std::time::Duration;

use anyhow::{Context, bail};
use mock_node::Node;
use process::{Sidecar, Usage};
use source::{mixed, signatures};
use subscribers::{Subscribers, bare_fan_out};
use tokio::time::{Instant, sleep};

/// How many events each part sends.
#[derive(Clone, Copy)]
struct Scale {
    signatures: usize,
    mixed: usize,
    fan_out: usize,
    latency: usize,
    replay: usize,
}

const FULL: Scale =
    Scale { signatures: 400_000, mixed: 100_000, fan_out: 4_000, latency: 500, replay: 1_000_000 };
const QUICK: Scale = Scale { signatures: 40_000, mixed: 10_000, fan_out: 500, latency: 100, replay: 100_000 };

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let [role, port, rest @ ..] = &*arguments
        && role == "--bare-fan-out"
    {
        return runtime.block_on(bare_fan_out(port.parse()?, rest));
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let parts: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| *wanted == part);
    let scale = if quick { QUICK } else { FULL };
    runtime.block_on(async {
        println!("{:<58} {:>12} {:>12} {:>12}", "", "per second", "CPU us each", "peak MB");
        if wanted("idle") {
            idle().await?;
        }
        if wanted("ingest") {
            ingest("ingest, signatures of 344 bytes", 1, scale.signatures, signatures).await?;
            ingest("ingest, a chain's mix", 1, scale.mixed, mixed).await?;
        }
        if wanted("postgres") {
            ingest_to_postgres("to PostgreSQL, signatures of 344 bytes", scale.signatures / 2, signatures)
                .await?;
            ingest_to_postgres("to PostgreSQL, a chain's mix", scale.mixed / 2, mixed).await?;
        }
        if wanted("nodes") {
            let one = ingest("one node, signatures", 1, scale.signatures / 2, signatures).await?;
            let three =
                ingest("three nodes, the same signatures", 3, scale.signatures / 2, signatures).await?;
            println!("  CPU of three nodes / of one: {:.2} (to be at most 1.3)", three / one);
        }
        if wanted("fanout") {
            fan_out(50, scale.fan_out).await?;
            fan_out(100, scale.fan_out / 2).await?;
        }
        if wanted("latency") {
            latency(scale.latency).await?;
        }
        if wanted("replay") {
            replay(scale.replay).await?;
        }
        Ok(())
    })
}

fn row(what: &str, count: usize, time: Duration, usage: &Usage, peak_mb: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let count = count as f64;
    let cpu = usage.cpu.as_secs_f64() * 1e6 / count;
    println!("{what:<58} {:>12.0} {cpu:>12.2} {:>12.1}", count / time.as_secs_f64(), peak_mb);
    cpu
}

/// Memory of a sidecar that has nothing to do.
async fn idle() -> anyhow::Result<()> {
    let node = source::node(5000).await?;
    let sidecar = Sidecar::start(&[&node]).await?;
    sleep(Duration::from_secs(2)).await;
    let usage = sidecar.usage()?;
    println!("{:<58} {:>12} {:>12} {:>12.1}", "idle", "", "", sidecar.peak_mb());
    println!(
        "  anonymous memory now {:.1} MB, whole resident {:.1} MB",
        usage.anonymous_mb, usage.resident_mb
    );
    sidecar.stop().await
}

/// Feeds `count` events as fast as they are taken and waits until all are durable. CPU microseconds per event.
async fn ingest(
    what: &str,
    nodes: usize,
    count: usize,
    events: fn(usize) -> Box<dyn Iterator<Item = mock_node::Event> + Send>,
) -> anyhow::Result<f64> {
    let mut running = Vec::new();
    for _ in 0..nodes {
        running.push(source::node(5000).await?);
    }
    let sidecar = Sidecar::start(&running.iter().map(|node| &**node).collect::<Vec<&Node>>()).await?;
    for node in &running {
        node.wait_for_subscribers(3).await;
    }
    let (began, before) = (Instant::now(), sidecar.usage()?);
    let feeds = running.iter().map(|node| source::feed(node, events(count)));
    futures_util::future::join_all(feeds).await;
    sidecar.wait_for_head(count as u64).await?;
    let (time, usage) = (began.elapsed(), sidecar.usage()?.since(&before));
    let cpu = row(what, count, time, &usage, sidecar.peak_mb());
    #[expect(clippy::cast_precision_loss, reason = "sizes stay far below 2^53")]
    let per_event = sidecar.database_bytes()? as f64 / count as f64;
    println!("  database bytes per event: {per_event:.0}");
    sidecar.stop().await?;
    Ok(cpu)
}

/// The same as [`ingest`] of one node, to a PostgreSQL server that syncs every commit.
async fn ingest_to_postgres(
    what: &str,
    count: usize,
    events: fn(usize) -> Box<dyn Iterator<Item = mock_node::Event> + Send>,
) -> anyhow::Result<()> {
    let Some(server) = postgres::own(&["fsync=on"]).await else { return Ok(()) };
    let database = server.address.section(&server.address.new_database().await);
    let node = source::node(5000).await?;
    let sidecar = Sidecar::start_on(&database, &[&node]).await?;
    node.wait_for_subscribers(3).await;
    let process = server.process().context("the server has no process")?;
    let (began, before) = (Instant::now(), sidecar.usage()?);
    let server_before = process::cpu_of_all(process)?;
    source::feed(&node, events(count)).await;
    sidecar.wait_for_head(count as u64).await?;
    let (time, usage) = (began.elapsed(), sidecar.usage()?.since(&before));
    let with_server = process::cpu_of_all(process)? - server_before + usage.cpu;
    row(what, count, time, &usage, sidecar.peak_mb());
    row("  with the server", count, time, &Usage { cpu: with_server, ..usage }, sidecar.peak_mb());
    sidecar.stop().await
}

/// Events of 7.5 kB to many subscribers, beside a bare loop that writes the same bytes to as many sockets.
async fn fan_out(subscribers: usize, count: usize) -> anyhow::Result<()> {
    let node = source::node(5000).await?;
    let sidecar = Sidecar::start(&[&node]).await?;
    node.wait_for_subscribers(3).await;
    let readers = Subscribers::connect(sidecar.events_port(), subscribers, "/events/main").await?;
    let bytes = 7500;
    let (began, before) = (Instant::now(), sidecar.usage()?);
    source::feed(&node, source::sized(count, bytes)).await;
    readers.wait_for_bytes((count * bytes) as u64).await?;
    let (time, usage) = (began.elapsed(), sidecar.usage()?.since(&before));
    let deliveries = count * subscribers;
    let what = format!("fan-out of 7.5 kB to {subscribers} subscribers, deliveries");
    row(&what, deliveries, time, &usage, sidecar.peak_mb());
    sidecar.stop().await?;
    let (bare_time, bare) = Subscribers::bare(subscribers, count, bytes).await?;
    row("  the same bytes by a bare loop", deliveries, bare_time, &bare, bare.anonymous_mb);
    println!("  bytes per second / of the bare loop: {:.2}", bare_time.as_secs_f64() / time.as_secs_f64());
    Ok(())
}

/// From a node's emission to a subscriber at 50 events a second, beside a bare `fdatasync`.
async fn latency(count: usize) -> anyhow::Result<()> {
    let node = source::node(5000).await?;
    let sidecar = Sidecar::start(&[&node]).await?;
    node.wait_for_subscribers(3).await;
    let mut reader = subscribers::Reader::connect(sidecar.events_port(), "/events/sigs").await?;
    let mut times = Vec::new();
    for event in signatures(count) {
        let began = Instant::now();
        node.emit(event);
        reader.next_message().await?;
        times.push(began.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    sidecar.stop().await?;
    let syncs = process::sync_times(count)?;
    let figure = |times: &mut Vec<Duration>, at: usize| {
        times.sort_unstable();
        times[(times.len() * at / 100).min(times.len() - 1)].as_secs_f64() * 1e3
    };
    let mut syncs = syncs;
    println!(
        "latency at 50 events/s, ms: p50 {:.2}, p99 {:.2}; one fdatasync: p50 {:.2}, p99 {:.2}",
        figure(&mut times, 50),
        figure(&mut times, 99),
        figure(&mut syncs, 50),
        figure(&mut syncs, 99),
    );
    Ok(())
}

/// All of a large log to one subscriber, and a full ring to fifty at once.
async fn replay(count: usize) -> anyhow::Result<()> {
    let node = source::node(5000).await?;
    let sidecar = Sidecar::start(&[&node]).await?;
    node.wait_for_subscribers(3).await;
    source::feed(&node, signatures(count)).await;
    sidecar.wait_for_head(count as u64).await?;
    let (began, before) = (Instant::now(), sidecar.usage()?);
    let mut reader = subscribers::Reader::connect(sidecar.events_port(), "/events/sigs?start_from=0").await?;
    let seen = reader.read_until_id(count as u64).await?;
    if seen != count {
        bail!("{seen} of {count} events were replayed");
    }
    let usage = sidecar.usage()?.since(&before);
    row("replay of a whole log to one subscriber", count, began.elapsed(), &usage, sidecar.peak_mb());
    let ring = 5000;
    let from = count - ring + 1;
    let (began, before) = (Instant::now(), sidecar.usage()?);
    let path = format!("/events/sigs?start_from={from}");
    let readers = Subscribers::connect(sidecar.events_port(), 50, &path).await.context("50 readers")?;
    readers.wait_for_bytes((ring * 344) as u64).await?;
    let usage = sidecar.usage()?.since(&before);
    row(
        "replay of a full ring to 50 subscribers, deliveries",
        ring * 50,
        began.elapsed(),
        &usage,
        sidecar.peak_mb(),
    );
    sidecar.stop().await
}

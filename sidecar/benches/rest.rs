//! Look-ups in a large database while events come in: latency and CPU, measured from outside on the sidecar binary.
//!
//! `cargo bench -p casper-event-sidecar --bench rest` prints a table: for each path the 50th and the 99th percentile
//! and the longest time at 500 requests/s, counted from the moment a request was due, so that a stall shows in all
//! that were due meanwhile; and the sidecar's CPU for each of as many requests as four connections can have answered.
//! Meanwhile a mock node sends 100 events/s. It never fails: machines differ.
//!
//! `-- --quick` takes 50,000 stored events instead of 500,000 and less time, `-- --events N` takes N, `-- --folder
//! PATH` says where the database is made, or taken from if an earlier run left one with as many events there, and
//! `-- --only PATH` measures one path of the table, as it is named there.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark measures real time, and prints figures for people"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use casper_event_sidecar::config;
use casper_event_sidecar::event::{ApiVersion, Filter, Message, Payload};
use casper_event_sidecar::store::sqlite::Sqlite;
use casper_event_sidecar::store::{Arrival, Batch, Store};
use mock_node::{Event, Network, Node, RealNetwork};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until};

const FILE: &str = "events.db3";

/// Events of one block and everything around it: a block, four deploys accepted and processed, signatures.
const PER_BLOCK: u64 = 20;
const DEPLOYS: u64 = 4;

/// Requests a second while latency is measured.
const RATE: u32 = 500;

/// Events a second that come in meanwhile.
const INCOMING: u32 = 100;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let events = match value("--events") {
        Some(number) => number.parse().context("--events takes a number")?,
        None if quick => 50_000,
        None => 500_000,
    };
    let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let only = value("--only").map(String::as_str);
    if let Some(only) = only {
        let names = PATHS.map(|(what, _)| what);
        ensure!(names.contains(&only), "--only takes one of {}", names.join(", "));
    }
    let folder = value("--folder").map_or_else(|| own.path().to_owned(), PathBuf::from);
    let seconds = if quick { 2 } else { 10 };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        fill(&folder, events).await?;
        measure(&folder, events / PER_BLOCK, seconds, only).await
    })
}

/// A name of 64 hexadecimal digits, different in its first digits for each number.
fn name(sort: u64, number: u64) -> String {
    let mut state = number.wrapping_mul(8) + sort;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    (0..4).map(|_| format!("{:016x}", next())).collect()
}

fn block_hash(height: u64) -> String {
    name(0, height)
}

fn deploy_hash(height: u64, index: u64) -> String {
    name(1, height * DEPLOYS + index)
}

fn validator(number: u64) -> String {
    format!("01{}", name(2, number))
}

fn era(height: u64) -> u64 {
    height / 100
}

/// The `index`th event around the block of this height, of a realistic size.
fn json(height: u64, index: u64) -> String {
    let (block, era) = (block_hash(height), era(height));
    match index {
        0 => format!(
            r#"{{"BlockAdded":{{"block_hash":"{block}","block":{{"hash":"{block}","header":{{"parent_hash":"{}","state_root_hash":"{block}","era_id":{era},"height":{height},"timestamp":"2026-11-23T18:49:56.992Z","protocol_version":"1.5.8"}},"body":{{"proposer":"{}","deploy_hashes":["{block}","{block}","{block}","{block}"],"transfer_hashes":[]}},"proofs":[]}}}}}}"#,
            block_hash(height.saturating_sub(1)),
            validator(height % 10)
        ),
        1..=DEPLOYS => format!(
            r#"{{"DeployAccepted":{{"hash":"{}","header":{{"account":"{}","timestamp":"2026-11-23T18:52:09.504Z","ttl":"30m"}},"payment":{{}},"session":{{"x":"{}"}},"approvals":[]}}}}"#,
            deploy_hash(height, index - 1),
            validator(index),
            "0".repeat(600)
        ),
        5..=8 => format!(
            r#"{{"DeployProcessed":{{"deploy_hash":"{}","account":"{}","block_hash":"{block}","execution_result":{{"Success":{{"effect":"{}"}}}}}}}}"#,
            deploy_hash(height, index - 5),
            validator(index),
            "0".repeat(1500)
        ),
        9 if height.is_multiple_of(100) => {
            format!(r#"{{"Step":{{"era_id":{era},"execution_effect":"{}"}}}}"#, "0".repeat(10_000))
        }
        10 if height.is_multiple_of(50) => {
            let (key, time) = (validator(height / 50 % 97), "2026-11-23T18:52:09.504Z");
            format!(r#"{{"Fault":{{"era_id":{era},"public_key":"{key}","timestamp":"{time}"}}}}"#)
        }
        _ => format!(
            r#"{{"FinalitySignature":{{"block_hash":"{block}","era_id":{era},"signature":"01{}{block}","public_key":"{}"}}}}"#,
            name(3, index),
            validator(index)
        ),
    }
}

fn sqlite() -> config::Sqlite {
    config::Sqlite {
        file_name: FILE.into(),
        max_connections_in_pool: 10,
        wal_autocheckpointing_interval: 1000,
    }
}

/// Makes the database, unless it is there already.
async fn fill(folder: &Path, events: u64) -> anyhow::Result<()> {
    let store = Sqlite::open(folder, &sqlite()).await?;
    let began = Instant::now();
    let mut made = store.state().await?.head;
    let version = ApiVersion::new(r#"{"ApiVersion":"1.5.8"}"#, "1.5.8");
    while made < events {
        let end = (made + 4000).min(events);
        let mut arrivals = Vec::new();
        for number in made..end {
            let json = json(number / PER_BLOCK, number % PER_BLOCK);
            let Ok(Message::Event(event)) = Message::parse(Payload::new(&json), Filter::Main) else {
                bail!("{json} is no event");
            };
            let (version, node) = (version.clone(), "127.0.0.1:1".into());
            arrivals.push(Arrival { event, version, node, received_at: 1_700_000_000_000 + number });
        }
        store.append(&Batch { arrivals, ..Batch::default() }).await?;
        made = end;
    }
    let size = store.size().await? as f64 / 1e6;
    store.close().await;
    println!("{events} stored events, {size:.0} MB, made in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// A running sidecar.
struct Sidecar {
    child: Child,
    rest: SocketAddr,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sidecar {
    async fn start(folder: &Path, node: &Node) -> anyhow::Result<Self> {
        let port = async || anyhow::Ok(RealNetwork::loopback().bind(0).await?.local_addr()?.port());
        let (events, rest) = (port().await?, port().await?);
        let sse = node.bound_sse_addr().context("not served")?.port();
        let status = node.bound_rest_addr().context("not served")?.port();
        let text = format!(
            "[[connections]]\nip_address = \"127.0.0.1\"\nsse_port = {sse}\nrest_port = {status}\nmax_attempts = 10\n\
             delay_between_retries_in_seconds = 1\nallow_partial_connection = false\nenable_logging = false\n\
             [storage]\nstorage_path = \"{}\"\n[storage.sqlite_config]\nfile_name = \"{FILE}\"\n\
             max_connections_in_pool = 10\nwal_autocheckpointing_interval = 1000\n\
             [rest_server]\nport = {rest}\nmax_concurrent_requests = 50\nmax_requests_per_second = 1000000\n\
             [event_stream_server]\nport = {events}\nmax_concurrent_subscribers = 10\nevent_stream_buffer_length = 5000\n",
            folder.display()
        );
        let path = folder.join("config.toml");
        std::fs::write(&path, text)?;
        let began = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_casper-event-sidecar"))
            .arg(&path)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start the sidecar")?;
        let sidecar = Self { child, rest: SocketAddr::from(([127, 0, 0, 1], rest)) };
        while TcpStream::connect(sidecar.rest).await.is_err() {
            ensure!(began.elapsed() < Duration::from_secs(10), "the sidecar does not start");
            sleep(Duration::from_millis(5)).await;
        }
        println!("started in {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
        Ok(sidecar)
    }

    /// Time on a processor so far, as the kernel tells it in hundredths of a second.
    fn cpu(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.)
    }

    fn anonymous_kb(&self) -> anyhow::Result<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no such field")?;
        Ok(line.trim().to_owned())
    }
}

/// One connection that is kept open.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let io = TcpStream::connect(address).await?;
        io.set_nodelay(true)?;
        Ok(Self(BufReader::new(io)))
    }

    /// Asks for a path and reads the answer, which is to be a good one.
    async fn get(&mut self, path: &str) -> anyhow::Result<()> {
        self.0.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await?;
        let (mut line, mut length) = (String::new(), 0);
        self.0.read_line(&mut line).await?;
        ensure!(line.starts_with("HTTP/1.1 200"), "{path}: {line}");
        loop {
            line.clear();
            self.0.read_line(&mut line).await?;
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok(())
    }
}

/// Paths that are no look-ups of one thing: ten entries of the log, and the status.
const LISTINGS: [&str; 3] = ["/events?limit=10", "/events?kind=Fault&limit=10", "/status"];

/// A path by the number of the request. The numbers of requests are spread over all blocks.
type Asked = fn(u64, u64) -> String;

const PATHS: [(&str, Asked); 13] = [
    ("/block", |_, _| "/block".into()),
    ("/block/{hash}", |height, _| format!("/block/{}", block_hash(height))),
    ("/block/{height}", |height, _| format!("/block/{height}")),
    ("/deploy/{hash}", |height, n| format!("/deploy/{}", deploy_hash(height, n % DEPLOYS))),
    ("/deploy/accepted/{hash}", |height, n| format!("/deploy/accepted/{}", deploy_hash(height, n % DEPLOYS))),
    ("/deploy/processed/{hash}", |height, n| {
        format!("/deploy/processed/{}", deploy_hash(height, n % DEPLOYS))
    }),
    ("/faults/{era}", |height, _| format!("/faults/{}", era(height))),
    ("/signatures/{hash}", |height, _| format!("/signatures/{}", block_hash(height))),
    ("/step/{era}", |height, _| format!("/step/{}", era(height))),
    ("/events/{id}", |height, n| format!("/events/{}", height * PER_BLOCK + n % PER_BLOCK + 1)),
    ("/events?limit=10", |height, _| format!("/events?limit=10&from_id={}", height * PER_BLOCK + 1)),
    ("/events?kind=Fault&limit=10", |height, _| {
        format!("/events?limit=10&kind=Fault&from_id={}", height * PER_BLOCK + 1)
    }),
    ("/status", |_, _| "/status".into()),
];

async fn measure(folder: &Path, blocks: u64, seconds: u32, only: Option<&str>) -> anyhow::Result<()> {
    let node = Node::builder().history(0).build().start(RealNetwork::loopback()).await?;
    let sidecar = Sidecar::start(folder, &node).await?;
    let mut feeding = JoinSet::new();
    let fed = node.clone();
    feeding.spawn(async move {
        let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let mut tick = interval(Duration::from_secs(1) / INCOMING);
        for number in 0_u64.. {
            tick.tick().await;
            let (block, key) = (name(4, run), validator(number));
            let json = format!(
                r#"{{"FinalitySignature":{{"block_hash":"{block}","era_id":1,"signature":"01{block}{block}","public_key":"{key}"}}}}"#
            );
            fed.emit(Event::raw(mock_node::Filter::Sigs, Bytes::from(json)));
        }
    });
    // The connections to the node, and a part of the database in the cache of the operating system.
    sleep(Duration::from_secs(2)).await;
    let before = sidecar.cpu()?;
    sleep(Duration::from_secs(u64::from(seconds).min(5))).await;
    let idle = (sidecar.cpu()? - before) / f64::from(seconds.min(5));
    println!(
        "CPU for {INCOMING} events/s alone: {:.1} %; {} anonymous",
        idle * 100.,
        sidecar.anonymous_kb()?
    );
    println!(
        "{:<30}{:>10}{:>10}{:>10}{:>14}{:>12}",
        "", "p50 ms", "p99 ms", "max ms", "CPU us each", "per second"
    );
    let mut worst: (f64, f64) = (0., 0.);
    for (what, asked) in PATHS.into_iter().filter(|(what, _)| only.is_none_or(|only| only == *what)) {
        let times = steady(&sidecar, asked, blocks, seconds).await?;
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let (cpu, rate) = flat_out(&sidecar, asked, blocks, seconds, idle).await?;
        let (p50, p99, longest) = (at(0.5), at(0.99), at(1.));
        println!("{what:<30}{p50:>10.2}{p99:>10.2}{longest:>10.2}{:>14.1}{rate:>12.0}", cpu * 1e6);
        worst.0 = worst.0.max(p99);
        if !LISTINGS.contains(&what) {
            worst.1 = worst.1.max(cpu * 1e6);
        }
    }
    let met = |met: bool| if met { "met" } else { "NOT MET" };
    println!("highest p99: {:.2} ms (to be at most 5: {})", worst.0, met(worst.0 <= 5.));
    println!("highest CPU of a look-up: {:.0} us (to be at most 100: {})", worst.1, met(worst.1 <= 100.));
    println!("{} anonymous at the end", sidecar.anonymous_kb()?);
    Ok(())
}

/// Which block the `number`th request is about.
fn spread(number: u64, blocks: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % blocks
}

/// The time of each request, in order of length, when they are due at a steady rate whatever happens.
async fn steady(sidecar: &Sidecar, asked: Asked, blocks: u64, seconds: u32) -> anyhow::Result<Vec<Duration>> {
    const CLIENTS: u32 = 10;
    let mut clients = JoinSet::new();
    let begin = Instant::now() + Duration::from_millis(50);
    for client in 0..CLIENTS {
        let address = sidecar.rest;
        clients.spawn(async move {
            let mut connection = Client::connect(address).await?;
            let mut times = Vec::new();
            for number in (client..RATE * seconds).step_by(CLIENTS as usize) {
                let due = begin + Duration::from_secs(1) * number / RATE;
                sleep_until(due).await;
                connection.get(&asked(spread(u64::from(number), blocks), u64::from(number))).await?;
                times.push(due.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(some) = clients.join_next().await {
        times.extend(some??);
    }
    times.sort_unstable();
    Ok(times)
}

/// CPU of one request, and requests a second, when four connections ask as fast as they can.
async fn flat_out(
    sidecar: &Sidecar,
    asked: Asked,
    blocks: u64,
    seconds: u32,
    idle: f64,
) -> anyhow::Result<(f64, f64)> {
    let mut clients = JoinSet::new();
    let (before, began) = (sidecar.cpu()?, Instant::now());
    let end = began + Duration::from_secs(u64::from(seconds).div_ceil(2));
    for client in 0..4_u64 {
        let address = sidecar.rest;
        clients.spawn(async move {
            let mut connection = Client::connect(address).await?;
            let mut count = 0_u64;
            while Instant::now() < end {
                let number = 1_000_000 + count * 4 + client;
                connection.get(&asked(spread(number, blocks), number)).await?;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut count = 0;
    while let Some(some) = clients.join_next().await {
        count += some??;
    }
    let time = began.elapsed().as_secs_f64();
    let cpu = sidecar.cpu()? - before - idle * time;
    Ok((cpu / count as f64, count as f64 / time))
}

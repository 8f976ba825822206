//! How fast the SQLite store is, against bare lower bounds measured in the same run.
//!
//! `cargo bench -p casper-event-sidecar --bench store` prints a table: each figure, its floor where there is one,
//! and whether it is met. It never fails: machines differ. `-- --quick` takes a tenth of the events,
//! `-- --folder PATH` says where the databases are made (by default where temporary files go), `-- --only PART`
//! runs one part: memory, ingest, repetitions, replay or latency.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::cast_precision_loss,
    reason = "a benchmark measures real time, and prints ratios"
)]

use std::fmt::Display;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use casper_event_sidecar::config;
use casper_event_sidecar::event::{
    ApiVersion, Channel, Endpoint, Event, Filter, Identity, Key, Kind, Payload,
};
use casper_event_sidecar::store::sqlite::Sqlite;
use casper_event_sidecar::store::{Arrival, Batch, Cursor, Lookup, Store};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqlSafeStr, query};

/// Events of one transaction: what waits while the one before is synced on a busy chain.
const BATCH: usize = 256;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let folder = value("--folder").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder =
        tempfile::Builder::new().prefix("store-bench-").tempdir_in(folder).expect("a folder can be made");
    let folder = folder.path();
    let scale = if arguments.iter().any(|argument| argument == "--quick") { 1 } else { 10 };
    let runs = |part: &str| value("--only").is_none_or(|only| only == part);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made");
    println!("{:<58}{:>14}  floor", "SQLite store", "figure");
    runtime.block_on(async {
        if runs("memory") {
            memory(folder, 20_000 * scale).await;
        }
        let signatures = batches(20_000 * scale, signature);
        if runs("ingest") {
            ingest(folder, "signatures of 344 bytes", &signatures).await;
            ingest(folder, "mix of 2.6 kB on average", &batches(5_000 * scale, mixed)).await;
        }
        if runs("repetitions") {
            repetitions(folder, &signatures).await;
        }
        if runs("replay") {
            replay(folder, &signatures).await;
        }
        if runs("latency") {
            latency(folder, 200 * scale).await;
        }
    });
}

fn say(what: &str, figure: impl Display, floor: &str, met: Option<bool>) {
    let met = match met {
        Some(true) => ": met",
        Some(false) => ": NOT MET",
        None => "",
    };
    println!("{what:<58}{figure:>14}  {floor}{met}");
}

/// Anonymous memory of the process, with nothing in it but the store and one batch at a time.
async fn memory(folder: &Path, count: usize) {
    println!("-- memory, {count} signatures in batches of {BATCH}, then their replay");
    let before = status("RssAnon:");
    let place = folder.join("memory");
    let store = open(&place).await;
    say("an open store, kB", status("RssAnon:") - before, "", None);
    let mut peak = 0;
    for batch in batches_of(count, BATCH, signature) {
        store.append(&batch).await.expect("writes");
        peak = peak.max(status("RssAnon:"));
    }
    let floor = "<= 12000 (an aim, for the whole sidecar)";
    say("peak of the process while it appends, kB", peak, floor, Some(peak <= 12_000));
    let (mut from, mut peak, head) = (1, 0, store.state().await.expect("reads").head);
    while from <= head {
        from = store.page(None, from).await.expect("reads").next;
        peak = peak.max(status("RssAnon:"));
    }
    say("peak of the process while it reads, kB", peak, floor, Some(peak <= 12_000));
    store.close().await;
    drop(store);
    let (time, _) = measured(async { drop(open(&place).await) }).await;
    let size = size_of(&place.join("log.db3")) / 1e6;
    let what = format!("cold start of {size:.0} MB, ms");
    say(&what, format!("{:.1}", time * 1e3), "<= 1000", Some(time <= 1.0));
}

/// Bare inserts of the same rows in the same transactions, then appends: time, CPU and size.
async fn ingest(folder: &Path, what: &str, batches: &[Batch]) {
    let count = batches.iter().map(|batch| batch.arrivals.len()).sum::<usize>() as f64;
    let bytes: usize =
        batches.iter().flat_map(|batch| &batch.arrivals).map(|arrival| arrival.event.payload.len()).sum();
    println!("-- {what}: {count} events of {:.0} bytes in batches of {BATCH}", bytes as f64 / count);
    let mut bare = Bare::open(&folder.join("bare.db3")).await;
    let place = folder.join(what);
    let store = open(&place).await;
    let (mut bare_time, mut bare_cpu, mut time, mut cpu) = (0.0, 0.0, 0.0, 0.0);
    // In turns, so that both meet the same disk, whatever else it has to do.
    for some in batches.chunks(4) {
        let inserting = async {
            for batch in some {
                bare.insert(batch).await;
            }
        };
        let measure = measured(inserting).await;
        (bare_time, bare_cpu) = (bare_time + measure.0, bare_cpu + measure.1);
        let measure = measured(append_all(&store, some)).await;
        (time, cpu) = (time + measure.0, cpu + measure.1);
    }
    bare.connection.close().await.expect("closes");
    let bare_size = size_of(&folder.join("bare.db3"));
    std::fs::remove_file(folder.join("bare.db3")).expect("it is there");
    store.close().await;
    let size = size_of(&place.join("log.db3"));
    say("bare insert, events/s", format!("{:.0}", count / bare_time), "", None);
    say("bare insert, us of CPU per event", format!("{:.2}", bare_cpu / count * 1e6), "", None);
    say("append, events/s", format!("{:.0}", count / time), "", None);
    let ratio = bare_time / time;
    let floor = ">= 0.5 of the bare insert";
    say("append, share of the bare insert's events/s", format!("{ratio:.2}"), floor, Some(ratio >= 0.5));
    let small = (bytes as f64) < 400.0 * count;
    let cpu = cpu / count * 1e6;
    // The original sidecar 1.x takes 634 us of CPU for an event of such a mix.
    let (most, floor) =
        if small { (10.0, "<= 10") } else { (31.7, "<= 31.7, a twentieth of the original's") };
    say("append, us of CPU per event", format!("{cpu:.2}"), floor, Some(cpu <= most));
    say("bare insert, bytes on disk per event", format!("{:.0}", bare_size / count), "", None);
    let size = size / count;
    if small {
        say("append, bytes on disk per event", format!("{size:.0}"), "<= 700", Some(size <= 700.0));
    } else {
        say("append, bytes on disk per event", format!("{size:.0}"), "", None);
    }
}

/// One node, and three that send the same events a little later.
async fn repetitions(folder: &Path, batches: &[Batch]) {
    println!("-- three nodes that send the same events, each batch thrice");
    let distinct = batches.iter().map(|batch| batch.arrivals.len()).sum::<usize>() as f64;
    let mut figures = Vec::new();
    for nodes in [1, 3] {
        let place = folder.join(format!("{nodes} nodes"));
        let store = open(&place).await;
        // What one node sent is in one batch with what the others sent earlier, as in a busy sidecar.
        let shuffled: Vec<Batch> = (0..batches.len() + 2)
            .map(|at| {
                let mut together = Batch::default();
                for node in 0..nodes {
                    if let Some(batch) = at.checked_sub(node).and_then(|at| batches.get(at)) {
                        together.arrivals.extend(batch.arrivals.iter().cloned());
                        together.cursors = batch.cursors.clone();
                    }
                }
                together
            })
            .collect();
        let (time, cpu) = measured(append_all(&store, &shuffled)).await;
        assert_eq!(store.state().await.expect("reads").head as f64, distinct, "each event is there once");
        store.close().await;
        std::fs::remove_dir_all(place).expect("it is there");
        figures.push((distinct / time, cpu / distinct * 1e6));
    }
    let (one, three) = (figures[0], figures[1]);
    say("one node, us of CPU per distinct event", format!("{:.2}", one.1), "", None);
    say("three nodes, us of CPU per distinct event", format!("{:.2}", three.1), "", None);
    let ratio = three.1 / one.1;
    say("three nodes' share of one", format!("{ratio:.2}"), "<= 1.3", Some(ratio <= 1.3));
    say("three nodes, distinct events/s", format!("{:.0}", three.0), "", None);
}

/// Replay of everything on several endpoints, and look-ups.
async fn replay(folder: &Path, batches: &[Batch]) {
    println!("-- replay and look-ups");
    let store = open(&folder.join("replay")).await;
    append_all(&store, batches).await;
    let head = store.state().await.expect("reads").head;
    for (name, endpoint) in
        [("the log", None), ("/events", Some(Endpoint::All)), ("/events/sigs", Some(Endpoint::Sigs))]
    {
        let (time, cpu) = measured(async {
            let (mut from, mut count) = (1, 0);
            while from <= head {
                let page = store.page(endpoint, from).await.expect("reads");
                count += page.entries.len() as u64;
                from = page.next;
            }
            assert_eq!(count, head, "all are signatures");
        })
        .await;
        let rate = head as f64 / time;
        say(&format!("{name}, entries/s"), format!("{rate:.0}"), ">= 300000", Some(rate >= 300_000.0));
        say(&format!("{name}, us of CPU per entry"), format!("{:.2}", cpu / head as f64 * 1e6), "", None);
    }
    let wanted: Vec<_> =
        batches.iter().flat_map(|batch| &batch.arrivals).step_by(batches.len() / 4 + 1).collect();
    let (time, cpu) = measured(async {
        for arrival in &wanted {
            let found = store.find(Lookup::Identity(arrival.event.identity)).await.expect("reads");
            assert_eq!(found.len(), 1);
        }
    })
    .await;
    let count = wanted.len() as f64;
    let cpu = cpu / count * 1e6;
    say("look-up by identity, us of CPU", format!("{cpu:.0}"), "<= 100", Some(cpu <= 100.0));
    say("look-up by identity, us", format!("{:.0}", time / count * 1e6), "", None);
    store.close().await;
}

/// Batches of one event against bare syncs of as many pages of a file.
async fn latency(folder: &Path, count: usize) {
    println!("-- one event at a time");
    let mut file = File::create(folder.join("sync")).expect("can be made");
    let page = [1; 4096];
    // As in a write-ahead log that is started over: the file has its length.
    for _ in 0..1024 {
        file.write_all(&page).expect("writes");
    }
    file.sync_all().expect("syncs");
    let mut syncs = Vec::new();
    for at in 0..count {
        if at % 200 == 0 {
            file.rewind().expect("seeks");
        }
        let start = Instant::now();
        for _ in 0..5 {
            file.write_all(&page).expect("writes");
        }
        file.sync_data().expect("syncs");
        syncs.push(start.elapsed());
    }
    let store = open(&folder.join("one by one")).await;
    let mut appends = Vec::new();
    let (_, cpu) = measured(async {
        for batch in batches_of(count, 1, signature) {
            let start = Instant::now();
            store.append(&batch).await.expect("writes");
            appends.push(start.elapsed());
        }
    })
    .await;
    store.close().await;
    let (sync50, sync99) = percentiles(&mut syncs);
    let (append50, append99) = percentiles(&mut appends);
    say("five pages and an fdatasync, p50 in ms", format!("{sync50:.2}"), "", None);
    say("five pages and an fdatasync, p99 in ms", format!("{sync99:.2}"), "", None);
    let floor = "<= the sync's + 0.4";
    say("append, p50 in ms", format!("{append50:.2}"), floor, Some(append50 <= sync50 + 0.4));
    let floor = "<= 2.5, if the disk is not busy otherwise";
    say("append, p99 in ms", format!("{append99:.2}"), floor, Some(append99 <= 2.5));
    say("append, us of CPU", format!("{:.0}", cpu / count as f64 * 1e6), "", None);
}

fn percentiles(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    (at(50), at(99))
}

async fn append_all(store: &Sqlite, batches: &[Batch]) {
    for batch in batches {
        store.append(batch).await.expect("writes");
    }
}

async fn open(folder: &Path) -> Sqlite {
    let config = config::Sqlite {
        file_name: "log.db3".into(),
        max_connections_in_pool: 4,
        wal_autocheckpointing_interval: 1000,
    };
    Sqlite::open(folder, &config).await.expect("opens")
}

/// Seconds, and seconds of CPU of the whole process.
async fn measured(work: impl Future<Output = ()>) -> (f64, f64) {
    let (start, before) = (Instant::now(), cpu());
    work.await;
    (start.elapsed().as_secs_f64(), cpu() - before)
}

/// Seconds of CPU that this process took so far, in user and system mode.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with(field)).expect("it is there");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

fn size_of(path: &Path) -> f64 {
    std::fs::metadata(path).expect("it is there").len() as f64
}

fn batches(count: usize, event: fn(u64) -> Event) -> Vec<Batch> {
    batches_of(count, BATCH, event).collect()
}

fn batches_of(count: usize, size: usize, event: fn(u64) -> Event) -> impl Iterator<Item = Batch> {
    let version = ApiVersion::new(r#"{"ApiVersion":"1.5.8"}"#, "1.5.8").expect("a version");
    let node: Arc<str> = "10.0.0.1:9999".into();
    (0..count / size).map(move |number| {
        let numbers = (number * size) as u64..((number + 1) * size) as u64;
        let arrival = |number| Arrival {
            event: event(number),
            version: Some(version.clone()),
            node: Arc::clone(&node),
            received_at: 1_700_000_000_000 + number,
        };
        let last = u32::try_from(number).expect("few");
        let fingerprint = Identity::of(Kind::Step, &["x"]);
        let cursor = Cursor {
            node: Arc::clone(&node),
            filter: Filter::Sigs,
            id: last,
            fingerprint,
            run: 0,
            resume: last,
        };
        Batch { arrivals: numbers.map(arrival).collect(), cursors: vec![cursor], ..Batch::default() }
    })
}

/// A signature of 344 bytes; a hundred sign each block.
fn signature(number: u64) -> Event {
    let block = format!("{:064x}", mixed_up(number / 100));
    let signer = format!("01{:064x}", mixed_up(number % 100));
    let signed = format!("01{:0128x}", mixed_up(number));
    let json = format!(
        r#"{{"FinalitySignature":{{"block_hash":"{block}","era_id":8065,"signature":"{signed}","public_key":"{signer}"}}}}"#
    );
    let names = [&*block, &*signer];
    Event {
        kind: Kind::FinalitySignature,
        channel: Channel::Sigs,
        identity: Identity::of(Kind::FinalitySignature, &names),
        keys: vec![Key::signed_block(&block)],
        block_time: None,
        payload: Payload::new(&json),
    }
}

/// Six signatures, two accepted and two processed deploys of usual sizes.
fn mixed(number: u64) -> Event {
    let (kind, channel, len) = match number % 10 {
        0 | 5 => (Kind::DeployAccepted, Channel::Deploys, 2_400),
        1 | 6 => (Kind::DeployProcessed, Channel::Main, 9_600),
        _ => return signature(number),
    };
    let name = format!("{:064x}", mixed_up(number));
    let mut json = format!(r#"{{"{kind}":{{"hash":"{name}","x":""#);
    while json.len() < len {
        json.push_str(&format!("{:016x}", mixed_up(json.len() as u64 ^ number)));
    }
    json.push_str("\"}}");
    let identity = Identity::of(kind, &[&name]);
    Event { kind, channel, identity, keys: vec![], block_time: None, payload: Payload::new(&json) }
}

/// A number that looks random. Source: the finaliser of MurmurHash3.
fn mixed_up(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

/// The lower bound: the same rows in a table without an index, many in one statement.
struct Bare {
    connection: SqliteConnection,
}

impl Bare {
    const ROWS: usize = 128;

    async fn open(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        let mut connection = options.connect().await.expect("opens");
        let table = "CREATE TABLE bare (id INTEGER PRIMARY KEY, channel INTEGER, kind INTEGER, identity BLOB, \
                     key BLOB, received_at INTEGER, data BLOB)";
        query(table).execute(&mut connection).await.expect("makes a table");
        Self { connection }
    }

    async fn insert(&mut self, batch: &Batch) {
        let mut transaction = self.connection.begin().await.expect("begins");
        for chunk in batch.arrivals.chunks(Self::ROWS) {
            let rows = vec!["(NULL,?,?,?,?,?,?)"; chunk.len()].join(",");
            let mut insert = query(AssertSqlSafe(format!("INSERT INTO bare VALUES {rows}")).into_sql_str());
            for Arrival { event, received_at, .. } in chunk {
                insert = insert
                    .bind(i64::from(event.channel.code()))
                    .bind(i64::from(event.kind.code()))
                    .bind(event.identity.0.to_vec())
                    .bind(event.keys.first().map(|key| key.0.to_vec()))
                    .bind(i64::try_from(*received_at).expect("fits"))
                    .bind(event.payload.bytes().to_vec());
            }
            insert.execute(&mut *transaction).await.expect("inserts");
        }
        transaction.commit().await.expect("commits");
    }
}

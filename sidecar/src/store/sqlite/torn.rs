//! Power is lost in the middle of a commit, at every place within SQLite's own files: what is found afterwards is the
//! log before the batch or the log after it, and the batch can be appended again.
//!
//! Source of the layout: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs;
use std::path::PathBuf;

use super::open::beside;
use crate::event::{Channel, Filter, Identity, Key, Kind};
use crate::store::contract::{
    Folder, Place, Shown, batch, block, event, is_new, json_of, shown, signature, version,
};
use crate::store::{Batch, Cursor, InForce, State, Store};

const HEADER: usize = 32;
const FRAME: usize = 24 + PAGE;
const PAGE: usize = 4096;

/// The two files, as they are on the disk at one moment.
#[derive(Clone)]
struct Files {
    database: Vec<u8>,
    write_ahead: Vec<u8>,
}

impl Files {
    /// Those of a log that is open, and stays so.
    fn of(folder: &Folder) -> Self {
        let path = path(folder);
        let write_ahead = fs::read(beside(&path, "-wal")).unwrap_or_default();
        Self { database: fs::read(path).expect("it is there"), write_ahead }
    }

    /// A folder with nothing but these: what SQLite shares in memory is gone with the power.
    fn place(&self) -> Folder {
        let folder = Folder::new();
        let path = path(&folder);
        fs::write(&path, &self.database).expect("there is room");
        fs::write(beside(&path, "-wal"), &self.write_ahead).expect("there is room");
        folder
    }

    fn frames(&self) -> usize {
        (self.write_ahead.len() - HEADER) / FRAME
    }
}

fn path(folder: &Folder) -> PathBuf {
    folder.0.path().join("log.db3")
}

/// All that a store says of its log.
#[derive(Debug, PartialEq)]
struct Log {
    state: State,
    entries: Vec<(Shown, String)>,
}

async fn log(store: &impl Store) -> Log {
    let mut log = Log { state: store.state().await.expect("reads"), entries: Vec::new() };
    for entry in store.page(None, 1).await.expect("reads").entries {
        log.entries.push((shown(&entry), json_of(store, &entry).await));
    }
    log
}

fn cursor(node: &str, id: u32) -> Cursor {
    Cursor { node: node.into(), filter: Filter::Main, id, fingerprint: Identity([7; 16]), run: 1, resume: id }
}

/// A batch that changes every table: a large body, a further key, a new version, a new sender, cursors, the chain.
fn wide() -> Batch {
    let large = format!("{{\"Step\":\"{}\"}}", "ü".repeat(60_000));
    let keys = [Key::block_height(8), Key::signed_block("a")];
    let mut batch = batch([
        block(7),
        event(Kind::Step, Channel::Main, "1", &[], &large),
        event(Kind::BlockAdded, Channel::Main, "8", &keys, r#"{"BlockAdded":{}}"#),
        signature("a", 3),
        signature("a", 4),
    ]);
    batch.arrivals[4].node = "10.0.0.2:9999".into();
    batch.arrivals[4].version = Some(version("1.5.9"));
    batch.cursors = vec![cursor("10.0.0.1:9999", 5), cursor("10.0.0.2:9999", 77)];
    batch.in_force = Some(InForce { version: version("1.5.9"), node: "10.0.0.2:9999".into() });
    batch.chain = Some("casper".into());
    batch
}

/// A usual batch, which is written by one command.
fn small() -> Batch {
    let mut batch = batch([signature("a", 3), signature("a", 4)]);
    batch.cursors = vec![cursor("10.0.0.1:9999", 5)];
    batch
}

/// A log before and after a batch: what it says, and its files.
struct Commit {
    batch: Batch,
    before: (Log, Files),
    after: (Log, Files),
    /// Its files when everything was moved into the database.
    closed: Files,
}

impl Commit {
    async fn of(batch: Batch) -> Self {
        let folder = Folder::new();
        let store = folder.open().await.expect("opens");
        let mut first = super::super::contract::batch([block(1), signature("a", 1), signature("a", 2)]);
        first.cursors = vec![cursor("10.0.0.1:9999", 3)];
        store.append(&first).await.expect("writes");
        let before = (log(&store).await, Files::of(&folder));
        store.append(&batch).await.expect("writes");
        let after = (log(&store).await, Files::of(&folder));
        store.close().await;
        assert_eq!(after.1.database, before.1.database, "the commit is in the write-ahead log alone");
        Self { batch, before, after, closed: Files::of(&folder) }
    }

    /// Opens what the power left, expects one of the two logs, and appends the batch again: that must give the log
    /// after it in every case.
    async fn check(&self, left: &Files, expected: &Log, how: &str) {
        let folder = left.place();
        let store = folder.open().await.expect(how);
        assert_eq!(log(&store).await, *expected, "{how}");
        let appended = store.append(&self.batch).await.expect(how);
        let is_there = expected == &self.after.0;
        assert!(is_new(&appended).iter().all(|new| *new != is_there), "{how}: {appended:?}");
        assert_eq!(log(&store).await, self.after.0, "{how}, and appended again");
    }
}

#[tokio::test]
async fn a_commit_of_which_a_part_reached_the_disk_is_no_commit() {
    for batch in [small(), wide()] {
        let commit = Commit::of(batch).await;
        let ((before, old), (after, new)) = (&commit.before, &commit.after);
        assert_eq!(new.write_ahead[..old.write_ahead.len()], old.write_ahead, "it was appended to");
        assert!(new.frames() > old.frames() + 1, "it takes more than one page");
        for frame in old.frames()..new.frames() {
            let begin = HEADER + frame * FRAME;
            for length in [0, 1, 24, 24 + PAGE / 2, FRAME - 1] {
                let mut left = new.clone();
                left.write_ahead.truncate(begin + length);
                commit.check(&left, before, &format!("{length} bytes of page {frame} written")).await;
            }
            // The disk wrote the others first, or the length of the file only.
            let mut left = new.clone();
            left.write_ahead[begin..begin + FRAME].fill(0);
            commit.check(&left, before, &format!("all but page {frame} written")).await;
            let mut left = new.clone();
            left.write_ahead[begin + 24 + PAGE / 2..begin + FRAME].fill(0x55);
            commit.check(&left, before, &format!("page {frame} written by half")).await;
        }
        commit.check(new, after, "all written").await;
    }
}

#[tokio::test]
async fn a_checkpoint_of_which_a_part_reached_the_disk_loses_nothing() {
    let commit = Commit::of(wide()).await;
    let ((_, old), (after, new)) = (&commit.before, &commit.after);
    let done = &commit.closed.database;
    assert!(done.len() > old.database.len() && commit.closed.write_ahead.is_empty(), "everything was moved");
    for page in 0..=done.len() / PAGE {
        let written = page * PAGE;
        let mut left = new.clone();
        left.database.splice(..written.min(left.database.len()), done[..written].iter().copied());
        commit.check(&left, after, &format!("the first {page} pages moved")).await;
        if let Some(half) = done.get(written..written + PAGE / 2) {
            let mut left = new.clone();
            left.database.resize(done.len(), 0);
            left.database[written..written + PAGE / 2].copy_from_slice(half);
            commit.check(&left, after, &format!("one half of page {page} moved")).await;
        }
    }
    commit.check(&commit.closed, after, "everything moved").await;
}

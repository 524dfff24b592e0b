//! Streams, events and batches that the checks write.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use quell::domain::event::{Entry, Event, RunEnd};
use quell::domain::id::{AlertId, IncidentId, RunId, ScheduleId, StreamId};
use quell::domain::time::Timestamp;
use quell::domain::value::{Digest, digest};
use quell::store::error::StoreError;
use quell::store::journal::{Append, Batch};
use quell::store::sled::journal::{Options, SledJournal};
use ulid::Ulid;

pub const AT: Timestamp = Timestamp::EPOCH;

pub fn run(n: u128) -> StreamId {
    StreamId::Run(RunId::new(Ulid::from_parts(1_795_427_682_123, n)))
}

pub fn alert(n: u128) -> StreamId {
    StreamId::Alert(AlertId::new(Ulid::from_parts(1_795_427_682_123, n)))
}

pub fn incident(n: u128) -> StreamId {
    StreamId::Incident(IncidentId::new(Ulid::from_parts(1_795_427_682_123, n)))
}

/// An event that says `why`, to tell entries apart.
pub fn said(why: impl Into<String>) -> Event {
    Event::RunEnding { end: RunEnd::Failed, why: why.into(), disposition: None }
}

pub fn schedule(n: u128) -> StreamId {
    StreamId::Schedule(ScheduleId::new(Ulid::from_parts(0, n)))
}

pub fn append(stream: StreamId, after: u64, whys: &[&str]) -> Append {
    Append { stream, after, at: AT, events: whys.iter().map(|why| said(*why)).collect() }
}

pub fn batch(appends: Vec<Append>) -> Batch {
    Batch { appends, ..Batch::default() }
}

pub fn one(stream: StreamId, after: u64, why: &str) -> Batch {
    batch(vec![append(stream, after, &[why])])
}

pub fn why(entry: &Entry) -> &str {
    match &entry.event {
        Event::RunEnding { why, .. } => why,
        other => panic!("nobody wrote {other:?}"),
    }
}

pub fn whys(entries: &[Entry]) -> Vec<(u64, &str)> {
    entries.iter().map(|entry| (entry.seq, why(entry))).collect()
}

pub fn blob(bytes: Vec<u8>) -> (Digest, Vec<u8>) {
    (digest(&bytes), bytes)
}

pub fn open(dir: &Path) -> Result<SledJournal, StoreError> {
    // A process that another test starts holds our locks from its fork until its exec,
    // so that a store just closed may still be locked for a moment.
    for _ in 0..LOCKED_LOOKS {
        match SledJournal::open(dir, &Options::default()) {
            Err(StoreError::Locked { .. }) => std::thread::sleep(Duration::from_millis(20)),
            opened => return opened,
        }
    }
    SledJournal::open(dir, &Options::default())
}

/// Looks, 20 ms apart, at a store that is locked: a second.
const LOCKED_LOOKS: usize = 50;

pub fn block_on<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

//! Bits that flip, files that are cut, blocks that are swapped, after a clean and
//! after an unclean stop: the store is refused, or proven to be as it was.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quell::domain::event::{Entry, Event, RunEnd};
use quell::domain::id::{RunId, StreamId};
use quell::domain::time::Timestamp;
use quell::domain::value::{Digest, digest};
use quell::store::error::StoreError;
use quell::store::journal::{Append, Batch, Journal};
use quell::store::sled::journal::{Options, SledJournal};
use ulid::Ulid;

use crate::{Chance, cases};

/// No ballast, no appends: these stores are only read.
const READ_ONLY: Options = Options { min_free_bytes: u64::MAX };

/// A disk's block.
const BLOCK: usize = 4096;

pub fn block_on<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// The batch number `n`: one entry, sometimes a content, a large one or a key.
pub fn nth_batch(n: u64) -> Batch {
    let stream = StreamId::Run(RunId::new(Ulid::from_parts(1_795_427_682_123, u128::from(n % 7))));
    let why = format!("{n} ").repeat(20);
    let events = vec![Event::RunEnding { end: RunEnd::Failed, why, disposition: None }];
    let mut batch = Batch {
        appends: vec![Append { stream, after: n / 7, at: Timestamp::EPOCH, events }],
        ..Batch::default()
    };
    if n.is_multiple_of(5) {
        let size = if n.is_multiple_of(50) { 70_000 } else { 300 };
        let bytes: Vec<u8> = n.to_be_bytes().into_iter().cycle().take(size).collect();
        batch.blobs.push((digest(&bytes), bytes));
        batch.keys.push(format!("delivery-{n}"));
    }
    batch
}

const BATCHES: u64 = 200;

/// All that a journal holds.
#[derive(PartialEq)]
struct All {
    entries: Vec<(u64, Entry)>,
    contents: Vec<Option<Arc<[u8]>>>,
    keys: Vec<Option<StreamId>>,
}

async fn read_all(journal: &SledJournal) -> Result<All, StoreError> {
    let mut all = All { entries: journal.scan(0, 10_000).await?, contents: Vec::new(), keys: Vec::new() };
    for n in 0..BATCHES {
        let batch = nth_batch(n);
        for (name, _) in &batch.blobs {
            let name: Digest = *name;
            all.contents.push(journal.blob(name).await?);
        }
        for key in &batch.keys {
            all.keys.push(journal.key(key).await?);
        }
    }
    Ok(all)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("it is made");
    for found in std::fs::read_dir(from).expect("reads") {
        let found = found.expect("reads");
        let to = to.join(found.file_name());
        if found.file_type().expect("it has one").is_dir() {
            copy(&found.path(), &to);
        } else if found.file_name() != "ballast" {
            std::fs::copy(found.path(), to).expect("it is copied");
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).expect("reads") {
        let path = file.expect("reads").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if std::fs::metadata(&path).expect("it has some").len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A store that was closed, and one as a killed process leaves it.
fn stores(dir: &Path) -> All {
    let open = dir.join("open");
    let journal = SledJournal::open(&open, &Options::default()).expect("opens");
    let all = block_on(async {
        for n in 0..BATCHES {
            journal.append(nth_batch(n)).await.expect("fits");
        }
        read_all(&journal).await.expect("reads")
    });
    copy(&open, &dir.join("unclean"));
    drop(journal);
    copy(&open, &dir.join("clean"));
    all
}

fn change(bytes: &mut Vec<u8>, kind: usize, chance: &mut Chance) -> String {
    match kind {
        0 => {
            let (at, bit) = (chance.below(bytes.len()), chance.below(8));
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
        1 => {
            let at = chance.below(bytes.len());
            bytes.truncate(at);
            format!("cut at {at}")
        }
        _ => {
            let blocks = bytes.len().div_ceil(BLOCK);
            let (a, b) = (chance.below(blocks) * BLOCK, chance.below(blocks) * BLOCK);
            let size = BLOCK.min(bytes.len() - a.max(b));
            let first = bytes[a..a + size].to_vec();
            bytes.copy_within(b..b + size, a);
            bytes[b..b + size].copy_from_slice(&first);
            format!("blocks at {a} and {b} swapped")
        }
    }
}

#[test]
fn damage_is_refused_or_proven_to_be_none() {
    let dir = tempfile::tempdir().expect("there is room");
    let as_written = stores(dir.path());
    let mut chance = Chance(5);
    let (mut refused, mut identical) = (0, 0);
    for stop in ["clean", "unclean"] {
        let whole = dir.path().join(stop);
        for file in files(&whole) {
            let name = file.strip_prefix(&whole).expect("it is in there").to_owned();
            let is_log = name == Path::new("db");
            let kinds = [
                cases(if is_log { 30 } else { 4 }, 1000),
                cases(if is_log { 8 } else { 2 }, 200),
                cases(if is_log { 6 } else { 1 }, 50),
            ];
            for (kind, count) in kinds.into_iter().enumerate() {
                for _ in 0..count {
                    let harmed = dir.path().join("harmed");
                    copy(&whole, &harmed);
                    let mut bytes = std::fs::read(&file).expect("reads");
                    let what = change(&mut bytes, kind, &mut chance);
                    std::fs::write(harmed.join(&name), bytes).expect("writes");
                    let what = format!("{stop} stop, {}: {what}", name.display());
                    if is_refused(&harmed, &as_written, &what) {
                        refused += 1
                    } else {
                        identical += 1
                    }
                    std::fs::remove_dir_all(&harmed).expect("it is removed");
                }
            }
        }
    }
    println!("{refused} refused, {identical} proven identical");
    assert!(refused > 0 && identical > 0, "{refused} refused, {identical} identical");
}

/// Whether the store is refused; anything but refused or as written fails.
fn is_refused(harmed: &Path, as_written: &All, what: &str) -> bool {
    let journal = match SledJournal::open(harmed, &READ_ONLY) {
        Ok(journal) => journal,
        Err(StoreError::Damaged { why, .. }) if why.len() > 10 => return true,
        Err(StoreError::Io { why, .. }) if !why.is_empty() => return true,
        Err(other) => panic!("{what}: {other}"),
    };
    match block_on(async {
        journal.verify().await?;
        read_all(&journal).await
    }) {
        Ok(all) => {
            assert!(all.entries == as_written.entries, "{what}: entries were lost without a word");
            assert!(all.contents == as_written.contents, "{what}: contents were lost without a word");
            assert!(all.keys == as_written.keys, "{what}: keys were lost without a word");
            false
        }
        Err(StoreError::Damaged { .. } | StoreError::Io { .. }) => true,
        Err(other) => panic!("{what}: {other}"),
    }
}

//! The chain of records, walked and compared with what was acknowledged; and
//! the whole store, everything in it against everything else.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::event::{Entry, Event};
use crate::domain::id::StreamId;
use crate::domain::value::{Digest, digest};
use crate::store::codec;
use crate::store::error::StoreError;
use crate::store::journal::{Head, Part, Place};
use crate::store::sled::compact;
use crate::store::sled::disk::{Disk, guarded, sled_error};
use crate::store::sled::keys;
use crate::store::sled::parts::Faults;
use crate::store::sled::read::codec_error;
use crate::store::tombstone::{self, Gone, Seal};

/// What a walk over the whole journal found to be as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Records in the chain, erased ones too.
    pub records: u64,
    /// Records that were erased by retention: a tombstone keeps their place.
    pub erased: u64,
    /// Whether bytes of what was erased may be in the free space of sled's file.
    pub uncompacted: bool,
    /// Entries in them.
    pub entries: u64,
    /// Streams that the entries belong to.
    pub streams: u64,
    /// Contents, in the store and in files beside it.
    pub contents: u64,
    /// Bytes of the contents.
    pub content_bytes: u64,
    /// Unique keys.
    pub keys: u64,
    /// The end of the chain.
    pub head: Head,
}

/// Records before the head that are walked when the store is opened: some
/// hundreds of runs, in some tens of milliseconds.
const CHECKED_AT_OPEN: u64 = 1000;

const CHECKING: &str = "checking the journal";

/// Checks the end of the journal against the mark outside it and gives the head,
/// which may be later than the mark: what was written but not acknowledged.
pub fn check_end(disk: &Disk, mark: Head) -> Result<Head, StoreError> {
    let last = last_position(disk)?;
    if last < mark.position {
        return Err(StoreError::damaged(format!(
            "it ends at record {last}, but record {} was acknowledged",
            mark.position
        )));
    }
    let before = mark.position.saturating_sub(CHECKED_AT_OPEN);
    // Records up to the mark, then the few after it.
    let at_mark = walk(disk, before, None, mark.position)?;
    if at_mark.hash != mark.hash {
        return Err(StoreError::damaged(format!(
            "record {} is not the one that was acknowledged",
            mark.position
        )));
    }
    walk(disk, mark.position, Some(mark.hash), last)
}

/// Checks the whole store up to `head`.
pub fn check_all(disk: &Disk, head: Head) -> Result<Verified, StoreError> {
    let (mut at, mut entries, mut places) = (Head::EMPTY, 0, 0);
    let mut last: HashMap<StreamId, u64> = HashMap::new();
    let mut named = HashSet::new();
    let mut erased = Erased::default();
    while at.position < head.position {
        let found = step(disk, at.position + 1, Some(at.hash))?;
        let spans = found.entries.iter().map(|entry| (entry.stream, entry.seq, entry.seq));
        let gone = found.gone.iter().map(|gone| (gone.stream, gone.first, gone.last));
        for (stream, first, end) in spans.chain(gone) {
            let before = last.insert(stream, end).unwrap_or_default();
            if before.checked_add(1) != Some(first) {
                return Err(StoreError::damaged(format!(
                    "entry {first} of {stream} in record {} does not follow the one before",
                    found.head.position
                )));
            }
        }
        for entry in &found.entries {
            entries += 1;
            named.extend(content_of(&entry.event));
            erased.take(entry, found.head.position)?;
        }
        erased.buried.extend(found.tombstone.map(|tombstone| (found.head.position, tombstone)));
        places += tombstone::last_of(&found.entries, &found.gone).len();
        at = found.head;
    }
    if at.hash != head.hash {
        return Err(StoreError::damaged(format!(
            "record {} is not the one that was acknowledged",
            head.position
        )));
    }
    check_index(disk, head, places)?;
    let records_erased = erased.check(disk)?;
    let (contents, content_bytes) = check_contents(disk, named, &erased.contents)?;
    let keys = check_keys(disk, head)?;
    let streams = last.len() as u64;
    let (records, erased, uncompacted) =
        (at.position, records_erased, compact::is_due(disk.contents.journal_dir()));
    Ok(Verified { records, erased, uncompacted, entries, streams, contents, content_bytes, keys, head })
}

/// What was erased, as the walk comes by it: tombstones first, then the facts that
/// account for them.
#[derive(Default)]
struct Erased {
    /// Tombstones that no fact has accounted for yet; 40 bytes each.
    buried: BTreeMap<u64, Digest>,
    /// How many were accounted for.
    records: u64,
    contents: HashSet<Digest>,
    /// The streams, each with the record that says so.
    streams: BTreeMap<StreamId, u64>,
}

impl Erased {
    fn take(&mut self, entry: &Entry, said_in: u64) -> Result<(), StoreError> {
        let Event::Erased(erasure) = &entry.event else { return Ok(()) };
        let mut seal = Seal::default();
        for position in erasure.positions() {
            let tombstone = self.buried.remove(&position).ok_or_else(|| {
                let why = format!("record {position}, which record {said_in} says was erased, was not");
                StoreError::damaged(why)
            })?;
            seal.add(tombstone);
            self.records += 1;
        }
        if seal.finish() != erasure.seal {
            return Err(StoreError::damaged(format!(
                "what stands in place of the records that record {said_in} says were erased is not what was put there"
            )));
        }
        self.contents.extend(&erasure.contents);
        self.streams.extend(erasure.streams.iter().map(|stream| (*stream, said_in)));
        Ok(())
    }

    /// Every tombstone was accounted for, and what stands beside the records fits.
    fn check(&self, disk: &Disk) -> Result<u64, StoreError> {
        if let Some(position) = self.buried.keys().next() {
            return Err(StoreError::damaged(format!(
                "record {position} was erased, and nothing in the journal says so"
            )));
        }
        let failed = |error| sled_error(CHECKING, &error);
        if let Some(pending) = disk.db.scan_prefix(keys::all_pending()).next() {
            pending.map_err(failed)?;
            return Err(StoreError::damaged("something is still to be erased"));
        }
        for (stream, said_in) in &self.streams {
            let mark = disk.db.get(keys::erased(*stream)).map_err(failed)?;
            if mark.as_deref() != Some(&said_in.to_be_bytes()) {
                return Err(StoreError::damaged(format!("the mark that {stream} was erased is missing")));
            }
        }
        if disk.db.scan_prefix(keys::all_erased()).count() != self.streams.len() {
            return Err(StoreError::damaged(
                "a stream is marked as erased, and nothing in the journal says so",
            ));
        }
        Ok(self.records)
    }
}

/// The content that an event cannot do without.
fn content_of(event: &Event) -> impl Iterator<Item = Digest> + use<> {
    let (one, other) = match event {
        Event::RunStarted(started) => (Some(started.plan), started.alert.map(|alert| alert.digest)),
        Event::AlertReceived { digest, .. } => (Some(*digest), None),
        _ => (None, None),
    };
    one.into_iter().chain(other)
}

/// The index has as many places as the records have streams; that each is
/// there was seen on the way.
fn check_index(disk: &Disk, head: Head, places: usize) -> Result<(), StoreError> {
    let mut found = 0;
    for part in disk.db.scan_prefix(keys::streams()) {
        let (key, _) = part.map_err(|error| sled_error(CHECKING, &error))?;
        let position = keys::stream_position(&key)
            .filter(|_| keys::stream_in(&key).is_some())
            .ok_or_else(|| StoreError::damaged("the index holds what is no place of a stream"))?;
        found += usize::from(position <= head.position);
    }
    if found == places {
        return Ok(());
    }
    Err(StoreError::damaged(format!("the index holds {found} places, the records have {places}")))
}

/// Every content is what its digest says, and what entries name is there. Gives
/// how many there are, and their bytes.
fn check_contents(
    disk: &Disk,
    mut named: HashSet<Digest>,
    erased: &HashSet<Digest>,
) -> Result<(u64, u64), StoreError> {
    let (mut count, mut bytes) = (0, 0);
    named.retain(|name| !erased.contains(name));
    let mut place = Some(Place::START);
    while let Some(from @ (Place::Contents(_) | Place::Files(_))) = place {
        let (parts, next) = disk.parts(from, 0, Faults::Refuse)?;
        for part in parts {
            if let Part::Content(name, content) = part {
                if erased.contains(&name) {
                    let why = format!("the content {name}, which was erased, is there");
                    return Err(StoreError::damaged(why));
                }
                count += 1;
                bytes += content.len() as u64;
                named.remove(&name);
            }
        }
        place = next;
    }
    match named.iter().min() {
        None => Ok((count, bytes)),
        Some(lost) => Err(StoreError::damaged(format!("the content {lost}, which an entry names, is gone"))),
    }
}

/// Every unique key leads to a record that has its stream.
fn check_keys(disk: &Disk, head: Head) -> Result<u64, StoreError> {
    let mut count = 0;
    let mut place = Some(Place::Keys(None));
    while let Some(from) = place {
        let (parts, next) = disk.parts(from, head.position, Faults::Refuse)?;
        for part in parts {
            let Part::Key { key, position, stream } = part else { continue };
            let index = keys::stream_at(stream, position);
            if !disk.db.contains_key(index).map_err(|error| sled_error(CHECKING, &error))? {
                return Err(StoreError::damaged(format!(
                    "the key `{key}` leads to {stream} in record {position}, which is not there"
                )));
            }
            count += 1;
        }
        place = next;
    }
    Ok(count)
}

/// The last record up to which the chain holds, and what is wrong after it, when
/// something is. The index is not asked: records are enough to save them.
pub fn check_chain(disk: &Disk) -> (Head, Option<StoreError>) {
    let mut at = Head::EMPTY;
    let last = match last_position(disk) {
        Ok(last) => last,
        Err(error) => return (at, Some(error)),
    };
    while at.position < last {
        match guarded(CHECKING, || record_at(disk, at.position + 1, Some(at.hash))) {
            Ok(found) => at = found.head,
            Err(error) => return (at, Some(error)),
        }
    }
    (at, None)
}

fn last_position(disk: &Disk) -> Result<u64, StoreError> {
    match disk.db.range(keys::record(0)..=keys::record(u64::MAX)).next_back() {
        None => Ok(0),
        Some(record) => {
            let (key, _) = record.map_err(|error| sled_error(CHECKING, &error))?;
            keys::record_position(&key).ok_or_else(|| StoreError::damaged("the last record has no number"))
        }
    }
}

/// Walks the records after `after` up to `last`; gives the head there.
fn walk(disk: &Disk, after: u64, hash_before: Option<Digest>, last: u64) -> Result<Head, StoreError> {
    let mut previous = if after == 0 { Some(Head::EMPTY.hash) } else { hash_before };
    for position in after + 1..=last {
        previous = Some(step(disk, position, previous)?.head.hash);
    }
    let hash = previous.unwrap_or(Head::EMPTY.hash);
    Ok(Head { position: last.max(after), hash })
}

/// A record of the chain.
struct Found {
    head: Head,
    entries: Vec<Entry>,
    /// What it held that is erased.
    gone: Vec<Gone>,
    /// The SHA-256 of its bytes, when it is a tombstone.
    tombstone: Option<Digest>,
}

/// One record of the chain: its number, the hash of the one before, entries that
/// decode and stand in the index.
fn step(disk: &Disk, position: u64, previous: Option<Digest>) -> Result<Found, StoreError> {
    let found = record_at(disk, position, previous)?;
    for (stream, seq) in tombstone::last_of(&found.entries, &found.gone) {
        let index = disk.db.get(keys::stream_at(stream, position));
        let index = index.map_err(|error| sled_error(CHECKING, &error))?;
        if index.as_deref() != Some(&keys::short(seq)) {
            return Err(StoreError::damaged(format!(
                "record {position} is missing in the index of {stream}"
            )));
        }
    }
    Ok(found)
}

/// One record of the chain, without the index.
fn record_at(disk: &Disk, position: u64, previous: Option<Digest>) -> Result<Found, StoreError> {
    let record = disk.db.get(keys::record(position));
    let record = record
        .map_err(|error| sled_error(CHECKING, &error))?
        .ok_or_else(|| StoreError::damaged(format!("record {position} is missing")))?;
    let sealed = codec::unseal(&record).map_err(|error| codec_error(position, error))?;
    if sealed.position != position || previous.is_some_and(|hash| hash != sealed.previous) {
        return Err(StoreError::damaged(format!("record {position} does not follow the record before")));
    }
    let entries = disk.unpack(&sealed)?;
    let gone = tombstone::gone(&sealed).map_err(|error| codec_error(position, error))?;
    let own = digest(&record);
    let head = Head { position, hash: sealed.erased.unwrap_or(own) };
    Ok(Found { head, entries, gone, tombstone: sealed.erased.map(|_| own) })
}

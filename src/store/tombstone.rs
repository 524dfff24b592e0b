//! What stands in the place of a record that was erased: its hash, so that the
//! chain holds; which entries of which streams it held, so that numbers and the
//! index have no gaps; and those of its entries that stay.
//!
//! Entries of schedules stay: a firing and the run it started are one record, and
//! the schedule goes on when the run is erased. They name ids and times alone.
//! A record with any other entry that is not erased is left as it is, until that
//! one is erased too.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::erasure::Erasure;
use crate::domain::event::{Entry, Event};
use crate::domain::id::StreamId;
use crate::domain::value::{Digest, digest};
use crate::store::codec::{self, CodecError, Part, Sealed};
use crate::store::error::StoreError;
use crate::store::journal::Erase;

/// Entries of one stream that were in a record and are erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gone {
    /// Whose they were.
    #[serde(rename = "s")]
    pub stream: StreamId,
    /// The number of the first.
    #[serde(rename = "n")]
    pub first: u64,
    /// The number of the last.
    #[serde(rename = "l")]
    pub last: u64,
}

/// What a tombstone tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Tombstone {
    /// What it held, by stream.
    pub gone: Vec<Gone>,
    /// What of it stays.
    pub kept: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told<E> {
    #[serde(rename = "g")]
    gone: Vec<Gone>,
    #[serde(rename = "k")]
    kept: Vec<Part<E>>,
}

/// Reads what stands in a tombstone after its form.
///
/// # Errors
/// [`CodecError::Entries`].
pub fn read(told: &[u8]) -> Result<Tombstone, CodecError> {
    let Told { gone, kept } = codec::unpacked::<Told<Event>>(told)?;
    if gone.is_empty() || gone.iter().any(|gone| gone.first == 0 || gone.last < gone.first) {
        return Err(CodecError::Entries("a tombstone tells of nothing that was erased".to_owned()));
    }
    Ok(Tombstone { gone, kept: codec::entries_of(kept)? })
}

/// What a record held that is erased; nothing when it is no tombstone.
///
/// # Errors
/// [`CodecError::Entries`].
pub fn gone(sealed: &Sealed<'_>) -> Result<Vec<Gone>, CodecError> {
    match (sealed.erased, sealed.packed.split_first()) {
        (Some(_), Some((&codec::ERASED, told))) => Ok(read(told)?.gone),
        _ => Ok(Vec::new()),
    }
}

/// The last number of each stream in a record, erased or not.
pub fn last_of(entries: &[Entry], gone: &[Gone]) -> BTreeMap<StreamId, u64> {
    let there = entries.iter().map(|entry| (entry.stream, entry.seq));
    there.chain(gone.iter().map(|gone| (gone.stream, gone.last))).collect()
}

/// Whether an entry outlives the erasing of all else in its record.
fn stays(entry: &Entry) -> bool {
    matches!(
        entry.stream,
        StreamId::Schedule(_) | StreamId::Exception(_) | StreamId::Poll(_) | StreamId::Restore(_)
    )
}

/// The tombstone of a record with these entries.
///
/// # Errors
/// [`StoreError::Io`] when the entries cannot be written down.
pub fn of(record: &[u8], sealed: &Sealed<'_>, entries: &[Entry]) -> Result<Vec<u8>, StoreError> {
    let mut gone: BTreeMap<StreamId, Gone> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| !stays(entry)) {
        let fresh = Gone { stream: entry.stream, first: entry.seq, last: entry.seq };
        let gone = gone.entry(entry.stream).or_insert(fresh);
        gone.first = gone.first.min(entry.seq);
        gone.last = gone.last.max(entry.seq);
    }
    let kept: Vec<Entry> = entries.iter().filter(|entry| stays(entry)).cloned().collect();
    let told = Told { gone: gone.into_values().collect(), kept: codec::parts(&kept) };
    let told = rmp_serde::to_vec_named(&told).map_err(|error| StoreError::Io {
        doing: "writing a tombstone as MessagePack".to_owned(),
        why: error.to_string(),
    })?;
    Ok(codec::bury(sealed, digest(record), &told))
}

/// The seal over tombstones, which come in the order of the records.
#[derive(Default)]
pub struct Seal(Sha256);

impl Seal {
    /// Takes in the SHA-256 of the next tombstone.
    pub fn add(&mut self, tombstone: Digest) {
        self.0.update(tombstone.0);
    }

    /// The seal over all of them.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// A journal's records, as erasing looks at them.
pub trait Records {
    /// The records that hold entries of a stream, each with the last number there.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn places(&self, stream: StreamId) -> Result<Vec<(u64, u64)>, StoreError>;

    /// The bytes of a record, and its entries.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    fn record(&self, position: u64) -> Result<(Vec<u8>, Vec<Entry>), StoreError>;

    /// Whether a stream was erased before.
    ///
    /// # Errors
    /// When that cannot be read.
    fn is_erased(&self, stream: StreamId) -> Result<bool, StoreError>;
}

/// What an order to erase comes to.
pub struct Planned {
    /// The fact, ready to be appended.
    pub entry: Entry,
    /// The last number of every stream that is erased: none may move on meanwhile.
    pub claims: Vec<(StreamId, u64, u64)>,
}

/// Works out what an order erases. Nothing is changed.
///
/// # Errors
/// [`StoreError::Conflict`] when a stream has entries that whoever orders it has
/// not seen; what reading fails with.
pub fn plan(order: &Erase, records: &dyn Records) -> Result<Planned, StoreError> {
    let erased: BTreeSet<StreamId> = order.streams.iter().copied().collect();
    let (mut claims, mut candidates) = (Vec::new(), BTreeSet::new());
    let mut contents: BTreeSet<Digest> = order.contents.iter().copied().collect();
    let mut after = None;
    for stream in erased.iter().copied().chain([order.of]) {
        let places = records.places(stream)?;
        let last = places.last().map_or(0, |(_, last)| *last);
        if let Some((_, found)) = places.iter().find(|(position, _)| *position > order.seen) {
            return Err(StoreError::Conflict { stream, expected: last, found: *found });
        }
        if stream == order.of {
            after = Some(last);
        } else {
            claims.push((stream, last, 0));
        }
        if erased.contains(&stream) {
            candidates.extend(places.into_iter().map(|(position, _)| position));
        }
    }
    let (mut seal, mut positions) = (Seal::default(), Vec::new());
    for position in candidates {
        let (record, entries) = records.record(position)?;
        let sealed = codec::unseal(&record).map_err(|error| StoreError::damaged(error.to_string()))?;
        if sealed.erased.is_some() || !may_go(&entries, &erased, records)? {
            continue;
        }
        seal.add(digest(&of(&record, &sealed, &entries)?));
        positions.push(position);
        contents.extend(codec::is_beside(sealed.packed));
    }
    let after = after.unwrap_or(0);
    claims.insert(0, (order.of, after, 1));
    let erasure = Erasure {
        rule: order.rule,
        kept_seconds: order.kept_seconds,
        streams: erased.into_iter().collect(),
        records: Erasure::rows(positions),
        contents: contents.into_iter().collect(),
        seal: seal.finish(),
    };
    let event = Event::Erased(Box::new(erasure));
    Ok(Planned { entry: Entry { stream: order.of, seq: after + 1, at: order.at, event }, claims })
}

/// Whether nothing in the record is left that stays. A fact of what was erased stays.
fn may_go(entries: &[Entry], erased: &BTreeSet<StreamId>, records: &dyn Records) -> Result<bool, StoreError> {
    for entry in entries {
        if matches!(entry.event, Event::Erased(_)) {
            return Ok(false);
        }
        if !stays(entry) && !erased.contains(&entry.stream) && !records.is_erased(entry.stream)? {
            return Ok(false);
        }
    }
    Ok(true)
}

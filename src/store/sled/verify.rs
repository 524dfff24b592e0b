//! The chain of records, walked and compared with what was acknowledged.

use crate::domain::value::{Digest, digest};
use crate::store::codec;
use crate::store::error::StoreError;
use crate::store::journal::Head;
use crate::store::sled::disk::{Disk, sled_error};
use crate::store::sled::keys;
use crate::store::sled::read::codec_error;

/// What a walk over the whole journal found to be as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Records in the chain.
    pub records: u64,
    /// Entries in them.
    pub entries: u64,
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
    let (at_mark, _) = walk(disk, before, None, mark.position)?;
    if at_mark.hash != mark.hash {
        return Err(StoreError::damaged(format!(
            "record {} is not the one that was acknowledged",
            mark.position
        )));
    }
    Ok(walk(disk, mark.position, Some(mark.hash), last)?.0)
}

/// Walks all records up to `head`.
pub fn check_all(disk: &Disk, head: Head) -> Result<Verified, StoreError> {
    let (end, entries) = walk(disk, 0, None, head.position)?;
    if end.hash != head.hash {
        return Err(StoreError::damaged(format!(
            "record {} is not the one that was acknowledged",
            head.position
        )));
    }
    Ok(Verified { records: end.position, entries })
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

/// Walks the records after `after` up to `last`: numbers without gaps, each with
/// the hash of the one before, entries that decode and are in the index. Gives
/// the head there and the number of entries.
fn walk(disk: &Disk, after: u64, hash_before: Option<Digest>, last: u64) -> Result<(Head, u64), StoreError> {
    let mut previous = if after == 0 { Some(Head::EMPTY.hash) } else { hash_before };
    let mut entries = 0;
    for position in after + 1..=last {
        let record = disk.db.get(keys::record(position));
        let record = record
            .map_err(|error| sled_error(CHECKING, &error))?
            .ok_or_else(|| StoreError::damaged(format!("record {position} is missing")))?;
        let sealed = codec::unseal(&record).map_err(|error| codec_error(position, error))?;
        if sealed.position != position || previous.is_some_and(|hash| hash != sealed.previous) {
            return Err(StoreError::damaged(format!("record {position} does not follow the record before")));
        }
        for entry in disk.unpack(&sealed)? {
            entries += 1;
            let index = keys::stream_at(entry.stream, position);
            if !disk.db.contains_key(index).map_err(|error| sled_error(CHECKING, &error))? {
                return Err(StoreError::damaged(format!(
                    "record {position} is missing in the index of {}",
                    entry.stream
                )));
            }
        }
        previous = Some(digest(&record));
    }
    let hash = previous.unwrap_or(Head::EMPTY.hash);
    Ok((Head { position: last.max(after), hash }, entries))
}

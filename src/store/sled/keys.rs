//! The keys of the one tree. A prefix byte says what a key is; numbers are big
//! endian so that keys sort as they count.
//!
//! ```text
//! f                              → version of the layout (u32)
//! r position                     → record
//! s sort ulid position           → last number of the stream in that record
//! b sha256                       → blob
//! k key                          → position, stream (sort ulid)
//! w ulid                         → where a run rests: rules (4), last number (8), time in ms (8) or nothing
//! e sort ulid                    → the record that says that this stream was erased (version 2)
//! p position                     → nothing; what that record erases is not all gone yet (version 2)
//! ```

use ulid::Ulid;

use crate::domain::id::{AlertId, ExceptionId, IncidentId, PollId, RestoreId, RunId, ScheduleId, StreamId};
use crate::domain::time::Timestamp;
use crate::domain::value::Digest;
use crate::store::journal::Rest;

/// Holds the version of this layout.
pub const FORMAT: &[u8] = b"f";
/// The version of this layout that a new store gets.
pub const FORMAT_VERSION: u32 = 1;
/// The version from the first erasing on: there are tombstones, which a program
/// that knows version 1 alone cannot read. This program reads up to this one.
pub const ERASED_VERSION: u32 = 2;

const RECORD: u8 = b'r';
const STREAM: u8 = b's';
const BLOB: u8 = b'b';
const UNIQUE: u8 = b'k';
const REST: u8 = b'w';
const ERASED: u8 = b'e';
const PENDING: u8 = b'p';

/// Bytes of a stream in a key: its sort and its ULID.
const STREAM_BYTES: usize = 17;

/// The key of a record.
pub fn record(position: u64) -> [u8; 9] {
    let mut key = [RECORD; 9];
    key[1..].copy_from_slice(&position.to_be_bytes());
    key
}

/// The number of the record with this key.
pub fn record_position(key: &[u8]) -> Option<u64> {
    match key.split_first() {
        Some((&RECORD, position)) => position.try_into().ok().map(u64::from_be_bytes),
        _ => None,
    }
}

/// What all index keys of a stream begin with.
pub fn stream(stream: StreamId) -> [u8; 1 + STREAM_BYTES] {
    let mut key = [STREAM; 1 + STREAM_BYTES];
    key[1..].copy_from_slice(&stream_bytes(stream));
    key
}

/// The index key of a stream's part of a record.
pub fn stream_at(stream_id: StreamId, position: u64) -> [u8; 1 + STREAM_BYTES + 8] {
    let mut key = [0; 1 + STREAM_BYTES + 8];
    key[..=STREAM_BYTES].copy_from_slice(&stream(stream_id));
    key[1 + STREAM_BYTES..].copy_from_slice(&position.to_be_bytes());
    key
}

/// The record's number in an index key.
pub fn stream_position(key: &[u8]) -> Option<u64> {
    key.get(1 + STREAM_BYTES..)?.try_into().ok().map(u64::from_be_bytes)
}

/// A number as short as it can be: big endian without leading zeros.
pub fn short(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    bytes[(number.leading_zeros() / 8) as usize..].to_vec()
}

/// The number that [`short`] wrote.
pub fn from_short(bytes: &[u8]) -> Option<u64> {
    let mut all = [0; 8];
    all.get_mut(8usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(u64::from_be_bytes(all))
}

/// The key of a blob.
pub fn blob(digest: Digest) -> [u8; 33] {
    let mut key = [BLOB; 33];
    key[1..].copy_from_slice(&digest.0);
    key
}

/// The digest in the key of a blob.
pub fn blob_digest(key: &[u8]) -> Option<Digest> {
    match key.split_first() {
        Some((&BLOB, digest)) => digest.try_into().ok().map(Digest),
        _ => None,
    }
}

/// What all index keys begin with.
pub fn streams() -> [u8; 1] {
    [STREAM]
}

/// The stream in an index key.
pub fn stream_in(key: &[u8]) -> Option<StreamId> {
    match key.split_first() {
        Some((&STREAM, rest)) => stream_from(rest.get(..STREAM_BYTES)?),
        _ => None,
    }
}

/// The first key after all unique keys.
pub fn after_unique() -> Vec<u8> {
    vec![UNIQUE + 1]
}

/// The text of a unique key.
pub fn unique_text(key: &[u8]) -> Option<&str> {
    match key.split_first() {
        Some((&UNIQUE, text)) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

/// The key of a unique key.
pub fn unique(key: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + key.len());
    bytes.push(UNIQUE);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// What a unique key leads to.
pub fn unique_value(position: u64, stream: StreamId) -> Vec<u8> {
    let mut bytes = position.to_be_bytes().to_vec();
    bytes.extend_from_slice(&stream_bytes(stream));
    bytes
}

/// Takes apart what [`unique_value`] wrote.
pub fn from_unique_value(bytes: &[u8]) -> Option<(u64, StreamId)> {
    let (position, stream) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*position), stream_from(stream)?))
}

/// What the keys of all runs that rest begin with.
pub fn rests() -> [u8; 1] {
    [REST]
}

/// The key of where a run rests.
pub fn rest(run: RunId) -> [u8; 17] {
    let mut key = [REST; 17];
    key[1..].copy_from_slice(&run.ulid().to_bytes());
    key
}

/// Where a run rests, as it is kept.
pub fn rest_value(rest: Rest) -> Vec<u8> {
    let mut bytes = rest.rules.to_be_bytes().to_vec();
    bytes.extend_from_slice(&rest.seq.to_be_bytes());
    bytes.extend(rest.wake.iter().flat_map(|wake| wake.millis().to_be_bytes()));
    bytes
}

/// The run and where it rests; nothing when these bytes are no such thing.
pub fn from_rest(key: &[u8], bytes: &[u8]) -> Option<(RunId, Rest)> {
    let run = RunId::new(Ulid::from_bytes(key.strip_prefix(&[REST])?.try_into().ok()?));
    let (rules, bytes) = bytes.split_first_chunk()?;
    let (seq, wake) = bytes.split_first_chunk()?;
    let wake = match wake {
        [] => None,
        millis => Some(Timestamp::from_millis(i64::from_be_bytes(millis.try_into().ok()?))),
    };
    Some((run, Rest { seq: u64::from_be_bytes(*seq), wake, rules: u32::from_be_bytes(*rules) }))
}

/// What the keys of all streams that were erased begin with.
pub fn all_erased() -> [u8; 1] {
    [ERASED]
}

/// The key of a stream that was erased.
pub fn erased(stream: StreamId) -> [u8; 1 + STREAM_BYTES] {
    let mut key = [ERASED; 1 + STREAM_BYTES];
    key[1..].copy_from_slice(&stream_bytes(stream));
    key
}

/// What the keys of all erasings that are not done begin with.
pub fn all_pending() -> [u8; 1] {
    [PENDING]
}

/// The key of an erasing that is not done, by the record that says so.
pub fn pending(position: u64) -> [u8; 9] {
    let mut key = [PENDING; 9];
    key[1..].copy_from_slice(&position.to_be_bytes());
    key
}

/// The record in the key of an erasing that is not done.
pub fn pending_position(key: &[u8]) -> Option<u64> {
    match key.split_first() {
        Some((&PENDING, position)) => position.try_into().ok().map(u64::from_be_bytes),
        _ => None,
    }
}

fn stream_from(bytes: &[u8]) -> Option<StreamId> {
    let (&sort, ulid) = bytes.split_first()?;
    let ulid = Ulid::from_bytes(ulid.try_into().ok()?);
    Some(match sort {
        b'a' => StreamId::Alert(AlertId::new(ulid)),
        b'i' => StreamId::Incident(IncidentId::new(ulid)),
        b'r' => StreamId::Run(RunId::new(ulid)),
        b's' => StreamId::Schedule(ScheduleId::new(ulid)),
        b'e' => StreamId::Exception(ExceptionId::new(ulid)),
        b'p' => StreamId::Poll(PollId::new(ulid)),
        b't' => StreamId::Restore(RestoreId::new(ulid)),
        _ => return None,
    })
}

fn stream_bytes(stream: StreamId) -> [u8; STREAM_BYTES] {
    let (sort, ulid) = match stream {
        StreamId::Alert(id) => (b'a', id.ulid()),
        StreamId::Incident(id) => (b'i', id.ulid()),
        StreamId::Run(id) => (b'r', id.ulid()),
        StreamId::Schedule(id) => (b's', id.ulid()),
        StreamId::Exception(id) => (b'e', id.ulid()),
        StreamId::Poll(id) => (b'p', id.ulid()),
        StreamId::Restore(id) => (b't', id.ulid()),
    };
    let mut bytes = [sort; STREAM_BYTES];
    bytes[1..].copy_from_slice(&ulid.to_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_numbers_and_read_back() {
        let run = StreamId::Run(RunId::new(Ulid::from_parts(1, 2)));
        for (less, more) in [(0, 1), (255, 256), (u64::MAX - 1, u64::MAX)] {
            assert!(record(less) < record(more));
            assert!(stream_at(run, less) < stream_at(run, more));
            assert_eq!(record_position(&record(more)), Some(more));
            assert_eq!(stream_position(&stream_at(run, more)), Some(more));
            assert_eq!(from_short(&short(more)), Some(more));
            assert_eq!(from_unique_value(&unique_value(more, run)), Some((more, run)));
        }
        for sort in [
            StreamId::Alert(AlertId::new(Ulid::from_parts(1, 2))),
            StreamId::Incident(IncidentId::new(Ulid::from_parts(1, 2))),
            StreamId::Schedule(ScheduleId::new(Ulid::from_parts(1, 2))),
            StreamId::Exception(ExceptionId::new(Ulid::from_parts(1, 2))),
            StreamId::Poll(PollId::new(Ulid::from_parts(1, 2))),
            StreamId::Restore(RestoreId::new(Ulid::from_parts(1, 2))),
        ] {
            assert_eq!(from_unique_value(&unique_value(7, sort)), Some((7, sort)));
            assert_ne!(stream(sort), stream(run), "each sort has keys of its own");
        }
        let id = RunId::new(Ulid::from_parts(1, 2));
        for wake in [None, Some(Timestamp::from_millis(-5)), Some(Timestamp::from_millis(1 << 41))] {
            let kept = Rest { seq: 7, wake, rules: 3 };
            assert_eq!(from_rest(&rest(id), &rest_value(kept)), Some((id, kept)));
        }
        assert_eq!(from_rest(&rest(id), b"short"), None);
        assert!(stream_at(run, 3).starts_with(&stream(run)));
        assert_eq!(short(0), Vec::<u8>::new());
        assert_eq!(from_short(&[1; 9]), None);
        assert_eq!(from_unique_value(b"short"), None);
    }
}

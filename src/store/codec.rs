//! How one record looks: a version, its place in the chain, and the entries.
//!
//! ```text
//! record = version (1) · position (8, big endian) · hash of the record before (32) · packed
//! packed = 0 · parts                      MessagePack, fields by name
//!        | 1 · length (4) · parts in LZ4  when that is shorter
//!        | 2 · SHA-256 (32)               of a packed body kept beside the store
//! parts  = a list of { stream, first seq, time, events }
//! ```
//!
//! The hash of a record is the SHA-256 of all its bytes, so each covers all
//! before it, and with form 2 the body beside the store too.
//!
//! A record that was erased leaves a tombstone, which keeps its place in the chain:
//!
//! ```text
//! tombstone = version (2) · position (8) · hash of the record before (32)
//!             · hash of the erased record (32) · what it held (`tombstone`)
//! ```
//! Its hash is the one it keeps; that nothing else may stand there is said by the
//! fact in the journal that tells what was erased.
//!
//! MessagePack with names, because fields may be added later and floating-point
//! numbers come back bit by bit, which JSON text does not promise.

use serde::{Deserialize, Serialize};

use crate::domain::event::{Entry, Event};
use crate::domain::id::StreamId;
use crate::domain::time::Timestamp;
use crate::domain::value::{Digest, digest};
use crate::store::error::StoreError;
use crate::store::journal::Head;
use crate::store::tombstone;

/// The version of records that this program writes.
pub const VERSION: u8 = 1;
/// The version of tombstones. A program that knows none refuses them by name.
pub const TOMBSTONE_VERSION: u8 = 2;
/// Most bytes of the entries of one record before packing. A value is cut at
/// 1 MiB, and a record carries a handful.
pub const MAX_RECORD_BYTES: usize = 8 << 20;

const PLAIN: u8 = 0;
const LZ4: u8 = 1;
const BESIDE: u8 = 2;
pub(super) const ERASED: u8 = 3;
/// Bytes of a record before `packed`.
pub const PREFIX_BYTES: usize = 1 + 8 + 32;
/// Levels of nesting that are read. JSON is read to 128 levels; the rest is
/// what an event puts around a value.
const MAX_DEPTH: usize = 160;

/// Bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Shorter than a record can be, or of a form nobody writes.
    #[error("these bytes are no record")]
    NoRecord,
    /// Written by a newer program.
    #[error("the record has format {0}, this program reads up to {TOMBSTONE_VERSION}")]
    Newer(u8),
    /// The entries do not decode.
    #[error("the entries do not decode: {0}")]
    Entries(String),
}

/// The entries of one append: what they share is written once.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part<E> {
    #[serde(rename = "s")]
    stream: StreamId,
    #[serde(rename = "n")]
    first: u64,
    #[serde(rename = "t")]
    at_millis: i64,
    #[serde(rename = "e")]
    events: Vec<E>,
}

/// A record taken apart, its entries still packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Its number.
    pub position: u64,
    /// The hash of the record before.
    pub previous: Digest,
    /// The packed entries, or where they are; of a tombstone what it tells.
    pub packed: &'a [u8],
    /// The hash of the record that was erased, when this is a tombstone.
    pub erased: Option<Digest>,
}

/// Packs entries for [`seal`].
///
/// # Errors
/// [`StoreError::TooLarge`] above [`MAX_RECORD_BYTES`].
pub fn pack(entries: &[Entry]) -> Result<Vec<u8>, StoreError> {
    let parts = parts(entries);
    let plain = rmp_serde::to_vec_named(&parts).map_err(|error| StoreError::Io {
        doing: "writing entries as MessagePack".to_owned(),
        why: error.to_string(),
    })?;
    if plain.len() > MAX_RECORD_BYTES {
        return Err(StoreError::TooLarge {
            what: "the events of a batch, in bytes,",
            size: plain.len() as u64,
            max: MAX_RECORD_BYTES as u64,
        });
    }
    let short = lz4_flex::block::compress_prepend_size(&plain);
    let (form, bytes) = if short.len() < plain.len() { (LZ4, short) } else { (PLAIN, plain) };
    let mut packed = Vec::with_capacity(1 + bytes.len());
    packed.push(form);
    packed.extend_from_slice(&bytes);
    Ok(packed)
}

pub(super) fn parts(entries: &[Entry]) -> Vec<Part<&Event>> {
    let mut parts: Vec<Part<&Event>> = Vec::new();
    for entry in entries {
        match parts.last_mut() {
            Some(part)
                if part.stream == entry.stream
                    && part.at_millis == entry.at.millis()
                    && part.first + part.events.len() as u64 == entry.seq =>
            {
                part.events.push(&entry.event);
            }
            _ => parts.push(Part {
                stream: entry.stream,
                first: entry.seq,
                at_millis: entry.at.millis(),
                events: vec![&entry.event],
            }),
        }
    }
    parts
}

/// What stands in a record for a packed body that is kept beside the store.
pub fn beside(body: Digest) -> Vec<u8> {
    let mut packed = vec![BESIDE];
    packed.extend_from_slice(&body.0);
    packed
}

/// The digest of the body, when `packed` is kept beside the store.
pub fn is_beside(packed: &[u8]) -> Option<Digest> {
    let (&BESIDE, body) = packed.split_first()? else {
        return None;
    };
    body.try_into().ok().map(Digest)
}

/// Writes the record after `previous`; gives its bytes and the new head.
pub fn seal(previous: Head, packed: &[u8]) -> (Vec<u8>, Head) {
    let position = previous.position + 1;
    let mut record = Vec::with_capacity(PREFIX_BYTES + packed.len());
    record.push(VERSION);
    record.extend_from_slice(&position.to_be_bytes());
    record.extend_from_slice(&previous.hash.0);
    record.extend_from_slice(packed);
    let head = Head { position, hash: digest(&record) };
    (record, head)
}

/// Takes a record apart.
///
/// # Errors
/// [`CodecError::NoRecord`], [`CodecError::Newer`].
pub fn unseal(record: &[u8]) -> Result<Sealed<'_>, CodecError> {
    let is_tombstone = match record.first() {
        Some(&version) if version > TOMBSTONE_VERSION => return Err(CodecError::Newer(version)),
        Some(&VERSION) => false,
        Some(&TOMBSTONE_VERSION) => true,
        _ => return Err(CodecError::NoRecord),
    };
    let (prefix, packed) = record.split_at_checked(PREFIX_BYTES).ok_or(CodecError::NoRecord)?;
    let position = prefix[1..9].try_into().map_err(|_| CodecError::NoRecord)?;
    let previous = prefix[9..].try_into().map_err(|_| CodecError::NoRecord)?;
    let (erased, packed) = match is_tombstone {
        false => (None, packed),
        true => {
            let (hash, told) = packed.split_first_chunk().ok_or(CodecError::NoRecord)?;
            (Some(Digest(*hash)), told)
        }
    };
    // Either may hold the one form and not the other.
    if (packed.first() == Some(&ERASED)) != is_tombstone {
        return Err(CodecError::NoRecord);
    }
    Ok(Sealed { position: u64::from_be_bytes(position), previous: Digest(previous), packed, erased })
}

/// The hash of a record: of all its bytes, or the one that its tombstone keeps.
///
/// # Errors
/// [`CodecError::NoRecord`], [`CodecError::Newer`].
pub fn hash(record: &[u8]) -> Result<Digest, CodecError> {
    Ok(unseal(record)?.erased.unwrap_or_else(|| digest(record)))
}

/// Writes the tombstone of a record whose hash is `erased`.
pub(super) fn bury(sealed: &Sealed<'_>, erased: Digest, told: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(PREFIX_BYTES + 32 + 1 + told.len());
    record.push(TOMBSTONE_VERSION);
    record.extend_from_slice(&sealed.position.to_be_bytes());
    record.extend_from_slice(&sealed.previous.0);
    record.extend_from_slice(&erased.0);
    record.push(ERASED);
    record.extend_from_slice(told);
    record
}

/// The entries of a packed body that is not kept beside the store; of a tombstone
/// those that stayed.
///
/// # Errors
/// [`CodecError::NoRecord`], [`CodecError::Entries`].
pub fn unpack(packed: &[u8]) -> Result<Vec<Entry>, CodecError> {
    match packed.split_first() {
        Some((&PLAIN, plain)) => decode(plain),
        Some((&LZ4, short)) => {
            let (length, block) = short.split_first_chunk().ok_or(CodecError::NoRecord)?;
            let length = u32::from_le_bytes(*length) as usize;
            if length > MAX_RECORD_BYTES {
                return Err(CodecError::Entries(format!("they claim to be {length} bytes long")));
            }
            let plain = lz4_flex::block::decompress(block, length)
                .map_err(|error| CodecError::Entries(error.to_string()))?;
            decode(&plain)
        }
        Some((&ERASED, told)) => Ok(tombstone::read(told)?.kept),
        _ => Err(CodecError::NoRecord),
    }
}

fn decode(plain: &[u8]) -> Result<Vec<Entry>, CodecError> {
    entries_of(unpacked(plain)?)
}

/// What MessagePack says, all of it and nothing after.
pub(super) fn unpacked<T: serde::de::DeserializeOwned>(plain: &[u8]) -> Result<T, CodecError> {
    let wrong = |why: &str| CodecError::Entries(why.to_owned());
    let mut rest = plain;
    let mut reader = rmp_serde::Deserializer::new(&mut rest);
    reader.set_max_depth(MAX_DEPTH);
    let told = T::deserialize(&mut reader).map_err(|error| wrong(&error.to_string()))?;
    if !rest.is_empty() {
        return Err(wrong("there are bytes after the last one"));
    }
    Ok(told)
}

pub(super) fn entries_of(parts: Vec<Part<Event>>) -> Result<Vec<Entry>, CodecError> {
    let wrong = |why: &str| CodecError::Entries(why.to_owned());
    let mut entries = Vec::with_capacity(parts.iter().map(|part| part.events.len()).sum());
    for part in parts {
        let at = Timestamp::from_millis(part.at_millis);
        for (event, nth) in part.events.into_iter().zip(0u64..) {
            let seq = part.first.checked_add(nth).ok_or_else(|| wrong("a number is too high"))?;
            entries.push(Entry { stream: part.stream, seq, at, event });
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use ulid::Ulid;

    use super::*;
    use crate::domain::command::Phase;
    use crate::domain::id::{ContainmentId, RunId};
    use crate::domain::outcome::{Evidence, Outcome};
    use crate::domain::run::{StepEnd, StepKey};
    use crate::domain::value::Value;

    fn entry(seq: u64, event: Event) -> Entry {
        let stream = StreamId::Run(RunId::new(Ulid::from_parts(1_795_427_682_123, 77)));
        Entry { stream, seq, at: Timestamp::from_millis(1_795_427_682_123), event }
    }

    /// A suspension as runs write it: start, look up, suspend, verify, tell.
    fn a_run() -> Vec<Entry> {
        let mut entries = Vec::new();
        for (step, answer) in [
            ("look_up", json!({"id": "00u1ab2cd3", "login": "dana@example.org", "status": "ACTIVE"})),
            ("owner", json!({"email": "omar@example.org", "name": "Omar Haddad", "team": "payments"})),
            ("suspend", json!({"status": "SUSPENDED", "changed": true})),
            ("tell", json!({"message_id": "<01J9ZQ6E5V7N8T3K2M4P6R8S0W@quell>", "accepted": 2})),
        ] {
            let key = StepKey::root(step);
            let at = Timestamp::from_millis(1_795_427_682_123);
            let evidence = Evidence {
                source: format!("okta.{step}"),
                request: format!("POST https://example.okta.com/api/v1/users/00u1ab2cd3/{step}"),
                response: "200".to_owned(),
                sha256: digest(step.as_bytes()),
                bytes: 1432,
                at,
            };
            let outcome = Outcome::Succeeded { output: answer, evidence: Some(evidence) };
            for event in [
                Event::StepStarted { key: key.clone(), input: json!({"user": "dana@example.org"}) },
                Event::intent(key.clone(), Phase::Act, 1),
                Event::AttemptEnded { key: key.clone(), phase: Phase::Act, attempt: 1, outcome },
                Event::StepEnded { key, end: StepEnd::Succeeded, output: None, why: None },
            ] {
                entries.push(entry(entries.len() as u64 + 1, event));
            }
        }
        entries
    }

    #[test]
    fn a_run_of_sixteen_entries_packs_into_less_than_two_kilobytes() {
        let entries = a_run();
        let packed = pack(&entries).expect("packs");
        let json = serde_json::to_vec(&entries).expect("is JSON");
        let json_lz4 = lz4_flex::block::compress(&json).len();
        let plain = rmp_serde::to_vec_named(&parts(&entries)).expect("is MessagePack").len();
        println!("json {} json+lz4 {json_lz4} msgpack {plain} packed {}", json.len(), packed.len());
        let third: usize = entries.chunks(6).map(|some| pack(some).map_or(0, |packed| packed.len())).sum();
        println!("in three records {third}");
        assert!(packed.len() < 2048, "{} bytes", packed.len());
        assert_eq!(unpack(&packed), Ok(entries));
    }

    #[test]
    fn a_record_reads_back_and_names_its_place() {
        let before = Head { position: 41, hash: digest(b"before") };
        let packed = pack(&a_run()).expect("packs");
        let (record, head) = seal(before, &packed);
        let sealed = unseal(&record).expect("unseals");
        assert_eq!((sealed.position, sealed.previous), (42, before.hash));
        assert_eq!(sealed.packed, packed);
        assert_eq!(head, Head { position: 42, hash: digest(&record) });
    }

    #[test]
    fn a_record_of_a_newer_program_is_refused_by_name() {
        let (mut record, _) = seal(Head::EMPTY, &[PLAIN]);
        record[0] = TOMBSTONE_VERSION + 1;
        assert_eq!(unseal(&record), Err(CodecError::Newer(TOMBSTONE_VERSION + 1)));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_it_is_reserved() {
        let mut packed = vec![LZ4];
        packed.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(unpack(&packed), Err(CodecError::Entries(_))));
    }

    #[test]
    fn nesting_deeper_than_json_allows_is_an_error_not_a_crash() {
        let mut plain = vec![0x91u8; 100_000];
        plain.push(0x90);
        assert!(decode(&plain).is_err());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300f64..1e300).prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(".{0,8}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_comes_back_as_it_was(output in any_value(), id in any::<u128>()) {
            let containment = ContainmentId::new(Ulid(id));
            let outcome = Outcome::Succeeded { output, evidence: None };
            let key = StepKey::root("look_up");
            let entries = vec![
                entry(1, Event::AttemptEnded { key, phase: Phase::Act, attempt: 1, outcome }),
                entry(2, Event::ContainmentVerified { containment }),
            ];
            let packed = pack(&entries).expect("packs");
            prop_assert_eq!(unpack(&packed), Ok(entries));
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(sealed) = unseal(&bytes) {
                let _ = unpack(sealed.packed);
            }
            let _ = unpack(&bytes);
            let _ = decode(&bytes);
        }

        #[test]
        fn a_flipped_bit_is_an_error_or_other_entries_and_never_a_panic(at in 0usize..2000, bit in 0u8..8) {
            let mut packed = pack(&a_run()).expect("packs");
            let at = at % packed.len();
            packed[at] ^= 1 << bit;
            let _ = unpack(&packed);
        }
    }
}

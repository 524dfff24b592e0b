//! What may be appended: limits of a batch, and whether it fits what is there.

use std::collections::HashMap;

use crate::domain::event::{Entry, Event};
use crate::domain::id::StreamId;
use crate::domain::value::digest;
use crate::store::error::StoreError;
use crate::store::journal::Batch;

/// Most bytes of one blob. Alerts and plans are some 10 KiB, the largest answers
/// of systems are cut at 1 MiB; this leaves room for reports.
pub const MAX_BLOB_BYTES: usize = 8 << 20;
/// Most bytes of all blobs of a batch: they are in memory at once.
pub const MAX_BATCH_BLOB_BYTES: usize = 16 << 20;
/// Most bytes of a unique key. Delivery ids are under 100.
pub const MAX_KEY_BYTES: usize = 512;
/// Most unique keys of a batch: an alert has a delivery id and a finding id.
pub const MAX_KEYS: usize = 64;
/// Most streams a batch appends to: an alert, its incident and its runs.
pub const MAX_APPENDS: usize = 256;
/// Most blobs of a batch.
pub const MAX_BLOBS: usize = 256;
/// Most events of a batch. A turn of a run is cut at some thousands; undoing a
/// loop of 10,000 asks for all of it at once.
pub const MAX_EVENTS: usize = 32_000;

/// Checks the batch by itself: its limits, and that each digest is its blob's.
///
/// # Errors
/// [`StoreError::TooLarge`], [`StoreError::Malformed`].
pub fn check(batch: &Batch) -> Result<(), StoreError> {
    let events = batch.appends.iter().map(|append| append.events.len()).sum();
    let blob_bytes = batch.blobs.iter().map(|(_, bytes)| bytes.len()).sum();
    let largest_blob = batch.blobs.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
    let longest_key = batch.keys.iter().map(String::len).max().unwrap_or(0);
    for (what, size, max) in [
        ("the number of streams in a batch", batch.appends.len(), MAX_APPENDS),
        ("the number of events in a batch", events, MAX_EVENTS),
        ("the number of blobs in a batch", batch.blobs.len(), MAX_BLOBS),
        ("a blob, in bytes,", largest_blob, MAX_BLOB_BYTES),
        ("all blobs of a batch, in bytes,", blob_bytes, MAX_BATCH_BLOB_BYTES),
        ("the number of keys in a batch", batch.keys.len(), MAX_KEYS),
        ("a key, in bytes,", longest_key, MAX_KEY_BYTES),
    ] {
        if size > max {
            return Err(StoreError::TooLarge { what, size: size as u64, max: max as u64 });
        }
    }
    if events == 0 && !batch.keys.is_empty() {
        return Err(StoreError::Malformed { why: "it has keys, but no event they could lead to" });
    }
    let is_fact = |event: &Event| matches!(event, Event::Erased(_));
    if batch.appends.iter().any(|append| append.events.iter().any(is_fact)) {
        return Err(StoreError::Malformed {
            why: "it says that something was erased, which only erasing may",
        });
    }
    if batch.blobs.iter().any(|(named, bytes)| digest(bytes) != *named) {
        return Err(StoreError::Malformed { why: "a blob does not have the digest it is named by" });
    }
    Ok(())
}

/// The entries that the batch becomes, numbered on from what each writer saw.
pub fn entries(batch: &Batch) -> Vec<Entry> {
    batch
        .appends
        .iter()
        .flat_map(|append| {
            append.events.iter().zip(1u64..).map(|(event, nth)| Entry {
                stream: append.stream,
                seq: append.after.saturating_add(nth),
                at: append.at,
                event: event.clone(),
            })
        })
        .collect()
}

/// What an append needs to know of its stream: `(stream, after, events)`.
pub type Claim = (StreamId, u64, u64);

/// The claims of a batch, in order.
pub fn claims(batch: &Batch) -> Vec<Claim> {
    batch.appends.iter().map(|append| (append.stream, append.after, append.events.len() as u64)).collect()
}

/// Checks the batch against what is there and gives the new last number of each
/// stream it touches.
///
/// # Errors
/// [`StoreError::Conflict`], [`StoreError::Taken`], and what the look-ups fail
/// with.
pub fn fit(
    claims: &[Claim],
    keys: &[String],
    mut last: impl FnMut(StreamId) -> Result<u64, StoreError>,
    mut taken: impl FnMut(&str) -> Result<Option<StreamId>, StoreError>,
) -> Result<HashMap<StreamId, u64>, StoreError> {
    // Keys first: a redelivery should hear that it is one, not that its stream
    // has moved on.
    for (nth, key) in keys.iter().enumerate() {
        if let Some(stream) = taken(key)? {
            return Err(StoreError::Taken { key: key.clone(), stream });
        }
        if keys[..nth].contains(key) {
            return Err(StoreError::Malformed { why: "it has the same key twice" });
        }
    }
    let mut moved: HashMap<StreamId, u64> = HashMap::with_capacity(claims.len());
    for &(stream, expected, count) in claims {
        let found = match moved.get(&stream) {
            Some(&seq) => seq,
            None => last(stream)?,
        };
        if found != expected {
            return Err(StoreError::Conflict { stream, expected, found });
        }
        moved.insert(stream, found.saturating_add(count));
    }
    Ok(moved)
}

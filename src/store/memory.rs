//! A journal in memory: the same promises except that it ends with the process.
//! For tests and the practice range.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::domain::event::{Entry, Event};
use crate::domain::id::{RunId, StreamId};
use crate::domain::value::Digest;
use crate::store::admit;
use crate::store::codec::{self, CodecError};
use crate::store::error::StoreError;
use crate::store::journal::{
    Batch, Erase, FOLLOW_BUFFER_BATCHES, Head, Journal, Part, Parts, Place, Receipt, Rest, Stored,
};
use crate::store::tombstone::{self, Records};

/// A journal in memory.
pub struct MemoryJournal {
    inner: Mutex<Inner>,
    live: broadcast::Sender<Receipt>,
}

struct Inner {
    head: Head,
    /// Record `n` is at index `n - 1`.
    records: Vec<Arc<[Entry]>>,
    /// The same records as they would be on a disk.
    sealed: Vec<Vec<u8>>,
    streams: HashMap<StreamId, Vec<Entry>>,
    /// The last number of each stream, erased or not.
    last: HashMap<StreamId, u64>,
    erased: HashSet<StreamId>,
    /// The record of the last order to erase.
    erased_at: u64,
    blobs: HashMap<Digest, Arc<[u8]>>,
    /// Where each key leads, and the record it came with.
    keys: HashMap<String, (u64, StreamId)>,
    rests: HashMap<RunId, Rest>,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        let inner = Inner {
            head: Head::EMPTY,
            records: Vec::new(),
            sealed: Vec::new(),
            streams: HashMap::new(),
            last: HashMap::new(),
            erased: HashSet::new(),
            erased_at: 0,
            blobs: HashMap::new(),
            keys: HashMap::new(),
            rests: HashMap::new(),
        };
        Self { inner: Mutex::new(inner), live: broadcast::Sender::new(FOLLOW_BUFFER_BATCHES) }
    }

    fn append_now(&self, batch: Batch) -> Result<Receipt, StoreError> {
        admit::check(&batch)?;
        let entries: Arc<[Entry]> = admit::entries(&batch).into();
        // Packed as on a disk, so that the limits and the head are the same.
        let packed = codec::pack(&entries)?;
        let mut inner = self.inner.lock();
        admit::fit(
            &admit::claims(&batch),
            &batch.keys,
            |stream| Ok(inner.last.get(&stream).copied().unwrap_or(0)),
            |key| Ok(inner.keys.get(key).map(|(_, stream)| *stream)),
        )?;
        for (digest, bytes) in batch.blobs {
            inner.blobs.entry(digest).or_insert_with(|| bytes.into());
        }
        if entries.is_empty() {
            return Ok(Receipt { position: inner.head.position, entries });
        }
        if let Some(append) = batch.appends.first() {
            let position = inner.head.position + 1;
            for key in batch.keys {
                inner.keys.insert(key, (position, append.stream));
            }
        }
        for (run, rest) in batch.rests {
            match rest {
                Some(rest) => inner.rests.insert(run, rest),
                None => inner.rests.remove(&run),
            };
        }
        Ok(self.keep(&mut inner, entries, &packed))
    }

    fn keep(&self, inner: &mut Inner, entries: Arc<[Entry]>, packed: &[u8]) -> Receipt {
        for entry in entries.iter() {
            inner.streams.entry(entry.stream).or_default().push(entry.clone());
            inner.last.insert(entry.stream, entry.seq);
        }
        inner.records.push(entries.clone());
        let (record, head) = codec::seal(inner.head, packed);
        inner.sealed.push(record);
        inner.head = head;
        let receipt = Receipt { position: inner.head.position, entries };
        // Sent under the lock, so that followers see the order of the records.
        // Nobody following is no error.
        let _ = self.live.send(receipt.clone());
        receipt
    }

    fn erase_now(&self, order: &Erase) -> Result<Receipt, StoreError> {
        let mut inner = self.inner.lock();
        let entry = tombstone::plan(order, &*inner)?.entry;
        let Event::Erased(erasure) = entry.event.clone() else {
            return Err(StoreError::Malformed { why: "nothing was said to be erased" });
        };
        let entries: Arc<[Entry]> = vec![entry].into();
        let packed = codec::pack(&entries)?;
        for position in erasure.positions() {
            inner.bury(position)?;
        }
        inner.erased_at = inner.head.position + 1;
        for stream in &erasure.streams {
            inner.erased.insert(*stream);
            if let StreamId::Run(run) = stream {
                inner.rests.remove(run);
            }
        }
        for content in &erasure.contents {
            inner.blobs.remove(content);
        }
        Ok(self.keep(&mut inner, entries, &packed))
    }

    fn scan_now(&self, after: u64, limit: usize) -> Vec<(u64, Entry)> {
        let inner = self.inner.lock();
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for (position, entries) in (1u64..).zip(&inner.records).skip(skip) {
            found.extend(entries.iter().map(|entry| (position, entry.clone())));
            if found.len() >= limit {
                break;
            }
        }
        found
    }
}

impl Inner {
    /// Puts a tombstone in the place of a record.
    fn bury(&mut self, position: u64) -> Result<(), StoreError> {
        let (record, entries) = self.record(position)?;
        let sealed = codec::unseal(&record).map_err(|error| StoreError::damaged(error.to_string()))?;
        let tombstone = tombstone::of(&record, &sealed, &entries)?;
        let sealed = codec::unseal(&tombstone).map_err(|error| StoreError::damaged(error.to_string()))?;
        let kept = codec::unpack(sealed.packed).map_err(|error| StoreError::damaged(error.to_string()))?;
        for entry in entries.iter().filter(|entry| !kept.contains(entry)) {
            if let Some(stream) = self.streams.get_mut(&entry.stream) {
                stream.retain(|there| there.seq != entry.seq);
            }
        }
        let index = usize::try_from(position - 1).unwrap_or(usize::MAX);
        if let (Some(sealed), Some(records)) = (self.sealed.get_mut(index), self.records.get_mut(index)) {
            *sealed = tombstone;
            *records = kept.into();
        }
        Ok(())
    }
}

impl Records for Inner {
    fn places(&self, stream: StreamId) -> Result<Vec<(u64, u64)>, StoreError> {
        let mut places = Vec::new();
        for ((position, record), entries) in (1u64..).zip(&self.sealed).zip(&self.records) {
            let damaged = |error: CodecError| StoreError::damaged(error.to_string());
            let gone = tombstone::gone(&codec::unseal(record).map_err(damaged)?).map_err(damaged)?;
            let last = tombstone::last_of(entries, &gone);
            places.extend(last.get(&stream).map(|last| (position, *last)));
        }
        Ok(places)
    }

    fn record(&self, position: u64) -> Result<(Vec<u8>, Vec<Entry>), StoreError> {
        let index = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
        let found = index.and_then(|index| self.sealed.get(index).zip(self.records.get(index)));
        let (record, entries) =
            found.ok_or_else(|| StoreError::damaged(format!("record {position} is missing")))?;
        Ok((record.clone(), entries.to_vec()))
    }

    fn is_erased(&self, stream: StreamId) -> Result<bool, StoreError> {
        Ok(self.erased.contains(&stream))
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl Stored for MemoryJournal {
    fn parts(&self, _from: Place, until: u64) -> BoxFuture<'_, Result<Parts, StoreError>> {
        // What fits in memory is given at once.
        let inner = self.inner.lock();
        let mut parts: Vec<Part> =
            inner.blobs.iter().map(|(digest, bytes)| Part::Content(*digest, bytes.to_vec())).collect();
        let records = (1..=until).zip(inner.sealed.iter().zip(&inner.records));
        parts.extend(records.map(|(position, (bytes, entries))| Part::Record {
            position,
            bytes: bytes.clone(),
            entries: entries.to_vec(),
        }));
        let keys = inner.keys.iter().filter(|(_, (position, _))| *position <= until);
        parts.extend(keys.map(|(key, (position, stream))| Part::Key {
            key: key.clone(),
            position: *position,
            stream: *stream,
        }));
        Box::pin(async move { Ok((parts, None)) })
    }

    fn erased_at(&self) -> u64 {
        self.inner.lock().erased_at
    }
}

impl Journal for MemoryJournal {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt, StoreError>> {
        Box::pin(async move { self.append_now(batch) })
    }

    fn erase(&self, order: Erase) -> BoxFuture<'_, Result<Receipt, StoreError>> {
        Box::pin(async move { self.erase_now(&order) })
    }

    fn read(&self, stream: StreamId, after: u64) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        Box::pin(async move {
            let inner = self.inner.lock();
            let entries = inner.streams.get(&stream).into_iter().flatten();
            Ok(entries.filter(|entry| entry.seq > after).cloned().collect())
        })
    }

    fn scan(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<(u64, Entry)>, StoreError>> {
        Box::pin(async move { Ok(self.scan_now(after, limit)) })
    }

    fn blob(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Arc<[u8]>>, StoreError>> {
        Box::pin(async move { Ok(self.inner.lock().blobs.get(&digest).cloned()) })
    }

    fn key(&self, key: &str) -> BoxFuture<'_, Result<Option<StreamId>, StoreError>> {
        let stream = self.inner.lock().keys.get(key).map(|(_, stream)| *stream);
        Box::pin(async move { Ok(stream) })
    }

    fn rests(&self) -> BoxFuture<'_, Result<HashMap<RunId, Rest>, StoreError>> {
        Box::pin(async move { Ok(self.inner.lock().rests.clone()) })
    }

    fn head(&self) -> Head {
        self.inner.lock().head
    }

    fn follow(&self) -> broadcast::Receiver<Receipt> {
        self.live.subscribe()
    }

    fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

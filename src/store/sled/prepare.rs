//! What is done for a batch before it waits for the committer: checks, packing,
//! and writing what is too large for sled. Many callers do this at once.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::domain::event::{Entry, Event};
use crate::domain::id::RunId;
use crate::domain::value::{Digest, digest};
use crate::store::admit::{self, Claim};
use crate::store::codec;
use crate::store::error::StoreError;
use crate::store::journal::{Batch, Receipt, Rest};
use crate::store::sled::contents::Contents;
use crate::store::sled::disk::MAX_INLINE_BYTES;
use crate::store::tombstone::Planned;

/// Digests of blobs that are surely kept, so that a plan or template named again
/// and again is not looked up. 32 bytes each; the set starts anew when full.
const KNOWN_BLOBS: usize = 8192;

/// A batch ready for the committer.
pub struct Job {
    pub claims: Vec<Claim>,
    pub entries: Arc<[Entry]>,
    pub packed: Vec<u8>,
    pub keys: Vec<String>,
    pub rests: Vec<(RunId, Option<Rest>)>,
    /// Blobs that go into sled.
    pub blobs: Vec<(Digest, Vec<u8>)>,
    pub reply: oneshot::Sender<Result<Receipt, StoreError>>,
}

impl Job {
    /// Bytes that the job adds to a sled batch, without the keys.
    pub fn bytes(&self) -> usize {
        self.packed.len() + self.blobs.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }
}

/// Digests of blobs that are durable.
#[derive(Default)]
pub struct Known(Mutex<HashSet<Digest>>);

impl Known {
    pub fn contains(&self, digest: Digest) -> bool {
        self.0.lock().contains(&digest)
    }

    /// Forgets the contents that these entries say were removed.
    pub fn forget(&self, entries: &[Entry]) {
        let mut known = self.0.lock();
        for entry in entries {
            if let Event::Erased(erasure) = &entry.event {
                known.retain(|content| !erasure.contents.contains(content));
            }
        }
    }

    pub fn insert(&self, digest: Digest) {
        let mut known = self.0.lock();
        if known.len() >= KNOWN_BLOBS {
            known.clear();
        }
        known.insert(digest);
    }
}

/// A checked and packed batch, large contents still in memory.
pub struct Draft {
    claims: Vec<Claim>,
    entries: Arc<[Entry]>,
    packed: Vec<u8>,
    keys: Vec<String>,
    rests: Vec<(RunId, Option<Rest>)>,
    blobs: Vec<(Digest, Vec<u8>)>,
    /// What must become a file first.
    large: Vec<(Digest, Vec<u8>)>,
}

impl Draft {
    /// Checks and packs a batch.
    pub fn new(batch: Batch, known: &Known) -> Result<Self, StoreError> {
        admit::check(&batch)?;
        let entries: Arc<[Entry]> = admit::entries(&batch).into();
        let claims = admit::claims(&batch);
        let mut packed = codec::pack(&entries)?;
        let fresh = batch.blobs.into_iter().filter(|(digest, _)| !known.contains(*digest));
        let (mut large, blobs): (Vec<_>, Vec<_>) =
            fresh.partition(|(_, bytes)| bytes.len() > MAX_INLINE_BYTES);
        if packed.len() > MAX_INLINE_BYTES - codec::PREFIX_BYTES {
            let body = digest(&packed);
            large.push((body, std::mem::replace(&mut packed, codec::beside(body))));
        }
        Ok(Self { claims, entries, packed, keys: batch.keys, rests: batch.rests, blobs, large })
    }

    /// The fact that something is erased, in place of a batch.
    pub fn erasing(planned: Planned) -> Result<Self, StoreError> {
        let entries: Arc<[Entry]> = vec![planned.entry].into();
        let mut packed = codec::pack(&entries)?;
        let mut large = Vec::new();
        if packed.len() > MAX_INLINE_BYTES - codec::PREFIX_BYTES {
            let body = digest(&packed);
            large.push((body, std::mem::replace(&mut packed, codec::beside(body))));
        }
        let (keys, rests, blobs) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { claims: planned.claims, entries, packed, keys, rests, blobs, large })
    }

    /// Whether files must be written, which blocks.
    pub fn has_files(&self) -> bool {
        !self.large.is_empty()
    }

    /// Writes the files; durable when this returns.
    pub fn write_files(&mut self, contents: &Contents, known: &Known) -> Result<(), StoreError> {
        for (digest, bytes) in self.large.drain(..) {
            contents.put(digest, &bytes)?;
            known.insert(digest);
        }
        Ok(())
    }

    /// The job, once there are no files left to write.
    pub fn job(self, reply: oneshot::Sender<Result<Receipt, StoreError>>) -> Job {
        let Self { claims, entries, packed, keys, rests, blobs, large } = self;
        assert!(large.is_empty(), "files are written before a record names them");
        Job { claims, entries, packed, keys, rests, blobs, reply }
    }
}

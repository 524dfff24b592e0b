//! The journal as it is stored, part by part, to copy it.

use std::ops::Bound;

use crate::domain::value::{Digest, digest};
use crate::store::error::StoreError;
use crate::store::journal::{Part, Parts, Place};
use crate::store::sled::disk::{Disk, sled_error};
use crate::store::sled::keys;

/// Bytes of parts given at once, more or less: enough to keep a disk busy,
/// little enough to hold.
const CHUNK_BYTES: usize = 1 << 20;
/// Parts given at once; small ones are mostly keys.
const CHUNK_PARTS: usize = 1000;

const COPYING: &str = "copying the journal";

/// What to do about a content that is not what its digest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// Stop: a copy of damage would pass for whole.
    Refuse,
    /// Leave it out: what can be saved is saved.
    LeaveOut,
}

/// A chunk that grows.
#[derive(Default)]
struct Chunk {
    parts: Vec<Part>,
    bytes: usize,
}

impl Chunk {
    fn push(&mut self, part: Part, bytes: usize) {
        self.parts.push(part);
        self.bytes += bytes;
    }

    fn is_full(&self) -> bool {
        self.bytes >= CHUNK_BYTES || self.parts.len() >= CHUNK_PARTS
    }
}

impl Disk {
    /// The next parts from `from` on; see [`crate::store::journal::Stored::parts`].
    pub fn parts(&self, from: Place, until: u64, faults: Faults) -> Result<Parts, StoreError> {
        match from {
            Place::Contents(after) => self.contents_after(after, faults),
            Place::Files(after) => self.files_after(after, faults),
            Place::Records(after) => self.records_after(after, until),
            Place::Keys(after) => self.keys_after(after, until),
        }
    }

    fn contents_after(&self, after: Option<Digest>, faults: Faults) -> Result<Parts, StoreError> {
        let start = match after {
            None => Bound::Included(keys::blob(Digest([0; 32]))),
            Some(after) => Bound::Excluded(keys::blob(after)),
        };
        let end = Bound::Included(keys::blob(Digest([0xFF; 32])));
        let mut chunk = Chunk::default();
        for found in self.db.range((start, end)) {
            let (key, bytes) = found.map_err(|error| sled_error(COPYING, &error))?;
            let name = keys::blob_digest(&key)
                .ok_or_else(|| StoreError::damaged("the name of a blob cannot be read"))?;
            if digest(&bytes) == name {
                chunk.push(Part::Content(name, bytes.to_vec()), bytes.len());
            } else if faults == Faults::Refuse {
                return Err(StoreError::damaged(format!("the blob {name} is not what was written")));
            }
            if chunk.is_full() {
                return Ok((chunk.parts, Some(Place::Contents(Some(name)))));
            }
        }
        Ok((chunk.parts, Some(Place::Files(None))))
    }

    fn files_after(&self, after: Option<Digest>, faults: Faults) -> Result<Parts, StoreError> {
        let mut chunk = Chunk::default();
        for name in self.contents.names()?.into_iter().filter(|name| Some(*name) > after) {
            match self.contents.get(name) {
                Ok(Some(bytes)) => {
                    let size = bytes.len();
                    chunk.push(Part::Content(name, bytes), size);
                }
                // A file that has gone since was named by nothing.
                Ok(None) => {}
                Err(error) if faults == Faults::Refuse => return Err(error),
                Err(_) => {}
            }
            if chunk.is_full() {
                return Ok((chunk.parts, Some(Place::Files(Some(name)))));
            }
        }
        Ok((chunk.parts, Some(Place::Records(0))))
    }

    fn records_after(&self, after: u64, until: u64) -> Result<Parts, StoreError> {
        let mut chunk = Chunk::default();
        for position in after + 1..=until {
            let record = self.db.get(keys::record(position));
            let record = record
                .map_err(|error| sled_error(COPYING, &error))?
                .ok_or_else(|| StoreError::damaged(format!("record {position} is missing")))?;
            let entries = self.entries(position, &record)?;
            let size = record.len();
            chunk.push(Part::Record { position, bytes: record.to_vec(), entries }, size);
            if chunk.is_full() && position < until {
                return Ok((chunk.parts, Some(Place::Records(position))));
            }
        }
        Ok((chunk.parts, Some(Place::Keys(None))))
    }

    fn keys_after(&self, after: Option<String>, until: u64) -> Result<Parts, StoreError> {
        let start = match &after {
            None => Bound::Included(keys::unique("")),
            Some(after) => Bound::Excluded(keys::unique(after)),
        };
        let mut chunk = Chunk::default();
        for found in self.db.range((start, Bound::Excluded(keys::after_unique()))) {
            let (key, value) = found.map_err(|error| sled_error(COPYING, &error))?;
            let key = keys::unique_text(&key)
                .ok_or_else(|| StoreError::damaged("a unique key is no text"))?
                .to_owned();
            let (position, stream) = keys::from_unique_value(&value)
                .ok_or_else(|| StoreError::damaged(format!("the key `{key}` leads nowhere")))?;
            if position <= until {
                chunk.push(Part::Key { key: key.clone(), position, stream }, key.len());
            }
            if chunk.is_full() {
                return Ok((chunk.parts, Some(Place::Keys(Some(key)))));
            }
        }
        Ok((chunk.parts, None))
    }
}

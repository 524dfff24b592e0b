//! Reading: records, streams, contents and keys, never beyond what is durable.
//!
//! sled shows a batch before it is durable, so every read stops at the head it
//! is given.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::event::Entry;
use crate::domain::id::{RunId, StreamId};
use crate::domain::value::{Digest, digest};
use crate::store::codec::{self, CodecError, Sealed};
use crate::store::error::StoreError;
use crate::store::journal::Rest;
use crate::store::sled::disk::{Disk, sled_error};
use crate::store::sled::keys;

const READING: &str = "reading the journal";

/// What a codec error means for the record at `position`.
pub fn codec_error(position: u64, error: CodecError) -> StoreError {
    match error {
        CodecError::Newer(_) => newer(format!("record {position}: {error}")),
        _ => StoreError::damaged(format!("record {position}: {error}")),
    }
}

/// Something was written by a newer program.
pub fn newer(why: String) -> StoreError {
    StoreError::Damaged {
        why,
        help: "Nothing was written. Run the version of the program that last wrote here, or a \
               newer one"
            .to_owned(),
    }
}

impl Disk {
    /// Where runs rest. What cannot be read is left out: it only saves work.
    pub fn rests(&self) -> Result<HashMap<RunId, Rest>, StoreError> {
        let mut rests = HashMap::new();
        for part in self.db.scan_prefix(keys::rests()) {
            let (key, value) = part.map_err(|error| sled_error(READING, &error))?;
            rests.extend(keys::from_rest(&key, &value));
        }
        Ok(rests)
    }

    /// The entries of a record; of one that was erased those that stayed.
    pub fn entries(&self, position: u64, record: &[u8]) -> Result<Vec<Entry>, StoreError> {
        Ok(self.opened(position, record)?.0)
    }

    /// The same, and whether it was erased.
    fn opened(&self, position: u64, record: &[u8]) -> Result<(Vec<Entry>, bool), StoreError> {
        let sealed = codec::unseal(record).map_err(|error| codec_error(position, error))?;
        if sealed.position != position {
            return Err(StoreError::damaged(format!(
                "record {position} says that it is record {}",
                sealed.position
            )));
        }
        Ok((self.unpack(&sealed)?, sealed.erased.is_some()))
    }

    /// The entries of a record that was taken apart.
    pub fn unpack(&self, sealed: &Sealed<'_>) -> Result<Vec<Entry>, StoreError> {
        let position = sealed.position;
        let body = match codec::is_beside(sealed.packed) {
            None => {
                return codec::unpack(sealed.packed).map_err(|error| codec_error(position, error));
            }
            Some(body) => body,
        };
        let packed = self
            .contents
            .get(body)?
            .ok_or_else(|| StoreError::damaged(format!("the content {body} of record {position} is gone")))?;
        codec::unpack(&packed).map_err(|error| codec_error(position, error))
    }

    /// The entries of a stream with a number above `after`, up to record `head`.
    pub fn stream(&self, stream: StreamId, after: u64, head: u64) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        let mut next = None;
        for part in self.db.scan_prefix(keys::stream(stream)) {
            let (key, value) = part.map_err(|error| sled_error(READING, &error))?;
            let (position, last) = index(stream, &key, &value)?;
            if position > head {
                break;
            }
            if last <= after {
                continue;
            }
            let record = self.db.get(keys::record(position));
            let record = record
                .map_err(|error| sled_error(READING, &error))?
                .ok_or_else(|| StoreError::damaged(format!("record {position} of {stream} is missing")))?;
            let (entries, erased) = self.opened(position, &record)?;
            if erased {
                next = None;
            }
            for entry in entries {
                if entry.stream != stream {
                    continue;
                }
                if next.is_some_and(|next| next != entry.seq) {
                    return Err(StoreError::damaged(format!(
                        "entry {} of {stream} does not follow the one before",
                        entry.seq
                    )));
                }
                next = Some(entry.seq + 1);
                if entry.seq > after {
                    found.push(entry);
                }
            }
        }
        Ok(found)
    }

    /// The number of the stream's last entry; 0 when there is none. For the
    /// committer, which alone may see what is not durable yet.
    pub fn last_seq(&self, stream: StreamId) -> Result<u64, StoreError> {
        match self.db.scan_prefix(keys::stream(stream)).next_back() {
            None => Ok(0),
            Some(part) => {
                let (key, value) = part.map_err(|error| sled_error(READING, &error))?;
                Ok(index(stream, &key, &value)?.1)
            }
        }
    }

    /// Entries of records above `after`, up to record `head`, whole records until
    /// there are at least `limit`.
    pub fn scan(&self, after: u64, head: u64, limit: usize) -> Result<Vec<(u64, Entry)>, StoreError> {
        let mut found = Vec::new();
        let Some(first) = after.checked_add(1).filter(|first| *first <= head) else {
            return Ok(found);
        };
        let mut expected = first;
        for record in self.db.range(keys::record(first)..=keys::record(head)) {
            let (key, record) = record.map_err(|error| sled_error(READING, &error))?;
            if keys::record_position(&key) != Some(expected) {
                break;
            }
            let entries = self.entries(expected, &record)?;
            found.extend(entries.into_iter().map(|entry| (expected, entry)));
            expected += 1;
            if found.len() >= limit {
                return Ok(found);
            }
        }
        if expected <= head {
            return Err(StoreError::damaged(format!("record {expected} is missing")));
        }
        Ok(found)
    }

    /// A content by its digest.
    pub fn blob(&self, name: Digest) -> Result<Option<Arc<[u8]>>, StoreError> {
        match self.db.get(keys::blob(name)).map_err(|error| sled_error(READING, &error))? {
            Some(bytes) if digest(&bytes) == name => Ok(Some(bytes.as_ref().into())),
            Some(_) => Err(StoreError::damaged(format!("the blob {name} is not what was written"))),
            None => Ok(self.contents.get(name)?.map(Into::into)),
        }
    }

    /// What a unique key leads to, when its record is not after `head`.
    pub fn key(&self, key: &str, head: u64) -> Result<Option<StreamId>, StoreError> {
        let value = self.db.get(keys::unique(key)).map_err(|error| sled_error(READING, &error))?;
        let Some(value) = value else { return Ok(None) };
        let (position, stream) = keys::from_unique_value(&value)
            .ok_or_else(|| StoreError::damaged(format!("the key `{key}` leads nowhere")))?;
        Ok((position <= head).then_some(stream))
    }
}

/// `(position, last number)` of an index entry.
fn index(stream: StreamId, key: &[u8], value: &[u8]) -> Result<(u64, u64), StoreError> {
    keys::stream_position(key)
        .zip(keys::from_short(value))
        .ok_or_else(|| StoreError::damaged(format!("the index of {stream} cannot be read")))
}

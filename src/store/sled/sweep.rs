//! Erasing, on a disk. The committer has made the fact durable together with a
//! mark that it is not carried out yet; what follows may be done again any number
//! of times, so whoever opens the store after a crash finishes it:
//!
//! ```text
//!   fact + mark ─▶ tombstones, small contents ─▶ synced ─▶ files ─▶ synced ─▶ no mark
//! ```

use std::fs::File;

use crate::domain::erasure::Erasure;
use crate::domain::event::{Entry, Event};
use crate::domain::id::StreamId;
use crate::failpoint::pass;
use crate::store::codec;
use crate::store::error::StoreError;
use crate::store::journal::Head;
use crate::store::sled::compact;
use crate::store::sled::disk::{Disk, sled_error};
use crate::store::sled::keys;
use crate::store::sled::read::codec_error;
use crate::store::tombstone::{self, Records};

/// Bytes written to sled at once, well within one segment.
const BATCH_BYTES: usize = 2 << 20;

const ERASING: &str = "erasing from the journal";

/// What stands beside a record that says that something is erased: the streams,
/// the mark that it is to be carried out, and the version of a store with tombstones.
pub fn marks(position: u64, entries: &[Entry]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut marks = Vec::new();
    for entry in entries {
        let Event::Erased(erasure) = &entry.event else { continue };
        let place = position.to_be_bytes().to_vec();
        marks.extend(erasure.streams.iter().map(|stream| (keys::erased(*stream).to_vec(), place.clone())));
        marks.push((keys::pending(position).to_vec(), Vec::new()));
        marks.push((keys::FORMAT.to_vec(), keys::ERASED_VERSION.to_be_bytes().to_vec()));
    }
    marks
}

/// Carries out what is marked, up to the head.
pub fn finish(disk: &Disk, db_file: &File, head: Head) -> Result<(), StoreError> {
    for found in disk.db.scan_prefix(keys::all_pending()) {
        let (key, _) = found.map_err(|error| sled_error(ERASING, &error))?;
        let position = keys::pending_position(&key)
            .ok_or_else(|| StoreError::damaged("the mark of an erasing cannot be read"))?;
        if position > head.position {
            continue;
        }
        let sweep = Sweep { disk, db_file };
        let (_, entries) = Durable { disk, head: head.position }.record(position)?;
        for entry in &entries {
            if let Event::Erased(erasure) = &entry.event {
                sweep.carry_out(erasure)?;
            }
        }
        let mut done = ::sled::Batch::default();
        done.remove(key);
        sweep.write(done)?;
        sweep.sync()?;
        pass("erase.done");
    }
    Ok(())
}

struct Sweep<'a> {
    disk: &'a Disk,
    db_file: &'a File,
}

impl Sweep<'_> {
    fn carry_out(&self, erasure: &Erasure) -> Result<(), StoreError> {
        pass("erase.begins");
        let (mut batch, mut bytes, mut any) = (::sled::Batch::default(), 0, false);
        for position in erasure.positions() {
            let Some(tombstone) = self.tombstone(position)? else { continue };
            self.leaves_bytes(&mut any)?;
            bytes += tombstone.len();
            batch.insert(&keys::record(position), tombstone);
            if bytes >= BATCH_BYTES {
                self.write(std::mem::take(&mut batch))?;
                bytes = 0;
                pass("erase.half");
            }
        }
        for content in &erasure.contents {
            let there = self.disk.db.contains_key(keys::blob(*content));
            if there.map_err(|error| sled_error(ERASING, &error))? {
                self.leaves_bytes(&mut any)?;
            }
            batch.remove(keys::blob(*content).as_slice());
        }
        for stream in &erasure.streams {
            if let StreamId::Run(run) = stream {
                batch.remove(keys::rest(*run).as_slice());
            }
        }
        self.write(batch)?;
        self.sync()?;
        pass("erase.replaced");
        // Only now: the record that names a file must be gone before it.
        self.disk.contents.remove(&erasure.contents)?;
        pass("erase.removed");
        Ok(())
    }

    /// Says, before the first of it is removed, that sled's file will have bytes of
    /// it in its free space.
    fn leaves_bytes(&self, said: &mut bool) -> Result<(), StoreError> {
        if !std::mem::replace(said, true) {
            compact::mark(self.disk.contents.journal_dir())?;
        }
        Ok(())
    }

    /// What is to stand in the place of a record; nothing when it stands there.
    fn tombstone(&self, position: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let record = self.disk.db.get(keys::record(position));
        let record = record
            .map_err(|error| sled_error(ERASING, &error))?
            .ok_or_else(|| StoreError::damaged(format!("record {position} is missing")))?;
        let sealed = codec::unseal(&record).map_err(|error| codec_error(position, error))?;
        if sealed.erased.is_some() {
            return Ok(None);
        }
        tombstone::of(&record, &sealed, &self.disk.unpack(&sealed)?).map(Some)
    }

    fn write(&self, batch: ::sled::Batch) -> Result<(), StoreError> {
        let db = &self.disk.db;
        db.apply_batch(batch)
            .and_then(|()| db.flush())
            .map(|_| ())
            .map_err(|error| sled_error(ERASING, &error))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.db_file.sync_data().map_err(|error| StoreError::io("syncing sled's file", &error))
    }
}

/// The durable part of a store, as erasing looks at it.
pub struct Durable<'a> {
    pub disk: &'a Disk,
    pub head: u64,
}

impl Records for Durable<'_> {
    fn places(&self, stream: StreamId) -> Result<Vec<(u64, u64)>, StoreError> {
        let mut places = Vec::new();
        for found in self.disk.db.scan_prefix(keys::stream(stream)) {
            let (key, value) = found.map_err(|error| sled_error(ERASING, &error))?;
            let place = keys::stream_position(&key).zip(keys::from_short(&value));
            let place =
                place.ok_or_else(|| StoreError::damaged(format!("the index of {stream} cannot be read")))?;
            places.extend(Some(place).filter(|(position, _)| *position <= self.head));
        }
        Ok(places)
    }

    fn record(&self, position: u64) -> Result<(Vec<u8>, Vec<Entry>), StoreError> {
        let record = self.disk.db.get(keys::record(position));
        let record = record
            .map_err(|error| sled_error(ERASING, &error))?
            .ok_or_else(|| StoreError::damaged(format!("record {position} is missing")))?;
        let entries = self.disk.entries(position, &record)?;
        Ok((record.to_vec(), entries))
    }

    fn is_erased(&self, stream: StreamId) -> Result<bool, StoreError> {
        self.disk.db.contains_key(keys::erased(stream)).map_err(|error| sled_error(ERASING, &error))
    }
}

//! A new journal from an export: written beside its place, checked whole, and
//! only then put there. An import that ends early leaves nothing.

use std::fs::File;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use crate::domain::event::Entry;
use crate::domain::id::StreamId;
use crate::domain::value::Digest;
use crate::store::error::StoreError;
use crate::store::import::{self, Sink};
use crate::store::journal::Head;
use crate::store::sled::disk::{MAX_INLINE_BYTES, guarded, sled_error, sync_dir};
use crate::store::sled::journal::Options;
use crate::store::sled::keys;
use crate::store::sled::open::{self, Opened};
use crate::store::sled::sweep;
use crate::store::sled::verify::{self, Verified};
use crate::store::tombstone::{self, Gone};

/// Bytes written to sled at once, well within one segment.
const BATCH_BYTES: usize = 2 << 20;

/// Reads an export from `input` into a new journal in `dir`, which must not be
/// there or be empty; gives what was checked at the end.
///
/// # Errors
/// [`StoreError::Occupied`], [`StoreError::Export`] when the export is not as it
/// was written, [`StoreError::Full`], [`StoreError::Io`]: nothing is in `dir` then.
pub fn restore(dir: &Path, input: &mut dyn BufRead) -> Result<Verified, StoreError> {
    let beside = Beside::read(dir, input)?;
    let verified = beside.verified;
    beside.put_in_place()?;
    Ok(verified)
}

/// A journal that was read from an export and is not in its place yet. One that is
/// dropped before it is put there leaves nothing.
pub struct Beside {
    dir: PathBuf,
    beside: PathBuf,
    /// What was checked.
    pub verified: Verified,
}

impl Beside {
    /// Reads an export from `input` beside `dir`, which must not be there or be empty.
    ///
    /// # Errors
    /// As [`restore`].
    pub fn read(dir: &Path, input: &mut dyn BufRead) -> Result<Self, StoreError> {
        refuse_occupied(dir)?;
        let beside = beside(dir);
        clear(&beside)?;
        match fill(&beside, input) {
            Ok(verified) => Ok(Self { dir: dir.to_owned(), beside, verified }),
            Err(error) => {
                // What is half there must never pass for a journal.
                clear(&beside)?;
                Err(error)
            }
        }
    }

    /// Where it is until then.
    pub fn path(&self) -> &Path {
        &self.beside
    }

    /// Puts it in its place. Nobody may have it open.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put_in_place(self) -> Result<(), StoreError> {
        let dir = &self.dir;
        let io =
            |error: &std::io::Error| StoreError::io(format!("putting {} in its place", dir.display()), error);
        std::fs::rename(&self.beside, dir).map_err(|error| io(&error))?;
        match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
            _ => sync_dir(Path::new(".")),
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // When it was put in its place nothing is there.
        let _ = clear(&self.beside);
    }
}

/// Checks an export by restoring it into a directory under `work`, which is
/// removed afterwards.
///
/// # Errors
/// As [`restore`].
pub fn check(work: &Path, input: &mut dyn BufRead) -> Result<Verified, StoreError> {
    let dir = work.join(format!("quell-verify-{}", std::process::id()));
    clear(&dir)?;
    let verified = fill(&dir, input);
    clear(&dir)?;
    verified
}

fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".importing");
    dir.with_file_name(name)
}

fn refuse_occupied(dir: &Path) -> Result<(), StoreError> {
    let is_empty = match std::fs::read_dir(dir) {
        Ok(mut found) => found.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(StoreError::io(format!("reading {}", dir.display()), &error)),
    };
    if is_empty { Ok(()) } else { Err(StoreError::Occupied { dir: dir.display().to_string() }) }
}

fn clear(dir: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io(format!("removing {}", dir.display()), &error))
        }
        _ => Ok(()),
    }
}

fn fill(dir: &Path, input: &mut dyn BufRead) -> Result<Verified, StoreError> {
    let mut restore = Restore {
        // The ballast comes when the journal is opened in its place.
        opened: open::open_bare(dir, &Options::default())?,
        batch: ::sled::Batch::default(),
        batch_bytes: 0,
    };
    guarded("importing", || {
        let head = import::import(input, &mut restore)?;
        restore.finish(head)
    })
}

/// A journal that is being filled.
struct Restore {
    opened: Opened,
    batch: ::sled::Batch,
    batch_bytes: usize,
}

impl Restore {
    fn insert(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), StoreError> {
        self.batch_bytes += key.len() + value.len();
        self.batch.insert(key, value);
        if self.batch_bytes >= BATCH_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.opened.space.check()?;
        self.batch_bytes = 0;
        let db = &self.opened.disk.db;
        db.apply_batch(std::mem::take(&mut self.batch))
            .and_then(|()| db.flush())
            .map_err(|error| sled_error("writing to sled", &error))?;
        Ok(())
    }

    /// Makes all of it durable, marks the head, and checks the whole.
    fn finish(&mut self, head: Head) -> Result<Verified, StoreError> {
        self.write()?;
        let sync =
            |file: &File| file.sync_all().map_err(|error| StoreError::io("syncing sled's file", &error));
        sync(&self.opened.db_file)?;
        if head != Head::EMPTY {
            self.opened.head_file.mark(head).map_err(|error| StoreError::io("marking the head", &error))?;
        }
        // What a copy still has of what was erased goes now.
        sweep::finish(&self.opened.disk, &self.opened.db_file, head)?;
        verify::check_all(&self.opened.disk, head)
    }
}

impl Sink for Restore {
    fn content(&mut self, name: Digest, bytes: Vec<u8>) -> Result<(), StoreError> {
        if bytes.len() > MAX_INLINE_BYTES {
            self.opened.space.check()?;
            return self.opened.disk.contents.put(name, &bytes);
        }
        self.insert(&keys::blob(name), bytes)
    }

    fn content_of(&self, name: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        // Only bodies of records are asked for; those are large, so files.
        self.opened.disk.contents.get(name)
    }

    fn record(
        &mut self,
        head: Head,
        bytes: &[u8],
        entries: &[Entry],
        gone: &[Gone],
    ) -> Result<(), StoreError> {
        for (stream, seq) in tombstone::last_of(entries, gone) {
            self.insert(&keys::stream_at(stream, head.position), keys::short(seq))?;
        }
        for (key, value) in sweep::marks(head.position, entries) {
            self.insert(&key, value)?;
        }
        self.insert(&keys::record(head.position), bytes.to_vec())
    }

    fn key(&mut self, key: &str, position: u64, stream: StreamId) -> Result<(), StoreError> {
        self.insert(&keys::unique(key), keys::unique_value(position, stream))
    }
}

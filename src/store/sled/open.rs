//! Opening: one process, every check before the first write, and damage told in
//! words. What does not fit is refused, never mended.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::failpoint::pass;
use crate::store::error::StoreError;
use crate::store::journal::Head;
use crate::store::sled::ballast::Space;
use crate::store::sled::compact;
use crate::store::sled::contents::Contents;
use crate::store::sled::disk::{Disk, guarded, sled_error, sync_dir};
use crate::store::sled::head::HeadFile;
use crate::store::sled::journal::Options;
use crate::store::sled::keys;
use crate::store::sled::read::newer;
use crate::store::sled::sweep;
use crate::store::sled::verify;

/// Segments of sled's file. Values and leaves above a quarter of it would leave
/// the file for ones that sled does not sync.
const SEGMENT_BYTES: usize = 8 << 20;
/// Pages that sled keeps in memory. The working set is the right edge of the
/// tree, under 1 MiB; the rest is room for reads, within the 30 MiB that an idle
/// server may take.
const CACHE_BYTES: u64 = 16 << 20;
/// How long sled may still hold its file after the journal was closed in this
/// same process: its threads end a little later.
const SLED_LOCK_WAIT: Duration = Duration::from_secs(5);
const SLED_LOCK_POLL: Duration = Duration::from_millis(10);

/// All that the journal needs of an open directory.
pub struct Opened {
    pub disk: Disk,
    pub space: Space,
    /// An own handle of sled's file, to sync it.
    pub db_file: File,
    pub head_file: HeadFile,
    pub head: Head,
}

/// Opens the journal in `dir`, or makes a new one, and lays its ballast.
pub fn open(dir: &Path, options: &Options) -> Result<Opened, StoreError> {
    let opened = open_bare(dir, options)?;
    pass("store.ready");
    match opened.space.lay_ballast() {
        Ok(()) | Err(StoreError::Full) => Ok(opened),
        Err(error) => Err(error),
    }
}

/// Opens the journal in `dir`, or makes a new one, without a ballast.
pub fn open_bare(dir: &Path, options: &Options) -> Result<Opened, StoreError> {
    std::fs::create_dir_all(dir)
        .map_err(|error| StoreError::io(format!("creating {}", dir.display()), &error))?;
    let lock = lock(dir)?;
    pass("store.locked");
    compact::settle(dir)?;
    let (mut head_file, mark) = open_head(dir)?;
    pass("store.marked");
    refuse_sled_blobs(dir)?;
    let space = Space::new(dir, options.min_free_bytes);
    let db = open_sled(dir, &space)?;
    refuse_sled_blobs(dir)?;
    pass("store.opened");
    let disk = Disk { db, contents: Contents::open(dir)?, lock };
    let head = guarded("checking the journal", || {
        check_format(&disk, mark)?;
        verify::check_end(&disk, mark)
    })?;
    pass("store.checked");
    let db_file = settle(dir, &disk, mark)?;
    pass("store.settled");
    if head != mark {
        head_file.mark(head).map_err(|error| StoreError::io("marking the head", &error))?;
    }
    guarded("erasing from the journal", || sweep::finish(&disk, &db_file, head))?;
    Ok(Opened { disk, space, db_file, head_file, head })
}

/// One process: the lock ends with it, however it ends.
pub fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let io = |error: &std::io::Error| StoreError::io(format!("locking {}", path.display()), error);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| io(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { dir: dir.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(io(&error)),
    }
}

/// The mark outside sled. It is made before sled's file, so a file without a
/// mark, or a mark of records without a file, is damage.
fn open_head(dir: &Path) -> Result<(HeadFile, Head), StoreError> {
    let has_db = dir.join("db").exists();
    let found = match HeadFile::open(dir)? {
        None if has_db => {
            return Err(StoreError::damaged(format!(
                "{} is gone, which says what was acknowledged",
                dir.join("head").display()
            )));
        }
        None => {
            HeadFile::create(dir)?;
            HeadFile::open(dir)?
        }
        found => found,
    };
    match found {
        Some((_, mark)) if mark.position > 0 && !has_db => Err(StoreError::damaged(format!(
            "{} is gone, {} records were acknowledged",
            dir.join("db").display(),
            mark.position
        ))),
        Some(found) => Ok(found),
        None => Err(StoreError::damaged("the mark of the head vanished while it was opened")),
    }
}

/// sled's own blobs are not synced. Nothing here is large enough to become one.
fn refuse_sled_blobs(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join("blobs");
    match std::fs::read_dir(&path) {
        Ok(found) => match found.count() {
            0 => Ok(()),
            count => {
                let why = format!("{} holds {count} files and must be empty", path.display());
                Err(StoreError::damaged(why))
            }
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io(format!("reading {}", path.display()), &error)),
    }
}

/// Opens sled; on a full disk the ballast is given up for it.
fn open_sled(dir: &Path, space: &Space) -> Result<::sled::Db, StoreError> {
    let deadline = Instant::now() + SLED_LOCK_WAIT;
    loop {
        match guarded("opening sled", || Ok(sled_config(dir).open()))? {
            Ok(db) => return Ok(db),
            Err(::sled::Error::Io(error)) if is_lock(&error) => {
                if Instant::now() > deadline {
                    return Err(StoreError::Locked { dir: dir.display().to_string() });
                }
                std::thread::sleep(SLED_LOCK_POLL);
            }
            Err(error) => {
                let error = sled_error("opening sled", &error);
                if error != StoreError::Full || !space.drop_ballast()? {
                    return Err(error);
                }
            }
        }
    }
}

/// sled's `mode` is left alone: 0.34.7 stores it and never asks for it.
pub fn sled_config(dir: &Path) -> ::sled::Config {
    ::sled::Config::new()
        .path(dir)
        .segment_size(SEGMENT_BYTES)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None)
}

/// sled has no kind of its own for a lock that another holds.
fn is_lock(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::Other && error.to_string().contains("could not acquire lock")
}

/// The layout is one this program knows; a new store gets the version it writes.
fn check_format(disk: &Disk, mark: Head) -> Result<(), StoreError> {
    let failed = |error: ::sled::Error| sled_error("reading the version of the store", &error);
    match disk.db.get(keys::FORMAT).map_err(failed)? {
        Some(bytes) => match bytes.as_ref().try_into().map(u32::from_be_bytes) {
            Ok(keys::FORMAT_VERSION | keys::ERASED_VERSION) => Ok(()),
            Ok(version) if version > keys::ERASED_VERSION => Err(newer(format!(
                "the store has version {version}, this program reads up to {}",
                keys::ERASED_VERSION
            ))),
            _ => Err(StoreError::damaged("the version of the store cannot be read")),
        },
        None if mark.position > 0 || !disk.db.is_empty() => {
            Err(StoreError::damaged("the version of the store is missing"))
        }
        None => {
            disk.db.insert(keys::FORMAT, &keys::FORMAT_VERSION.to_be_bytes()).map_err(failed)?;
            Ok(())
        }
    }
}

/// Makes durable all that is there: a new store's files and names, and records
/// that a killed process left in the system's memory.
fn settle(dir: &Path, disk: &Disk, mark: Head) -> Result<File, StoreError> {
    guarded("opening sled", || {
        disk.db.flush().map(|_| ()).map_err(|error| sled_error("flushing sled", &error))
    })?;
    let path = dir.join("db");
    let file = File::open(&path)
        .and_then(|file| file.sync_all().map(|()| file))
        .map_err(|error| StoreError::io(format!("syncing {}", path.display()), &error))?;
    sync_dir(dir)?;
    if let (0, Some(parent)) = (mark.position, dir.parent()) {
        // The parent of a relative name is the empty path: the current directory.
        sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(file)
}

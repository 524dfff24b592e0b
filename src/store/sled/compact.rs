//! Writing sled's file anew. sled marks what was removed or replaced as free and
//! leaves the bytes where they are until it uses the space again; so what was
//! erased is gone for readers at once, and gone from the disk after this.
//!
//! ```text
//!   copy into compacted/ ─▶ checked, synced ─▶ compacted/whole ─▶ renamed into place
//! ```
//! A stop before `whole` leaves the old file in place, and the copy is removed when
//! the store is opened; a stop after it is finished then.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::failpoint::pass;
use crate::store::error::StoreError;
use crate::store::sled::contents::Contents;
use crate::store::sled::disk::{Disk, guarded, sled_error, sync_dir};
use crate::store::sled::journal::Options;
use crate::store::sled::open::{self, Opened, sled_config};
use crate::store::sled::verify;

/// Where the copy is made, in the journal's directory.
const NAME: &str = "compacted";
/// Says that the copy is whole.
const WHOLE: &str = "whole";
/// Says that something was erased since sled's file was last written anew.
const ERASED: &str = "erased";
/// The largest file that is written anew at a start: some seconds. Beyond it
/// somebody chooses the hour.
const AT_START_BYTES: u64 = 256 << 20;
/// Bytes written to sled at once, well within one segment.
const BATCH_BYTES: usize = 2 << 20;
/// How long sled may take to let go of its file.
const CLOSE_WAIT: Duration = Duration::from_secs(10);

const COMPACTING: &str = "compacting the store";

/// The size of sled's file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// Writes sled's file in `dir` anew, without what was erased. Needs as much free
/// space as the journal takes without it; takes some seconds for each GiB.
///
/// # Errors
/// [`StoreError::Locked`] when a server has it open, [`StoreError::Full`],
/// [`StoreError::Damaged`], [`StoreError::Io`]: the store is as it was.
pub fn compact(dir: &Path) -> Result<Compacted, StoreError> {
    let opened = open::open_bare(dir, &Options::default())?;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    let before = size(&dir.join("db"));
    let copied = guarded(COMPACTING, || copy(dir, &opened));
    if copied.is_err() {
        clear(&dir.join(NAME))?;
    }
    copied?;
    let lock = opened.disk.lock.try_clone().map_err(|error| StoreError::io(COMPACTING, &error))?;
    // Its last threads must not write into what is put in its place.
    drop(opened);
    let _closed = until_closed(dir)?;
    settle(dir)?;
    drop(lock);
    Ok(Compacted { before, after: size(&dir.join("db")) })
}

/// Writes sled's file anew when something was erased since that was last done, and
/// the file is no larger than [`AT_START_BYTES`]. `first` comes before that.
///
/// # Errors
/// As [`compact`], and when `first` fails.
pub fn compact_at_start(
    dir: &Path,
    first: impl FnOnce() -> Result<(), StoreError>,
) -> Result<Option<Compacted>, StoreError> {
    let size = std::fs::metadata(dir.join("db")).map_or(u64::MAX, |found| found.len());
    if !is_due(dir) || size > AT_START_BYTES {
        return Ok(None);
    }
    first()?;
    compact(dir).map(Some)
}

/// Whether something was erased that sled's file may still have in its free space.
pub fn is_due(dir: &Path) -> bool {
    dir.join(ERASED).exists()
}

/// Says that sled's file is to be written anew; durable when this returns.
pub fn mark(dir: &Path) -> Result<(), StoreError> {
    if is_due(dir) {
        return Ok(());
    }
    File::create(dir.join(ERASED))
        .and_then(|file| file.sync_all())
        .map_err(|error| StoreError::io(format!("marking {}", dir.display()), &error))?;
    sync_dir(dir)
}

/// Finishes what a stop left, or takes it back. Called before sled is opened.
pub fn settle(dir: &Path) -> Result<(), StoreError> {
    let copy = dir.join(NAME);
    if !copy.join(WHOLE).exists() {
        return clear(&copy);
    }
    let io = |error: &std::io::Error| StoreError::io(format!("putting {} in place", copy.display()), error);
    // A snapshot only saves work; one of the old file must not be read with the new.
    for (path, _) in files(dir)?.into_iter().filter(|(_, name)| name.starts_with("snap.")) {
        std::fs::remove_file(&path).map_err(|error| io(&error))?;
    }
    for (path, name) in files(&copy)?.into_iter().filter(|(_, name)| name != WHOLE) {
        std::fs::rename(&path, dir.join(name)).map_err(|error| io(&error))?;
        pass("compact.renamed");
    }
    match std::fs::remove_file(dir.join(ERASED)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(&error)),
        _ => {}
    }
    sync_dir(dir)?;
    clear(&copy)?;
    sync_dir(dir)
}

fn files(dir: &Path) -> Result<Vec<(std::path::PathBuf, String)>, StoreError> {
    let io = |error: &std::io::Error| StoreError::io(format!("reading {}", dir.display()), error);
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).map_err(|error| io(&error))? {
        let path = file.map_err(|error| io(&error))?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((path, name));
        }
    }
    Ok(found)
}

fn clear(copy: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(copy) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StoreError::io(format!("removing {}", copy.display()), &error))
        }
        _ => Ok(()),
    }
}

/// Copies everything into a sled of its own, checks it, and says that it is whole.
fn copy(dir: &Path, opened: &Opened) -> Result<(), StoreError> {
    let (disk, head) = (&opened.disk, opened.head);
    let copy = dir.join(NAME);
    let failed = |error: ::sled::Error| sled_error(COMPACTING, &error);
    let io = |error: &std::io::Error| StoreError::io(format!("writing {}", copy.display()), error);
    clear(&copy)?;
    let db = sled_config(&copy).open().map_err(failed)?;
    let (mut batch, mut bytes) = (::sled::Batch::default(), 0);
    for found in disk.db.iter() {
        let (key, value) = found.map_err(failed)?;
        bytes += key.len() + value.len();
        batch.insert(key, value);
        if bytes >= BATCH_BYTES {
            opened.space.check()?;
            db.apply_batch(std::mem::take(&mut batch)).and_then(|()| db.flush()).map_err(failed)?;
            bytes = 0;
        }
    }
    db.apply_batch(batch).and_then(|()| db.flush()).map_err(failed)?;
    let lock = disk.lock.try_clone().map_err(|error| io(&error))?;
    let written = Disk { db, contents: Contents::to_read(dir), lock };
    verify::check_all(&written, head)?;
    drop(written);
    let _closed = until_closed(&copy)?;
    for (path, _) in files(&copy)? {
        File::open(&path).and_then(|file| file.sync_all()).map_err(|error| io(&error))?;
    }
    sync_dir(&copy)?;
    pass("compact.copied");
    File::create(copy.join(WHOLE)).and_then(|file| file.sync_all()).map_err(|error| io(&error))?;
    sync_dir(&copy)?;
    sync_dir(dir)?;
    pass("compact.whole");
    Ok(())
}

/// Waits until sled has let go of its file: its threads end a little later than it.
fn until_closed(dir: &Path) -> Result<File, StoreError> {
    let io = |error: &std::io::Error| StoreError::io(format!("closing {}", dir.display()), error);
    let file = File::open(dir.join("db")).map_err(|error| io(&error))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < CLOSE_WAIT => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { dir: dir.display().to_string() });
            }
            Err(TryLockError::Error(error)) => return Err(io(&error)),
        }
    }
}

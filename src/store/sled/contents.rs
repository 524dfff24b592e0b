//! Contents too large for sled: files named by their SHA-256, synced before a
//! record names them.
//!
//! A file that nothing names (its batch was refused, or the power went) stays:
//! it does no harm, and the same content finds it written.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::value::{Digest, digest};
use crate::failpoint::pass;
use crate::store::error::StoreError;
use crate::store::sled::disk::sync_dir;

/// The directory's name in the journal's directory; not sled's `blobs`.
const NAME: &str = "blobs-sha256";
/// Most bytes read of one file. Blobs and records have limits of 8 MiB; a file
/// beyond both is not ours.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The directory of large contents.
pub struct Contents {
    dir: PathBuf,
    /// Makes the names of temporary files differ.
    writes: AtomicU64,
}

impl Contents {
    /// Makes the directory when it is missing, durably, and clears what a crash
    /// left half-written.
    pub fn open(journal_dir: &Path) -> Result<Self, StoreError> {
        let dir = journal_dir.join(NAME);
        let io = |error: &std::io::Error| StoreError::io(format!("opening {}", dir.display()), error);
        std::fs::create_dir_all(&dir).map_err(|error| io(&error))?;
        for found in std::fs::read_dir(&dir).map_err(|error| io(&error))? {
            let path = found.map_err(|error| io(&error))?.path();
            if path.extension().is_some_and(|extension| extension == "new") {
                std::fs::remove_file(&path).map_err(|error| io(&error))?;
            }
        }
        sync_dir(journal_dir)?;
        Ok(Self { dir, writes: AtomicU64::new(0) })
    }

    /// The directory as it is, to read from it and nothing else.
    pub fn to_read(journal_dir: &Path) -> Self {
        Self { dir: journal_dir.join(NAME), writes: AtomicU64::new(0) }
    }

    /// The names of all contents here, in order.
    pub fn names(&self) -> Result<Vec<Digest>, StoreError> {
        let io = |error: &std::io::Error| StoreError::io(format!("reading {}", self.dir.display()), error);
        let found = match std::fs::read_dir(&self.dir) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(&error)),
        };
        let mut names = Vec::new();
        for file in found {
            let name = file.map_err(|error| io(&error))?.file_name();
            // What is half-written has another name.
            names.extend(name.to_str().and_then(|name| name.parse::<Digest>().ok()));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Keeps `bytes` under `name`, which must be their digest; durable when this
    /// returns.
    pub fn put(&self, name: Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name);
        let io = |error: &std::io::Error| StoreError::io(format!("writing {}", path.display()), error);
        if !path.exists() {
            let nth = self.writes.fetch_add(1, Ordering::Relaxed);
            let new = self.dir.join(format!("{nth}.new"));
            let mut file = File::create(&new).map_err(|error| io(&error))?;
            file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| io(&error))?;
            pass("contents.written");
            std::fs::rename(&new, &path).map_err(|error| io(&error))?;
        }
        pass("contents.named");
        // Also when it was there: whoever wrote it may not have come this far.
        sync_dir(&self.dir)
    }

    /// The bytes under `name`, checked against it; `None` when there are none.
    pub fn get(&self, name: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name);
        let io = |error: &std::io::Error| StoreError::io(format!("reading {}", path.display()), error);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(&error)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(|error| io(&error))?;
        if digest(&bytes) != name {
            return Err(StoreError::damaged(format!("{} is not what was written", path.display())));
        }
        Ok(Some(bytes))
    }

    /// The journal's directory.
    pub fn journal_dir(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    /// Removes what is under these names; durable when this returns.
    pub fn remove(&self, names: &[Digest]) -> Result<(), StoreError> {
        for name in names {
            let path = self.path(*name);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(StoreError::io(format!("removing {}", path.display()), &error));
                }
                _ => {}
            }
        }
        sync_dir(&self.dir)
    }

    fn path(&self, name: Digest) -> PathBuf {
        self.dir.join(name.to_string())
    }
}

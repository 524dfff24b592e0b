//! Saves what can be read of a store that does not open: its disk is full, or it
//! is damaged.
//!
//! sled writes to its own files when it opens them, and cannot open on a full
//! disk. So they are copied elsewhere and opened there; the store itself is only
//! read, and stays as it is for whoever may know more.

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;

use crate::store::error::StoreError;
use crate::store::journal::{Head, Parts, Place, Stored};
use crate::store::sled::contents::Contents;
use crate::store::sled::disk::{Disk, guarded, sled_error};
use crate::store::sled::head::HeadFile;
use crate::store::sled::open::{lock, sled_config};
use crate::store::sled::parts::Faults;
use crate::store::sled::verify;

/// A copy of a store's files that is open to read.
pub struct Salvaged {
    /// Dropped before the copy is removed.
    disk: Option<Disk>,
    copy: PathBuf,
    head: Head,
    missing: Option<StoreError>,
}

impl Salvaged {
    /// Copies sled's files of the store in `dir` to a directory under `work`,
    /// which needs as much space as they have, and opens them there.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when a server has the store open,
    /// [`StoreError::Full`] when `work` has too little space,
    /// [`StoreError::Damaged`] when sled cannot read its files at all.
    pub fn open(dir: &Path, work: &Path) -> Result<Self, StoreError> {
        let lock = lock(dir)?;
        let copy = work.join(format!("quell-salvage-{}", std::process::id()));
        let mut salvaged = Self { disk: None, copy, head: Head::EMPTY, missing: None };
        copy_sled(dir, &salvaged.copy)?;
        let db = guarded("opening a copy of the store", || {
            let opened = sled_config(&salvaged.copy).open();
            opened.map_err(|error| sled_error("opening a copy of the store", &error))
        })?;
        let disk = Disk { db, contents: Contents::to_read(dir), lock };
        let (head, wrong) = verify::check_chain(&disk);
        salvaged.head = head;
        salvaged.missing = wrong.or_else(|| short_of_mark(dir, head));
        salvaged.disk = Some(disk);
        Ok(salvaged)
    }

    /// The last record that could be read with all before it.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Why that is not the end, when it is not.
    pub fn missing(&self) -> Option<&StoreError> {
        self.missing.as_ref()
    }
}

/// Whether records that were acknowledged are missing at the end.
fn short_of_mark(dir: &Path, head: Head) -> Option<StoreError> {
    let Some(mark) = HeadFile::peek(dir) else {
        return Some(StoreError::damaged("the mark of what was acknowledged cannot be read"));
    };
    (head.position < mark.position).then(|| {
        StoreError::damaged(format!(
            "it ends at record {}, but record {} was acknowledged",
            head.position, mark.position
        ))
    })
}

/// Copies what sled keeps: its file, its settings, its snapshots.
fn copy_sled(dir: &Path, to: &Path) -> Result<(), StoreError> {
    let io = |error: &std::io::Error| {
        StoreError::io(format!("copying the store from {} to {}", dir.display(), to.display()), error)
    };
    if to.exists() {
        std::fs::remove_dir_all(to).map_err(|error| io(&error))?;
    }
    std::fs::create_dir_all(to).map_err(|error| io(&error))?;
    for found in std::fs::read_dir(dir).map_err(|error| io(&error))? {
        let found = found.map_err(|error| io(&error))?;
        let name = found.file_name();
        let text = name.to_string_lossy();
        if text == "db" || text == "conf" || text.starts_with("snap.") {
            std::fs::copy(found.path(), to.join(&name)).map_err(|error| io(&error))?;
        }
    }
    Ok(())
}

impl Drop for Salvaged {
    fn drop(&mut self) {
        self.disk = None;
        // A copy that stays is a nuisance, not a danger.
        let _ = std::fs::remove_dir_all(&self.copy);
    }
}

impl Stored for Salvaged {
    fn parts(&self, from: Place, until: u64) -> BoxFuture<'_, Result<Parts, StoreError>> {
        let until = until.min(self.head.position);
        Box::pin(async move {
            let Some(disk) = &self.disk else {
                return Err(StoreError::Stopped { why: "it was closed".to_owned() });
            };
            // One command line waits for this, and nobody else.
            guarded("copying the journal", || disk.parts(from, until, Faults::LeaveOut))
        })
    }

    fn erased_at(&self) -> u64 {
        0
    }
}

//! Checks, backs up, exports and imports a store that no server has open.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::app::data_dir::make_data_private;
use crate::app::house::{local_user, now};
use crate::app::restored;
use crate::app::shelf;
use crate::domain::value::Digest;
use crate::settings::Settings;
use crate::store::error::StoreError;
use crate::store::export::{Counts, Exporter, Form, export as write_export};
use crate::store::journal::{Head, Journal, Stored};
use crate::store::sled::compact::{self, Compacted};
use crate::store::sled::journal::{Options, SledJournal};
use crate::store::sled::restore::{self, Beside};
use crate::store::sled::salvage::Salvaged;
use crate::store::sled::verify::Verified;

/// An export for people and other programs.
pub const READABLE: Form = Form::Readable;

/// An export for a backup.
pub const COMPACT: Form = Form::Compact;

/// What an export holds, and what it could not hold.
pub struct Exported {
    /// What was written.
    pub counts: Counts,
    /// The last record in it.
    pub head: Head,
    /// Why that is not all that was acknowledged; none when it is all.
    pub missing: Option<StoreError>,
    /// Whether the store was read from a copy, because it does not open.
    pub salvaged: bool,
}

/// Checks everything in the store.
///
/// # Errors
/// [`StoreError::Damaged`] says what is wrong; [`StoreError::Locked`] when a
/// server has it open; [`StoreError::Io`] when there is no store.
pub async fn verify(settings: &Settings) -> Result<Verified, StoreError> {
    existing(settings)?.verify().await
}

/// Checks a backup or an export by restoring it under `work` for a moment.
///
/// # Errors
/// [`StoreError::Export`] says what is wrong with it.
pub fn verify_file(work: &Path, input: &mut dyn BufRead) -> Result<Verified, StoreError> {
    restore::check(work, input)
}

/// What an import left in the store's place.
pub struct Imported {
    /// What the backup or export held.
    pub backup: Verified,
    /// How many runs are held, because they were in flight there.
    pub held: usize,
}

/// Reads a backup or an export into the store's empty place, and holds what was in
/// flight there.
///
/// # Errors
/// [`StoreError::Occupied`], [`StoreError::Export`]; then nothing is there.
pub async fn import(settings: &Settings, input: &mut dyn BufRead) -> Result<Imported, StoreError> {
    let dir = settings.store_dir();
    make_data_private(settings)
        .map_err(|error| StoreError::io(format!("using {}", settings.data.display()), &error))?;
    let beside = Beside::read(&dir, input)?;
    let backup = beside.verified;
    let journal = SledJournal::open(beside.path(), &Options::default())?;
    let held = restored::hold(&journal, &local_user(), now()).await?;
    drop(journal);
    beside.put_in_place()?;
    Ok(Imported { backup, held })
}

/// Writes everything in the store. One that does not open, because its disk is
/// full or it is damaged, is copied under `work` and read there as far as it goes.
///
/// # Errors
/// [`StoreError::Locked`] when a server has it open; what reading and writing
/// fail with.
pub async fn export(
    settings: &Settings,
    form: Form,
    work: &Path,
    out: &mut (dyn Write + Send),
) -> Result<Exported, StoreError> {
    let (stored, head, missing, salvaged): (Arc<dyn Stored>, _, _, _) = match existing(settings) {
        Ok(journal) => {
            let head = journal.head();
            (Arc::new(journal), head, None, false)
        }
        Err(StoreError::Full | StoreError::Damaged { .. }) => {
            let salvaged = Salvaged::open(&settings.store_dir(), work)?;
            let (head, missing) = (salvaged.head(), salvaged.missing().cloned());
            (Arc::new(salvaged), head, missing, true)
        }
        Err(other) => return Err(other),
    };
    let counts = write_export(Exporter::new(stored, head, form), out).await?;
    Ok(Exported { counts, head, missing, salvaged })
}

/// The journal, when there is one: looking must not make an empty one.
fn existing(settings: &Settings) -> Result<SledJournal, StoreError> {
    let dir = settings.store_dir();
    let is_there = ["db", "head"].iter().any(|file| dir.join(file).exists());
    if !is_there {
        return Err(StoreError::Io {
            doing: format!("opening the store in {}", dir.display()),
            why: "there is none; name its data directory with --data or the settings with --config"
                .to_owned(),
        });
    }
    SledJournal::open(&dir, &Options::default())
}

/// Writes the store's file anew, without the bytes of what was erased; gives its
/// size before and after.
///
/// # Errors
/// [`StoreError::Locked`] when a server has it open; what reading and writing
/// fail with: then it is as it was.
pub fn compact(settings: &Settings) -> Result<(u64, u64), StoreError> {
    drop(existing(settings)?);
    // The views on disk hold such bytes too; they are folded again.
    shelf::remove(&settings.data.join(shelf::VIEWS_FILE))?;
    let Compacted { before, after } = compact::compact(&settings.store_dir())?;
    Ok((before, after))
}

/// Whether it failed because a server has the store open.
pub fn is_locked(error: &StoreError) -> bool {
    matches!(error, StoreError::Locked { .. })
}

/// Watches the lines of a backup pass by and says whether they came whole.
#[derive(Default)]
pub struct Wholeness {
    hasher: Sha256,
    /// The line that has not ended yet.
    line: Vec<u8>,
    end: Option<Counts>,
    broken: bool,
}

impl Wholeness {
    /// Takes in the next bytes.
    pub fn see(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.line_ended();
            }
        }
    }

    fn line_ended(&mut self) {
        self.broken |= self.end.is_some();
        if self.line.starts_with(b"{\"end\":") {
            self.end = serde_json::from_slice::<serde_json::Value>(&self.line)
                .ok()
                .and_then(|line| serde_json::from_value(line.get("end")?.clone()).ok());
            self.broken |= self.end.is_none();
        } else {
            self.hasher.update(&self.line);
        }
        self.line.clear();
    }

    /// What came, when it came whole.
    pub fn whole(self) -> Option<Counts> {
        let counts = self.end.filter(|_| !self.broken && self.line.is_empty())?;
        (Digest(self.hasher.finalize().into()) == counts.sha256).then_some(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryJournal;

    async fn lines() -> Vec<u8> {
        let journal = Arc::new(MemoryJournal::new());
        let head = journal.head();
        let mut out = Vec::new();
        write_export(Exporter::new(journal, head, Form::Compact), &mut out).await.expect("is written");
        out
    }

    #[tokio::test]
    async fn a_backup_that_lost_a_byte_anywhere_is_not_whole() {
        let lines = lines().await;
        for cut in 0..lines.len() {
            let mut seen = Wholeness::default();
            seen.see(&lines[..cut]);
            assert!(seen.whole().is_none(), "cut at {cut}");
        }
        for size in [1, 7, lines.len()] {
            let mut seen = Wholeness::default();
            lines.chunks(size).for_each(|chunk| seen.see(chunk));
            assert!(seen.whole().is_some(), "in pieces of {size}");
        }
        let mut changed = lines.clone();
        changed[3] ^= 1;
        let mut seen = Wholeness::default();
        seen.see(&changed);
        assert!(seen.whole().is_none());
    }
}

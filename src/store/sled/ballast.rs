//! Space on the disk: enough to go on, and a ballast to start with.
//!
//! sled cannot open on a full disk. The ballast is a file without meaning that
//! is given up then, so that the journal opens, can be read and exported, and
//! takes appends again as soon as somebody has made space.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::store::error::StoreError;

/// The file's name in the journal's directory.
const NAME: &str = "ballast";
/// Opening sled may begin a new segment of 8 MiB; with 4 MiB given up it was
/// measured not to open, with this it did.
const BALLAST_BYTES: usize = 12 << 20;

/// The space on the journal's disk.
pub struct Space {
    dir: PathBuf,
    min_free: u64,
}

impl Space {
    /// Watches the disk that holds `dir`; under `min_free` bytes it counts as full.
    pub fn new(dir: &Path, min_free: u64) -> Self {
        Self { dir: dir.to_owned(), min_free }
    }

    /// Whether there is space to append.
    ///
    /// # Errors
    /// [`StoreError::Full`]. When the system does not say how much is free, it
    /// counts as enough: a write that fails is noticed anyway.
    pub fn check(&self) -> Result<(), StoreError> {
        match self.free() {
            Some(free) if free < self.min_free => Err(StoreError::Full),
            _ => Ok(()),
        }
    }

    fn free(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(&self.dir).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Whether the ballast was given up.
    pub fn is_ballast_gone(&self) -> bool {
        !self.dir.join(NAME).exists()
    }

    /// Lays the ballast down when it is missing and there is space for it.
    pub fn lay_ballast(&self) -> Result<(), StoreError> {
        let wanted = self.min_free.saturating_add(BALLAST_BYTES as u64);
        if !self.is_ballast_gone() || self.free().is_some_and(|free| free < wanted) {
            return Ok(());
        }
        let path = self.dir.join(NAME);
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&noise(BALLAST_BYTES))?;
            file.sync_all()
        });
        written.map_err(|error| {
            // Half a ballast is none: it would pass for a whole one.
            let _ = std::fs::remove_file(&path);
            StoreError::io(format!("writing {}", path.display()), &error)
        })
    }

    /// Gives the ballast up; false when there was none.
    pub fn drop_ballast(&self) -> Result<bool, StoreError> {
        let path = self.dir.join(NAME);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io(format!("removing {}", path.display()), &error)),
        }
    }
}

/// Bytes that a compressing file system cannot shrink (xorshift).
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    words.take(count / 8).flat_map(u64::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ballast_is_laid_given_up_and_laid_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let space = Space::new(dir.path(), 0);
        assert!(space.is_ballast_gone());
        space.lay_ballast().expect("is laid");
        let size = std::fs::metadata(dir.path().join(NAME)).expect("is there").len();
        assert_eq!(size, BALLAST_BYTES as u64);
        assert_eq!(space.drop_ballast(), Ok(true));
        assert_eq!(space.drop_ballast(), Ok(false));
        space.lay_ballast().expect("is laid again");
        assert!(!space.is_ballast_gone());
    }

    #[test]
    fn a_disk_with_less_than_wanted_is_full_and_keeps_no_ballast() {
        let dir = tempfile::tempdir().expect("a directory");
        let space = Space::new(dir.path(), u64::MAX);
        assert_eq!(space.check(), Err(StoreError::Full));
        space.lay_ballast().expect("is no error");
        assert!(space.is_ballast_gone());
    }
}

//! Where the journal ends, kept outside sled.
//!
//! After an unclean stop one flipped bit makes sled drop its tail without a
//! word. This file says what was acknowledged, so that opening can refuse.
//!
//! Two slots are written in turn, in place, each with its own check: a write
//! that was cut off spoils one slot, and the other still holds the mark before.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::domain::value::{Digest, digest};
use crate::store::error::StoreError;
use crate::store::journal::Head;
use crate::store::sled::disk::sync_dir;
use crate::store::sled::read::newer;

/// The file's name in the journal's directory.
pub const NAME: &str = "head";
/// Slots are a disk block apart, so that one torn block spoils one slot.
const SLOT_BYTES: usize = 4096;
const MAGIC: &[u8; 8] = b"quell\0h1";
/// What the marks of every version begin with; one byte more is the version.
const MAGIC_OF_ALL: &[u8] = b"quell\0h";
const BODY_BYTES: usize = 8 + 8 + 32;

/// The open file.
pub struct HeadFile {
    file: File,
    /// The slot that the next write goes to.
    next: u64,
}

impl HeadFile {
    /// Creates the file with the head of an empty journal, durably.
    pub fn create(dir: &Path) -> Result<(), StoreError> {
        let doing = || format!("creating {}", dir.join(NAME).display());
        let io = |error: &std::io::Error| StoreError::io(doing(), error);
        let mut bytes = vec![0; 2 * SLOT_BYTES];
        bytes[..BODY_BYTES + 32].copy_from_slice(&slot(Head::EMPTY));
        let new = dir.join("head.new");
        let mut file = File::create(&new).map_err(|error| io(&error))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(|error| io(&error))?;
        std::fs::rename(&new, dir.join(NAME)).map_err(|error| io(&error))?;
        sync_dir(dir)
    }

    /// Opens the file and reads the newest mark; `None` when there is no file.
    pub fn open(dir: &Path) -> Result<Option<(Self, Head)>, StoreError> {
        let path = dir.join(NAME);
        let io = |error: &std::io::Error| StoreError::io(format!("reading {}", path.display()), error);
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(&error)),
        };
        let mut bytes = Vec::with_capacity(2 * SLOT_BYTES);
        (&mut file).take(2 * SLOT_BYTES as u64).read_to_end(&mut bytes).map_err(|error| io(&error))?;
        if let Some(version) = newer_version(&bytes) {
            return Err(newer(format!(
                "{} has version {version}, this program reads up to {}",
                path.display(),
                char::from(MAGIC[MAGIC_OF_ALL.len()])
            )));
        }
        let first = bytes.get(..SLOT_BYTES).and_then(read_slot);
        let second = bytes.get(SLOT_BYTES..).and_then(read_slot);
        let (head, next) = match (first, second) {
            (Some(first), Some(second)) if second.position > first.position => (second, 0),
            (Some(first), _) => (first, 1),
            (None, Some(second)) => (second, 0),
            (None, None) => {
                return Err(StoreError::damaged(format!("neither mark in {} can be read", path.display())));
            }
        };
        Ok(Some((Self { file, next }, head)))
    }

    /// The newest mark, when the file is there and one can be read. For saving
    /// what can be saved; nothing is opened for writing.
    pub fn peek(dir: &Path) -> Option<Head> {
        let bytes = std::fs::read(dir.join(NAME)).ok()?;
        let slots = [bytes.get(..SLOT_BYTES), bytes.get(SLOT_BYTES..)];
        slots.into_iter().flatten().filter_map(read_slot).max_by_key(|head| head.position)
    }

    /// Marks `head` as the end; durable when this returns.
    pub fn mark(&mut self, head: Head) -> std::io::Result<()> {
        self.file.write_all_at(&slot(head), self.next * SLOT_BYTES as u64)?;
        self.file.sync_data()?;
        self.next = 1 - self.next;
        Ok(())
    }
}

/// The version of the marks, when a newer program wrote one of them.
fn newer_version(bytes: &[u8]) -> Option<char> {
    let ours = MAGIC[MAGIC_OF_ALL.len()];
    [0, SLOT_BYTES].into_iter().find_map(|at| {
        let version = *bytes.get(at..)?.strip_prefix(MAGIC_OF_ALL)?.first()?;
        (version.is_ascii_alphanumeric() && version > ours).then(|| char::from(version))
    })
}

fn slot(head: Head) -> [u8; BODY_BYTES + 32] {
    let mut bytes = [0; BODY_BYTES + 32];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&head.position.to_be_bytes());
    bytes[16..BODY_BYTES].copy_from_slice(&head.hash.0);
    let check = digest(&bytes[..BODY_BYTES]);
    bytes[BODY_BYTES..].copy_from_slice(&check.0);
    bytes
}

fn read_slot(bytes: &[u8]) -> Option<Head> {
    let position = bytes.get(8..16)?.try_into().ok()?;
    let hash = bytes.get(16..BODY_BYTES)?.try_into().ok()?;
    let head = Head { position: u64::from_be_bytes(position), hash: Digest(hash) };
    // Writing the same head again gives the same bytes only when all is whole.
    bytes.starts_with(&slot(head)).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> Head {
        Head { position, hash: digest(&position.to_be_bytes()) }
    }

    #[test]
    fn the_newest_mark_is_read_and_a_spoilt_one_falls_back_to_the_one_before() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(HeadFile::open(dir.path()).expect("no error").is_none());
        HeadFile::create(dir.path()).expect("is created");
        for position in 1..=5 {
            let (mut file, head) = HeadFile::open(dir.path()).expect("opens").expect("is there");
            assert_eq!(head.position, position - 1);
            file.mark(at(position)).expect("is written");
        }
        let path = dir.path().join(NAME);
        let mut bytes = std::fs::read(&path).expect("reads");
        // Five marks after the first slot's empty one: the fifth is in slot 1.
        bytes[SLOT_BYTES + 20] ^= 1;
        std::fs::write(&path, &bytes).expect("writes");
        let (_, head) = HeadFile::open(dir.path()).expect("opens").expect("is there");
        assert_eq!(head, at(4));
        bytes[20] ^= 1;
        std::fs::write(&path, &bytes).expect("writes");
        assert!(matches!(HeadFile::open(dir.path()), Err(StoreError::Damaged { .. })));
    }
}

//! What is open of a journal's directory, and how its failures are told.

use std::any::Any;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::store::error::StoreError;
use crate::store::sled::contents::Contents;

/// Most bytes of a value in sled; larger ones become files. sled moves values
/// and leaves above a quarter of a segment into files it never syncs: 16 values
/// of this size, a full leaf, stay under half of that.
pub const MAX_INLINE_BYTES: usize = 60 << 10;

/// The open store.
pub struct Disk {
    /// sled; only its default tree is used.
    pub db: ::sled::Db,
    /// Contents too large for sled.
    pub contents: Contents,
    /// Held as long as the store is open. Dropped last.
    pub lock: File,
}

/// Runs what may panic inside sled, and tells a panic as damage.
pub fn guarded<T>(doing: &str, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(StoreError::damaged(format!("{doing} stopped with: {}", panic_text(&*panic))))
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("an unknown error")
}

/// A sled error, told with what was being done.
pub fn sled_error(doing: &str, error: &::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Io(error) => StoreError::io(doing, error),
        other => StoreError::damaged(format!("{doing} failed: {other}")),
    }
}

/// Makes the names in a directory durable.
pub fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| StoreError::io(format!("syncing {}", dir.display()), &error))
}

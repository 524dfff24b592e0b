//! Where views keep what is not in memory: rows in tables, which may be thrown
//! away at any time and folded again from the journal.

use std::sync::Arc;

use crate::domain::value::Digest;

/// How far in the journal what is kept goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upto {
    /// The number of the last record that was taken in.
    pub position: u64,
    /// The hash of that record, which covers all before it: it tells this
    /// journal from another.
    pub hash: Digest,
}

/// One row that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its table.
    pub table: &'static str,
    /// Its key; keys sort as their bytes do.
    pub key: Vec<u8>,
    /// What it says now; none when it is gone.
    pub row: Option<Vec<u8>>,
}

/// A row as it is kept: its key and what it says.
pub type Bytes = (Vec<u8>, Vec<u8>);

/// Rows on disk. What cannot be read is given as absent, and [`Shelf::fault`]
/// tells from then on that nothing said here can be trusted: the process stops,
/// and the next one folds the journal again.
pub trait Shelf: Send + Sync {
    /// One row.
    fn get(&self, table: &'static str, key: &[u8]) -> Option<Vec<u8>>;

    /// At most `limit` rows with keys from `least` on and below `below`, the last
    /// of them first.
    fn newest(&self, table: &'static str, least: &[u8], below: Option<&[u8]>, limit: usize) -> Vec<Bytes>;

    /// Takes in changes, all or none.
    ///
    /// # Errors
    /// When they could not be written; nothing of them was.
    fn keep(&self, changes: Vec<Change>, upto: Upto) -> Result<(), String>;

    /// Notes that a row could not be understood.
    fn doubt(&self, table: &'static str);

    /// Why nothing here can be trusted any more, when that is so.
    fn fault(&self) -> Option<String>;
}

/// One table of a view.
pub trait Table: Send {
    /// Puts it on a shelf under a name, with what is kept there already.
    fn attach(&mut self, name: &'static str, shelf: &Arc<dyn Shelf>);

    /// How many rows changed since they were last taken.
    fn changed(&self) -> usize;

    /// Takes what changed. Nothing may be taken again before
    /// [`Table::settle`] or [`Table::put_back`].
    fn take(&mut self, into: &mut Vec<Change>);

    /// What was taken is kept: it need no longer be in memory.
    fn settle(&mut self);

    /// What was taken could not be kept, and counts as changed again.
    fn put_back(&mut self);
}

/// As rows are kept. Rows are plain data, so this cannot fail; if it ever does,
/// the row is kept as nothing and told as damaged when it is read.
pub(super) fn pack<T: serde::Serialize>(row: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(row).unwrap_or_default()
}

/// The row again, when that is what the bytes say.
pub(super) fn unpack<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    rmp_serde::from_slice(bytes).ok()
}

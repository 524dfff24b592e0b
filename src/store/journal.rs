//! What a journal promises: batches of entries, all or nothing, durable when
//! acknowledged, in one order for everybody.
//!
//! ```text
//! append ──▶ record 1, record 2, record 3 … (one per batch, hash-chained)
//!               │ every entry belongs to one stream, numbered from 1
//!               ├──▶ read(stream)    ├──▶ scan(all)    └──▶ follow (live)
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

use crate::domain::erasure::Rule;
use crate::domain::event::{Entry, Event};
use crate::domain::id::{RunId, StreamId};
use crate::domain::time::Timestamp;
use crate::domain::value::Digest;
use crate::store::error::StoreError;

/// Batches a follower may be behind before it is told `Lagged` and has to catch
/// up by [`Journal::scan`]. A thousand batches of a few entries are about 1 MiB.
pub const FOLLOW_BUFFER_BATCHES: usize = 1024;

/// Events for one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// Whose facts they are.
    pub stream: StreamId,
    /// The number of the stream's last entry that the writer has seen; 0 means
    /// that the stream is new. An append without events only checks this.
    pub after: u64,
    /// When they were decided.
    pub at: Timestamp,
    /// The facts, in order.
    pub events: Vec<Event>,
}

/// Where a run rests: it asks for nothing until a time, or until a person speaks.
/// Kept beside the record that led there so that a start need not replay the run;
/// no fact, and worth nothing once the run has entries beyond `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// The number of the run's last entry when this was so.
    pub seq: u64,
    /// When it wants to be woken.
    pub wake: Option<Timestamp>,
    /// By which rules that was worked out (`domain::owed::RULES`).
    pub rules: u32,
}

/// What is appended together: all of it, or nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Events, by stream. The same stream may come twice, in order.
    pub appends: Vec<Append>,
    /// Larger contents that the events name by digest. One that is kept already
    /// is not written again.
    pub blobs: Vec<(Digest, Vec<u8>)>,
    /// Unique keys (delivery ids, idempotency keys): when one exists already the
    /// batch is refused as [`StoreError::Taken`]. Each leads to the stream of
    /// the first append.
    pub keys: Vec<String>,
    /// Runs that rest from here on, and (none) runs that are over and rest no more.
    pub rests: Vec<(RunId, Option<Rest>)>,
}

/// An order to erase: streams whole, contents, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct Erase {
    /// The stream that says so from then on: one of the streams, or the alert's
    /// whose content goes.
    pub of: StreamId,
    /// When it was decided.
    pub at: Timestamp,
    /// By which rule.
    pub rule: Rule,
    /// How long the rule keeps things, in seconds.
    pub kept_seconds: u64,
    /// Streams of which all is erased. A record that also holds entries of a
    /// stream that stays is kept until that one is erased too.
    pub streams: Vec<StreamId>,
    /// Contents that nothing names which stays.
    pub contents: Vec<Digest>,
    /// Up to which record whoever decided has seen the journal.
    pub seen: u64,
}

/// What became durable with one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The number of the batch's record in the whole journal, from 1 without
    /// gaps; of a batch without events the number of the last record there is.
    pub position: u64,
    /// The entries of the batch, in order.
    pub entries: Arc<[Entry]>,
}

/// Where the journal ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of the last record; 0 when there is none.
    pub position: u64,
    /// The hash of the last record, which covers all before it; zeros when
    /// there is none.
    pub hash: Digest,
}

impl Head {
    /// The head of an empty journal.
    pub const EMPTY: Head = Head { position: 0, hash: Digest([0; 32]) };
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} ({})", self.position, self.hash)
    }
}

/// One part of a journal, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A content that entries name by digest.
    Content(Digest, Vec<u8>),
    /// A record of the chain.
    Record {
        /// Its number.
        position: u64,
        /// All its bytes; their digest is the hash of the record.
        bytes: Vec<u8>,
        /// What it says; of a tombstone what stayed.
        entries: Vec<Entry>,
    },
    /// A unique key.
    Key {
        /// The key.
        key: String,
        /// The record that it came with.
        position: u64,
        /// The stream it leads to.
        stream: StreamId,
    },
}

/// How far reading the parts of a journal has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Contents after this one.
    Contents(Option<Digest>),
    /// Contents that are kept in files of their own, after this one.
    Files(Option<Digest>),
    /// Records after this one.
    Records(u64),
    /// Keys after this one.
    Keys(Option<String>),
}

impl Place {
    /// Contents come first, so that whoever reads a record has what it names.
    pub const START: Place = Place::Contents(None);
}

/// A journal as it is stored, to copy it elsewhere.
pub trait Stored: Send + Sync + 'static {
    /// The next parts from `from` on, each checked against its digest, and where
    /// to go on; no place to go on means that these were the last. Records and
    /// keys after record `until` are left out. May give no parts and a place.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    fn parts(&self, from: Place, until: u64) -> BoxFuture<'_, Result<Parts, StoreError>>;

    /// The number of the record with the last order to erase that was carried out
    /// since it was opened, or 0: a copy of what was there before it would lack
    /// what its records name.
    fn erased_at(&self) -> u64;
}

/// Some parts, and where to go on.
pub type Parts = (Vec<Part>, Option<Place>);

/// The append-only record of all that happened; the only truth.
///
/// Only what is durable is ever shown: no reader sees an entry that a power cut
/// could take back. Calls need a tokio runtime.
pub trait Journal: Stored {
    /// Appends all of the batch or nothing. It is durable when this returns.
    ///
    /// Dropping the future does not take the batch back: it may still be
    /// appended. Read the stream to know.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a stream has moved on, [`StoreError::Taken`]
    /// when a key exists, [`StoreError::TooLarge`], [`StoreError::Malformed`],
    /// and [`StoreError::Full`]: nothing was written. [`StoreError::Io`] and
    /// [`StoreError::Stopped`]: whether it was written is unknown until the
    /// journal is opened again.
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Receipt, StoreError>>;

    /// Erases what the order names. First the fact becomes durable, as an entry of
    /// the stream `of`; then each record that goes is replaced by a tombstone that
    /// keeps its number and its hash, and the contents are removed. All of that has
    /// happened when this returns; after a crash in between it is finished when
    /// the journal is opened. Streams that were erased keep their last number.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when one of the streams has moved on since `seen`,
    /// and what appending fails with.
    fn erase(&self, order: Erase) -> BoxFuture<'_, Result<Receipt, StoreError>>;

    /// The entries of one stream with a number above `after`, in order; empty
    /// when the stream is unknown. Of a stream that was erased there is at most the
    /// fact that it was.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    fn read(&self, stream: StreamId, after: u64) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>>;

    /// Entries of all streams from records above `after`, each with the number
    /// of its record, in order. Stops at the first end of a record with at least
    /// `limit` entries in hand, so that the last number is where to go on from.
    /// Empty only at the end of the journal. What was erased is left out.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    fn scan(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<(u64, Entry)>, StoreError>>;

    /// A content by its digest, checked against it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the content does not have the digest,
    /// [`StoreError::Io`].
    fn blob(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Arc<[u8]>>, StoreError>>;

    /// The stream that a unique key leads to.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    fn key(&self, key: &str) -> BoxFuture<'_, Result<Option<StreamId>, StoreError>>;

    /// Where runs rest, as far as it is known; see [`Rest`].
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn rests(&self) -> BoxFuture<'_, Result<HashMap<RunId, Rest>, StoreError>>;

    /// Where the journal ends.
    fn head(&self) -> Head;

    /// What becomes durable from now on, batch by batch, in order. A follower
    /// more than [`FOLLOW_BUFFER_BATCHES`] behind gets `Lagged` and reads on by
    /// [`Journal::scan`].
    fn follow(&self) -> broadcast::Receiver<Receipt>;

    /// Whether appends are acknowledged.
    ///
    /// # Errors
    /// [`StoreError::Full`] while there is no space; any other error is final
    /// and the process should exit with a failure.
    fn health(&self) -> Result<(), StoreError>;
}

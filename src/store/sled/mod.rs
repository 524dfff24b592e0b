//! The journal on a disk, in one directory, in sled 0.34.
//!
//! sled is durable only when used in one way; every rule below was measured by
//! cutting the power, and breaking one of them loses acknowledged entries.
//!
//! - One committer thread turns waiting batches into one sled batch, calls
//!   `flush()`, then `fdatasync` on an own handle of sled's file (sled itself
//!   never does), then marks the head outside sled, and only then acknowledges.
//! - `flush_async` is never called: it deadlocks from some 16 callers on.
//! - Values stay under 60 KiB and segments are 8 MiB, so that sled never moves a
//!   value into its own `blobs/`, which it does not sync. Larger contents are
//!   files of ours, named by digest and synced before a record names them.
//! - One tree holds all, by prefix: a sled batch is atomic in one tree only.
//! - sled may panic on a damaged file: it is opened and read where a panic is
//!   caught and told as damage.
//! - A damaged tail is dropped silently by sled: the head outside knows better.
//!
//! ```text
//! <dir>/db, conf, snap.*   sled's own          <dir>/head      where the journal ends
//! <dir>/blobs-sha256/      contents > 60 KiB   <dir>/ballast   space to start with
//! <dir>/lock               one process         <dir>/compacted/ sled's files, being written anew
//! ```

mod ballast;
mod committer;
pub mod compact;
mod contents;
mod disk;
mod head;
pub mod journal;
mod keys;
mod open;
mod parts;
mod prepare;
mod read;
pub mod restore;
pub mod salvage;
mod sweep;
pub mod verify;

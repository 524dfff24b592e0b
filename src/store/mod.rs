//! The store: the journal is the only truth, and these files keep it.
//!
//! `journal` says what a journal promises; `memory` and `sled` keep the promise,
//! one for tests and practice, one on a disk. `admit` decides what may be
//! appended, `codec` how a record looks and `tombstone` what stands in its place
//! once it is erased, for both alike. `export` writes a whole journal into one file,
//! for people, backups and other programs; `import` reads it.

pub mod admit;
pub mod codec;
pub mod error;
pub mod export;
pub mod import;
pub mod journal;
pub mod memory;
pub mod sled;
pub mod tombstone;

//! A playbook's file → a checked playbook; the library; the playbooks' own tests.
//!
//! ```text
//!   check.rs     the whole file: every mistake in one pass
//!   header.rs    what stands above the steps: name, posture, inputs
//!   triggers.rs  what starts runs by itself: alerts and schedules
//!   reading.rs   one step after another, blocks and all, into the arena
//!   order.rs     which steps of a block wait for which
//!   kinds.rs     what a step is called, when it runs and which kind it is
//!   common.rs    what any step may say: when, needs, retry, approval …
//!   names.rs     what expressions name: does it exist, can it have run yet?
//!   known.rs     the fields of an alert, an incident and a run
//!   spelt.rs     fields of items and words compared, off the expression's text
//!   file.rs      an authored file from the disk, bounded before it is read
//!   library.rs   a directory of playbooks, each with its frozen plan
//!   case.rs      a test file → cases
//!   rehearse.rs  plays one case in virtual time
//!   judge.rs     does it hold what the file expects? what did no case reach?
//! ```

pub mod case;
pub mod check;
pub mod common;
pub mod file;
pub mod header;
pub mod judge;
mod kinds;
pub mod known;
pub mod library;
pub mod names;
mod order;
pub mod reading;
pub mod rehearse;
mod spelt;
pub mod triggers;
pub mod wanting;

//! A playbook's file → a checked playbook; the library; the playbooks' own tests.
//!
//! ```text
//!   check.rs     the whole file: every mistake in one pass
//!   header.rs    what stands above the steps: name, posture, inputs
//!   triggers.rs  what starts runs by itself: alerts and schedules
//!   reading.rs   one step after another, blocks and all, into the arena
//!   kinds.rs     what a step is called, when it runs and which kind it is
//!   common.rs    what any step may say: when, needs, retry, approval …
//!   names.rs     what expressions name: does it exist, can it have run yet?
//!   known.rs     the fields of an alert, an incident and a run
//!   library.rs   a directory of playbooks, each with its frozen plan
//!   case.rs      a test file → cases
//!   rehearse.rs  plays one case in virtual time
//!   judge.rs     does it hold what the file expects? what did no case reach?
//! ```

pub mod case;
pub mod check;
pub mod common;
pub mod header;
pub mod judge;
mod kinds;
pub mod known;
pub mod library;
pub mod names;
pub mod reading;
pub mod rehearse;
pub mod triggers;

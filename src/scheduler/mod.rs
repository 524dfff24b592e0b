//! The only writer: decide, append, dispatch.
//!
//! ```text
//!   run.rs       one signal of one run: decide, append (durable), dispatch
//!   admission.rs who begins when not all can, and the end of the process
//!   slot.rs      the runs that are in memory, each behind its own lock
//!   worker.rs    carries out one attempt and signals its outcome
//!   calls.rs     runs of other playbooks that a step waits for
//!   ends.rs      callers that wait for the end of a run
//!   timer.rs     wakes runs at the times they asked for
//!   plans.rs     frozen plans by digest
//!   replay.rs    the state that the entries of a run add up to
//!   troubles.rs  what keeps runs from moving and stands in no journal
//!   recovery.rs  reads unfinished runs again after a stop: the ordinary path
//! ```
//! A run that waits for a person or a time is not in memory: it is its entries
//! in the journal and a line in the timer.

pub mod admission;
pub mod calls;
pub mod ends;
pub mod plans;
pub mod recovery;
pub mod replay;
pub mod run;
pub mod slot;
pub mod timer;
pub mod troubles;
pub mod worker;

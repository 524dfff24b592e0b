//! `decide`: what follows when the world tells a run something.
//!
//! ```text
//!   turn.rs     one turn: events are recorded and folded in as they are decided
//!   signal.rs   what happened: each signal, checked against the state
//!   attempt.rs  what an outcome means: go on, try again, fail, uncertain
//!   wake.rs     what has come due: retries, pauses, deadlines, silence
//!   approval.rs what a yes binds, and what it lets a block do
//!   people.rs   approvals and answers
//!   advance.rs  what may start now: order, blocks, sections, the end of the run
//!   loops.rs    the next item or turn, and when a loop is over
//!   cut.rs      what is cut off when a block, a section or the run ends
//!   step.rs     how a step begins, and its next move
//!   undo.rs     the way back
//!   watch.rs    does a containment still hold, and is it about to be lifted?
//!   calls.rs    runs of other playbooks that a step waits for
//!   reminders.rs  who is written to while nobody answers
//!   scope.rs    what expressions see
//! ```
//! Time comes in as an argument; ids are derived from the run's; waits are
//! spread by a hash. The same state, signal and time always give the same events.

pub mod advance;
pub mod approval;
pub mod attempt;
pub mod calls;
pub mod cut;
pub mod loops;
pub mod people;
pub mod reconcile;
pub mod reminders;
pub mod requesters;
pub mod scope;
pub mod signal;
pub mod step;
pub mod turn;
pub mod undo;
pub mod wake;
pub mod watch;

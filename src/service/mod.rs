//! Every order and every question, once: the web and the command line turn
//! their words into these calls and back.
//!
//! ```text
//!   error.rs    why a call was not carried out
//!   house.rs    what the service stands on
//!   follow.rs   views that follow the journal, and what of them lies on disk
//!   door.rs     alerts in: verify, normalise, triage, start runs, all in one append
//!   runs.rs     start, cancel, extend, settle, release
//!   releases.rs  many runs that were set aside go on by one order
//!   undo.rs     lift: of a run, a step, a containment, an incident
//!   undo_plan.rs  what lifting would do
//!   orders.rs   lifting over several runs, one after the other
//!   schedules.rs  what is due: arm, fire, skip, queue
//!   polls.rs    sources that are asked: look, take, advance
//!   poll_parts.rs  a page in parts that are each taken as a delivery is
//!   incidents.rs  what people change of an incident
//!   moves.rs    merge and split of incidents
//!   exceptions.rs  what keeps alerts quiet for a time; how often rules are right
//!   idempotency.rs  a key that a sender gives stands for one content
//!   unchanged.rs  a change names the version that it changes from
//!   people.rs   approvals, questions and their links
//!   triage.rs   what becomes of one alert, stored at once with what follows
//!   claims.rs   of alerts that share something one is decided at a time
//!   show.rs     what is known: one of anything, dossiers, reports
//!   attention.rs  what needs a person; what is contained by whom and why
//!   backup.rs   a copy of the journal while it goes on
//!   retention.rs  what was kept long enough is erased
//!   preview.rs  a dry run: live reads, no effects
//!   backtest.rs  stored alerts through a changed playbook: what it decides differently
//! ```

pub mod again;
pub mod attention;
pub mod backtest;
pub mod backup;
mod claims;
pub mod door;
pub mod error;
pub mod exceptions;
pub mod follow;
pub mod gate;
pub mod house;
pub mod idempotency;
pub mod incidents;
pub mod moves;
pub mod orders;
pub mod people;
mod poll_parts;
pub mod polls;
pub mod preview;
pub mod releases;
pub mod retention;
pub mod runs;
pub mod schedules;
pub mod show;
pub mod triage;
pub mod unchanged;
pub mod undo;
pub mod undo_plan;

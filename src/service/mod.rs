//! Every order and every question, once: the web and the command line turn
//! their words into these calls and back.
//!
//! ```text
//!   error.rs    why a call was not carried out
//!   house.rs    what the service stands on
//!   follow.rs   views that follow the journal, and what of them lies on disk
//!   door.rs     alerts in: verify, normalise, triage, start runs, all in one append
//!   runs.rs     start, cancel, extend, settle, release
//!   undo.rs     lift: of a run, a step, a containment, an incident
//!   undo_plan.rs  what lifting would do
//!   orders.rs   lifting over several runs, one after the other
//!   schedules.rs  what is due: arm, fire, skip, queue
//!   incidents.rs  what people change of an incident
//!   people.rs   approvals, questions and their links
//!   show.rs     what is known: one of anything, dossiers, reports
//!   attention.rs  what needs a person; what is contained by whom and why
//!   backup.rs   a copy of the journal while it goes on
//!   retention.rs  what was kept long enough is erased
//!   preview.rs  a dry run: live reads, no effects
//! ```

pub mod attention;
pub mod backup;
pub mod door;
pub mod error;
pub mod follow;
pub mod house;
pub mod incidents;
pub mod orders;
pub mod people;
pub mod preview;
pub mod retention;
pub mod runs;
pub mod schedules;
pub mod show;
pub mod undo;
pub mod undo_plan;

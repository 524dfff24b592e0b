//! The pure core. Nothing here is async or touches a clock, chance, a file, a
//! socket or a log: time, chance and ids come in as arguments.

pub mod address;
pub mod alert;
pub mod approval;
pub mod bucket;
pub mod command;
pub mod decide;
pub mod erasure;
pub mod event;
pub mod evolve;
pub mod exception;
pub mod expr;
pub mod firing;
pub mod id;
pub mod incident;
pub mod inputs;
pub mod kept;
pub mod nesting;
pub mod outcome;
pub mod owed;
pub mod plan;
pub mod planted;
pub mod playbook;
pub mod poll;
pub mod queue;
pub mod restored;
pub mod run;
pub mod schedule;
pub mod signal;
pub mod status;
pub mod tie;
pub mod time;
pub mod triage;
pub mod trigger;
pub mod urgency;
pub mod value;

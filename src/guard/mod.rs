//! What may be contained, by whom, how much: limits that no playbook can lift.
//!
//! ```text
//!   people.rs     groups and their addresses
//!   verdict.rs    may this target be contained now?
//!   contained.rs  what counts for the caps
//!   settings.rs   people and guardrails, out of the settings
//! ```

pub mod contained;
pub mod people;
pub mod settings;
pub mod verdict;

//! Views folded from the journal: disposable, deterministic and total.
//!
//! A projection never refuses an entry. What it can't place (an answer to a
//! question it never saw, an order that can't be) it leaves alone: the journal
//! is the truth, and judging it belongs to replay.

pub mod alerts;
pub mod approvals;
pub mod attention;
pub mod containments;
pub mod detections;
pub mod dossier;
pub mod exceptions;
pub mod fold;
pub mod incidents;
pub mod intents;
pub mod key;
pub mod marks;
pub mod orders;
pub mod polls;
pub mod questions;
pub mod reports;
pub mod rows;
pub mod run_ends;
pub mod runs;
pub mod schedules;
pub mod shelf;
pub mod ties;
pub mod views;

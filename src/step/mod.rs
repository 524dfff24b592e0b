//! What a step can be: one file for each kind, and one visible list.
//!
//! ```text
//!   kind.rs        what a kind is, and the list of all
//!   world.rs       what a kind may touch while it runs
//!   using.rs       `connector.operation` and its `with:`, checked
//!   texts.rs       an author's text or template, and the names in it, checked
//!   operations.rs  connector operations: read, call, contain and lift
//!   poll.rs        one look at a list, for a source that is polled
//!   messages.rs    mail to people: questions, approvals, notices, reports
//!   letters.rs     what a message says and whom it comes to
//!   defang.rs      the world's web addresses, so that none becomes a link
//!   link.rs        personal links to questions
//! ```
//! The kinds: `enrich call contain undo ask notify report incident set wait
//! steps finish`.

pub mod ask;
pub mod call;
pub mod contain;
pub mod defang;
pub mod enrich;
pub mod finish;
pub mod incident;
pub mod kind;
pub mod letters;
pub mod link;
pub mod messages;
pub mod notify;
pub mod operations;
pub mod playbook;
pub mod poll;
pub mod report;
pub mod set;
pub mod steps;
pub mod texts;
pub mod undo;
pub mod using;
pub mod wait;
pub mod world;

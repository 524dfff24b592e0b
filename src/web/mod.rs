//! HTTP to service calls and back.
//!
//! ```text
//!   server.rs    the listener, the routes, the shutdown
//!   connections.rs  how many there are at once, and which ends for the others
//!   sending.rs   an answer that nobody takes ends its connection
//!   admission.rs the layer that every request passes
//!   access.rs    who may call what: tokens and roles
//!   intent.rs    whether another site caused a request
//!   limits.rs    how much may come at once; wrong_tokens.rs: who guesses
//!   body.rs      bodies, up to a limit and within a time
//!   problem.rs   errors as RFC 9457 problem documents
//!   etag.rs      versions of documents: read once, changed only as they were seen
//!   extract.rs   bodies and queries, refused in plain words
//!   shapes.rs    what a value may look like: described and checked by the same
//!   routes.rs    every address with what it does; openapi.rs tells it
//!   metrics.rs   counts for a monitoring system
//!   alerts.rs    webhooks in, alerts out
//!   runs.rs      runs, their events
//!   undo.rs      lifting, and what it would do
//!   people.rs    approvals and questions over the API
//!   incidents.rs what people change of an incident
//!   triage.rs    merge and split, exceptions, how often rules are right
//!   lists.rs     incidents, containments, playbooks, reports
//!   attention.rs what needs a person
//!   store.rs     a backup while the server runs
//!   page.rs      pages for people: `/q/{token}`, `/approvals/{id}`
//! ```

pub mod access;
pub mod admission;
pub mod alerts;
pub mod attention;
pub mod backtests;
pub mod body;
pub mod connections;
pub mod etag;
pub mod extract;
pub mod incidents;
pub mod intent;
pub mod limits;
pub mod lists;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod people;
pub mod problem;
pub mod routes;
pub mod runs;
pub mod sending;
pub mod server;
pub mod shapes;
pub mod starts;
pub mod store;
pub mod triage;
pub mod undo;
pub mod wrong_tokens;

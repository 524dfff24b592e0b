//! HTTP to service calls and back.
//!
//! ```text
//!   server.rs    the listener, the routes, the shutdown
//!   connections.rs  how many there are at once, and how long one may be silent
//!   body.rs      bodies, up to a limit and within a time
//!   access.rs    who may call what: tokens and roles
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
pub mod alerts;
pub mod attention;
pub mod backtests;
pub mod body;
pub mod connections;
pub mod etag;
pub mod extract;
pub mod incidents;
pub mod lists;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod people;
pub mod problem;
pub mod routes;
pub mod runs;
pub mod server;
pub mod shapes;
pub mod store;
pub mod triage;
pub mod undo;

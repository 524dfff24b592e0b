//! Connectors: declared in YAML, carried by drivers.
//!
//! ```text
//!   spec.rs      what a connector is: operations, what they do to the world
//!   read.rs      a connector's file → spec, every mistake at once
//!   shipped.rs   the connectors that come with Quell, one visible list
//!   secret.rs    references to secrets; nothing else may stand in their place
//!   instance.rs  configured connectors: where, with which secrets, how fast
//!   gate.rs      how many calls at once, and who goes next
//!   hub.rs       one operation of one instance
//!   judge.rs     what a peer's answer means
//!   contain.rs   the parts of a containment: look, read back, compare
//!   driver/      transports: http, smtp
//! ```
//! Adding a connector is one YAML file; adding a transport is one driver file.

pub mod contain;
pub mod driver;
pub mod gate;
pub mod hub;
pub mod instance;
mod judge;
pub mod read;
pub mod reconcile;
pub mod secret;
pub mod shipped;
pub mod spec;

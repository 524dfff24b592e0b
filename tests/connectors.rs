//! Connectors against peers that behave badly, and against the lab.

#[path = "connectors/addresses.rs"]
mod addresses;
#[path = "connectors/answers.rs"]
mod answers;
#[path = "connectors/faults.rs"]
mod faults;
#[path = "connectors/lab.rs"]
mod lab;
#[path = "connectors/mail.rs"]
mod mail;
#[path = "connectors/pace.rs"]
mod pace;
#[path = "connectors/peer.rs"]
mod peer;
#[path = "connectors/reconcile.rs"]
mod reconcile;
#[path = "connectors/setup.rs"]
mod setup;

//! The practice range: small real servers on loopback, with seeded people in
//! them, that Quell talks to over the network as it would to the real world.
//!
//! ```text
//!              range: starts, restarts and stops the whole world
//!                 │
//!   ┌─────────┬───┴────┬────────┬──────────────┬──────────┐
//! identity  people   assets    smtp → mail   persona    sensor
//! SCIM and   HR      inventory  what arrived  who reads  who raises
//! sessions                                    and acts   the alert
//!   └─────────┴────────┴────────┴──────┬───────┴──────────┘
//!                                    world: what is so, kept in world.json
//! ```
//!
//! **Invariant:** nothing here imports another room. The lab is the outside
//! world, so what works against it works through protocols alone.
//!
//! **Invariant:** every server binds 127.0.0.1, and the people only follow
//! links to this machine.

pub mod assets;
pub mod chance;
pub mod first_day;
pub mod http;
pub mod identity;
pub mod mail;
pub mod page;
pub mod people;
pub mod persona;
pub mod range;
pub mod scim;
pub mod seed;
pub mod sensor;
pub mod sessions;
pub mod smtp;
pub mod systems;
pub mod world;

#[cfg(test)]
mod tests;

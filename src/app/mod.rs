//! Wires the house: settings → connectors, playbooks, sources, store,
//! scheduler, service.
//!
//! ```text
//!   load.rs      settings → everything that authors wrote, every mistake at once
//!   polls.rs     what is asked of sources that are polled
//!   sources.rs   configured sources
//!   doors.rs     how their deliveries are checked, and how many may come
//!   archive.rs   what steps ask of the journal, and where reports are kept
//!   data_dir.rs  the data directory, its owner's alone
//!   keys.rs      the server's own secrets in its data directory
//!   house.rs     opens the store and starts everything
//!   shell.rs     words for a shell, in commands that people copy
//!   shelf.rs     the file in which views lie
//!   restored.rs  what an import holds until a person releases it
//!   vault.rs     checks, backs up, exports and imports a store that no server has open
//! ```

pub mod archive;
pub mod data_dir;
pub mod doors;
pub mod house;
pub mod keys;
pub mod load;
pub mod polls;
mod restored;
pub mod shelf;
pub mod shell;
pub mod sources;
mod triage;
pub mod vault;

//! Reads what people author into values with their places, and renders mistakes.
//!
//! ```text
//! text ─reader→ Node (value + place) ─shape→ typed things
//!          └──────────── Diagnostic ────────────┘ ─render→ terminal text or JSON
//! ```
//!
//! Nothing here knows what a playbook is. The rules are those of YAML 1.2 with
//! its traps refused: one document, text keys, no anchors, aliases, tags or
//! merge keys, so that what a reviewer sees is what the machine reads.

mod characters;
pub mod codes;
pub mod diagnostic;
pub mod foreign;
pub mod map;
pub mod node;
pub mod reader;
pub mod render;
mod scalar;
pub mod shape;
mod syntax;
pub mod units;

#[cfg(test)]
mod reader_tests;
#[cfg(test)]
mod render_tests;
#[cfg(test)]
mod shape_tests;

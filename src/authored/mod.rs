//! Expressions in files that people author: from a place in a YAML file to a
//! checked expression or template, with every mistake told at its place.
//!
//! `yaml` knows no expressions and `domain` knows no files; this room is where
//! the two meet, for connectors, sources and playbooks alike.

pub mod expressions;
pub mod fields;
pub mod places;

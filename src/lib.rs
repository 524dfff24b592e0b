//! Quell: an incident-response orchestrator.
//!
//! Alerts come in, YAML playbooks run on them, people are asked, access is
//! suspended, verified and lifted again, and summaries are written. Every step
//! is a fact in an embedded journal before the world is touched.

pub mod app;
pub mod authored;
pub mod cli;
pub mod connector;
pub mod domain;
pub mod encoding;
pub mod failpoint;
pub mod guard;
pub mod intake;
pub mod lab;
pub mod playbook;
pub mod projection;
pub mod report;
pub mod scheduler;
pub mod service;
pub mod settings;
pub mod step;
pub mod store;
pub mod web;
pub mod yaml;

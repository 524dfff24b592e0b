//! Exit codes, and how errors are shown.

use std::fmt;
use std::process::ExitCode;

use crate::service::error::{ServiceError, Sort};
use crate::yaml::diagnostic::{Diagnostic, Severity};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The thing asked about failed.
    Failed = 1,
    /// Wrong usage or an author's mistake.
    Wrong = 2,
    /// Refused: not allowed, wrong state, guardrail, no such thing.
    Refused = 3,
    /// Our own trouble: store, network, server not reachable.
    Own = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// The code of a playbook that there is not.
pub const PLAYBOOK_UNKNOWN: &str = "playbook-unknown";

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct CliError {
    /// The exit code.
    pub exit: Exit,
    /// A stable code.
    pub code: String,
    /// What, where, why, what to do next.
    pub message: String,
    /// Mistakes in files, shown with their places.
    pub diagnostics: Vec<Diagnostic>,
}

impl CliError {
    /// The same with something more to know.
    #[must_use]
    pub fn beside(mut self, what: String) -> Self {
        self.message = format!("{}; {what}", self.message);
        self
    }

    /// An error with its exit code.
    pub fn new(exit: Exit, code: &str, message: impl fmt::Display) -> Self {
        Self { exit, code: code.to_owned(), message: message.to_string(), diagnostics: Vec::new() }
    }

    /// Mistakes in files that an author wrote.
    pub fn mistakes(diagnostics: Vec<Diagnostic>) -> Self {
        let count = diagnostics.iter().filter(|told| told.severity == Severity::Error).count();
        let message = format!("{count} mistake{} found; nothing was run", if count == 1 { "" } else { "s" });
        Self { exit: Exit::Wrong, code: "mistakes".to_owned(), message, diagnostics }
    }
}

impl From<ServiceError> for CliError {
    fn from(error: ServiceError) -> Self {
        let exit = match error.sort {
            // Naming a playbook that there is not is wrong usage, not a refusal.
            _ if error.code == PLAYBOOK_UNKNOWN => Exit::Wrong,
            Sort::Wrong
            | Sort::Malformed
            | Sort::OtherContent
            | Sort::TooLarge
            | Sort::OtherType
            | Sort::OtherMethod => Exit::Wrong,
            Sort::Unknown | Sort::Forbidden | Sort::Absent | Sort::Refused | Sort::Changed => Exit::Refused,
            Sort::TooOften | Sort::TooSlow | Sort::Busy | Sort::Own => Exit::Own,
        };
        Self { exit, code: error.code, message: error.message, diagnostics: Vec::new() }
    }
}

//! Why a call was not carried out.

use crate::domain::signal::Refusal;
use crate::scheduler::run::SchedulerError;
use crate::store::error::StoreError;

/// What sort of no it is; decides the HTTP status and the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// What was sent is wrong (400, exit 2).
    Wrong,
    /// It breaks off, or is not in the form that its own protocol asks for (400, exit 2).
    Malformed,
    /// Who sent it is not known (401, exit 3).
    Unknown,
    /// Who sent it may not (403, exit 3).
    Forbidden,
    /// There is no such thing (404, exit 3).
    Absent,
    /// It is possible, but not now (409, exit 3).
    Refused,
    /// It is no longer as its sender has seen it (412, exit 3).
    Changed,
    /// It is well formed, and cannot be done with what is here (422, exit 2).
    OtherContent,
    /// It is too large (413, exit 2).
    TooLarge,
    /// It is of another type than this takes (415, exit 2).
    OtherType,
    /// This address takes no such call (405, exit 2).
    OtherMethod,
    /// It came more often than it may (429, exit 4).
    TooOften,
    /// It did not come to its end in time (408, exit 4).
    TooSlow,
    /// We cannot take it now; come back (503, exit 4).
    Busy,
    /// Our own trouble (500, exit 4).
    Own,
}

impl Sort {
    /// Whether the call itself is what was not taken; else it is our own trouble, or
    /// the same call is taken later.
    pub fn is_of_the_caller(self) -> bool {
        !matches!(self, Self::TooOften | Self::TooSlow | Self::Busy | Self::Own)
    }
}

/// Why a call was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    /// What sort of no.
    pub sort: Sort,
    /// Stable code, kebab-case.
    pub code: String,
    /// What failed, where, why, what to do next.
    pub message: String,
    /// Seconds after which to come back, where we know better than to guess.
    pub retry_after: Option<u64>,
}

impl ServiceError {
    /// An error of this sort.
    pub fn new(sort: Sort, code: &str, message: impl Into<String>) -> Self {
        Self { sort, code: code.to_owned(), message: message.into(), retry_after: None }
    }

    /// There is no such thing.
    pub fn absent(what: &str, id: &dyn std::fmt::Display) -> Self {
        Self::new(
            Sort::Absent,
            "not-found",
            format!("there is no {what} `{id}` here; list them with `quell {what}s`"),
        )
    }
}

impl From<Refusal> for ServiceError {
    fn from(refusal: Refusal) -> Self {
        let sort = match refusal.code {
            // What was asked is there; the answer to it is what is wrong.
            "choice-unknown" | "field-wrong" => Sort::Wrong,
            code if code.ends_with("-unknown") => Sort::Absent,
            _ => Sort::Refused,
        };
        Self::new(sort, refusal.code, refusal.message)
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::TooLarge { .. } => Self::new(Sort::TooLarge, "too-large", error.to_string()),
            StoreError::Full => Self::new(Sort::Busy, "store-full", error.to_string()),
            StoreError::Stopped { .. } => Self::new(Sort::Busy, "store-stopped", error.to_string()),
            _ => Self::new(Sort::Own, "store", error.to_string()),
        }
    }
}

impl From<SchedulerError> for ServiceError {
    fn from(error: SchedulerError) -> Self {
        match error {
            SchedulerError::Refused(refusal) => refusal.into(),
            SchedulerError::Store(error) => error.into(),
            SchedulerError::Crowded { .. } => Self::new(Sort::Busy, "queue-full", error.to_string()),
            other => Self::new(Sort::Own, "run-damaged", other.to_string()),
        }
    }
}

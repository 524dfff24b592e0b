//! Typed identifiers: a ULID with a prefix that says what it names (`run_01J…`).
//!
//! Ids come in as arguments or are derived from a parent, so that the core
//! stays free of chance and a replay names everything as the first run did.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

/// A text that is no identifier of the wanted sort.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what} id; one looks like `{prefix}_01J9ZQ6E5V7N8T3K2M4P6R8S0W`")]
pub struct IdError {
    text: String,
    what: &'static str,
    prefix: &'static str,
}

/// An id made from its parent's: the same parent and label always give the
/// same id. The time part is the parent's, so derived ids sort beside it.
fn derive(parent: Ulid, label: &str) -> Ulid {
    let mut hash = Sha256::new();
    hash.update(parent.to_bytes());
    hash.update(label.as_bytes());
    let digest = hash.finalize();
    let mut random = [0u8; 16];
    random.copy_from_slice(&digest[..16]);
    Ulid::from_parts(parent.timestamp_ms(), u128::from_be_bytes(random))
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// What the id starts with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a ULID made elsewhere.
            pub const fn new(ulid: Ulid) -> Self {
                Self(ulid)
            }

            /// The ULID without its prefix.
            pub fn ulid(self) -> Ulid {
                self.0
            }

            /// The id of this sort that belongs to `parent` under `label`.
            pub fn derived(parent: Ulid, label: &str) -> Self {
                Self(derive(parent, label))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|ulid| Ulid::from_string(ulid).ok())
                    .map(Self)
                    .ok_or_else(|| IdError {
                        text: text.chars().take(64).collect(),
                        what: $what,
                        prefix: $prefix,
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type!(
    /// Names one accepted alert.
    AlertId, "alt", "alert"
);
id_type!(
    /// Names an incident, the investigation that groups alerts and runs.
    IncidentId, "inc", "incident"
);
id_type!(
    /// Names a run.
    RunId, "run", "run"
);
id_type!(
    /// Names an approval that was asked for.
    ApprovalId, "apr", "approval"
);
id_type!(
    /// Names a question that was asked.
    QuestionId, "qst", "question"
);
id_type!(
    /// Names a containment.
    ContainmentId, "ctn", "containment"
);
id_type!(
    /// Names a written report.
    ReportId, "rep", "report"
);
id_type!(
    /// Names a schedule of a playbook.
    ScheduleId, "sch", "schedule"
);

id_type!(
    /// Names an exception, which keeps alerts from having any effect for a time.
    ExceptionId, "exc", "exception"
);

id_type!(
    /// Names the polling of a source.
    PollId, "pol", "poll"
);

id_type!(
    /// Names one time that the journal was read from a backup.
    RestoreId, "rst", "restore"
);

/// The stream of entries that belongs to one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// What became of an alert.
    Alert(AlertId),
    /// The life of an incident.
    Incident(IncidentId),
    /// The steps of a run.
    Run(RunId),
    /// The firings of a schedule.
    Schedule(ScheduleId),
    /// The life of an exception.
    Exception(ExceptionId),
    /// How far a source was polled.
    Poll(PollId),
    /// That the journal was read from a backup.
    Restore(RestoreId),
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(id) => id.fmt(f),
            Self::Incident(id) => id.fmt(f),
            Self::Run(id) => id.fmt(f),
            Self::Schedule(id) => id.fmt(f),
            Self::Exception(id) => id.fmt(f),
            Self::Poll(id) => id.fmt(f),
            Self::Restore(id) => id.fmt(f),
        }
    }
}

impl FromStr for StreamId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.split('_').next() {
            Some(AlertId::PREFIX) => text.parse().map(Self::Alert),
            Some(IncidentId::PREFIX) => text.parse().map(Self::Incident),
            Some(ScheduleId::PREFIX) => text.parse().map(Self::Schedule),
            Some(ExceptionId::PREFIX) => text.parse().map(Self::Exception),
            Some(PollId::PREFIX) => text.parse().map(Self::Poll),
            Some(RestoreId::PREFIX) => text.parse().map(Self::Restore),
            _ => text.parse().map(Self::Run),
        }
    }
}

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written_and_refuses_another_sort() {
        let run = RunId::new(Ulid::from_parts(1, 2));
        assert_eq!(run.to_string().parse::<RunId>(), Ok(run));
        assert!(run.to_string().parse::<AlertId>().is_err());
        assert!("run_".parse::<RunId>().is_err());
    }

    #[test]
    fn the_same_parent_and_label_give_the_same_id() {
        let parent = Ulid::from_parts(7, 9);
        assert_eq!(ApprovalId::derived(parent, "suspend"), ApprovalId::derived(parent, "suspend"));
        assert_ne!(ApprovalId::derived(parent, "suspend"), ApprovalId::derived(parent, "isolate"));
    }
}

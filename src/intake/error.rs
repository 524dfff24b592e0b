//! Why a payload was refused.

use crate::intake::json::JsonMistake;
use crate::intake::normalise::{ALERT_BYTES_MAX, ALERTS_MAX};

/// A payload that did not become alerts. Nothing of it was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// The body is above [`ALERT_BYTES_MAX`].
    #[error(
        "the payload has {bytes} bytes and at most {ALERT_BYTES_MAX} are taken; send fewer alerts in one delivery"
    )]
    TooLarge {
        /// Bytes that came.
        bytes: usize,
    },
    /// The bytes are not UTF-8, or are said to be in another charset.
    #[error("the payload is not UTF-8 ({why}); have the sender encode JSON as UTF-8")]
    NotUtf8 {
        /// What showed it.
        why: String,
    },
    /// The text is not JSON, or says one key twice.
    #[error("the payload is not JSON that can be taken{at}: {mistake}")]
    NotJson {
        /// Which line of an NDJSON payload, as ` in line 3`; else empty.
        at: String,
        /// What is wrong with it.
        mistake: JsonMistake,
    },
    /// Lists and maps are nested too deeply.
    #[error("the payload{at} is nested deeper than {depth} levels; no detector writes that")]
    TooDeep {
        /// Which line of an NDJSON payload, as ` in line 3`; else empty.
        at: String,
        /// Levels that are taken.
        depth: usize,
    },
    /// No alert is in it.
    #[error("the payload has no alert in it: {why}")]
    Empty {
        /// What was found instead.
        why: String,
    },
    /// More alerts than one payload may bring.
    #[error(
        "the payload has {count} alerts and at most {ALERTS_MAX} are taken at once; send them in several deliveries"
    )]
    TooMany {
        /// Alerts that came.
        count: usize,
    },
    /// Something else than one alert where exactly one is wanted.
    #[error("the payload has {count} alerts where exactly one is wanted; give one of them")]
    NotOne {
        /// Alerts that came.
        count: usize,
    },
    /// An alert is not a JSON object.
    #[error(
        "alert {number} of the payload is {found} where an object is wanted; check `split` of the source `{source_name}`"
    )]
    NotAnObject {
        /// Which, counted from 1.
        number: usize,
        /// What it is.
        found: &'static str,
        /// The source.
        source_name: String,
    },
    /// An alert has neither title nor rule name.
    #[error(
        "alert {number} of the payload has no title: none of the rules for `title` and `rule.name` of the source `{source_name}` gave any; is this the payload that source is for?"
    )]
    WithoutTitle {
        /// Which, counted from 1.
        number: usize,
        /// The source.
        source_name: String,
    },
}

impl IntakeError {
    /// Stable and kebab-case; what problem documents and exit messages carry.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "alert-too-large",
            Self::NotUtf8 { .. } => "alert-not-utf8",
            Self::NotJson { mistake: JsonMistake::DuplicateKey { .. }, .. } => "alert-duplicate-key",
            Self::NotJson { .. } => "alert-not-json",
            Self::TooDeep { .. } => "alert-too-deep",
            Self::Empty { .. } => "alert-empty",
            Self::TooMany { .. } => "alert-too-many",
            Self::NotOne { .. } => "alert-not-one",
            Self::NotAnObject { .. } => "alert-not-an-object",
            Self::WithoutTitle { .. } => "alert-without-title",
        }
    }
}

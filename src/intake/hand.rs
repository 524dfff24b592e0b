//! One alert that a person hands over with a run, instead of a detector.

use serde::Deserialize as _;

use crate::domain::alert::{Alert, ListCounts};
use crate::domain::id::AlertId;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use crate::intake::error::IntakeError;
use crate::intake::normalise::{TEXT_CHARS_MAX, normalise};
use crate::intake::rule::as_text;
use crate::intake::shipped;
use crate::intake::source::SourceSpec;

/// What stands for the source of an alert that names none.
const BY_HAND: &str = "by-hand";

/// Reads exactly one alert: by the rules of `spec`, or without one in our own
/// field names, so that an alert which Quell showed can be handed back.
///
/// # Errors
/// As [`normalise`], and when the payload is not exactly one alert.
pub fn normalise_by_hand(
    spec: Option<&SourceSpec>,
    payload: &Value,
    received_at: Timestamp,
    id: AlertId,
) -> Result<Alert, IntakeError> {
    let own = spec.is_none();
    let spec = spec.unwrap_or_else(|| shipped::generic());
    let text = |key: &str| as_text(payload.get(key)?, TEXT_CHARS_MAX);
    let source = if own { text("source").unwrap_or_else(|| BY_HAND.to_owned()) } else { spec.source.clone() };
    let body = payload.to_string();
    let mut alerts = normalise(spec, &source, body.as_bytes(), None, received_at, &mut || id)?;
    let count = alerts.len();
    let (Some(mut alert), true) = (alerts.pop(), count == 1) else {
        return Err(IntakeError::NotOne { count });
    };
    if own {
        // What came from a detector once still tells its words and payload.
        alert.vendor_severity = text("vendor_severity").or(alert.vendor_severity);
        // What was shown once kept part of its lists, and told how many there were.
        if let Some(counts) = payload.get("counts").and_then(|counts| ListCounts::deserialize(counts).ok()) {
            alert.counts = counts;
            alert = alert.counted();
        }
        alert.shape_unknown = payload.get("shape_unknown") == Some(&Value::Bool(true));
        if let Some(raw) = payload.get("raw").filter(|raw| !raw.is_null()) {
            alert.raw = raw.clone();
        }
    }
    Ok(alert)
}

//! Times as detectors write them.
//!
//! Taken are RFC 3339 and its near misses (a space for the `T`, `+0000`, any
//! number of decimals), RFC 2822, and epoch numbers as a number or as text.
//! Whatever says "no time" (`0001-01-01T00:00:00Z`, 0) is absent.

use std::str::FromStr as _;

use chrono::{DateTime, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::domain::time::Timestamp;
use crate::domain::value::Value;

/// 1990-01-01T00:00:00Z in milliseconds. Earlier times are placeholders such
/// as year 1 or the epoch itself: no detector is that old.
const EARLIEST_MILLIS: i64 = 631_152_000_000;

/// 2200-01-01T00:00:00Z in milliseconds; later ones are other units misread.
const LATEST_MILLIS: i64 = 7_258_118_400_000;

/// Characters of a text that can be a time.
const TIME_CHARS_MAX: usize = 64;

/// Bounds between epoch seconds, milliseconds, microseconds and nanoseconds:
/// within the years taken, the four ranges do not touch.
const UNITS: [(f64, f64); 5] =
    [(1e11, 1e3), (1e14, 1.0), (1e17, 1e-3), (FILETIME_BELOW, 1e-4), (f64::MAX, 1e-6)];

/// Windows file times, tenths of microseconds since 1601, lie between
/// microseconds and nanoseconds: 1.2e17 to 1.9e17 within the years taken.
const FILETIME_BELOW: f64 = 2e17;

/// From 1601-01-01 to 1970-01-01, in milliseconds.
const FILETIME_EPOCH_MILLIS: f64 = 11_644_473_600_000.0;

/// Reads a zone as a source declares it: `utc` or an IANA name.
#[must_use]
pub fn zone(name: &str) -> Option<Tz> {
    if name.eq_ignore_ascii_case("utc") { Some(Tz::UTC) } else { Tz::from_str(name).ok() }
}

/// The time that a value tells. Text without a zone is a time only when the
/// source declares which `zone` it means.
#[must_use]
pub fn read(value: &Value, zone: Option<Tz>) -> Option<Timestamp> {
    let time = match value {
        Value::Number(number) => epoch(number.as_f64()?),
        Value::String(text) => from_text(text.trim(), zone),
        _ => None,
    };
    time.filter(|time| (EARLIEST_MILLIS..LATEST_MILLIS).contains(&time.millis()))
}

/// An epoch number, its unit told by its size. Milliseconds within the years
/// taken are far below 2^53, so nothing is lost on the way.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates; the bounds are checked after")]
fn epoch(number: f64) -> Option<Timestamp> {
    let (below, to_millis) = UNITS.iter().find(|(below, _)| number.abs() < *below)?;
    let since = if *below == FILETIME_BELOW { FILETIME_EPOCH_MILLIS } else { 0.0 };
    Some(Timestamp::from_millis((number * to_millis - since).round() as i64))
}

fn from_text(text: &str, zone: Option<Tz>) -> Option<Timestamp> {
    if text.len() > TIME_CHARS_MAX || !text.is_ascii() {
        return None;
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return epoch(text.parse().ok()?);
    }
    if let Ok(time) = DateTime::parse_from_rfc2822(text) {
        return Some(time.with_timezone(&Utc).into());
    }
    let text = with_t_and_offset(text);
    if let Ok(time) = DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%#z") {
        return Some(time.with_timezone(&Utc).into());
    }
    let local = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    // An hour that a clock change makes ambiguous is its first pass.
    let time = zone?.from_local_datetime(&local).earliest()?;
    Some(time.with_timezone(&Utc).into())
}

/// Writes `2021-09-18 20:38:52 UTC` as `2021-09-18T20:38:52+00:00`.
fn with_t_and_offset(text: &str) -> String {
    let mut text = text.to_owned();
    if matches!(text.as_bytes().get(10), Some(b' ' | b't')) {
        text.replace_range(10..11, "T");
    }
    for zulu in [" UTC", " GMT", "Z", "z"] {
        if let Some(bare) = text.strip_suffix(zulu) {
            return format!("{bare}+00:00");
        }
    }
    let mut text = text.replace(" +", "+").replace(" -", "-");
    // `+01.00`, as some programs write `+01:00`.
    let dot = text.len().wrapping_sub(3);
    if text.len() > 25 && text.as_bytes()[dot] == b'.' && matches!(text.as_bytes()[dot - 3], b'+' | b'-') {
        text.replace_range(dot..=dot, ":");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_in_every_form_that_detectors_write() {
        for (value, millis) in [
            (json!("2025-02-25T16:08:11Z"), 1_740_499_691_000),
            (json!("2025-02-25T18:08:11+02:00"), 1_740_499_691_000),
            (json!("2025-02-25T16:08:11.000+0000"), 1_740_499_691_000),
            (json!("2025-02-25 16:08:11Z"), 1_740_499_691_000),
            (json!("2025-02-25 16:08:11 UTC"), 1_740_499_691_000),
            (json!("2025-02-25 16:08:11 +0000"), 1_740_499_691_000),
            (json!("2019-10-02T17:02:23.5867670Z"), 1_570_035_743_586),
            (json!("2024-12-03T19:54:30.000000000Z"), 1_733_255_670_000),
            (json!("Tue, 25 Feb 2025 16:08:11 +0000"), 1_740_499_691_000),
            (json!(1_733_925_987), 1_733_925_987_000),
            (json!("1733925987"), 1_733_925_987_000),
            (json!("1733925987.250"), 1_733_925_987_250),
            (json!(1_579_500_273_595_i64), 1_579_500_273_595),
            (json!(1_579_500_273_595_000_i64), 1_579_500_273_595),
            (json!(1_579_500_273_595_000_000_i64), 1_579_500_273_595),
            (json!(133_355_377_959_700_000_i64), 1_691_064_195_970),
            (json!("2025-02-25T17:08:11.853014+01.00"), 1_740_499_691_853),
        ] {
            assert_eq!(read(&value, None), Some(Timestamp::from_millis(millis)), "{value}");
        }
    }

    #[test]
    fn a_time_without_zone_needs_the_source_to_declare_one() {
        let text = json!("2023-07-19 12:07:08.000000000");
        assert_eq!(read(&text, None), None);
        let utc = read(&text, zone("utc"));
        assert_eq!(utc, "2023-07-19T12:07:08Z".parse().ok());
        let london = read(&text, zone("Europe/London"));
        assert_eq!(london, "2023-07-19T11:07:08Z".parse().ok());
    }

    #[test]
    fn placeholders_and_nonsense_are_absent() {
        for value in [
            json!("0001-01-01T00:00:00Z"),
            json!("0001-01-01 00:00:00.0000000"),
            json!(0),
            json!("redacted"),
            json!("20241211"),
            json!(-1),
            json!(1e308),
            json!(u64::MAX),
            json!("2025-13-45T99:00:00Z"),
            json!("."),
            json!(true),
            json!(null),
            json!("９９９９-01-01"),
        ] {
            assert_eq!(read(&value, zone("utc")), None, "{value}");
        }
    }
}

//! Points in time: UTC, to the millisecond. Always an argument, never read here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time in UTC, to the millisecond. Written as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest point a `Timestamp` is used for: 1970-01-01T00:00:00Z.
    pub const EPOCH: Timestamp = Timestamp(0);

    /// The first and the last point that can be written: RFC 3339 has four
    /// digits for the year.
    const WRITABLE: [i64; 2] = [-62_167_219_200_000, 253_402_300_799_999];

    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// The same point as `chrono` sees it. Points chrono cannot hold (beyond
    /// the year 262,000) become the epoch.
    pub fn to_chrono(self) -> DateTime<Utc> {
        Utc.timestamp_millis_opt(self.0).single().unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// How long after `earlier` this is; zero when it is before.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This point moved later by `by`; saturates at the end of the year 9999.
    pub fn after(self, by: Duration) -> Timestamp {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(Self::WRITABLE[1]))
    }

    /// This point moved earlier by `by`; saturates at the beginning of the year 0.
    pub fn before(self, by: Duration) -> Timestamp {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis).max(Self::WRITABLE[0]))
    }

    /// For people: `2026-11-23 09:34 UTC`.
    pub fn to_minute(self) -> String {
        self.to_chrono().format("%Y-%m-%d %H:%M UTC").to_string()
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_millis())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_chrono().to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(DateTime::parse_from_rfc3339(text)?.with_timezone(&Utc).into())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A length of time as people write it: `72h`, `1h30m`, `45s`.
pub fn duration_text(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, millis) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        // Up to three days people count in hours, as time boxes are written.
        if unit == "d" && rest <= 3 * millis {
            continue;
        }
        let count = rest / millis;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            rest %= millis;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_back_as_it_was_written() {
        let time = Timestamp::from_millis(1_795_427_682_123);
        assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
    }

    #[test]
    fn a_time_that_is_moved_too_far_stops_where_it_can_still_be_written() {
        let now = Timestamp::from_millis(1_795_427_682_123);
        for (moved, text) in [
            (now.after(Duration::MAX), "9999-12-31T23:59:59.999Z"),
            (now.before(Duration::MAX), "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(moved.to_string(), text);
            assert_eq!(text.parse(), Ok(moved));
        }
    }

    #[test]
    fn durations_read_as_people_write_them() {
        for (secs, text) in [(0, "0s"), (90, "1m30s"), (259_200, "72h"), (604_800, "7d"), (5400, "1h30m")] {
            assert_eq!(duration_text(Duration::from_secs(secs)), text);
        }
    }
}

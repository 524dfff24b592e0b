//! A token bucket: so many at once, so many a minute after that. Pure: the time
//! is an argument, and a clock that jumps neither fills nor starves it.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// Parts of a token: with so many, a bucket of one token a minute gains a whole
/// part every millisecond.
const PARTS: u64 = 60_000;

/// The longest that one look at the clock adds for: a clock that was set forward
/// fills no bucket that took longer to empty.
const GAIN_MAX: Duration = Duration::from_secs(3600);

/// How fast tokens come back, and how many there are at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Tokens of a full bucket: what may come at once.
    pub burst: u32,
    /// Tokens that come back in a minute.
    pub per_minute: u32,
}

/// A bucket, full at first.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    pace: Pace,
    parts: u64,
    seen: Timestamp,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(pace: Pace, now: Timestamp) -> Self {
        Self { pace, parts: u64::from(pace.burst) * PARTS, seen: now }
    }

    /// Takes a token, or says after how long there is one.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        self.look(now)?;
        self.parts -= PARTS;
        Ok(())
    }

    /// Whether there is a token, without taking it.
    ///
    /// # Errors
    /// How long to wait.
    pub fn look(&mut self, now: Timestamp) -> Result<(), Duration> {
        let gone = now.since(self.seen).min(GAIN_MAX);
        let gained = u64::try_from(gone.as_millis()).unwrap_or(0) * u64::from(self.pace.per_minute);
        self.parts = (self.parts + gained).min(u64::from(self.pace.burst) * PARTS);
        self.seen = now;
        let missing = PARTS.saturating_sub(self.parts);
        if missing == 0 {
            return Ok(());
        }
        Err(Duration::from_millis(missing.div_ceil(u64::from(self.pace.per_minute.max(1)))))
    }

    /// Whether nothing is missing from it, so that a new one would be the same.
    pub fn is_full(&mut self, now: Timestamp) -> bool {
        let _ = self.look(now);
        self.parts == u64::from(self.pace.burst) * PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { burst: 3, per_minute: 60 };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    #[test]
    fn a_burst_goes_through_and_then_only_the_pace() {
        let mut bucket = Bucket::new(PACE, at(0));
        for _ in 0..3 {
            assert_eq!(bucket.take(at(0)), Ok(()));
        }
        assert_eq!(bucket.take(at(0)), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(at(400)), Err(Duration::from_millis(600)));
        assert_eq!(bucket.take(at(1000)), Ok(()));
        assert_eq!(bucket.take(at(1001)), Err(Duration::from_millis(999)));
        assert!(!bucket.is_full(at(2000)));
        assert!(bucket.is_full(at(60_000)));
    }

    #[test]
    fn over_any_time_no_more_comes_than_burst_and_pace() {
        let mut bucket = Bucket::new(Pace { burst: 10, per_minute: 6000 }, at(0));
        let taken = (0..10_000).filter(|millis| bucket.take(at(*millis)).is_ok()).count();
        // 10 at once, then 100 a second for ten seconds.
        assert!((1009..=1010).contains(&taken), "{taken}");
    }

    #[test]
    fn a_clock_that_jumps_neither_starves_nor_fills() {
        let mut bucket = Bucket::new(PACE, at(0));
        while bucket.take(at(0)).is_ok() {}
        assert!(bucket.take(at(-3_600_000)).is_err());
        assert_eq!(bucket.take(at(-3_599_000)), Ok(()), "a second after it was set back");
        let mut slow = Bucket::new(Pace { burst: 100, per_minute: 1 }, at(0));
        while slow.take(at(0)).is_ok() {}
        let years = 365 * 24 * 3_600_000;
        assert_eq!((0..100).filter(|_| slow.take(at(years)).is_ok()).count(), 60);
    }

    #[test]
    fn a_bucket_without_pace_says_something_all_the_same() {
        let mut bucket = Bucket::new(Pace { burst: 0, per_minute: 0 }, at(0));
        assert!(bucket.take(at(0)).is_err());
    }
}

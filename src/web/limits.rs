//! How much may come at once: over all, of one address and with one token. Only
//! counting; `connections.rs` and `admission.rs` ask it.
//!
//! ```text
//!   connections ── one address: three quarters of them
//!     requests  ── seven eighths; the rest is for alerts and health
//!       streams ── a half
//!   one token   ── a quarter of the connections, an eighth of them as streams
//! ```
//! So whoever takes all that they may leaves room for the others, and all together
//! leave room for alerts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::service::error::{ServiceError, Sort};

/// Connections at once, where the process may have twice as many files open.
pub const CONNECTIONS_MAX: usize = 1024;

/// Connections at once, however few files the process may have open.
const CONNECTIONS_MIN: usize = 64;

/// How much may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficLimits {
    /// Connections.
    pub connections: usize,
    /// Connections of one address.
    pub connections_of_address: usize,
    /// Requests under way, but for alerts and health.
    pub requests: usize,
    /// Requests under way of one address that come without a token.
    pub requests_of_address: usize,
    /// Requests under way with one token.
    pub requests_of_token: usize,
    /// Streams of events.
    pub streams: usize,
    /// Streams of events with one token.
    pub streams_of_token: usize,
}

impl TrafficLimits {
    /// The limits of a process that may have so many files open. Half of them are
    /// for connections, the rest for the store and for calls.
    #[must_use]
    pub fn for_files(files: u64) -> Self {
        let half = usize::try_from(files / 2).unwrap_or(CONNECTIONS_MAX);
        let connections = half.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX);
        Self {
            connections,
            connections_of_address: connections / 4 * 3,
            requests: connections / 8 * 7,
            requests_of_address: connections / 2,
            requests_of_token: connections / 4,
            streams: connections / 2,
            streams_of_token: connections / 8,
        }
    }
}

/// What is counted under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedKind {
    /// A request, until its answer is out.
    Request,
    /// A stream of events, until it ends.
    Stream,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CountedFor {
    /// Those with the token of this SHA-256.
    Token([u8; 32]),
    /// Those from this address that come without a token.
    Address(IpAddr),
}

/// A place that there is none of, and what the answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// Connections of all.
    Connections,
    /// Connections of this address.
    ConnectionsOfAddress,
    /// Requests or streams of all.
    All(CountedKind),
    /// Requests or streams of this token, or of this address.
    One(CountedKind, CountedFor),
}

impl From<NoPlace> for ServiceError {
    fn from(full: NoPlace) -> Self {
        use CountedKind::{Request, Stream};
        let (sort, code, message) = match full {
            NoPlace::Connections => (
                Sort::Busy,
                "connections-full",
                "there are as many connections as this server takes; nothing was done. Try again in a moment",
            ),
            NoPlace::ConnectionsOfAddress => (
                Sort::TooOften,
                "too-many-connections",
                "this address has as many connections as one address may have; nothing was done. Close some, or use each for several requests",
            ),
            NoPlace::All(Request) => (
                Sort::Busy,
                "requests-full",
                "as many requests are under way as this server takes beside alerts; nothing was done. Send it again",
            ),
            NoPlace::All(Stream) => (
                Sort::Busy,
                "streams-full",
                "as many streams of events are open as this server holds; none was begun. Read the run instead, or try again later",
            ),
            NoPlace::One(Request, CountedFor::Token(_)) => (
                Sort::TooOften,
                "too-many-requests",
                "as many requests with this token are under way as one token may have; nothing was done. Wait for some to end",
            ),
            NoPlace::One(Request, CountedFor::Address(_)) => (
                Sort::TooOften,
                "too-many-requests",
                "as many requests from this address are under way as one address may have; nothing was done. Wait for some to end",
            ),
            NoPlace::One(Stream, _) => (
                Sort::TooOften,
                "too-many-streams",
                "as many streams of events are open with this token as one token may have; none was begun. Close some",
            ),
        };
        ServiceError::new(sort, code, message)
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct RequestCounts {
    requests: usize,
    streams: usize,
}

impl RequestCounts {
    fn of(&mut self, kind: CountedKind) -> &mut usize {
        match kind {
            CountedKind::Request => &mut self.requests,
            CountedKind::Stream => &mut self.streams,
        }
    }

    fn sum(self) -> usize {
        self.requests + self.streams
    }
}

/// What is under way. It holds no more rows than there are requests.
#[derive(Debug, Default)]
pub struct RequestsUnderWay {
    all: RequestCounts,
    of_one: BTreeMap<CountedFor, RequestCounts>,
}

impl RequestsUnderWay {
    /// RequestCounts one of somebody's.
    ///
    /// # Errors
    /// When they have as many as one may have.
    pub fn take(
        &mut self,
        limits: &TrafficLimits,
        kind: CountedKind,
        whose: CountedFor,
    ) -> Result<(), NoPlace> {
        let counts = self.of_one.get(&whose).copied().unwrap_or_default();
        let (has, most) = match (kind, whose) {
            (CountedKind::Stream, _) => (counts.streams, limits.streams_of_token),
            (CountedKind::Request, CountedFor::Token(_)) => (counts.requests, limits.requests_of_token),
            (CountedKind::Request, CountedFor::Address(_)) => (counts.requests, limits.requests_of_address),
        };
        if has >= most {
            return Err(NoPlace::One(kind, whose));
        }
        *self.of_one.entry(whose).or_default().of(kind) += 1;
        Ok(())
    }

    /// RequestCounts one among all.
    ///
    /// # Errors
    /// When there are as many as may be.
    pub fn take_of_all(&mut self, limits: &TrafficLimits, kind: CountedKind) -> Result<(), NoPlace> {
        let streams = kind == CountedKind::Stream && self.all.streams >= limits.streams;
        if streams || self.all.sum() >= limits.requests {
            return Err(NoPlace::All(kind));
        }
        *self.all.of(kind) += 1;
        Ok(())
    }

    /// One of somebody's has ended.
    pub fn give_back(&mut self, kind: CountedKind, whose: CountedFor) {
        if let Some(counts) = self.of_one.get_mut(&whose) {
            let count = counts.of(kind);
            *count = count.saturating_sub(1);
            if counts.sum() == 0 {
                self.of_one.remove(&whose);
            }
        }
    }

    /// One among all has ended.
    pub fn give_back_of_all(&mut self, kind: CountedKind) {
        let count = self.all.of(kind);
        *count = count.saturating_sub(1);
    }

    /// How many are under way, but for alerts and health.
    #[must_use]
    pub fn sum(&self) -> usize {
        self.all.sum()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn whoever_takes_all_they_may_leaves_room_for_others_and_all_leave_room_for_alerts() {
        for files in [0, 64, 256, 1024, 4096, u64::MAX] {
            let limits = TrafficLimits::for_files(files);
            assert!(limits.connections_of_address < limits.connections, "{files}");
            assert!(limits.requests < limits.connections, "{files}");
            assert!(limits.streams < limits.requests, "{files}");
            assert!(limits.requests_of_token + limits.streams_of_token < limits.requests, "{files}");
            assert!(limits.requests_of_address < limits.requests, "{files}");
            assert!(limits.streams_of_token > 0, "{files}");
        }
        assert_eq!(TrafficLimits::for_files(1024).connections, 512);
        assert_eq!(TrafficLimits::for_files(u64::MAX).connections, CONNECTIONS_MAX);
    }

    #[test]
    fn each_is_refused_by_its_own_count_and_nothing_is_left_once_all_has_ended() {
        let limits = TrafficLimits { streams: 3, requests: 5, ..TrafficLimits::for_files(128) };
        let (one, other) = (CountedFor::Token([1; 32]), CountedFor::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let mut under_way = RequestsUnderWay::default();
        for _ in 0..limits.streams_of_token {
            assert_eq!(under_way.take(&limits, CountedKind::Stream, one), Ok(()));
        }
        assert_eq!(
            under_way.take(&limits, CountedKind::Stream, one),
            Err(NoPlace::One(CountedKind::Stream, one))
        );
        // Another token's, and a request of the same, are counted for themselves.
        assert_eq!(under_way.take(&limits, CountedKind::Request, one), Ok(()));
        assert_eq!(under_way.take(&limits, CountedKind::Request, other), Ok(()));
        for _ in 0..3 {
            assert_eq!(under_way.take_of_all(&limits, CountedKind::Stream), Ok(()));
        }
        assert_eq!(
            under_way.take_of_all(&limits, CountedKind::Stream),
            Err(NoPlace::All(CountedKind::Stream))
        );
        for _ in 0..2 {
            assert_eq!(under_way.take_of_all(&limits, CountedKind::Request), Ok(()));
        }
        assert_eq!(
            under_way.take_of_all(&limits, CountedKind::Request),
            Err(NoPlace::All(CountedKind::Request))
        );
        for _ in 0..limits.streams_of_token {
            under_way.give_back(CountedKind::Stream, one);
        }
        under_way.give_back(CountedKind::Request, one);
        under_way.give_back(CountedKind::Request, other);
        assert!(under_way.of_one.is_empty());
        (0..3).for_each(|_| under_way.give_back_of_all(CountedKind::Stream));
        (0..2).for_each(|_| under_way.give_back_of_all(CountedKind::Request));
        assert_eq!(under_way.sum(), 0);
    }
}

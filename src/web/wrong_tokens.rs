//! Who sends tokens that nobody has: they are slowed and logged. A right token is
//! never held up by them, also from the same address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::domain::bucket::{Bucket, Pace};
use crate::domain::time::Timestamp;

/// How often one address may be wrong before its answers are slowed: some tries of a
/// person, or a program with an old token.
const WRONG: Pace = Pace { burst: 20, per_minute: 20 };

/// How often all together may be written to the log.
const LOGGED: Pace = Pace { burst: 20, per_minute: 20 };

/// How long the answer to one who was wrong too often is held back.
pub const HELD_BACK: Duration = Duration::from_secs(1);

/// Addresses that are counted each for itself; further ones are counted together.
const ADDRESSES_MAX: usize = 4096;

/// How often those are forgotten that were not wrong since: a flood must not make
/// each of its requests look at all of them.
const SWEPT_EVERY: Duration = Duration::from_secs(1);

/// What to do about a wrong token.
#[derive(Debug, PartialEq, Eq)]
pub struct WrongToken {
    /// Set when this address was wrong too often: after how long it may be wrong again.
    pub slowed: Option<Duration>,
    /// Set when a line of the log is due: how many before it were not logged.
    pub unlogged: Option<u64>,
}

/// The addresses that were wrong lately.
pub struct WrongTokens {
    of: BTreeMap<IpAddr, Bucket>,
    others: Bucket,
    log: Bucket,
    unlogged: u64,
    swept: Timestamp,
}

impl WrongTokens {
    /// Nobody was wrong yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let (others, log) = (Bucket::new(WRONG, now), Bucket::new(LOGGED, now));
        Self { of: BTreeMap::new(), others, log, unlogged: 0, swept: now }
    }

    /// RequestCounts a wrong token from there.
    pub fn count(&mut self, from: IpAddr, now: Timestamp) -> WrongToken {
        if self.of.len() >= ADDRESSES_MAX && now.since(self.swept) >= SWEPT_EVERY {
            self.swept = now;
            self.of.retain(|_, bucket| !bucket.is_full(now));
        }
        let known = self.of.len() < ADDRESSES_MAX || self.of.contains_key(&from);
        let bucket = match known {
            true => self.of.entry(from).or_insert_with(|| Bucket::new(WRONG, now)),
            false => &mut self.others,
        };
        let slowed = bucket.take(now).err();
        let unlogged = match self.log.take(now) {
            Ok(()) => Some(std::mem::take(&mut self.unlogged)),
            Err(_) => {
                self.unlogged += 1;
                None
            }
        };
        WrongToken { slowed, unlogged }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
    }

    #[test]
    fn who_is_wrong_too_often_is_slowed_and_nobody_else() {
        let mut wrong = WrongTokens::new(at(0));
        for _ in 0..WRONG.burst {
            assert_eq!(wrong.count(address(1), at(0)).slowed, None);
        }
        assert_eq!(wrong.count(address(1), at(0)).slowed, Some(Duration::from_secs(3)));
        assert_eq!(wrong.count(address(2), at(0)).slowed, None);
        assert_eq!(wrong.count(address(1), at(4)).slowed, None, "it may be wrong again later");
    }

    #[test]
    fn a_flood_from_everywhere_grows_neither_memory_nor_the_log() {
        let mut wrong = WrongTokens::new(at(0));
        let mut logged = 0;
        for number in 0..20_000 {
            logged += usize::from(wrong.count(address(number), at(0)).unlogged.is_some());
        }
        assert_eq!((wrong.of.len(), logged), (ADDRESSES_MAX, 20));
        assert!(wrong.count(address(30_000), at(0)).slowed.is_some(), "the others are slowed together");
        let later = wrong.count(address(1), at(60));
        assert_eq!(later.unlogged, Some(20_001 - 20), "the next line tells how many were not logged");
        assert!(wrong.count(address(40_000), at(3600)).slowed.is_none());
        assert!(wrong.of.len() <= 2, "who was not wrong since is forgotten");
    }
}

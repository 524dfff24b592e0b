//! The gate before the door of a source: how large a delivery may be, how often
//! one may come, and how often somebody may be wrong.
//!
//! A forger must neither guess for ever nor lock the real sender out, so two
//! things are counted apart:
//!
//! ```text
//! right deliveries   by source; only what the door let in is counted, copies of
//!                    what came just before in a bucket of their own
//! wrong ones         by address; who was wrong too often is refused unread
//! ```
//! Nothing that a forger sends takes from the sender's share. An address is never
//! refused unread when the sender may stand behind it too: this machine (a proxy
//! on it), the proxies that the settings name, and each address from which this
//! source has sent something right. Behind such an address guessing is slowed by
//! nothing but the work of it; that is why a secret has 128 bits or more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::bucket::{Bucket, Pace};
use crate::domain::time::Timestamp;
use crate::domain::value::{Digest, digest};
use crate::intake::signature::certificate::Network;
use crate::intake::signature::{Delivery, Door, DoorError, Header};
use crate::service::door::Accepted;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::{Service, Source};

/// Bytes of a delivery when a source says nothing: what no source may exceed.
pub const BYTES_DEFAULT: usize = crate::intake::normalise::ALERT_BYTES_MAX;

/// Deliveries a second when a source says nothing. Above what one server makes
/// durable, so that a source is held back only by a limit that somebody gave it.
pub const PER_SECOND_DEFAULT: u32 = 20_000;

/// Deliveries at once when a source says nothing.
pub const BURST_DEFAULT: u32 = 100_000;

/// How often one address may be wrong: twenty times while somebody sets a sender
/// up, then once every three seconds.
const WRONG: Pace = Pace { burst: 20, per_minute: 20 };

/// Addresses whose wrong deliveries are counted, by source. Beyond them an
/// address is not refused unread: a flood from everywhere locks nobody out.
const ADDRESSES_MAX: usize = 4096;

/// Addresses that sent something right, by source. The oldest is forgotten.
const SENDERS_MAX: usize = 1024;

/// Deliveries that are remembered to tell copies, by source.
const RECENT_MAX: usize = 4096;

/// How much a source may send.
#[derive(Debug, Clone)]
pub struct DoorLimits {
    /// Bytes of one delivery.
    pub bytes: usize,
    /// Deliveries a second.
    pub per_second: u32,
    /// Deliveries at once.
    pub burst: u32,
    /// Addresses behind which many senders stand.
    pub proxies: Vec<Network>,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            bytes: BYTES_DEFAULT,
            per_second: PER_SECOND_DEFAULT,
            burst: BURST_DEFAULT,
            proxies: Vec::new(),
        }
    }
}

/// A delivery as it came.
pub struct Came<'a> {
    /// Its headers.
    pub headers: &'a [Header<'a>],
    /// Its body.
    pub body: &'a [u8],
    /// Who is connected to us; none when nobody is, as in a test.
    pub peer: Option<IpAddr>,
    /// What the door let in, where it was asked already.
    proven: Option<Delivery>,
}

/// A delivery of which no more than the headers came, and whose body is read.
pub struct Knock {
    /// How much of the body is read at most, in bytes.
    pub most: usize,
    proven: Option<Delivery>,
}

impl Knock {
    /// Whether the headers proved who sends it.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven.is_some()
    }

    /// The whole delivery.
    #[must_use]
    pub fn with_body<'a>(self, headers: &'a [Header<'a>], body: &'a [u8], peer: Option<IpAddr>) -> Came<'a> {
        Came { headers, body, peer, proven: self.proven }
    }
}

impl Came<'_> {
    /// What the sender says the body is.
    pub fn content_type(&self) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        found.next().and_then(|(_, value)| std::str::from_utf8(value).ok())
    }
}

/// What became of a delivery.
#[derive(Debug)]
pub enum Taken {
    /// It was stored.
    Alerts {
        /// What became of each alert.
        accepted: Vec<Accepted>,
        /// Whether the sender takes 202 for a failure.
        plain_ok: bool,
    },
    /// It was a handshake: the sender wants this value back. Nothing was stored.
    Challenge(String),
}

/// The counts of one source.
pub struct Gate {
    limits: DoorLimits,
    counts: Mutex<Option<Counts>>,
}

struct Counts {
    fresh: Bucket,
    copies: Bucket,
    recent: BTreeSet<Digest>,
    recent_order: VecDeque<Digest>,
    wrong: BTreeMap<IpAddr, Bucket>,
    senders: BTreeMap<IpAddr, Timestamp>,
}

impl Counts {
    fn new(limits: &DoorLimits, now: Timestamp) -> Self {
        let pace = Pace { burst: limits.burst, per_minute: limits.per_second.saturating_mul(60) };
        Self {
            fresh: Bucket::new(pace, now),
            copies: Bucket::new(pace, now),
            recent: BTreeSet::new(),
            recent_order: VecDeque::new(),
            wrong: BTreeMap::new(),
            senders: BTreeMap::new(),
        }
    }

    fn remember(&mut self, id: Digest) {
        if !self.recent.insert(id) {
            return;
        }
        self.recent_order.push_back(id);
        if self.recent_order.len() > RECENT_MAX
            && let Some(oldest) = self.recent_order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }

    fn sent_right(&mut self, from: IpAddr, now: Timestamp) {
        self.senders.insert(from, now);
        self.wrong.remove(&from);
        if self.senders.len() > SENDERS_MAX {
            let oldest = self.senders.iter().min_by_key(|(_, last)| **last).map(|(from, _)| *from);
            oldest.map(|from| self.senders.remove(&from));
        }
    }
}

impl Gate {
    /// A gate with these limits.
    #[must_use]
    pub fn new(limits: DoorLimits) -> Self {
        Self { limits, counts: Mutex::new(None) }
    }

    /// How large a delivery may be, in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.limits.bytes
    }

    /// Whether a delivery from there is read at all.
    ///
    /// # Errors
    /// How long to wait.
    pub fn may_knock(&self, peer: Option<IpAddr>, now: Timestamp) -> Result<(), Duration> {
        let Some(from) = self.counted(peer) else { return Ok(()) };
        self.with(now, |counts| match counts.wrong.get_mut(&from) {
            Some(bucket) if !counts.senders.contains_key(&from) => bucket.look(now),
            _ => Ok(()),
        })
    }

    /// Counts a delivery that the door did not let in.
    pub fn was_wrong(&self, peer: Option<IpAddr>, now: Timestamp) {
        let Some(from) = self.counted(peer) else { return };
        self.with(now, |counts| {
            if counts.senders.contains_key(&from) {
                return;
            }
            if counts.wrong.len() >= ADDRESSES_MAX && !counts.wrong.contains_key(&from) {
                counts.wrong.retain(|_, bucket| !bucket.is_full(now));
            }
            if counts.wrong.len() < ADDRESSES_MAX || counts.wrong.contains_key(&from) {
                let _ = counts.wrong.entry(from).or_insert_with(|| Bucket::new(WRONG, now)).take(now);
            }
        });
    }

    /// Counts a delivery that the door let in.
    ///
    /// # Errors
    /// How long to wait: more came than the source may send.
    pub fn was_right(
        &self,
        peer: Option<IpAddr>,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let from = self.counted(peer);
        self.with(now, |counts| {
            if let Some(from) = from {
                counts.sent_right(from, now);
            }
            let id = delivery.id.as_deref().map(|id| digest(id.as_bytes()));
            let copy = id.is_some_and(|id| counts.recent.contains(&id));
            if copy { counts.copies.take(now) } else { counts.fresh.take(now) }
        })
    }

    /// Remembers a delivery that was stored, to tell copies of it. One that was not
    /// is new when it comes again.
    pub fn was_stored(&self, delivery: &Delivery, now: Timestamp) {
        if let Some(id) = &delivery.id {
            self.with(now, |counts| counts.remember(digest(id.as_bytes())));
        }
    }

    fn with<T>(&self, now: Timestamp, what: impl FnOnce(&mut Counts) -> T) -> T {
        let mut counts = self.counts.lock();
        what(counts.get_or_insert_with(|| Counts::new(&self.limits, now)))
    }

    /// The address that is counted. None where many may stand behind it.
    fn counted(&self, peer: Option<IpAddr>) -> Option<IpAddr> {
        let peer = peer?.to_canonical();
        let shared = peer.is_loopback() || self.limits.proxies.iter().any(|network| network.holds(peer));
        (!shared).then(|| counted_as(peer))
    }
}

/// The address under which somebody is counted: one network of a house in IPv6.
#[must_use]
pub fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
        four => four,
    }
}

impl Source {
    /// Whether the door lets the delivery in, and whether it may come now.
    pub(super) fn let_in(
        &self,
        door: &Door,
        came: &Came<'_>,
        now: Timestamp,
    ) -> Result<Delivery, ServiceError> {
        if came.body.len() > self.gate.bytes_max() {
            return Err(too_large(self.gate.bytes_max()));
        }
        let delivery = match &came.proven {
            Some(delivery) => delivery.clone(),
            None => self.prove(door, (came.headers, came.body), came.peer, now)?,
        };
        self.gate.was_right(came.peer, &delivery, now).map_err(|wait| {
            later(
                "too-many-deliveries",
                "this source sends more than it may; nothing of this delivery was stored. Send it again later, or raise `limits` of the source",
                wait,
            )
        })?;
        Ok(delivery)
    }

    /// Asks the door, and counts who was wrong.
    fn prove(
        &self,
        door: &Door,
        (headers, body): (&[Header<'_>], &[u8]),
        peer: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Delivery, ServiceError> {
        door.verify(headers, body, peer, now).map_err(|error| {
            // Rightly signed is not guessed: a clock that is wrong locks nobody out.
            let signed = matches!(error, DoorError::TooOld | DoorError::TooNew);
            if !signed && !peer.is_some_and(|peer| door.is_proxy(peer)) {
                self.gate.was_wrong(peer, now);
            }
            turned_away(error)
        })
    }
}

impl Service {
    /// Whether a delivery of this source is read at all, given its headers, who is
    /// connected and how long the body is said to be; and how much of it is read at
    /// most. Where the headers prove who sends, they are asked here.
    ///
    /// # Errors
    /// When the source is unknown, the body is too long, this address was wrong too
    /// often, the headers prove nobody, or a web page sends to an open door.
    pub fn knock(
        &self,
        source: &str,
        headers: &[Header<'_>],
        peer: Option<IpAddr>,
        length: Option<u64>,
    ) -> Result<Knock, ServiceError> {
        let known = self.source(source)?;
        let most = known.gate.bytes_max();
        known.gate.may_knock(peer, self.now()).map_err(|wait| {
            later(
                "too-many-wrong",
                "too many deliveries from this address were turned away; nothing of this one was read. Check the secret at the sender, and send it again later",
                wait,
            )
        })?;
        if length.is_some_and(|length| length > most as u64) {
            return Err(too_large(most));
        }
        let Some(door) = &known.door else { return Ok(Knock { most, proven: None }) };
        if door.is_open() && is_of_a_page(headers) {
            return Err(ServiceError::new(
                Sort::Forbidden,
                "page-refused",
                "this source has no `auth`, and so takes nothing that a web page sends: any page in a browser of this machine could; give the source an `auth`, or send from a program",
            ));
        }
        let ask = || known.prove(door, (headers, &[]), peer, self.now());
        let proven = known.proven_by_headers.then(ask).transpose()?;
        Ok(Knock { most, proven })
    }

    /// Asks the door about a whole delivery, where that was not done yet.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn prove(&self, source: &str, came: &mut Came<'_>) -> Result<(), ServiceError> {
        let known = self.source(source)?;
        if let (Some(door), None) = (&known.door, &came.proven) {
            came.proven = Some(known.prove(door, (came.headers, came.body), came.peer, self.now())?);
        }
        Ok(())
    }

    /// What Okta wants back, when these headers are its question to this source.
    ///
    /// # Errors
    /// When it asks with a value that is not sent back.
    pub fn okta_asks(&self, source: &str, headers: &[Header<'_>]) -> Result<Option<String>, ServiceError> {
        let Some(known) = self.sources.get(source) else { return Ok(None) };
        let Some(door) = &known.door else { return Ok(None) };
        door.okta_asks(headers).map_err(turned_away)
    }
}

/// Whether a browser sent it for a page. Pages can neither leave these headers out
/// nor change them, and programs do not send them.
fn is_of_a_page(headers: &[Header<'_>]) -> bool {
    headers.iter().any(|(name, value)| {
        let elsewhere = || ![&b"none"[..], b"same-origin"].contains(&value.trim_ascii());
        name.eq_ignore_ascii_case("origin") || (name.eq_ignore_ascii_case("sec-fetch-site") && elsewhere())
    })
}

/// A delivery above the limit of its source.
pub fn too_large(most: usize) -> ServiceError {
    let most = if most == BYTES_DEFAULT { "1 MiB".to_owned() } else { format!("{most} bytes") };
    ServiceError::new(
        Sort::TooLarge,
        "alert-too-large",
        format!(
            "the delivery is larger than {most}; nothing of it was stored. Send fewer alerts at once, or leave attachments out"
        ),
    )
}

/// Why the door did not let a delivery in, as an answer.
pub(super) fn turned_away(error: DoorError) -> ServiceError {
    let sort = if error == DoorError::Challenge { Sort::Malformed } else { Sort::Unknown };
    ServiceError::new(sort, error.code(), error.to_string())
}

fn later(code: &str, message: &str, wait: Duration) -> ServiceError {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let mut error = ServiceError::new(Sort::TooOften, code, message);
    error.retry_after = Some(seconds.max(1));
    error
}

#[cfg(test)]
mod tests;

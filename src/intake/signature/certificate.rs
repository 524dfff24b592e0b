//! Certificates that a proxy has checked, and the networks of proxies.

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::intake::signature::config::header_name;
use crate::intake::signature::{Delivery, DoorConfigError, DoorError, Header, only};

/// A network that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// None is named.
    #[error(
        "no proxy is named; write its address under `from`: whoever else wrote the header would be believed"
    )]
    None,
    /// Not an address, or too many bits.
    #[error("`{0}` is no address and no network; write `127.0.0.1`, `10.0.0.0/8` or `fd00::/8`")]
    Unreadable(String),
    /// Everybody.
    #[error("`{0}` is everybody; name the proxies")]
    Everybody(String),
}

/// An address, or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads `127.0.0.1`, `10.0.0.0/8` or `fd00::/8`.
    ///
    /// # Errors
    /// When it is none of these, or stands for every address.
    pub fn read(text: &str) -> Result<Self, NetworkError> {
        let unreadable = || NetworkError::Unreadable(text.escape_debug().to_string());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| unreadable())?)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| unreadable())?;
        let all = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
        let address = written.to_canonical();
        // An IPv4 network in the words of IPv6 has 96 bits before its own.
        let before = all(written) - all(address);
        match bits.unwrap_or(all(written)).checked_sub(before) {
            Some(0) => Err(NetworkError::Everybody(text.to_owned())),
            Some(bits) if bits <= all(address) => Ok(Self { address, bits }),
            _ => Err(unreadable()),
        }
    }

    /// Whether the address lies in it. An IPv4 address that came by an IPv6
    /// socket is that IPv4 address.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Certificates that are let in, told by proxies that are believed.
pub(super) struct Certificate {
    header: String,
    /// Digests of fingerprints and subjects, so that all compare alike.
    known: Vec<[u8; 32]>,
    from: Vec<Network>,
}

impl Certificate {
    pub(super) fn new(
        header: String,
        fingerprints: &[String],
        subjects: &[String],
        from: &[String],
    ) -> Result<Self, DoorConfigError> {
        let header = header_name(header)?;
        let mut known = Vec::new();
        for written in fingerprints {
            let read = fingerprint(written)
                .ok_or_else(|| DoorConfigError::Fingerprint(written.escape_debug().to_string()))?;
            known.push(digest(&read));
        }
        known.extend(subjects.iter().map(|subject| digest(subject.trim())));
        if known.is_empty() {
            return Err(DoorConfigError::NoCertificates);
        }
        if from.is_empty() {
            return Err(NetworkError::None.into());
        }
        let from = from.iter().map(|text| Network::read(text)).collect::<Result<_, _>>()?;
        Ok(Self { header, known, from })
    }

    /// Whether this is one of the proxies.
    pub(super) fn believes(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.from.iter().any(|network| network.holds(peer)))
    }

    pub(super) fn verify(&self, headers: &[Header<'_>], peer: Option<IpAddr>) -> Result<Delivery, DoorError> {
        if !self.believes(peer) {
            return Err(DoorError::Elsewhere);
        }
        let told = only(headers, &self.header)?.ok_or(DoorError::MissingOwn)?;
        let told = fingerprint(told).map_or_else(|| digest(told), |read| digest(&read));
        let right = self.known.iter().fold(Choice::from(0), |right, known| right | known.ct_eq(&told));
        if bool::from(right) { Ok(Delivery { id: None }) } else { Err(DoorError::Certificate) }
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A fingerprint in lowercase hex without colons.
fn fingerprint(written: &str) -> Option<String> {
    let digits: String = written.trim().chars().filter(|c| *c != ':').collect();
    let is = matches!(digits.len(), 40 | 64) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is.then(|| digits.to_ascii_lowercase())
}

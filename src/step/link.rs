//! Personal links to questions: whoever holds one is the person it was sent to,
//! and nobody can make one. The link itself is kept nowhere.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use ulid::Ulid;

use crate::domain::id::QuestionId;
use crate::domain::time::Timestamp;
use crate::domain::value::Digest;

/// Bytes of the mark at the end of a token: 128 bits cannot be guessed.
const MARK_BYTES: usize = 16;

/// How long a page that asks for confirmation can be used: to read the question again
/// and think, or to be called away.
pub const CONFIRMED_WITHIN: Duration = Duration::from_secs(15 * 60);

/// What a confirmation proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// It was made for this answer by this link, just now.
    Yes,
    /// It was, and too long ago.
    TooOld,
    /// It was made for something else, or not by us.
    No,
}

/// The server's key for links: 32 random bytes, kept in its data directory.
pub struct LinkKey([u8; 32]);

impl LinkKey {
    /// A key out of its bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The token of one recipient of a question.
    pub fn token(&self, question: QuestionId, recipient: u8) -> String {
        let mut bytes = question.ulid().to_bytes().to_vec();
        bytes.push(recipient);
        let mark = self.mac(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mark[..MARK_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The question and recipient of a token, when we made it.
    pub fn open(&self, token: &str) -> Option<(QuestionId, u8)> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (named, mark) = bytes.split_at_checked(17)?;
        if mark.len() != MARK_BYTES {
            return None;
        }
        self.mac(named).verify_truncated_left(mark).ok()?;
        let ulid: [u8; 16] = named[..16].try_into().ok()?;
        Some((QuestionId::new(Ulid::from_bytes(ulid)), named[16]))
    }

    /// What the page that asks to confirm this answer holds, and no page before it.
    /// `view` names this showing of the page, and when it was.
    pub fn confirmation(&self, token: &str, answer: &Digest, view: Ulid) -> String {
        let mut bytes = view.to_bytes().to_vec();
        let mark = self.confirming(token, answer, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mark[..MARK_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether this was made for this answer by this link, and lately.
    pub fn confirms(&self, given: &str, token: &str, answer: &Digest, now: Timestamp) -> Confirmed {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(given) else { return Confirmed::No };
        let Some((view, mark)) = bytes.split_at_checked(16) else { return Confirmed::No };
        let (Ok(named), MARK_BYTES) = (<[u8; 16]>::try_from(view), mark.len()) else { return Confirmed::No };
        if self.confirming(token, answer, view).verify_truncated_left(mark).is_err() {
            return Confirmed::No;
        }
        let shown = i64::try_from(Ulid::from_bytes(named).timestamp_ms()).unwrap_or(i64::MAX);
        match now.since(Timestamp::from_millis(shown)) <= CONFIRMED_WITHIN {
            true => Confirmed::Yes,
            false => Confirmed::TooOld,
        }
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        self.mac_of(&[b"quell question link\0", bytes])
    }

    fn confirming(&self, token: &str, answer: &Digest, view: &[u8]) -> Hmac<Sha256> {
        let answer = answer.to_string();
        self.mac_of(&[b"quell answer confirmation\0", view, answer.as_bytes(), token.as_bytes()])
    }

    fn mac_of(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_only_whole_unchanged_and_with_its_own_key() {
        let (key, other) = (LinkKey::new([7; 32]), LinkKey::new([8; 32]));
        let question = QuestionId::new(Ulid::from_parts(5, 6));
        let token = key.token(question, 3);
        assert_eq!(key.open(&token), Some((question, 3)));
        assert_eq!(other.open(&token), None);
        for cut in 0..token.len() {
            assert_eq!(key.open(&token[..cut]), None);
        }
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            assert_eq!(key.open(&URL_SAFE_NO_PAD.encode(forged)), None, "byte {at}");
        }
    }

    #[test]
    fn a_confirmation_holds_for_one_answer_by_one_link_and_for_a_while() {
        use crate::domain::value::digest;
        let (key, other) = (LinkKey::new([7; 32]), LinkKey::new([8; 32]));
        let at = |seconds: u64| Timestamp::from_millis(1_700_000_000_000 + seconds as i64 * 1000);
        let view = Ulid::from_parts(1_700_000_000_000, 9);
        let (yes, no) = (digest(b"yes"), digest(b"no"));
        let given = key.confirmation("link", &yes, view);
        let within = CONFIRMED_WITHIN.as_secs();
        assert_eq!(key.confirms(&given, "link", &yes, at(within)), Confirmed::Yes);
        assert_eq!(key.confirms(&given, "link", &yes, at(within + 1)), Confirmed::TooOld);
        assert_eq!(key.confirms(&given, "link", &no, at(1)), Confirmed::No);
        assert_eq!(key.confirms(&given, "another", &yes, at(1)), Confirmed::No);
        assert_eq!(other.confirms(&given, "link", &yes, at(1)), Confirmed::No);
        for cut in 0..given.len() {
            assert_eq!(key.confirms(&given[..cut], "link", &yes, at(1)), Confirmed::No);
        }
        assert_ne!(given, key.confirmation("link", &yes, Ulid::from_parts(1_700_000_000_000, 10)));
    }
}

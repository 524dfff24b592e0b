//! Personal links to questions: whoever holds one is the person it was sent to,
//! and nobody can make one. The link itself is kept nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use ulid::Ulid;

use crate::domain::id::QuestionId;

/// Bytes of the mark at the end of a token: 128 bits cannot be guessed.
const MARK_BYTES: usize = 16;

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

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(b"quell question link\0");
        mac.update(bytes);
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
}

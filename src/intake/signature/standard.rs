//! Standard Webhooks 1.0.0, symmetric.

use crate::domain::time::Timestamp;
use crate::intake::signature::signed::{any_matches, decode};
use crate::intake::signature::{Delivery, DoorError, Encoding, Header, Key, in_window, only};

/// Signatures read from one header; senders that rotate send two.
const SIGNATURES_MAX: usize = 8;

/// Bytes of a delivery's id. It becomes a key of the store.
const ID_BYTES_MAX: usize = 256;

const WEBHOOK_ID: &str = "webhook-id";
const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// Signs `{id}.{timestamp}.{body}`; the header holds `v1,BASE64` one or more
/// times with spaces between (Standard Webhooks 1.0.0, "Signature scheme").
pub(super) fn verify(
    keys: &[Key],
    headers: &[Header<'_>],
    body: &[u8],
    now: Timestamp,
) -> Result<Delivery, DoorError> {
    let required = |name| only(headers, name)?.ok_or(DoorError::Missing(name));
    let id = required(WEBHOOK_ID)?;
    let timestamp = required(WEBHOOK_TIMESTAMP)?;
    let written = required(WEBHOOK_SIGNATURE)?;
    // A dot in the id could move bytes between id, time and body unseen.
    let sound_id = id.len() <= ID_BYTES_MAX && id.bytes().all(|b| b.is_ascii_graphic() && b != b'.');
    if !sound_id || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DoorError::Malformed);
    }
    let seconds: i64 = timestamp.parse().map_err(|_| DoorError::Malformed)?;
    let signatures: Vec<Vec<u8>> = written
        .split_ascii_whitespace()
        .take(SIGNATURES_MAX)
        .filter_map(|one| decode(one.strip_prefix("v1,")?, Encoding::Base64))
        .collect();
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    if !any_matches(keys, &parts, &signatures) {
        return Err(DoorError::Wrong);
    }
    in_window(Timestamp::from_millis(seconds.saturating_mul(1000)), now)?;
    Ok(Delivery { id: Some(id.to_owned()) })
}

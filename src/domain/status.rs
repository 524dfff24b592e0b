//! What the status of an answer over HTTP proves, where it is not the success
//! that an operation declares. The table and its sources: `docs/answers.md`.

use crate::domain::outcome::FailureClass;
use crate::domain::playbook::Effect;

/// Further statuses, beside 401, 403 and 404, by which a server says that it did
/// not do what it was asked for (RFC 9110 §15.5; 423 and 424: RFC 4918 §11; 428 and 431: RFC 6585; 451: RFC
/// 7725). Left out are 406, which is about the form of the answer alone, 408,
/// which a gateway gives for a server that has begun, and every status that no
/// standard knows, such as the 499 and 460 of proxies that gave up waiting.
const REFUSALS: [u16; 21] =
    [400, 402, 405, 407, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 426, 428, 431, 451];

/// What may follow an answer with this status, and the stable code of it.
/// `asks_to_wait` says whether the answer has a `Retry-After`.
///
/// Only a refusal proves that nothing was done. What reads changes nothing: there
/// the class says only whether asking again may help.
pub fn class_of_status(status: u16, effect: Effect, asks_to_wait: bool) -> (FailureClass, &'static str) {
    use FailureClass::{Permanent, Transient, Unknown};
    let reads = effect == Effect::Read;
    let unsaid = if reads { Permanent } else { Unknown };
    match status {
        // Refused before anything was done (RFC 6585 §4, RFC 8470 §5.2).
        425 | 429 => (Transient, "too-many-requests"),
        // GitHub and Google say "too many" so, with the time to come back.
        403 if asks_to_wait => (Transient, "too-many-requests"),
        503 if asks_to_wait && reads => (Transient, "unavailable"),
        // The server, or a gateway before it, failed at whatever point.
        408 | 500..=599 => (Unknown, "server-error"),
        // A request with this key is still being worked on
        // (draft-ietf-httpapi-idempotency-key-header §2.7).
        409 if effect == Effect::Keyed => (Unknown, "outcome-unsaid"),
        401 | 403 => (Permanent, "not-allowed"),
        404 => (Permanent, "not-found"),
        400..=499 if reads || REFUSALS.contains(&status) => (Permanent, "refused"),
        400..=499 => (Unknown, "outcome-unsaid"),
        300..=399 => (unsaid, "redirected"),
        _ => (unsaid, "answer-unlisted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Effect::{Idempotent, Keyed, Once, Read};
    use FailureClass::{Permanent, Transient, Unknown};

    #[test]
    fn only_a_refusal_proves_that_nothing_was_done() {
        for (statuses, class, code) in [
            (
                &[101, 200, 201, 202, 203, 204, 205, 206, 207, 226, 299, 600, 999][..],
                Unknown,
                "answer-unlisted",
            ),
            (&[300, 301, 302, 303, 304, 307, 308, 399], Unknown, "redirected"),
            (
                &[
                    400, 402, 405, 407, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 426, 428,
                    431, 451,
                ],
                Permanent,
                "refused",
            ),
            (&[401, 403], Permanent, "not-allowed"),
            (&[404], Permanent, "not-found"),
            (&[406, 418, 419, 420, 430, 440, 444, 449, 450, 460, 463, 499], Unknown, "outcome-unsaid"),
            (&[408, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 524, 599], Unknown, "server-error"),
            (&[425, 429], Transient, "too-many-requests"),
        ] {
            for &status in statuses {
                for effect in [Idempotent, Keyed, Once] {
                    assert_eq!(class_of_status(status, effect, false), (class, code), "{status} {effect:?}");
                    if status != 403 {
                        let waits = class_of_status(status, effect, true);
                        assert_eq!(waits, (class, code), "{status} {effect:?}, with a wait");
                    }
                }
            }
        }
        for effect in [Idempotent, Once] {
            assert_eq!(class_of_status(409, effect, false), (Permanent, "refused"));
        }
        // The first request with this key may still be under way.
        assert_eq!(class_of_status(409, Keyed, false), (Unknown, "outcome-unsaid"));
        for effect in [Read, Idempotent, Keyed, Once] {
            assert_eq!(class_of_status(403, effect, true), (Transient, "too-many-requests"));
        }
    }

    #[test]
    fn what_reads_fails_plainly_and_is_tried_again_where_that_may_help() {
        for (status, asks_to_wait, class, code) in [
            (200, false, Permanent, "answer-unlisted"),
            (202, true, Permanent, "answer-unlisted"),
            (302, false, Permanent, "redirected"),
            (400, false, Permanent, "refused"),
            (401, false, Permanent, "not-allowed"),
            (404, false, Permanent, "not-found"),
            (406, false, Permanent, "refused"),
            (409, false, Permanent, "refused"),
            (499, false, Permanent, "refused"),
            (451, false, Permanent, "refused"),
            (408, false, Unknown, "server-error"),
            (500, false, Unknown, "server-error"),
            (503, false, Unknown, "server-error"),
            (503, true, Transient, "unavailable"),
            (429, true, Transient, "too-many-requests"),
        ] {
            assert_eq!(class_of_status(status, Read, asks_to_wait), (class, code), "{status}");
        }
    }
}

//! Deliveries that must be let in and deliveries that must not.
//!
//! The first vector of Standard Webhooks is the one that its reference
//! libraries test with. The others were made with
//! `printf '%s' "$SIGNED" | openssl dgst -sha256 -mac HMAC -macopt key:"$SECRET"`
//! (adding `-binary | base64` for base64).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use secrecy::SecretString;
use sha2::Sha256;

use super::{Delivery, Door, DoorConfig, DoorConfigError, DoorError, Encoding, Header};
use crate::domain::time::Timestamp;

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SIGNED_AT: &str = "1614265330";
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const BODY: &[u8] = b"{\"test\": 2432232314}";

const PLAIN_SECRET: &str = "It's a Secret to Everybody";
const PLAIN_BODY: &[u8] = b"Hello, World!";
const PLAIN_HEX: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis((1_614_265_330 + seconds) * 1000)
}

fn secrets(texts: &[&str]) -> Vec<SecretString> {
    texts.iter().map(|text| SecretString::from(*text)).collect()
}

fn standard(texts: &[&str]) -> Door {
    Door::new(DoorConfig::StandardWebhooks { secrets: secrets(texts) }).expect("a door")
}

fn headers<'a>(id: &'a str, time: &'a str, signature: &'a str) -> Vec<Header<'a>> {
    vec![
        ("Webhook-Id", id.as_bytes()),
        ("webhook-timestamp", time.as_bytes()),
        ("WEBHOOK-SIGNATURE", signature.as_bytes()),
    ]
}

fn hmac(encoding: Encoding, prefix: &str, texts: &[&str]) -> Door {
    let config = DoorConfig::HmacSha256 {
        secrets: secrets(texts),
        header: "X-Hub-Signature-256".to_owned(),
        prefix: prefix.to_owned(),
        encoding,
        stamp: None,
    };
    Door::new(config).expect("a door")
}

#[test]
fn a_delivery_signed_by_the_standard_is_let_in_with_its_id() {
    let let_in = standard(&[SECRET]).verify(&headers(ID, SIGNED_AT, SIGNATURE), BODY, None, at(0));
    assert_eq!(let_in, Ok(Delivery { id: Some(ID.to_owned()) }));
}

/// What the door says to a delivery that came `seconds` after it was signed.
fn judged(delivery: &[Header<'_>], body: &[u8], seconds: i64) -> Option<DoorError> {
    standard(&[SECRET]).verify(delivery, body, None, at(seconds)).err()
}

#[test]
fn a_delivery_is_good_for_five_minutes_around_its_time() {
    for (seconds, judgement) in [
        (300, None),
        (301, Some(DoorError::TooOld)),
        (i64::MAX / 1_000_000, Some(DoorError::TooOld)),
        (-300, None),
        (-301, Some(DoorError::TooNew)),
    ] {
        let delivery = headers(ID, SIGNED_AT, SIGNATURE);
        assert_eq!(judged(&delivery, BODY, seconds), judgement, "{seconds}");
    }
}

#[test]
fn a_signature_must_be_whole_and_of_the_version_that_is_known() {
    let wrong = Some(DoorError::Wrong);
    let among_others = format!("v1a,AAAA v1,{} {SIGNATURE}", STANDARD.encode([7; 32]));
    let after_more_than_is_read = format!("{}{SIGNATURE}", "v1,AAAA ".repeat(8));
    for (signature, judgement) in [
        (among_others.as_str(), None),
        (&after_more_than_is_read, wrong),
        (&SIGNATURE[..SIGNATURE.len() - 4], wrong),
        (&SIGNATURE[3..], wrong),
        (&SIGNATURE.replace("v1,", "v1a,"), wrong),
        ("v1,", wrong),
        (" ", Some(DoorError::Missing("webhook-signature"))),
    ] {
        let delivery = headers(ID, SIGNED_AT, signature);
        assert_eq!(judged(&delivery, BODY, 0), judgement, "{signature}");
    }
}

#[test]
fn nothing_that_is_signed_can_be_changed() {
    let wrong = Some(DoorError::Wrong);
    let malformed = Some(DoorError::Malformed);
    for (id, time, judgement) in [
        ("msg_other", SIGNED_AT, wrong),
        (ID, "1614265331", wrong),
        (ID, "-1614265330", malformed),
        (ID, "99999999999999999999", malformed),
        ("msg.1", SIGNED_AT, malformed),
        ("msg 1", SIGNED_AT, malformed),
    ] {
        let delivery = headers(id, time, SIGNATURE);
        assert_eq!(judged(&delivery, BODY, 0), judgement, "{id} {time}");
    }
    assert_eq!(judged(&headers(ID, SIGNED_AT, SIGNATURE), b"{}", 0), wrong);
}

#[test]
fn a_forger_is_not_told_that_the_time_is_out() {
    let forged = headers(ID, "1614265331", SIGNATURE);
    assert_eq!(judged(&forged, BODY, 9999), Some(DoorError::Wrong));
}

#[test]
fn every_header_of_the_standard_is_needed_once() {
    let door = standard(&[SECRET]);
    let all = headers(ID, SIGNED_AT, SIGNATURE);
    for left_out in 0..all.len() {
        let mut some = all.clone();
        let name = some.remove(left_out).0.to_lowercase();
        match door.verify(&some, BODY, None, at(0)) {
            Err(DoorError::Missing(missing)) => assert_eq!(missing, name),
            other => panic!("{name}: {other:?}"),
        }
        let mut twice = all.clone();
        twice.push(all[left_out]);
        assert_eq!(door.verify(&twice, BODY, None, at(0)), Err(DoorError::Repeated), "{name}");
    }
    let bytes: Vec<Header<'_>> = vec![("webhook-id", b"\xff"), all[1], all[2]];
    assert_eq!(door.verify(&bytes, BODY, None, at(0)), Err(DoorError::Malformed));
}

#[test]
fn the_old_and_the_new_secret_both_open_while_they_rotate() {
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let delivery = headers(ID, SIGNED_AT, SIGNATURE);
    assert!(standard(&[other, SECRET]).verify(&delivery, BODY, None, at(0)).is_ok());
    assert!(standard(&[SECRET, other]).verify(&delivery, BODY, None, at(0)).is_ok());
    assert_eq!(standard(&[other]).verify(&delivery, BODY, None, at(0)), Err(DoorError::Wrong));
}

#[test]
fn a_secret_without_prefix_is_the_key_itself() {
    let secret = "a key of twenty-four bytes or more";
    let mut signed = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    signed.update(format!("{ID}.{SIGNED_AT}.").as_bytes());
    signed.update(BODY);
    let signature = format!("v1,{}", STANDARD.encode(signed.finalize().into_bytes()));
    assert!(standard(&[secret]).verify(&headers(ID, SIGNED_AT, &signature), BODY, None, at(0)).is_ok());
}

/// What a door says to a body with one header.
fn over_body(door: &Door, value: &str, body: &[u8]) -> Option<DoorError> {
    let delivery: Vec<Header<'_>> = vec![("x-hub-signature-256", value.as_bytes())];
    door.verify(&delivery, body, None, at(0)).err()
}

/// The vector of the GitHub page "Validating webhook deliveries", and the same
/// in base64.
#[test]
fn a_signature_over_the_body_is_read_in_hex_and_base64() {
    let hex = hmac(Encoding::Hex, "", &[PLAIN_SECRET]);
    let prefixed = hmac(Encoding::Hex, "sha256=", &[PLAIN_SECRET]);
    let base64 = hmac(Encoding::Base64, "", &[PLAIN_SECRET]);
    let bytes = hex::decode(PLAIN_HEX).expect("hex");
    for (door, value) in [
        (&hex, PLAIN_HEX.to_owned()),
        (&hex, PLAIN_HEX.to_uppercase()),
        (&prefixed, format!("sha256={PLAIN_HEX}")),
        (&base64, STANDARD.encode(bytes)),
    ] {
        assert_eq!(over_body(door, &value, PLAIN_BODY), None, "{value}");
    }
}

#[test]
fn a_signature_over_the_body_must_be_whole_and_of_this_body() {
    let hex = hmac(Encoding::Hex, "", &[PLAIN_SECRET]);
    let prefixed = hmac(Encoding::Hex, "sha256=", &[PLAIN_SECRET]);
    let other = hmac(Encoding::Hex, "", &["another secret of ours"]);
    let endless = "0".repeat(100_000);
    for (door, value, judgement) in [
        (&prefixed, PLAIN_HEX, DoorError::Wrong),
        (&prefixed, "sha256=", DoorError::Wrong),
        (&hex, &PLAIN_HEX[..62], DoorError::Wrong),
        (&hex, &PLAIN_HEX[..63], DoorError::Wrong),
        (&other, PLAIN_HEX, DoorError::Wrong),
        (&hex, " ", DoorError::MissingOwn),
        (&hex, &endless, DoorError::Malformed),
    ] {
        assert_eq!(over_body(door, value, PLAIN_BODY), Some(judgement), "{value}");
    }
    let changed = over_body(&hex, PLAIN_HEX, b"Hello, World?");
    assert_eq!(changed, Some(DoorError::Wrong));
    assert_eq!(hex.verify(&[], PLAIN_BODY, None, at(0)), Err(DoorError::MissingOwn));
    let header: Header<'_> = ("x-hub-signature-256", PLAIN_HEX.as_bytes());
    assert_eq!(hex.verify(&[header, header], PLAIN_BODY, None, at(0)), Err(DoorError::Repeated));
}

#[test]
fn a_bearer_token_must_be_the_whole_secret() {
    let door = Door::new(DoorConfig::Bearer { secrets: secrets(&["0123456789abcdef", "fedcba9876543210"]) });
    let door = door.expect("a door");
    for (value, judged) in [
        ("Bearer 0123456789abcdef", None),
        ("bearer fedcba9876543210", None),
        ("Bearer 0123456789abcde", Some(DoorError::Wrong)),
        ("Bearer 0123456789abcdef0", Some(DoorError::Wrong)),
        ("Bearer ", Some(DoorError::Wrong)),
        ("Basic 0123456789abcdef", Some(DoorError::Wrong)),
        ("0123456789abcdef", Some(DoorError::Wrong)),
        ("", Some(DoorError::Missing("authorization"))),
    ] {
        let delivery: Vec<Header<'_>> = vec![("Authorization", value.as_bytes())];
        assert_eq!(door.verify(&delivery, b"", None, at(0)).err(), judged, "{value}");
    }
}

#[test]
fn settings_that_let_anybody_in_make_no_door() {
    let refused = |config| Door::new(config).expect_err("no door");
    let standard = |texts: &[&str]| DoorConfig::StandardWebhooks { secrets: secrets(texts) };
    assert_eq!(refused(standard(&[])), DoorConfigError::Secrets { count: 0 });
    assert_eq!(refused(standard(&[SECRET, SECRET, SECRET])), DoorConfigError::Secrets { count: 3 });
    assert_eq!(refused(standard(&[SECRET, "whsec_%%"])), DoorConfigError::NotBase64 { number: 2 });
    // 18 bytes once decoded, although it is 24 characters long.
    let short = DoorConfigError::ShortSecret { number: 1, bytes: 18, least: 24 };
    assert_eq!(refused(standard(&["whsec_plJ3nmyCDGBKInavdOK15jsl"])), short);
    let bearer = refused(DoorConfig::Bearer { secrets: secrets(&[""]) });
    assert_eq!(bearer, DoorConfigError::ShortSecret { number: 1, bytes: 0, least: 16 });
    let header = DoorConfig::HmacSha256 {
        secrets: secrets(&[PLAIN_SECRET]),
        header: "X Sig\r\n".to_owned(),
        prefix: String::new(),
        encoding: Encoding::Hex,
        stamp: None,
    };
    assert!(matches!(refused(header), DoorConfigError::Header { .. }));
}

#[test]
fn no_secret_is_ever_printed() {
    let config = DoorConfig::Bearer { secrets: secrets(&["0123456789abcdef"]) };
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    assert_eq!(format!("{:?}", Door::new(config)), "Ok(Door(bearer))");
    assert!(Door::new(DoorConfig::Open).expect("a door").is_open());
}

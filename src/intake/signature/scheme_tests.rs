//! Slack's, GitHub's and Okta's ways, timed signatures, certificates, handshakes.
//! Slack's vector is the one of its own page.

use std::net::IpAddr;

use hmac::{Hmac, Mac as _};
use secrecy::SecretString;
use sha2::Sha256;

use super::certificate::Network;
use super::{Delivery, Door, DoorConfig, DoorConfigError, DoorError, Encoding, Header, Stamp};
use crate::domain::time::Timestamp;

const SLACK_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const SLACK_TIME: &str = "1531420618";
const SLACK_BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const SLACK_SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

fn secrets(texts: &[&str]) -> Vec<SecretString> {
    texts.iter().map(|text| SecretString::from(*text)).collect()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis((1_531_420_618 + seconds) * 1000)
}

fn sign(secret: &str, text: &str) -> String {
    let mut signed = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    signed.update(text.as_bytes());
    hex::encode(signed.finalize().into_bytes())
}

fn slack(texts: &[&str]) -> Door {
    Door::new(DoorConfig::Slack { secrets: secrets(texts) }).expect("a door")
}

fn slack_says(time: &str, signature: &str, body: &[u8], seconds: i64) -> Result<Delivery, DoorError> {
    let headers: [Header<'_>; 2] =
        [("x-slack-request-timestamp", time.as_bytes()), ("x-slack-signature", signature.as_bytes())];
    slack(&["another secret of the app", SLACK_SECRET]).verify(&headers, body, None, at(seconds))
}

#[test]
fn slack_proves_sender_time_and_body() {
    let let_in = slack_says(SLACK_TIME, SLACK_SIGNATURE, SLACK_BODY, 300).expect("it is Slack's own example");
    assert!(let_in.id.is_some_and(|id| id.starts_with("sha256:") && id.len() == 71));
    let short = &SLACK_SIGNATURE[..SLACK_SIGNATURE.len() - 2];
    for (time, signature, body, seconds, judged) in [
        (SLACK_TIME, SLACK_SIGNATURE, SLACK_BODY, 301, DoorError::TooOld),
        (SLACK_TIME, SLACK_SIGNATURE, SLACK_BODY, -301, DoorError::TooNew),
        ("1531420619", SLACK_SIGNATURE, SLACK_BODY, 0, DoorError::Wrong),
        (SLACK_TIME, SLACK_SIGNATURE, b"{}", 0, DoorError::Wrong),
        (SLACK_TIME, &SLACK_SIGNATURE[3..], SLACK_BODY, 0, DoorError::Wrong),
        (SLACK_TIME, short, SLACK_BODY, 0, DoorError::Wrong),
        ("-1531420618", SLACK_SIGNATURE, SLACK_BODY, 0, DoorError::Malformed),
        ("1531420618.0", SLACK_SIGNATURE, SLACK_BODY, 0, DoorError::Malformed),
        ("99999999999999999999", SLACK_SIGNATURE, SLACK_BODY, 0, DoorError::Malformed),
        ("", SLACK_SIGNATURE, SLACK_BODY, 0, DoorError::MissingOwn),
    ] {
        assert_eq!(slack_says(time, signature, body, seconds), Err(judged), "{time} {signature}");
    }
}

#[test]
fn a_delivery_signed_anew_or_by_the_other_secret_is_the_same() {
    let ids: Vec<_> = [("1531420618", SLACK_SECRET), ("1531420700", "another secret of the app")]
        .map(|(time, secret)| {
            let signature = format!("v0={}", sign(secret, &format!("v0:{time}:{{}}")));
            slack_says(time, &signature, b"{}", 0).expect("it is signed").id
        })
        .into();
    assert_eq!(ids[0], ids[1]);
}

fn stamped(layout: &str) -> Result<Door, DoorConfigError> {
    Door::new(DoorConfig::HmacSha256 {
        secrets: secrets(&["a secret of sixteen"]),
        header: "X-Sig".to_owned(),
        prefix: String::new(),
        encoding: Encoding::Hex,
        stamp: Some(Stamp { header: "X-Time".to_owned(), layout: layout.to_owned() }),
    })
}

#[test]
fn a_time_is_signed_as_the_layout_says_in_seconds_or_milliseconds() {
    for (layout, time, signed) in [
        ("{timestamp}.{body}", "1531420618", "1531420618.{}"),
        ("{timestamp}.{body}", "1531420618123", "1531420618123.{}"),
        ("v1={body}&t={timestamp};", "1531420618", "v1={}&t=1531420618;"),
    ] {
        let door = stamped(layout).expect("a door");
        let signature = sign("a secret of sixteen", signed);
        let headers: [Header<'_>; 2] = [("x-time", time.as_bytes()), ("x-sig", signature.as_bytes())];
        assert!(door.verify(&headers, b"{}", None, at(0)).is_ok(), "{layout}");
        assert_eq!(door.verify(&headers, b"{}", None, at(302)), Err(DoorError::TooOld), "{layout}");
        assert_eq!(door.verify(&headers, b"{ }", None, at(0)), Err(DoorError::Wrong), "{layout}");
        assert_eq!(door.verify(&headers[1..], b"{}", None, at(0)), Err(DoorError::MissingOwn));
    }
    // The same body at another time is another delivery: no finding is lost.
    let door = stamped("{timestamp}.{body}").expect("a door");
    let ids = ["1531420618", "1531420619"].map(|time| {
        let signature = sign("a secret of sixteen", &format!("{time}.{{}}"));
        let headers: [Header<'_>; 2] = [("x-time", time.as_bytes()), ("x-sig", signature.as_bytes())];
        door.verify(&headers, b"{}", None, at(0)).expect("it is signed").id
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_layout_says_what_is_signed_without_doubt() {
    for layout in ["{body}", "{timestamp}", "", "{timestamp}.{body}.{body}", "{time}.{body}"] {
        assert!(matches!(stamped(layout), Err(DoorConfigError::Layout(_))), "{layout}");
    }
    for layout in ["{timestamp}{body}", "{body}{timestamp}", "{timestamp}0{body}"] {
        assert!(stamped(layout).expect_err("no door").to_string().contains("apart"), "{layout}");
    }
}

#[test]
fn github_proves_the_body_and_its_own_id_tells_nothing() {
    let secret = "It's a Secret to Everybody";
    let door = Door::new(DoorConfig::GitHub { secrets: secrets(&[secret]) }).expect("a door");
    let signature = format!("sha256={}", sign(secret, "Hello, World!"));
    let ids = ["one", "two"].map(|own| {
        let headers: [Header<'_>; 2] =
            [("X-GitHub-Delivery", own.as_bytes()), ("X-Hub-Signature-256", signature.as_bytes())];
        door.verify(&headers, b"Hello, World!", None, at(0)).expect("it is signed").id
    });
    assert_eq!(ids[0], ids[1]);
    let sha1: [Header<'_>; 1] = [("X-Hub-Signature", signature.as_bytes())];
    assert_eq!(door.verify(&sha1, b"Hello, World!", None, at(0)), Err(DoorError::MissingOwn));
}

#[test]
fn a_secret_in_a_header_of_its_own_must_be_whole() {
    let own = DoorConfig::Header {
        secrets: secrets(&["0123456789abcdef", "fedcba9876543210"]),
        header: "X-Api-Key".to_owned(),
        prefix: "Key ".to_owned(),
    };
    let own = Door::new(own).expect("a door");
    for (value, judged) in [
        ("Key 0123456789abcdef", None),
        ("Key fedcba9876543210", None),
        ("Key 0123456789abcde", Some(DoorError::Wrong)),
        ("0123456789abcdef", Some(DoorError::Wrong)),
        ("Key ", Some(DoorError::Wrong)),
        ("", Some(DoorError::MissingOwn)),
    ] {
        let headers: [Header<'_>; 1] = [("x-api-key", value.as_bytes())];
        assert_eq!(own.verify(&headers, b"", None, at(0)).err(), judged, "{value}");
    }
}

#[test]
fn a_certificate_counts_only_from_a_proxy_that_is_named() {
    let print = "AB:".repeat(31) + "AB";
    let config = |from: &[&str]| DoorConfig::Certificate {
        header: "X-Client".to_owned(),
        fingerprints: vec![print.clone()],
        subjects: vec!["CN=siem,O=Corp".to_owned()],
        from: from.iter().map(|text| (*text).to_owned()).collect(),
    };
    let door = Door::new(config(&["127.0.0.1", "10.0.0.0/8", "fd00::/8"])).expect("a door");
    let lower = "ab".repeat(32);
    let says = |peer: &str, values: &[&str]| {
        let headers: Vec<Header<'_>> = values.iter().map(|value| ("x-client", value.as_bytes())).collect();
        let peer: IpAddr = peer.parse().expect("an address");
        door.verify(&headers, b"", Some(peer), at(0)).err()
    };
    for peer in ["127.0.0.1", "10.255.0.1", "fd12::1", "::ffff:10.0.0.1"] {
        for value in [print.as_str(), &lower, "CN=siem,O=Corp"] {
            assert_eq!(says(peer, &[value]), None, "{peer} {value}");
        }
    }
    for peer in ["127.0.0.2", "11.0.0.1", "::1", "fe80::1", "192.0.2.1"] {
        assert_eq!(says(peer, &[&lower]), Some(DoorError::Elsewhere), "{peer}");
    }
    assert_eq!(door.verify(&[], b"", None, at(0)), Err(DoorError::Elsewhere));
    for value in ["cn=siem,O=Corp", "CN=siem,O=Corp,OU=x", &lower[1..], "CN=siem"] {
        assert_eq!(says("127.0.0.1", &[value]), Some(DoorError::Certificate), "{value}");
    }
    assert_eq!(says("127.0.0.1", &[&lower, &lower]), Some(DoorError::Repeated));
    assert_eq!(says("127.0.0.1", &[]), Some(DoorError::MissingOwn));
    for from in [&[][..], &["0.0.0.0/0"], &["::/0"], &["::ffff:0:0/96"], &["10.0.0.0/33"], &["proxy"]] {
        assert!(matches!(Door::new(config(from)), Err(DoorConfigError::Network(_))), "{from:?}");
    }
}

#[test]
fn networks_hold_what_they_say() {
    for (network, address, holds) in [
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "11.1.2.3", false),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.6", false),
        ("::ffff:10.0.0.0/104", "10.9.9.9", true),
        ("2001:db8::/33", "2001:db8:7fff::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false),
        ("128.0.0.0/1", "127.0.0.1", false),
    ] {
        let read = Network::read(network).expect("a network");
        assert_eq!(read.holds(address.parse().expect("an address")), holds, "{network} {address}");
    }
}

#[test]
fn handshakes_say_back_plain_values_and_only_where_they_belong() {
    let okta =
        DoorConfig::Okta { secrets: secrets(&["0123456789abcdef"]), header: "Authorization".to_owned() };
    let okta = Door::new(okta).expect("a door");
    let asks =
        |door: &Door, value: &str| door.okta_asks(&[("X-Okta-Verification-Challenge", value.as_bytes())]);
    assert_eq!(asks(&okta, "abc-_123="), Ok(Some("abc-_123=".to_owned())));
    assert_eq!(okta.okta_asks(&[]), Ok(None));
    let slack = slack(&[SLACK_SECRET]);
    assert_eq!(asks(&slack, "abc"), Ok(None));
    let long = "a".repeat(257);
    for value in ["<script>", "a b", "a\u{1b}[31m", "é", "a\"b", &long] {
        assert_eq!(asks(&okta, value), Err(DoorError::Challenge), "{value}");
        let question = serde_json::json!({ "type": "url_verification", "challenge": value }).to_string();
        assert_eq!(slack.slack_asks(question.as_bytes()), Err(DoorError::Challenge), "{value}");
        assert_eq!(okta.slack_asks(question.as_bytes()), Ok(None));
    }
    for (body, value) in [
        (r#"{"type":"url_verification","challenge":"abc","token":"x"}"#, Some("abc")),
        (r#"{"type":"event_callback","challenge":"abc"}"#, None),
        (r#"["url_verification","abc"]"#, None),
        ("challenge=abc", None),
    ] {
        assert_eq!(slack.slack_asks(body.as_bytes()), Ok(value.map(str::to_owned)), "{body}");
    }
}

/// Every comparison with something secret is one of these two.
#[test]
fn comparisons_take_the_same_time() {
    let signed = include_str!("signed.rs");
    assert!(signed.contains(".verify_slice(") && !signed.contains("into_bytes()"));
    assert!(!include_str!("standard.rs").contains("=="), "it compares by `any_matches` alone");
    for text in [include_str!("../signature.rs"), include_str!("certificate.rs")] {
        assert!(text.contains(".ct_eq(&"));
        assert!(!text.contains("== digest") && !text.contains("secret =="));
    }
}

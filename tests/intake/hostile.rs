//! Payloads that mean harm, or nothing at all: refused whole, or made harmless.

use std::fs;
use std::sync::LazyLock;

use proptest::prelude::*;
use quell::domain::alert::LISTED_MAX;
use quell::domain::alert::{Alert, Category};
use quell::intake::normalise::{ALERT_BYTES_MAX, ALERT_DEPTH_MAX, ALERTS_MAX, TITLE_CHARS_MAX};
use quell::intake::shipped::SHIPPED;
use quell::intake::source::SourceSpec;
use serde_json::{Value, json};

use crate::{code, one, samples, spec, take, take_as};

/// `(what, payload, code of the refusal)`
const HOSTILE: &[(&str, &[u8], &str)] = &[
    ("cut", b"{\"title\": \"x", "alert-not-json"),
    ("a form", b"title=x&severity=1", "alert-not-json"),
    ("a page of HTML", b"<html>", "alert-not-json"),
    ("two texts", b"{\"title\":\"x\"}{}", "alert-not-json"),
    ("NUL bytes", b"\0\0\0", "alert-not-json"),
    ("a bare NUL in text", b"{\"title\":\"a\0b\"}", "alert-not-json"),
    ("half a surrogate", b"{\"title\":\"\\ud800\"}", "alert-not-json"),
    ("a number out of range", b"{\"title\":1e999}", "alert-not-json"),
    ("Latin-1", b"{\"title\":\"\xfcber\"}", "alert-not-utf8"),
    ("UTF-16", b"\xff\xfe{\0}\0", "alert-not-utf8"),
    ("nothing", b"", "alert-empty"),
    ("white space", b" \r\n ", "alert-empty"),
    ("a byte order mark", b"\xef\xbb\xbf", "alert-empty"),
    ("an empty list", b"[]", "alert-empty"),
    ("an empty page", b"{\"alerts\":[]}", "alert-empty"),
    ("lists of nothing", b"[[],[],[]]", "alert-not-an-object"),
    ("nulls", b"[null]", "alert-not-an-object"),
    ("a number", b"7", "alert-not-an-object"),
    ("no keys", b"{}", "alert-without-title"),
    ("a map for a title", b"{\"title\":{\"a\":[]}}", "alert-without-title"),
    ("one of two without", b"[{\"title\":\"x\"},{}]", "alert-without-title"),
    ("a key twice", b"{\"title\":\"x\",\"title\":\"y\"}", "alert-duplicate-key"),
];

#[test]
fn hostile_payloads_are_refused_with_a_code() {
    let spec = spec("generic");
    for (what, body, refused) in HOSTILE {
        assert_eq!(code(take(&spec, body)), *refused, "{what}");
    }
    let latin = Some("application/json; charset=iso-8859-1");
    assert_eq!(code(take_as(&spec, b"{}", latin)), "alert-not-utf8");
}

#[test]
fn each_limit_holds_at_its_very_number() {
    let spec = spec("generic");
    let sized = |bytes: usize| format!("{{\"title\":\"{}\"}}", "x".repeat(bytes - 12));
    let many = |count: usize| format!("[{}]", vec!["{\"title\":\"x\"}"; count].join(","));
    let deep = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        format!("{{\"title\":\"x\",\"a\":{open}{close}}}")
    };
    for (most, above, refused) in [
        (sized(ALERT_BYTES_MAX), sized(ALERT_BYTES_MAX + 1), "alert-too-large"),
        (many(ALERTS_MAX), many(ALERTS_MAX + 1), "alert-too-many"),
        (deep(ALERT_DEPTH_MAX), deep(ALERT_DEPTH_MAX + 1), "alert-too-deep"),
    ] {
        assert!(take(&spec, most).is_ok(), "{refused}");
        assert_eq!(code(take(&spec, above)), refused);
    }
    assert_eq!(code(take(&spec, "[".repeat(500_000))), "alert-too-deep");
}

#[test]
fn a_refusal_says_which_alert_and_never_repeats_what_steers_a_terminal() {
    let refusal = take(&spec("generic"), "[{\"title\":\"x\"},{}]").expect_err("refused").to_string();
    assert!(refusal.contains("alert 2") && refusal.contains("`generic`"), "{refusal}");
    let body = "{\"\\u001b[2J\":1,\"\\u001b[2J\":2}";
    let refusal = take(&spec("generic"), body).expect_err("refused").to_string();
    assert!(!refusal.contains('\u{1b}') && refusal.contains("\\u{1b}"), "{refusal}");
}

#[test]
fn odd_values_are_absent_or_shown_and_never_guessed() {
    let alert = one(
        &spec("generic"),
        &json!({
            "title": "\u{1b}[31mred\u{0}\n".to_owned() + &"x".repeat(1000),
            "source_id": 18_446_744_073_709_551_615_u64,
            "category": "burglary",
            "severity": "catastrophic",
            "user": {"email": "a@b.example, c@d.example", "id": ["x"], "employee_id": 17},
            "host": {"ip": "not an address"},
            "event_time": "0001-01-01T00:00:00Z",
            "objects": [{"bytes": 9_223_372_036_854_775_808_u64, "name": "n"}, {}, 5, {"name": "N/A"}],
            "url": "javascript:alert(1)",
            "techniques": ["T1", 2, null, {"a": 1}],
        }),
    );
    assert!(alert.title.starts_with("\\u{1b}[31mred\\u{0}\\nxxx"), "{}", alert.title);
    assert_eq!(alert.title.chars().count(), TITLE_CHARS_MAX);
    assert_eq!(alert.source_id.as_deref(), Some("18446744073709551615"));
    assert_eq!(alert.raw["source_id"].to_string(), "18446744073709551615");
    assert_eq!(alert.category, Category::Other);
    assert_eq!((alert.severity, alert.vendor_severity.as_deref()), (50, Some("catastrophic")));
    assert_eq!(alert.user.email, None);
    assert_eq!(alert.user.name, None);
    assert_eq!(alert.user.employee_id.as_deref(), Some("17"));
    assert_eq!(alert.user.id, None);
    assert_eq!(alert.host.ip, None);
    assert_eq!(alert.event_time, None);
    assert_eq!(alert.objects.len(), 1);
    assert_eq!(alert.objects[0].bytes, None);
    assert_eq!(alert.url, None);
    assert_eq!(alert.techniques, ["T1", "2"]);
}

#[test]
fn lists_are_cut_at_their_limit_and_raw_keeps_all() {
    let objects: Vec<Value> = (0..5000).map(|n| json!({"name": format!("f{n}")})).collect();
    let alert = one(&spec("generic"), &json!({"title": "x", "objects": objects}));
    assert_eq!(alert.objects.len(), LISTED_MAX);
    assert_eq!(alert.raw["objects"].as_array().map(Vec::len), Some(5000));
}

static SHIPPED_SPECS: LazyLock<Vec<SourceSpec>> =
    LazyLock::new(|| SHIPPED.iter().map(|(name, _)| spec(name)).collect());

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from("2026-03-04T09:00:00Z")),
        Just(Value::from("a@b.example")),
    ];
    let key = prop_oneof![
        "[a-z@$.]{0,8}",
        prop::sample::select(vec![
            "id",
            "_id",
            "title",
            "name",
            "ruleName",
            "alerts",
            "data",
            "result",
            "fileEvents",
            "observations",
            "user",
            "email",
            "users",
            "objects",
            "severity",
            "timestamp",
            "createdAt",
            "loginName",
            "risk",
            "indicators",
            "type",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// What holds of every alert, whatever it was made of.
fn sound(alert: &Alert) {
    assert!(!alert.title.trim().is_empty());
    assert!(alert.title.chars().count() <= TITLE_CHARS_MAX);
    assert!(!alert.title.chars().any(char::is_control));
    assert!(alert.severity <= 100);
    assert!(alert.users.len() <= LISTED_MAX && alert.objects.len() <= LISTED_MAX);
    if let Some(email) = &alert.user.email {
        assert_eq!(email.matches('@').count(), 1);
        assert!(!email.contains(char::is_whitespace));
    }
    // A hash of fields, and of whom it is about half a hash behind a dash.
    assert!([64, 97].contains(&alert.fingerprint.len()), "{}", alert.fingerprint);
    let text = serde_json::to_string(alert).expect("JSON");
    assert!(serde_json::from_str::<Alert>(&text).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_taken_whole_or_refused(payload in any_json()) {
        for spec in &*SHIPPED_SPECS {
            if let Ok(alerts) = take(spec, payload.to_string()) {
                alerts.iter().for_each(sound);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_taken(body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(alerts) = take(&SHIPPED_SPECS[0], body) {
            alerts.iter().for_each(sound);
        }
    }

    #[test]
    fn a_cut_payload_is_never_half_taken(at in 0usize..3000) {
        let body = fs::read(samples().join("code42-alert-details-2020.json")).expect("a sample");
        let at = at.min(body.len() - 2);
        prop_assert!(take(&SHIPPED_SPECS[1], &body[..at]).is_err());
    }
}

//! Alerts that lie inside an item: each of several is one, and none is lost.

use quell::intake::normalise::{ALERT_BYTES_MAX, ALERTS_MAX};
use serde_json::{Value, json};

use crate::parties::told;
use crate::{code, one, own, spec, take};

const EACH: &str = "source: s\ntitle: S\ninside: [ \"a.b[]\", detail ]\nmask: [ \"a.b[].key\" ]\n\
                    fields: { title: \"${ outer.id }: ${ raw.t }\", source_id: \"${ string(place) }\" }\n";

#[test]
fn a_path_that_ends_in_items_gives_an_alert_for_each() {
    let spec = own(EACH);
    let item =
        json!({"id": 7, "a": {"b": [{"t": "x", "key": "k"}, {"t": "y"}], "c": 1}, "detail": {"t": "no"}});
    let alerts = take(&spec, item.to_string()).expect("alerts");
    let shown: Vec<_> =
        alerts.iter().map(|alert| (&*alert.title, alert.source_id.as_deref(), &alert.raw)).collect();
    let raw = |b: Value| json!({"id": 7, "a": {"b": [b], "c": 1}, "detail": {"t": "no"}});
    assert_eq!(
        shown,
        [
            ("7: x", Some("1"), &raw(json!({"t": "x", "key": "[masked]"}))),
            ("7: y", Some("2"), &raw(json!({"t": "y"}))),
        ]
    );
    assert!(alerts[0].id != alerts[1].id && alerts[0].fingerprint != alerts[1].fingerprint);
}

#[test]
fn where_not_every_thing_is_an_object_the_next_path_counts() {
    let spec = own(EACH);
    for b in [json!([]), json!([{"t": "x"}, 5]), json!(null), json!({"t": "x"})] {
        let alert = one(&spec, &json!({"id": 7, "a": {"b": b}, "detail": {"t": "z"}}));
        assert_eq!((&*alert.title, alert.source_id.as_deref()), ("7: z", Some("1")));
        assert_eq!(alert.raw["a"]["b"], b, "raw keeps all");
    }
    assert_eq!(one(&spec, &json!({"id": 7, "t": "itself"})).title, "7: itself");
}

#[test]
fn a_guard_sees_each_alone() {
    let spec = own(
        "source: s\ntitle: S\ninside: \"e[]\"\nwhen: ${ raw.t != \"no\" }\nfields: { title: \"${ raw.t }\" }\n",
    );
    let alerts =
        take(&spec, json!({"e": [{"t": "a"}, {"t": "no"}, {"t": "b"}]}).to_string()).expect("alerts");
    assert_eq!(alerts.iter().map(|alert| &*alert.title).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn the_limits_hold_for_all_of_them_together() {
    let spec = own("source: s\ntitle: S\ninside: \"e[]\"\nfields: { title: x }\n");
    let items = |each: &[usize]| {
        let item = |count: &usize| json!({"e": vec![json!({"t": 1}); *count]});
        Value::from(each.iter().map(item).collect::<Vec<_>>()).to_string()
    };
    assert_eq!(take(&spec, items(&[ALERTS_MAX - 1, 1])).map(|alerts| alerts.len()), Ok(ALERTS_MAX));
    assert_eq!(code(take(&spec, items(&[ALERTS_MAX - 1, 1, 1]))), "alert-too-many");
    assert_eq!(code(take(&spec, items(&[ALERTS_MAX + 1]))), "alert-too-many");
    // What stands around them is kept with each.
    let around = |bytes: usize| json!({"e": vec![json!({}); 100], "rest": "x".repeat(bytes)}).to_string();
    assert_eq!(take(&spec, around(ALERT_BYTES_MAX / 100 - 100)).map(|alerts| alerts.len()), Ok(100));
    assert_eq!(code(take(&spec, around(ALERT_BYTES_MAX / 100 + 100))), "alert-too-large");
}

#[test]
fn each_event_of_an_activity_is_an_alert() {
    let activity = |events: Value| json!({"id": {"applicationName": "admin", "uniqueQualifier": "77", "time": "2026-03-01T10:00:00Z"}, "actor": {"email": "admin@example.com"}, "events": events});
    let done =
        |name: &str, user: &str| json!({"name": name, "parameters": [{"name": "USER_EMAIL", "value": user}]});
    let page = json!({"items": [
        activity(json!([done("SUSPEND_USER", "ann@example.com"), done("SUSPEND_USER", "bob@example.com"), done("DELETE_USER", "eve@example.com")])),
        activity(json!([done("CHANGE_PASSWORD", "ann@example.com")])),
    ]});
    let alerts = take(&spec("google-reports"), page.to_string()).expect("alerts");
    let shown: Vec<_> = alerts
        .iter()
        .map(|alert| (&*alert.title, alert.source_id.as_deref().unwrap_or_default(), told(&alert.user)))
        .collect();
    assert_eq!(
        shown,
        [
            ("admin SUSPEND_USER", "77/SUSPEND_USER/1", "ann@example.com".to_owned()),
            ("admin SUSPEND_USER", "77/SUSPEND_USER/2", "bob@example.com".to_owned()),
            ("admin DELETE_USER", "77/DELETE_USER/3", "eve@example.com".to_owned()),
            ("admin CHANGE_PASSWORD", "77", "ann@example.com".to_owned()),
        ]
    );
    assert_eq!(alerts[1].raw, activity(json!([done("SUSPEND_USER", "bob@example.com")])));
    assert!(
        alerts.iter().all(|alert| alert.event_time.is_some() && told(&alert.actor) == "admin@example.com")
    );
}

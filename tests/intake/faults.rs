//! Payloads that were read wrongly once, each for a kind of fault, with the right values.

use std::fs;

use quell::domain::alert::Alert;
use serde_json::{Value, json};

use crate::{samples, spec, take};

fn alerts(source: &str, file: &str) -> Vec<Alert> {
    let body = fs::read(samples().join("faults").join(file)).expect(file);
    take(&spec(source), body).unwrap_or_else(|refusal| panic!("{file}: {refusal}"))
}

/// What of the alert is at a dotted path, list items by their number.
fn at(alert: &Alert, path: &str) -> Value {
    let whole = serde_json::to_value(alert).expect("JSON");
    whole.pointer(&format!("/{}", path.replace('.', "/"))).cloned().unwrap_or(Value::Null)
}

#[test]
fn each_value_is_what_the_vendors_documentation_says() {
    let sha256 = "21cdfbea0d48077b93b4c4cccb23b7aadfea6f4e7fbb1237fdfd0caebf6efd08";
    let (ana, eve) = (json!("ana@acme.example"), json!("eve.admin@acme.example"));
    let kovac = json!("ana.kovac@acme.example");
    let mut wrong = Vec::new();
    for (source, file, values) in [
        (
            "purview-dlp",
            "01-purview-dlp-agent-is-subject.json",
            vec![
                ("user.email", kovac.clone()),
                ("user.service", json!(false)),
                ("actor.service", json!(true)),
                ("users.1.service", json!(true)),
            ],
        ),
        (
            "purview-dlp",
            "02-purview-dlp-undo-is-open.json",
            vec![("status", json!("closed")), ("user.email", kovac.clone())],
        ),
        (
            "purview-dlp",
            "03-purview-dlp-severest-rule.json",
            vec![
                ("severity", json!(75)),
                ("rule.name", json!("Many salaries")),
                ("user.email", kovac.clone()),
            ],
        ),
        ("purview-dlp", "07-purview-restricted-sender.json", vec![("user.email", kovac.clone())]),
        (
            "purview-dlp",
            "08-purview-mailbox-read-by-delegate.json",
            vec![("user.email", kovac.clone()), ("users.1", Value::Null), ("src_ip", json!("198.51.100.7"))],
        ),
        (
            "purview-dlp",
            "09-purview-client-ip-with-port.json",
            vec![("user.email", kovac.clone()), ("src_ip", json!("198.51.100.7"))],
        ),
        (
            "purview-dlp",
            "10-purview-role-given-target.json",
            vec![("user.email", kovac), ("actor.email", json!("root.admin@acme.example"))],
        ),
        (
            "okta-system-log",
            "14-okta-unauthorized-app-no-subject.json",
            vec![("user.email", eve.clone()), ("actor.email", eve)],
        ),
        (
            "crowdstrike",
            "15-crowdstrike-incident-called-identity.json",
            vec![
                ("title", json!("Falcon incident inc:aaaa:bbbb")),
                ("host.id", json!("aaaa1111bbbb2222cccc3333dddd4444")),
                ("rule.name", Value::Null),
                ("severity", json!(43)),
            ],
        ),
        (
            "sentinelone",
            "21-sentinelone-star-rule-host-user.json",
            vec![
                ("host.name", json!("lap-0417.acme.example")),
                ("user.name", json!("ACME\\ana")),
                ("objects.0.sha256", json!(sha256)),
                ("objects.0.path", json!("C:\\Windows\\powershell.exe")),
                ("severity", json!(50)),
            ],
        ),
        (
            "sentinelone",
            "23-sentinelone-usb-device.json",
            vec![
                ("dest.device", json!("STICK 8A87:2CEE")),
                ("event_time", json!("2026-11-20T17:17:40.622Z")),
                ("host.name", json!("lap-0417")),
            ],
        ),
        (
            "google-reports",
            "25-google-chrome-content-transfer.json",
            vec![
                ("user.email", ana.clone()),
                ("host.name", json!("lap-0417")),
                ("objects.0.name", json!("/Users/ana/payroll.csv")),
                ("objects.0.sha256", json!(sha256)),
                ("objects.0.bytes", json!(89076)),
                ("objects.0.label", json!("Payroll")),
                ("category", json!("dlp")),
                ("dest.domain", json!("drop.elsewhere.example")),
            ],
        ),
        ("google-reports", "26-google-calendar-made-public.json", vec![("user.email", ana.clone())]),
        (
            "google-reports",
            "27-google-group-member-removed.json",
            vec![("user.email", json!("ben@acme.example")), ("actor.email", ana.clone())],
        ),
        (
            "onepassword",
            "34-onepassword-group-member-added.json",
            vec![("user.email", ana.clone()), ("actor.email", json!("eve@acme.example"))],
        ),
        ("slack-audit", "40-slack-private-channel-made-public.json", vec![("user.email", ana)]),
    ] {
        let alerts = alerts(source, file);
        assert_eq!(alerts.len(), 1, "{file}");
        for (path, right) in values {
            let found = at(&alerts[0], path);
            if found != right {
                wrong.push(format!("{file}: {path} is {found}, right is {right}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn another_person_and_another_id_are_another_finding() {
    for (source, file, subjects) in [
        (
            "purview-dlp",
            "05-purview-two-people-one-alert.ndjson",
            ["ana.kovac@acme.example", "ben.okoro@acme.example"],
        ),
        ("crowdstrike", "17-crowdstrike-role-grants-merged.ndjson", ["ana@acme.example", "ben@acme.example"]),
        ("ocsf-detection-finding", "35-ocsf-security-finding-ids.ndjson", ["ana", "ana"]),
    ] {
        let alerts = alerts(source, file);
        let found: Vec<_> = alerts.iter().filter_map(|alert| alert.user.shown()).collect();
        assert_eq!(found, subjects, "{file}");
        assert_ne!(alerts[0].fingerprint, alerts[1].fingerprint, "{file}");
    }
    let ids: Vec<_> = alerts("ocsf-detection-finding", "35-ocsf-security-finding-ids.ndjson")
        .into_iter()
        .filter_map(|alert| alert.source_id)
        .collect();
    assert_eq!(ids, ["sf-1", "sf-2"]);
}

#[test]
fn rows_of_one_finding_share_what_is_before_the_dash() {
    let rows = alerts("defender-xdr", "29-defender-evidence-rows.json");
    let people: Vec<_> = rows.iter().map(|row| row.user.shown()).collect();
    assert_eq!(people, [None, None, Some("ana@acme.example"), None]);
    let fields = |row: &Alert| row.fingerprint.split('-').next().map(str::to_owned);
    assert!(rows.iter().all(|row| fields(row) == fields(&rows[0])));
    assert_ne!(rows[2].fingerprint, rows[0].fingerprint);
}

#[test]
fn keys_in_another_case_are_read_the_same_by_every_source() {
    fn lower(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                Value::Object(map.iter().map(|(key, value)| (key.to_lowercase(), lower(value))).collect())
            }
            Value::Array(items) => items.iter().map(lower).collect(),
            other => other.clone(),
        }
    }
    let mut wrong = Vec::new();
    for (source, file) in [
        ("purview-dlp", "faults/01-purview-dlp-agent-is-subject.json"),
        ("okta-system-log", "okta-user-reported-suspicious.json"),
        ("sentinelone", "faults/21-sentinelone-star-rule-host-user.json"),
        ("google-reports", "faults/27-google-group-member-removed.json"),
        ("guardduty", "guardduty-high.json"),
        ("crowdstrike", "crowdstrike-detection-summary-high.json"),
        ("salesforce", "salesforce-bulk-exfil-critical.json"),
        ("snowflake", "snowflake-file-downloaded.json"),
        ("box", "box-anomalous-download.json"),
        ("netskope", "netskope-dlp.json"),
        ("sentinel", "sentinel-incident.json"),
        ("defender-xdr", "defender-xdr-incident.json"),
    ] {
        let body = fs::read(samples().join(file)).expect(file);
        let payload: Value = serde_json::from_slice(&body).expect("JSON");
        let read = |payload: &Value| {
            let alerts = take(&spec(source), payload.to_string()).expect(file);
            alerts.iter().map(crate::shown).collect::<Vec<_>>()
        };
        let (as_sent, in_lower_case) = (read(&payload), read(&lower(&payload)));
        if as_sent != in_lower_case {
            wrong.push(format!("{source} {file}:\n{as_sent:?}\n{in_lower_case:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn shipped_sources_spell_every_key_one_way() {
    let unclear = |name: &str| {
        let spelling = spec(name).spelling;
        spelling.unclear().map(|key| format!("{name}: {key}")).collect::<Vec<_>>()
    };
    let all = quell::intake::shipped::SHIPPED.iter().flat_map(|(name, _)| unclear(name));
    assert_eq!(all.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn an_unknown_shape_of_a_known_vendor_is_kept_under_the_best_title_there_is() {
    let odd = |name: &str, payload: &Value| crate::one(&spec(name), payload);
    let alert = odd("okta-system-log", &json!({"nothing": "known", "inner": {"name": "Odd new thing"}}));
    assert_eq!(
        (&*alert.title, alert.shape_unknown),
        ("Okta System Log and event hooks: Odd new thing", true)
    );
    let alert = odd("guardduty", &json!({"nothing": 1}));
    assert_eq!(
        (&*alert.title, alert.shape_unknown),
        ("Amazon GuardDuty findings: a payload of an unknown shape", true)
    );
    let known = odd("okta-system-log", &json!({"eventType": "user.session.start"}));
    assert!(!known.shape_unknown);
    // Without a vendor it is a mistake of whoever wrote the script.
    let refusal = take(&spec("generic"), r#"{"nothing": 1}"#).expect_err("refused");
    assert_eq!(refusal.code(), "alert-without-title");
}

#[test]
fn a_list_that_is_cut_keeps_its_true_count() {
    let objects: Vec<Value> = (0..2300).map(|number| json!({"name": format!("f-{number}")})).collect();
    let alert = crate::one(&spec("generic"), &json!({"title": "t", "objects": objects}));
    assert_eq!((alert.objects.len(), alert.counts.objects), (100, 2300));
    assert_eq!(alert.counts.words(), ["2,300 objects, 100 of them kept"]);
    let again: Vec<Value> = (0..2300).map(|_| json!({"name": "the same"})).collect();
    let alert = crate::one(&spec("generic"), &json!({"title": "t", "objects": again}));
    assert_eq!((alert.objects.len(), alert.counts.objects), (1, 1), "repeats count once");
    // What was shown and is handed back still tells.
    let id = quell::domain::id::AlertId::new(ulid::Ulid::from_parts(5, 5));
    let whole = crate::one(&spec("generic"), &json!({"title": "t", "objects": objects}));
    let shown = serde_json::to_value(&whole).expect("JSON");
    let back = quell::intake::hand::normalise_by_hand(None, &shown, crate::now(), id).expect("an alert");
    assert_eq!(back.counts, whole.counts);
}

//! Payloads of detectors become alerts, and hostile ones become refusals.
//!
//! Samples and what they must become lie in `tests/alerts/`. Set `QUELL_BLESS`
//! to write the expectations anew, then read the difference.

#[path = "intake/faults.rs"]
mod faults;
#[path = "intake/hostile.rs"]
mod hostile;
#[path = "intake/inside.rs"]
mod inside;
#[path = "intake/parties.rs"]
mod parties;
#[path = "intake/source_files.rs"]
mod source_files;
#[path = "intake/status.rs"]
mod status;
#[path = "intake/subjects.rs"]
mod subjects;
#[path = "intake/vendors.rs"]
mod vendors;

use std::fs;
use std::path::{Path, PathBuf};

use quell::domain::alert::Alert;
use quell::domain::id::AlertId;
use quell::domain::time::Timestamp;
use quell::intake::error::IntakeError;
use quell::intake::hand::normalise_by_hand;
use quell::intake::normalise::{MASKED, normalise};
use quell::intake::shipped::SHIPPED;
use quell::intake::source::SourceSpec;
use serde_json::{Value, json};
use ulid::Ulid;

fn now() -> Timestamp {
    Timestamp::from_millis(1_772_700_000_000)
}

fn spec(name: &str) -> SourceSpec {
    // From the file, so that a rule that changed is tried without building the crate anew.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/intake/shipped/{name}.yaml"));
    let text = fs::read_to_string(file).expect("a shipped source");
    SourceSpec::read(&format!("{name}.yaml"), &text)
        .unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"))
}

fn own(yaml: &str) -> SourceSpec {
    SourceSpec::read("own.yaml", yaml).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

fn take_as(spec: &SourceSpec, body: &[u8], content_type: Option<&str>) -> Result<Vec<Alert>, IntakeError> {
    let mut next = 0;
    let mut new_id = || {
        next += 1;
        AlertId::new(Ulid::from_parts(0, next))
    };
    normalise(spec, &spec.source, body, content_type, now(), &mut new_id)
}

fn take(spec: &SourceSpec, body: impl AsRef<[u8]>) -> Result<Vec<Alert>, IntakeError> {
    take_as(spec, body.as_ref(), Some("application/json"))
}

fn one(spec: &SourceSpec, payload: &Value) -> Alert {
    let mut alerts = take(spec, payload.to_string()).expect("an alert");
    assert_eq!(alerts.len(), 1);
    alerts.remove(0)
}

fn code(result: Result<Vec<Alert>, IntakeError>) -> &'static str {
    match result {
        Ok(alerts) => panic!("taken as {} alerts", alerts.len()),
        Err(refusal) => refusal.code(),
    }
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerts")
}

/// What people compare: the alert without what differs from one day to the next.
fn shown(alert: &Alert) -> Value {
    let mut shown = serde_json::to_value(alert).expect("an alert is JSON");
    for key in ["id", "received_at", "raw"] {
        shown.as_object_mut().expect("a map").remove(key);
    }
    shown
}

#[test]
fn every_shipped_source_checks_clean_and_is_named_as_its_file() {
    for (name, text) in SHIPPED {
        assert_eq!(spec(name).source, *name);
        assert!(text.contains("proven:"), "{name} must say what it was run against");
    }
    assert!(SHIPPED.windows(2).all(|two| two[0].0 < two[1].0));
}

#[test]
fn samples_become_the_alerts_that_lie_beside_them() {
    for (source, sample) in [
        ("incydr", "code42-alert-details-2020"),
        ("incydr", "code42-file-events-2020"),
        ("incydr", "incydr-file-event-v2"),
        ("incydr", "incydr-single"),
        ("netskope", "netskope-dlp"),
        ("netskope", "netskope-page"),
        ("proofpoint-itm", "proofpoint-itm-upload"),
        ("proofpoint-itm", "proofpoint-itm-activity"),
        ("generic", "generic"),
        ("alertmanager", "alertmanager-firing-group"),
        ("box", "box-anomalous-download"),
        ("crowdstrike", "crowdstrike-detection-summary-high"),
        ("crowdstrike", "crowdstrike-detection-flat"),
        ("datadog", "datadog-security-signal"),
        ("defender-xdr", "defender-xdr-incident"),
        ("exabeam", "exabeam-notable-users"),
        ("github-audit", "github-audit-secret-scanning"),
        ("github-webhook", "github-webhook-secret-scanning-alert"),
        ("github-webhook", "github-webhook-membership-removed"),
        ("google-reports", "gws-doc-ownership-external"),
        ("google-reports", "gws-user-suspended-warning"),
        ("guardduty", "guardduty-high"),
        ("msgraph-alerts-v2", "msgraph-alertv2-anonymous-login"),
        ("ocsf-detection-finding", "ocsf-2004-sechub-guardduty"),
        ("okta-system-log", "okta-system-log-page"),
        ("okta-system-log", "okta-user-reported-suspicious"),
        ("onepassword", "onepassword-sensitive-item"),
        ("proofpoint-email", "proofpoint-email-active-threat"),
        ("salesforce", "salesforce-bulk-exfil-critical"),
        ("securonix", "securonix-incident-item"),
        ("sentinel", "sentinel-incident"),
        ("sentinelone", "sentinelone-alert-critical"),
        ("slack-audit", "slack-dlp-rule-deactivated"),
        ("snowflake", "snowflake-file-downloaded"),
        ("wazuh", "wazuh-keep-shape"),
    ] {
        let body = fs::read(samples().join(format!("{sample}.json"))).expect(sample);
        let alerts = take(&spec(source), &body).unwrap_or_else(|refusal| panic!("{sample}: {refusal}"));
        let became = Value::Array(alerts.iter().map(shown).collect());
        let expected = samples().join(format!("{sample}.expected.json"));
        if std::env::var_os("QUELL_BLESS").is_some() {
            let text = serde_json::to_string_pretty(&became).expect("JSON");
            fs::write(&expected, text + "\n").expect("the expectation is written");
        }
        let expected: Value =
            serde_json::from_slice(&fs::read(&expected).expect("an expectation")).expect("JSON");
        assert_eq!(became, expected, "{sample}");
    }
}

#[test]
fn a_personal_account_at_the_destination_is_never_among_the_users() {
    let body = fs::read(samples().join("netskope-dlp.json")).expect("a sample");
    let alert = take(&spec("netskope"), body).expect("an alert").remove(0);
    assert_eq!(alert.dest.account.as_deref(), Some("n.okafor.home@personal.example"));
    assert_eq!(alert.user.email.as_deref(), Some("n.okafor@example.com"));
    assert_eq!(alert.users, std::slice::from_ref(&alert.user));
    assert_eq!(alert.raw["dlp_incident_id"].to_string(), "1234567890123456789");
}

#[test]
fn lines_of_json_are_alerts_and_one_bad_line_refuses_all() {
    let generic = spec("generic");
    let lines = "{\"title\":\"a\"}\r\n\n{\"title\":\"b\"}\n";
    let kind = Some("application/x-ndjson");
    assert_eq!(take_as(&generic, lines.as_bytes(), kind).map(|alerts| alerts.len()), Ok(2));
    let refusal = take_as(&generic, b"{\"title\":\"a\"}\n{", kind).expect_err("refused");
    assert!(refusal.to_string().contains("line 2"), "{refusal}");
    let declared = own("source: s\ntitle: S\nformat: ndjson\nfields: { title: \"${ raw.t }\" }\n");
    assert_eq!(take(&declared, "{\"t\":1}\n{\"t\":2}").map(|alerts| alerts.len()), Ok(2));
}

#[test]
fn the_envelope_is_seen_and_what_is_masked_is_never_kept() {
    let spec = own(
        "source: s\ntitle: S\nsplit: alerts[]\nmask: [ token, labels.key ]\nabsent: [ Niemand ]\n\
         fingerprint: [ title, user.name ]\n\
         fields:\n  title: \"${ envelope.group }: ${ raw.name }\"\n  user.name: [ \"${ raw.a }\", \"${ raw.b }\" ]\n  \
         description: ${ raw.token }\n",
    );
    let page = json!({"group": "G", "alerts": [
        {"name": "one", "token": "s3cret", "a": "NIEMAND", "b": "bo"},
        {"name": "one", "labels": {"key": "k", "x": 1}, "b": "bo"},
        {"name": "two", "b": "bo"},
    ]});
    let alerts = take(&spec, page.to_string()).expect("alerts");
    assert_eq!(alerts[0].title, "G: one");
    assert_eq!(alerts[0].user.name.as_deref(), Some("bo"));
    assert_eq!(alerts[0].raw["token"], MASKED);
    assert_eq!(alerts[1].raw["labels"], json!({"key": MASKED, "x": 1}));
    assert!(!format!("{alerts:?}").contains("s3cret"));
    assert_eq!(alerts[0].fingerprint, alerts[1].fingerprint);
    assert_ne!(alerts[0].fingerprint, alerts[2].fingerprint);
}

#[test]
fn an_alert_that_was_shown_can_be_handed_back() {
    let id = AlertId::new(Ulid::from_parts(5, 5));
    for sample in ["netskope-dlp", "proofpoint-itm-activity", "generic"] {
        let body = fs::read(samples().join(format!("{sample}.json"))).expect(sample);
        let name = sample.trim_end_matches("-dlp").trim_end_matches("-activity");
        let alert = take(&spec(name), body).expect(sample).remove(0);
        let shown = serde_json::to_value(&alert).expect("JSON");
        let back = normalise_by_hand(None, &shown, now(), id).expect(sample);
        let fingerprint = back.fingerprint.clone();
        assert_eq!(back, Alert { id, fingerprint, ..alert }, "{sample}");
    }
    let none = normalise_by_hand(None, &json!([{"title": "a"}, {"title": "b"}]), now(), id);
    assert_eq!(none.map_err(|refusal| refusal.code()).err(), Some("alert-not-one"));
    let by_hand = normalise_by_hand(None, &json!({"title": "a"}), now(), id).expect("an alert");
    assert_eq!(by_hand.source, "by-hand");
}

#[test]
fn the_same_finding_has_the_same_fingerprint_and_sources_never_share_one() {
    let generic = spec("generic");
    let with = |extra: Value| {
        let mut payload = json!({"title": "x", "user": "a@b.example"});
        payload.as_object_mut().expect("a map").extend(extra.as_object().expect("a map").clone());
        one(&generic, &payload).fingerprint
    };
    assert_eq!(with(json!({"severity": 10})), with(json!({"severity": 90})));
    assert_ne!(with(json!({"user": "a@c.example"})), with(json!({})));
    assert_ne!(with(json!({"objects": [{"name": "f"}]})), with(json!({})));
    assert_eq!(with(json!({"source_id": 1})), with(json!({"source_id": "1", "severity": 90})));
    // The same id of somebody else is another finding, of the same fields.
    let (one_of, other_of) = (with(json!({"source_id": 1})), with(json!({"source_id": 1, "user": "q"})));
    assert_ne!(one_of, other_of);
    assert_eq!(one_of.split('-').next(), other_of.split('-').next());
    let mut new_id = || AlertId::new(Ulid::from_parts(0, 1));
    let mut at = |source: &str| {
        let alerts = normalise(&generic, source, b"{\"title\":\"x\",\"id\":1}", None, now(), &mut new_id);
        alerts.expect("an alert").remove(0).fingerprint
    };
    assert_ne!(at("one"), at("two"));
}

#[test]
fn a_guard_turns_down_only_what_it_is_sure_of() {
    let spec =
        own("source: s\ntitle: S\nwhen: ${ raw.kind == \"alert\" }\nfields: { title: \"${ raw.t }\" }\n");
    let kept = |payload: Value| take(&spec, payload.to_string()).expect("taken").len();
    assert_eq!(kept(json!({"t": "x", "kind": "alert"})), 1);
    assert_eq!(kept(json!({"t": "x", "kind": "audit"})), 0);
    assert_eq!(kept(json!({"t": "x"})), 1, "without the key it may be one");
}

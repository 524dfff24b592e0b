//! The shipped connectors against the lab: every part of a containment.

use std::time::Duration;

use quell::domain::outcome::FailureClass;
use quell::domain::value::Value;
use quell::lab::identity::Faults;
use quell::lab::range::{Lab, LabOptions};
use serde_json::json;

use crate::setup::{Part, Setup, failure, output, shipped};

const TIMEOUT: Duration = Duration::from_secs(20);
const DANA: &str = "dana.whitfield@example.com";

struct Wired {
    lab: Lab,
    setup: Setup,
    _dir: tempfile::TempDir,
}

async fn wired() -> Wired {
    let dir = tempfile::tempdir().expect("a directory");
    let now = "2026-09-14T08:00:00Z".parse().expect("a time");
    let lab = Lab::start(LabOptions { data: dir.path().to_owned(), seed: 42, now, pace: 0.0 })
        .await
        .expect("the lab starts");
    let scim = format!("{}/scim/v2", lab.identity_url);
    let smtp = format!("smtp://{}", lab.smtp_addr);
    let setup = shipped(&[
        ("scim", &scim, &["token"], &lab.tokens.identity),
        ("sessions", &lab.identity_url, &["token"], &lab.tokens.identity),
        ("people", &lab.people_url, &["token"], &lab.tokens.people),
        ("assets", &lab.assets_url, &["token"], &lab.tokens.assets),
        ("smtp", &smtp, &[], ""),
    ]);
    Wired { lab, setup, _dir: dir }
}

impl Wired {
    async fn contain(&self, part: Part, captured: Option<&Value>) -> Value {
        output(
            self.setup.part(part, "scim", "suspend_user", &json!({ "user": DANA }), captured, TIMEOUT).await,
        )
    }
}

#[tokio::test]
async fn a_suspension_is_captured_done_read_back_and_lifted() {
    let wired = wired().await;
    let captured = wired.contain(Part::Capture, None).await;
    assert_eq!((&captured["already"], &captured["state"]), (&json!(false), &json!({ "active": true })));
    assert!(captured["target"].as_str().is_some_and(|target| target.contains(DANA)), "{captured}");
    assert_eq!(captured["attributes"]["address"], DANA);
    let held = Some(&captured);
    assert_eq!(wired.contain(Part::Verify, held).await["holds"], false);
    assert_eq!(wired.contain(Part::UndoCheck, held).await["state"], "restored");
    wired.contain(Part::Perform, held).await;
    assert_eq!(wired.contain(Part::Verify, held).await["holds"], true);
    assert_eq!(wired.contain(Part::Capture, None).await["already"], true);
    let check = wired.contain(Part::UndoCheck, held).await;
    assert_eq!(check["state"], "as_left");
    assert!(
        check["diff"]
            .as_str()
            .is_some_and(|diff| diff.contains("`active` was true before, and is false now")),
        "{check}"
    );
    assert_eq!(wired.contain(Part::UndoVerify, held).await["holds"], false);
    wired.contain(Part::Undo, held).await;
    assert_eq!(wired.contain(Part::UndoVerify, held).await["holds"], true);
    assert_eq!(wired.contain(Part::UndoCheck, held).await["state"], "restored");
}

#[tokio::test]
async fn undo_restores_what_was_there_and_not_a_constant() {
    let wired = wired().await;
    let captured = wired.contain(Part::Capture, None).await;
    wired.contain(Part::Perform, Some(&captured)).await;
    // Captured when somebody else had suspended the account before.
    let captured = wired.contain(Part::Capture, None).await;
    assert_eq!((&captured["already"], &captured["state"]["active"]), (&json!(true), &json!(false)));
    wired.contain(Part::Undo, Some(&captured)).await;
    assert_eq!(wired.contain(Part::Verify, Some(&captured)).await["holds"], true, "it stays suspended");
}

#[tokio::test]
async fn accepted_and_not_applied_is_not_called_effective() {
    let wired = wired().await;
    let captured = wired.contain(Part::Capture, None).await;
    wired.lab.set_faults(Faults { rate_limited: 0, retry_after_s: 0, errors: 0, slow_ms: 0, unapplied: 1 });
    wired.contain(Part::Perform, Some(&captured)).await;
    assert_eq!(wired.contain(Part::Verify, Some(&captured)).await["holds"], false);
    wired.lab.set_faults(Faults { rate_limited: 1, retry_after_s: 7, errors: 1, slow_ms: 0, unapplied: 0 });
    let act =
        || wired.setup.part(Part::Perform, "scim", "suspend_user", &Value::Null, Some(&captured), TIMEOUT);
    assert_eq!(failure(act().await).code, "input-wrong");
    let input = json!({ "user": DANA });
    let act = || wired.setup.part(Part::Perform, "scim", "suspend_user", &input, Some(&captured), TIMEOUT);
    let (one, two) = (failure(act().await), failure(act().await));
    assert_eq!((one.class, one.retry_after), (FailureClass::Transient, Some(Duration::from_secs(7))));
    assert_eq!(two.class, FailureClass::Unknown, "{two:?}");
}

#[tokio::test]
async fn whoever_cannot_be_told_apart_is_not_touched() {
    let wired = wired().await;
    for (user, code) in [
        ("nobody@example.com", "target-not-found"),
        ("x\" or active eq true or userName eq \"x", "target-not-found"),
    ] {
        let refused = failure(
            wired
                .setup
                .part(Part::Capture, "scim", "suspend_user", &json!({ "user": user }), None, TIMEOUT)
                .await,
        );
        assert_eq!((refused.class, refused.code.as_str()), (FailureClass::Permanent, code), "{refused:?}");
        assert!(refused.message.contains("nobody was touched"), "{refused:?}");
    }
    let shared = failure(
        wired.setup.perform("people", "person", json!({ "email": "achen@example.com" }), TIMEOUT).await,
    );
    assert_eq!(
        (shared.code.as_str(), shared.message.as_str()),
        ("ambiguous", "People directory has 2 that fit `achen@example.com`, and one was wanted")
    );
    let nobody = failure(
        wired.setup.perform("people", "person", json!({ "email": "nobody@example.com" }), TIMEOUT).await,
    );
    assert_eq!(nobody.code, "not-found");
    assert!(wired.lab.writes().is_empty());
}

#[tokio::test]
async fn people_assets_sessions_and_mail_are_read_and_used() {
    let wired = wired().await;
    let call = |connector, operation, input| wired.setup.perform(connector, operation, input, TIMEOUT);
    let person = output(call("people", "person", json!({ "email": DANA })).await);
    assert_eq!((&person["email"], &person["employment_status"]), (&json!(DANA), &json!("notice")));
    assert_eq!(person["end_date"], "2026-09-20");
    assert!(person["manager"]["email"].is_string());
    let owned = output(call("assets", "owned_by", json!({ "owner": DANA })).await);
    let laptop = owned["names"][0].as_str().expect("a laptop");
    let system = output(call("assets", "system", json!({ "name": laptop })).await);
    assert_eq!(system["owner"], DANA);
    assert_eq!(failure(call("assets", "system", json!({ "name": "no/such?thing" })).await).code, "not-found");

    let input = json!({ "user": DANA });
    let revoke = |part, captured| wired.setup.part(part, "sessions", "revoke", &input, captured, TIMEOUT);
    let captured = output(revoke(Part::Capture, None).await);
    assert_eq!(captured["already"], false, "{captured}");
    output(revoke(Part::Perform, Some(&captured)).await);
    assert_eq!(output(revoke(Part::Verify, Some(&captured)).await)["holds"], true);
    assert_eq!(failure(revoke(Part::Undo, Some(&captured)).await).code, "no-containment");

    let mail = json!({ "to": [DANA], "from": "quell@example.com", "subject": "Hello", "text": "t", "message_id": "<m1@quell>" });
    output(call("smtp", "send", mail).await);
    assert_eq!(wired.lab.mails().len(), 1);
}

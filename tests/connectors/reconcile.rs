//! Asking a peer whether it took what was sent: ServiceNow, as its
//! documentation describes it, and answers that are neither yes nor no.

use std::time::Duration;

use quell::domain::outcome::FailureClass;
use serde_json::{Value, json};

use crate::peer::{Act, Peer, peer, response};
use crate::setup::{Part, failure, output, shipped};

const TIMEOUT: Duration = Duration::from_secs(5);
/// What the setup's calls are known by.
const MARK: &str = "run/step/0/act";

fn says(status: u16, body: &Value) -> Act {
    Act::Say(response(status, &[("content-type", "application/json")], &body.to_string()))
}

async fn asked(act: Act, input: &Value) -> (quell::connector::hub::OperationAnswer, Peer) {
    let peer = peer(act).await;
    let setup = shipped(&[("servicenow", &peer.url, &["token"], "secret")]);
    (setup.part(Part::Reconcile, "servicenow", "create_incident", input, None, TIMEOUT).await, peer)
}

#[tokio::test]
async fn a_ticket_carries_our_mark_and_is_found_by_it() {
    let created = says(201, &json!({ "result": { "sys_id": "a1", "number": "INC1" } }));
    let system = peer(created).await;
    let setup = shipped(&[("servicenow", &system.url, &["token"], "secret")]);
    let input = json!({ "title": "An account was suspended", "external_id": null });
    let made = setup.perform("servicenow", "create_incident", input.clone(), TIMEOUT).await;
    assert_eq!(output(made), json!({ "id": "a1", "number": "INC1" }));
    let sent = system.requests.lock().join("\n");
    assert!(sent.contains(&format!("\"correlation_id\":\"{MARK}\"")), "{sent}");

    let ticket = json!({ "sys_id": "a1", "number": "INC1", "correlation_id": MARK });
    let (found, system) = asked(says(200, &json!({ "result": [ticket] })), &input).await;
    let found = output(found);
    assert_eq!((&found["found"], &found["output"]), (&json!(true), &json!({ "id": "a1", "number": "INC1" })));
    assert_eq!(found["asked"], format!("ServiceNow was asked for `{MARK}`"));
    let sent = system.requests.lock().join("\n");
    assert!(sent.contains("GET /api/now/table/incident?correlation_id=run%2Fstep%2F0%2Fact&"), "{sent}");

    // A playbook's own mark stays.
    let own = json!({ "title": "x", "external_id": "case-7" });
    let (answer, system) = asked(says(200, &json!({ "result": [] })), &own).await;
    assert_eq!(output(answer)["asked"], "ServiceNow was asked for `case-7`");
    assert!(system.requests.lock()[0].contains("correlation_id=case-7&"));
}

#[tokio::test]
async fn only_what_is_declared_to_mean_no_is_a_no() {
    let input = json!({ "title": "x" });
    let no = |answer| output(answer)["found"] == json!(false);
    let other = json!({ "sys_id": "b2", "number": "INC2", "correlation_id": "somebody-else" });
    // An instance that leaves out the filter answers with the tickets of others.
    for body in [json!({ "result": [] }), json!({ "result": [other, { "sys_id": "c", "number": "INC3" }] })] {
        let (answer, _peer) = asked(says(200, &body), &input).await;
        assert!(no(answer), "{body}");
    }
    let two = json!({ "sys_id": "a", "number": "INC1", "correlation_id": MARK });
    for (act, code, class) in [
        (says(404, &json!({ "error": "no such table" })), "not-found", FailureClass::Permanent),
        (says(401, &json!({})), "not-allowed", FailureClass::Permanent),
        (says(500, &json!({})), "server-error", FailureClass::Unknown),
        (says(200, &json!({ "result": [two, two] })), "ambiguous", FailureClass::Permanent),
        (says(200, &json!({ "records": [] })), "answer-unlisted", FailureClass::Permanent),
        (Act::SayAndReset(b"HTTP/1.1 200 OK\r\n".to_vec()), "", FailureClass::Unknown),
    ] {
        let (answer, _peer) = asked(act, &input).await;
        let failure = failure(answer);
        assert!(code.is_empty() || failure.code == code, "{failure:?}");
        assert_eq!(failure.class, class, "{failure:?}");
    }
}

#[tokio::test]
async fn what_declares_no_way_to_be_asked_is_not_asked() {
    let setup = shipped(&[("smtp", "smtp://127.0.0.1:9", &[], "")]);
    let answer = setup.part(Part::Reconcile, "smtp", "send", &json!({}), None, TIMEOUT).await;
    assert_eq!(failure(answer).code, "no-reconciling");
}

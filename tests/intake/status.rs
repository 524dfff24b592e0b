//! Whether a finding still stands, in the words that its detector's documentation
//! lists; and a notice that it ended is about the same finding as the one before.

use quell::domain::alert::FindingStatus;
use serde_json::{Map, Value, json};

use crate::{one, spec};

/// Puts a value where a dotted path leads; numbers are places in lists.
fn put(value: &mut Value, path: &str, new: Value) {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let inner = match (value, first.parse::<usize>()) {
        (Value::Array(list), Ok(at)) => &mut list[at],
        (other, _) => {
            if !other.is_object() {
                *other = Value::Object(Map::new());
            }
            other.as_object_mut().expect("a map").entry(first).or_insert(Value::Null)
        }
    };
    match rest {
        Some(rest) => put(inner, rest, new),
        None => *inner = new,
    }
}

/// The source, a payload, where it says how the finding stands, the words for open,
/// and the words for closed.
fn cases() -> Vec<(&'static str, Value, &'static str, Value, Value)> {
    let alert = json!({"_id": "e1", "_source": {"kibana.alert.uuid": "e1", "kibana.alert.rule.name": "r"}});
    let nested = json!({"kibana": {"alert": {"uuid": "e1", "rule": {"name": "r"}}}});
    let incident = json!({"name": "s1", "properties": {"title": "t"}});
    let finding = json!({"finding_info": {"uid": "o1", "title": "t"}, "class_uid": 2004, "activity_id": 2});
    let case = json!({"finding_info": {"uid": "o1", "title": "t"}, "class_uid": 2005, "activity_id": 2});
    let identity = json!({"metadata": {"eventType": "IdentityProtectionEvent"}, "event": {"IdentityProtectionIncidentId": "p1", "IncidentType": "t"}});
    let code = |kind: &str| json!({"action": "x", "alert": {"number": 3, kind: "n", "rule": {"description": "d"}}, "repository": {"full_name": "a/b"}});
    let secret = json!({"action": "created", "alert": {"number": 3, "secret_type": "key"}, "repository": {"full_name": "a/b"}});
    vec![
        (
            "alertmanager",
            json!({"alerts": [{"fingerprint": "a1", "labels": {"alertname": "x"}}]}),
            "alerts/0/status",
            json!(["firing"]),
            json!(["resolved"]),
        ),
        (
            "crowdstrike",
            json!({"resources": [{"composite_id": "c1", "display_name": "x"}]}),
            "resources/0/status",
            json!(["new", "in_progress", "reopened", "true_positive"]),
            json!(["closed"]),
        ),
        (
            "crowdstrike",
            json!({"metadata": {"eventType": "IncidentSummaryEvent"}, "event": {"IncidentID": "i1"}}),
            "event/State",
            json!(["open"]),
            json!(["closed"]),
        ),
        (
            "crowdstrike",
            identity,
            "event/State",
            json!(["NEW", "IN_PROGRESS"]),
            json!(["RESOLVED", "CLOSED"]),
        ),
        (
            "datadog",
            json!({"data": {"id": "d1", "attributes": {"message": "x", "status": "high"}}}),
            "data/attributes/custom/workflow/triage/state",
            json!(["open", "under_review"]),
            json!(["archived"]),
        ),
        (
            "defender-xdr",
            json!({"value": [{"incidentId": 7, "incidentName": "x"}]}),
            "value/0/status",
            json!(["Active", "InProgress", "Redirected"]),
            json!(["Resolved"]),
        ),
        (
            "defender-xdr",
            json!({"id": "da1", "title": "x"}),
            "status",
            json!(["Unknown", "New", "InProgress"]),
            json!(["Resolved"]),
        ),
        (
            "elastic-security",
            alert,
            "_source/kibana.alert.workflow_status",
            json!(["open", "acknowledged"]),
            json!(["closed"]),
        ),
        (
            "elastic-security",
            nested,
            "kibana/alert/workflow_status",
            json!(["open", "acknowledged"]),
            json!(["closed"]),
        ),
        (
            "generic",
            json!({"id": 1, "title": "x"}),
            "status",
            json!(["open", "new", "ok", "done", "ended", "benign", "remediated", "mitigated", "deleted"]),
            json!([
                "closed",
                "Resolved",
                "dismissed",
                "fixed",
                "archived",
                "suppressed",
                "auto-dismissed",
                "False Positive"
            ]),
        ),
        (
            "github-webhook",
            code("state_of"),
            "alert/state",
            json!(["open"]),
            json!(["dismissed", "fixed", "resolved", "auto_dismissed"]),
        ),
        (
            "github-webhook",
            secret,
            "action",
            json!(["created", "reopened", "validated"]),
            json!(["resolved"]),
        ),
        (
            "github-webhook",
            code("state_of"),
            "action",
            json!(["created", "reopened_by_user", "reintroduced"]),
            json!(["closed_by_user", "fixed", "dismissed"]),
        ),
        (
            "google-alert-center",
            json!({"alertId": "g1", "type": "Leaked password"}),
            "metadata/status",
            json!(["NOT_STARTED", "IN_PROGRESS"]),
            json!(["CLOSED"]),
        ),
        (
            "google-alert-center",
            json!({"alertId": "g1", "type": "Leaked password"}),
            "deleted",
            json!([false]),
            json!([true]),
        ),
        (
            "guardduty",
            json!({"detail": {"id": "gd1", "title": "x"}}),
            "detail/service/archived",
            json!([false]),
            json!([true]),
        ),
        (
            "guardduty",
            json!({"Findings": null, "Id": "gd1", "Title": "x"}),
            "Service/Archived",
            json!([false]),
            json!([true]),
        ),
        (
            "incydr",
            json!({"alerts": [{"id": "i1", "name": "x"}]}),
            "alerts/0/state",
            json!(["OPEN", "PENDING", "IN_PROGRESS"]),
            json!(["RESOLVED"]),
        ),
        (
            "msgraph-alerts-v2",
            json!({"id": "m1", "title": "x"}),
            "status",
            json!(["new", "newAlert", "inProgress", "unknownFutureValue"]),
            json!(["resolved"]),
        ),
        ("ocsf-detection-finding", finding.clone(), "status_id", json!([0, 1, 2, 99]), json!([3, 4, 5, 6])),
        ("ocsf-detection-finding", finding.clone(), "activity_id", json!([1, 2]), json!([3])),
        ("ocsf-detection-finding", case.clone(), "status_id", json!([0, 1, 2, 3, 99]), json!([4, 5])),
        (
            "ocsf-detection-finding",
            case,
            "status",
            json!(["New", "In Progress", "On Hold"]),
            json!(["Resolved", "Closed"]),
        ),
        (
            "ocsf-detection-finding",
            finding,
            "status",
            json!(["New", "In Progress"]),
            json!(["Resolved", "Suppressed", "Archived", "Deleted"]),
        ),
        (
            "purview-dlp",
            json!({"AlertId": "p1", "Name": "x"}),
            "Status",
            json!(["Active", "Investigating"]),
            json!(["Resolved", "Dismissed"]),
        ),
        (
            "securonix",
            json!({"incidentId": "10134", "incidentType": "Policy"}),
            "statusCompleted",
            json!([false]),
            json!([true]),
        ),
        (
            "securonix",
            json!({"incidentId": "10134", "incidentType": "Policy"}),
            "incidentStatus",
            json!(["OPEN", "In Progress"]),
            json!(["COMPLETED", "Closed"]),
        ),
        ("sentinel", incident, "properties/status", json!(["New", "Active"]), json!(["Closed"])),
        (
            "sentinelone",
            json!({"threatInfo": {"threatId": "1", "threatName": "x"}}),
            "threatInfo/incidentStatus",
            json!(["unresolved", "in_progress"]),
            json!(["resolved"]),
        ),
        (
            "sentinelone",
            json!({"alertInfo": {"alertId": "1"}, "ruleInfo": {"name": "x"}}),
            "alertInfo/incidentStatus",
            json!(["Unresolved", "In progress"]),
            json!(["Resolved"]),
        ),
    ]
}

#[test]
fn a_notice_that_a_finding_ended_is_closed_and_about_the_same_finding() {
    let mut wrong = Vec::new();
    for (source, payload, path, open, closed) in cases() {
        let spec = spec(source);
        let before = one(&spec, &payload);
        let words = |list: &Value, status| -> Vec<(Value, FindingStatus)> {
            list.as_array().expect("words").iter().map(|word| (word.clone(), status)).collect()
        };
        let all = words(&open, FindingStatus::Open).into_iter().chain(words(&closed, FindingStatus::Closed));
        for (word, expected) in all {
            let mut changed = payload.clone();
            put(&mut changed, path, word.clone());
            let after = one(&spec, &changed);
            if after.status != expected {
                wrong.push(format!("{source}: {path} = {word} is {:?}", after.status));
            }
            if after.source_id.is_none()
                || after.source_id != before.source_id
                || after.fingerprint != before.fingerprint
            {
                wrong.push(format!("{source}: {path} = {word} is another finding"));
            }
        }
        if before.status != FindingStatus::Open {
            wrong.push(format!("{source}: without {path} it is {:?}", before.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What happens to memberships and repositories is no end of a finding.
#[test]
fn what_was_done_to_something_else_does_not_close_a_finding() {
    let member = json!({"action": "deleted", "member": {"login": "x"}, "repository": {"full_name": "a/b"}});
    assert_eq!(one(&spec("github-webhook"), &member).status, FindingStatus::Open);
    let threat = json!({"threatInfo": {"threatId": "1", "threatName": "x", "mitigationStatus": "mitigated", "incidentStatus": "unresolved"}});
    assert_eq!(one(&spec("sentinelone"), &threat).status, FindingStatus::Open);
    let report = json!({"metadata": {"eventType": "ScheduledReportNotificationEvent"}, "event": {"ReportName": "r", "Status": "DONE"}});
    let audit = json!({"metadata": {"eventType": "UserActivityAuditEvent"}, "event": {"OperationName": "o", "Status": "closed", "status": "closed", "State": "closed"}});
    for event in [report, audit] {
        assert_eq!(one(&spec("crowdstrike"), &event).status, FindingStatus::Open, "{event}");
    }
    for class in [json!(3001), json!(2008), json!(1001), Value::Null] {
        let change = json!({"metadata": {"uid": "m"}, "message": "x", "class_uid": class, "activity_id": 3, "status_id": 4, "status": "Closed"});
        assert_eq!(one(&spec("ocsf-detection-finding"), &change).status, FindingStatus::Open, "{class}");
    }
    let fires = json!({"kibana.alert.uuid": "e", "kibana.alert.rule.name": "r", "kibana.alert.status": "recovered", "kibana.alert.workflow_status": "open"});
    assert_eq!(one(&spec("elastic-security"), &fires).status, FindingStatus::Open);
}

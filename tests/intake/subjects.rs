//! Whom an alert is about, who did it, and which accounts are no person: other
//! events of the same vendors than those in the samples, made up.

use quell::domain::alert::{Alert, User};
use serde_json::{Value, json};

use crate::{one, own, spec, take, take_as};

fn who(user: &User) -> Option<&str> {
    [&user.email, &user.name, &user.id].into_iter().find_map(Option::as_deref)
}

fn parties(alert: &Alert) -> (Option<&str>, Option<&str>) {
    (who(&alert.user), who(&alert.actor))
}

fn of(source: &str, payload: &Value) -> Alert {
    one(&spec(source), payload)
}

#[test]
fn who_did_it_is_never_taken_for_the_one_it_was_done_to() {
    let admin =
        json!({"id": "1", "type": "User", "alternateId": "admin@example.com", "displayName": "Admin"});
    let person = json!({"id": "2", "type": "User", "alternateId": "ann@example.com", "displayName": "Ann"});
    let app = json!({"id": "3", "type": "AppInstance", "alternateId": "Wiki", "displayName": "Wiki"});
    let system = json!({"id": "s", "type": "SystemPrincipal", "alternateId": "system@okta.com"});
    let okta = |kind: &str, actor: &Value, target: &Value| json!({"eventType": kind, "displayMessage": "x", "severity": "INFO", "actor": actor, "target": target});
    let both = (Some("ann@example.com"), Some("admin@example.com"));
    for (source, payload, expected) in [
        ("okta-system-log", okta("user.lifecycle.suspend", &admin, &json!([person])), both),
        ("okta-system-log", okta("policy.rule.update", &admin, &json!([app])), (None, both.1)),
        ("okta-system-log", okta("policy.rule.update", &admin, &Value::Null), (None, both.1)),
        ("okta-system-log", okta("user.authentication.sso", &person, &json!([app])), (both.0, both.0)),
        ("okta-system-log", okta("user.session.start", &person, &Value::Null), (both.0, both.0)),
        (
            "okta-system-log",
            okta("user.session.start", &system, &Value::Null),
            (None, Some("system@okta.com")),
        ),
        (
            "okta-system-log",
            okta("group.user_membership.add", &admin, &json!([person, admin])),
            (None, both.1),
        ),
        (
            "google-reports",
            json!({"id": {"applicationName": "admin"}, "actor": {"email": "admin@example.com"},
                "events": [{"name": "CHANGE_PASSWORD", "parameters": [{"name": "USER_EMAIL", "value": "ann@example.com"}]}]}),
            both,
        ),
        (
            "google-reports",
            json!({"id": {"applicationName": "admin"}, "actor": {"email": "admin@example.com"}, "events": [{"name": "CHANGE_APPLICATION_SETTING"}]}),
            (None, both.1),
        ),
        (
            "purview-dlp",
            json!({"Operation": "Set-DlpCompliancePolicy", "RecordType": 1, "UserType": 2, "UserId": "admin@example.com", "Workload": "Exchange"}),
            (None, both.1),
        ),
    ] {
        assert_eq!(parties(&of(source, &payload)), expected, "{source} {payload}");
    }
}

#[test]
fn in_other_systems_too_administrators_and_owners_are_not_the_subject() {
    let both = (Some("ann@example.com"), Some("admin@example.com"));
    for (source, payload, expected) in [
        (
            "crowdstrike",
            json!({"metadata": {"eventType": "RemoteResponseSessionStartEvent"}, "event": {"UserName": "admin@example.com", "HostnameField": "LT-1"}}),
            (None, both.1),
        ),
        (
            "slack-audit",
            json!({"action": "user_deactivated", "actor": {"type": "user", "user": {"email": "admin@example.com"}},
                "entity": {"type": "user", "user": {"email": "ann@example.com"}}}),
            both,
        ),
        (
            "box",
            json!({"event_type": "DELETE_USER", "created_by": {"login": "admin@example.com"}, "source": {"type": "user", "login": "ann@example.com"}}),
            both,
        ),
        (
            "box",
            json!({"event_type": "SHARED_LINK_POLICY", "created_by": {"login": "admin@example.com"}}),
            (None, both.1),
        ),
        ("snowflake", json!({"QUERY_TYPE": "ALTER_USER", "USER_NAME": "DBA"}), (None, Some("DBA"))),
        (
            "github-webhook",
            json!({"action": "added", "member": {"login": "ann"}, "sender": {"login": "adm", "type": "User"}}),
            (Some("ann"), Some("adm")),
        ),
        (
            "splunk",
            json!({"search_name": "x", "owner": "admin", "result": {"user": "ann", "src_user": "adm"}}),
            (Some("ann"), Some("adm")),
        ),
        (
            "wazuh",
            json!({"rule": {"description": "sudo", "level": 3}, "data": {"srcuser": "ann", "dstuser": "root"}}),
            (None, Some("ann")),
        ),
        (
            "onepassword",
            json!({"uuid": "u", "action": "grant", "object_type": "vault", "actor_details": {"email": "admin@example.com"}}),
            (None, both.1),
        ),
    ] {
        assert_eq!(parties(&of(source, &payload)), expected, "{source} {payload}");
    }
}

#[test]
fn of_several_users_nobody_is_the_subject_and_one_is() {
    let user = |name: &str| json!({"@odata.type": "#microsoft.graph.security.userEvidence", "userAccount": {"userPrincipalName": name}});
    let process = json!({"@odata.type": "#microsoft.graph.security.processEvidence", "userAccount": {"accountName": "SYSTEM"}});
    let graph = |evidence: Value| {
        of("msgraph-alerts-v2", &json!({"id": "1", "title": "x", "severity": "high", "evidence": evidence}))
    };
    let two = graph(json!([user("a@example.com"), user("b@example.com")]));
    assert_eq!((who(&two.user), two.users.len()), (None, 2));
    let twice = graph(json!([user("a@example.com"), process, user("A@example.com")]));
    assert_eq!((who(&twice.user), twice.users.len()), (Some("a@example.com"), 1));
    let context = json!({"@odata.type": "#microsoft.graph.security.userEvidence", "roles": ["contextual"],
        "userAccount": {"userPrincipalName": "c@example.com"}});
    assert_eq!(who(&graph(json!([context])).user), None);
    let mails =
        of("proofpoint-email", &json!({"subject": "x", "recipient": ["a@example.com", "b@example.com"]}));
    assert_eq!((who(&mails.user), mails.users.len()), (None, 2));
}

#[test]
fn accounts_of_programs_are_marked() {
    let role = of(
        "guardduty",
        &json!({"title": "x", "severity": 8.0,
        "resource": {"accessKeyDetails": {"userName": "deploy", "userType": "AssumedRole"}}}),
    );
    assert!(role.user.service && role.severity == 75);
    let person = of(
        "guardduty",
        &json!({"detail": {"title": "x", "severity": 2,
        "resource": {"accessKeyDetails": {"userName": "ann", "userType": "IAMUser"}}}}),
    );
    assert!(!person.user.service && person.severity == 25);
    let bot = of(
        "github-webhook",
        &json!({"action": "removed", "member": {"login": "ann"}, "sender": {"login": "b", "type": "Bot"}}),
    );
    assert!(bot.actor.service && !bot.user.service);
    let alert =
        json!({"alerts": [{"labels": {"alertname": "x", "user": "CORP\\svc-backup", "severity": "page"}}]});
    let alert = of("alertmanager", &alert);
    assert_eq!(
        (alert.user.service, alert.severity, alert.vendor_severity.as_deref()),
        (true, 50, Some("page"))
    );
}

#[test]
fn what_lies_inside_is_the_alert_and_the_rest_stays_in_sight() {
    let spec = own(
        "source: s\ntitle: S\ninside: [ detail, _source ]\nfields: { title: \"${ outer.id }: ${ raw.t }\", user.name: \"${ raw.u }\" }\n",
    );
    let event = json!({"id": 7, "detail": {"t": "x", "u": "ann"}});
    let alert = one(&spec, &event);
    assert_eq!((&*alert.title, &alert.raw), ("7: x", &event));
    assert_eq!(one(&spec, &json!({"id": 7, "t": "y", "detail": "a text"})).title, "7: y");
}

#[test]
fn every_list_of_a_page_counts_where_the_source_says_so() {
    let page = json!({"messagesDelivered": [{"subject": "a"}], "messagesBlocked": [], "clicksPermitted": [
        {"classification": "phish", "recipient": "ann@example.com", "clickTime": "2026-03-01T10:00:00Z"}], "clicksBlocked": []});
    let alerts = take(&spec("proofpoint-email"), page.to_string()).expect("alerts");
    assert_eq!(alerts.len(), 2);
    assert_eq!((who(&alerts[1].user), &*alerts[1].title), (Some("ann@example.com"), "Click on phish"));
}

#[test]
fn one_text_over_several_lines_is_no_list_of_lines() {
    let spec = spec("okta-system-log");
    let pretty = serde_json::to_string_pretty(
        &json!([{"uuid": "1", "displayMessage": "a"}, {"uuid": "2", "displayMessage": "b"}]),
    );
    assert_eq!(take(&spec, pretty.expect("JSON")).map(|alerts| alerts.len()), Ok(2));
    let refusal = take_as(&spec, b"{\"displayMessage\":\"a\"}\n{", None).expect_err("refused").to_string();
    assert!(refusal.contains("line 2"), "{refusal}");
}

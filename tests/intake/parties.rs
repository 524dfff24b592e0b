//! Whom the events of a vendor's documentation are about: what people do to others,
//! accounts that are nobody, and two people who must never become one.

use quell::domain::alert::{Alert, Category, User};
use serde_json::{Value, json};

use crate::{one, own, spec};

/// A user as one text: name or address, id, and `!` for an account of a program.
pub fn told(user: &User) -> String {
    let parts = [&user.email, &user.name, &user.id].into_iter().flatten();
    let text = parts.map(String::as_str).collect::<Vec<_>>().join(" ");
    if user.service { text + "!" } else { text }
}

/// Subject, actor, and everybody who is listed.
fn parties(alert: &Alert) -> [String; 3] {
    let all: Vec<String> = alert.users.iter().map(told).collect();
    [told(&alert.user), told(&alert.actor), all.join(", ")]
}

/// Checks cases of `(payload, subject, actor, users)` and shows every one that is wrong.
fn check(source: &str, cases: &[(Value, &str, &str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(payload, subject, actor, users)| {
            let found = parties(&one(&spec(source), payload));
            (found != [*subject, *actor, *users]).then(|| format!("{payload}\n  {found:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{source}:\n{}", wrong.join("\n"));
}

const ANN: &str = "ann@example.com";
const ADMIN: &str = "admin@example.com";

#[test]
fn google_activities() {
    let activity = |app: &str, event: Value| json!({"id": {"applicationName": app, "uniqueQualifier": "q"}, "actor": {"email": ADMIN, "profileId": "9"}, "events": [event]});
    let flat = |app: &str, kind: &str, name: &str, parameters: Value| json!({"id": {"applicationName": app}, "actor": {"email": ADMIN, "profileId": "9"}, "type": kind, "name": name, "parameters": parameters});
    let user =
        |key: &str| json!([{"name": "group_email", "value": "all@example.com"}, {"name": key, "value": ANN}]);
    let (doer, silent) = ("admin@example.com 9", "");
    check(
        "google-reports",
        &[
            (
                activity(
                    "groups",
                    json!({"type": "moderator_action", "name": "add_user", "parameters": user("user_email")}),
                ),
                ANN,
                doer,
                ANN,
            ),
            (
                activity(
                    "groups",
                    json!({"name": "ban_user_with_moderation", "parameters": user("user_email")}),
                ),
                ANN,
                doer,
                ANN,
            ),
            (
                activity(
                    "groups",
                    json!({"name": "delete_group", "parameters": [{"name": "group_email", "value": "all@example.com"}]}),
                ),
                silent,
                doer,
                silent,
            ),
            (flat("groups", "moderator_action", "add_user", json!({"user_email": ANN})), ANN, doer, ANN),
            (
                flat(
                    "groups",
                    "acl_change",
                    "change_acl_permission",
                    json!({"group_email": "all@example.com"}),
                ),
                silent,
                doer,
                silent,
            ),
            (
                activity(
                    "login",
                    json!({"type": "login", "name": "suspicious_login", "parameters": user("affected_email_address")}),
                ),
                ANN,
                doer,
                ANN,
            ),
            (
                activity(
                    "mobile",
                    json!({"name": "DEVICE_COMPROMISED_EVENT", "parameters": user("USER_EMAIL")}),
                ),
                ANN,
                doer,
                ANN,
            ),
            (
                activity(
                    "login",
                    json!({"type": "account_warning", "name": "account_disabled_hijacked", "parameters": []}),
                ),
                silent,
                doer,
                silent,
            ),
            (flat("login", "account_warning", "account_disabled_hijacked", json!({})), silent, doer, silent),
            (
                flat("login", "login", "suspicious_login", json!({"affected_email_address": "redacted"})),
                silent,
                doer,
                silent,
            ),
            (activity("login", json!({"type": "login", "name": "login_failure"})), doer, doer, doer),
            (flat("drive", "access", "download", json!({"doc_title": "t"})), doer, doer, doer),
            (
                activity(
                    "drive",
                    json!({"type": "access", "name": "download", "parameters": [{"name": "doc_title", "value": "t"}]}),
                ),
                doer,
                doer,
                doer,
            ),
            (activity("admin", json!({"name": "CHANGE_APPLICATION_SETTING"})), silent, doer, silent),
        ],
    );
}

#[test]
fn google_alerts() {
    let phishing = |kind: &str, internal: bool| {
        json!({"alertId": "a", "type": kind, "source": "Gmail phishing", "data": {"@type": "type.googleapis.com/google.apps.alertcenter.type.MailPhishing",
            "isInternal": internal, "maliciousEntity": {"fromHeader": "x@evil.example", "entity": {"emailAddress": "mallory@example.com"}},
            "messages": [{"recipient": ANN, "subjectText": "s"}]}})
    };
    let affected = |kind: &str| json!({"alertId": "a", "type": kind, "data": {"@type": format!("type.googleapis.com/google.apps.alertcenter.type.{kind}"), "affectedUserEmails": [ANN]}});
    let mallory = "mallory@example.com";
    check(
        "google-alert-center",
        &[
            (phishing("User reported phishing", false), "", "", ""),
            (phishing("User reported spam spike", false), "", "", ""),
            (phishing("Suspicious message reported", false), "", "", ""),
            (phishing("Gmail potential employee spoofing", false), "", "", ""),
            (phishing("User reported phishing", true), mallory, "", mallory),
            (phishing("Phishing reclassification", false), ANN, "", ANN),
            (affected("GoogleOperations"), "", "", ""),
            (affected("AppsOutage"), "", "", ""),
        ],
    );
}

#[test]
fn salesforce_events() {
    let event = |kind: &str, more: Value| {
        let mut event =
            json!({"attributes": {"type": kind}, "EventIdentifier": "e", "Username": ANN, "UserId": "005A"});
        event.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        event
    };
    check(
        "salesforce",
        &[
            (event("LoginAsEvent", json!({"DelegatedUsername": ADMIN})), ADMIN, ADMIN, ADMIN),
            (event("LoginAsEventStream", json!({"DelegatedUsername": null})), "", "", ""),
            (
                json!({"EVENT_TYPE": "LoginAs", "REQUEST_ID": "r", "USER_NAME": ANN, "USER_ID": "005A", "USER_ID_DERIVED": "005AAA",
                    "DELEGATED_USER_NAME": ADMIN, "DELEGATED_USER_ID": "005B", "DELEGATED_USER_ID_DERIVED": "005BBB"}),
                "admin@example.com 005BBB",
                "admin@example.com 005BBB",
                "admin@example.com 005BBB",
            ),
            (
                event("PermissionSetEvent", json!({"ImpactedUserIds": "005C"})),
                "005C",
                "ann@example.com 005A",
                "005C",
            ),
            (
                event("PermissionSetEventStore", json!({"ImpactedUserIds": ["005C"]})),
                "005C",
                "ann@example.com 005A",
                "005C",
            ),
            (
                event("PermissionSetEvent", json!({"ImpactedUserIds": "005C,005D"})),
                "",
                "ann@example.com 005A",
                "",
            ),
            (event("PermissionSetEvent", json!({})), "", "ann@example.com 005A", ""),
            (
                event("ReportEvent", json!({"DelegatedUsername": null})),
                "ann@example.com 005A",
                "",
                "ann@example.com 005A",
            ),
            (
                event("ApiEvent", json!({"Username": "autoproc@00dxx0000001234"})),
                "autoproc@00dxx0000001234 005A!",
                "",
                "autoproc@00dxx0000001234 005A!",
            ),
        ],
    );
}

#[test]
fn purview_records() {
    let record = |kind: u32, user: &str, more: Value| {
        let mut record = json!({"Id": "i", "RecordType": kind, "Operation": "DlpRuleMatch", "Workload": "Exchange", "UserType": 0, "UserId": user});
        record.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        record
    };
    let alert = |category: &str| {
        json!({"AlertId": "a", "Name": "n", "Category": category, "RecordType": 40, "UserId": "SecurityComplianceAlerts",
            "Data": json!({"f3u": ANN, "mfrm": "sender@example.com"}).to_string()})
    };
    let app = "c0ffee00-0000-4000-8000-000000000001";
    let marked = "c0ffee00-0000-4000-8000-000000000001!";
    check(
        "purview-dlp",
        &[
            (record(13, "DlpAgent", json!({"ExchangeMetaData": {"From": ANN}})), ANN, "", ANN),
            (record(11, "DlpAgent", json!({"SharePointMetaData": {"From": ANN}})), ANN, "", ANN),
            (
                record(
                    11,
                    "DlpAgent",
                    json!({"SharePointMetaData": {"From": "urn:spo:guest#x@other.example"}}),
                ),
                "",
                "",
                "",
            ),
            (record(13, ANN, json!({"ExchangeMetaData": {"From": "other@example.com"}})), ANN, ANN, ANN),
            (record(14, "DlpAgent", json!({"ExchangeMetaData": {"From": ANN}})), ANN, "", ANN),
            (record(6, "anonymous", json!({})), "", "", ""),
            (record(6, "urn:spo:anon#1c2d", json!({})), "", "", ""),
            (record(6, "urn:spo:guest#x@other.example", json!({})), "", "", ""),
            (record(6, app, json!({"UserType": 5})), marked, marked, marked),
            (record(6, ANN, json!({"UserType": 5})), ANN, ANN, ANN),
            (record(1, app, json!({"UserType": 6, "Operation": "Set-TransportRule"})), "", marked, ""),
            // A service never stands where a person is named.
            (
                record(13, app, json!({"UserType": 5, "ExchangeMetaData": {"From": ANN}})),
                ANN,
                marked,
                "ann@example.com, c0ffee00-0000-4000-8000-000000000001!",
            ),
            (
                record(11, "urn:spo:guest#x@o.example", json!({"SharePointMetaData": {"From": ANN}})),
                "",
                "",
                "",
            ),
            (record(13, "DlpAgent", json!({"UserType": 4, "ExchangeMetaData": {"From": ANN}})), ANN, "", ANN),
            (record(28, ANN, json!({})), "", ANN, ""),
            (alert("DataLossPrevention"), ANN, "", ANN),
            (alert("ThreatManagement"), "", "", ""),
        ],
    );
}

#[test]
fn box_events() {
    let shield = |user: Value| {
        json!({"event_id": "e", "event_type": "SHIELD_ALERT", "created_by": {"login": ADMIN}, "source": {"type": "user", "id": "7", "login": "bob@example.com", "name": "Bob"},
            "additional_details": {"shield_alert": {"rule_category": "Anomalous Download", "user": user}}})
    };
    let event = json!({"event_type": "DELETE_USER", "additional_details": null, "source": {"type": "user", "id": "7", "login": ANN, "name": "Ann"}});
    let silent = json!({"event_type": "SHIELD_ALERT", "source": {"type": "user", "id": "7", "login": "bob@example.com", "name": "Bob"},
        "additional_details": "{\"shield_alert\":{\"rule_category\":\"x\"}}"});
    check(
        "box",
        &[
            (shield(json!({"email": ANN})), ANN, ADMIN, ANN),
            (shield(json!({"id": "8"})), "8", ADMIN, "8"),
            (shield(Value::Null), "", ADMIN, ""),
            (silent, "bob@example.com Bob 7", "", "bob@example.com Bob 7"),
            (event, "ann@example.com Ann 7", "", "ann@example.com Ann 7"),
            (
                json!({"event_type": "DOWNLOAD", "created_by": {"login": "AutomationUser_12_x@boxdevedition.com"}, "source": {"type": "file", "name": "f"}}),
                "AutomationUser_12_x@boxdevedition.com!",
                "AutomationUser_12_x@boxdevedition.com!",
                "AutomationUser_12_x@boxdevedition.com!",
            ),
        ],
    );
}

#[test]
fn windows_events_by_wazuh() {
    let event = |id: Value, data: Value| json!({"id": "w", "rule": {"description": "d", "level": 5}, "data": {"win": {"system": {"eventID": id}, "eventdata": data}}});
    let group = |member: Value| {
        let mut data = json!({"targetUserName": "Domain Admins", "targetSid": "S-1-5-21-1-512", "subjectUserName": "adm"});
        data.as_object_mut().expect("a map").extend(member.as_object().expect("a map").clone());
        data
    };
    let named = json!({"memberName": "CN=Ann,DC=example,DC=com", "memberSid": "S-1-5-21-1-1104"});
    let ann = "CN=Ann,DC=example,DC=com S-1-5-21-1-1104";
    let mut cases = Vec::new();
    for id in ["4728", "4729", "4732", "4733", "4756", "4757"] {
        cases.push((event(json!(id), group(named.clone())), ann, "adm", ann));
    }
    for id in ["4727", "4730", "4731", "4734", "4735", "4737", "4754", "4755", "4758", "4764", "4799"] {
        cases.push((event(json!(id), group(json!({}))), "", "adm", ""));
    }
    cases.push((
        event(json!("4732"), group(json!({"memberName": "-", "memberSid": "S-1-5-21-1-1104"}))),
        "S-1-5-21-1-1104",
        "adm",
        "S-1-5-21-1-1104",
    ));
    cases.push((event(json!(4728), group(json!({"memberName": "-"}))), "", "adm", ""));
    cases.push((
        event(json!("4720"), json!({"targetUserName": "ann", "subjectUserName": "adm"})),
        "ann",
        "adm",
        "ann",
    ));
    cases.push((event(json!("4624"), json!({"targetUserName": "DWM-1"})), "DWM-1!", "", "DWM-1!"));
    check("wazuh", &cases);
    let sudo = json!({"rule": {"description": "sudo", "level": 3}, "data": {"dstuser": "root(uid=0)"}});
    check("wazuh", &[(sudo, "root(uid=0)!", "", "root(uid=0)!")]);
}

#[test]
fn targets_in_the_elastic_schema() {
    let alert = |more: Value| {
        let mut alert = json!({"kibana.alert.uuid": "e", "kibana.alert.rule.name": "r"});
        alert.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        alert
    };
    check(
        "elastic-security",
        &[
            (alert(json!({"user.target.name": "ann", "user.name": "adm"})), "ann", "adm", "ann"),
            (
                alert(
                    json!({"user.target.email": ANN, "user.email": ADMIN, "user.name": "adm", "user.id": "1"}),
                ),
                ANN,
                "admin@example.com adm 1",
                ANN,
            ),
            (
                alert(
                    json!({"user.target.id": "7", "user": {"name": "adm"}, "winlog": {"event_data": {"User": "x"}}}),
                ),
                "7",
                "adm",
                "7",
            ),
            (alert(json!({"user": {"target": {"name": "ann"}}, "user.name": "adm"})), "ann", "adm", "ann"),
            (
                alert(json!({"user.name": "ann", "user.email": ANN, "user.id": "1"})),
                "ann@example.com ann 1",
                "",
                "ann@example.com ann 1",
            ),
            (alert(json!({"user": {"name": "ann", "domain": "CORP"}})), "CORP\\ann", "", "CORP\\ann"),
        ],
    );
}

#[test]
fn falcon_events() {
    let event = |kind: &str, event: Value| json!({"metadata": {"eventType": kind}, "event": event});
    let incident = event(
        "IdentityProtectionEvent",
        json!({"IdentityProtectionIncidentId": "INC-1", "IncidentType": "Unusual access", "UserName": "CORP\\ann", "EndpointName": "LT-1"}),
    );
    let alert = one(&spec("crowdstrike"), &incident);
    assert_eq!(
        (&*alert.title, alert.source_id.as_deref()),
        ("Identity protection: Unusual access", Some("INC-1"))
    );
    assert_eq!((alert.category, alert.host.name.as_deref()), (Category::Identity, Some("LT-1")));
    check(
        "crowdstrike",
        &[
            (incident, "CORP\\ann", "", "CORP\\ann"),
            (
                event(
                    "IdentityProtectionEvent",
                    json!({"SourceAccountName": "ann", "UserName": "other@example.com"}),
                ),
                "ann",
                "",
                "ann",
            ),
            (
                event(
                    "EppDetectionSummaryEvent",
                    json!({"Name": "n", "UserName": "other@example.com", "SourceAccountName": "ann"}),
                ),
                "ann",
                "",
                "ann",
            ),
            (
                event(
                    "EppDetectionSummaryEvent",
                    json!({"Name": "n", "UserName": "ann", "SourceAccountName": ""}),
                ),
                "ann",
                "",
                "ann",
            ),
        ],
    );
}

#[test]
fn a_service_that_did_it_is_no_mark_on_whom_it_was_done_to() {
    let finding = |evidence: Value| json!({"class_uid": 2004, "finding_info": {"uid": "o", "title": "t"}, "evidences": [evidence]});
    check(
        "ocsf-detection-finding",
        &[
            (
                finding(json!({"user": {"name": "ann"}, "actor": {"user": {"name": "job", "type_id": 4}}})),
                "ann",
                "job!",
                "ann",
            ),
            (finding(json!({"actor": {"user": {"name": "job", "type_id": 4}}})), "job!", "", "job!"),
            (finding(json!({"user": {"name": "ann", "type_id": 1}})), "ann", "", "ann"),
        ],
    );
}

#[test]
fn github_accounts() {
    check(
        "github-audit",
        &[
            (
                json!({"action": "git.clone", "actor": "ann", "actor_id": "1", "user": "", "user_id": "2"}),
                "ann 1",
                "ann 1",
                "ann 1",
            ),
            (
                json!({"action": "org.add_member", "actor": "adm", "user": "ann", "user_id": "2"}),
                "ann 2",
                "adm",
                "ann 2",
            ),
        ],
    );
}

#[test]
fn the_collector_is_not_the_machine() {
    let alert =
        one(&spec("splunk"), &json!({"search_name": "x", "result": {"host": "collector", "dest": "LT-1"}}));
    assert_eq!(alert.host.name.as_deref(), Some("LT-1"));
    let alert = one(&spec("splunk"), &json!({"search_name": "x", "result": {"host": "LT-1"}}));
    assert_eq!(alert.host.name.as_deref(), Some("LT-1"));
}

#[test]
fn two_people_are_not_mixed_and_a_list_is_nobody() {
    let spec = own(
        "source: s\ntitle: S\nfields: { title: x, user.email: [ \"${ raw.a }\", \"${ raw.b }\" ], user.name: \"${ raw.n }\", user.id: \"${ raw.i }\" }\n",
    );
    for (payload, expected) in [
        (json!({"a": "jdoe", "b": "boss@example.com"}), "boss@example.com"),
        (json!({"a": "jdoe", "b": "JDoe@example.com"}), "JDoe@example.com jdoe"),
        (json!({"a": "CORP\\jdoe", "b": "jdoe@example.com"}), "jdoe@example.com CORP\\jdoe"),
        (json!({"a": "jdoe"}), "jdoe"),
        (json!({"a": "jdoe", "n": "Jo Doe", "b": "j@example.com"}), "j@example.com Jo Doe"),
        (json!({"a": "a@example.com,b@example.com"}), ""),
        (json!({"a": "a@example.com; b@example.com", "n": "a@example.com b@example.com"}), ""),
        (json!({"i": "a@example.com,b@example.com"}), ""),
        (json!({"n": "Doe, Jo"}), "Doe, Jo"),
        (json!({"a": "Doe, Jo <jo@example.com>"}), "Doe, Jo <jo@example.com>"),
    ] {
        assert_eq!(told(&one(&spec, &payload).user), expected, "{payload}");
    }
}

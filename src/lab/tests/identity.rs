//! The identity provider as a SCIM client and an app meet it.

use serde_json::{Value, json};

use super::support::{Dir, Reply, ask, get, lab};
use crate::lab::identity::Faults;
use crate::lab::range::Lab;

const DANA: &str = "dana.whitfield@example.com";

async fn user(lab: &Lab, name: &str) -> Value {
    let url = format!("{}/scim/v2/Users?filter=userName%20eq%20%22{name}%22", lab.identity_url);
    let reply = get(&url, &lab.tokens.identity).await;
    assert_eq!((reply.status, &reply.body["totalResults"]), (200, &json!(1)), "{}", reply.body);
    reply.body["Resources"][0].clone()
}

async fn set_active(lab: &Lab, id: &str, active: Value, if_match: Option<&str>) -> Reply {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "active", "value": active }],
    });
    let headers: Vec<(&str, &str)> = if_match.map(|tag| ("if-match", tag)).into_iter().collect();
    ask(
        "PATCH",
        &format!("{}/scim/v2/Users/{id}", lab.identity_url),
        Some(&lab.tokens.identity),
        &headers,
        Some(body),
    )
    .await
}

fn id(user: &Value) -> &str {
    user["id"].as_str().expect("an id")
}

#[tokio::test]
async fn a_user_is_found_suspended_read_back_and_restored() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let dana = user(&lab, "DANA.whitfield@example.com").await;
    let enterprise = &dana["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"];
    assert_eq!(enterprise["employeeNumber"], "E-20417");
    assert_eq!(enterprise["manager"]["displayName"], "Morgan Reyes");
    assert_eq!((&dana["active"], &dana["userType"]), (&json!(true), &json!("Employee")));

    let suspended = set_active(&lab, id(&dana), json!(false), None).await;
    assert_eq!((suspended.status, suspended.headers["etag"].to_str().ok()), (204, Some("W/\"2\"")));
    let read = get(dana["meta"]["location"].as_str().expect("a location"), &lab.tokens.identity).await;
    assert_eq!(read.headers["content-type"], "application/scim+json");
    assert_eq!((&read.body["active"], &read.body["meta"]["version"]), (&json!(false), &json!("W/\"2\"")));
    assert_eq!(read.headers["etag"], "W/\"2\"");

    assert_eq!(set_active(&lab, id(&dana), json!("True"), Some("W/\"2\"")).await.status, 204);
    assert_eq!(user(&lab, DANA).await["active"], true);
    lab.stop().await;
}

#[tokio::test]
async fn a_change_of_a_version_that_is_gone_is_refused_and_changes_nothing() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let dana = user(&lab, DANA).await;
    let refused = set_active(&lab, id(&dana), json!(false), Some("W/\"9\"")).await;
    assert_eq!((refused.status, &refused.body["status"]), (412, &json!("412")));
    assert_eq!(user(&lab, DANA).await["active"], true);
    // Suspending twice is one modification.
    set_active(&lab, id(&dana), json!(false), None).await;
    set_active(&lab, id(&dana), json!(false), None).await;
    assert_eq!(user(&lab, DANA).await["meta"]["version"], "W/\"2\"");
    let writes: Vec<(u16, bool)> = lab.writes().iter().map(|write| (write.status, write.changed)).collect();
    assert_eq!(writes, [(412, false), (204, true), (204, false)]);
    lab.stop().await;
}

#[tokio::test]
async fn what_the_provider_refuses_comes_as_a_scim_error() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let ours = Some(lab.tokens.identity.as_str());
    let none = Value::Null;
    for (method, path, token, status, scim_type) in [
        ("GET", "", None, 401, &none),
        ("GET", "", Some("wrong"), 401, &none),
        ("GET", "/nobody", ours, 404, &none),
        ("PATCH", "/nobody", ours, 404, &none),
        ("GET", "?filter=active%20pr", ours, 400, &json!("invalidFilter")),
        ("GET", "?count=many", ours, 400, &json!("invalidValue")),
        ("DELETE", "/nobody", ours, 501, &none),
        ("POST", "", ours, 501, &none),
    ] {
        let body = (method == "PATCH").then(|| json!({}));
        let reply = ask(method, &format!("{}/scim/v2/Users{path}", lab.identity_url), token, &[], body).await;
        assert_eq!((reply.status, &reply.body["scimType"]), (status, scim_type), "{method} {path}");
        assert_eq!(
            reply.body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error",
            "{method} {path}"
        );
        assert_eq!(reply.headers["content-type"], "application/scim+json", "{method} {path}");
    }
    lab.stop().await;
}

#[tokio::test]
async fn a_list_is_read_page_by_page_without_gaps() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let mut seen = std::collections::BTreeSet::new();
    let mut start = 1;
    loop {
        let url = format!("{}/scim/v2/Users?startIndex={start}&count=9", lab.identity_url);
        let page = get(&url, &lab.tokens.identity).await.body;
        let users = page["Resources"].as_array().expect("a list").clone();
        assert_eq!((&page["startIndex"], &page["itemsPerPage"]), (&json!(start), &json!(users.len())));
        seen.extend(users.iter().map(|user| id(user).to_owned()));
        start += users.len();
        if users.is_empty() {
            assert_eq!(page["totalResults"], seen.len());
            break;
        }
    }
    assert!(seen.len() > 40);
    let url =
        format!("{}/scim/v2/Users?filter=emails.value%20eq%20%22achen@example.com%22", lab.identity_url);
    assert_eq!(get(&url, &lab.tokens.identity).await.body["totalResults"], 2);
    lab.stop().await;
}

#[tokio::test]
async fn sessions_live_on_after_suspension_until_they_are_revoked() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let dana = user(&lab, DANA).await;
    let sessions_url = format!("{}/sessions?user={}", lab.identity_url, id(&dana));
    let sessions = get(&sessions_url, &lab.tokens.identity).await.body;
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(3));
    let one = sessions["sessions"][0]["id"].as_str().expect("an id").to_owned();
    let check_url = format!("{}/sessions/{one}/check", lab.identity_url);
    assert_eq!(sign_in_status(&lab, DANA).await, 201);

    set_active(&lab, id(&dana), json!(false), None).await;
    assert_eq!(ask("GET", &check_url, None, &[], None).await.status, 200, "suspension leaves sessions alone");
    assert_eq!(sign_in_status(&lab, DANA).await, 403);

    assert_eq!(ask("DELETE", &sessions_url, None, &[], None).await.status, 401);
    let revoked = ask("DELETE", &sessions_url, Some(&lab.tokens.identity), &[], None).await;
    assert_eq!((revoked.status, &revoked.body["revoked"]), (200, &json!(4)));
    assert_eq!(ask("GET", &check_url, None, &[], None).await.status, 401);
    assert_eq!(get(&sessions_url, &lab.tokens.identity).await.body, json!({ "sessions": [] }));
    lab.stop().await;
}

async fn sign_in_status(lab: &Lab, user: &str) -> u16 {
    let url = format!("{}/sessions", lab.identity_url);
    ask("POST", &url, None, &[], Some(json!({ "user": user }))).await.status
}

#[tokio::test]
async fn the_provider_makes_the_trouble_it_is_told_to() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let dana = user(&lab, DANA).await;
    let faults = json!({ "rate_limited": 1, "retry_after_s": 7, "errors": 1, "unapplied": 1 });
    let url = format!("{}/faults", lab.identity_url);
    assert_eq!(ask("POST", &url, None, &[], Some(faults.clone())).await.status, 401);
    assert_eq!(ask("POST", &url, Some(&lab.tokens.identity), &[], Some(faults)).await.status, 204);

    let limited = set_active(&lab, id(&dana), json!(false), None).await;
    assert_eq!((limited.status, limited.headers["retry-after"].to_str().ok()), (429, Some("7")));
    assert_eq!(set_active(&lab, id(&dana), json!(false), None).await.status, 500);
    assert_eq!(set_active(&lab, id(&dana), json!(false), None).await.status, 204);
    assert_eq!(user(&lab, DANA).await["active"], true, "accepted and not applied");
    assert_eq!(set_active(&lab, id(&dana), json!(false), None).await.status, 204);
    assert_eq!(user(&lab, DANA).await["active"], false);

    lab.set_faults(Faults { slow_ms: 120, ..Faults::default() });
    let before = std::time::Instant::now();
    user(&lab, DANA).await;
    assert!(before.elapsed().as_millis() >= 120);
    lab.stop().await;
}

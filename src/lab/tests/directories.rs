//! The HR directory and the asset inventory as a client meets them.

use serde_json::{Value, json};

use super::support::{Dir, ask, get, lab};

#[tokio::test]
async fn people_are_found_by_what_is_known_of_them() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    for (query, emails) in [
        ("email=Dana.Whitfield@example.com", &["dana.whitfield"][..]),
        ("login=dana.whitfield", &["dana.whitfield"]),
        ("employee_id=e-20417", &["dana.whitfield"]),
        ("name=alex%20chen", &["alex.chen", "alex.chen2"]),
        ("email=achen@example.com", &["alex.chen", "alex.chen2"]),
        ("email=achen@example.com&login=alex.chen2", &["alex.chen2"]),
        ("email=nobody@example.com", &[]),
        ("email=svc-backup@example.com", &[]),
    ] {
        let reply = get(&format!("{}/people?{query}", lab.people_url), &lab.tokens.people).await;
        let found: Vec<&str> = reply.body["people"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|p| p["login"].as_str())
            .collect();
        assert_eq!((reply.status, found.as_slice()), (200, emails), "{query}");
    }
    let reply = get(&format!("{}/people/hr-20417", lab.people_url), &lab.tokens.people).await;
    let dana = &reply.body["people"][0];
    for (key, value) in [
        ("employment_status", json!("notice")),
        ("end_date", json!("2026-09-20")),
        ("country", json!("GB")),
        ("manager", json!({ "name": "Morgan Reyes", "email": "morgan.reyes@example.com" })),
        ("on_leave", json!(false)),
        ("contract", json!("permanent")),
    ] {
        assert_eq!(dana[key], value, "{key}");
    }
    let jo = get(&format!("{}/people?login=jo.lindqvist", lab.people_url), &lab.tokens.people).await;
    assert_eq!(jo.body["people"][0]["manager"], Value::Null);
    lab.stop().await;
}

#[tokio::test]
async fn assets_are_found_by_name_and_by_owner() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let ledger = get(&format!("{}/assets/Payments-Ledger", lab.assets_url), &lab.tokens.assets).await.body;
    assert_eq!(ledger["owner"], json!({ "name": "Priya Nair", "email": "priya.nair@example.com" }));
    assert_eq!((&ledger["criticality"], &ledger["data_class"]), (&json!("high"), &json!("confidential")));
    let owned =
        get(&format!("{}/assets?owner=dana.whitfield@example.com", lab.assets_url), &lab.tokens.assets).await;
    assert_eq!(owned.body["assets"][0]["name"], "LT-DWHITFIELD-01");
    assert_eq!(owned.body["assets"].as_array().map(Vec::len), Some(1));
    lab.stop().await;
}

#[tokio::test]
async fn directories_answer_what_they_cannot_do_with_a_problem_document() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let (people, assets) = (lab.tokens.people.as_str(), lab.tokens.assets.as_str());
    for (url, token, status) in [
        (format!("{}/people?email=a@b", lab.people_url), None, 401),
        (format!("{}/people?email=a@b", lab.people_url), Some(assets), 401),
        (format!("{}/people", lab.people_url), Some(people), 400),
        (format!("{}/people?shoe_size=9", lab.people_url), Some(people), 400),
        (format!("{}/people/hr-0", lab.people_url), Some(people), 404),
        (format!("{}/assets/payments-ledger", lab.assets_url), None, 401),
        (format!("{}/assets/nothing", lab.assets_url), Some(assets), 404),
        (format!("{}/assets", lab.assets_url), Some(assets), 400),
    ] {
        let reply = ask("GET", &url, token, &[], None).await;
        assert_eq!((reply.status, &reply.body["status"]), (status, &json!(status)), "{url}");
        assert_eq!(reply.headers["content-type"], "application/problem+json", "{url}");
    }
    lab.stop().await;
}

//! The same world after a restart, on the same directory.

use serde_json::json;

use super::support::{Dir, SEED, ask, get, lab, options, send_mail, until};
use crate::lab::range::{Lab, LabError, LabOptions};
use crate::lab::world::WorldError;

#[tokio::test]
async fn a_world_goes_on_after_a_restart_on_the_same_ports() {
    let dir = Dir::new();
    let first = lab(&dir).await;
    let (identity, smtp, token) =
        (first.identity_url.clone(), first.smtp_addr, first.tokens.identity.clone());
    let alert = first.alert()["id"].clone();
    let users =
        get(&format!("{identity}/scim/v2/Users?filter=externalId%20eq%20%22E-20417%22"), &token).await.body;
    let location = users["Resources"][0]["meta"]["location"].as_str().expect("a location").to_owned();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "value": { "active": false } }],
    });
    assert_eq!(ask("PATCH", &location, Some(&token), &[], Some(body.clone())).await.status, 204);
    send_mail(&first, &["noor.haddad@example.com"], "kept", "text\r\n").await;
    first.stop().await;

    let second = lab(&dir).await;
    assert_eq!((&second.identity_url, second.smtp_addr), (&identity, smtp));
    let user = get(&location, &token).await.body;
    assert_eq!((&user["active"], &user["meta"]["version"]), (&json!(false), &json!("W/\"2\"")));
    assert_eq!(second.writes().len(), 1);
    assert_eq!(second.writes()[0].body, body.to_string());
    assert_eq!(second.mails()[0].subject, "kept");
    assert_eq!(second.alert()["id"], alert);
    second.stop().await;
}

#[tokio::test]
async fn a_port_that_somebody_took_meanwhile_is_replaced() {
    let dir = Dir::new();
    let first = lab(&dir).await;
    let taken = first.smtp_addr;
    first.stop().await;
    let _held = std::net::TcpListener::bind(taken).expect("the port is free again");
    let second = lab(&dir).await;
    assert_ne!(second.smtp_addr, taken);
    second.stop().await;
}

#[tokio::test]
async fn mail_not_yet_acted_on_is_acted_on_after_the_restart_and_only_once() {
    let dir = Dir::new();
    // Nobody listens there, so the person is still trying when the lab stops.
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    let first = lab(&dir).await;
    let text = format!("http://{closed}/approvals/apr_01ARZ3NDEKTSV4RRFFQ69G5FAV\r\n");
    send_mail(&first, &["ana.duarte@example.com"], "approval", &text).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(first.acted().is_empty());
    first.stop().await;

    let listener = tokio::net::TcpListener::bind(closed).await.expect("the port is free");
    let quell = axum::Router::new().fallback(async || "fine");
    tokio::spawn(async move { axum::serve(listener, quell).await });
    let second = lab(&dir).await;
    until("the approval", || second.acted().len() == 1).await;
    second.stop().await;
    let third = lab(&dir).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(third.acted().len(), 1);
    third.stop().await;
}

#[tokio::test]
async fn a_lab_says_why_it_does_not_start() {
    let dir = Dir::new();
    let running = lab(&dir).await;
    let start =
        async |options: LabOptions| Lab::start(options).await.map(|_| ()).expect_err("does not start");
    assert!(matches!(start(options(&dir)).await, LabError::World(WorldError::InUse { .. })));
    running.stop().await;

    let other = LabOptions { seed: SEED + 1, ..options(&dir) };
    assert!(matches!(start(other).await, LabError::World(WorldError::Seed { found: SEED, .. })));
    for pace in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(start(LabOptions { pace, ..options(&dir) }).await, LabError::Pace(_)));
    }

    let file = dir.0.join("world.json");
    std::fs::write(&file, r#"{"format":99}"#).expect("written");
    assert!(matches!(start(options(&dir)).await, LabError::World(WorldError::Format { found: 99, .. })));
    std::fs::write(&file, "half a wor").expect("written");
    let error = start(options(&dir)).await;
    assert!(error.to_string().contains("world.json"), "{error}");
}

/// Set for the process that is killed: the directory of its lab.
const CHILD: &str = "QUELL_LAB_TEST_CHILD";

#[tokio::test]
#[ignore = "not a test: the process that the next one kills"]
async fn lab_until_killed() {
    let Ok(data) = std::env::var(CHILD) else {
        return;
    };
    let dir = Dir(data.into());
    let _lab = lab(&dir).await;
    // Not for ever, in case nobody is left to kill it.
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
}

#[tokio::test]
async fn what_was_answered_before_kill_9_is_so_after_it() {
    let dir = Dir::new();
    // Makes the world, so that the ports and tokens are known.
    let first = lab(&dir).await;
    let (identity, token) = (first.identity_url.clone(), first.tokens.identity.clone());
    let users =
        get(&format!("{identity}/scim/v2/Users?filter=externalId%20eq%20%22E-20417%22"), &token).await.body;
    let location = users["Resources"][0]["meta"]["location"].as_str().expect("a location").to_owned();
    first.stop().await;

    let mut answered = 0;
    for round in 0..3 {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "lab::tests::restart::lab_until_killed", "--ignored"])
            .env(CHILD, &dir.0)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("a second process");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while reqwest::get(format!("{identity}/sessions/none/check")).await.is_err() {
            assert!(std::time::Instant::now() < deadline, "the second process does not serve");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        // Asked before anything can be cut.
        let active = get(&location, &token).await.body["active"].as_bool().expect("a state");
        let hammer = tokio::spawn({
            let (location, token) = (location.clone(), token.clone());
            async move { toggle_until_cut(&location, &token, active).await }
        });
        tokio::time::sleep(std::time::Duration::from_millis(120 + 37 * round)).await;
        child.kill().expect("killed");
        child.wait().expect("ended");
        answered += hammer.await.expect("counted");
    }
    let last = lab(&dir).await;
    let changed = last.writes().iter().filter(|write| write.changed).count();
    let version = get(&location, &token).await.body["meta"]["version"].clone();
    assert!(answered > 0, "nothing was answered before the kill");
    // One request a round may have been kept and not answered.
    assert!((answered..=answered + 3).contains(&changed), "{answered} answered, {changed} kept");
    assert_eq!(version, format!("W/\"{}\"", changed + 1), "each recorded change is one version");
    last.stop().await;
}

/// Changes a user to and fro until no answer comes; how often one came.
async fn toggle_until_cut(location: &str, token: &str, mut active: bool) -> usize {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    for answered in 0.. {
        active = !active;
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": "active", "value": active }],
        });
        let request = client
            .patch(location)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/scim+json")
            .body(body.to_string());
        match request.send().await {
            Ok(response) => assert_eq!(response.status(), 204),
            Err(_) => return answered,
        }
    }
    unreachable!("the server is killed in the end")
}

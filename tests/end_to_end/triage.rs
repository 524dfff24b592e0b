//! What becomes of alerts: joined, suppressed, wanted by nobody; merged and split by
//! people; and how often rules are right.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::house::Server;

const LEAVER: &str = r#"playbook: leaver
version: 1
title: A leaver takes files
posture: overt
on:
  - alert: ${ alert.category == "dlp" && alert.severity >= 60 }
    once_per: { key: "${ alert.user.email }", within: 24h }
steps:
  - id: sum
    set: { two: "${ 1 + 1 }" }
"#;

fn alert(finding: &str, user: &str, severity: u8) -> Value {
    json!({
        "source_id": finding, "title": format!("Files of {user}"), "category": "dlp", "severity": severity,
        "rule": { "name": "Bulk download" }, "user": { "email": user },
    })
}

/// Hands in one alert; gives what became of it.
async fn deliver(server: &Server, alert: &Value) -> Value {
    let answer = server.deliver("open", alert.to_string().into_bytes(), &[]).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.body["alerts"][0].clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_join_the_incident_of_their_finding_and_its_end_is_on_record() {
    let server = Server::with("", &[("leaver.yaml", LEAVER)]).await;
    let first = deliver(&server, &alert("f-1", "dana@example.com", 60)).await;
    assert_eq!((&first["fate"], &first["duplicate"]), (&json!("run_started"), &json!(false)));
    assert_eq!(first["runs"].as_array().map(Vec::len), Some(1));
    // The same once more: nothing is stored.
    let again = deliver(&server, &alert("f-1", "dana@example.com", 60)).await;
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)));
    // The detector says more of it.
    let worse = deliver(&server, &alert("f-1", "dana@example.com", 80)).await;
    assert_eq!((&worse["fate"], &worse["incident"]), (&json!("joined"), &first["incident"]));
    assert_eq!(worse["runs"], json!([]), "the playbook ran for it already");
    assert!(text(&worse["reasons"][0]).contains("the same finding"), "{worse}");
    // Another finding about the same person joins too, and once a day is enough.
    let other = deliver(&server, &alert("f-2", "Dana@example.com", 70)).await;
    assert_eq!((&other["incident"], &other["runs"]), (&first["incident"], &json!([])));
    let mut ended = alert("f-1", "dana@example.com", 80);
    ended["status"] = json!("resolved");
    let ended = deliver(&server, &ended).await;
    assert_eq!((&ended["fate"], &ended["incident"]), (&json!("joined"), &first["incident"]));
    let incident = server.get(&format!("/incidents/{}", text(&first["incident"]))).await;
    assert_eq!(incident["severity"], json!(80), "it rose with the finding");
    assert_eq!(incident["alert_count"], json!(4));
    assert_eq!(incident["tags"], json!(["ended-at-detector"]));
    assert_eq!(server.get("/incidents").await["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.get("/runs").await["items"].as_array().map(Vec::len), Some(1));
    // A person who knows better sets it lower; the same finding does not raise it again.
    let id = text(&first["incident"]);
    let out = server.quell(&["incident", &id, "--severity", "30", "--why", "public files"]);
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    deliver(
        &server,
        &json!({ "source_id": "f-3", "title": "More", "category": "dlp", "severity": 75,
        "user": { "email": "dana@example.com" } }),
    )
    .await;
    assert_eq!(server.get(&format!("/incidents/{id}")).await["severity"], json!(30));
    let told = server.quell(&["report", &id]).text;
    for line in
        ["says more of a finding of this incident, severity 80 of 100", "joined the incident", "has ended"]
    {
        assert!(told.contains(line), "`{line}` in:\n{told}");
    }
    let shown = server.quell(&["show", &text(&worse["id"])]).text;
    assert!(shown.contains("joined an incident") && shown.contains("it is the same finding as"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_delivery_says_of_a_finding_is_taken_in_its_order() {
    let server = Server::with("", &[("leaver.yaml", LEAVER)]).await;
    let mut said = Vec::new();
    for number in 0..30 {
        let user = format!("u{number}@example.com");
        let mut ended = alert(&format!("f-{number}"), &user, 70);
        ended["status"] = json!("resolved");
        said.extend([
            alert(&format!("f-{number}"), &user, 60),
            alert(&format!("f-{number}"), &user, 70),
            ended,
        ]);
    }
    let answer = server.deliver("open", Value::from(said).to_string().into_bytes(), &[]).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    for three in answer.body["alerts"].as_array().expect("all of them").chunks(3) {
        let fates: Vec<&str> = three.iter().filter_map(|alert| alert["fate"].as_str()).collect();
        assert_eq!(fates, ["run_started", "joined", "joined"], "{three:?}");
        assert!(three.iter().all(|alert| alert["incident"] == three[0]["incident"]), "{three:?}");
    }
    let ended = server.get("/incidents?limit=100").await;
    for row in ended["items"].as_array().expect("a page") {
        assert_eq!(row["tags"], json!(["ended-at-detector"]), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_that_nobody_wants_says_who_came_closest_and_on_which_value() {
    let server = Server::with("", &[("leaver.yaml", LEAVER)]).await;
    let told = deliver(&server, &alert("f-1", "dana@example.com", 50)).await;
    assert_eq!((&told["fate"], &told["incident"]), (&json!("no_playbook"), &json!(null)));
    assert_eq!(told["reasons"], json!(["`leaver` wanted alert.severity >= 60 and it is 50"]));
    let out = server.quell(&["alerts", "--fate", "no_playbook"]).text;
    assert!(out.contains("no playbook"), "{out}");
    assert!(server.quell(&["alerts", "--fate", "joined"]).text.contains("no alert has come in"));
    let out = server.quell(&["alerts", "--fate", "lost & found"]);
    assert!(out.text.contains("must be one of: run_started"), "{}", out.text);
    // What it never opened it cannot end.
    let mut ended = alert("f-9", "lee@example.com", 90);
    ended["status"] = json!("closed");
    assert_eq!(deliver(&server, &ended).await["fate"], json!("ended"));
    assert_eq!(server.get("/incidents").await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_merge_and_split_incidents_and_what_comes_later_follows() {
    let server = Server::with("", &[("leaver.yaml", LEAVER)]).await;
    let dana = deliver(&server, &alert("f-1", "dana@example.com", 60)).await;
    let lee = deliver(&server, &alert("f-2", "lee@example.com", 90)).await;
    let (from, into) = (text(&lee["incident"]), text(&dana["incident"]));
    assert_ne!(from, into);
    let out = server.quell(&["merge", &from, "--into", &into, "--why", "one plot of two"]);
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    let merged = server.get(&format!("/incidents/{from}")).await;
    assert_eq!((&merged["merged_into"], &merged["status"]), (&json!(into), &json!("closed")));
    let both = server.get(&format!("/incidents/{into}")).await;
    assert_eq!((&both["alert_count"], &both["severity"]), (&json!(2), &json!(90)));
    let runs = server.get(&format!("/runs?incident={into}")).await;
    assert_eq!(runs["items"].as_array().map(Vec::len), Some(2), "its runs came along");
    // What is said of the finding later goes where it went.
    let more = deliver(&server, &alert("f-2", "lee@example.com", 91)).await;
    assert_eq!(more["incident"], json!(into));
    let out = server.quell(&["merge", &from, "--into", &into, "--why", "again"]);
    assert_ne!(out.status.code(), Some(0));
    assert!(out.text.contains("was merged into"), "{}", out.text);
    // It was not one plot after all.
    let (one, other) = (text(&lee["id"]), text(&more["id"]));
    let why = ["--why", "two stories"];
    let out = server.quell(&[&["split", &into, "--alert", &one, "--alert", &other], &why[..]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    let split = server.get("/alerts?limit=1").await["items"][0]["incident"].clone();
    let new = server.get(&format!("/incidents/{}", text(&split))).await;
    assert_eq!((&new["alert_count"], &new["subject"]), (&json!(2), &json!("lee@example.com")));
    assert_eq!(server.get(&format!("/incidents/{into}")).await["alert_count"], json!(1));
    let runs = server.get(&format!("/runs?incident={}", text(&split))).await;
    assert_eq!(runs["items"].as_array().map(Vec::len), Some(1));
    let later = deliver(&server, &alert("f-2", "lee@example.com", 92)).await;
    assert_eq!(later["incident"], split);
    // The summary of an incident is about what belongs to it now.
    let told = server.quell(&["report", &into]).text;
    assert!(told.contains(&into) && !told.contains("lee@example.com"), "{told}");
    let told = server.quell(&["report", &text(&split)]).text;
    assert!(told.contains(&text(&split)), "{told}");
    let out = server.quell(&[&["split", &into, "--alert", &text(&dana["id"])], &why[..]].concat());
    assert!(out.text.contains("these are all alerts"), "{}", out.text);
    for id in [&from, &into] {
        let shown = server.quell(&["show", id]);
        assert_eq!(shown.status.code(), Some(0), "{}", shown.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_merged_and_is_split_again_takes_its_findings_along() {
    let mut server = Server::with("", &[("leaver.yaml", LEAVER)]).await;
    let dana = deliver(&server, &alert("f-1", "dana@example.com", 60)).await;
    let lee = deliver(&server, &alert("f-2", "lee@example.com", 70)).await;
    let (from, into) = (text(&lee["incident"]), text(&dana["incident"]));
    for (merged, other) in [(&from, &into), (&into, &from)] {
        let out = server.quell(&["merge", merged, "--into", other, "--why", "one plot"]);
        assert_eq!(out.status.code() == Some(0), merged == &from, "{}", out.text);
    }
    let out = server.quell(&["incident", &from, "--status", "open"]);
    assert!(out.text.contains("was merged into"), "{}", out.text);
    let out = server.quell(&["split", &into, "--alert", &text(&lee["id"]), "--why", "two stories"]);
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    server.die_and_come_back().await;
    let more = deliver(&server, &alert("f-2", "lee@example.com", 80)).await;
    let row = server.get(&format!("/incidents/{}", text(&more["incident"]))).await;
    assert_eq!((&row["subject"], &row["severity"]), (&json!("lee@example.com"), &json!(80)), "{row}");
    assert_eq!(row["alert_count"], json!(2));
    let dana = server.get(&format!("/incidents/{into}")).await;
    assert_eq!((&dana["subject"], &dana["alert_count"]), (&json!("dana@example.com"), &json!(1)));
    assert_eq!(dana["severity"], json!(70), "a person may lower it; no rule does");
    // A closed incident is no place for what is open.
    let out = server.quell(&["incident", &into, "--status", "closed"]);
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    let out = server.quell(&["merge", &text(&row["id"]), "--into", &into, "--why", "one plot"]);
    assert!(out.text.contains("is closed: open it first"), "{}", out.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_detector_says_again_word_for_word_is_news_when_it_stood_otherwise_since() {
    let server = Server::with("", &[("leaver.yaml", LEAVER)]).await;
    let open = alert("f-1", "dana@example.com", 70);
    let mut ended = open.clone();
    ended["status"] = json!("resolved");
    let first = deliver(&server, &open).await;
    assert_eq!(deliver(&server, &open).await["duplicate"], json!(true));
    // However often it flaps.
    for (said, fate) in [(&ended, "ended"), (&open, "back")].into_iter().cycle().take(140) {
        let told = deliver(&server, said).await;
        assert_eq!((&told["duplicate"], &told["incident"]), (&json!(false), &first["incident"]), "{told}");
        let row = server.get(&format!("/alerts/{}", text(&told["id"]))).await;
        assert_eq!(row["fate"]["joined"]["news"], json!(fate));
        assert_eq!(deliver(&server, said).await["duplicate"], json!(true));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exception_keeps_a_rule_quiet_for_a_time_and_what_it_hides_is_stored() {
    let server = Server::with(
        "triage: { detection_owners: { open: secops@example.com } }\n",
        &[("leaver.yaml", LEAVER)],
    )
    .await;
    let except = ["except", "bulk download", "--subject", "dana@example.com", "--owner", "lee@example.com"];
    let out = server.quell(&[&except[..], &["--why", "the yearly audit", "--for", "3d"]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    let quiet = deliver(&server, &alert("f-1", "dana@example.com", 80)).await;
    assert_eq!((&quiet["fate"], &quiet["runs"]), (&json!("suppressed"), &json!([])));
    let reason = text(&quiet["reasons"][0]);
    assert!(reason.contains("lee@example.com") && reason.contains("the yearly audit"), "{reason}");
    // Nothing that bad was meant, and nobody else.
    assert_eq!(deliver(&server, &alert("f-2", "dana@example.com", 95)).await["fate"], json!("run_started"));
    assert_eq!(deliver(&server, &alert("f-3", "kim@example.com", 80)).await["fate"], json!("run_started"));
    let held = server.get("/exceptions?holding=true").await;
    assert_eq!(held["items"][0]["suppressed"], json!(1));
    let id = text(&held["items"][0]["id"]);
    assert!(server.quell(&["exceptions"]).text.contains("the yearly audit"));
    let out = server.quell(&["except", "--end", &id, "--why", "the audit is over"]);
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    assert_eq!(server.get("/exceptions?holding=true").await["items"], json!([]));
    assert_eq!(deliver(&server, &alert("f-4", "dana@example.com", 80)).await["fate"], json!("joined"));
    let own = ["except", "Bulk download", "--subject", "operator@localhost", "--owner", "a@example.com"];
    let out = server.quell(&[&own[..], &["--why", "x"]].concat());
    assert!(out.text.contains("nobody makes or owns an exception about themselves"), "{}", out.text);

    // How the incidents ended is what is said of the rule.
    let incidents = server.get("/incidents").await;
    for (incident, end) in
        incidents["items"].as_array().expect("two").iter().zip(["false_positive", "contained"])
    {
        let out =
            server.quell(&["incident", &text(&incident["id"]), "--disposition", end, "--status", "closed"]);
        assert_eq!(out.status.code(), Some(0), "{}", out.text);
    }
    let rules = server.get("/detections").await;
    let row = &rules["items"][0];
    assert_eq!((&row["alerts"], &row["incidents"], &row["suppressed"]), (&json!(4), &json!(2), &json!(1)));
    assert_eq!(row["false_positives"]["count"], json!(1));
    let table = server.quell(&["detections"]).text;
    assert!(table.contains("50 % (9 to 91)"), "{table}");
    let message = server.quell(&["detections", "open", "Bulk download"]).text;
    assert!(message.contains("To: secops@example.com") && message.contains("1 of 2"), "{message}");
}

/// Sends every alert until it is acknowledged, from many senders at once.
async fn storm(server: &Server, alerts: Vec<Value>, senders: usize) -> usize {
    let url = server.url("/alerts/open");
    let work = Arc::new(std::sync::Mutex::new(alerts));
    let tasks = (0..senders).map(|_| {
        let (work, url) = (Arc::clone(&work), url.clone());
        tokio::spawn(async move {
            let http = reqwest::Client::new();
            let mut taken = 0;
            loop {
                let Some(alert) = work.lock().expect("it is whole").pop() else { return taken };
                let sent = http.post(&url).body(alert.to_string()).send().await;
                match sent {
                    Ok(answer) if answer.status() == 202 => taken += 1,
                    // Not acknowledged: it is sent again, to whoever is there then.
                    _ => {
                        work.lock().expect("it is whole").push(alert);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        })
    });
    let mut taken = 0;
    for task in tasks.collect::<Vec<_>>() {
        taken += task.await.expect("it ends");
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_over_few_keys_opens_one_incident_for_each_and_none_twice_after_a_kill() {
    let settings = "limits: { queue: 100000 }\n";
    let playbook = LEAVER.replace("    once_per: { key: \"${ alert.user.email }\", within: 24h }\n", "");
    let mut server = Server::with(settings, &[("leaver.yaml", &playbook)]).await;
    let keys = 40;
    let alerts = |from: usize, to: usize| -> Vec<Value> {
        (from..to)
            .map(|number| {
                let mut alert =
                    alert(&format!("f-{}", number % keys), &format!("u{}@example.com", number % keys), 70);
                alert["extra"] = json!(number);
                alert
            })
            .collect()
    };
    let taken = storm(&server, alerts(0, 800), 32).await;
    assert_eq!(taken, 800);
    server.die_and_come_back().await;
    let taken = storm(&server, alerts(600, 1600), 32).await;
    assert_eq!(taken, 1000);
    let incidents = server.get("/incidents?limit=500").await;
    let rows = incidents["items"].as_array().expect("a page");
    assert_eq!(rows.len(), keys, "one incident for each key");
    let subjects: BTreeSet<String> = rows.iter().map(|row| text(&row["subject"])).collect();
    assert_eq!(subjects.len(), keys);
    let counted: u64 = rows.iter().filter_map(|row| row["alert_count"].as_u64()).sum();
    assert_eq!(counted, 1600, "every alert is in one of them, and none twice");
    let runs = server.get("/runs?limit=500").await;
    assert_eq!(runs["items"].as_array().map(Vec::len), Some(keys), "and one run");
}

//! `quell backtest`: what a changed playbook would have decided about the alerts
//! that came in, on the running server and on its store; nothing moves.

use std::path::Path;

use serde_json::{Value, json};

use crate::house::{Server, quell};

const GROUPS: &str = "people: { groups: { leads: [lee@example.com, noor@example.com], hr: [sam@example.com], ir-leads: [sam@example.com], legal: [sam@example.com], managers: [sam@example.com] } }\n";

/// The playbook, with the least severity that starts it and the least that suspends.
fn watch(version: u32, starts: u8, suspends: u8) -> String {
    format!(
        r#"playbook: watch
version: {version}
title: Watch exports
posture: compromise
on:
  - alert: ${{ alert.category == "dlp" && alert.severity >= {starts} }}
steps:
  - id: look
    enrich: scim.find_user
    with: {{ user: "${{ alert.user.email }}" }}
    on_error: continue
  - id: tell
    notify: {{ to: ["group:leads"], subject: An export, text: Please look at it. }}
  - id: ask
    ask:
      who: ["lee@example.com"]
      question: Was this expected?
      choices: {{ expected: "Yes", not_expected: "No" }}
      within: 4h
      if_silent: not_expected
  - id: suspend
    when: ${{ alert.severity >= {suspends} && steps.ask.choice == "not_expected" }}
    contain: scim.suspend_user
    with: {{ user: "${{ alert.user.email }}" }}
    approval: {{ by: ["group:leads"], within: 30m }}
"#
    )
}

/// Alerts of severities 31 to 78, every fourth of another category.
fn alert(number: usize) -> Value {
    let category = if number.is_multiple_of(4) { "identity" } else { "dlp" };
    json!({
        "source_id": format!("back-{number}"), "title": format!("Export {number:02}"), "category": category,
        "severity": 31 + number, "user": { "email": format!("person-{number:02}@example.com") },
    })
}

/// What was printed, without what differs from run to run.
fn settled(text: &str) -> String {
    let word = |word: &str| -> String {
        let is_id = (word.starts_with("alt_") || word.starts_with("run_")) && word.len() == 30;
        match word {
            _ if is_id => format!("{}…", &word[..4]),
            _ if word.starts_with("20") && word.len() == 10 && word.contains('-') => "DATE".to_owned(),
            _ if word.len() == 5 && word.as_bytes()[2] == b':' => "TIME".to_owned(),
            _ => word.to_owned(),
        }
    };
    let clean = |line: &str| {
        line.split(' ')
            .map(|part| {
                let bare = part.trim_matches(|c: char| "\",:.()".contains(c));
                if bare.is_empty() { part.to_owned() } else { part.replace(bare, &word(bare)) }
            })
            .collect::<Vec<_>>()
            .join(" ")
    };
    text.lines().map(|line| clean(line).trim_end().to_owned() + "\n").collect()
}

fn shape(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/backtest").join(name);
    if std::env::var_os("QUELL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is made");
        std::fs::write(&path, found).expect("it is written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "{} (QUELL_BLESS=1 writes it anew)", path.display());
}

async fn server() -> Server {
    let server = Server::with(GROUPS, &[("watch.yaml", &watch(1, 40, 70))]).await;
    for number in 0..48 {
        let answer = server.deliver("open", alert(number).to_string().into_bytes(), &[]).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
    // What it starts fails at once: no connector is configured.
    for _ in 0..500 {
        let live = server.get("/runs?live=true&playbook=watch&limit=500").await;
        if live["items"].as_array().is_some_and(|rows| {
            rows.iter().all(|row| row["status"] != "running" && row["status"] != "queued")
        }) {
            return server;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the runs never came to rest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raised_threshold_is_seen_in_what_it_decides_and_nothing_moves() {
    let mut server = server().await;
    let path = server.data().join("watch.yaml");
    std::fs::write(&path, watch(2, 60, 75)).expect("it is written");
    let file = path.to_str().expect("it is text").to_owned();
    let before = exported(&server, "running.jsonl");
    let out = server.quell(&["backtest", &file, "--limit", "24"]);
    assert_eq!(out.status.code(), Some(1), "{}", out.text);
    let told = out.text.replace(&file, "watch.yaml");
    shape("newest-24.txt", &settled(&told));

    let out = server.quell(&["--format", "json", "backtest", &file]);
    assert_eq!(out.status.code(), Some(1), "{}", out.text);
    let there: Value = serde_json::from_str(out.text.lines().next().unwrap_or_default()).expect("it is JSON");
    // 36 of 48 are of its category; 30 of them reach 40, and 15 reach 60.
    let counts = &there["counts"];
    let of = |name: &str| counts[name].as_u64().expect("it is a number");
    assert_eq!((of("looked_at"), of("erased"), of("undecided_old"), of("undecided_new")), (48, 0, 0, 0));
    let wanted =
        |least: usize| (0..48).filter(|number| number % 4 != 0 && 31 + number >= least).count() as u64;
    assert_eq!((of("wanted_old"), of("wanted_new"), of("wanted_both")), (wanted(40), wanted(60), wanted(60)));
    // Those from 70 to 74 are no longer suspended.
    assert_eq!(of("differ"), wanted(40) - wanted(60) + wanted(70) - wanted(75));
    let mut one = there.clone();
    one["since"] = json!("TIME");
    one["new"]["from"] = json!("watch.yaml");
    let all = one["differences"].as_array().cloned().unwrap_or_default();
    let kinds = ["starts_no_run", "goes_another_way"];
    let first = |kind: &str| all.iter().find(|one| one["change"]["kind"] == kind).cloned();
    one["differences"] = kinds.iter().filter_map(|kind| first(kind)).collect();
    for one in one["differences"].as_array_mut().expect("they are a list") {
        one["alert"] = json!("alt_…");
        one["received_at"] = json!("TIME");
    }
    shape("two.json", &format!("{}\n", serde_json::to_string_pretty(&one).expect("it is JSON")));

    // The version that the runs froze is the one of the library.
    let out = server.quell(&["backtest", "watch", "--against", "1"]);
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    assert!(
        out.text.contains("Nothing differs since") && out.text.contains("(the plan of run_"),
        "{}",
        out.text
    );
    let out = server.quell(&["backtest", "watch", "--against", "7"]);
    assert_eq!(out.status.code(), Some(3), "{}", out.text);
    assert!(out.text.contains("no run of `watch` version 7 is on record"), "{}", out.text);
    assert_eq!(exported(&server, "running.jsonl"), before, "the journal moved");

    // On the store alone: the same, and nothing is taken up.
    server.stop_hard();
    let _ = std::fs::remove_file(server.data().join("address"));
    let journal = exported(&server, "before.jsonl");
    let out = server.quell(&["--format", "json", "backtest", &file]);
    assert_eq!(out.status.code(), Some(1), "{}", out.text);
    let here: Value = serde_json::from_str(out.text.lines().next().unwrap_or_default()).expect("it is JSON");
    assert_eq!((&here["counts"], &here["differences"]), (&there["counts"], &there["differences"]));
    assert!(exported(&server, "after.jsonl") == journal, "the journal moved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_told_whole_and_before_any_alert() {
    let server = Server::with(GROUPS, &[("watch.yaml", &watch(1, 40, 70))]).await;
    let path = server.data().join("watch.yaml");
    let text = watch(2, 60, 75)
        .replace("alert.category", "alert.categry")
        .replace("scim.find_user", "scim.fin_user");
    std::fs::write(&path, &text).expect("it is written");
    let file = path.to_str().expect("it is text");
    let out = server.quell(&["backtest", file]);
    assert_eq!(out.status.code(), Some(2), "{}", out.text);
    for told in ["categry", "fin_user", "error[mistakes]"] {
        assert!(out.text.contains(told), "`{told}` in {}", out.text);
    }
    // A program that asks the server alone is told too.
    let answer = server.post("/backtests", &json!({ "text": text, "file": "watch.yaml" }), &[]).await;
    assert_eq!((answer.status, &answer.body["code"]), (422, &json!("mistakes")), "{}", answer.body);
    assert!(
        answer.body["detail"].as_str().is_some_and(|told| told.contains("watch.yaml:")),
        "{}",
        answer.body
    );
    let answer = server.post("/backtests", &json!({ "text": text, "playbook": "watch" }), &[]).await;
    assert_eq!((answer.status, &answer.body["code"]), (422, &json!("playbook-missing")), "{}", answer.body);
    let out = quell(&["--data", "nowhere", "backtest", "watch"], &server.data());
    assert_eq!(out.status.code(), Some(4), "{}", out.text);
    assert!(!server.data().join("nowhere").exists(), "a look makes no store");
}

/// The journal as JSON lines.
fn exported(server: &Server, name: &str) -> String {
    let path = server.data().join(name);
    let _ = std::fs::remove_file(&path);
    let out = server.quell(&["store", "backup", path.to_str().expect("it is text")]);
    let out = if out.status.success() {
        out
    } else {
        server.quell(&["store", "export", path.to_str().expect("it is text")])
    };
    assert!(out.status.success(), "{}", out.text);
    std::fs::read_to_string(&path).expect("it is text")
}

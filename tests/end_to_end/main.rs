//! The real binary, as its users meet it: the lab's whole story, the server's
//! door, the words and exit codes of the command line.

mod answers;
mod attention;
mod authors;
mod backtest;
mod checking;
mod doors;
mod forward;
mod house;
mod ingest;
mod inputs;
mod plan;
mod queue;
mod releases;
mod retention;
mod schema;
#[path = "../real/servers.rs"]
#[allow(dead_code, reason = "shared with tests/real.rs")]
mod servers;
mod shows;
mod triage;
mod undo;
mod versions;

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{Lab, Server, quell};

#[test]
fn the_lab_plays_its_story_to_the_end() {
    let lab = Lab::new();
    let out = lab.play(&["--exit", "--pace", "0"]);
    assert!(out.status.success(), "{}", out.text);
    for told in ["suspend", "approved by", "succeeded", "The summaries:"] {
        assert!(out.text.contains(told), "`{told}` in:\n{}", out.text);
    }
    assert!(out.text.contains("done; there is no way back"), "ended sessions are not held:\n{}", out.text);
    assert!(!out.text.contains("until somebody lifts it"), "{}", out.text);
    assert_eq!(lab.suspensions(), 1);
    let reports = lab.reports();
    // Two summaries in two formats as they were sent, and again as the run ended.
    assert_eq!(reports.len(), 8, "{reports:?}");
    assert!(!out.text.contains("(try: "), "nothing answers once the lab is over:\n{}", out.text);
    let early = "before the run ended";
    // SHA-256 of nothing: the checksum of something that was not kept.
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for report in reports {
        let text = std::fs::read_to_string(&report).expect("it is there");
        let last = report.to_string_lossy().contains("-final.");
        assert_eq!(text.contains(early), !last, "{}", report.display());
        assert!(!text.contains(nothing), "{} holds a checksum of nothing", report.display());
        let executive = report.to_string_lossy().contains("executive");
        for name in ["Dana", "dana.whitfield", "priya", "scim", "payments-ledger", "T1567"] {
            assert!(!(executive && text.contains(name)), "the executive summary names {name}");
        }
        assert!(text.contains("[#") || text.contains("#1"), "sentences carry their entries");
    }
}

#[test]
fn a_lab_killed_in_the_middle_ends_as_if_nothing_had_happened() {
    // Killed while a person is asked, while approvals wait, and around the suspension.
    for moment in ["asked priya", "needs a yes", "approved by", "suspend          Dana"] {
        let lab = Lab::new();
        lab.play_until(moment);
        let out = lab.play(&["--exit", "--pace", "0.2"]);
        assert!(out.status.success(), "killed at “{moment}”:\n{}", out.text);
        assert!(out.text.contains("was under way") || out.text.contains("succeeded"), "{}", out.text);
        assert_eq!(lab.suspensions(), 1, "killed at “{moment}”: the identity server saw one suspension");
    }
}

#[tokio::test]
async fn what_is_no_alert_is_refused_with_words_and_not_half_stored() {
    let server = Server::start().await;
    let deep = format!("{}1{}", "[".repeat(2000), "]".repeat(2000));
    let cases: [(&str, &str, Vec<u8>, u16, &str); 7] = [
        ("open", "{", b"{".to_vec(), 400, "alert-not-json"),
        ("open", "an empty body", Vec::new(), 400, "alert-"),
        ("open", "deep nesting", deep.into_bytes(), 400, "alert-too-deep"),
        ("open", "2 MiB", vec![b' '; 2 << 20], 413, "alert-too-large"),
        ("open", "no UTF-8", vec![b'"', 0xff, b'"'], 400, "alert-not-utf8"),
        ("nobody", "an unknown source", b"{}".to_vec(), 404, "source-unknown"),
        ("signed", "an unsigned delivery", b"{\"title\":\"x\"}".to_vec(), 401, "signature-"),
    ];
    for (source, what, body, status, code) in cases {
        let answer = server.deliver(source, body, &[]).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert!(
            answer.body["code"].as_str().is_some_and(|found| found.contains(code)),
            "{what}: {}",
            answer.body
        );
        assert!(
            answer.body["detail"].as_str().is_some_and(|detail| detail.len() > 10),
            "{what}: {}",
            answer.body
        );
        assert_eq!(answer.kind, "application/problem+json", "{what}");
    }
    let forged = [("webhook-id", "msg_1"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,AAAA")];
    let answer = server.deliver("signed", b"{\"title\":\"x\"}".to_vec(), &forged).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert_eq!(server.get("/alerts").await["items"], json!([]), "nothing was stored");
}

#[tokio::test]
async fn an_alert_is_stored_once_and_says_what_became_of_it() {
    let server = Server::start().await;
    let alert = json!({ "source_id": "a-1", "title": "A file left", "category": "dlp", "severity": 20 });
    let first = server.deliver("open", alert.to_string().into_bytes(), &[]).await;
    assert_eq!(first.status, 202, "{}", first.body);
    let again = server.deliver("open", alert.to_string().into_bytes(), &[]).await;
    assert_eq!(again.body["alerts"][0]["duplicate"], json!(true));
    assert_eq!(again.body["alerts"][0]["id"], first.body["alerts"][0]["id"]);
    let id = first.body["alerts"][0]["id"].as_str().expect("it has an id").to_owned();
    let shown = server.get(&format!("/alerts/{id}")).await;
    assert!(
        shown["fate"].to_string().contains("departing-employee-exfiltration"),
        "which playbook said no, and why: {shown}"
    );
    assert_eq!(server.get("/alerts").await["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn nothing_is_shown_or_done_without_a_token() {
    let server = Server::start().await;
    let http = reqwest::Client::new();
    for path in [
        "/alerts",
        "/runs",
        "/incidents",
        "/approvals",
        "/questions",
        "/containments",
        "/attention",
        "/playbooks",
        "/schedules",
    ] {
        let answer = http.get(server.url(path)).send().await.expect("it answers");
        assert_eq!(answer.status(), 401, "{path}");
    }
    for path in [
        "/playbooks/x/runs",
        "/approvals/x/approve",
        "/runs/x/undo",
        "/runs/x/cancel",
        "/runs/x/release",
        "/runs/release",
        "/reports",
        "/containments/x/undo",
    ] {
        let answer = http
            .post(server.url(path))
            .header("content-type", "application/json")
            .body("{}")
            .send()
            .await
            .expect("it answers");
        assert_eq!(answer.status(), 401, "{path}");
    }
    let link = http.get(format!("{}/q/AAAA", server.base)).send().await.expect("it answers");
    assert_eq!(link.status(), 404);
    assert!(
        link.headers()["content-security-policy"]
            .to_str()
            .is_ok_and(|policy| policy.contains("default-src 'none'"))
    );
}

#[test]
fn mistakes_on_the_command_line_say_what_to_do_and_exit_as_promised() {
    let empty = tempfile::tempdir().expect("there is room");
    let data = empty.path().to_string_lossy().into_owned();
    let cases: [(&[&str], i32, &str); 13] = [
        (&["frobnicate"], 2, "unrecognized"),
        (&["--config", "/nowhere.yaml", "check"], 2, "cannot be read"),
        (&["run", "no-such-playbook"], 2, "there are: departing-employee-exfiltration"),
        (&["run", "departing-employee-exfiltration", "--alert", "/nowhere.json"], 2, "cannot be read"),
        (&["runs"], 4, " serve`, or name another"),
        (&["show", "../etc"], 2, "no id"),
        (&["check", "/nowhere"], 2, "cannot be read"),
        (&["extend", "ctn_1", "--for", "banana"], 2, "`--for banana` has `banana` where a number should be"),
        (&["version"], 0, "quell "),
        (&["--format", "json", "version"], 0, "\"version\":"),
        (&["--format", "html", "runs"], 2, "of `quell report` alone"),
        (&["plan", "no-such-playbook"], 2, "there are: departing-employee-exfiltration"),
        (&["run", "departing-employee-exfiltration"], 2, "--alert FILE"),
    ];
    for (args, exit, says) in cases {
        let out = quell(&[&["--data", &data], args].concat(), empty.path());
        assert_eq!(out.status.code(), Some(exit), "{args:?}: {}", out.text);
        assert!(out.text.contains(says), "{args:?}: `{says}` in {}", out.text);
    }
}

#[test]
fn a_missing_secret_is_named_once_and_stops_a_server_but_no_check() {
    let dir = tempfile::tempdir().expect("there is room");
    let settings = dir.path().join("quell.yaml");
    let text = "data: d\nplaybooks: p\nconnectors:\n  okta: { use: scim, url: \"http://127.0.0.1:9\", auth: { token: \"${env:QUELL_SURELY_UNSET}\" } }\n";
    std::fs::write(&settings, text).expect("it is written");
    std::fs::create_dir(dir.path().join("p")).expect("it is made");
    std::fs::write(
        dir.path().join("p/look.yaml"),
        "playbook: look\nversion: 1\ntitle: Look\nposture: overt\nsteps:\n  - id: a\n    enrich: okta.find_user\n    with: { user: a@example.com }\n",
    )
    .expect("it is written");
    let config = settings.to_string_lossy().into_owned();
    let checked = quell(&["--config", &config, "check"], dir.path());
    assert_eq!(checked.status.code(), Some(0), "{}", checked.text);
    assert!(checked.text.contains("warning[secret-missing]"), "{}", checked.text);
    for command in [&["serve"][..], &["run", "look"]] {
        let out = quell(&[&["--config", &config][..], command].concat(), dir.path());
        assert_eq!(out.status.code(), Some(2), "{command:?}: {}", out.text);
        assert!(out.text.contains("QUELL_SURELY_UNSET is not set"), "{command:?}: {}", out.text);
        assert!(
            out.text.contains("1 mistake found"),
            "{command:?}: one, and nothing that follows from it: {}",
            out.text
        );
    }
}

#[test]
fn a_secret_that_is_written_out_is_refused_and_never_shown() {
    let dir = tempfile::tempdir().expect("there is room");
    let settings = dir.path().join("quell.yaml");
    std::fs::write(&settings, "connectors:\n  people: { use: people, url: \"http://127.0.0.1:9\", auth: { token: hunter2hunter2 } }\n").expect("it is written");
    let out = quell(&["--config", &settings.to_string_lossy(), "check"], dir.path());
    assert_eq!(out.status.code(), Some(2), "{}", out.text);
    assert!(out.text.contains("must be a reference"), "{}", out.text);
    assert!(out.text.contains("1 mistake found"), "{}", out.text);
}

#[test]
fn check_tells_each_mistake_of_each_file_once() {
    let dir = tempfile::tempdir().expect("there is room");
    std::fs::create_dir(dir.path().join("p")).expect("it is made");
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("it is written");
    let good = "playbook: one\nversion: 1\ntitle: T\nposture: overt\nsteps:\n  - id: a\n    wait: 1s\n";
    write("p/a.yaml", good.as_bytes());
    write("p/b.yaml", good.as_bytes());
    write("p/c.yaml", b"a: b\nc: \xe9");
    write("p/d.yaml", b"");
    write("p/e.yaml", b"- a");
    write("p/a.test.yaml", b"test: one\ncases:\n  - case: it ends\n    inputs: {}\n    expct: {}\n");
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("p/z.yaml")).expect("it is linked");
    let told = [
        "the playbook `one` is in p/a.yaml already\n --> p/b.yaml:1:11",
        "not UTF-8\n--> p/c.yaml:2:4",
        "there is nothing in this file",
        "a playbook takes a map, found a list",
        "p/z.yaml is no file that could be read whole",
    ];
    let out = quell(&["check", "p"], dir.path());
    assert_eq!(out.status.code(), Some(2), "{}", out.text);
    for message in told {
        assert_eq!(out.text.matches(message).count(), 1, "`{message}` in {}", out.text);
    }
    let out = quell(&["check", "p/a.test.yaml"], dir.path());
    assert!(out.text.contains("did you mean `expect`?"), "{}", out.text);
    // In a house of its own, named by another path than the settings name it.
    write("quell.yaml", b"playbooks: ./p\n");
    let out = quell(&["check", "p/b.yaml", "p"], dir.path());
    for message in ["already", "not UTF-8", "could be read whole"] {
        assert_eq!(out.text.matches(message).count(), 1, "`{message}` in {}", out.text);
    }
}

#[test]
fn what_init_writes_runs_by_hand() {
    let dir = tempfile::tempdir().expect("there is room");
    let home = dir.path();
    assert_eq!(quell(&["init"], home).status.code(), Some(0));
    let bare = quell(&["run", "first", "--wait"], home);
    assert_eq!(bare.status.code(), Some(2), "{}", bare.text);
    assert!(bare.text.contains("runs on an alert"), "{}", bare.text);
    let out = quell(&["run", "first", "--alert", "alert.json", "--wait"], home);
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
}

#[test]
fn an_unreachable_connector_fails_the_run_and_says_so() {
    let dir = tempfile::tempdir().expect("there is room");
    let settings = dir.path().join("quell.yaml");
    std::fs::write(
        &settings,
        "data: d\nplaybooks: p\nconnectors:\n  assets: { use: assets, url: \"http://127.0.0.1:9\", auth: { token: \"${env:QUELL_TEST_TOKEN}\" } }\n",
    )
    .expect("it is written");
    std::fs::create_dir(dir.path().join("p")).expect("it is made");
    std::fs::write(dir.path().join("p/look.yaml"), "playbook: look\nversion: 1\ntitle: Look\nposture: overt\nsteps:\n  - id: system\n    enrich: assets.system\n    with: { name: x }\n    retry: { times: 0 }\n").expect("it is written");
    let out = quell(&["--config", &settings.to_string_lossy(), "run", "look"], dir.path());
    assert_eq!(out.status.code(), Some(1), "{}", out.text);
    assert!(out.text.contains("cannot be reached") || out.text.contains("nothing was sent"), "{}", out.text);
}

#[tokio::test]
async fn schedules_are_shown_with_their_next_firings() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().expect("there is room");
    let list = |format: &str| {
        let out = quell(&["--config", &server.settings(), "--format", format, "schedules"], dir.path());
        assert!(out.status.success(), "{}", out.text);
        out.text
    };
    // Armed by the first look at the clock, which is at once.
    let mut shown = Value::Null;
    for _ in 0..250 {
        shown = serde_json::from_str(&list("json")).expect("it is JSON");
        if shown["items"][0]["next"].as_array().map(Vec::len) == Some(3) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let row = &shown["items"][0];
    assert_eq!(
        (&row["playbook"], &row["cron"], &row["timezone"], &row["missed"], &row["overlap"]),
        (
            &json!("yearly"),
            &json!("0 3 29 2 *"),
            &json!("Asia/Kathmandu"),
            &json!("run_once"),
            &json!("queue")
        ),
    );
    let next: Vec<&str> = row["next"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(
        next.iter().all(|due| due.ends_with("-02-28T21:15:00.000Z")),
        "29 February at 03:00 there: {next:?}"
    );
    let text = list("text");
    assert!(text.contains("yearly") && text.contains("29 2") && text.contains(next[0]), "{text}");
    let id = row["id"].as_str().expect("it has an id");
    assert_eq!(server.get(&format!("/schedules/{id}")).await["next"], row["next"]);
}

#[tokio::test]
async fn a_run_by_hand_is_followed_over_the_api_and_idempotent() {
    let server = Server::start().await;
    let key = [("idempotency-key", "k-1")];
    let first = server.post("/playbooks/quick/runs", &json!({}), &key).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let again = server.post("/playbooks/quick/runs", &json!({}), &key).await;
    assert_eq!(again.body["run"], first.body["run"]);
    let run = first.body["run"].as_str().expect("it has an id").to_owned();
    let mut status = Value::Null;
    for _ in 0..100 {
        let rows = server.get("/runs").await;
        status = rows["items"][0]["status"].clone();
        if status == json!("succeeded") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status, json!("succeeded"));
    let shown = server.get(&format!("/runs/{run}")).await;
    assert!(shown["timeline"].as_array().is_some_and(|lines| lines.len() >= 3), "{shown}");
    let refused = server.post(&format!("/runs/{run}/cancel"), &json!({}), &[]).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
}

#[tokio::test]
async fn people_put_on_record_what_no_system_can_know() {
    let server = Server::start().await;
    let run = server.post("/playbooks/quick/runs", &json!({}), &[]).await;
    assert_eq!(run.status, 201, "{}", run.body);
    let rows = server.get("/incidents").await;
    let path = format!("/incidents/{}", rows["items"][0]["id"].as_str().expect("it has an id"));
    let told = json!({ "tags": ["impact: none"], "severity": 70, "status": "investigating", "note": "called the owner" });
    let changed = server.patch(&path, &told).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let row = server.get(&path).await;
    assert_eq!(row["severity"], json!(70), "{row}");
    assert_eq!(row["tags"], json!(["impact: none"]));
    assert_eq!(row["notes"][0]["text"], json!("called the owner"));
    for (body, status, words) in [
        (json!({ "severity": 10 }), 422, "needs a reason"),
        (json!({ "severity": 300 }), 400, "from 0 to 100"),
        (json!({ "status": "done" }), 400, "one of: open, investigating, contained, closed"),
        (json!({}), 422, "nothing is to be changed"),
    ] {
        let refused = server.patch(&path, &body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
        assert!(refused.body.to_string().contains(words), "{words}: {}", refused.body);
    }
    assert_eq!(server.get(&path).await["severity"], json!(70));
    let lowered = server.patch(&path, &json!({ "severity": 10, "why": "a test of the sensor" })).await;
    assert_eq!(lowered.status, 200, "{}", lowered.body);
}

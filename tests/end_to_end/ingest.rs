//! `quell ingest`: alerts from files and pipes, by the rules of their source.

use serde_json::{Value, json};

use crate::house::Server;

fn alert(number: usize) -> Value {
    json!({
        "source_id": format!("file-{number}"),
        "title": format!("Kept \u{1b}[31malert {number}"),
        "severity": 40,
        "user": { "email": "dana@example.com" },
        // A number that a float could not hold.
        "extra": { "offset": 9_007_199_254_740_993_u64 },
    })
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| format!("{}\n", alert(number))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_taken_in_parts_and_given_again_takes_nothing_twice() {
    let server = Server::start().await;
    let path = server.data().join("alerts.ndjson");
    std::fs::write(&path, lines(0..1300)).expect("it is written");
    let file = path.to_str().expect("it is text");
    let out = server.quell(&["ingest", file, "--source", "open"]);
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    assert!(out.text.contains("1300 taken, 0 known already, 0 run(s) started"), "{}", out.text);
    assert!(!out.text.contains('\u{1b}'), "text of an alert steers no terminal");
    // The same as one list, one more at its end.
    let list = Value::Array((0..1301).map(alert).collect());
    std::fs::write(&path, list.to_string()).expect("it is written");
    let out = server.quell(&["ingest", file, "--source", "open"]);
    assert!(out.text.contains("1 taken, 1300 known already"), "{}", out.text);
    let out = server.quell(&["ingest", file, "--source", "nobody"]);
    assert_eq!(out.status.code(), Some(3), "{}", out.text);
    assert!(out.text.contains("configured are: open, signed"), "{}", out.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_prints_each_alert_as_it_is_understood_and_stores_nothing() {
    let server = Server::start().await;
    let path = server.data().join("alerts.ndjson");
    std::fs::write(&path, lines(0..3)).expect("it is written");
    let file = path.to_str().expect("it is text");
    let out = server.quell(&["--format", "json", "ingest", file, "--source", "generic", "--dry-run"]);
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    let told: Vec<Value> = out.text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(told.len(), 3, "{}", out.text);
    assert_eq!((&told[1]["source_id"], &told[1]["severity"]), (&json!("file-1"), &json!(40)));
    assert_eq!(told[1]["raw"]["extra"]["offset"], json!(9_007_199_254_740_993_u64));
    let out = server.quell(&["ingest", file, "--source", "generic", "--dry-run"]);
    assert!(out.text.contains("subject dana@example.com"), "{}", out.text);
    assert!(!out.text.contains('\u{1b}'), "{}", out.text);
    assert_eq!(server.get("/alerts").await["items"], json!([]), "nothing was stored");
    std::fs::write(&path, "{ \"title\": ").expect("it is written");
    let out = server.quell(&["ingest", file, "--source", "generic", "--dry-run"]);
    assert_eq!(out.status.code(), Some(2), "{}", out.text);
}

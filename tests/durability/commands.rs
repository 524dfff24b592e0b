//! `quell store` as its users meet it.

use crate::house::{Peer, Place};

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("it is text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_server_is_restored_elsewhere_and_nothing_is_sent_again() {
    let dir = tempfile::tempdir().expect("there is room");
    let peer = Peer::start().await;
    let place = Place::new(dir.path(), &dir.path().join("data"), Some(&peer));
    let mut server = place.serve(&[]);
    server.until_ready_says(200).await;
    for nth in 0..20 {
        assert_eq!(server.deliver(nth).await.expect("it answers").status, 202);
    }
    let run = server.start_run("once").await;
    while peer.sent() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }

    let (code, said) = place.quell(&["store", "verify"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("open in another process"), "{said}");
    let backup = dir.path().join("backup.jsonl");
    let (code, said) = place.quell(&["store", "backup", text(&backup)]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = place.quell(&["store", "backup", text(&backup)]);
    assert_eq!(code, Some(3), "a backup is never written over: {said}");
    assert!(said.contains("is there already"), "{said}");
    let (code, said) = place.quell(&["store", "verify", text(&backup)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing is missing or changed"), "{said}");
    // It goes on after the backup.
    assert_eq!(server.deliver(99).await.expect("it answers").status, 202);
    server.kill();

    let other = Place::new(dir.path(), &dir.path().join("other"), Some(&peer));
    let (code, said) = other.quell(&["store", "import", text(&backup)]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = other.quell(&["store", "import", text(&backup)]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("an import never mixes"), "{said}");
    let (code, said) = other.quell(&["store", "verify"]);
    assert_eq!(code, Some(0), "{said}");
    let again = dir.path().join("again.jsonl");
    let (code, said) = other.quell(&["store", "backup", text(&again)]);
    assert_eq!(code, Some(0), "{said}");
    let records = |path: &std::path::Path| -> Vec<String> {
        let text = std::fs::read_to_string(path).expect("reads");
        text.lines().filter(|line| line.starts_with("{\"record\"")).map(str::to_owned).collect()
    };
    let (before, after) = (records(&backup), records(&again));
    assert!(after.starts_with(&before), "what was restored is the same, to the byte");
    assert_eq!(after.len(), before.len() + 1, "beside it stands that it was restored");

    let mut server = other.serve(&[]);
    server.until_ready_says(200).await;
    server.until_run_is(&run, &["quarantined"]).await;
    let (code, said) = other.quell(&["release", &run]);
    assert_eq!(code, Some(0), "{said}");
    server.until_run_is(&run, &["needs_person"]).await;
    assert_eq!(peer.sent(), 1, "what was in flight may have happened, and is not sent again");
    let alerts = server.ask("GET", "/api/v1/alerts?limit=100", None).await.expect("it answers");
    assert_eq!(alerts.body["items"].as_array().map(Vec::len), Some(20), "{}", alerts.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_needs_an_admin() {
    let dir = tempfile::tempdir().expect("there is room");
    let place = Place::new(dir.path(), &dir.path().join("data"), None);
    let mut server = place.serve(&[]);
    server.until_ready_says(200).await;
    let base = server.base().await.expect("it listens");
    let answer = reqwest::Client::new().post(format!("{base}/api/v1/store/backup")).send().await;
    assert_eq!(answer.expect("it answers").status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_refused_with_words_that_help() {
    let dir = tempfile::tempdir().expect("there is room");
    let place = Place::new(dir.path(), &dir.path().join("data"), None);
    let (code, said) = place.quell(&["store", "verify"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("there is none") && !dir.path().join("data").exists(), "{said}");

    let mut server = place.serve(&[]);
    server.until_ready_says(200).await;
    for nth in 0..20 {
        assert_eq!(server.deliver(nth).await.expect("it answers").status, 202);
    }
    server.kill();
    // The middle of sled's file is overwritten.
    let path = dir.path().join("data/store/db");
    let mut bytes = std::fs::read(&path).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xA5);
    std::fs::write(&path, bytes).expect("writes");

    let (code, said) = place.quell(&["store", "verify"]);
    assert_eq!(code, Some(1), "{said}");
    for told in ["the journal is damaged", "quell store import", "quell store export"] {
        assert!(said.contains(told), "`{told}` in {said}");
    }
    let mut server = place.serve(&[]);
    let status = server.ended().await;
    assert_eq!(status.code(), Some(4), "{}", server.said());
    let out = dir.path().join("saved.jsonl");
    let (code, said) = place.quell(&["store", "export", text(&out)]);
    assert_eq!(code, Some(1), "what is missing is told: {said}");
}

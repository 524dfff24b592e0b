//! A disk that fills up under the running server.

use crate::house::{Peer, Place, SmallDisk, leave_out};

/// Room for the store, its ballast, the space that it wants free, and some.
const DISK_MEBIBYTES: u32 = 96;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_parks_runs_and_the_server_recovers_by_itself() {
    let dir = tempfile::tempdir().expect("there is room");
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), DISK_MEBIBYTES) else {
        return leave_out("a disk that fills up (no tmpfs may be mounted here)");
    };
    let peer = Peer::start().await;
    let place = Place::new(dir.path(), &dir.path().join("disk/data"), Some(&peer));
    let mut server = place.serve(&[]);
    server.until_ready_says(200).await;
    let mut accepted = Vec::new();
    for nth in 0..5 {
        let answer = server.deliver(nth).await.expect("it answers");
        assert_eq!(answer.status, 202, "{}", answer.body);
        accepted.push(answer.body["alerts"][0]["id"].as_str().expect("it has an id").to_owned());
    }
    let run = server.start_run("once").await;
    server.until_run_is(&run, &["running"]).await;
    while peer.sent() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }

    // The disk fills up while the peer works; then the peer answers.
    disk.fill();
    server.until_ready_says(503).await;
    let refused = server.deliver(100).await.expect("it answers");
    assert_eq!((refused.status, refused.retry_after), (503, true), "{}", refused.body);
    assert_eq!(refused.body["code"], "store-full", "{}", refused.body);
    peer.answer();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    server.until_run_is(&run, &["running"]).await;

    // Space is back: the outcome was kept, and nothing was sent again.
    disk.free();
    server.until_ready_says(200).await;
    server.until_run_is(&run, &["succeeded"]).await;
    assert_eq!(peer.sent(), 1);
    assert_eq!(server.deliver(100).await.expect("it answers").status, 202, "it was never taken before");

    // Killed with an effect in flight, and started again on a disk without a byte left.
    let run = server.start_run("once").await;
    while peer.sent() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server.kill();
    disk.fill();
    let mut server = place.serve(&[]);
    let alive = server.ask("GET", "/healthz", None).await.expect("it starts on a full disk");
    assert_eq!(alive.status, 200);
    server.until_ready_says(503).await;
    let refused = server.deliver(101).await.expect("it answers");
    assert_eq!((refused.status, refused.retry_after), (503, true), "{}", refused.body);

    // What is there can be read, and saved to another disk.
    server.kill();
    let out = dir.path().join("saved.jsonl");
    let (code, text) = place.quell(&["store", "export", out.to_str().expect("it is text")]);
    assert_eq!(code, Some(0), "{text}");
    std::fs::remove_file(dir.path().join("disk/data/store/ballast")).ok();
    disk.fill();
    let again = dir.path().join("again.jsonl");
    let (code, text) = place.quell(&["store", "export", again.to_str().expect("it is text")]);
    assert_eq!(code, Some(0), "without a ballast: {text}");
    assert_eq!(std::fs::read(&out).expect("reads"), std::fs::read(&again).expect("reads"));
    let (code, text) = place.quell(&["store", "verify", again.to_str().expect("it is text")]);
    assert_eq!(code, Some(0), "{text}");

    // Started without a ballast and without a byte, and then there is space.
    let mut server = place.serve(&[]);
    server.until_ready_says(503).await;
    disk.free();
    server.until_ready_says(200).await;
    server.until_run_is(&run, &["needs_person"]).await;
    assert_eq!(peer.sent(), 2, "what may have happened is not sent again");
    for id in accepted {
        let shown = server.ask("GET", &format!("/api/v1/alerts/{id}"), None).await.expect("it answers");
        assert_eq!(shown.status, 200, "{id} was accepted and is gone");
    }
}

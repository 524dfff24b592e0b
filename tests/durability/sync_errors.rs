//! Syncs that fail (strace makes them fail): nothing is acknowledged after one,
//! the server ends with a failure, and what was acknowledged is there again.

use std::process::Command;

use crate::cases;
use crate::house::{Place, leave_out};

/// Deliveries at most before a sync must have failed.
const DELIVERIES: usize = 500;

fn has_strace() -> bool {
    Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_after_a_failed_sync() {
    if !has_strace() {
        return leave_out("failing syncs (strace is not here, or may not trace)");
    }
    let every = cases(2, 100);
    let (mut all, mut ended) = (0, 0);
    for case in 0..every {
        // Few cases are spread over early and late syncs.
        let nth = if every < 10 { [3, 12][case] } else { case + 1 };
        for call in ["fdatasync", "sync_file_range"] {
            all += 1;
            ended += usize::from(a_failed_sync(call, nth).await);
        }
    }
    println!("{ended} of {all} failed syncs were of the journal");
    assert!(ended * 2 >= all, "the test would prove little without them");
}

/// Whether the server ended for it.
async fn a_failed_sync(call: &str, nth: usize) -> bool {
    let dir = tempfile::tempdir().expect("there is room");
    let place = Place::new(dir.path(), &dir.path().join("data"), None);
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:error=EIO:when={nth}");
    let mut server = place.serve(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
    let mut accepted = Vec::new();
    let mut has_failed = false;
    for delivery in 0..DELIVERIES {
        match server.deliver(delivery).await {
            Some(answer) if answer.status == 202 => {
                assert!(!has_failed, "{call} {nth}: acknowledged after a failed sync");
                accepted.push(answer.body["alerts"][0]["id"].as_str().expect("it has an id").to_owned());
            }
            Some(_) => has_failed = true,
            None => break,
        }
    }
    // When it was the sync of the views' file, the server goes on: that is a copy.
    let went_on = !has_failed && accepted.len() == DELIVERIES;
    if went_on {
        server.kill();
        // That was strace; the server goes on without it.
        let of_ours = dir.path().join("data");
        let killed = Command::new("pkill").arg("-9").arg("-f").arg(&of_ours).status();
        assert!(killed.is_ok_and(|status| status.success()), "the server is killed");
    } else {
        let status = server.ended().await;
        assert!(!status.success(), "{call} {nth}: {status}, {}", server.said());
    }

    let mut server = place.serve(&[]);
    server.until_ready_says(200).await;
    for id in &accepted {
        let shown = server.ask("GET", &format!("/api/v1/alerts/{id}"), None).await.expect("it answers");
        assert_eq!(shown.status, 200, "{call} {nth}: {id} was acknowledged and is gone");
    }
    server.kill();
    let (code, said) = place.quell(&["store", "verify"]);
    assert_eq!(code, Some(0), "{call} {nth}: {said}");
    !went_on
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_hangs_ends_the_server_and_loses_nothing() {
    // It takes as long as a write may hang, so it is played with `--long` alone.
    if cases(0, 1) == 0 {
        return;
    }
    if !has_strace() {
        return leave_out("writes that hang (strace is not here, or may not trace)");
    }
    let dir = tempfile::tempdir().expect("there is room");
    let place = Place::new(dir.path(), &dir.path().join("data"), None);
    // Longer than a write may hang; strace holds the thread, and so the end, until then.
    let hang = "inject=fdatasync:delay_enter=45s:when=20";
    let mut server =
        place.serve(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", hang]);
    let mut accepted = Vec::new();
    for delivery in 0..DELIVERIES {
        match server.deliver(delivery).await {
            Some(answer) if answer.status == 202 => {
                accepted.push(answer.body["alerts"][0]["id"].as_str().expect("it has an id").to_owned());
            }
            _ => break,
        }
    }
    assert!(!accepted.is_empty() && accepted.len() < DELIVERIES, "{} were accepted", accepted.len());
    let status = server.ended().await;
    assert!(!status.success(), "{status}, {}", server.said());
    let mut server = place.serve(&[]);
    server.until_ready_says(200).await;
    for id in &accepted {
        let shown = server.ask("GET", &format!("/api/v1/alerts/{id}"), None).await.expect("it answers");
        assert_eq!(shown.status, 200, "{id} was acknowledged and is gone");
    }
}

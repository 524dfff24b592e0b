//! What may not be repeated blindly and can be asked for: the server is killed,
//! or its connection cut, once the peer has taken it. The run goes on by itself
//! and the effect is there once.

use std::time::{Duration, Instant};

use quell::domain::command::Phase;
use quell::domain::event::{Entry, Event, RunEnd};
use quell::domain::run::StepEnd;
use serde_json::{Value, json};

use crate::house::{Death, Life, OPERATOR, PATIENCE, Place};
use crate::peer::Moment;

const PLAYBOOK: &str = r#"
playbook: asks
version: 1
title: Opens a ticket and tells its number
posture: overt
steps:
  - { id: ticket, call: peer.OPERATION, with: { run: "${ run.id }", what: ticket } }
  - { id: tell_number, call: peer.tell, with: { run: "${ run.id }", what: "number-${ steps.ticket.number }" } }
"#;

async fn place(operation: &str, lag: u32) -> Place {
    let place = Place::new(&[("asks", &PLAYBOOK.replace("OPERATION", operation))]).await;
    place.peer.books.lock().lag = Some(lag);
    place
}

/// Lives until it is killed, or until its only run waits for a person or has
/// ended, which is given.
async fn until_it_rests(life: &mut Life<'_>) -> Option<Value> {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "it never rests");
        let rows = life.list("/runs").await?;
        let row = rows.first().cloned().unwrap_or_default();
        if !row["end"].is_null() || row["status"] == "needs_person" {
            return Some(row);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Starts a run, and goes through lives until it rests.
async fn through(place: &Place, moment: Moment) -> Value {
    let mut life = place.live(&Death::None);
    assert!(life.is_up().await);
    *place.executioner.plan.lock() = Some((moment, 1));
    let key = [("idempotency-key", "one")];
    let _ = life.call_with(OPERATOR, "POST", "/playbooks/asks/runs", &key, Some(json!({}))).await;
    let rested = until_it_rests(&mut life).await;
    drop(life);
    place.settle_down().await;
    match rested {
        Some(row) => row,
        None => {
            let mut life = place.live(&Death::None);
            until_it_rests(&mut life).await.expect("nobody kills it any more")
        }
    }
}

fn looks(entries: &[Entry]) -> usize {
    let look = |entry: &&Entry| matches!(entry.event, Event::AttemptStarted { phase: Phase::Reconcile, .. });
    entries.iter().filter(look).count()
}

fn acts(entries: &[Entry]) -> usize {
    let act = |entry: &&Entry| matches!(&entry.event, Event::AttemptStarted { key, phase: Phase::Act, .. } if &*key.id == "ticket");
    entries.iter().filter(act).count()
}

fn times(place: &Place, what: &str) -> u32 {
    let books = place.peer.books.lock();
    books.once.iter().filter(|((_, name), _)| name == what).map(|(_, times)| times).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_peer_took_is_found_and_the_run_goes_on_by_itself() {
    // At once, or late: what it searches lags.
    for (moment, lag) in [(Moment::Done, 0), (Moment::Half, 2), (Moment::Cut, 0), (Moment::Cut, 2)] {
        for operation in ["open", "order"] {
            let case = format!("{operation}, {moment:?}, {lag}");
            let place = place(operation, lag).await;
            let row = through(&place, moment).await;
            assert_eq!(row["end"], "succeeded", "{case}: {row}");
            assert_eq!((times(&place, "ticket"), times(&place, "number-1")), (1, 1), "{case}");
            let entries = place.entries().await;
            assert_eq!((acts(&entries), looks(&entries)), (1, 1 + lag as usize), "{case}");
            let settled = entries
                .iter()
                .any(|entry| matches!(entry.event, Event::StepUncertain { .. } | Event::StepSettled { .. }));
            assert!(!settled, "{case}");
            let run = row["id"].as_str().unwrap_or_default();
            let why = entries.iter().find_map(|entry| match &entry.event {
                Event::StepEnded { key, end: StepEnd::Succeeded, why, .. } if &*key.id == "ticket" => {
                    why.clone()
                }
                _ => None,
            });
            let told = format!("Peer was asked for `{run}/ticket/do`, and says that it happened");
            assert!(why.as_deref().is_some_and(|why| why.ends_with(&told)), "{case}: {why:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_peer_never_got_is_sent_again_only_where_its_no_is_trusted() {
    let place_trusted = place("order", 0).await;
    let row = through(&place_trusted, Moment::Dropped).await;
    assert_eq!(row["end"], "succeeded", "{row}");
    assert_eq!((times(&place_trusted, "ticket"), times(&place_trusted, "number-1")), (1, 1));
    let entries = place_trusted.entries().await;
    assert_eq!((acts(&entries), looks(&entries)), (2, 3));
    let marks: Vec<String> = place_trusted.peer.books.lock().marked.keys().cloned().collect();
    assert_eq!(marks.len(), 1, "the mark stays the same: {marks:?}");

    let place = place("open", 0).await;
    let row = through(&place, Moment::Dropped).await;
    assert_eq!(row["status"], "needs_person", "{row}");
    assert_eq!(times(&place, "ticket"), 0);
    let entries = place.entries().await;
    assert_eq!((acts(&entries), looks(&entries)), (1, 3));
    let what = entries.iter().find_map(|entry| match &entry.event {
        Event::StepUncertain { what, .. } => Some(what.clone()),
        _ => None,
    });
    let run = row["id"].as_str().unwrap_or_default();
    let told = what.expect("it is uncertain");
    let begins =
        format!("the server stopped while it was sent; Peer was asked for `{run}/ticket/do` 3 times in ");
    assert!(told.starts_with(&begins), "{told}");
    assert!(told.ends_with("and does not know of it, which proves nothing there"), "{told}");

    // A person has looked, and the run goes on from there.
    let mut life = place.live(&Death::None);
    let body = json!({ "step": "ticket", "happened": false, "note": "I looked" });
    let answer = life.call(OPERATOR, "POST", &format!("/runs/{run}/settle"), Some(body)).await;
    assert_eq!(answer.expect("it is up").status, 200);
    let row = until_it_rests(&mut life).await.expect("nobody kills it");
    assert_eq!((&row["end"], times(&place, "ticket")), (&json!("succeeded"), 1), "{row}");
    drop(life);
    let ended = |entry: &Entry| matches!(entry.event, Event::RunEnded { end: RunEnd::Succeeded });
    assert!(place.entries().await.iter().any(ended));
}

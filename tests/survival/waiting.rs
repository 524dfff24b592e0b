//! Approvals that wait, over restarts: all are there, their deadlines are the
//! same to the millisecond, nobody is written to twice, and what came due while
//! the server was down fires once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quell::domain::approval::Verdict;
use quell::domain::event::Event;
use quell::domain::time::Timestamp;
use serde_json::{Value, json};

use crate::house::{Death, Life, OPERATOR, Place};
use crate::{Chance, cases};

fn playbook(name: &str, within: &str) -> String {
    format!(
        "playbook: {name}\nversion: 1\ntitle: Waits for a yes\nposture: overt\nsteps:\n  \
         - {{ id: tell_after, call: peer.tell, with: {{ run: \"${{ run.id }}\", what: tell_after }}, \
         approval: {{ by: [lead@example.com], within: {within}, if_silent: reject }} }}\n"
    )
}

/// Short enough to come due in a test, long enough to be asked before.
const SHORT: &str = "3s";

/// Starts runs until so many are acknowledged, through as many lives as it takes.
async fn start(place: &Place, name: &str, count: usize, chance: &mut Chance, deaths: usize) -> usize {
    let (mut started, mut lives) = (0, 0);
    while started < count {
        let share = (count / (deaths + 1)).max(1) as u64;
        let death = if lives < deaths { Death::AtPoint(60 + chance.below(share * 12)) } else { Death::None };
        let mut life = place.live(&death);
        while started < count {
            let key = format!("{name}-{started}");
            let path = format!("/playbooks/{name}/runs");
            let answer =
                life.call_with(OPERATOR, "POST", &path, &[("idempotency-key", &key)], Some(json!({}))).await;
            let Some(answer) = answer else { break };
            assert_eq!(answer.status, 201, "{}", answer.body);
            started += 1;
        }
        if started == count && lives >= deaths {
            until_all_are_told(place, &mut life, count).await;
        }
        lives += 1;
        life.kill();
        place.settle_down().await;
    }
    lives
}

/// Waits until each approval's mail has left.
async fn until_all_are_told(place: &Place, life: &mut Life<'_>, count: usize) {
    let began = std::time::Instant::now();
    loop {
        let told: BTreeSet<String> =
            place.post.about("Approval needed").into_iter().map(|mail| mail.id).collect();
        let flying = life.list("/runs?live=true").await.expect("it is up");
        if told.len() >= count && flying.iter().all(|run| run["status"] == "waiting") {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(600), "{} of {count} were told", told.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Each approval that waits, with what must not change.
async fn open(life: &mut Life<'_>) -> BTreeMap<String, Value> {
    let rows = life.list("/approvals?open=true").await.expect("it is up");
    let kept = |row: Value| {
        let id = row["id"].as_str().expect("it has one").to_owned();
        (id, json!([row["run"], row["step"], row["by"], row["binds"], row["until"], row["asked_at"]]))
    };
    rows.into_iter().map(kept).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_wait_over_restarts_as_if_nothing_had_happened() {
    let count = cases(300, 10_000);
    let place = Place::new(&[("waits", &playbook("waits", "30d"))]).await;
    let mut chance = Chance(11);
    let lives = start(&place, "waits", count, &mut chance, cases(2, 4)).await;
    let mut before: Option<BTreeMap<String, Value>> = None;
    let mut told = place.post.mails.lock().len();
    let restarts = cases(4, 20);
    for restart in 0..restarts {
        let mut life = place.live(&Death::None);
        let now = open(&mut life).await;
        assert_eq!(now.len(), count, "restart {restart}");
        if let Some(before) = &before {
            assert!(*before == now, "restart {restart}: an approval is not what it was");
            assert_eq!(
                place.post.mails.lock().len(),
                told,
                "restart {restart}: somebody was written to again"
            );
        }
        until_all_are_told(&place, &mut life, count).await;
        told = place.post.mails.lock().len();
        before = Some(now);
        if restart % 2 == 0 {
            life.kill()
        } else {
            assert!(life.stop().await.success())
        }
        place.settle_down().await;
    }
    // Killed in the middle of a mail, it goes out once more, as the same mail.
    let mails = place.post.about("Approval needed");
    let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.id.as_str()).collect();
    let subjects: BTreeSet<&str> = mails.iter().map(|mail| mail.subject.as_str()).collect();
    assert_eq!((ids.len(), subjects.len()), (count, count), "one mail for each approval");
    println!("{count} approvals, asked over {lives} lives, {} mails, {restarts} restarts", mails.len());
    assert!(place.peer.books.lock().once.is_empty(), "nobody said yes, and nothing was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_due_while_the_server_is_down_fires_once_at_its_start() {
    let (count, long) = (cases(40, 400), 20);
    let texts = [playbook("waits", "30d"), playbook("short", SHORT)];
    let place = Place::new(&[("waits", &texts[0]), ("short", &texts[1])]).await;
    let mut chance = Chance(12);
    start(&place, "waits", long, &mut chance, 0).await;
    let mut life = place.live(&Death::None);
    for nth in 0..count {
        let headers = [("idempotency-key", format!("short-{nth}"))];
        let headers = [(headers[0].0, headers[0].1.as_str())];
        let answer =
            life.call_with(OPERATOR, "POST", "/playbooks/short/runs", &headers, Some(json!({}))).await;
        assert_eq!(answer.expect("it answers").status, 201);
    }
    life.kill();
    place.settle_down().await;

    // Down until the last of them is over; then killed while it catches up.
    let until = |entries: &[quell::domain::event::Entry]| {
        let all = entries.iter().filter_map(|entry| match &entry.event {
            Event::ApprovalRequested { until, .. } => Some(*until),
            _ => None,
        });
        let now: Timestamp = chrono::Utc::now().into();
        all.filter(|until| until.since(now) < Duration::from_secs(3600)).max()
    };
    let last = until(&place.entries().await).expect("there are short ones");
    while Timestamp::from(chrono::Utc::now()) <= last {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for death in [Death::AtPoint(60), Death::AtPoint(150), Death::None] {
        let mut life = place.live(&death);
        loop {
            match life.list("/approvals?open=true").await {
                Some(open) if open.len() > long => tokio::time::sleep(Duration::from_millis(20)).await,
                Some(_) => break,
                None if life.ended().is_some() => break,
                None => {}
            }
        }
        life.kill();
        place.settle_down().await;
    }

    let entries = place.entries().await;
    let (mut asked, mut closed) = (BTreeMap::new(), BTreeMap::new());
    for entry in &entries {
        match &entry.event {
            Event::ApprovalRequested { approval, until, .. } => {
                asked.insert(*approval, *until);
            }
            Event::ApprovalClosed { approval, verdict } => {
                assert_eq!(*verdict, Verdict::Silent);
                assert!(entry.at >= asked[approval], "{approval} was closed before its time");
                assert!(closed.insert(*approval, entry.at).is_none(), "{approval} was closed twice");
            }
            _ => {}
        }
    }
    assert_eq!((asked.len(), closed.len()), (count + long, count));
    let late = closed.values().filter(|at| **at > last).count();
    assert!(late > 0, "some came due while it was down");
    assert!(place.peer.books.lock().once.is_empty(), "silence is no yes");
}

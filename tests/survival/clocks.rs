//! The real binary under a clock that is set forward and back (libfaketime).
//! Timers are absolute and in UTC: what is due fires once, however far the
//! clock has moved, and nothing fires before its time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use quell::domain::event::{Entry, Event};
use quell::domain::time::Timestamp;
use serde_json::json;

use crate::house::{Death, Life, OPERATOR, PATIENCE, Place, leave_out};

const LIBRARY: &str = "libfaketimeMT.so.1";

/// A server whose clock is this file: seconds that it is ahead.
struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// None where the library is not installed.
    fn new(place: &Place) -> Option<Self> {
        let mut dirs = vec![PathBuf::from("/usr/lib/faketime")];
        let found = std::fs::read_dir("/usr/lib").ok()?.flatten();
        dirs.extend(found.map(|entry| entry.path().join("faketime")));
        let library = dirs.into_iter().map(|dir| dir.join(LIBRARY)).find(|path| path.exists())?;
        let clock = Self { library, file: place.path("clock") };
        clock.set(0);
        Some(clock)
    }

    fn set(&self, ahead: i64) {
        let fresh = self.file.with_extension("new");
        std::fs::write(&fresh, format!("{ahead:+}\n")).expect("it is written");
        std::fs::rename(&fresh, &self.file).expect("it is renamed");
    }

    fn live<'a>(&self, place: &'a Place) -> Life<'a> {
        let env = [
            ("LD_PRELOAD", self.library.to_str().expect("it is text")),
            ("FAKETIME_TIMESTAMP_FILE", self.file.to_str().expect("it is text")),
            ("FAKETIME_NO_CACHE", "1"),
            // Only the clock on the wall is set; time itself goes on as it does.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        place.live_through(&[], &env, &Death::None)
    }
}

const DAY: i64 = 24 * 3600;

const LONG: &str = r#"playbook: long
version: 1
title: Waits for a month
posture: overt
steps:
  - { id: question, ask: { who: owner@example.com, question: Was it you?, choices: { mine: Mine, other: Not mine }, within: 30d, if_silent: other } }
  - id: boxed
    needs: []
    contain: peer.watch
    with: { name: "${ run.id }-boxed" }
    for: 30d
  - { id: pause, needs: [], wait: 35d }
  - { id: tell_after, needs: [question, boxed, pause], call: peer.tell, with: { run: "${ run.id }", what: tell_after } }
"#;

fn short() -> String {
    LONG.replace("long", "short").replace("30d", "20s").replace("35d", "21s").replace("for: 20s", "for: 2h")
}

async fn begin(life: &mut Life<'_>, playbook: &str) {
    let answer = life.call(OPERATOR, "POST", &format!("/playbooks/{playbook}/runs"), Some(json!({}))).await;
    assert_eq!(answer.expect("it answers").status, 201);
    until(life, "/questions?open=true", 1).await;
    until(life, "/containments?holding=true", 1).await;
    // Nothing is under way: it waits.
    until_run_is(life, "waiting").await;
}

/// Waits until a list has so many rows.
async fn until(life: &mut Life<'_>, list: &str, rows: usize) {
    let began = Instant::now();
    loop {
        let Some(found) = life.list(list).await else { panic!("it is gone:\n{}", life.said()) };
        if found.len() == rows {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{list} never had {rows} rows: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_run_is(life: &mut Life<'_>, status: &str) {
    let began = Instant::now();
    loop {
        let rows = life.list("/runs").await.expect("it is up");
        if rows[0]["status"] == status {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "the run never was {status}: {rows:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_all_is_over(life: &mut Life<'_>) {
    until_run_is(life, "succeeded").await;
    until(life, "/containments?holding=true", 0).await;
}

/// The times of the entries that say this.
fn times(entries: &[Entry], says: impl Fn(&Event) -> bool) -> Vec<Timestamp> {
    entries.iter().filter(|entry| says(&entry.event)).map(|entry| entry.at).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_due_in_forty_days_of_downtime_fires_once_and_is_lifted() {
    let place = Place::new(&[("long", LONG)]).await;
    let Some(clock) = Clock::new(&place) else {
        return leave_out("clocks that jump (faketime is not here)");
    };
    let mut life = clock.live(&place);
    begin(&mut life, "long").await;
    life.kill();
    place.settle_down().await;
    let before = place.entries().await;
    let asked = times(&before, |event| matches!(event, Event::QuestionAsked { .. }))[0];
    assert!(place.peer.books.lock().suspended.values().all(|suspended| *suspended));

    // A day early nothing happens, however often it starts; then all of it, once.
    for ahead in [29 * DAY, 29 * DAY, 40 * DAY, 40 * DAY, 39 * DAY] {
        clock.set(ahead);
        let mut life = clock.live(&place);
        if ahead < 30 * DAY {
            until(&mut life, "/questions?open=true", 1).await;
            until(&mut life, "/containments?holding=true", 1).await;
        } else {
            until_all_is_over(&mut life).await;
        }
        life.kill();
        place.settle_down().await;
    }
    let entries = place.entries().await;
    let silent = times(&entries, |event| matches!(event, Event::QuestionSilent { .. }));
    let lifting =
        times(&entries, |event| matches!(event, Event::UndoRequested { by, .. } if by == "time box"));
    let lifted = times(&entries, |event| matches!(event, Event::ContainmentLifted { .. }));
    let days =
        |times: &[Timestamp]| times.iter().map(|at| at.since(asked).as_secs() / 86_400).collect::<Vec<_>>();
    assert_eq!((days(&silent), days(&lifting), days(&lifted)), (vec![40], vec![40], vec![40]));
    let books = place.peer.books.lock();
    assert!(books.suspended.values().all(|suspended| !suspended), "{:?}", books.suspended);
    assert_eq!(books.once.values().copied().collect::<Vec<_>>(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_fires_nothing_early_and_set_right_fires_it_once() {
    let place = Place::new(&[("short", &short())]).await;
    let Some(clock) = Clock::new(&place) else {
        return leave_out("clocks that jump (faketime is not here)");
    };
    let mut life = clock.live(&place);
    begin(&mut life, "short").await;
    clock.set(-2 * 3600);
    let shown = life.list("/questions").await.expect("it is up");
    let due: Timestamp = shown[0]["until"].as_str().expect("it has one").parse().expect("it is a time");
    // By the right clock it is over; by the server's there are hours left.
    while Timestamp::from(chrono::Utc::now()) <= due.after(Duration::from_secs(2)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until(&mut life, "/questions?open=true", 1).await;
    life.kill();
    place.settle_down().await;
    let entries = place.entries().await;
    let early = times(&entries, |event| matches!(event, Event::QuestionSilent { .. }));
    assert!(early.is_empty(), "{early:?}, due at {due}");

    clock.set(3 * 3600);
    for _ in 0..2 {
        let mut life = clock.live(&place);
        until_all_is_over(&mut life).await;
        life.kill();
        place.settle_down().await;
    }
    let entries = place.entries().await;
    let silent = times(&entries, |event| matches!(event, Event::QuestionSilent { .. }));
    assert!(silent.len() == 1 && silent[0] >= due, "{silent:?}, due at {due}");
    let lifted = times(&entries, |event| matches!(event, Event::ContainmentLifted { .. }));
    assert_eq!(lifted.len(), 1);
    assert_eq!(place.peer.books.lock().once.values().copied().collect::<Vec<_>>(), [1]);
    let (code, said) = place.quell(&["store", "verify"]);
    assert_eq!(code, Some(0), "the record stands in its order: {said}");
}

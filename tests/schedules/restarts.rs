//! Schedules of a server that is stopped, killed and started again, whose
//! clock is set forward and back, and whose playbooks change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quell::domain::event::{Event, JournalRestored, RunEnd, RunStarted};
use quell::domain::id::{IncidentId, RestoreId, RunId, StreamId};
use quell::domain::owed::RULES;
use quell::domain::schedule::Times;
use quell::domain::time::Timestamp;
use quell::domain::value::digest;
use quell::projection::runs::RunStatus;
use quell::service::releases::ReleaseScope;
use quell::store::journal::{Append, Batch, Journal, Rest};
use quell::store::memory::MemoryJournal;
use ulid::Ulid;

use crate::chance::Chance;
use crate::house::{Death, House, at, now, set_clock};

fn playbook(on: &str, wait: &str) -> String {
    format!(
        "playbook: sweep\nversion: 1\ntitle: Look for accounts that should be closed\nposture: overt\n\
         inputs:\n  day: {{ type: string }}\n\
         on:\n  - schedule: {{ {on}, inputs: {{ day: \"${{ due }}\" }} }}\n\
         steps:\n  - id: rest\n    wait: {wait}\n  - id: said\n    set: {{ day: \"${{ inputs.day }}\" }}\n"
    )
}

/// One schedule's life: start, moments of the clock, and what is on record.
async fn life(text: &str, from: &str, moments: &[&str]) -> (House, Vec<String>) {
    let kept = Arc::new(MemoryJournal::new());
    set_clock(at(from));
    let house = House::open(&kept, &[text], None).await;
    house.look().await.expect("it is taken");
    for moment in moments {
        set_clock(at(moment));
        house.look().await.expect("it is taken");
    }
    let told = house.told().await;
    (house, told)
}

#[tokio::test]
async fn a_firing_starts_one_run_with_an_incident_that_says_what_started_it() {
    let text = playbook("cron: \"0 9 * * MON-FRI\", timezone: Europe/London", "1m");
    let moments =
        ["2026-11-27T08:59:00Z", "2026-11-27T09:00:10Z", "2026-11-27T09:02:00Z", "2026-11-28T12:00:00Z"];
    let (house, told) = life(&text, "2026-11-26T12:00:00Z", &moments).await;
    assert_eq!(told, ["armed 26 12:00", "run 27 09:00"]);
    let run = {
        let views = house.service.views.read();
        let runs = views.runs.list(&Default::default(), None, 10).items;
        let [run] = &runs[..] else { panic!("one run: {runs:?}") };
        assert_eq!((&*run.by, run.alert, run.end.is_some()), ("schedule", None, true));
        let incident = views.incidents.get(run.incident).expect("it has an incident");
        assert_eq!(
            (incident.title.as_str(), &incident.runs[..]),
            ("Look for accounts that should be closed", &[run.id][..])
        );
        run.id
    };
    let state = house.service.scheduler.replay(run).await.expect("it replays");
    assert_eq!(state.inputs.value()["day"], "2026-11-27T09:00:00.000Z", "the run knows what it is for");
    let [shown] = &house.service.schedules()[..] else { panic!("one schedule") };
    assert_eq!((shown.fired, shown.running, shown.skipped), (1, 0, 0));
    let last = shown.last.as_ref().expect("it fired");
    assert_eq!((last.run, last.late_by_seconds), (Some(run), 10));
    let next = ["2026-11-30T09:00:00Z", "2026-12-01T09:00:00Z", "2026-12-02T09:00:00Z"].map(at);
    assert_eq!(shown.next, next);
    assert_eq!(house.service.schedule(shown.id).expect("it is there").next, next);
}

#[tokio::test]
async fn a_run_longer_than_the_time_between_firings_does_what_overlap_says() {
    let cases = [
        ("overlap: skip", "skip 1 to 26 10:00: Overlap"),
        ("overlap: queue", "queue 26 10:00"),
        ("overlap: parallel", "run 26 10:00"),
    ];
    for (overlap, expected) in cases {
        let text = playbook(&format!("cron: \"0 * * * *\", {overlap}"), "90m");
        let moments = ["2026-11-26T09:00:00Z", "2026-11-26T10:00:00Z", "2026-11-26T10:30:00Z"];
        let (_, told) = life(&text, "2026-11-26T08:30:00Z", &moments).await;
        assert_eq!(told[..3], ["armed 26 08:30", "run 26 09:00", expected], "{overlap}");
        let after: &[&str] = if overlap.ends_with("queue") { &["run 26 10:00"] } else { &[] };
        assert_eq!(told[3..], *after, "{overlap}");
    }
}

#[tokio::test]
async fn a_firing_that_waits_is_still_waiting_after_a_restart() {
    let text = playbook("cron: \"0 * * * *\", overlap: queue", "90m");
    let kept = Arc::new(MemoryJournal::new());
    for moment in ["08:30", "09:00", "10:00", "10:10", "10:30", "10:31"] {
        set_clock(at(&format!("2026-11-26T{moment}:00Z")));
        House::open(&kept, &[&text], None).await.look().await.expect("it is taken");
    }
    let house = House::open(&kept, &[&text], None).await;
    assert_eq!(house.told().await, ["armed 26 08:30", "run 26 09:00", "queue 26 10:00", "run 26 10:00"]);
    let entries = house.entries().await;
    let mut fired = entries.iter().filter(|entry| matches!(entry.event, Event::ScheduleFired { .. }));
    assert_eq!(
        fired.next_back().map(|entry| entry.at),
        Some(at("2026-11-26T10:30:00Z")),
        "when the run ended"
    );
}

#[tokio::test]
async fn a_schedule_that_is_changed_counts_from_the_change() {
    let kept = Arc::new(MemoryJournal::new());
    let hourly = playbook("cron: \"0 * * * *\", missed: run_once", "1m");
    let daily = playbook("cron: \"0 12 * * *\", missed: run_once", "1m");
    let other_policy = playbook("cron: \"0 12 * * *\", missed: skip", "1m");
    let step: [(&str, Option<&str>); 7] = [
        ("2026-11-26T08:30:00Z", Some(&hourly)),
        ("2026-11-26T09:00:00Z", Some(&hourly)),
        ("2026-11-26T12:30:00Z", Some(&daily)),
        ("2026-11-27T12:30:00Z", Some(&daily)),
        // Another policy is the same schedule.
        ("2026-11-28T12:30:00Z", Some(&other_policy)),
        ("2026-11-28T13:30:00Z", None),
        ("2026-11-30T12:30:00Z", Some(&other_policy)),
    ];
    for (moment, text) in step {
        set_clock(at(moment));
        let playbooks: Vec<&str> = text.into_iter().collect();
        House::open(&kept, &playbooks, None).await.look().await.expect("it is taken");
    }
    let house = House::open(&kept, &[&other_policy], None).await;
    let expected = [
        "armed 26 08:30",
        "run 26 09:00",
        "disarmed",
        "armed 26 12:30",
        "run 27 12:00",
        "skip 1 to 28 12:00: Missed",
        "disarmed",
        "armed 30 12:30",
    ];
    assert_eq!(house.told().await, expected);
}

#[tokio::test]
async fn a_clock_that_was_far_ahead_doubles_nothing_when_it_is_put_right() {
    let kept = Arc::new(MemoryJournal::new());
    let text = playbook("cron: \"0 9 * * *\", missed: run_once, overlap: parallel", "1m");
    for (moment, there) in [
        ("2026-11-26T08:00:00Z", true),
        ("2026-11-26T09:00:00Z", true),
        // Set back, and the playbook taken out and put back: it counts from 08:30 again.
        ("2026-11-26T08:20:00Z", true),
        ("2026-11-26T08:30:00Z", false),
        ("2026-11-26T08:30:00Z", true),
        ("2026-11-26T09:00:00Z", true),
        ("2026-11-27T09:00:00Z", true),
    ] {
        set_clock(at(moment));
        let playbooks: Vec<&str> = there.then_some(text.as_str()).into_iter().collect();
        House::open(&kept, &playbooks, None).await.look().await.expect("it is taken");
    }
    let told = House::open(&kept, &[&text], None).await.told().await;
    let expected = [
        "armed 26 08:00",
        "run 26 09:00",
        "disarmed",
        "armed 26 08:30",
        "skip 1 to 26 09:00: Repeated",
        "run 27 09:00",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn inputs_that_do_not_fit_are_on_record_and_the_next_firing_is_tried() {
    let text = playbook("cron: \"0 * * * *\"", "1m").replace("type: string", "type: integer");
    let moments = ["2026-11-26T09:00:00Z", "2026-11-26T10:00:00Z"];
    let (_, told) = life(&text, "2026-11-26T08:30:00Z", &moments).await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[1].starts_with(
            "skip 1 to 26 09:00: CannotStart(\"the playbook `sweep`: the input `day` takes a whole number, such as 7; the text `2026-11-26T09:00:00.000Z` was given"
        ),
        "{told:?}"
    );
}

/// Seeds of the simulation; `QUELL_SEEDS` sets another number for long runs.
const SEEDS: u64 = 40;

#[tokio::test]
async fn kills_around_every_append_neither_lose_nor_double_a_firing() {
    let seeds = std::env::var("QUELL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let (mut kills, mut runs) = (0, 0);
    for seed in 0..seeds.min(20_000) {
        let (killed, fired) = simulate(seed).await.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        kills += killed;
        runs += fired;
    }
    assert!(kills > seeds && runs > seeds, "{kills} kills and {runs} runs show nothing");
}

/// A few days of one schedule; gives how often the process died and how many
/// runs were started.
async fn simulate(seed: u64) -> Result<(u64, u64), String> {
    let mut chance = Chance::new(seed);
    let mut pick = |of: &[&'static str]| of[usize::try_from(chance.below(of.len() as u64)).unwrap_or(0)];
    let cron = pick(&["*/20 * * * *", "0 * * * *", "30 1 * * *", "15,45 9-17 * * *"]);
    let zone = pick(&["Europe/London", "America/New_York", "UTC"]);
    let overlap = pick(&["queue", "parallel"]);
    let missed = pick(&["skip", "run_once", "run_all"]);
    let wait = pick(&["1s", "25m", "3h"]);
    let text =
        playbook(&format!("cron: \"{cron}\", timezone: {zone}, missed: {missed}, overlap: {overlap}"), wait);
    let kept = Arc::new(MemoryJournal::new());
    let start = at("2026-10-24T20:00:00Z");
    set_clock(start);
    House::open(&kept, &[&text], None).await.look().await.map_err(|error| error.to_string())?;
    let mut kills = 0;
    for _ in 0..12 {
        let death = chance.percent(70).then(|| Death { after: chance.below(5), written: chance.percent(50) });
        let house = House::open(&kept, &[&text], death).await;
        for _ in 0..chance.below(5) {
            let seconds = match chance.below(10) {
                0 => 20_000 + chance.below(100_000),
                1..=5 => 1200,
                _ => chance.below(4000),
            };
            let moved = now().after(Duration::from_secs(seconds));
            let back = Duration::from_secs(chance.below(2) * chance.below(3000));
            set_clock(if chance.percent(10) { now().before(back) } else { moved });
            if house.look().await.is_err() {
                kills += 1;
                break;
            }
        }
    }
    let house = House::open(&kept, &[&text], None).await;
    house.look().await.map_err(|error| error.to_string())?;
    let times = Times::parse(cron, zone).map_err(|error| error.to_string())?;
    let fired = promises(&house, &times, start, overlap).await?;
    Ok((kills, fired))
}

/// What must be on record, however often the process died.
async fn promises(house: &House, times: &Times, start: Timestamp, overlap: &str) -> Result<u64, String> {
    let entries = house.entries().await;
    let (mut ruled, mut queued) = (BTreeMap::<Timestamp, u32>::new(), None);
    let (mut live, mut of_schedules, mut started) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::<RunId>::new());
    let mut decided = start;
    for entry in &entries {
        match (&entry.event, entry.stream) {
            (Event::ScheduleFired { due, run }, _) => {
                if *due > entry.at && queued != Some(*due) {
                    return Err(format!("{due} fired early, at {}", entry.at));
                }
                if overlap != "parallel" && !live.is_empty() {
                    return Err(format!("{due} overlaps {live:?}"));
                }
                *ruled.entry(*due).or_default() += 1;
                queued = queued.filter(|queued| queued != due);
                live.insert(*run);
                of_schedules.insert(*run);
                decided = decided.max(*due);
            }
            (Event::ScheduleQueued { due }, _) => {
                if queued.replace(*due).is_some() {
                    return Err("two wait".to_owned());
                }
                decided = decided.max(*due);
            }
            (Event::ScheduleSkipped { first, last, .. }, _) => {
                for due in times.after(first.before(Duration::from_millis(1))).take_while(|due| due <= last) {
                    *ruled.entry(due).or_default() += 1;
                }
                decided = decided.max(*last);
            }
            (Event::RunStarted(_), StreamId::Run(run)) if !started.insert(run) => {
                return Err(format!("{run} started twice"));
            }
            (Event::RunEnded { .. }, StreamId::Run(run)) => {
                live.remove(&run);
            }
            _ => {}
        }
    }
    if let Some(due) = queued {
        *ruled.entry(due).or_default() += 1;
    }
    if of_schedules != started {
        return Err(format!("firings {of_schedules:?} and runs {started:?} differ"));
    }
    let due: BTreeMap<Timestamp, u32> =
        times.after(start).take_while(|due| *due <= decided).map(|due| (due, 1)).collect();
    if ruled != due {
        return Err(format!("ruled on {ruled:?}\ndue were {due:?}"));
    }
    // Nothing that is due is left, but for what waits for the end of a run.
    if live.is_empty() && (queued.is_some() || times.next_after(decided).is_some_and(|due| due <= now())) {
        return Err("something is due and nobody rules on it".to_owned());
    }
    Ok(started.len() as u64)
}

#[tokio::test]
async fn what_was_due_before_a_restore_begins_held_and_what_is_due_later_runs() {
    let text = playbook("cron: \"0 12 * * *\", missed: run_once, overlap: parallel", "1m");
    let kept = Arc::new(MemoryJournal::new());
    set_clock(at("2026-11-26T12:30:00Z"));
    House::open(&kept, &[&text], None).await.look().await.expect("it is taken");
    // The backup ends there, and is imported the day after.
    let read = at("2026-11-27T12:10:00Z");
    let fact = JournalRestored {
        position: 1,
        hash: digest(b"head"),
        until: Some(at("2026-11-26T12:30:00Z")),
        held: 0,
        by: "ana@localhost".to_owned(),
    };
    let stream = StreamId::Restore(RestoreId::new(Ulid::from_parts(1, 1)));
    let events = vec![Event::JournalRestored(Box::new(fact))];
    let appends = vec![Append { stream, after: 0, at: read, events }];
    kept.append(Batch { appends, ..Batch::default() }).await.expect("it is appended");
    for moment in ["2026-11-27T12:20:00Z", "2026-11-28T12:00:00Z", "2026-11-28T12:05:00Z"] {
        set_clock(at(moment));
        House::open(&kept, &[&text], None).await.look().await.expect("it is taken");
    }
    let house = House::open(&kept, &[&text], None).await;
    assert_eq!(house.told().await, ["armed 26 12:30", "run 27 12:00", "run 28 12:00"]);
    let standing = |house: &House| -> Vec<RunStatus> {
        let views = house.service.views.read();
        let runs = views.runs.list(&Default::default(), None, 10).items;
        runs.iter().map(|run| run.status).collect()
    };
    assert_eq!(standing(&house), [RunStatus::Succeeded, RunStatus::Quarantined], "the newest first");
    let said = house.service.release_all(ReleaseScope::All, "ana@example.com", Some("it was off")).await;
    assert_eq!(said.expect("it is taken").len(), 1);
    set_clock(at("2026-11-28T12:10:00Z"));
    house.look().await.expect("it is taken");
    house.service.caught_up().await;
    assert_eq!(standing(&house), [RunStatus::Succeeded, RunStatus::Succeeded]);
}

#[tokio::test]
async fn what_was_done_once_is_looked_at_again_after_a_restart_though_its_run_is_over() {
    let kept = Arc::new(MemoryJournal::new());
    let (run, over) = (RunId::new(Ulid::from_parts(1, 1)), RunId::new(Ulid::from_parts(1, 2)));
    for id in [run, over] {
        let started = RunStarted {
            run: id,
            plan: digest(b"plan"),
            playbook: "once".to_owned(),
            version: 1,
            incident: IncidentId::new(Ulid::from_parts(1, 3)),
            alert: None,
            inputs: serde_json::Value::Null,
            by: "ana@example.com".to_owned(),
            requesters: Vec::new(),
            parent: None,
            again: None,
        };
        let end = RunEnd::Succeeded;
        let ending = Event::RunEnding { end, why: "every step has ended".to_owned(), disposition: None };
        let events = vec![Event::RunStarted(Box::new(started)), ending, Event::RunEnded { end }];
        let stream = StreamId::Run(id);
        let now = at("2026-11-26T09:00:00Z");
        let appends = vec![Append { stream, after: 0, at: now, events }];
        let wake = Some(at("2026-11-26T10:00:00Z"));
        let rests = vec![(id, (id == run).then_some(Rest { seq: 3, wake, rules: RULES }))];
        kept.append(Batch { appends, rests, ..Batch::default() }).await.expect("it is appended");
    }
    let house = House::open(&kept, &[], None).await;
    assert_eq!(house.service.unfinished().await.expect("the journal reads"), [(run, 3)]);
}

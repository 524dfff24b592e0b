//! What becomes of firings: on time, missed, overlapping. Pure, as data.

use proptest::prelude::*;
use quell::domain::event::Event;
use quell::domain::firing::{Counting, ON_TIME, Policy, RUN_ALL_MAX, Ruling, SkipReason, decide};
use quell::domain::id::RunId;
use quell::domain::schedule::{Missed, Overlap, Times};
use quell::domain::time::Timestamp;
use ulid::Ulid;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn armed(from: Timestamp) -> Counting {
    let mut counting = Counting::default();
    let (playbook, cron, timezone) = ("p".to_owned(), String::new(), "UTC".to_owned());
    counting.take_in(&Event::ScheduleArmed { playbook, cron, timezone, from });
    counting
}

/// The event that a ruling becomes.
fn event(ruling: &Ruling) -> Event {
    match ruling.clone() {
        Ruling::Fire { due } => Event::ScheduleFired { due, run: RunId::new(Ulid::from_parts(1, 1)) },
        Ruling::Queue { due } => Event::ScheduleQueued { due },
        Ruling::Skip { first, last, count, why } => Event::ScheduleSkipped { first, last, count, why },
    }
}

/// Everything that is ruled at one moment, as a reader would say it. Runs that
/// start go on.
fn ruled(times: &Times, policy: Policy, counting: &mut Counting, live: &mut usize, now: &str) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(ruling) = decide(times, policy, counting, *live, at(now)) {
        counting.take_in(&event(&ruling));
        let time = |at: Timestamp| at.to_chrono().format("%H:%M").to_string();
        said.push(match ruling {
            Ruling::Fire { due } => {
                *live += 1;
                format!("run {}", time(due))
            }
            Ruling::Queue { due } => format!("queue {}", time(due)),
            Ruling::Skip { first, last, count, why } => {
                format!("skip {}-{} ({count}, {why:?})", time(first), time(last))
            }
        });
        assert!(said.len() < 1000, "it never ends: {said:?}");
    }
    said
}

/// Hourly from 09:00; one run ends where `end` stands.
fn story(missed: Missed, overlap: Overlap, moments: &[&str]) -> Vec<String> {
    let times = Times::parse("0 * * * *", "UTC").expect("it reads");
    let mut counting = armed(at("2026-11-26T08:30:00Z"));
    let (mut live, mut told) = (0, Vec::new());
    for moment in moments {
        match moment.strip_prefix("end ") {
            Some(now) => {
                live -= 1;
                told.extend(ruled(&times, Policy { missed, overlap }, &mut counting, &mut live, &day(now)));
            }
            None => {
                told.extend(ruled(&times, Policy { missed, overlap }, &mut counting, &mut live, &day(moment)))
            }
        }
    }
    told
}

fn day(time: &str) -> String {
    format!("2026-11-26T{time}Z")
}

#[test]
fn missed_and_overlapping_firings_do_what_the_playbook_says() {
    use Missed::{RunAll, RunOnce, Skip};
    use Overlap::{Parallel, Queue, Skip as SkipIt};
    let cases: [(Missed, Overlap, &[&str], &[&str]); 12] = [
        (Skip, SkipIt, &["08:59:59", "09:00:00", "end 09:10:00", "10:00:30"], &["run 09:00", "run 10:00"]),
        // Nobody was there from 09:00 to 12:30; 13:00 is on time again.
        (Skip, SkipIt, &["12:30:00", "13:00:20"], &["skip 09:00-12:00 (4, Missed)", "run 13:00"]),
        (Skip, SkipIt, &["12:00:40"], &["skip 09:00-11:00 (3, Missed)", "run 12:00"]),
        (RunOnce, SkipIt, &["12:30:00"], &["skip 09:00-11:00 (3, Merged)", "run 12:00"]),
        (RunOnce, SkipIt, &["09:30:00"], &["run 09:00"]),
        (RunAll, Parallel, &["11:30:00"], &["run 09:00", "run 10:00", "run 11:00"]),
        // One after the other: the next starts when one ends.
        (
            RunAll,
            Queue,
            &["11:30:00", "end 11:40:00", "end 11:50:00", "end 11:55:00"],
            &["run 09:00", "run 10:00", "run 11:00"],
        ),
        (
            Skip,
            SkipIt,
            &["09:00:00", "10:00:00", "end 10:30:00", "11:00:00"],
            &["run 09:00", "skip 10:00-10:00 (1, Overlap)", "run 11:00"],
        ),
        (Skip, Queue, &["09:00:00", "10:00:00", "end 10:30:00"], &["run 09:00", "queue 10:00", "run 10:00"]),
        // One waits at the most.
        (
            Skip,
            Queue,
            &["09:00:00", "10:00:00", "11:00:00", "end 11:30:00", "end 11:40:00"],
            &["run 09:00", "queue 10:00", "skip 11:00-11:00 (1, QueueFull)", "run 10:00"],
        ),
        (Skip, Parallel, &["09:00:00", "10:00:00", "11:00:00"], &["run 09:00", "run 10:00", "run 11:00"]),
        // A clock that is set back fires nothing again.
        (
            RunOnce,
            Parallel,
            &["10:00:00", "08:00:00", "09:00:00", "10:00:00", "10:59:59"],
            &["skip 09:00-09:00 (1, Merged)", "run 10:00"],
        ),
    ];
    for (missed, overlap, moments, expected) in cases {
        assert_eq!(story(missed, overlap, moments), expected, "{missed:?}, {overlap:?}: {moments:?}");
    }
}

#[test]
fn a_long_absence_costs_a_bounded_number_of_runs() {
    let times = Times::parse("* * * * *", "UTC").expect("it reads");
    for (missed, runs) in [(Missed::Skip, 2), (Missed::RunOnce, 1), (Missed::RunAll, RUN_ALL_MAX)] {
        let mut counting = armed(at("2020-01-01T00:00:00Z"));
        let policy = Policy { missed, overlap: Overlap::Parallel };
        let mut live = 0;
        let said = ruled(&times, policy, &mut counting, &mut live, "2026-11-26T12:00:00Z");
        assert_eq!(live, runs, "{missed:?}: {said:?}");
        assert!(said[0].starts_with("skip 00:01"), "{missed:?}: {said:?}");
        assert!(said[0].contains("(1000,"), "counted up to a limit: {said:?}");
        assert_eq!(said.last().map(String::as_str), Some("run 12:00"), "the newest is run: {said:?}");
    }
}

#[test]
fn nothing_of_a_schedule_that_was_taken_out_is_due() {
    let times = Times::parse("0 * * * *", "UTC").expect("it reads");
    let policy = Policy { missed: Missed::RunAll, overlap: Overlap::Queue };
    let mut counting = armed(at("2026-11-26T08:30:00Z"));
    counting.take_in(&Event::ScheduleQueued { due: at("2026-11-26T09:00:00Z") });
    counting.take_in(&Event::ScheduleDisarmed);
    assert_eq!(decide(&times, policy, &counting, 0, at("2026-11-26T12:30:00Z")), None);
    // Put back, it counts from then on.
    let from = at("2026-11-26T12:30:00Z");
    counting = armed(from);
    assert_eq!(decide(&times, policy, &counting, 0, at("2026-11-26T12:59:00Z")), None);
    let due = at("2026-11-26T13:00:00Z");
    assert_eq!(decide(&times, policy, &counting, 0, due), Some(Ruling::Fire { due }));
}

fn policies() -> impl Strategy<Value = Policy> {
    let missed = prop::sample::select(vec![Missed::Skip, Missed::RunOnce, Missed::RunAll]);
    let overlap = prop::sample::select(vec![Overlap::Skip, Overlap::Queue, Overlap::Parallel]);
    (missed, overlap).prop_map(|(missed, overlap)| Policy { missed, overlap })
}

proptest! {
    /// However the clock goes and runs end, each firing is ruled on once, in
    /// order, never early; and the state is what its events say.
    #[test]
    fn each_firing_is_ruled_on_once_in_order_and_never_early(
        policy in policies(),
        cron in prop::sample::select(vec!["* * * * *", "*/7 * * * *", "0 * * * *", "30 1 * * *", "15 3 1 * *"]),
        moves in prop::collection::vec((-4000i64..40_000, 0u8..3), 1..25),
    ) {
        let times = Times::parse(cron, "Europe/London").expect("it reads");
        let start = at("2026-10-24T20:00:00Z");
        let (mut counting, mut now, mut live) = (armed(start), start, 0usize);
        let mut events = Vec::new();
        let (mut fired, mut passed, mut queued) = (Vec::new(), Vec::new(), Vec::new());
        for (seconds, ends) in moves {
            now = Timestamp::from_millis(now.millis() + seconds * 1000);
            live = live.saturating_sub(usize::from(ends));
            while let Some(ruling) = decide(&times, policy, &counting, live, now) {
                match &ruling {
                    Ruling::Fire { due } => {
                        // A firing that waited fires when there is room, whatever the clock says.
                        prop_assert!(*due <= now || queued.contains(due), "early");
                        prop_assert!(policy.overlap == Overlap::Parallel || live == 0, "overlaps");
                        live += 1;
                        fired.push(*due);
                    }
                    Ruling::Queue { due } => queued.push(*due),
                    Ruling::Skip { first, last, count, why } => {
                        let all: Vec<Timestamp> =
                            times.after(Timestamp::from_millis(first.millis() - 1)).take_while(|due| due <= last).collect();
                        prop_assert_eq!(all.len(), *count as usize);
                        if *why == SkipReason::Missed {
                            prop_assert!(all.iter().all(|due| now.since(*due) > ON_TIME));
                        }
                        passed.extend(all);
                    }
                }
                let event = event(&ruling);
                counting.take_in(&event);
                events.push(event);
            }
        }
        let mut ruled: Vec<Timestamp> = fired.iter().chain(&passed).copied().chain(counting.queued).collect();
        ruled.sort_unstable();
        let due: Vec<Timestamp> = times.after(start).take_while(|due| *due <= counting.decided).collect();
        prop_assert_eq!(ruled, due, "each is fired, passed over or queued, once");
        let mut again = armed(start);
        events.iter().for_each(|event| again.take_in(event));
        prop_assert_eq!(&again, &counting);
        // What is left undecided waits for the end of a run, and for nothing else.
        if live == 0 {
            let next = times.next_after(counting.decided);
            prop_assert!(counting.queued.is_none() && next.is_none_or(|next| next > now));
        }
    }
}

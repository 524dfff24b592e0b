//! Caps count from the intent: whatever is judged when, and wherever a crash falls,
//! no more people are touched than the caps allow.

use std::collections::BTreeSet;
use std::time::Duration;

use quell::domain::command::Phase;
use quell::domain::event::{Entry, Event, Intended, SetAside};
use quell::domain::id::{ContainmentId, RunId, StreamId};
use quell::domain::outcome::{Failure, FailureClass, Outcome};
use quell::domain::run::{Hold, StepEnd, StepKey};
use quell::domain::time::Timestamp;
use quell::guard::contained::{Contained, DAY, TEN_MINUTES};
use quell::guard::people::People;
use quell::guard::verdict::{Guard, Target};
use quell::projection::containments::{ContainmentFilter, ContainmentRow};
use quell::projection::views::Views;
use serde_json::json;
use ulid::Ulid;

use crate::chance::Chance;

/// Acts of one seed.
const ACTS: u64 = 120;

/// An act whose intent is on record, and that nobody has judged yet.
struct Waiting {
    run: RunId,
    key: StepKey,
    who: String,
    at: Timestamp,
}

/// A journal with its views, and what was really done.
struct World {
    entries: Vec<Entry>,
    views: Views,
    now: Timestamp,
    touched: Vec<(RunId, String, Timestamp)>,
    refused: usize,
}

impl World {
    fn say(&mut self, run: RunId, event: Event) {
        let stream = StreamId::Run(run);
        let seq = self.entries.iter().filter(|entry| entry.stream == stream).count() as u64 + 1;
        let entry = Entry { stream, seq, at: self.now, event };
        self.views.apply(&entry);
        self.entries.push(entry);
    }

    fn intend(&mut self, run: RunId, who: &str, attempt: u32) -> Waiting {
        let key = StepKey::root(&format!("stop-{}", who.replace(' ', "-")));
        let contains = Box::new(Intended { operation: "badge.close".to_owned(), target: who.to_owned() });
        self.say(
            run,
            Event::AttemptStarted {
                key: key.clone(),
                phase: Phase::Act,
                attempt,
                begin_follows: false,
                contains: Some(contains),
            },
        );
        Waiting { run, key, who: who.to_owned(), at: self.now }
    }

    /// As an act asks before it touches anybody.
    fn is_allowed(&self, act: &Waiting) -> bool {
        let held = &self.views.containments;
        let place = held.place_of(act.run, &act.key);
        let contained = Contained {
            run: held.targets_of(act.run, place),
            ten_minutes: held.targets_since(self.now.before(TEN_MINUTES), place),
            day: held.targets_since(self.now.before(DAY), place),
        };
        let (input, attributes) = (json!({ "user": act.who }), json!({ "address": "dana@example.com" }));
        let target = Target { id: "7", input: &input, attributes: &attributes };
        Guard::default().verdict(&target, contained.others(&act.who), &People::default()).is_ok()
    }

    fn failed(&mut self, act: &Waiting, class: FailureClass) {
        let outcome = Outcome::from(Failure::new(class, "a-fault", "a fault"));
        self.say(
            act.run,
            Event::AttemptEnded { key: act.key.clone(), phase: Phase::Act, attempt: 1, outcome },
        );
    }

    /// Judged, then touched or not; and what is heard of it, if anything.
    fn judge(&mut self, act: &Waiting, chance: &mut Chance) {
        if !self.is_allowed(act) {
            self.refused += 1;
            self.failed(act, FailureClass::Permanent);
            return;
        }
        if chance.percent(15) {
            return self.failed(act, FailureClass::Transient);
        }
        self.touched.push((act.run, act.who.clone(), act.at));
        match chance.below(3) {
            0 => self.failed(act, FailureClass::Unknown),
            1 => self.lose(act),
            _ => self.say(
                act.run,
                Event::ContainmentAccepted {
                    key: act.key.clone(),
                    containment: ContainmentId::derived(act.run.ulid(), &act.key.to_string()),
                    operation: "badge.close".to_owned(),
                    target: act.who.clone(),
                    changed: true,
                    until: None,
                },
            ),
        }
    }

    fn lose(&mut self, act: &Waiting) {
        let lost = Event::AttemptLost { key: act.key.clone(), phase: Phase::Act, attempt: 1, waited: false };
        self.say(act.run, lost);
    }

    /// The process is gone: what it knew is what the entries say.
    fn crash(&mut self) {
        let mut views = Views::default();
        self.entries.iter().for_each(|entry| views.apply(entry));
        assert_eq!(views.containments, self.views.containments);
        self.views = views;
    }

    fn within(&self, keep: impl Fn(&(RunId, String, Timestamp)) -> bool) -> usize {
        let kept = self.touched.iter().filter(|act| keep(act)).map(|act| act.1.as_str());
        kept.collect::<BTreeSet<_>>().len()
    }
}

fn run(number: u64) -> RunId {
    RunId::new(Ulid::from_parts(1, u128::from(number) + 1))
}

fn world() -> World {
    World {
        entries: Vec::new(),
        views: Views::default(),
        now: Timestamp::from_millis(1_795_000_000_000),
        touched: Vec::new(),
        refused: 0,
    }
}

#[test]
fn caps_hold_whenever_acts_are_judged_and_wherever_a_crash_falls() {
    let caps = Guard::default().caps;
    let (mut refused, mut most) = (0, 0);
    for seed in 0..60 {
        let mut chance = Chance::new(seed);
        let mut world = world();
        let mut waiting: Vec<Waiting> = Vec::new();
        for _ in 0..ACTS {
            let seconds = if chance.percent(70) { 0 } else { chance.below(120) };
            world.now = world.now.after(Duration::from_secs(seconds));
            let who = format!("person {}", chance.below(60));
            let busy = waiting.iter().any(|act| act.who == who);
            if !busy {
                let act = world.intend(run(chance.below(30)), &who, 1);
                waiting.push(act);
            }
            if chance.percent(5) {
                // Whoever waited to be judged is lost; each may have been sent, for all that is known.
                world.crash();
                for act in std::mem::take(&mut waiting) {
                    world.lose(&act);
                }
            }
            while !waiting.is_empty() && chance.percent(45) {
                let at = usize::try_from(chance.below(waiting.len() as u64)).unwrap_or(0);
                let act = waiting.swap_remove(at);
                world.judge(&act, &mut chance);
            }
            let now = world.now;
            for number in 0..30 {
                assert!(world.within(|act| act.0 == run(number)) <= caps.people_per_run, "seed {seed}");
            }
            let ten_minutes = world.within(|act| now.since(act.2) < TEN_MINUTES);
            most = most.max(ten_minutes);
            assert!(ten_minutes <= caps.per_10_minutes, "seed {seed}: {ten_minutes} within ten minutes");
            assert!(world.within(|act| now.since(act.2) < DAY) <= caps.per_day, "seed {seed}");
        }
        refused += world.refused;
    }
    assert!(refused > 100, "the caps were reached {refused} times");
    assert_eq!(most, caps.per_10_minutes, "a cap that is never reached shows nothing");
}

#[test]
fn of_a_burst_as_many_pass_as_the_cap_allows() {
    let mut world = world();
    let acts: Vec<Waiting> = (0..40).map(|n| world.intend(run(n), &format!("person {n}"), 1)).collect();
    let allowed = acts.iter().rev().filter(|act| world.is_allowed(act)).count();
    assert_eq!(allowed, Guard::default().caps.per_10_minutes);
}

fn only(world: &World) -> Option<ContainmentRow> {
    world.views.containments.list(&ContainmentFilter::default(), None, 10).items.pop()
}

#[test]
fn an_act_is_listed_as_may_hold_from_its_intent_until_it_is_known() {
    let mut world = world();
    let act = world.intend(run(1), "Dana", 1);
    let row = only(&world).expect("it is listed");
    assert_eq!(
        (row.hold, &*row.target, row.stands(world.now)),
        (Hold::MayHold, "Dana", "may hold".to_owned())
    );
    assert!(row.is_holding() && row.trouble(world.now).is_none());
    // It was not done: nothing is listed, and nothing counts.
    world.failed(&act, FailureClass::Transient);
    assert_eq!(only(&world), None);
    assert!(world.views.containments.targets_since(Timestamp::EPOCH, u64::MAX).is_empty());

    // Lost, then refused: the first may have been done.
    let act = world.intend(run(1), "Dana", 2);
    world.lose(&act);
    let act = world.intend(run(1), "Dana", 3);
    world.failed(&act, FailureClass::Permanent);
    world.crash();
    assert_eq!(only(&world).map(|row| row.hold), Some(Hold::MayHold));
    assert_eq!(world.views.containments.targets_of(run(1), u64::MAX).len(), 1);
    world.say(run(1), Event::RunQuarantined(SetAside { why: "lost".to_owned(), restored: false }));
    let row = only(&world).expect("it is listed");
    assert!(row.trouble(world.now).is_some(), "a run that is set aside never finds out");
    world.say(run(1), Event::RunReleased { by: "ana@example.com".to_owned(), why: None });
    assert!(only(&world).is_some_and(|row| row.trouble(world.now).is_none()));

    // Reading back shows that it did not happen.
    let ended = Event::StepEnded { key: act.key.clone(), end: StepEnd::Failed, output: None, why: None };
    world.say(run(1), ended);
    assert_eq!(only(&world), None);

    // Nobody will ever know.
    let act = world.intend(run(2), "Sam", 1);
    world.lose(&act);
    let ended = Event::StepEnded { key: act.key.clone(), end: StepEnd::Uncertain, output: None, why: None };
    world.say(run(2), ended);
    assert!(only(&world).is_some_and(|row| row.hold == Hold::MayHold && row.trouble(world.now).is_some()));
}

use std::time::Duration;

use serde_json::json;
use ulid::Ulid;

use super::{Need, PAST_MAX, PAST_SHOWN};
use crate::domain::approval::Verdict;
use crate::domain::command::{Parent, Phase};
use crate::domain::event::{Entry, Event, JournalRestored, RunEnd, RunStarted, SetAside};
use crate::domain::firing::SkipReason;
use crate::domain::id::{
    ApprovalId, ContainmentId, IncidentId, QuestionId, RestoreId, RunId, ScheduleId, StreamId,
};
use crate::domain::incident::{IncidentChange, Status};
use crate::domain::outcome::{Failure, FailureClass, Outcome};
use crate::domain::playbook::IfSilent;
use crate::domain::run::{StepEnd, StepKey};
use crate::domain::signal::Person;
use crate::domain::time::Timestamp;
use crate::domain::value::{Value, digest};
use crate::projection::attention::Item;
use crate::projection::views::Views;

fn minute(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 60_000)
}

fn ulid(n: usize) -> Ulid {
    Ulid::from_parts(1, n as u128)
}

/// Views that take in what a test says of its runs.
#[derive(Default)]
struct Told {
    views: Views,
    now: i64,
}

impl Told {
    fn at(&mut self, minute: i64) -> &mut Self {
        self.now = minute;
        self
    }

    fn put(&mut self, stream: StreamId, event: Event) -> &mut Self {
        self.views.apply(&Entry { stream, seq: 1, at: minute(self.now), event });
        self
    }

    fn say(&mut self, run: usize, event: Event) -> &mut Self {
        self.put(StreamId::Run(RunId::new(ulid(run))), event)
    }

    /// A run in an incident of its own.
    fn begin(&mut self, run: usize, severity: u8, parent: Option<Parent>) -> &mut Self {
        let incident = IncidentId::new(ulid(run));
        let opened = Event::IncidentOpened { title: "x".to_owned(), severity, alert: None, subject: None };
        self.put(StreamId::Incident(incident), opened);
        let started = RunStarted {
            run: RunId::new(ulid(run)),
            plan: digest(b"plan"),
            playbook: "p".to_owned(),
            version: 1,
            incident,
            alert: None,
            inputs: Value::Null,
            by: "trigger".to_owned(),
            requesters: Vec::new(),
            parent,
            again: None,
        };
        self.say(run, Event::RunStarted(Box::new(started)))
    }

    fn fail(&mut self, run: usize) -> &mut Self {
        let why = "step `a` failed: no".to_owned();
        self.say(run, Event::RunEnding { end: RunEnd::Failed, why, disposition: None });
        self.say(run, Event::RunEnded { end: RunEnd::Failed })
    }

    /// Contained for two hours, and seen to hold.
    fn contain(&mut self, run: usize) -> &mut Self {
        let event = Event::ContainmentAccepted {
            key: StepKey::root("stop"),
            containment: held(run),
            operation: "scim.suspend_user".to_owned(),
            target: "Dana".to_owned(),
            changed: true,
            until: Some(minute(self.now + 120)),
        };
        self.say(run, event);
        self.say(run, Event::ContainmentVerified { containment: held(run) });
        let key = StepKey::root("stop");
        self.say(run, Event::StepEnded { key, end: StepEnd::Succeeded, output: None, why: None })
    }

    fn lift(&mut self, run: usize) -> &mut Self {
        let by = "ana@example.com".to_owned();
        self.say(run, Event::UndoRequested { containment: held(run), by, why: None, anyway: false })
    }

    fn close(&mut self, run: usize) -> &mut Self {
        let change = IncidentChange { status: Some(Status::Closed), ..IncidentChange::default() };
        self.put(StreamId::Incident(IncidentId::new(ulid(run))), Event::IncidentChanged { change })
    }

    fn items(&self) -> Vec<Item> {
        self.views.needs(minute(self.now))
    }

    fn needs(&self) -> Vec<Need> {
        self.items().iter().map(|item| item.need).collect()
    }
}

fn held(run: usize) -> ContainmentId {
    ContainmentId::derived(ulid(run), "stop")
}

#[test]
fn a_containment_that_somebody_else_lifted_is_listed_until_it_holds_again_or_is_let_go() {
    let drift = || Event::ContainmentDrifted { containment: held(1), what: "it is gone".to_owned() };
    let mut told = Told::default();
    told.begin(1, 50, None).contain(1).at(15).say(1, drift());
    let items = told.items();
    assert_eq!((items[0].need, items[0].since), (Need::Drifted, minute(15)));
    assert_eq!(items[0].commands, [format!("quell show {}", held(1)), format!("quell undo {}", held(1))]);
    assert_eq!(items[0].target.as_deref(), Some("Dana"));
    let row = told.views.containments.get(held(1)).expect("it is there");
    assert_eq!(
        (row.looks, row.looked_at, row.stands(minute(15))),
        (1, Some(minute(15)), "no longer holds".to_owned())
    );
    told.at(16).say(1, Event::ContainmentVerified { containment: held(1) });
    assert_eq!(told.needs(), []);
    told.say(1, drift()).lift(1);
    assert_eq!(told.needs(), []);
    told.say(1, Event::ContainmentLifted { containment: held(1), others: Vec::new() }).at(600);
    assert_eq!(told.needs(), []);
}

#[test]
fn what_lifts_soon_is_listed_and_then_what_was_not_lifted_in_time() {
    let mut told = Told::default();
    told.begin(1, 50, None).contain(1);
    assert_eq!(told.at(89).needs(), []);
    assert_eq!(told.at(90).needs(), [Need::Expiring], "in its last quarter");
    assert_eq!(told.at(124).needs(), [Need::Expiring]);
    assert_eq!(told.at(180).needs(), [Need::LiftOverdue], "nobody lifted it");
    let items = told.items();
    assert_eq!(items[0].since, minute(120));
    let row = told.views.containments.get(held(1)).expect("it is there");
    assert_eq!(row.stands(minute(180)), "lift overdue by 1h");
    let extended =
        Event::ContainmentExtended { containment: held(1), until: minute(1000), by: "ana".to_owned() };
    assert_eq!(told.say(1, extended).needs(), []);
}

#[test]
fn a_lift_that_keeps_failing_is_listed_with_what_the_last_try_met() {
    let mut told = Told::default();
    told.begin(1, 50, None).contain(1).at(5).lift(1);
    let key = || StepKey::root("stop");
    for attempt in 1..=3 {
        assert_eq!(told.needs(), [], "before try {attempt}");
        let outcome = Outcome::from(Failure::new(FailureClass::Transient, "status", "it answered 503"));
        told.say(1, Event::AttemptEnded { key: key(), phase: Phase::UndoCheck, attempt, outcome });
        told.say(1, Event::AttemptDue { key: key(), phase: Phase::UndoCheck, at: minute(6) });
    }
    let items = told.items();
    assert_eq!(items[0].need, Need::LiftOverdue);
    assert_eq!(items[0].what, "3 tries to lift it did not take; the last try: it answered 503");
    told.say(
        1,
        Event::UndoRefused {
            containment: held(1),
            why: "somebody changed it".to_owned(),
            others: Vec::new(),
        },
    );
    let items = told.items();
    assert_eq!(items[0].need, Need::LiftStuck);
    assert_eq!(items[0].commands[0], format!("quell undo {}", held(1)));
}

#[test]
fn what_was_never_seen_to_hold_is_no_containment_to_rely_on() {
    let mut told = Told::default();
    let key = StepKey::root("stop");
    told.begin(1, 50, None).say(
        1,
        Event::ContainmentAccepted {
            key: key.clone(),
            containment: held(1),
            operation: "scim.suspend_user".to_owned(),
            target: "Dana".to_owned(),
            changed: true,
            until: None,
        },
    );
    assert_eq!(told.needs(), []);
    told.say(1, Event::StepEnded { key, end: StepEnd::Failed, output: None, why: None });
    assert_eq!(told.needs(), [Need::Unconfirmed]);
}

#[test]
fn a_failed_run_is_listed_for_a_week_or_until_its_incident_is_closed() {
    let mut told = Told::default();
    told.begin(1, 50, None).fail(1).begin(2, 50, None).fail(2);
    assert_eq!(told.needs(), [Need::Failed, Need::Failed]);
    let items = told.close(1).items();
    assert_eq!(items.iter().map(|item| item.run).collect::<Vec<_>>(), [Some(RunId::new(ulid(2)))]);
    // Closing the incident is no way out of what failed.
    let run = RunId::new(ulid(2));
    assert_eq!(items[0].commands, [format!("quell show {run}"), format!("quell rerun {run}")]);
    assert_eq!(told.at(PAST_SHOWN.as_secs() as i64 / 60).needs(), []);
}

#[test]
fn the_failure_of_a_run_that_a_step_waits_for_is_that_steps() {
    let mut told = Told::default();
    let parent = Parent { run: RunId::new(ulid(1)), step: StepKey::root("call"), depth: 1, restored: false };
    told.begin(1, 50, None).begin(2, 50, Some(parent)).fail(2);
    assert_eq!(told.needs(), []);
}

#[test]
fn a_doubt_ends_with_a_persons_word_and_stays_known_when_its_step_ended_without() {
    let key = || StepKey { id: "tell".into(), at: vec![2] };
    let doubt = || Event::StepUncertain { key: key(), what: "it was sent".to_owned() };
    let mut told = Told::default();
    told.begin(1, 50, None).say(1, doubt());
    let items = told.items();
    let run = RunId::new(ulid(1));
    assert_eq!(
        items[0].commands[0],
        format!("quell settle {run} 'tell[2]' happened"),
        "a shell takes it as it is"
    );
    told.say(1, Event::RunQuarantined(SetAside { why: "lost".to_owned(), restored: false }));
    assert_eq!(
        told.items()[0].commands,
        [format!("quell release {run}")],
        "it takes no word while it is set aside"
    );
    told.say(1, Event::RunReleased { by: "ana".to_owned(), why: None });
    told.say(
        1,
        Event::StepSettled { key: key(), happened: false, by: "ana@example.com".to_owned(), note: None },
    );
    assert_eq!(told.needs(), []);
    told.say(1, doubt());
    told.say(1, Event::StepEnded { key: key(), end: StepEnd::Uncertain, output: None, why: None });
    let items = told.items();
    assert_eq!((items[0].need, &items[0].commands[0]), (Need::Uncertain, &format!("quell show {run}")));
    assert_eq!(told.close(1).needs(), []);
}

fn asked_for(approval: ApprovalId) -> Event {
    Event::ApprovalRequested {
        key: StepKey::root("stop"),
        approval,
        by: vec!["group:ir-leads".to_owned()],
        each: 1,
        binds: digest(b"x"),
        until: minute(30),
        if_silent: IfSilent::Escalate,
        covers: Vec::new(),
    }
}

#[test]
fn people_who_did_not_decide_or_answer_in_time_are_listed() {
    let mut told = Told::default();
    let approval = ApprovalId::new(ulid(1));
    told.begin(1, 50, None).say(1, asked_for(approval));
    let asked = |delivered| Event::QuestionAsked {
        key: StepKey::root("ask"),
        question: QuestionId::new(ulid(2)),
        asked: vec!["priya@example.com".to_owned()],
        until: minute(40),
        delivered,
    };
    told.begin(2, 50, None).say(2, asked(true));
    assert_eq!(told.at(29).needs(), []);
    assert_eq!(told.at(41).needs(), [Need::ApprovalOverdue, Need::QuestionOverdue]);
    told.at(30).say(1, Event::ApprovalEscalated { approval, until: minute(60) });
    let items = told.items();
    assert_eq!((items[0].need, items[0].until), (Need::ApprovalOverdue, Some(minute(60))));
    assert!(items[0].what.contains("asked once more"), "{}", items[0].what);
    told.say(2, asked(false));
    assert_eq!(told.needs(), [Need::ApprovalOverdue, Need::Undelivered]);
    let mut told = Told::default();
    let outcome = Outcome::from(Failure::new(FailureClass::Permanent, "no-mail", "no mail connector is set"));
    let key = StepKey::root("stop");
    told.begin(1, 50, None).say(1, asked_for(approval));
    assert_eq!(told.needs(), []);
    told.say(1, Event::AttemptEnded { key: key.clone(), phase: Phase::Announce, attempt: 1, outcome });
    assert_eq!(told.needs(), [Need::Undelivered], "approvers who know of nothing decide nothing");
    told.say(1, Event::ApprovalClosed { approval, verdict: Verdict::Approved });
    assert_eq!(told.needs(), []);
}

#[test]
fn what_nobody_decided_in_time_is_listed_until_its_incident_is_closed() {
    let mut told = Told::default();
    let approval = ApprovalId::new(ulid(1));
    told.begin(1, 50, None).say(1, asked_for(approval));
    told.at(31).say(1, Event::ApprovalClosed { approval, verdict: Verdict::Silent });
    let items = told.items();
    assert_eq!(told.needs(), [Need::Expired]);
    assert!(items[0].what.contains("group:ir-leads were asked"), "{}", items[0].what);
    assert_eq!(told.close(1).needs(), []);
}

#[test]
fn a_schedule_that_could_not_start_its_run_is_listed_until_it_can() {
    let mut told = Told::default();
    let schedule = StreamId::Schedule(ScheduleId::new(ulid(7)));
    let armed = Event::ScheduleArmed {
        playbook: "sweep".to_owned(),
        cron: "0 * * * *".to_owned(),
        timezone: "UTC".to_owned(),
        from: minute(0),
    };
    let why = SkipReason::CannotStart("`day` must be a text".to_owned());
    let (first, last) = (minute(60), minute(60));
    told.put(schedule, armed).at(61).put(schedule, Event::ScheduleSkipped { first, last, count: 1, why });
    let items = told.items();
    assert_eq!((items[0].need, items[0].playbook.as_deref()), (Need::NotStarted, Some("sweep")));
    assert!(items[0].what.ends_with("could not start a run: `day` must be a text"), "{}", items[0].what);
    told.at(120).put(schedule, Event::ScheduleFired { due: minute(120), run: RunId::new(ulid(1)) });
    assert_eq!(told.needs(), []);
}

#[test]
fn the_severest_come_first_among_equals_and_then_those_that_wait_longest() {
    let mut told = Told::default();
    for (run, severity, at) in [(1, 50, 3), (2, 90, 5), (3, 90, 4)] {
        told.at(at).begin(run, severity, None);
        told.say(run, Event::RunQuarantined(SetAside { why: "lost".to_owned(), restored: false }));
    }
    told.begin(4, 100, None).fail(4);
    let order: Vec<usize> = [3, 2, 1, 4].into();
    let runs: Vec<_> = told.items().iter().map(|item| item.run).collect();
    assert_eq!(runs, order.into_iter().map(|run| Some(RunId::new(ulid(run)))).collect::<Vec<_>>());
    told.say(3, Event::RunReleased { by: "ana".to_owned(), why: None })
        .say(2, Event::RunEnded { end: RunEnd::Cancelled });
    assert_eq!(told.needs(), [Need::Quarantined, Need::Failed]);
}

#[test]
fn a_storm_of_failures_keeps_a_bounded_list() {
    let mut told = Told::default();
    for run in 1..=PAST_MAX + 10 {
        told.at(run as i64).begin(run, 50, None).fail(run);
    }
    assert_eq!(told.needs().len(), PAST_MAX);
    assert_eq!(told.items()[0].run, Some(RunId::new(ulid(11))), "the oldest were let go");
}

#[test]
fn looking_after_what_is_contained_is_nothing_that_its_run_waits_for() {
    let mut told = Told::default();
    told.begin(1, 50, None).contain(1);
    let (key, phase) = (StepKey::root("stop"), Phase::Recheck);
    let outcome = Outcome::Succeeded { output: json!({ "holds": false }), evidence: None };
    told.say(1, Event::intent(key.clone(), phase, 1));
    told.say(1, Event::AttemptEnded { key: key.clone(), phase, attempt: 1, outcome });
    told.say(1, Event::AttemptDue { key, phase, at: minute(0).after(Duration::from_secs(30)) });
    assert_eq!(told.views.runs.get(RunId::new(ulid(1))).expect("it is there").waiting_on, []);
}

#[test]
fn payloads_of_an_unknown_shape_are_listed_by_their_source_for_a_week() {
    let mut views = Views::default();
    let day = |day: i64| Timestamp::from_millis(1_790_000_000_000 + day * 86_400_000);
    let mut came = |number: u128, at: Timestamp, shape_unknown: bool| {
        let alert = crate::domain::id::AlertId::new(ulid::Ulid(number));
        let event = Event::AlertReceived {
            source: "okta".to_owned(),
            source_id: None,
            title: "Okta: odd".to_owned(),
            severity: 50,
            digest: crate::domain::value::digest(b"x"),
            rule: None,
            subject: None,
            by: None,
            counts: None,
            shape_unknown,
        };
        views.apply(&Entry { stream: StreamId::Alert(alert), seq: 1, at, event });
    };
    came(1, day(0), true);
    came(2, day(1), true);
    came(3, day(2), false);
    let needs = views.needs(day(3));
    assert_eq!(needs.iter().map(|item| item.need).collect::<Vec<_>>(), [Need::Unread]);
    assert!(needs[0].what.starts_with("2 payloads of the source `okta`"), "{}", needs[0].what);
    assert!(needs[0].commands[0].starts_with("quell show alt_"));
    assert_eq!(views.needs(day(9)), []);
}

#[test]
fn what_people_are_asked_is_listed_until_they_have_said_it_the_callers_first() {
    let mut told = Told::default();
    let (approval, question) = (ApprovalId::new(ulid(1)), QuestionId::new(ulid(2)));
    told.begin(1, 50, None).say(1, asked_for(approval));
    told.say(
        1,
        Event::QuestionAsked {
            key: StepKey::root("ask"),
            question,
            asked: vec!["priya@example.com".to_owned()],
            until: minute(40),
            delivered: true,
        },
    );
    let person = |address: &str, groups: &[&str]| Person {
        address: address.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    };
    let (ana, priya) = (person("ana@example.com", &["ir-leads"]), person("priya@example.com", &[]));
    let names = |told: &Told, who: &Person| {
        let mut items = told.views.duties(who, minute(10));
        items.sort_by(|a, b| a.place.cmp(&b.place));
        items.into_iter().map(|item| (item.name, item.what)).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&told, &ana),
        [
            ("yours to say", "it waits for a yes, 20m left: 1 person of ir-leads".to_owned()),
            ("to answer", "it waits for an answer, 30m left: priya@example.com".to_owned()),
        ]
    );
    let sorts: Vec<&str> = names(&told, &priya).into_iter().map(|(name, _)| name).collect();
    assert_eq!(sorts, ["yours to say", "to decide"]);
    let id = approval.to_string();
    assert!(told.views.is_asked_of(&id, &ana) && !told.views.is_asked_of(&id, &priya));
    told.say(1, Event::ApprovalClosed { approval, verdict: Verdict::Approved });
    assert_eq!(names(&told, &ana).len(), 1);
    assert!(!told.views.is_asked_of(&id, &ana));
}

#[test]
fn a_restored_journal_is_told_with_its_held_runs_until_the_last_is_released_or_over() {
    let mut told = Told::default();
    let held = |why: &str| Event::RunQuarantined(SetAside { why: why.to_owned(), restored: true });
    for run in [1, 2] {
        told.begin(run, 50, None);
        told.say(run, held("it may have done: ticket (desk.ticket)"));
    }
    // The fact and what is held may come in any order.
    let (position, hash, until) = (7, digest(b"end"), Some(minute(0)));
    let fact = JournalRestored { position, hash, until, held: 2, by: "ana@localhost".to_owned() };
    let stream = StreamId::Restore(RestoreId::new(ulid(1)));
    told.put(stream, Event::JournalRestored(Box::new(fact)));
    assert_eq!(told.needs(), [Need::Restored, Need::Restored, Need::Restored]);
    // It is set aside once, whatever else is found of it.
    told.say(1, Event::RunQuarantined(SetAside { why: "lost".to_owned(), restored: false }));
    assert_eq!(told.needs().len(), 3);
    told.say(1, Event::RunReleased { by: "ana@example.com".to_owned(), why: None });
    assert_eq!(told.needs(), [Need::Restored, Need::Restored]);
    told.say(2, Event::RunEnded { end: RunEnd::Cancelled });
    assert_eq!(told.needs(), []);
}

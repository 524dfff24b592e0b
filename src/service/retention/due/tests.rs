use std::collections::BTreeSet;
use std::time::Duration;

use ulid::Ulid;

use super::{Due, Place, Rules, due};
use crate::domain::alert::AlertRef;
use crate::domain::event::{Entry, Event, RunEnd, RunStarted};
use crate::domain::id::{AlertId, ContainmentId, IncidentId, RunId, StreamId};
use crate::domain::incident::{IncidentChange, Status};
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::value::{Value, digest};
use crate::projection::views::Views;

const DAY: i64 = 24 * 3600 * 1000;

fn day(n: i64) -> Timestamp {
    Timestamp::from_millis(n * DAY)
}

fn ulid(day: i64, n: u128) -> Ulid {
    Ulid::from_parts(u64::try_from(day * DAY).expect("after 1970"), n)
}

fn days(days: u64) -> Option<Duration> {
    Some(Duration::from_secs(days * 24 * 3600))
}

/// An alert that comes in on a day, its incident and its run.
struct Story {
    alert: AlertId,
    incident: IncidentId,
    run: RunId,
}

impl Story {
    fn begin(views: &mut Views, came: i64) -> Story {
        let alert = AlertId::new(ulid(came, 1));
        let incident = IncidentId::derived(alert.ulid(), "incident");
        let run = RunId::derived(alert.ulid(), "look");
        let story = Story { alert, incident, run };
        let named = digest(b"content");
        let received = Event::AlertReceived {
            counts: None,
            shape_unknown: false,
            source: "siem".to_owned(),
            source_id: None,
            title: "A file".to_owned(),
            severity: 50,
            digest: named,
            rule: None,
            subject: None,
            by: None,
        };
        let opened = Event::IncidentOpened {
            title: "A file".to_owned(),
            severity: 50,
            alert: Some(alert),
            subject: None,
        };
        let started = RunStarted {
            run,
            plan: digest(b"plan"),
            playbook: "look".to_owned(),
            version: 1,
            incident,
            alert: Some(AlertRef { id: alert, digest: named }),
            inputs: Value::Null,
            by: "trigger".to_owned(),
            requesters: Vec::new(),
            parent: None,
            again: None,
        };
        story.tell(views, StreamId::Alert(alert), came, received);
        story.tell(views, StreamId::Incident(incident), came, opened);
        story.tell(views, StreamId::Run(run), came, Event::RunStarted(Box::new(started)));
        story
    }

    fn tell(&self, views: &mut Views, stream: StreamId, at: i64, event: Event) {
        views.apply(&Entry { stream, seq: 1, at: day(at), event });
    }

    fn end(&self, views: &mut Views, at: i64) {
        self.tell(views, StreamId::Run(self.run), at, Event::RunEnded { end: RunEnd::Succeeded });
    }

    fn change(&self, views: &mut Views, at: i64, status: Option<Status>) {
        let change = IncidentChange { status, ..IncidentChange::default() };
        self.tell(views, StreamId::Incident(self.incident), at, Event::IncidentChanged { change });
    }

    fn whole(&self) -> Due {
        Due::Incident {
            incident: self.incident,
            alerts: BTreeSet::from([self.alert]),
            runs: BTreeSet::from([self.run]),
        }
    }
}

fn all(views: &Views, now: i64, rules: Rules) -> Vec<Due> {
    let (mut all, mut place) = (Vec::new(), Some(Place::START));
    while let Some(from) = place {
        let (found, next) = due(views, day(now), rules, from, &mut None);
        all.extend(found);
        place = next;
    }
    all
}

const BOTH: Rules = Rules {
    closed_incidents: Some(Duration::from_secs(400 * 24 * 3600)),
    raw_alerts: Some(Duration::from_secs(90 * 24 * 3600)),
};

#[test]
fn nothing_is_due_that_the_settings_do_not_name() {
    let mut views = Views::default();
    let story = Story::begin(&mut views, 100);
    story.end(&mut views, 100);
    story.change(&mut views, 101, Some(Status::Closed));
    assert_eq!(all(&views, 9999, Rules::default()), []);
    let incidents = Rules { raw_alerts: None, ..BOTH };
    assert_eq!(all(&views, 9999, incidents), [story.whole()]);
    let contents = Rules { closed_incidents: None, ..BOTH };
    assert_eq!(all(&views, 9999, contents), [Due::Content(story.alert)]);
}

#[test]
fn an_incident_is_due_once_it_was_closed_long_enough_and_to_the_day() {
    let mut views = Views::default();
    let story = Story::begin(&mut views, 100);
    story.end(&mut views, 100);
    let rules = Rules { raw_alerts: None, ..BOTH };
    assert_eq!(all(&views, 9999, rules), [], "it is open");
    story.change(&mut views, 110, Some(Status::Closed));
    assert_eq!(all(&views, 509, rules), []);
    assert_eq!(all(&views, 510, rules), [story.whole()]);
    // Somebody notes something: it counts from there.
    story.change(&mut views, 200, None);
    assert_eq!(all(&views, 510, rules), []);
    assert_eq!(all(&views, 600, rules), [story.whole()]);
    story.change(&mut views, 601, Some(Status::Investigating));
    assert_eq!(all(&views, 9999, rules), [], "it was opened again");
}

#[test]
fn a_run_that_goes_on_and_a_containment_that_holds_keep_all_of_it() {
    let mut views = Views::default();
    let story = Story::begin(&mut views, 100);
    story.change(&mut views, 100, Some(Status::Closed));
    assert_eq!(all(&views, 9999, BOTH), [], "its run goes on");
    let containment = ContainmentId::derived(story.run.ulid(), "stop");
    let accepted = Event::ContainmentAccepted {
        key: StepKey::root("stop"),
        containment,
        operation: "badge.close".to_owned(),
        target: "somebody".to_owned(),
        changed: true,
        until: None,
    };
    story.tell(&mut views, StreamId::Run(story.run), 101, accepted);
    story.end(&mut views, 101);
    assert_eq!(all(&views, 9999, BOTH), [], "it holds");
    let lifted = Event::ContainmentLifted { containment, others: Vec::new() };
    story.tell(&mut views, StreamId::Run(story.run), 102, lifted);
    assert_eq!(all(&views, 9999, BOTH), [story.whole(), Due::Content(story.alert)]);
}

#[test]
fn content_is_due_by_the_day_that_it_came_with_a_run_or_without_and_once() {
    let mut views = Views::default();
    let alone = AlertId::new(ulid(90, 7));
    let received = Event::AlertReceived {
        counts: None,
        shape_unknown: false,
        source: "siem".to_owned(),
        source_id: None,
        title: "Nobody wants it".to_owned(),
        severity: 10,
        digest: digest(b"other"),
        rule: None,
        subject: None,
        by: None,
    };
    views.apply(&Entry { stream: StreamId::Alert(alone), seq: 1, at: day(90), event: received });
    let story = Story::begin(&mut views, 100);
    story.end(&mut views, 100);
    let rules = Rules { closed_incidents: None, raw_alerts: days(90) };
    assert_eq!(all(&views, 179, rules), []);
    assert_eq!(all(&views, 180, rules), [Due::Content(alone)]);
    assert_eq!(all(&views, 190, rules), [Due::Content(story.alert), Due::Content(alone)]);
    let erasure = crate::domain::erasure::Erasure {
        rule: crate::domain::erasure::Rule::RawAlerts,
        kept_seconds: 90 * 24 * 3600,
        streams: Vec::new(),
        records: Vec::new(),
        contents: vec![digest(b"other")],
        seal: digest(b""),
    };
    let fact = Event::Erased(Box::new(erasure));
    views.apply(&Entry { stream: StreamId::Alert(alone), seq: 2, at: day(180), event: fact });
    assert_eq!(all(&views, 190, rules), [Due::Content(story.alert)]);
    assert_eq!(views.alerts.get(alone).map(|row| row.title.clone()).as_deref(), Some("Nobody wants it"));
}

#[test]
fn many_are_found_page_by_page_each_once() {
    let mut views = Views::default();
    for n in 0..1203 {
        let story = Story::begin(&mut views, 100 + n);
        story.end(&mut views, 100 + n);
        story.change(&mut views, 100 + n, Some(Status::Closed));
    }
    let found = all(&views, 9999, BOTH);
    assert_eq!(found.len(), 2 * 1203);
    assert_eq!(all(&views, 100 + 1202 + 90, BOTH).len(), (1202 - 310 + 1) + 1203);
}

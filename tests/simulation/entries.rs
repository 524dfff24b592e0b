//! Entries of the streams that are no run's, as proptest draws them.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use quell::domain::alert::{Fate, FindingStatus, Suppression};
use quell::domain::event::{Entry, Event, JournalRestored};
use quell::domain::exception::Exception;
use quell::domain::firing::SkipReason;
use quell::domain::id::{AlertId, ExceptionId, IncidentId, PollId, RestoreId, RunId, ScheduleId, StreamId};
use quell::domain::incident::{Disposition, IncidentChange, Left, Move, MoveKind, Status};
use quell::domain::poll::Advanced;
use quell::domain::tie::{FindingPeople, TieKey, TieKind};
use quell::domain::time::Timestamp;
use quell::domain::triage::{Because, News, Related, Sighting};
use quell::domain::value::{Digest, digest};
use ulid::Ulid;

/// The last millisecond that can be written, at the end of the year 9999.
const LAST_MILLIS: i64 = 253_402_300_799_999;

fn ulids() -> impl Strategy<Value = Ulid> {
    any::<u128>().prop_map(Ulid)
}

fn times() -> impl Strategy<Value = Timestamp> {
    (-1_000_000_000i64..=LAST_MILLIS).prop_map(Timestamp::from_millis)
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![".{0,20}", any::<String>()]
}

fn changes() -> impl Strategy<Value = IncidentChange> {
    let status = select(vec![Status::Open, Status::Investigating, Status::Contained, Status::Closed]);
    let disposition = select(vec![Disposition::Benign, Disposition::FalsePositive, Disposition::Escalated]);
    (
        (of(any::<u8>()), of(status), of(disposition)),
        (of(texts()), of(texts()), vec(texts(), 0..3), of(texts()), of(texts())),
    )
        .prop_map(|((severity, status, disposition), (assignee, note, tags, by, why))| IncidentChange {
            severity,
            status,
            disposition,
            assignee,
            note,
            tags,
            by,
            why,
        })
}

fn ties() -> impl Strategy<Value = TieKey> {
    any::<[u8; 16]>().prop_map(TieKey)
}

fn because() -> impl Strategy<Value = Because> {
    (texts(), ulids().prop_map(AlertId::new)).prop_map(|(what, alert)| Because {
        tie: TieKind::Subject,
        what,
        alert,
    })
}

fn moves() -> impl Strategy<Value = Event> {
    let moved = (
        any::<bool>(),
        ulids().prop_map(IncidentId::new),
        vec(ulids().prop_map(AlertId::new), 0..3),
        vec(ulids().prop_map(RunId::new), 0..3),
        vec(ties(), 0..2),
        texts(),
    );
    prop_oneof![
        moved.prop_map(|(merge, to, alerts, runs, ties, why)| {
            let kind = if merge { MoveKind::Merge } else { MoveKind::Split };
            let by = "ana@example.com".to_owned();
            let left = (!merge).then(|| Left { subject: Some(why.clone()), severity: 50 });
            Event::AlertsMoved(Box::new(Move { kind, to, alerts, runs, left, ties, by, why }))
        }),
        (ulids().prop_map(IncidentId::new), 0..9usize, texts(), texts())
            .prop_map(|(from, alerts, by, why)| Event::AlertsCame { from, alerts, by, why }),
    ]
}

fn exceptions() -> impl Strategy<Value = Event> {
    let exception = (of(texts()), texts(), of(texts()), any::<u8>(), texts(), times());
    prop_oneof![
        exception.prop_map(|(source, rule, subject, severity_max, why, until)| {
            let (owner, by) = ("lee@example.com".to_owned(), "ana@example.com".to_owned());
            Event::ExceptionMade(Box::new(Exception {
                source,
                rule,
                subject,
                host: None,
                when: None,
                severity_max,
                owner,
                why,
                until,
                by,
            }))
        }),
        (texts(), of(texts())).prop_map(|(by, why)| Event::ExceptionEnded { by, why }),
    ]
}

fn alerts() -> impl Strategy<Value = Event> {
    let fate = prop_oneof![
        (vec(ulids().prop_map(RunId::new), 0..3), ulids().prop_map(IncidentId::new))
            .prop_map(|(runs, incident)| Fate::RunStarted { runs, incident }),
        vec(texts(), 0..3).prop_map(|reasons| Fate::NoPlaybook { reasons }),
        (
            ulids().prop_map(IncidentId::new),
            because(),
            vec(ulids().prop_map(RunId::new), 0..2),
            any::<bool>()
        )
            .prop_map(|(incident, because, runs, reopens)| Fate::Joined {
                incident,
                news: if reopens { News::Back } else { News::Another },
                because: vec![because],
                runs,
                reopens,
            }),
        (ulids().prop_map(ExceptionId::new), texts(), times(), texts()).prop_map(
            |(exception, owner, until, why)| Fate::Suppressed {
                by: Suppression::Exception { exception, owner, until, why }
            }
        ),
        Just(Fate::Ended {}),
    ];
    let seen = (vec(ties(), 0..3), of(ties()), any::<u8>()).prop_map(|(ties, id, severity)| {
        let (status, subject) = (FindingStatus::Open, None);
        Box::new(Sighting {
            ran: ties.clone(),
            finding: ties.clone(),
            ties,
            status,
            id,
            severity,
            worst: severity,
            subject,
            people: FindingPeople::default(),
        })
    });
    let related = (ulids().prop_map(IncidentId::new), because())
        .prop_map(|(incident, because)| Related { incident, because });
    prop_oneof![
        (
            texts(),
            of(texts()),
            texts(),
            any::<u8>(),
            any::<[u8; 32]>(),
            of(texts()),
            of(texts()),
            of(texts())
        )
            .prop_map(|(source, source_id, title, severity, digest, rule, subject, by)| {
                Event::AlertReceived {
                    source,
                    source_id,
                    title,
                    severity,
                    digest: Digest(digest),
                    rule,
                    subject,
                    by,
                    counts: None,
                    shape_unknown: false,
                }
            }),
        (fate, of(seen), vec(related, 0..2)).prop_map(|(fate, seen, related)| Event::AlertTriaged {
            fate,
            seen,
            related
        }),
        moves(),
        exceptions(),
        (texts(), any::<u8>(), of(ulids().prop_map(AlertId::new)), of(texts())).prop_map(
            |(title, severity, alert, subject)| Event::IncidentOpened { title, severity, alert, subject }
        ),
        changes().prop_map(|change| Event::IncidentChanged { change }),
    ]
}

fn schedules() -> impl Strategy<Value = Event> {
    let why = prop_oneof![
        select(vec![
            SkipReason::Missed,
            SkipReason::Merged,
            SkipReason::TooMany,
            SkipReason::Overlap,
            SkipReason::QueueFull,
            SkipReason::Repeated,
        ]),
        texts().prop_map(SkipReason::CannotStart),
    ];
    prop_oneof![
        (texts(), texts(), texts(), times()).prop_map(|(playbook, cron, timezone, from)| {
            Event::ScheduleArmed { playbook, cron, timezone, from }
        }),
        (times(), ulids()).prop_map(|(due, run)| Event::ScheduleFired { due, run: RunId::new(run) }),
        times().prop_map(|due| Event::ScheduleQueued { due }),
        (times(), times(), any::<u32>(), why).prop_map(|(first, last, count, why)| Event::ScheduleSkipped {
            first,
            last,
            count,
            why
        }),
        Just(Event::ScheduleDisarmed),
        (texts(), texts(), any::<u32>(), any::<u32>()).prop_map(|(source, cursor, taken, known)| {
            Event::PollAdvanced(Box::new(Advanced { source, cursor: cursor.into(), taken, known }))
        }),
        (any::<u64>(), times(), 0usize..9, texts()).prop_map(|(position, until, held, by)| {
            let (hash, until) = (digest(by.as_bytes()), Some(until));
            Event::JournalRestored(Box::new(JournalRestored { position, hash, until, held, by }))
        }),
    ]
}

/// Entries of alerts, incidents and schedules, in no particular order.
pub fn others() -> impl Strategy<Value = Entry> {
    let streams = (ulids(), 0u8..6).prop_map(|(id, which)| match which {
        0 => StreamId::Alert(AlertId::new(id)),
        1 => StreamId::Incident(IncidentId::new(id)),
        2 => StreamId::Exception(ExceptionId::new(id)),
        3 => StreamId::Schedule(ScheduleId::new(id)),
        4 => StreamId::Restore(RestoreId::new(id)),
        _ => StreamId::Poll(PollId::new(id)),
    });
    // Numbers of entries start at 1 and leave room for the next.
    (streams, 1..u64::MAX / 2, times(), prop_oneof![alerts(), schedules()])
        .prop_map(|(stream, seq, at, event)| Entry { stream, seq, at, event })
}

//! What stands above the steps: name, posture, triggers, inputs.

use crate::authored::expressions::expression;
use crate::domain::expr::Expr;
use crate::domain::playbook::{InputSpec, Posture, Trigger};
use crate::step::ask::read_fields;
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// What was read of the header; absent where a mistake stands.
pub struct Header<'a> {
    /// `playbook:`.
    pub name: Option<String>,
    /// `version:`.
    pub version: Option<u32>,
    /// `title:`.
    pub title: Option<String>,
    /// `owner:`.
    pub owner: Option<String>,
    /// `description:`.
    pub description: Option<String>,
    /// `posture:`; covert, the strictest, while it is not known.
    pub posture: Posture,
    /// `tags:`.
    pub tags: Vec<String>,
    /// `on:`.
    pub triggers: Vec<Trigger>,
    /// The triggers' conditions with their places.
    pub conditions: Vec<(Field<'a>, Expr)>,
    /// `inputs:`.
    pub inputs: Vec<InputSpec>,
}

/// The postures there are.
const POSTURES: &[&str] = &["covert", "overt", "compromise", "educate"];

/// Reads everything above the steps.
pub fn read_header<'a>(map: &MapReader<'a>, source: &str) -> Header<'a> {
    let text = |key: &'a str| map.optional(key).and_then(Field::non_empty).map(str::to_owned);
    let posture = match map.required("posture").and_then(|field| field.one_of(POSTURES)) {
        Some("overt") => Posture::Overt,
        Some("compromise") => Posture::Compromise,
        Some("educate") => Posture::Educate,
        _ => Posture::Covert,
    };
    let conditions = map.optional("on").map(|field| read_triggers(field, source)).unwrap_or_default();
    for later in ["on_failure", "finally", "within"] {
        if let Some(field) = map.optional(later) {
            let empty = field.node().as_list().is_some_and(<[_]>::is_empty);
            if !empty {
                field.mistake(
                    "not-yet",
                    format!("this version does not run `{later}` of a playbook yet"),
                    "take it out; the run would not follow it",
                );
            }
        }
    }
    Header {
        name: map.required("playbook").and_then(Field::id).map(str::to_owned),
        version: map
            .required("version")
            .and_then(|field| field.int(1..=1_000_000))
            .and_then(|n| u32::try_from(n).ok()),
        title: map.required("title").and_then(Field::non_empty).map(str::to_owned),
        owner: text("owner"),
        description: text("description"),
        posture,
        tags: map
            .optional("tags")
            .and_then(Field::texts)
            .unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        triggers: conditions.iter().map(|(_, condition)| Trigger::Alert(condition.clone())).collect(),
        conditions,
        inputs: map.optional("inputs").map(read_fields).unwrap_or_default(),
    }
}

fn read_triggers<'a>(field: Field<'a>, source: &str) -> Vec<(Field<'a>, Expr)> {
    let mut conditions = Vec::new();
    for trigger in field.list().unwrap_or_default() {
        let Some(map) = trigger.map() else { continue };
        let alert = map.optional("alert");
        let schedule = map.optional("schedule");
        if let Some(field) = map.optional("once_per") {
            field.mistake(
                "not-yet",
                "this version does not run `once_per` yet",
                "take it out; every alert that fits starts a run",
            );
        }
        if let Some(field) = schedule {
            check_schedule(field);
        }
        map.finish();
        match alert {
            Some(field) => conditions.extend(expression(field, source).map(|condition| (field, condition))),
            None if schedule.is_none() => trigger.mistake(
                "missing-key",
                "a trigger needs `alert`",
                "write `- alert: ${ alert.category == \"dlp\" }`",
            ),
            None => {}
        }
    }
    conditions
}

/// A schedule's cron expression is checked, and said to come later.
fn check_schedule(field: Field<'_>) {
    field.mistake(
        "not-yet",
        "this version does not start runs by a schedule yet",
        "take it out, and start the run by hand: `quell run`",
    );
    let Some(map) = field.map() else { return };
    if let Some(cron) = map.required("cron") {
        let text = cron.non_empty().unwrap_or_default();
        let five = text.split_whitespace().count() == 5;
        if !five || format!("0 {text}").parse::<cron::Schedule>().is_err() {
            cron.mistake(
                "bad-cron",
                format!("`{text}` is no cron expression of five fields"),
                "minute hour day month weekday, such as 0 9 * * MON-FRI",
            );
        }
    }
    if let Some(zone) = map.optional("timezone") {
        let text = zone.non_empty().unwrap_or_default();
        if text.parse::<chrono_tz::Tz>().is_err() {
            zone.mistake(
                "bad-timezone",
                format!("`{text}` is no time zone"),
                "write an IANA name, such as Europe/London",
            );
        }
    }
    if let Some(missed) = map.optional("missed") {
        let _ = missed.one_of(&["skip", "run_once", "run_all"]);
    }
    if let Some(overlap) = map.optional("overlap") {
        let _ = overlap.one_of(&["skip", "queue", "parallel"]);
    }
    map.finish();
}

//! What stands above the steps: name, posture, triggers, inputs.

use std::time::Duration;

use crate::domain::expr::Expr;
use crate::domain::playbook::{InputSpec, Posture, Trigger};
use crate::playbook::triggers::read_triggers;
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
    /// `within:` of the run.
    pub within: Option<Duration>,
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
    let inputs = map.optional("inputs").map(read_fields).unwrap_or_default();
    let on = map.optional("on").map(|field| read_triggers(field, &inputs, source)).unwrap_or_default();
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
        triggers: on.all,
        conditions: on.conditions,
        inputs,
        within: map.optional("within").and_then(Field::duration),
    }
}

//! `incident`: sets the incident's severity, status, disposition, assignee, note or tags.

use crate::domain::incident::{Disposition, Status};
use crate::domain::playbook::{Body, Compute};
use crate::step::kind::{Check, StepKind};
use crate::step::operations;
use crate::step::world::{Call, Done, World};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// The kind.
pub struct Incident;

impl StepKind for Incident {
    fn name(&self) -> &'static str {
        "incident"
    }

    fn docs(&self) -> &'static str {
        "sets the incident's severity, status, disposition, assignee, note or tags"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let _ = step;
        let map = value.map()?;
        if value.node().as_map().is_some_and(<[_]>::is_empty) {
            let help = "set one of severity, status, disposition, assignee, note, tags";
            value.mistake("empty", "this sets nothing", help);
        }
        for (key, names) in [("status", &Status::NAMES[..]), ("disposition", &Disposition::NAMES[..])] {
            if let Some(field) = map.optional(key).filter(|field| !computed(*field)) {
                let _ = field.one_of(names);
            }
        }
        if let Some(field) = map.optional("severity").filter(|field| !computed(*field)) {
            let _ = field.int(0..=100);
        }
        for key in ["assignee", "note"] {
            if let Some(field) = map.optional(key) {
                let _ = field.non_empty();
            }
        }
        if let Some(field) = map.optional("tags").filter(|field| !computed(*field)) {
            let _ = field.list().map(|tags| tags.into_iter().filter_map(Field::non_empty).count());
        }
        map.finish();
        check.output = Some(Vec::new());
        Some(Body::Compute(Compute::Incident(check.template(value)?)))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        operations::computed(call, world).boxed()
    }
}

/// Whether it holds an expression, so that its value is known only when it runs.
fn computed(field: Field<'_>) -> bool {
    field.node().as_str().is_some_and(|text| text.contains("${"))
}

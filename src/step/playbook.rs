//! `playbook`: runs another playbook and waits for it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::domain::expr::template::Template;
use crate::domain::playbook::{Body, PlaybookCall};
use crate::step::kind::{Called, Check, StepKind};
use crate::step::operations;
use crate::step::world::{Call, Done, World};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// The kind.
pub struct RunPlaybook;

impl StepKind for RunPlaybook {
    fn name(&self) -> &'static str {
        "playbook"
    }

    fn docs(&self) -> &'static str {
        "runs another playbook and waits for it"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let playbook = value.id().map(str::to_owned);
        let with = step.optional("with");
        let given = with
            .and_then(Field::map)
            .map(|map| map.entries().into_iter().map(|(key, _)| (key.name.clone(), key.place)).collect());
        let template = match with {
            Some(field) => check.template(field),
            None => Template::parse(&serde_json::json!({})).ok(),
        };
        check.output = Some(["run", "end", "why", "disposition", "steps"].map(str::to_owned).to_vec());
        let playbook = playbook?;
        check.calls.push(Called {
            playbook: playbook.clone(),
            place: value.place(),
            given: given.unwrap_or_default(),
        });
        Some(Body::Call(PlaybookCall { playbook, with: template? }))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        operations::computed(call, world).boxed()
    }
}

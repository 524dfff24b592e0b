//! `enrich`: reads from a system; the answer is kept as evidence.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::domain::playbook::{ActionSpec, Body, Effect};
use crate::step::kind::{Check, StepKind};
use crate::step::operations;
use crate::step::using::using;
use crate::step::world::{Call, Done, World};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// The kind.
pub struct Enrich;

impl StepKind for Enrich {
    fn name(&self) -> &'static str {
        "enrich"
    }

    fn docs(&self) -> &'static str {
        "reads from a system; the answer is kept as evidence"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let using = using(value, step, check)?;
        if using.operation().effect != Effect::Read {
            value.mistake(
                "enrich-that-writes",
                format!("`{}` does not only read", using.name),
                "use `call:` (or `contain:`, when it limits harm)",
            );
        }
        check.output = Some(using.operation().output_names.clone());
        let action = ActionSpec {
            operation: using.name,
            input: using.input,
            effect: Effect::Read,
            containment: None,
            question: None,
            reconcile: None,
        };
        Some(Body::Perform(action))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        operations::operation(call, world).boxed()
    }
}

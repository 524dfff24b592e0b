//! `set`: computes named values.

use crate::domain::playbook::{Body, Compute};
use crate::step::kind::{Check, StepKind};
use crate::step::operations;
use crate::step::world::{Call, Done, World};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// The kind.
pub struct Set;

impl StepKind for Set {
    fn name(&self) -> &'static str {
        "set"
    }

    fn docs(&self) -> &'static str {
        "computes named values"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let _ = step;
        let map = value.map()?;
        if map.entries().is_empty() {
            value.mistake("empty", "there is no value here", "add one: `name: ${ … }`");
        }
        check.output = Some(map.entries().iter().map(|(key, _)| key.name.clone()).collect());
        Some(Body::Compute(Compute::Set(check.template(value)?)))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        operations::computed(call, world).boxed()
    }
}

//! `steps`: several steps under one condition, loop or approval.

use crate::domain::playbook::Body;
use crate::step::kind::{Check, StepKind};
use crate::step::operations;
use crate::step::world::{Call, Done, World};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// The kind.
pub struct Steps;

impl StepKind for Steps {
    fn name(&self) -> &'static str {
        "steps"
    }

    fn docs(&self) -> &'static str {
        "several steps under one condition, loop or approval"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let _ = (value, step, check);
        // The playbook room reads the steps inside and fills them in.
        Some(Body::Block(Vec::new()))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        operations::computed(call, world).boxed()
    }
}

//! `wait`: pauses for a length of time.

use crate::domain::playbook::Body;
use crate::step::kind::{Check, StepKind};
use crate::step::operations;
use crate::step::world::{Call, Done, World};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// The kind.
pub struct Wait;

impl StepKind for Wait {
    fn name(&self) -> &'static str {
        "wait"
    }

    fn docs(&self) -> &'static str {
        "pauses for a length of time"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let _ = step;
        if value.node().get("until").is_some() {
            value.mistake(
                "not-yet",
                "this version does not run `wait: { until: … }` yet",
                "write a length of time: `wait: 15m`",
            );
            return None;
        }
        check.output = Some(Vec::new());
        Some(Body::Wait(value.duration()?))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        operations::computed(call, world).boxed()
    }
}

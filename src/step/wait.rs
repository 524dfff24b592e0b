//! `wait`: pauses for a length of time, or until a time.

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
        "pauses for a length of time, or until a time"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let _ = step;
        check.output = Some(Vec::new());
        if value.node().as_map().is_some() {
            let map = value.map()?;
            let until = map.required("until").and_then(|field| check.template(field));
            map.finish();
            return Some(Body::WaitUntil(until?));
        }
        Some(Body::Wait(value.duration()?))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        operations::computed(call, world).boxed()
    }
}

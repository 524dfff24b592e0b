//! `finish`: ends the run now, with a disposition.

use crate::domain::incident::Disposition;
use crate::domain::playbook::{Body, Compute};
use crate::step::kind::{Check, StepKind};
use crate::step::operations;
use crate::step::world::{Call, Done, World};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// The kind.
pub struct Finish;

impl StepKind for Finish {
    fn name(&self) -> &'static str {
        "finish"
    }

    fn docs(&self) -> &'static str {
        "ends the run now, with a disposition"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let _ = step;
        let map = value.map()?;
        if let Some(field) = map.optional("disposition")
            && !field.node().as_str().is_some_and(|text| text.contains("${"))
        {
            let _ = field.one_of(&Disposition::NAMES);
        }
        map.also_known(&["note"]);
        map.finish();
        check.output = Some(Vec::new());
        Some(Body::Compute(Compute::Finish(check.template(value)?)))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        operations::computed(call, world).boxed()
    }
}

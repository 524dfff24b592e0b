//! `undo`: lifts what earlier steps contained, from the captured state.

use crate::domain::playbook::Body;
use crate::step::kind::{Check, StepKind};
use crate::step::operations;
use crate::step::world::{Call, Done, World};
use crate::yaml::diagnostic::did_you_mean;
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// The kind.
pub struct Undo;

impl StepKind for Undo {
    fn name(&self) -> &'static str {
        "undo"
    }

    fn docs(&self) -> &'static str {
        "lifts what earlier steps contained, from the captured state"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let _ = step;
        let mut found = Vec::new();
        if value.node().as_list().is_some_and(<[_]>::is_empty) {
            value.mistake("empty", "this lifts nothing", "name a `contain` step, or take this step out");
        }
        for target in value.one_or_many() {
            let Some(id) = target.non_empty() else {
                continue;
            };
            match check.steps.get(id) {
                Some(ix) => {
                    found.push(*ix);
                    check.undoes.push((*ix, target.place()));
                }
                None => {
                    let meant = did_you_mean(id, check.steps.keys());
                    target.mistake(
                        "unknown-step",
                        format!("there is no step `{id}`"),
                        meant.map_or_else(
                            || "name a `contain` step".to_owned(),
                            |meant| format!("did you mean `{meant}`?"),
                        ),
                    );
                }
            }
        }
        check.output = Some(Vec::new());
        Some(Body::Undo(found))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        operations::contain(call, world).boxed()
    }
}

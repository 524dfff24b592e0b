//! `call`: does any other operation of a connector.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::domain::playbook::{ActionSpec, Body, ReconcileSpec};
use crate::step::kind::{Check, StepKind};
use crate::step::operations;
use crate::step::using::using;
use crate::step::world::{Call, Done, World};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// The kind.
pub struct CallOperation;

impl StepKind for CallOperation {
    fn name(&self) -> &'static str {
        "call"
    }

    fn docs(&self) -> &'static str {
        "does any other operation of a connector"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let using = using(value, step, check)?;
        if using.operation().containment.is_some() {
            value.mistake(
                "call-that-contains",
                format!("`{}` limits somebody's access", using.name),
                "use `contain:`, so that it is guarded, verified and can be undone",
            );
        }
        check.output = Some(using.operation().output_names.clone());
        let effect = using.operation().effect;
        let reconcile = using.operation().reconcile.as_ref();
        let reconcile = reconcile.map(|it| ReconcileSpec { within: it.within, absent: it.absent });
        let action = ActionSpec {
            operation: using.name,
            input: using.input,
            effect,
            containment: None,
            question: None,
            reconcile,
        };
        Some(Body::Perform(action))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        operations::operation(call, world).boxed()
    }
}

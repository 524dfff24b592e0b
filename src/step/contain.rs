//! `contain`: limits harm: looks at the target, acts, reads back, can be lifted.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::domain::playbook::{ActionSpec, Body, ContainmentSpec, Posture};
use crate::step::kind::{Check, StepKind};
use crate::step::operations;
use crate::step::using::using;
use crate::step::world::{Call, Done, World};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// The kind.
pub struct Contain;

impl StepKind for Contain {
    fn name(&self) -> &'static str {
        "contain"
    }

    fn docs(&self) -> &'static str {
        "limits harm: looks at the target, acts, reads back, can be lifted"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let hold = step.optional("for").map(|field| (field, field.duration()));
        let using = using(value, step, check)?;
        let Some(containment) = using.operation().containment.as_ref() else {
            value.mistake(
                "no-containment",
                format!("`{}` declares no containment", using.name),
                "use `call:`, or another operation",
            );
            return None;
        };
        if let (Some((field, _)), None) = (hold, &containment.undo) {
            field.mistake(
                "cannot-lift",
                format!("`{}` cannot be undone, so it cannot be lifted on time", using.name),
                "take `for:` out",
            );
        }
        check_approval(value, check, &using.name, containment.tier, containment.visible);
        check.output =
            Some(["containment", "target", "before", "changed", "until"].map(str::to_owned).to_vec());
        let spec = ContainmentSpec {
            tier: containment.tier,
            visible: containment.visible,
            verify_within: containment.verify.as_ref().map(|verify| verify.within),
            undo: containment.undo.is_some(),
            hold: hold.and_then(|(_, hold)| hold),
        };
        let effect = using.operation().effect;
        let action = ActionSpec {
            operation: using.name,
            input: using.input,
            effect,
            containment: Some(spec),
            question: None,
            reconcile: None,
        };
        Some(Body::Perform(action))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        operations::contain(call, world).boxed()
    }
}

/// Who must approve, by tier and posture (the facts on the domain, tiers T0 to
/// T4): nobody is suspended on one person's word unless an account is in
/// somebody else's hands.
fn check_approval(value: Field<'_>, check: &Check<'_>, name: &str, tier: u8, visible: bool) {
    let needed = match (tier, check.posture) {
        (4.., _) => 2,
        (3, Posture::Compromise) => 1,
        (3, _) => 2,
        (2, Posture::Covert | Posture::Overt) => 1,
        (_, Posture::Covert) if visible => 1,
        _ => 0,
    };
    if check.approvers >= needed {
        return;
    }
    let posture = format!("{:?}", check.posture).to_lowercase();
    let people = if needed == 1 { "an approval" } else { "approvals by two different people" };
    value.mistake(
        "approval-needed",
        format!("`{name}` is tier {tier}: in `posture: {posture}` it needs {people}"),
        "add `approval: { by: [\"group:ir-leads\", \"group:hr\"], within: 30m, if_silent: escalate }` to the step or the block around it",
    );
}

//! Connector operations: read, call, contain and lift.

use std::sync::Arc;

use serde_json::json;

use crate::connector::hub::{OperationAnswer, OperationCall};
use crate::connector::spec::ConnectorSpec;
use crate::domain::command::Phase;
use crate::domain::kept::target_label;
use crate::domain::outcome::{Failure, FailureClass, Outcome};
use crate::domain::playbook::Body;
use crate::domain::value::Value;
use crate::guard::verdict::{Counts, Refused, Target};
use crate::step::world::{Call, Done, World};

/// One operation of a connector, as the plan froze it (`enrich`, `call`).
pub async fn operation(call: &Call<'_>, world: &World) -> Done {
    match prepared(call, world) {
        Ok((connector, operation, spec)) => {
            let operation_call = operation_call(call, connector, operation, &spec);
            done(match call.perform.phase {
                Phase::Reconcile => world.hub.reconcile(&operation_call).await,
                _ => world.hub.perform(&operation_call).await,
            })
        }
        Err(failure) => Outcome::from(failure).into(),
    }
}

/// Steps that only compute are carried out by the core; nothing ever asks for this.
pub async fn computed(call: &Call<'_>, _world: &World) -> Done {
    Outcome::from(permanent("kind-wrong", format!("`{}` performs nothing", call.perform.key))).into()
}

/// One part of a containment, or of the way back.
pub async fn contain(call: &Call<'_>, world: &World) -> Done {
    let (connector, operation, spec) = match prepared(call, world) {
        Ok(prepared) => prepared,
        Err(failure) => return Outcome::from(failure).into(),
    };
    let operation_call = operation_call(call, connector, operation, &spec);
    let hub = &world.hub;
    let answer = match call.perform.phase {
        Phase::Capture => {
            let answer = hub.capture(&operation_call).await;
            guarded(call, world, answer).await
        }
        Phase::Act => match &call.perform.captured {
            Some(captured) => act(call, world, captured, &operation_call).await,
            None => {
                return Outcome::from(permanent(
                    "not-captured",
                    "the target was not looked at before; nobody was touched",
                ))
                .into();
            }
        },
        Phase::Verify | Phase::Recheck => hub.verify(&operation_call).await,
        Phase::UndoCheck => hub.undo_check(&operation_call).await,
        Phase::Undo => hub.undo(&operation_call).await,
        Phase::UndoVerify => hub.undo_verify(&operation_call).await,
        Phase::Announce | Phase::Remind | Phase::Warn | Phase::Reconcile => {
            return Outcome::from(permanent("phase-wrong", "this is not done by a containment")).into();
        }
    };
    done(answer)
}

/// Asks the guardrails once more, and touches the target. It counts since its intent
/// was on record, until an entry says that it surely was not touched.
async fn act(
    call: &Call<'_>,
    world: &World,
    captured: &Value,
    operation_call: &OperationCall<'_>,
) -> OperationAnswer {
    let target = Found::of(call, captured);
    let contained = world.records.contained(call.run(), Some(&call.perform.key), (world.now)()).await;
    let outcome = match contained {
        Err(why) => Outcome::called_off(&why),
        Ok(contained) => match target.verdict(world, contained.others(&target.label)) {
            Ok(()) => return world.hub.perform(operation_call).await,
            Err(refused) => permanent(refused.code, refused.message).into(),
        },
    };
    OperationAnswer { outcome, body: Vec::new(), absent: false }
}

fn permanent(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Permanent, code, message)
}

fn operation_call<'a>(
    call: &Call<'a>,
    connector: &'a str,
    operation: &'a str,
    spec: &'a ConnectorSpec,
) -> OperationCall<'a> {
    OperationCall {
        connector,
        spec,
        operation,
        input: &call.perform.input,
        captured: call.perform.captured.as_ref(),
        idempotency_key: &call.perform.idempotency_key,
        timeout: call.perform.timeout,
        playbook: &call.started.playbook,
        urgency: call.urgency(),
        on_turn: call.on_turn,
    }
}

/// The connector, the operation and the declaration that the plan froze.
fn prepared<'a>(call: &Call<'a>, world: &World) -> Result<(&'a str, &'a str, Arc<ConnectorSpec>), Failure> {
    let Body::Perform(action) = &call.step.body else {
        return Err(permanent("kind-wrong", "this step performs nothing"));
    };
    let (connector, operation) = action.operation.split_once('.').ok_or_else(|| {
        permanent("operation-unknown", format!("`{}` names no operation", action.operation))
    })?;
    let frozen = call.plan.connectors.get(connector).and_then(Value::as_str);
    let text = frozen.ok_or_else(|| {
        permanent("connector-unknown", format!("the plan holds no connector `{connector}`"))
    })?;
    Ok((connector, operation, world.hub.frozen(text)?))
}

fn done(answer: OperationAnswer) -> Done {
    let evidence = match &answer.outcome {
        Outcome::Succeeded { evidence, .. } | Outcome::Failed { evidence, .. } => evidence.as_ref(),
    };
    let blobs = match evidence {
        Some(evidence) if !answer.body.is_empty() => vec![(evidence.sha256, answer.body)],
        _ => Vec::new(),
    };
    Done { outcome: answer.outcome, blobs }
}

/// A captured target that may not be contained is refused before anybody is asked.
async fn guarded(call: &Call<'_>, world: &World, answer: OperationAnswer) -> OperationAnswer {
    let refused = match &answer.outcome {
        Outcome::Succeeded { output, .. } if output.get("already") != Some(&json!(true)) => {
            let target = Found::of(call, output);
            let contained = world.records.contained(call.run(), None, (world.now)()).await;
            // Counted once more before it is touched.
            let contained = contained.unwrap_or_default();
            target.verdict(world, contained.others(&target.label)).err()
        }
        _ => None,
    };
    let refused = refused.map(|refused| permanent(refused.code, refused.message));
    match (refused, answer.outcome) {
        (Some(failure), Outcome::Succeeded { evidence, .. }) => {
            OperationAnswer { outcome: Outcome::Failed { failure, evidence }, ..answer }
        }
        (_, outcome) => OperationAnswer { outcome, ..answer },
    }
}

/// A captured target, as the guardrails look at it.
struct Found<'a> {
    id: String,
    label: String,
    input: &'a Value,
    attributes: &'a Value,
}

impl<'a> Found<'a> {
    fn of(call: &Call<'a>, captured: &'a Value) -> Self {
        let id = match captured.get("id") {
            Some(Value::String(id)) => id.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        let label = target_label(captured);
        Self {
            id,
            label,
            input: &call.perform.input,
            attributes: captured.get("attributes").unwrap_or(&Value::Null),
        }
    }

    fn verdict(&self, world: &World, counts: Counts) -> Result<(), Refused> {
        let target = Target { id: &self.id, input: self.input, attributes: self.attributes };
        world.guard.verdict(&target, counts, &world.people)
    }
}

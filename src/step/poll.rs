//! One look at a list, for a source that is polled: a connector's operation that
//! only reads, with the connector's own address, secrets and pace.

use crate::connector::hub::OperationCall;
use crate::domain::outcome::{Failure, FailureClass, Outcome};
use crate::domain::poll::PollSpec;
use crate::domain::urgency::Urgency;
use crate::domain::value::Value;
use crate::step::world::World;

/// Asks once. `source` is who asks: sources and playbooks take turns at a connector.
pub async fn look(world: &World, source: &str, poll: &PollSpec, input: &Value) -> Outcome {
    let Some(spec) = world.hub.spec(&poll.connector) else {
        let message = format!("no connector `{}` is configured here", poll.connector);
        return Failure::new(FailureClass::Permanent, "connector-unknown", message).into();
    };
    let call = OperationCall {
        connector: &poll.connector,
        spec: &spec,
        operation: &poll.operation,
        input,
        captured: None,
        // Reading needs no key: it may be repeated.
        idempotency_key: "",
        timeout: poll.timeout,
        playbook: &format!("source {source}"),
        urgency: Urgency::Medium,
        on_turn: None,
    };
    world.hub.perform(&call).await.outcome
}

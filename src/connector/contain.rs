//! The parts of a containment: find and read the target before it is touched,
//! read back, and compare before lifting.
//!
//! "Somebody else changed it since" is asked of each name that the connector
//! keeps (`capture.keep`) on its own: it shows neither what we left (what
//! reading back our act showed) nor what was captured. See `domain/kept.rs`.

use serde_json::json;

use crate::connector::hub::{Hub, OperationAnswer, OperationCall, permanent, request_scope, with_output};
use crate::connector::spec::{Capture, Containment, Verify};
use crate::domain::expr::EvalError;
use crate::domain::expr::scope::Scope;
use crate::domain::kept::{KeptField, compare, is_restored, standing, to_write, words_of};
use crate::domain::outcome::{Failure, Outcome};
use crate::domain::value::Value;

impl Hub {
    /// Finds the target and reads its state. Gives
    /// `{target, id, already, state, attributes}`; none or several matches fail.
    pub async fn capture(&self, call: &OperationCall<'_>) -> OperationAnswer {
        let Some(containment) = containment(call) else {
            return not_one(call);
        };
        let capture = &containment.capture;
        let mut read =
            self.perform(&OperationCall { operation: &capture.with, captured: None, ..*call }).await;
        if let Outcome::Failed { failure, .. } = &mut read.outcome {
            // Where the peer, not the count, says that there is none or several.
            let found = match failure.code.as_str() {
                "not-found" => Some(NOT_FOUND),
                "ambiguous" => Some(AMBIGUOUS),
                _ => None,
            };
            if let Some((code, advice)) = found {
                *failure = permanent(code, format!("{}; nobody was touched. {advice}", failure.message));
            }
        }
        with_output(read, |output| captured(call, containment, capture, output))
    }

    /// Reads back. Gives `{holds, read}`.
    pub async fn verify(&self, call: &OperationCall<'_>) -> OperationAnswer {
        let Some(verify) = containment(call).and_then(|containment| containment.verify.as_ref()) else {
            return not_one(call);
        };
        let read = self.look(call, verify).await;
        with_output(read, |output| Ok(json!({ "holds": holds(call, verify, &output), "read": output })))
    }

    /// Reads the target before lifting. Gives `{state, diff, fields}`: `as_left`
    /// (something is to be restored), `restored` (nothing is) or `changed`, and
    /// where each kept field stands.
    pub async fn undo_check(&self, call: &OperationCall<'_>) -> OperationAnswer {
        let Some(containment) = containment(call) else {
            return not_one(call);
        };
        let Some(verify) = &containment.verify else {
            return not_one(call);
        };
        let read = self.look(call, verify).await;
        with_output(read, |output| {
            let holds = holds(call, verify, &output);
            let captured = call.captured.unwrap_or(&Value::Null);
            let fields = compare(&containment.capture.keep, captured, &output, holds);
            let diff = words_of(&fields, |field: &KeptField| field.before != field.now);
            Ok(json!({ "state": standing(&fields), "diff": diff, "fields": fields }))
        })
    }

    /// Restores the captured state, but for what is left alone.
    pub async fn undo(&self, call: &OperationCall<'_>) -> OperationAnswer {
        let Some(undo) = containment(call).and_then(|containment| containment.undo.as_deref()) else {
            return not_one(call);
        };
        let captured = call.captured.map(to_write);
        self.perform(&OperationCall { operation: undo, captured: captured.as_ref(), ..*call }).await
    }

    /// Reads back whether the captured state is restored. Gives `{holds, read}`.
    pub async fn undo_verify(&self, call: &OperationCall<'_>) -> OperationAnswer {
        let Some(containment) = containment(call) else {
            return not_one(call);
        };
        let Some(verify) = &containment.verify else {
            return not_one(call);
        };
        let read = self.look(call, verify).await;
        with_output(read, |output| {
            let captured = call.captured.unwrap_or(&Value::Null);
            let restored = is_restored(&containment.capture.keep, captured, &output);
            Ok(json!({ "holds": restored, "read": output }))
        })
    }

    async fn look(&self, call: &OperationCall<'_>, verify: &Verify) -> OperationAnswer {
        let input = match &verify.input {
            None => call.input.clone(),
            Some(template) => match template.render(&request_scope(call)) {
                Ok(input) => input,
                Err(error) => {
                    return OperationAnswer::failed(permanent(
                        "request-unrendered",
                        format!("reading back cannot be put together: {error}"),
                    ));
                }
            },
        };
        self.perform(&OperationCall { operation: &verify.with, input: &input, ..*call }).await
    }
}

/// Code and advice when a target is not there, or is not one.
const NOT_FOUND: (&str, &str) = ("target-not-found", "Check the address in the alert, or contain by hand");
const AMBIGUOUS: (&str, &str) =
    ("target-ambiguous", "Find out which one is meant, and contain that one by its own name");

fn containment<'a>(call: &OperationCall<'a>) -> Option<&'a Containment> {
    call.spec.operations.get(call.operation)?.containment.as_ref()
}

fn not_one(call: &OperationCall<'_>) -> OperationAnswer {
    OperationAnswer::failed(permanent(
        "no-containment",
        format!("`{}.{}` declares no containment, or no way to read it back", call.connector, call.operation),
    ))
}

fn captured(
    call: &OperationCall<'_>,
    containment: &Containment,
    capture: &Capture,
    output: Value,
) -> Result<Value, Failure> {
    let scope = Scope::new().with("input", call.input).with("output", &output);
    let unclear = |error: EvalError| {
        permanent(
            "target-unclear",
            format!("the target cannot be told from the answer: {error}; nobody was touched"),
        )
    };
    let found = match &capture.matches {
        None => Some(1),
        Some(matches) => matches.eval(&scope).map_err(unclear)?.as_i64(),
    };
    exactly_one(call, found)?;
    let id = capture.id.render(&scope).map_err(unclear)?;
    if id.is_null() || id.as_str().is_some_and(str::is_empty) {
        return Err(permanent("target-unclear", "the target has no id; nobody was touched"));
    }
    let label = capture.label.render_text(&scope).map_err(unclear)?;
    let attributes = capture
        .attributes
        .as_ref()
        .map(|attributes| attributes.render(&scope))
        .transpose()
        .map_err(unclear)?
        .unwrap_or(Value::Null);
    let state: serde_json::Map<String, Value> = capture
        .keep
        .iter()
        .map(|name| (name.clone(), output.get(name).cloned().unwrap_or_default()))
        .collect();
    let already = containment.verify.as_ref().is_some_and(|verify| holds(call, verify, &output));
    // Said here, because lists fold entries and never see the connector's declaration.
    let reversible = containment.undo.is_some();
    Ok(json!({
        "target": label, "id": id, "already": already, "state": state, "attributes": attributes,
        "reversible": reversible,
    }))
}

/// Nobody is touched unless exactly one target was found.
fn exactly_one(call: &OperationCall<'_>, found: Option<i64>) -> Result<(), Failure> {
    let texts = call.input.as_object().into_iter().flat_map(|map| map.values().filter_map(Value::as_str));
    let looked_up = texts.collect::<Vec<_>>().join(", ");
    let title = &call.spec.title;
    match found {
        Some(1) => Ok(()),
        Some(0) => {
            let message =
                format!("`{looked_up}` is nobody {title} knows; nobody was touched. {}", NOT_FOUND.1);
            Err(permanent(NOT_FOUND.0, message))
        }
        Some(found) => {
            let message = format!(
                "`{looked_up}` is {found} different accounts at {title}; nobody was touched. {}",
                AMBIGUOUS.1
            );
            Err(permanent(AMBIGUOUS.0, message))
        }
        None => {
            let message = "how many targets were found is no whole number; nobody was touched";
            Err(permanent("target-unclear", message))
        }
    }
}

/// Whether the containment holds in what was read.
fn holds(call: &OperationCall<'_>, verify: &Verify, output: &Value) -> bool {
    verify.holds.eval_bool(&request_scope(call).with("output", output)).unwrap_or(false)
}

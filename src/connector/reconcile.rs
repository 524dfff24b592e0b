//! Asking a peer whether an operation that must not be repeated blindly
//! happened, by the mark that it was given with it.

use std::borrow::Cow;

use serde_json::json;

use crate::connector::hub::{
    Hub, OperationAnswer, OperationCall, permanent, request_scope, with_defaults, with_output,
};
use crate::connector::spec::{Operation, Reconcile};
use crate::domain::outcome::{Failure, Outcome};
use crate::domain::playbook::Effect;
use crate::domain::value::Value;

impl Hub {
    /// Asks the peer. Gives `{found, output, asked}`. Only what was declared to
    /// mean "there is none" is a no; an answer in other words is a failure.
    pub async fn reconcile(&self, call: &OperationCall<'_>) -> OperationAnswer {
        let declared = call.spec.operations.get(call.operation);
        let Some((operation, reconcile)) = declared.and_then(|it| Some((it, it.reconcile.as_ref()?))) else {
            return OperationAnswer::failed(permanent(
                "no-reconciling",
                format!("`{}.{}` does not declare how it is asked for", call.connector, call.operation),
            ));
        };
        let input = sent(operation, call);
        let call = &OperationCall { input: &input, ..*call };
        let asking = match reconcile.input.as_ref().map(|it| it.render(&request_scope(call))).transpose() {
            Ok(asking) => asking,
            Err(error) => {
                return OperationAnswer::failed(permanent(
                    "request-unrendered",
                    format!("asking for it cannot be put together: {error}"),
                ));
            }
        };
        let look =
            OperationCall { operation: &reconcile.with, input: asking.as_ref().unwrap_or(&input), ..*call };
        let answer = self.perform(&look).await;
        let asked = asked(operation, call);
        if answer.absent {
            let evidence = match answer.outcome {
                Outcome::Succeeded { evidence, .. } | Outcome::Failed { evidence, .. } => evidence,
            };
            let output = json!({ "found": false, "asked": asked });
            return OperationAnswer { outcome: Outcome::Succeeded { output, evidence }, ..answer };
        }
        with_output(answer, |output| found(call, reconcile, output, asked))
    }
}

/// The input as it leaves: with what is declared for absent values, and with
/// our mark where the operation takes one and was given none. Like a key it
/// names run, step, iteration and direction, never the attempt.
pub(super) fn sent<'a>(operation: &Operation, call: &OperationCall<'a>) -> Cow<'a, Value> {
    let mut input = with_defaults(operation, call.input);
    // What a mail is known by has a form of its own; who sends it gives it.
    let takes = operation.marker.as_deref().filter(|_| operation.request.is_some());
    if let Some(marker) = takes.filter(|_| operation.effect == Effect::Once)
        && is_blank(input.get(marker))
        && let Some(map) = input.to_mut().as_object_mut()
    {
        map.insert(marker.to_owned(), call.idempotency_key.into());
    }
    input
}

fn is_blank(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(_) => false,
    }
}

/// What was asked, in words.
fn asked(operation: &Operation, call: &OperationCall<'_>) -> String {
    let mark = operation.marker.as_deref().and_then(|marker| call.input.get(marker));
    let mark = match mark {
        Some(Value::String(text)) => text.clone(),
        other => other.map(Value::to_string).unwrap_or_default(),
    };
    format!("{} was asked for `{mark}`", call.spec.title)
}

fn found(
    call: &OperationCall<'_>,
    reconcile: &Reconcile,
    output: Value,
    asked: String,
) -> Result<Value, Failure> {
    let scope = request_scope(call).with("output", &output);
    let unexpected = |error| {
        let message =
            format!("`{}.{}` answered, and not as declared: {error}", call.connector, reconcile.with);
        permanent("answer-unexpected", message)
    };
    let happened = match &reconcile.happened {
        None => true,
        Some(happened) => happened.eval_bool(&scope).map_err(unexpected)?,
    };
    if !happened {
        return Ok(json!({ "found": false, "asked": asked }));
    }
    let given = match &reconcile.output {
        None => output.clone(),
        Some(template) => template.render(&scope).map_err(unexpected)?,
    };
    Ok(json!({ "found": true, "output": given, "asked": asked }))
}

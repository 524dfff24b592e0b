//! What an answer means: done as the operation declares it, or what may follow.

use serde_json::json;

use crate::connector::driver::http::{HttpAnswer, HttpDriver};
use crate::connector::hub::{OperationCall, permanent, request_scope};
use crate::connector::spec::Operation;
use crate::domain::expr::EvalError;
use crate::domain::expr::scope::Scope;
use crate::domain::outcome::{Evidence, Failure, FailureClass, Outcome};
use crate::domain::playbook::Effect;
use crate::domain::value::Value;

/// Whether it was done, as the operation declares it; else what may follow. And
/// whether the peer says, as declared, that there is no such thing: a 404 that
/// nobody declared may come from anywhere on the way.
pub(super) fn judge(
    driver: &HttpDriver,
    operation: &Operation,
    call: &OperationCall<'_>,
    answer: &HttpAnswer,
    evidence: Evidence,
) -> (Outcome, bool) {
    let status = Value::from(answer.status);
    let scope = request_scope(call)
        .with("status", &status)
        .with("headers", &answer.headers)
        .with("body", &answer.body);
    let evidence = Some(evidence);
    let judged = match done(operation, answer, &scope) {
        Ok(true) => output(operation, call, answer, &scope),
        Ok(false) if absent(operation, &scope) => Err(None),
        Ok(false) => Err(Some(refused(operation, call, answer))),
        Err(error) => Err(Some(unexpected(FailureClass::Unknown, call, answer, &error))),
    };
    match judged {
        Ok(output) => (Outcome::Succeeded { output, evidence }, false),
        Err(failure) => {
            let absent = failure.is_none();
            let failure = failure.unwrap_or_else(|| not_found(call));
            let message = driver.clean(&failure.message);
            (Outcome::Failed { failure: Failure { message, ..failure }, evidence }, absent)
        }
    }
}

/// Whether the peer says that it was done. An error when it says yes, and not
/// in the words that were declared: then nobody can say.
fn done(operation: &Operation, answer: &HttpAnswer, scope: &Scope<'_>) -> Result<bool, EvalError> {
    let positive = (200..300).contains(&answer.status);
    match &operation.success {
        None => Ok(positive),
        Some(success) => match success.eval_bool(scope) {
            Err(_) if !positive => Ok(false),
            done => done,
        },
    }
}

fn absent(operation: &Operation, scope: &Scope<'_>) -> bool {
    let absent = operation.absent.as_ref();
    absent.is_some_and(|absent| absent.eval_bool(scope).unwrap_or(false))
}

/// What was done gives, when it is about exactly one thing; no failure when
/// there is no such thing.
fn output(
    operation: &Operation,
    call: &OperationCall<'_>,
    answer: &HttpAnswer,
    scope: &Scope<'_>,
) -> Result<Value, Option<Failure>> {
    // It was done; that the answer cannot be read does not undo a write.
    let unread = match operation.effect {
        Effect::Read => FailureClass::Permanent,
        _ => FailureClass::Unknown,
    };
    let unexpected = |error: EvalError| Some(unexpected(unread, call, answer, &error));
    if let Some(matches) = &operation.matches {
        match matches.eval(scope).map_err(unexpected)?.as_i64() {
            Some(1) => {}
            Some(0) => return Err(None),
            Some(count) => {
                let title = &call.spec.title;
                let message = format!("{title} has {count} that fit `{}`, and one was wanted", asked(call));
                return Err(Some(permanent("ambiguous", message)));
            }
            None => {
                let message = format!("{} found a number of things that is none", name(call));
                return Err(Some(Failure::new(unread, "answer-unexpected", message)));
            }
        }
    }
    match &operation.output {
        None => Ok(json!({})),
        Some(output) => output.render(scope).map_err(unexpected),
    }
}

fn name(call: &OperationCall<'_>) -> String {
    format!("`{}.{}`", call.connector, call.operation)
}

/// What was asked for, in the words it was asked with.
fn asked(call: &OperationCall<'_>) -> String {
    let values = call.input.as_object().map(|map| map.values());
    let texts = values.into_iter().flatten().map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn not_found(call: &OperationCall<'_>) -> Failure {
    let message = format!("{} knows nothing of `{}`", call.spec.title, asked(call));
    permanent("not-found", message)
}

fn unexpected(
    class: FailureClass,
    call: &OperationCall<'_>,
    answer: &HttpAnswer,
    error: &EvalError,
) -> Failure {
    let message = format!("{} answered {}, but not as it declares: {error}", name(call), answer.status);
    Failure::new(class, "answer-unexpected", message)
}

/// What an answer that is no success means.
fn refused(operation: &Operation, call: &OperationCall<'_>, answer: &HttpAnswer) -> Failure {
    let said = match &answer.body {
        Value::Null => String::new(),
        Value::String(text) => format!(": {text}"),
        body => {
            let telling = ["detail", "message", "errorSummary", "error_description", "title", "error"]
                .iter()
                .find_map(|name| body.get(name)?.as_str());
            format!(": {}", telling.map_or_else(|| body.to_string(), str::to_owned))
        }
    };
    let status = answer.status;
    let (class, code) = match status {
        // Refused before anything was done (RFC 6585 §4, RFC 8470 §5.2).
        429 | 425 => (FailureClass::Transient, "too-many-requests"),
        // GitHub and Google say "too many" so, with the time to come back.
        403 if answer.retry_after.is_some() => (FailureClass::Transient, "too-many-requests"),
        // A server that says when to come back has most likely not begun
        // (RFC 9110 §15.6.4): enough to try again what may be done twice.
        503 if answer.retry_after.is_some() && operation.effect != Effect::Once => {
            (FailureClass::Transient, "unavailable")
        }
        408 | 500..=599 => (FailureClass::Unknown, "server-error"),
        300..=399 => (FailureClass::Permanent, "redirected"),
        401 | 403 => (FailureClass::Permanent, "not-allowed"),
        404 => (FailureClass::Permanent, "not-found"),
        _ => (FailureClass::Permanent, "refused"),
    };
    let to = match (code, answer.headers.get("location").and_then(Value::as_str)) {
        ("redirected", Some(to)) => format!(
            " and sent on to {to}, which is not followed; if that is right, write it as the connector's `url`"
        ),
        _ => said,
    };
    let message = format!("{} was answered {status}{to}", name(call));
    Failure { retry_after: answer.retry_after, ..Failure::new(class, code, message) }
}

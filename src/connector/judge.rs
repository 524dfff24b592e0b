//! What an answer means: done as the operation declares it, or what may follow.

use serde_json::json;

use crate::connector::driver::http::{HttpAnswer, HttpDriver};
use crate::connector::hub::{OperationCall, permanent, request_scope};
use crate::connector::spec::Operation;
use crate::domain::expr::scope::Scope;
use crate::domain::expr::{EvalError, Expr};
use crate::domain::outcome::{Evidence, Failure, FailureClass, Outcome};
use crate::domain::playbook::Effect;
use crate::domain::status::class_of_status;
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
    let mut scope = request_scope(call).with("status", &status).with("headers", &answer.headers);
    // What could not be read has no name: an expression that asks for it fails.
    if let Ok(body) = &answer.body {
        scope = scope.with("body", body);
    }
    let evidence = Some(evidence);
    let judged = match done(operation, answer, &scope) {
        Ok(true) => output(driver, operation, call, answer, &scope),
        Ok(false) if says(operation.absent.as_ref(), &scope) => Err(None),
        Ok(false) => Err(Some(not_done(operation, call, answer, &scope))),
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

/// Whether the peer says what this declares, in the words that are declared.
fn says(declared: Option<&Expr>, scope: &Scope<'_>) -> bool {
    declared.is_some_and(|declared| declared.eval_bool(scope).unwrap_or(false))
}

/// What was done gives, when it is about exactly one thing; no failure when
/// there is no such thing.
fn output(
    driver: &HttpDriver,
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
    let output = match &operation.output {
        None => json!({}),
        Some(output) => output.render(scope).map_err(unexpected)?,
    };
    if driver.has_secret(&output) {
        // With the secret it would stand in the journal; without it, it would be
        // another value, which decides otherwise or is written back to the peer.
        let message = format!(
            "{} gives back one of the connector's own secrets, so its output is not kept. Declare an output without it, or change the secret",
            name(call)
        );
        return Err(Some(Failure::new(unread, "answer-holds-secret", message)));
    }
    Ok(output)
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
    let (name, status) = (name(call), answer.status);
    match &answer.body {
        Ok(_) => {
            let message = format!("{name} answered {status}, but not as it declares: {error}");
            Failure::new(class, "answer-unexpected", message)
        }
        Err(unread) => {
            let message = format!("{name} answered {status}, and the answer cannot be read: {}", unread.why);
            Failure::new(class, "answer-unreadable", message)
        }
    }
}

/// What an answer that is no success means.
fn not_done(
    operation: &Operation,
    call: &OperationCall<'_>,
    answer: &HttpAnswer,
    scope: &Scope<'_>,
) -> Failure {
    let status = answer.status;
    let (class, code) = match class_of_status(status, operation.effect, answer.retry_after.is_some()) {
        // A no in the words that are declared for it.
        (FailureClass::Unknown | FailureClass::Permanent, _) if says(operation.refused.as_ref(), scope) => {
            (FailureClass::Permanent, "refused")
        }
        said => said,
    };
    let sent_on = answer.headers.get("location").and_then(Value::as_str);
    let what = match (code, sent_on) {
        ("redirected", Some(to)) => format!(
            " and sent on to {to}, which is not followed; if that is right, write it as the connector's `url`"
        ),
        ("answer-unlisted", _) => format!(", which its `success` does not list{}", words(answer)),
        _ => words(answer),
    };
    let unsaid = match class {
        FailureClass::Unknown if operation.effect != Effect::Read => {
            "; that does not say whether it was done"
        }
        _ => "",
    };
    let message = format!("{} was answered {status}{what}{unsaid}", name(call));
    Failure { retry_after: answer.retry_after, ..Failure::new(class, code, message) }
}

/// What a peer says in its answer, after a colon; nothing when it says nothing.
fn words(answer: &HttpAnswer) -> String {
    match &answer.body {
        Ok(Value::Null) => String::new(),
        Ok(Value::String(text)) => format!(": {text}"),
        Ok(body) => {
            let telling = ["detail", "message", "errorSummary", "error_description", "title", "error"]
                .iter()
                .find_map(|name| body.get(name)?.as_str());
            format!(": {}", telling.map_or_else(|| body.to_string(), str::to_owned))
        }
        Err(unread) if unread.shown.is_empty() => format!(" (its text cannot be read: {})", unread.why),
        Err(unread) => format!(": {} (bytes that are not text are written as \\xNN)", unread.shown),
    }
}

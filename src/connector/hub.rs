//! One operation of one configured connector: render, send, judge.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;

use crate::connector::driver::http::{HttpDriver, HttpRequest};
use crate::connector::driver::smtp::SmtpDriver;
use crate::connector::gate::Pass;
use crate::connector::instance::{Instance, Transport};
use crate::connector::judge::judge;
use crate::connector::reconcile::sent;
use crate::connector::spec::{ConnectorSpec, DriverKind, Operation, Request};
use crate::domain::command::OnTurn;
use crate::domain::expr::EvalError;
use crate::domain::expr::scope::Scope;
use crate::domain::expr::template::Template;
use crate::domain::outcome::{Evidence, Failure, FailureClass, Outcome};
use crate::domain::playbook::InputKind;
use crate::domain::time::Timestamp;
use crate::domain::urgency::Urgency;
use crate::domain::value::{Value, digest};
use crate::yaml::diagnostic::did_you_mean;

/// Specifications kept parsed; a library of some hundred playbooks uses fewer.
const SPECS_KEPT: usize = 256;

/// Failures to reach a system at all: what to do is in the settings of the connector.
const UNREACHED: &[&str] = &["unreachable", "mail-unreachable"];

/// Configured connectors.
pub struct Hub {
    instances: BTreeMap<String, Instance>,
    parsed: Mutex<HashMap<String, Arc<ConnectorSpec>>>,
    now: fn() -> Timestamp,
}

/// One call of an operation.
#[derive(Clone, Copy)]
pub struct OperationCall<'a> {
    /// The configured connector.
    pub connector: &'a str,
    /// Its declaration, as the plan froze it.
    pub spec: &'a ConnectorSpec,
    /// The operation.
    pub operation: &'a str,
    /// The rendered input.
    pub input: &'a Value,
    /// The state of the target before it was touched.
    pub captured: Option<&'a Value>,
    /// Run + step + iteration + direction.
    pub idempotency_key: &'a str,
    /// How long it may take.
    pub timeout: Duration,
    /// The playbook it is made for; playbooks take turns.
    pub playbook: &'a str,
    /// How urgent it is.
    pub urgency: Urgency,
    /// Who is to hear that it has its turn.
    pub on_turn: Option<&'a dyn OnTurn>,
}

/// What came of a call.
pub struct OperationAnswer {
    /// What came of it.
    pub outcome: Outcome,
    /// The answer as it came, for the evidence.
    pub body: Vec<u8>,
    /// Whether the peer says, in the words that are declared for it, that there
    /// is no such thing.
    pub absent: bool,
}

impl OperationAnswer {
    pub(super) fn failed(failure: Failure) -> Self {
        Self { outcome: failure.into(), body: Vec::new(), absent: false }
    }
}

impl Hub {
    /// A hub over configured connectors.
    pub fn new(instances: BTreeMap<String, Instance>, now: fn() -> Timestamp) -> Self {
        Self { instances, parsed: Mutex::new(HashMap::new()), now }
    }

    /// Makes no further calls. Those that wait for their turn are called off;
    /// those that are made go on to their end.
    pub fn close(&self) {
        self.instances.values().for_each(|instance| instance.gate.close());
    }

    /// Whether no further calls are made.
    pub fn is_closed(&self) -> bool {
        self.instances.values().any(|instance| instance.gate.is_closed())
    }

    /// How many calls wait for their turn, by connector.
    pub fn waiting(&self) -> impl Iterator<Item = (&str, usize)> {
        self.instances.iter().map(|(name, instance)| (name.as_str(), instance.gate.waiting()))
    }

    /// The declaration of a configured connector, as it is now.
    pub fn spec(&self, connector: &str) -> Option<Arc<ConnectorSpec>> {
        self.instances.get(connector).map(|instance| Arc::clone(&instance.spec))
    }

    /// A frozen declaration, parsed once.
    ///
    /// # Errors
    /// A permanent failure when this version cannot read it.
    pub fn frozen(&self, text: &str) -> Result<Arc<ConnectorSpec>, Failure> {
        if let Some(spec) = self.parsed.lock().get(text) {
            return Ok(Arc::clone(spec));
        }
        let spec = ConnectorSpec::read("the plan", text).map_err(|mistakes| {
            let first = mistakes.first().map(|mistake| mistake.message.clone()).unwrap_or_default();
            Failure::new(
                FailureClass::Permanent,
                "connector-unreadable",
                format!(
                    "the connector that this run was planned with cannot be read by this version: {first}"
                ),
            )
        })?;
        let spec = Arc::new(spec);
        let mut parsed = self.parsed.lock();
        if parsed.len() >= SPECS_KEPT {
            parsed.clear();
        }
        parsed.insert(text.to_owned(), Arc::clone(&spec));
        Ok(spec)
    }

    /// Carries out one operation.
    pub async fn perform(&self, call: &OperationCall<'_>) -> OperationAnswer {
        let Some(instance) = self.instances.get(call.connector) else {
            let meant = did_you_mean(call.connector, self.instances.keys())
                .map(|meant| format!(" (did you mean `{meant}`?)"))
                .unwrap_or_default();
            return OperationAnswer::failed(permanent(
                "connector-unknown",
                format!(
                    "no connector `{}` is configured here{meant}; add it under `connectors:` in the settings",
                    call.connector
                ),
            ));
        };
        let Some(operation) = call.spec.operations.get(call.operation) else {
            return OperationAnswer::failed(permanent(
                "operation-unknown",
                format!("the connector `{}` has no operation `{}`", call.spec.name, call.operation),
            ));
        };
        let input = sent(operation, call);
        let call = &OperationCall { input: &input, ..*call };
        if let Err(failure) = check_input(operation, call) {
            return OperationAnswer::failed(failure);
        }
        let _pass = match through(instance, call).await {
            Ok(pass) => pass,
            Err(called_off) => return called_off,
        };
        let timeout = instance.spec.limits.timeout.map_or(call.timeout, |most| most.min(call.timeout));
        let call = &OperationCall { timeout, ..*call };
        let mut answer = match &instance.transport {
            Transport::Http(driver) => self.http(driver, operation, call).await,
            Transport::Smtp(driver) => self.mail(driver, call).await,
        };
        // Several connectors may lead to one host: it is the name that people look up.
        if let Outcome::Failed { failure, .. } = &mut answer.outcome
            && UNREACHED.contains(&failure.code.as_str())
        {
            failure.message = format!("connector `{}`: {}", call.connector, failure.message);
        }
        answer
    }

    async fn mail(&self, driver: &SmtpDriver, call: &OperationCall<'_>) -> OperationAnswer {
        if call.spec.driver != DriverKind::Smtp {
            return OperationAnswer::failed(permanent(
                "operation-wrong",
                format!("`{}` is a mail server, and `{}` is no mail", call.connector, call.operation),
            ));
        }
        match driver.send(call.input, call.timeout).await {
            Ok(sent) => {
                let output = json!({ "message_id": call.input.get("message_id"), "response": sent.response });
                let evidence = self.evidence(call, driver.line(call.input), sent.response, &sent.message);
                OperationAnswer {
                    outcome: Outcome::Succeeded { output, evidence: Some(evidence) },
                    body: Vec::new(),
                    absent: false,
                }
            }
            Err(failure) => OperationAnswer::failed(failure),
        }
    }

    async fn http(
        &self,
        driver: &HttpDriver,
        operation: &Operation,
        call: &OperationCall<'_>,
    ) -> OperationAnswer {
        let Some(request) = &operation.request else {
            return OperationAnswer::failed(permanent(
                "operation-wrong",
                format!("`{}.{}` declares no request", call.spec.name, call.operation),
            ));
        };
        let request = match rendered(request, call) {
            Ok(request) => request,
            Err(failure) => return OperationAnswer::failed(failure),
        };
        let line = driver.line(&request);
        match driver.send(&request).await {
            Err(failure) => OperationAnswer::failed(failure),
            Ok(answer) => {
                let evidence = self.evidence(call, line, answer.status.to_string(), &answer.bytes);
                let (outcome, absent) = judge(driver, operation, call, &answer, evidence);
                OperationAnswer { outcome, body: answer.bytes, absent }
            }
        }
    }

    fn evidence(
        &self,
        call: &OperationCall<'_>,
        request: String,
        response: String,
        bytes: &[u8],
    ) -> Evidence {
        Evidence {
            source: format!("{}.{}", call.connector, call.operation),
            request,
            response,
            sha256: digest(bytes),
            bytes: bytes.len() as u64,
            at: (self.now)(),
        }
    }
}

/// Waits for a call's turn: for a place at the gate, the more urgent first, then
/// for the connector's rate. Waiting is no failure, and is not part of the
/// attempt's time.
async fn through<'a>(instance: &'a Instance, call: &OperationCall<'_>) -> Result<Pass<'a>, OperationAnswer> {
    let called_off =
        |why: &str| OperationAnswer { outcome: Outcome::called_off(why), body: Vec::new(), absent: false };
    let stops = "the server is stopping";
    let enter = instance.gate.enter(call.playbook, call.urgency);
    let pass = match tokio::time::timeout(WAIT_MAX, enter).await {
        Ok(pass) => pass.ok_or_else(|| called_off(stops))?,
        Err(_) => return Err(called_off(&format!("too much is asked of `{}` at once", call.connector))),
    };
    tokio::select! {
        () = instance.take_turn() => {}
        () = instance.gate.closed() => return Err(called_off(stops)),
    }
    match call.on_turn {
        Some(hears) if !hears.has_turn().await => Err(called_off("the journal did not take that it begins")),
        _ => Ok(pass),
    }
}

/// The longest that a call waits for its turn; then its attempt is called off
/// and made anew. Less than what the scheduler grants an attempt beyond its own
/// time, so that waiting is never taken for an unknown outcome.
const WAIT_MAX: Duration = Duration::from_secs(10 * 60);

/// The answer, with what is made of its output.
pub(super) fn with_output(
    answer: OperationAnswer,
    make: impl FnOnce(Value) -> Result<Value, Failure>,
) -> OperationAnswer {
    let outcome = match answer.outcome {
        Outcome::Succeeded { output, evidence } => match make(output) {
            Ok(output) => Outcome::Succeeded { output, evidence },
            Err(failure) => Outcome::Failed { failure, evidence },
        },
        failed => failed,
    };
    OperationAnswer { outcome, ..answer }
}

pub(super) fn permanent(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Permanent, code, message)
}

/// Every input that is needed, and each of its type.
fn check_input(operation: &Operation, call: &OperationCall<'_>) -> Result<(), Failure> {
    for field in &operation.input {
        let value = call.input.get(&field.name).or(field.default.as_ref()).unwrap_or(&Value::Null);
        let fits = match (value, field.kind) {
            (Value::Null, _) => !field.required,
            (Value::String(text), Some(InputKind::String)) => !field.required || !text.trim().is_empty(),
            (Value::Number(number), Some(InputKind::Integer)) => number.is_i64() || number.is_u64(),
            (Value::Number(_), Some(InputKind::Number))
            | (Value::Bool(_), Some(InputKind::Boolean))
            | (_, None) => true,
            _ => false,
        };
        if !fits {
            return Err(permanent(
                "input-wrong",
                format!(
                    "`{}.{}` needs `{}`, and it is missing, empty or of another type; nothing was sent",
                    call.connector, call.operation, field.name
                ),
            ));
        }
    }
    Ok(())
}

/// The input with what is declared for absent ones.
pub(super) fn with_defaults<'a>(operation: &Operation, input: &'a Value) -> Cow<'a, Value> {
    let absent = operation
        .input
        .iter()
        .filter_map(|field| Some((&field.name, field.default.as_ref()?)))
        .filter(|(name, _)| input.get(name.as_str()).is_none_or(Value::is_null));
    let mut full = Cow::Borrowed(input);
    for (name, default) in absent {
        if let Some(map) = full.to_mut().as_object_mut() {
            map.insert(name.clone(), default.clone());
        }
    }
    full
}

/// What an operation's expressions see before it is sent.
pub(super) fn request_scope<'a>(call: &OperationCall<'a>) -> Scope<'a> {
    Scope::new().with("input", call.input).with("captured", call.captured.unwrap_or(&Value::Null))
}

fn rendered(request: &Request, call: &OperationCall<'_>) -> Result<HttpRequest, Failure> {
    let scope = request_scope(call);
    let wrong = |error: EvalError| {
        permanent(
            "request-unrendered",
            format!(
                "the request of `{}.{}` cannot be put together: {error}; nothing was sent",
                call.connector, call.operation
            ),
        )
    };
    let mut path = Vec::with_capacity(request.path.len());
    for part in &request.path {
        let segment = part.render_text(&scope).map_err(wrong)?;
        if segment.is_empty() && !part.is_plain() {
            return Err(permanent(
                "input-unusable",
                format!(
                    "a value that belongs into the address of `{}.{}` is empty; nothing was sent",
                    call.connector, call.operation
                ),
            ));
        }
        path.push(segment);
    }
    let pairs = |list: &[(String, Template)]| {
        list.iter()
            .map(|(name, value)| Ok((name.clone(), value.render_text(&scope)?)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(wrong)
    };
    let query = pairs(&request.query)?;
    let mut headers = pairs(&request.headers)?;
    if let Some(name) = &request.idempotency_header {
        headers.push((name.clone(), call.idempotency_key.to_owned()));
    }
    let bytes = match &request.body {
        Some(body) => Some(body.render(&scope).map_err(wrong)?.to_string().into_bytes()),
        None if request.form.is_empty() => None,
        None => Some(form_urlencoded(&pairs(&request.form)?).into_bytes()),
    };
    let body = bytes.map(|bytes| (bytes, request.content_type.clone()));
    Ok(HttpRequest { method: request.method.clone(), path, query, headers, body, timeout: call.timeout })
}

/// A form as the WHATWG URL standard writes it (§5.2); what queries use too.
fn form_urlencoded(pairs: &[(String, String)]) -> String {
    reqwest::Url::parse_with_params("form:", pairs)
        .ok()
        .and_then(|url| url.query().map(str::to_owned))
        .unwrap_or_default()
}

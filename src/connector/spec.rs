//! What a declared connector is.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::expr::Expr;
use crate::domain::expr::template::Template;
use crate::domain::playbook::{Effect, IfAbsent, InputKind};
use crate::domain::value::Value;

/// A declared connector.
#[derive(Debug, Clone)]
pub struct ConnectorSpec {
    /// Its id.
    pub name: String,
    /// For people.
    pub title: String,
    /// The vendor's own page.
    pub docs: Option<String>,
    /// The transport.
    pub driver: DriverKind,
    /// How calls identify themselves.
    pub auth: Option<Auth>,
    /// How much is asked of the peer.
    pub limits: Limits,
    /// What it has been run against: `simulated`, `spec`, `real-server`, `live-tenant`.
    pub proven: &'static str,
    /// What it can do.
    pub operations: BTreeMap<String, Operation>,
    /// The file's text: what a plan freezes.
    pub text: String,
}

/// The transports there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverKind {
    /// HTTP with JSON.
    Http,
    /// Mail.
    Smtp,
}

/// How calls over HTTP identify themselves.
#[derive(Debug, Clone)]
pub enum Auth {
    /// A header that carries a secret.
    Header {
        /// The header's name.
        header: String,
        /// Its value, over `secret.*`.
        value: Template,
    },
    /// User and password (RFC 7617).
    Basic {
        /// Over `secret.*`.
        user: Template,
        /// Over `secret.*`.
        password: Template,
    },
}

/// How much is asked of a peer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls a minute; none = as many as come.
    pub per_minute: Option<u32>,
    /// Calls at the same time.
    pub at_once: usize,
    /// The longest that one call may take, whatever a step allows.
    pub timeout: Option<Duration>,
    /// Bytes of an answer that are read.
    pub body_bytes: usize,
}

/// One thing a connector can do.
#[derive(Debug, Clone)]
pub struct Operation {
    /// What it does to the world.
    pub effect: Effect,
    /// What it takes.
    pub input: Vec<InputField>,
    /// What is sent; none for drivers that know their own.
    pub request: Option<Request>,
    /// When it was done.
    pub success: Option<Expr>,
    /// When there is no such thing.
    pub absent: Option<Expr>,
    /// When the peer says no in words of its own, such as a 200 with an error
    /// in it. Statuses that are refusals need no such words.
    pub refused: Option<Expr>,
    /// How many things a successful answer shows, where exactly one is wanted.
    pub matches: Option<Expr>,
    /// What it gives.
    pub output: Option<Template>,
    /// The input by which the peer, or a person there, can be asked whether an
    /// operation of effect N happened.
    pub marker: Option<String>,
    /// How the peer is asked for it, where it can be asked.
    pub reconcile: Option<Reconcile>,
    /// The names in `output`, for checks.
    pub output_names: Vec<String>,
    /// Present when it limits harm.
    pub containment: Option<Containment>,
}

/// One input.
#[derive(Debug, Clone)]
pub struct InputField {
    /// Its name.
    pub name: String,
    /// Its type; none = any value.
    pub kind: Option<InputKind>,
    /// Whether it must be given.
    pub required: bool,
    /// What it is when it is not given.
    pub default: Option<Value>,
}

/// What is sent over HTTP.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path segments; each is percent-encoded on its own.
    pub path: Vec<Template>,
    /// Query values; each is percent-encoded.
    pub query: Vec<(String, Template)>,
    /// Further headers.
    pub headers: Vec<(String, Template)>,
    /// A JSON body.
    pub body: Option<Template>,
    /// Fields of a form body, each percent-encoded.
    pub form: Vec<(String, Template)>,
    /// The body's media type.
    pub content_type: String,
    /// The header that carries our idempotency key.
    pub idempotency_header: Option<String>,
}

/// How a containment is looked at, verified and undone.
#[derive(Debug, Clone)]
pub struct Containment {
    /// 0 to 4.
    pub tier: u8,
    /// Whether the subject notices.
    pub visible: bool,
    /// Finds the target and reads its state before it is touched.
    pub capture: Capture,
    /// Reads back.
    pub verify: Option<Verify>,
    /// The operation that restores the captured state.
    pub undo: Option<String>,
    /// Says that there is no way back.
    pub irreversible: bool,
    /// Operations that must be done too for it to be containment.
    pub pair: Vec<String>,
}

/// How the target is found, and what of it is kept.
#[derive(Debug, Clone)]
pub struct Capture {
    /// A reading operation of the same connector.
    pub with: String,
    /// How many things were found.
    pub matches: Option<Expr>,
    /// The target's immutable id.
    pub id: Template,
    /// What people are shown.
    pub label: Template,
    /// The names in the output that undo restores and compares.
    pub keep: Vec<String>,
    /// What guardrails look at.
    pub attributes: Option<Template>,
}

/// How it is read back.
#[derive(Debug, Clone)]
pub struct Verify {
    /// A reading operation of the same connector.
    pub with: String,
    /// Its input; none = the step's own.
    pub input: Option<Template>,
    /// When the containment holds.
    pub holds: Expr,
    /// How long it may take to show.
    pub within: Duration,
}

/// How a peer is asked whether an operation that must not be repeated blindly
/// happened.
#[derive(Debug, Clone)]
pub struct Reconcile {
    /// A reading operation of the same connector.
    pub with: String,
    /// Its input, over the operation's own; none = the operation's own.
    pub input: Option<Template>,
    /// Whether its answer shows that it happened; none = when there is one.
    pub happened: Option<Expr>,
    /// What the step then gives; none = what `with` gives.
    pub output: Option<Template>,
    /// The names in `output`, for checks.
    pub output_names: Option<Vec<String>>,
    /// How long a no is not believed.
    pub within: Duration,
    /// What a no that lasts means.
    pub absent: IfAbsent,
}

//! Configured connectors: where they are, with which secrets, how fast.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::connector::driver::http::HttpDriver;
use crate::connector::driver::smtp::SmtpDriver;
use crate::connector::gate::Gate;
use crate::connector::secret::{SECRET_MISSING, placeholder, resolve};
use crate::connector::spec::{Auth, ConnectorSpec, DriverKind};
use crate::domain::expr::scope::Scope;
use crate::domain::expr::template::Template;
use crate::domain::kept::is_secret;
use crate::domain::value::Value;
use crate::yaml::diagnostic::{Diagnostic, Severity, did_you_mean};
use crate::yaml::map::MapReader;
use crate::yaml::node::Node;
use crate::yaml::shape::{Field, Reader};

/// Where calls go.
pub enum Transport {
    /// HTTP.
    Http(HttpDriver),
    /// Mail.
    Smtp(SmtpDriver),
}

/// One configured connector.
pub struct Instance {
    /// Its name: what playbooks write before the dot.
    pub name: String,
    /// Its declaration.
    pub spec: Arc<ConnectorSpec>,
    /// Where calls go.
    pub transport: Transport,
    /// How many calls at the same time, and whose turn it is.
    pub gate: Gate,
    /// The earliest time of the next call, when there is a rate.
    turn: Mutex<Option<Instant>>,
}

impl Instance {
    /// Waits until another call may be made by the connector's rate.
    pub async fn take_turn(&self) {
        let Some(per_minute) = self.spec.limits.per_minute else {
            return;
        };
        let gap = Duration::from_secs(60) / per_minute;
        let at = {
            let mut turn = self.turn.lock().await;
            let now = Instant::now();
            let at = turn.map_or(now, |next| next.max(now));
            *turn = Some(at + gap);
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

/// Calls of one connector at the same time that settings may ask for. Each holds
/// a socket; a declaration may ask for as many.
const AT_ONCE_MAX: i64 = 1000;

/// Reads `connectors:` of the settings into instances, every mistake at once.
///
/// # Errors
/// Mistakes in the section, secrets that are not there, addresses that are none.
pub fn read_instances(
    file: &str,
    section: &Node,
    specs: &BTreeMap<String, Arc<ConnectorSpec>>,
) -> Result<BTreeMap<String, Instance>, Vec<Diagnostic>> {
    let (instances, found) = check_instances(file, section, specs);
    let mistakes = secrets_required(found);
    if mistakes.is_empty() { Ok(instances) } else { Err(mistakes) }
}

/// What was found, for a server that is about to start: a secret that is not
/// there is a mistake then. Other warnings are left out.
pub fn secrets_required(found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found
        .into_iter()
        .filter(|told| told.severity == Severity::Error || told.code == SECRET_MISSING)
        .map(Diagnostic::into_error)
        .collect()
}

/// Reads `connectors:` with what is wrong in it. A secret that is not there is
/// a warning, and a placeholder stands for it: the rest can be checked without.
pub fn check_instances(
    file: &str,
    section: &Node,
    specs: &BTreeMap<String, Arc<ConnectorSpec>>,
) -> (BTreeMap<String, Instance>, Vec<Diagnostic>) {
    let reader = Reader::new(file);
    let mut instances = BTreeMap::new();
    if let Some(map) = reader.root("`connectors`", section).map() {
        for (key, field) in map.entries() {
            if let Some(instance) = read_instance(&key.name, field, specs) {
                instances.insert(key.name.clone(), instance);
            }
        }
    }
    (instances, reader.into_diagnostics())
}

fn read_instance(
    name: &str,
    field: Field<'_>,
    specs: &BTreeMap<String, Arc<ConnectorSpec>>,
) -> Option<Instance> {
    let map = field.map()?;
    let spec = map.required("use").and_then(|field| {
        let used = field.non_empty()?;
        let found = specs.get(used);
        if found.is_none() {
            let meant = did_you_mean(used, specs.keys());
            let known: Vec<&str> = specs.keys().map(String::as_str).collect();
            field.mistake(
                "unknown-connector",
                format!("there is no connector `{used}`"),
                meant.map_or_else(
                    || format!("there are: {}", known.join(", ")),
                    |meant| format!("did you mean `{meant}`?"),
                ),
            );
        }
        found.cloned()
    });
    let url = map.required("url");
    let secrets = read_secrets(&map);
    let at_once = map.optional("at_once").and_then(|field| field.int(1..=AT_ONCE_MAX));
    map.finish();
    let (spec, url) = (spec?, url?);
    let address = url.non_empty()?;
    let transport = match spec.driver {
        DriverKind::Http => http(&spec, address, &secrets).map(Transport::Http),
        DriverKind::Smtp => SmtpDriver::new(address, &secrets).map(Transport::Smtp),
    };
    match transport {
        Ok(transport) => {
            // What an operator knows of this system goes before what is usual for its sort.
            let own = at_once.and_then(|at_once| usize::try_from(at_once).ok());
            let gate = Gate::new(own.unwrap_or(spec.limits.at_once));
            Some(Instance { name: name.to_owned(), spec, transport, gate, turn: Mutex::new(None) })
        }
        Err(why) => {
            url.mistake(
                "connector-unusable",
                format!("the connector `{name}` cannot be set up: {why}"),
                "mend it, or take the connector out",
            );
            None
        }
    }
}

/// `auth:` of a connector: its secrets by name. A placeholder stands for one
/// that cannot be had, so that nothing else is told that only follows from it.
fn read_secrets(map: &MapReader<'_>) -> BTreeMap<String, SecretString> {
    let mut secrets = BTreeMap::new();
    if let Some(auth) = map.optional("auth").and_then(Field::map) {
        for (key, field) in auth.entries() {
            let Some(reference) = field.non_empty() else {
                continue;
            };
            match resolve(reference) {
                Ok(secret) => {
                    secrets.insert(key.name.clone(), secret);
                }
                Err(error) if error.is_missing() => {
                    field.warning(
                        SECRET_MISSING,
                        error.to_string(),
                        "secrets are read when the server starts",
                    );
                    secrets.insert(key.name.clone(), placeholder());
                }
                Err(error) => {
                    let help = "secrets are read when the server starts";
                    field.mistake("secret", error.to_string(), help);
                    secrets.insert(key.name.clone(), placeholder());
                }
            }
        }
    }
    secrets
}

fn http(
    spec: &ConnectorSpec,
    address: &str,
    secrets: &BTreeMap<String, SecretString>,
) -> Result<HttpDriver, String> {
    let shown: serde_json::Map<String, Value> =
        secrets.iter().map(|(name, secret)| (name.clone(), Value::from(secret.expose_secret()))).collect();
    let shown = Value::Object(shown);
    let scope = Scope::new().with("secret", &shown);
    let templates: Vec<&Template> = match &spec.auth {
        None => Vec::new(),
        Some(Auth::Header { value, .. }) => vec![value],
        Some(Auth::Basic { user, password }) => vec![user, password],
    };
    let needed: Vec<&str> = templates
        .iter()
        .flat_map(|template| &template.references().paths)
        .filter_map(|path| Some(path.get(1)?.as_str()))
        .collect();
    // The error of a template would repeat the values it saw.
    let render = |template: &Template| template.render_text(&scope).ok();
    let auth = match &spec.auth {
        None => Some(None),
        Some(Auth::Header { header, value }) => render(value).map(|value| Some((header.clone(), value))),
        Some(Auth::Basic { user, password }) => render(user).zip(render(password)).map(|(user, password)| {
            let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            Some(("authorization".to_owned(), format!("Basic {both}")))
        }),
    };
    let auth = auth.ok_or_else(|| {
        format!("its `auth` needs {}, each as ${{env:NAME}} or ${{file:PATH}}", needed.join(", "))
    })?;
    if let Some(unused) = secrets.keys().find(|name| !needed.contains(&name.as_str())) {
        return Err(match needed.as_slice() {
            [] => format!("it takes no `auth`, and `{unused}` is given"),
            needed => format!("its `auth` takes {}, and `{unused}` is given", needed.join(", ")),
        });
    }
    let auth = auth.map(|(header, value)| (header, SecretString::from(value)));
    let hidden = secrets.iter().filter(|(name, _)| is_hidden(name, spec.auth.as_ref()));
    HttpDriver::new(address, auth, hidden.map(|(_, secret)| secret.clone()).collect(), spec.limits.body_bytes)
}

/// Whether what is configured under this name is to be hidden. A user name is
/// not a secret, unless it is a key in the place of one, as some systems take it.
fn is_hidden(name: &str, auth: Option<&Auth>) -> bool {
    let Some(Auth::Basic { password, .. }) = auth else {
        return true;
    };
    let in_password = password.references().paths.iter().any(|path| path.get(1).is_some_and(|it| it == name));
    in_password || is_secret(name) || name.to_lowercase().contains("key")
}

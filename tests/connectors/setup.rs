//! A hub over connectors that are written in the test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quell::connector::hub::{Hub, OperationAnswer, OperationCall};
use quell::connector::instance::read_instances;
use quell::connector::shipped::SHIPPED;
use quell::connector::spec::ConnectorSpec;
use quell::domain::outcome::{Failure, Outcome};
use quell::domain::time::Timestamp;
use quell::domain::value::Value;

/// Stands in every settings file of these tests, and must show nowhere.
pub const CANARY: &str = "canary-7f3a \"9+/secret";

/// A hub with its files of secrets, removed when dropped.
pub struct Setup {
    pub hub: Hub,
    _secrets: tempfile::TempDir,
}

/// A hub over `(name, url)` of one connector; `auth` are names of secrets, all
/// with the value `secret`.
pub fn setup(spec: &str, url: &str, auth: &[&str], secret: &str) -> Setup {
    let spec = ConnectorSpec::read("test.yaml", spec).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    with_specs([spec], &[("peer", "", url, auth, secret)]).unwrap_or_else(|why| panic!("{why}"))
}

/// A hub over shipped connectors: `(name and connector, url, secrets, value)`.
pub fn shipped(instances: &[(&str, &str, &[&str], &str)]) -> Setup {
    let specs = SHIPPED.iter().map(|(name, text)| ConnectorSpec::read(name, text).expect("it reads clean"));
    let instances: Vec<_> =
        instances.iter().map(|(name, url, auth, secret)| (*name, *name, *url, *auth, *secret)).collect();
    with_specs(specs, &instances).unwrap_or_else(|why| panic!("{why}"))
}

type Configured<'a> = (&'a str, &'a str, &'a str, &'a [&'a str], &'a str);

/// A hub, or the first mistake in words.
pub fn with_specs(
    specs: impl IntoIterator<Item = ConnectorSpec>,
    instances: &[Configured<'_>],
) -> Result<Setup, String> {
    let secrets = tempfile::tempdir().expect("a directory");
    let specs: BTreeMap<String, Arc<ConnectorSpec>> =
        specs.into_iter().map(|spec| (spec.name.clone(), Arc::new(spec))).collect();
    let only = specs.keys().next().cloned().unwrap_or_default();
    let mut settings = serde_json::Map::new();
    for (name, used, url, auth, secret) in instances {
        let used = if used.is_empty() { only.as_str() } else { used };
        let mut references = serde_json::Map::new();
        for one in *auth {
            let path = secrets.path().join(format!("{name}-{one}"));
            std::fs::write(&path, format!("{secret}\n")).expect("a file");
            references.insert((*one).to_owned(), format!("${{file:{}}}", path.display()).into());
        }
        let mut instance = serde_json::json!({ "use": used, "url": url });
        if !references.is_empty() {
            instance["auth"] = Value::Object(references);
        }
        settings.insert((*name).to_owned(), instance);
    }
    // JSON is YAML, and quotes everything that needs it.
    let text = serde_json::to_string_pretty(&settings).expect("it is JSON");
    let node = quell::yaml::reader::read("quell.yaml", &text).map_err(|mistakes| format!("{mistakes:?}"))?;
    match read_instances("quell.yaml", &node, &specs) {
        Ok(instances) => Ok(Setup {
            hub: Hub::new(instances, || Timestamp::from_millis(1_795_000_000_000)),
            _secrets: secrets,
        }),
        Err(mistakes) => {
            Err(mistakes.iter().map(|mistake| mistake.message.clone()).collect::<Vec<_>>().join("; "))
        }
    }
}

/// The parts of a containment, and plain performing.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Perform,
    Capture,
    Verify,
    UndoCheck,
    Undo,
    UndoVerify,
    Reconcile,
}

impl Setup {
    pub async fn perform(
        &self,
        connector: &str,
        operation: &str,
        input: Value,
        timeout: Duration,
    ) -> OperationAnswer {
        self.part(Part::Perform, connector, operation, &input, None, timeout).await
    }

    pub async fn part(
        &self,
        part: Part,
        connector: &str,
        operation: &str,
        input: &Value,
        captured: Option<&Value>,
        timeout: Duration,
    ) -> OperationAnswer {
        let spec = self.hub.spec(connector).expect("it is configured");
        // As a run does it: the declaration comes out of the plan.
        let spec = self.hub.frozen(&spec.text).expect("it reads again");
        let call = OperationCall {
            connector,
            spec: &spec,
            operation,
            input,
            captured,
            idempotency_key: "run/step/0/act",
            timeout,
            playbook: "p",
            urgency: quell::domain::urgency::Urgency::High,
            on_turn: None,
        };
        match part {
            Part::Perform => self.hub.perform(&call).await,
            Part::Capture => self.hub.capture(&call).await,
            Part::Verify => self.hub.verify(&call).await,
            Part::UndoCheck => self.hub.undo_check(&call).await,
            Part::Undo => self.hub.undo(&call).await,
            Part::UndoVerify => self.hub.undo_verify(&call).await,
            Part::Reconcile => self.hub.reconcile(&call).await,
        }
    }
}

/// What succeeded, with the failure in words when it did not.
pub fn output(answer: OperationAnswer) -> Value {
    match answer.outcome {
        Outcome::Succeeded { output, .. } => output,
        Outcome::Failed { failure, .. } => panic!("it failed: {failure:?}"),
    }
}

/// The failure; panics when there is none.
pub fn failure(answer: OperationAnswer) -> Failure {
    match answer.outcome {
        Outcome::Failed { failure, .. } => failure,
        Outcome::Succeeded { output, .. } => panic!("it succeeded: {output}"),
    }
}

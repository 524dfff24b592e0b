//! A house around one step: the practice range, configured connectors, and a
//! journal that says what a test wants it to say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use ulid::Ulid;

use quell::connector::hub::Hub;
use quell::connector::instance::read_instances;
use quell::connector::shipped::SHIPPED as CONNECTORS;
use quell::connector::spec::ConnectorSpec;
use quell::domain::alert::{Alert, Category};
use quell::domain::approval::Approval;
use quell::domain::command::{Perform, Phase};
use quell::domain::event::RunStarted;
use quell::domain::expr::template::Template;
use quell::domain::id::{AlertId, ApprovalId, IncidentId, RunId};
use quell::domain::outcome::{Evidence, Failure, Outcome};
use quell::domain::plan::Plan;
use quell::domain::playbook::{
    ActionSpec, Body, ContainmentSpec, Effect, IfSilent, OnError, Playbook, Posture, QuestionSpec, Retry,
    Step,
};
use quell::domain::run::StepKey;
use quell::domain::time::Timestamp;
use quell::domain::value::digest;
use quell::guard::contained::Contained;
use quell::guard::people::People;
use quell::guard::verdict::Guard;
use quell::lab::range::{Lab, LabOptions};
use quell::lab::world::Mail;
use quell::projection::dossier::{Dossier, Sources};
use quell::report::templates::{TEMPLATES, Templates};
use quell::step::link::LinkKey;
use quell::step::world::{Call, Done, Records, World};
use quell::yaml::reader::read;

/// The subject of every alert here; the range knows this person.
pub const DANA: &str = "dana.whitfield@example.com";

pub struct House {
    pub lab: Lab,
    pub world: World,
    pub posture: Posture,
    journal: Arc<Journal>,
    dir: PathBuf,
}

/// What the journal shows.
#[derive(Default)]
struct Journal {
    contained: Mutex<Contained>,
    dossier: Mutex<Option<Dossier>>,
    kept: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Records for Journal {
    fn dossier(&self, _run: RunId, _number: u16) -> BoxFuture<'_, Result<Dossier, String>> {
        let dossier = self.dossier.lock().clone();
        async { dossier.ok_or_else(|| "not here".to_owned()) }.boxed()
    }

    fn keep_report(&self, name: String, bytes: Vec<u8>) -> BoxFuture<'_, Result<String, String>> {
        self.kept.lock().push((name.clone(), bytes));
        async { Ok(name) }.boxed()
    }

    fn kept_report(&self, name: String) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        let found = self.kept.lock().iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.clone());
        async { found.ok_or_else(|| "not here".to_owned()) }.boxed()
    }

    fn contained<'a>(
        &'a self,
        _run: RunId,
        _act: Option<&'a StepKey>,
        _now: Timestamp,
    ) -> BoxFuture<'a, Result<Contained, String>> {
        async { Ok(self.contained.lock().clone()) }.boxed()
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_789_372_800_000)
}

impl House {
    pub async fn open() -> House {
        let dir = std::env::temp_dir().join(format!("quell-steps-{}", Ulid::new()));
        let options = LabOptions { data: dir.clone(), seed: 42, now: now().to_chrono(), pace: 0.0 };
        let lab = Lab::start(options).await.expect("the lab starts");
        let secret = dir.join("token");
        std::fs::write(&secret, &lab.tokens.identity).expect("it is written");
        let specs: BTreeMap<String, Arc<ConnectorSpec>> = CONNECTORS
            .iter()
            .map(|(name, text)| {
                ((*name).to_owned(), Arc::new(ConnectorSpec::read(name, text).expect("it reads")))
            })
            .collect();
        let settings = format!(
            "scim: {{ use: scim, url: \"{}/scim/v2\", auth: {{ token: \"${{file:{}}}\" }} }}\nmail: {{ use: smtp, url: \"smtp://{}\" }}\n",
            lab.identity_url,
            secret.display(),
            lab.smtp_addr
        );
        let node = read("quell.yaml", &settings).expect("it reads");
        let instances =
            read_instances("quell.yaml", &node, &specs).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let journal = Arc::new(Journal::default());
        let world = World {
            hub: Hub::new(instances, now),
            people: People::new([
                ("leads".to_owned(), vec!["ana@example.com".to_owned(), "sam@example.com".to_owned()]),
                ("all".to_owned(), vec![DANA.to_owned(), "sam@example.com".to_owned()]),
            ]),
            templates: Templates::load(TEMPLATES, std::iter::empty())
                .unwrap_or_else(|errors| panic!("{errors:?}")),
            guard: Guard::default(),
            mail: Some("mail".to_owned()),
            mail_from: "Security <quell@example.com>".to_owned(),
            public_url: "http://127.0.0.1:1".to_owned(),
            links: LinkKey::new([7; 32]),
            records: journal.clone(),
            now,
        };
        House { lab, world, posture: Posture::Overt, journal, dir }
    }

    pub async fn close(self) {
        self.lab.stop().await;
        let _ = std::fs::remove_dir_all(self.dir);
    }

    pub fn shows(&self, contained: Contained) {
        *self.journal.contained.lock() = contained;
    }

    /// Files of reports that were kept.
    pub fn kept(&self) -> Vec<(String, Vec<u8>)> {
        self.journal.kept.lock().clone()
    }

    /// A step that writes a summary; the journal knows nothing but the plan.
    pub fn report(&self, id: &str, input: Value) -> OneStep {
        let mut step = self.step("report", "report", Effect::Once, None, None, input);
        step.perform.key = StepKey::root(id);
        let sources = Sources {
            run: &[],
            incident: &[],
            alert_entries: &[],
            joined: &[],
            incident_id: None,
            plan: &step.plan,
            alert: Some(&step.alert),
            number: 0,
        };
        *self.journal.dossier.lock() = Some(Dossier::build(sources));
        step
    }

    /// This login at the domain of the range.
    pub fn address_like(&self, address: &str) -> String {
        let domain = DANA.split('@').nth(1).unwrap_or_default();
        format!("{}@{domain}", address.split('@').next().unwrap_or_default())
    }

    /// At least so many mails, once they have arrived.
    pub async fn mails(&self, count: usize) -> Vec<Mail> {
        for _ in 0..200 {
            let mails = self.lab.mails();
            if mails.len() >= count {
                return mails;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{count} mails did not arrive: {:?}", self.lab.mails());
    }

    pub fn contain(&self, operation: &str, input: Value) -> OneStep {
        let containment = ContainmentSpec {
            tier: 3,
            visible: true,
            verify_within: Some(Duration::from_secs(60)),
            undo: true,
            hold: None,
        };
        self.step("contain", operation, Effect::Idempotent, Some(containment), None, input)
    }

    pub fn ask(&self, input: Value) -> OneStep {
        let choices = vec![("yes".to_owned(), "Yes".to_owned()), ("no".to_owned(), "No".to_owned())];
        let question = QuestionSpec {
            choices,
            fields: Vec::new(),
            within: Duration::from_secs(3600),
            if_silent: "no".to_owned(),
            reminders: Vec::new(),
        };
        self.step("ask", "ask", Effect::Once, None, Some(question), input)
    }

    pub fn notify(&self, input: Value) -> OneStep {
        self.step("notify", "notify", Effect::Once, None, None, input)
    }

    pub fn approval(&self, by: &[&str], escalated: bool) -> Approval {
        Approval {
            key: StepKey::root("it"),
            by: by.iter().map(|entry| (*entry).to_owned()).collect(),
            each: 1,
            binds: digest(b"x"),
            until: now().after(Duration::from_secs(1800)),
            if_silent: IfSilent::Escalate,
            escalated,
            covers: Vec::new(),
            given: Vec::new(),
            closed: false,
        }
    }

    fn step(
        &self,
        kind: &str,
        operation: &str,
        effect: Effect,
        containment: Option<ContainmentSpec>,
        question: Option<QuestionSpec>,
        input: Value,
    ) -> OneStep {
        let body = Body::Perform(ActionSpec {
            operation: operation.to_owned(),
            input: Template::parse(&json!({})).expect("it is empty"),
            effect,
            containment,
            reconcile: None,
            question,
        });
        let step = Step {
            id: "it".into(),
            kind: kind.into(),
            parent: None,
            needs: Vec::new(),
            when: None,
            for_each: None,
            repeat: None,
            retry: Retry { times: 0, first: Duration::ZERO, most: Duration::ZERO },
            timeout: Duration::from_secs(20),
            within: None,
            on_error: OnError::Fail,
            approval: None,
            label: None,
            note: None,
            body,
        };
        let connectors =
            CONNECTORS.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text))).collect();
        let playbook = Playbook {
            name: "p".to_owned(),
            version: 1,
            title: "P".to_owned(),
            owner: None,
            description: None,
            posture: self.posture,
            tags: Vec::new(),
            triggers: Vec::new(),
            inputs: Vec::new(),
            steps: vec![step],
            roots: vec![0],
            on_failure: Vec::new(),
            finally: Vec::new(),
            within: None,
            by_id: Default::default(),
        };
        let run = RunId::new(Ulid::from_parts(1, 1));
        OneStep {
            plan: Plan {
                playbook,
                source: digest(b""),
                texts: BTreeMap::new(),
                connectors,
                playbooks: BTreeMap::new(),
            },
            started: RunStarted {
                run,
                plan: digest(b""),
                playbook: "p".to_owned(),
                version: 1,
                incident: IncidentId::new(Ulid::from_parts(1, 2)),
                alert: None,
                inputs: Value::Null,
                by: "trigger".to_owned(),
                requesters: Vec::new(),
                parent: None,
                again: None,
            },
            alert: alert(),
            perform: Perform {
                about: serde_json::Value::Null,
                key: StepKey::root("it"),
                phase: Phase::Act,
                attempt: 1,
                idempotency_key: format!("{run}/it/forth"),
                input,
                captured: None,
                acted: None,
                timeout: Duration::from_secs(20),
                tells_begin: false,
            },
        }
    }
}

/// One step with all that a call of it needs.
pub struct OneStep {
    plan: Plan,
    started: RunStarted,
    alert: Alert,
    perform: Perform,
}

impl OneStep {
    pub fn call(&self, phase: Phase, captured: Option<&Value>) -> Call<'_> {
        // Tests are short: what a call borrows may stay.
        let perform: &'static Perform =
            Box::leak(Box::new(Perform { phase, captured: captured.cloned(), ..self.perform.clone() }));
        Call {
            started: &self.started,
            plan: &self.plan,
            alert: Some(&self.alert),
            step: &self.plan.playbook.steps[0],
            perform,
            approval: None,
            on_turn: None,
        }
    }

    pub fn announcing<'a>(&'a self, approval: &'a Approval) -> Call<'a> {
        let id = ApprovalId::derived(self.started.run.ulid(), "it");
        Call { approval: Some((id, approval)), ..self.call(Phase::Announce, None) }
    }
}

fn alert() -> Alert {
    let mut alert: Alert = serde_json::from_value(json!({
        "id": AlertId::new(Ulid::nil()), "source": "s", "source_id": null, "rule": {}, "category": Category::Dlp, "severity": 50,
        "vendor_severity": null, "title": "Copied <b>files</b>", "description": null, "event_time": null, "received_at": now(),
        "user": {}, "users": [], "host": {}, "hosts": [], "src_ip": null, "objects": [], "dest": {}, "indicators": [],
        "techniques": [], "url": null, "fingerprint": "f", "raw": null,
    }))
    .expect("an alert");
    alert.user.email = Some(DANA.to_owned());
    alert
}

pub fn succeeded(done: Done) -> Value {
    match done.outcome {
        Outcome::Succeeded { output, .. } => output,
        Outcome::Failed { failure, .. } => panic!("{}: {}", failure.code, failure.message),
    }
}

pub fn failed(done: Done) -> Failure {
    match done.outcome {
        Outcome::Succeeded { output, .. } => panic!("it was done: {output}"),
        Outcome::Failed { failure, .. } => failure,
    }
}

pub fn evidence(done: &Done) -> Option<&Evidence> {
    match &done.outcome {
        Outcome::Succeeded { evidence, .. } | Outcome::Failed { evidence, .. } => evidence.as_ref(),
    }
}

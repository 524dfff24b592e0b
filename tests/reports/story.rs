//! A journal made by hand: a departing employee, from the alert to the summaries.

use std::collections::BTreeMap;
use std::time::Duration;

use quell::domain::alert::{
    Alert, AlertRef, Category, Dest, Fate, Host, Indicator, ListCounts, Object, Rule, User,
};
use quell::domain::approval::Verdict;
use quell::domain::command::Phase;
use quell::domain::event::{Entry, Event, RunEnd, RunStarted};
use quell::domain::expr::template::Template;
use quell::domain::id::{AlertId, ApprovalId, ContainmentId, IncidentId, QuestionId, RunId, StreamId};
use quell::domain::incident::{Disposition, IncidentChange, Status};
use quell::domain::outcome::{Evidence, Failure, FailureClass, Outcome};
use quell::domain::plan::Plan;
use quell::domain::playbook::{
    ActionSpec, Body, Compute, ContainmentSpec, Effect, IfSilent, InputKind, InputSpec, OnError, Playbook,
    Posture, QuestionSpec, Retry, Step,
};
use quell::domain::run::{StepEnd, StepKey};
use quell::domain::time::Timestamp;
use quell::domain::value::{Value, digest};
use quell::projection::dossier::{Dossier, Sources};
use serde_json::json;
use ulid::Ulid;

/// 2026-11-23T09:00:00Z.
const START: i64 = 1_795_424_400_000;

fn ulid(n: u128) -> Ulid {
    Ulid::from_parts(START as u64, n)
}

pub fn minute(n: i64) -> Timestamp {
    Timestamp::from_millis(START + n * 60_000)
}

/// A journal in the making.
pub struct Story {
    pub entries: Vec<Entry>,
    pub plan: Plan,
    pub alert: Option<Alert>,
    /// Another run of the same incident and alert.
    pub other: bool,
    now: i64,
}

impl Story {
    pub fn new() -> Self {
        Story { entries: Vec::new(), plan: plan(), alert: Some(alert()), other: false, now: 0 }
    }

    pub fn run(&self) -> RunId {
        RunId::new(ulid(if self.other { 4 } else { 3 }))
    }

    pub fn incident(&self) -> IncidentId {
        IncidentId::new(ulid(2))
    }

    pub fn containment(&self, step: &str) -> ContainmentId {
        ContainmentId::derived(ulid(3), step)
    }

    pub fn at(&mut self, minute: i64) -> &mut Self {
        self.now = minute;
        self
    }

    pub fn put(&mut self, stream: StreamId, event: Event) -> &mut Self {
        let seq = self.entries.iter().filter(|entry| entry.stream == stream).count() as u64 + 1;
        self.entries.push(Entry { stream, seq, at: minute(self.now), event });
        self
    }

    pub fn say(&mut self, event: Event) -> &mut Self {
        let run = self.run();
        self.put(StreamId::Run(run), event)
    }

    pub fn change(&mut self, change: IncidentChange) -> &mut Self {
        let incident = self.incident();
        self.put(StreamId::Incident(incident), Event::IncidentChanged { change })
    }

    fn of(&self, wanted: impl Fn(StreamId) -> bool) -> Vec<Entry> {
        self.entries.iter().filter(|entry| wanted(entry.stream)).cloned().collect()
    }

    pub fn dossier(&self) -> Dossier {
        self.dossier_of(0)
    }

    /// Of several runs the one of this number.
    pub fn dossier_of(&self, number: u16) -> Dossier {
        let run = self.of(|stream| matches!(stream, StreamId::Run(_)));
        let incident = self.of(|stream| matches!(stream, StreamId::Incident(_)));
        let alert_entries = self.of(|stream| matches!(stream, StreamId::Alert(_)));
        Dossier::build(Sources {
            run: &run,
            incident: &incident,
            alert_entries: &alert_entries,
            joined: &[],
            incident_id: None,
            plan: &self.plan,
            alert: self.alert.as_ref(),
            number,
        })
    }

    /// The alert comes in and the run begins.
    pub fn begin(&mut self) -> &mut Self {
        let (run, incident, alert) = (self.run(), self.incident(), AlertId::new(ulid(1)));
        let known = self.alert.clone();
        if let Some(known) = &known {
            let received = Event::AlertReceived {
                counts: None,
                shape_unknown: false,
                source: known.source.clone(),
                source_id: known.source_id.clone(),
                title: known.title.clone(),
                severity: known.severity,
                digest: digest(b"alert"),
                rule: None,
                subject: None,
                by: known.handed_in_by.clone(),
            };
            let fate = Fate::RunStarted { runs: vec![run], incident };
            self.at(0).put(StreamId::Alert(alert), received);
            self.put(StreamId::Alert(alert), Event::AlertTriaged { fate, seen: None, related: Vec::new() });
        }
        let opened = Event::IncidentOpened {
            title: known.as_ref().map_or("Started by hand".to_owned(), |alert| alert.title.clone()),
            severity: known.as_ref().map_or(50, |alert| alert.severity),
            alert: known.as_ref().map(|_| alert),
            subject: known.as_ref().and_then(|alert| alert.user.email.clone()),
        };
        self.put(StreamId::Incident(incident), opened);
        let started = RunStarted {
            run,
            plan: digest(b"plan"),
            playbook: "departing-employee-exfiltration".to_owned(),
            version: 3,
            incident,
            alert: known.map(|_| AlertRef { id: alert, digest: digest(b"alert") }),
            inputs: Value::Null,
            by: "trigger".to_owned(),
            requesters: Vec::new(),
            parent: None,
            again: None,
        };
        self.say(Event::RunStarted(Box::new(started)))
    }

    pub fn start(&mut self, step: &str) -> &mut Self {
        self.say(Event::StepStarted { key: StepKey::root(step), input: Value::Null })
    }

    pub fn end(&mut self, step: &str, end: StepEnd, why: Option<&str>) -> &mut Self {
        let why = why.map(str::to_owned);
        self.say(Event::StepEnded { key: StepKey::root(step), end, output: None, why })
    }

    pub fn attempt(
        &mut self,
        step: &str,
        phase: Phase,
        source: &str,
        request: &str,
        response: &str,
    ) -> &mut Self {
        let key = StepKey::root(step);
        let body = format!("{step} {phase} {response}");
        let evidence = Evidence {
            source: source.to_owned(),
            request: request.to_owned(),
            response: response.to_owned(),
            sha256: digest(body.as_bytes()),
            bytes: body.len() as u64 * 17,
            at: minute(self.now),
        };
        let output = match phase {
            Phase::Capture => json!({ "state": { "status": "ACTIVE" } }),
            Phase::Verify => {
                json!({ "holds": true, "read": { "status": "SUSPENDED", "session_token": "s3cr3t" } })
            }
            _ => json!({}),
        };
        let outcome = Outcome::Succeeded { output, evidence: Some(evidence) };
        self.say(Event::intent(key.clone(), phase, 1));
        self.say(Event::AttemptEnded { key, phase, attempt: 1, outcome })
    }

    pub fn fail(&mut self, step: &str, class: FailureClass, message: &str) -> &mut Self {
        let key = StepKey::root(step);
        let outcome = Outcome::from(Failure::new(class, "status", message));
        self.say(Event::intent(key.clone(), Phase::Act, 1));
        self.say(Event::AttemptEnded { key, phase: Phase::Act, attempt: 1, outcome })
    }

    pub fn enrich(&mut self) -> &mut Self {
        self.at(1).start("person");
        self.attempt(
            "person",
            Phase::Act,
            "workday.person",
            "GET https://people.example.com/v1/people",
            "200",
        );
        self.end("person", StepEnd::Succeeded, None).start("asset");
        self.attempt(
            "asset",
            Phase::Act,
            "inventory.asset",
            "GET https://assets.example.com/assets/fin-share",
            "200",
        );
        self.end("asset", StepEnd::Succeeded, None)
    }

    pub fn ask(&mut self) -> &mut Self {
        let key = StepKey::root("owner_check");
        let sent = json!({ "asked": ["priya.nair@example.com"], "text": "Was the activity below expected under a ticket, a change or on-call duty?\n\nWho: Dana Whitfield\nWhat: Q3-forecast.xlsx" });
        self.at(2).start("owner_check");
        self.say(Event::intent(key.clone(), Phase::Act, 1));
        let outcome = Outcome::Succeeded { output: sent, evidence: None };
        self.say(Event::AttemptEnded { key: key.clone(), phase: Phase::Act, attempt: 1, outcome });
        self.say(Event::QuestionAsked {
            key,
            question: QuestionId::derived(ulid(3), "owner_check"),
            asked: vec!["priya.nair@example.com".to_owned()],
            until: minute(242),
            delivered: true,
        })
    }

    pub fn answer(&mut self) -> &mut Self {
        self.at(31).say(Event::QuestionAnswered {
            question: QuestionId::derived(ulid(3), "owner_check"),
            by: "priya.nair@example.com".to_owned(),
            choice: "not_expected".to_owned(),
            fields: json!({ "ticket": "none" }),
        });
        self.end("owner_check", StepEnd::Succeeded, None).start("risk").end("risk", StepEnd::Succeeded, None)
    }

    pub fn silent(&mut self) -> &mut Self {
        let question = QuestionId::derived(ulid(3), "owner_check");
        self.at(242).say(Event::QuestionSilent { question, choice: "unsure".to_owned() });
        self.end("owner_check", StepEnd::Succeeded, Some("nobody answered in time"))
    }

    pub fn request_approval(&mut self) -> &mut Self {
        self.at(32).start("suspend");
        self.attempt(
            "suspend",
            Phase::Capture,
            "okta.get_user",
            "GET https://example.okta.com/api/v1/users/00u1",
            "200",
        );
        self.say(Event::ApprovalRequested {
            key: StepKey::root("suspend"),
            approval: ApprovalId::derived(ulid(3), "suspend"),
            by: vec!["group:ir-leads".to_owned(), "group:hr".to_owned()],
            each: 1,
            binds: digest(b"binds"),
            until: minute(62),
            if_silent: IfSilent::Escalate,
            covers: Vec::new(),
        })
    }

    pub fn approve(&mut self) -> &mut Self {
        let approval = ApprovalId::derived(ulid(3), "suspend");
        for (at, by, group) in
            [(36, "ana.ortiz@example.com", "group:ir-leads"), (41, "lee.chang@example.com", "group:hr")]
        {
            self.at(at).say(Event::ApprovalGiven {
                approval,
                by: by.to_owned(),
                counts_for: vec![group.to_owned()],
                approve: true,
                note: (at == 36).then(|| "Last day is Friday".to_owned()),
            });
        }
        self.say(Event::ApprovalClosed { approval, verdict: Verdict::Approved })
    }

    pub fn accept(&mut self, step: &str, operation: &str, request: &str, until: Option<i64>) -> &mut Self {
        self.attempt(step, Phase::Act, operation, request, "200");
        let containment = self.containment(step);
        self.say(Event::ContainmentAccepted {
            key: StepKey::root(step),
            containment,
            operation: operation.to_owned(),
            target: "Dana Whitfield <dana.whitfield@example.com>".to_owned(),
            changed: true,
            until: until.map(minute),
        })
    }

    pub fn verify(&mut self, step: &str, operation: &str, request: &str) -> &mut Self {
        self.attempt(step, Phase::Verify, operation, request, "200, status SUSPENDED");
        let containment = self.containment(step);
        self.say(Event::ContainmentVerified { containment });
        self.end(step, StepEnd::Succeeded, None)
    }

    pub fn contain(&mut self) -> &mut Self {
        let user = "https://example.okta.com/api/v1/users/00u1";
        self.at(41).accept(
            "suspend",
            "okta.suspend_user",
            &format!("POST {user}/lifecycle/suspend"),
            Some(41 + 72 * 60),
        );
        self.at(42).verify("suspend", "okta.get_user", &format!("GET {user}"));
        self.start("revoke").accept(
            "revoke",
            "okta.clear_sessions",
            &format!("DELETE {user}/sessions"),
            None,
        );
        self.verify("revoke", "okta.list_sessions", &format!("GET {user}/sessions"))
    }

    pub fn finish(&mut self, end: RunEnd, why: &str, disposition: Option<Disposition>) -> &mut Self {
        self.say(Event::RunEnding { end, why: why.to_owned(), disposition });
        self.say(Event::RunEnded { end })
    }
}

/// The whole story.
pub fn whole() -> Story {
    let mut story = Story::new();
    story.begin().enrich().ask().answer().request_approval().approve().contain();
    story.at(43).change(IncidentChange {
        severity: Some(91),
        status: Some(Status::Contained),
        assignee: Some("ana.ortiz@example.com".to_owned()),
        note: Some("Dana Whitfield is told by HR on Tuesday".to_owned()),
        tags: vec!["impact:Forecast work in Finance is covered by the deputy".to_owned()],
        ..IncidentChange::default()
    });
    story.start("summary").end("summary", StepEnd::Succeeded, None);
    story.at(44).finish(RunEnd::Succeeded, "every step ended", Some(Disposition::Contained));
    story
}

fn alert() -> Alert {
    let user = User {
        email: Some("dana.whitfield@example.com".to_owned()),
        id: Some("00u1dana".to_owned()),
        name: Some("Dana Whitfield".to_owned()),
        employee_id: Some("E-20417".to_owned()),
        service: false,
    };
    let host = Host { id: None, name: Some("LT-0417".to_owned()), ip: Some("203.0.113.40".to_owned()) };
    Alert {
        id: AlertId::new(ulid(1)),
        source: "netskope".to_owned(),
        source_id: Some("7f3a".to_owned()),
        rule: Rule {
            id: Some("DLP-112".to_owned()),
            name: Some("Bulk upload to personal storage".to_owned()),
            version: None,
        },
        category: Category::Dlp,
        severity: 82,
        status: quell::domain::alert::FindingStatus::Open,
        vendor_severity: Some("High".to_owned()),
        title: "Dana Whitfield uploaded 214 files to a personal Dropbox".to_owned(),
        description: Some("214 files labelled Confidential left by browser".to_owned()),
        event_time: Some(minute(-14)),
        received_at: minute(0),
        users: vec![user.clone()],
        user,
        actor: User::default(),
        hosts: vec![host.clone()],
        host,
        src_ip: Some("203.0.113.40".to_owned()),
        objects: vec![Object {
            name: Some("Q3-forecast.xlsx".to_owned()),
            path: Some("\\\\fin-share\\plans".to_owned()),
            origin: Some("SharePoint".to_owned()),
            sha256: Some(digest(b"file").to_string()),
            label: Some("Confidential".to_owned()),
            bytes: Some(1_843_200_000),
            count: Some(214),
        }],
        dest: Dest {
            domain: Some("dropbox.com".to_owned()),
            account: Some("dana.personal@mail.example".to_owned()),
            device: None,
        },
        indicators: vec![Indicator { kind: "domain".to_owned(), value: "dropbox.com".to_owned() }],
        counts: ListCounts::default(),
        shape_unknown: false,
        techniques: vec!["T1567.002".to_owned()],
        handed_in_by: None,
        url: Some("https://tenant.netskope.example/incidents/7f3a".to_owned()),
        fingerprint: "fp".to_owned(),
        raw: Value::Null,
    }
}

fn template(value: Value) -> Template {
    serde_json::from_value(value).unwrap()
}

fn perform(operation: &str, containment: Option<ContainmentSpec>, question: Option<QuestionSpec>) -> Body {
    let effect = Effect::Idempotent;
    Body::Perform(ActionSpec {
        operation: operation.to_owned(),
        input: template(json!({})),
        effect,
        containment,
        reconcile: None,
        question,
    })
}

fn contains(operation: &str, tier: u8, undo: bool) -> Body {
    let verify_within = Some(Duration::from_secs(60));
    perform(operation, Some(ContainmentSpec { tier, visible: true, verify_within, undo, hold: None }), None)
}

fn step(id: &str, kind: &str, label: Option<&str>, body: Body) -> Step {
    Step {
        id: id.into(),
        kind: kind.into(),
        parent: None,
        needs: Vec::new(),
        when: None,
        for_each: None,
        repeat: None,
        retry: Retry { times: 0, first: Duration::from_secs(1), most: Duration::from_secs(1) },
        timeout: Duration::from_secs(20),
        within: None,
        on_error: OnError::Fail,
        approval: None,
        label: label.map(str::to_owned),
        note: None,
        body,
    }
}

fn plan() -> Plan {
    let choice = |value: &str, label: &str| (value.to_owned(), label.to_owned());
    let ticket = InputSpec {
        name: "ticket".to_owned(),
        kind: InputKind::String,
        required: false,
        label: Some("Ticket or change number".to_owned()),
        default: None,
    };
    let question = QuestionSpec {
        choices: vec![
            choice("expected", "Expected"),
            choice("not_expected", "Not expected"),
            choice("unsure", "I am not sure"),
        ],
        fields: vec![ticket],
        within: Duration::from_secs(4 * 3600),
        reminders: Vec::new(),
        if_silent: "unsure".to_owned(),
    };
    let steps = vec![
        step("person", "enrich", None, perform("workday.person", None, None)),
        step("asset", "enrich", None, perform("inventory.asset", None, None)),
        step("owner_check", "ask", None, perform("ask", None, Some(question))),
        step("risk", "set", None, Body::Compute(Compute::Set(template(json!({}))))),
        step(
            "suspend",
            "contain",
            Some("Suspend the account in Okta"),
            contains("okta.suspend_user", 3, true),
        ),
        step("revoke", "contain", Some("End all sessions"), contains("okta.clear_sessions", 2, false)),
        step("summary", "report", None, perform("report", None, None)),
    ];
    let roots = (0..steps.len()).collect();
    // As a plan keeps them: the text that was written.
    let connector = |title: &str| {
        Value::from(format!(
            "connector: it\ntitle: {title}\noperations:\n  suspend_user:\n    effect: I\n    request:\n      method: POST\n      path: /users/{{id}}/lifecycle/suspend\n"
        ))
    };
    Plan {
        playbook: Playbook {
            name: "departing-employee-exfiltration".to_owned(),
            version: 3,
            title: "A departing employee moves data to a personal destination".to_owned(),
            owner: Some("insider-risk@example.com".to_owned()),
            description: None,
            posture: Posture::Covert,
            tags: vec!["attack:T1567.002".to_owned(), "itm:IF001.001".to_owned()],
            triggers: Vec::new(),
            inputs: Vec::new(),
            steps,
            roots,
            on_failure: Vec::new(),
            finally: Vec::new(),
            within: None,
            by_id: Default::default(),
        },
        source: digest(b"playbook"),
        playbooks: BTreeMap::new(),
        texts: BTreeMap::new(),
        connectors: BTreeMap::from([
            ("okta".to_owned(), connector("Okta")),
            ("workday".to_owned(), connector("Workday")),
            ("inventory".to_owned(), connector("ServiceNow CMDB")),
        ]),
    }
}

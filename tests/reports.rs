//! Reports from a journal: what they say, what they never say, and that they
//! say something honest when much is missing.

use std::sync::LazyLock;

use quell::domain::command::Phase;
use quell::domain::event::{Event, RunEnd, SetAside};
use quell::domain::id::StreamId;
use quell::domain::incident::IncidentChange;
use quell::domain::outcome::{Evidence, FailureClass, Outcome};
use quell::domain::run::{StepEnd, StepKey};
use quell::domain::value::digest;
use quell::projection::dossier::Dossier;
use quell::projection::runs::{RunFilter, RunStatus};
use quell::projection::views::Views;
use quell::report::render::{Format, render, write};
use quell::report::templates::{TEMPLATES, Templates};
use serde_json::{Value, json};

#[path = "reports/story.rs"]
mod story;

use story::{Story, minute, whole};

const ALL: [(&str, Format); 4] = [
    ("executive", Format::Html),
    ("executive", Format::Markdown),
    ("technical", Format::Html),
    ("technical", Format::Markdown),
];

static LOADED: LazyLock<Templates> = LazyLock::new(|| {
    Templates::load(TEMPLATES, std::iter::empty()).unwrap_or_else(|wrong| panic!("{wrong:?}"))
});

fn templates() -> &'static Templates {
    &LOADED
}

fn report(story: &Story, template: &str, format: Format) -> String {
    let dossier = story.dossier();
    render(templates(), template, &dossier, "group:managers", format, minute(45))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Writes all four to the folder that REPORTS_OUT names, for looking at.
fn keep(name: &str, story: &Story) {
    if let Ok(folder) = std::env::var("REPORTS_OUT") {
        for (template, format) in ALL {
            let path = format!("{folder}/{name}-{template}.{}", format.extension());
            std::fs::write(path, report(story, template, format)).unwrap();
        }
    }
}

#[test]
fn the_whole_story_reads_as_it_was_read_and_agreed() {
    let story = whole();
    keep("whole", &story);
    insta::with_settings!({ snapshot_path => "reports", prepend_module_to_snapshot => false }, {
        for (template, format) in ALL {
            let name = format!("{template}.{}", format.extension());
            insta::assert_snapshot!(name, report(&story, template, format));
        }
    });
}

#[test]
fn an_executive_report_names_no_person_no_tool_and_no_technique() {
    const NAMES: [&str; 26] = [
        "dana",
        "whitfield",
        "priya",
        "nair",
        "ana ",
        "ana.",
        "ortiz",
        "lee.",
        "lee chang",
        "e-20417",
        "00u1",
        "example.com",
        "okta",
        "netskope",
        "workday",
        "servicenow",
        "dropbox",
        "sharepoint",
        "lt-0417",
        "203.0.113",
        "q3-forecast",
        "t1567",
        "if001",
        "suspend_user",
        "@",
        "http",
    ];
    let mut story = whole();
    // Authors and people write names where none belong.
    story.plan.playbook.title =
        "Dana leaves (see https://wiki.example.com/T1567.002) with Okta and Netskope".to_owned();
    story.plan.playbook.steps[4].label =
        Some("Suspend dana.whitfield@example.com in Okta for Priya Nair".to_owned());
    story.change(IncidentChange {
        tags: vec![
            "cost:Dana's laptop LT-0417, says Ana Ortiz".to_owned(),
            "people:mail Lee.Chang@example.com".to_owned(),
        ],
        ..IncidentChange::default()
    });
    keep("named", &story);
    for format in [Format::Html, Format::Markdown] {
        let text = report(&story, "executive", format).to_lowercase();
        let found: Vec<&str> = NAMES.into_iter().filter(|name| text.contains(name)).collect();
        // The style sheet has its own at-signs.
        let body = text.split("</style>").last().unwrap_or_default();
        let found: Vec<&str> = found.into_iter().filter(|name| body.contains(name)).collect();
        assert_eq!(found, [""; 0], "{format:?}");
    }
}

/// Every `#n`, `incident #n` and `alert #n` in a text.
fn cites(text: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for part in text.split(['[', ',', '|']) {
        let Some((stream, rest)) = part.trim().split_once('#') else {
            continue;
        };
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = &rest[..digits];
        if let (true, Ok(number)) = (["", "incident ", "alert "].contains(&stream), number.parse()) {
            found.push((stream.trim().to_owned(), number));
        }
    }
    found
}

#[test]
fn every_number_in_brackets_is_an_entry_of_the_journal() {
    let story = whole();
    let dossier = story.dossier();
    for (template, format) in ALL {
        let text = report(&story, template, format);
        let cites = cites(&text);
        assert!(cites.len() > 15, "{template} cites only {cites:?}");
        for (stream, seq) in cites {
            let known = story.entries.iter().any(|entry| {
                entry.seq == seq
                    && match entry.stream {
                        StreamId::Run(_) => stream.is_empty(),
                        StreamId::Incident(_) => stream == "incident",
                        StreamId::Alert(_) => stream == "alert",
                        StreamId::Schedule(_) => stream == "schedule",
                        StreamId::Exception(_) => stream == "exception",
                        StreamId::Poll(_) => stream == "poll",
                        StreamId::Restore(_) => stream == "restore",
                    }
            });
            assert!(known, "{template} cites {stream} #{seq}");
        }
    }
    // A sentence of the executive report that has no entry says so in its words.
    let page = quell::report::executive::executive(&dossier, "executive", "managers", minute(45));
    let page = serde_json::to_value(page).unwrap();
    let mut bare = Vec::new();
    walk(&page, &mut bare);
    for text in bare {
        let honest = [
            "not yet",
            "Nothing is concluded",
            "None",
            "Nothing beyond",
            "Not yet",
            "more are in",
            "A person reviews",
        ];
        assert!(honest.iter().any(|words| text.contains(words)), "a fact without its entry: {text}");
    }
}

/// Texts of sentences without an entry.
fn walk(value: &Value, bare: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, bare)),
        Value::Object(map) => {
            if let (Some(Value::String(text)), Some(Value::String(cites))) =
                (map.get("text"), map.get("cites"))
                && cites.is_empty()
            {
                bare.push(text.clone());
            }
            map.values().for_each(|item| walk(item, bare));
        }
        _ => {}
    }
}

const PAYLOADS: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "[click](https://evil.example/x)",
    "![](https://evil.example/x.png)",
    "\n\n# Heading\n\n- item\n",
    "| a | b |\n|---|---|\\|",
    "`</code><b>` ``x``",
    "{{#each this}}{{{raw}}}{{/each}}",
    "1. www.evil.example <https://evil.example> **bold** _it_ ~~no~~ &lt;b&gt;",
];

fn poisoned(payload: &str) -> Story {
    let mut story = whole();
    let text = || Some(payload.to_owned());
    if let Some(alert) = &mut story.alert {
        alert.source = payload.to_owned();
        alert.title = payload.to_owned();
        alert.description = text();
        alert.source_id = text();
        alert.vendor_severity = text();
        alert.src_ip = text();
        alert.url = text();
        (alert.rule.id, alert.rule.name, alert.rule.version) = (text(), text(), text());
        for user in alert.users.iter_mut().chain([&mut alert.user, &mut alert.actor]) {
            (user.email, user.id, user.name, user.employee_id) = (text(), text(), text(), text());
        }
        for host in alert.hosts.iter_mut().chain([&mut alert.host]) {
            (host.id, host.name, host.ip) = (text(), text(), text());
        }
        for object in &mut alert.objects {
            (object.name, object.path, object.origin) = (text(), text(), text());
            (object.sha256, object.label) = (text(), text());
        }
        (alert.dest.domain, alert.dest.account, alert.dest.device) = (text(), text(), text());
        alert
            .indicators
            .iter_mut()
            .for_each(|it| (it.kind, it.value) = (payload.to_owned(), payload.to_owned()));
        alert.techniques = vec![payload.to_owned()];
    }
    for entry in &mut story.entries {
        match &mut entry.event {
            Event::IncidentOpened { title, .. } | Event::AlertReceived { title, .. } => {
                *title = payload.to_owned()
            }
            Event::ContainmentAccepted { target, .. } => *target = payload.to_owned(),
            Event::QuestionAnswered { by, choice, fields, .. } => {
                *by = payload.to_owned();
                *choice = payload.to_owned();
                *fields = json!({ "ticket": payload, payload: payload });
            }
            Event::ApprovalGiven { note, .. } => *note = text(),
            _ => {}
        }
    }
    story
}

#[test]
fn what_an_alert_says_never_becomes_markup_in_html() {
    let plain = |text: &str| text.matches('<').count();
    for payload in PAYLOADS {
        let story = poisoned(payload);
        for template in ["executive", "technical"] {
            let text = report(&story, template, Format::Html);
            let lower = text.to_lowercase();
            for wrong in ["<script", "<img", "<b>", "onerror=alert(1)>", "javascript:", "href=", "src="] {
                // Escaped text may hold the words, never a tag around them.
                let tags = lower.split('<').skip(1).map(|tag| tag.split('>').next().unwrap_or_default());
                let wrong = wrong.trim_start_matches('<').trim_end_matches('>');
                assert!(
                    !tags.clone().any(|tag| tag == wrong || tag.contains(wrong) && wrong.contains('=')),
                    "{payload}: {wrong}"
                );
            }
            assert_eq!(
                plain(&text),
                plain(&report(&poisoned("harmless"), template, Format::Html)),
                "{payload}"
            );
        }
    }
}

#[test]
fn what_an_alert_says_never_becomes_markup_in_markdown() {
    for payload in PAYLOADS {
        for template in ["executive", "technical"] {
            let text = report(&poisoned(payload), template, Format::Markdown);
            let calm = report(&poisoned("harmless"), template, Format::Markdown);
            let lines = |text: &str| text.lines().map(shape).collect::<Vec<_>>();
            assert_eq!(lines(&text), lines(&calm), "{template}: {payload}\n{text}");
            for (number, line) in text.lines().enumerate() {
                let bare = bare(line);
                for wrong in ["](", "<", "**bold", "http:", "https:", "~~", "www.e"] {
                    assert!(!bare.contains(wrong), "{template} line {number}, {payload}: {line}");
                }
            }
        }
    }
}

/// What a line is: a heading, an item, a row with so many cells, a paragraph.
fn shape(line: &str) -> (String, usize) {
    let start: String = line.chars().take_while(|c| "#->|".contains(*c)).collect();
    let cells = if line.starts_with('|') {
        line.replace("\\\\", "").replace("\\|", "").matches('|').count()
    } else {
        0
    };
    (start, cells)
}

/// A line of Markdown without its code spans and escaped characters.
fn bare(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if c == '`' {
            let fence = rest.len() - rest.trim_start_matches('`').len();
            let mut body = &rest[fence..];
            let mut closed = None;
            while let Some(at) = body.find('`') {
                let run = body[at..].len() - body[at..].trim_start_matches('`').len();
                if run == fence {
                    closed = Some(&body[at + run..]);
                    break;
                }
                body = &body[at + run..];
            }
            rest = closed.unwrap_or_else(|| panic!("a code span stays open: {line}"));
        } else if c == '\\' {
            out.push('¤');
            rest = rest.get(2..).unwrap_or_default();
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn without_alert() -> Story {
    let mut story = Story::new();
    story.alert = None;
    story.begin();
    story
}

fn with_silence() -> Story {
    let mut story = Story::new();
    story.begin().enrich().ask().silent().request_approval();
    story
}

fn failed() -> Story {
    let mut story = Story::new();
    story.begin().at(1).start("person").fail(
        "person",
        FailureClass::Permanent,
        "people.example.com answered 403: the token may not read people; give it the scope people.read",
    );
    story.end("person", StepEnd::Failed, Some("people.example.com answered 403"));
    story.finish(RunEnd::Failed, "step `person` failed", None);
    story
}

fn uncertain() -> Story {
    let mut story = Story::new();
    story.begin().enrich().ask().answer().request_approval().approve().at(42);
    story.fail("suspend", FailureClass::Unknown, "the connection was cut after the request was sent");
    story.say(Event::StepUncertain {
        key: StepKey::root("suspend"),
        what: "the request was sent and no answer came".to_owned(),
    });
    story
}

fn stuck() -> Story {
    let mut story = whole();
    let containment = story.containment("suspend");
    story.at(4362).say(Event::UndoRequested {
        containment,
        by: "time box".to_owned(),
        why: None,
        anyway: false,
    });
    story.say(Event::UndoRefused {
        containment,
        why: "somebody deactivated the account since".to_owned(),
        others: Vec::new(),
    });
    story
}

fn drifted() -> Story {
    let mut story = whole();
    let containment = story.containment("suspend");
    story.at(57).say(Event::ContainmentVerified { containment });
    let key = StepKey::root("suspend");
    let output = json!({ "holds": false, "read": { "status": "ACTIVE", "session_token": "s3cr3t" } });
    let evidence = Evidence {
        source: "okta.get_user".to_owned(),
        request: "GET https://example.okta.com/api/v1/users/00u1".to_owned(),
        response: "200".to_owned(),
        sha256: digest(b"active"),
        bytes: 6,
        at: minute(102),
    };
    let outcome = Outcome::Succeeded { output, evidence: Some(evidence) };
    story.at(102).say(Event::intent(key.clone(), Phase::Recheck, 1));
    story.say(Event::AttemptEnded { key, phase: Phase::Recheck, attempt: 1, outcome });
    let what = "it no longer holds, and this run did not lift it".to_owned();
    story.say(Event::ContainmentDrifted { containment, what });
    story
}

fn set_aside() -> Story {
    let mut story = with_silence();
    let why = "`act` of step `suspend` was lost with its server 3 times in a row".to_owned();
    story.at(50).say(Event::RunQuarantined(SetAside { why, restored: false }));
    story
}

#[test]
fn a_suspension_that_somebody_else_lifted_is_nowhere_said_to_be_in_force() {
    let story = drifted();
    keep("drifted", &story);
    for (template, format) in ALL {
        let text = report(&story, template, format);
        assert!(!text.contains("s3cr3t"), "a secret is in the report");
        for wrong in ["“Suspend the account” is in force", "in force, confirmed by reading back</p>"] {
            assert!(!text.contains(wrong), "{wrong} in\n{text}");
        }
    }
    let text = report(&story, "technical", Format::Markdown);
    for right in [
        "looked at again, it still holds",
        "looked at again, it no longer holds",
        "- The later look showed: `session_token=\"(left out)\", status=\"ACTIVE\"`",
        "was in force; a later look did not show it any more",
    ] {
        assert!(text.contains(right), "{right} not in\n{text}");
    }
    let mut story = set_aside();
    let by = "ana.ortiz@example.com".to_owned();
    story.at(55).say(Event::RunReleased { by, why: Some("the host has memory again".to_owned()) });
    let text = report(&story, "technical", Format::Markdown);
    assert!(
        text.contains("it goes on from where it stood: the host has memory again | ana.ortiz@example.com"),
        "{text}"
    );
    assert!(!text.contains("The run is set aside"), "{text}");
}

#[test]
fn once_the_suspension_is_lifted_nothing_is_said_to_hold() {
    let mut story = whole();
    let containment = story.containment("suspend");
    let by = "ana.ortiz@example.com".to_owned();
    story.at(50).say(Event::UndoRequested { containment, by, why: None, anyway: false });
    story.at(51).say(Event::ContainmentLifted { containment, others: Vec::new() });
    keep("lifted", &story);
    for format in [Format::Html, Format::Markdown] {
        let text = report(&story, "executive", format);
        for wrong in ["The incident is contained", "a person lifts it", "“End all sessions” is in force"]
        {
            assert!(!text.contains(wrong), "{wrong} in\n{text}");
        }
        for right in ["Lifted", "was lifted on 2026-11-23 09:51 UTC", "“End all sessions” was done on"] {
            assert!(text.contains(right), "{right} not in\n{text}");
        }
    }
}

#[test]
fn what_a_person_puts_on_record_is_in_the_reports_with_who_and_why() {
    let mut story = whole();
    story.at(60).change(IncidentChange {
        severity: Some(40),
        tags: vec![
            "root-cause: a share open to all of Finance".to_owned(),
            "remediation: close the share, storage team, 2026-12-01".to_owned(),
        ],
        by: Some("sam.okafor@example.com".to_owned()),
        why: Some("the files were public".to_owned()),
        ..IncidentChange::default()
    });
    let text = report(&story, "technical", Format::Markdown);
    for right in [
        "because: the files were public | sam.okafor@example.com | incident #3",
        "**Root cause:** a share open to all of Finance [incident #3]",
        "close the share, storage team, 2026-12-01 [incident #3]",
        "- Read-back showed: `session_token=\"(left out)\", status=\"SUSPENDED\"`",
        "- Change, as declared: `method: POST; path: /users/{id}/lifecycle/suspend`",
        "- State before: `status=\"ACTIVE\"`",
    ] {
        assert!(text.contains(right), "{right} not in\n{text}");
    }
    assert!(!text.contains("s3cr3t"), "a secret is in the report");
}

#[test]
fn what_people_answer_of_data_and_people_is_in_the_executive_summary() {
    let mut story = whole();
    for entry in &mut story.entries {
        if let Event::QuestionAnswered { fields, .. } = &mut entry.event {
            *fields = json!({ "records": "48211", "people": "about 900", "data_class": "confidential", "ticket": "none" });
        }
    }
    let text = report(&story, "executive", Format::Markdown);
    for right in
        ["records: “48211”, answered on", "people: “about 900”, answered on", "data_class: “confidential”"]
    {
        assert!(text.contains(right), "{right} not in\n{text}");
    }
    assert!(!text.contains("other people’s data is affected is not yet on record"), "{text}");
    assert!(!text.contains("“none”"), "a field that tells of neither is not taken for one:\n{text}");
}

/// A run that has ended, and a second one of the same alert that waits.
fn of_two_runs() -> Dossier {
    let mut waits = Story::new();
    waits.other = true;
    waits.begin().enrich().ask();
    Dossier::of_several(vec![whole().dossier_of(1), waits.dossier_of(2)]).expect("there are two")
}

#[test]
fn a_report_of_an_incident_tells_all_its_runs() {
    let dossier = of_two_runs();
    let told = |template, format| {
        render(templates(), template, &dossier, "group:managers", format, minute(45)).expect("it is written")
    };
    let executive = told("executive", Format::Markdown);
    insta::with_settings!({ snapshot_path => "reports", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("executive-of-two-runs.md", executive);
    });
    for right in [
        "before 1 of 2 runs ended",
        "Written response procedures were followed, in 2 runs. [run 1 #1, run 2 #1]",
        "Response 1 of 2 ended as planned",
        "The answer to “owner check” is awaited until 2026-11-23 13:02 UTC. [run 2 #13]",
        "1 question has no answer; 1 run has not ended",
    ] {
        assert!(executive.contains(right), "{right} not in\n{executive}");
    }
    let technical = told("technical", Format::Markdown);
    for right in [
        "| departing-employee-exfiltration version 3 | `The run ended as planned on 2026-11-23 09:44 UTC: every step ended` | run 1 #43 |",
        "The run began on 2026-11-23 09:00 UTC and has not ended. [run 2 #1]",
        "| run 1 #43 |",
        "| run 2 #13 |",
    ] {
        assert!(technical.contains(right), "{right} not in\n{technical}");
    }
    assert_eq!(technical.matches("Alert received, severity 82 of 100").count(), 1, "{technical}");
    assert_eq!(technical.matches("Incident opened").count(), 1, "{technical}");
}

#[test]
fn a_report_of_one_run_says_that_there_are_others() {
    let dossier = Dossier { untold_runs: 2, ..whole().dossier() };
    for template in ["executive", "technical"] {
        let text = render(templates(), template, &dossier, "managers", Format::Markdown, minute(45))
            .expect("it is written");
        assert!(text.contains("2 other runs of this incident are not told here"), "{text}");
        assert!(!text.contains("every step ended and was answered"), "{text}");
    }
}

#[test]
fn a_try_that_failed_is_said_to_come_again_only_when_it_did_and_a_mail_is_no_answer() {
    let mut story = Story::new();
    let (key, phase) = (StepKey::root("person"), Phase::Act);
    story.begin().at(1).start("person");
    story.fail("person", FailureClass::Transient, "answered 503");
    story.say(Event::AttemptDue { key, phase, at: minute(2) });
    story.at(2).fail("person", FailureClass::Transient, "answered 503 again");
    story.end("person", StepEnd::Failed, Some("people.example.com answered 503"));
    story.start("owner").attempt(
        "owner",
        phase,
        "smtp.send",
        "MAIL priya@example.com",
        "250 kept as m-000001",
    );
    let dossier = story.dossier();
    let line = |word: &str| {
        let mut items = dossier.timeline.iter().filter(|item| item.text.contains(word));
        items.next().map(|item| item.text.clone()).unwrap_or_default()
    };
    assert!(line(": answered 503").contains("failed, to be tried again: answered 503"), "{}", line("503"));
    assert!(line("503 again").contains("failed: answered 503 again"), "{}", line("503 again"));
    let sent = line("m-000001");
    assert!(sent.contains("the message as it was sent") && !sent.contains("the answer"), "{sent}");
}

#[test]
fn the_address_it_came_from_is_no_second_machine_and_a_step_rightly_left_out_is_no_gap() {
    let mut story = Story::new();
    if let Some(alert) = &mut story.alert {
        let mut bare = alert.host.clone();
        bare.name = None;
        alert.hosts.push(bare);
    }
    story.begin().start("person");
    story.end(
        "person",
        StepEnd::Skipped,
        Some("`outcome.risk == \"failed\"` did not hold: outcome.risk = 1"),
    );
    let text = report(&story, "technical", Format::Markdown);
    assert_eq!(text.matches("| Machine |").count(), 1, "{text}");
    assert!(text.contains("person: skipped, because its condition did not hold"), "{text}");
    assert!(!text.contains("outcome.risk"), "an author's code is in the report:\n{text}");
}

#[test]
fn a_report_written_before_the_end_says_so_at_its_head() {
    let story = with_silence();
    let last = story.entries.last().map(|entry| entry.seq).unwrap_or_default();
    for (template, format) in ALL {
        let said = format!("As of entry #{last}, before the run ended");
        assert!(report(&story, template, format).contains(&said), "{template}");
        assert!(!report(&whole(), template, format).contains("before the run ended"), "{template}");
    }
}

fn empty() -> Story {
    let mut story = Story::new();
    story.alert = None;
    story
}

#[test]
fn what_is_missing_is_said_honestly() {
    type Case = (&'static str, fn() -> Story, &'static [&'static str], &'static [&'static str]);
    let cases: [Case; 8] = [
        ("no-alert", without_alert, &["no alert is on record", "not yet on record"], &["There is no alert"]),
        (
            "silence",
            with_silence,
            &[
                "Nobody answered in time",
                "is treated as “I am not sure”",
                "Approve or reject",
                "by 2026-11-23 10:02 UTC",
            ],
            &["nobody answered in time", "awaiting a decision"],
        ),
        (
            "failed",
            failed,
            &["failed before its end", "The step “person” failed", "Say how the response goes on"],
            &["answered 403"],
        ),
        (
            "uncertain",
            uncertain,
            &["Nobody can yet say whether", "Find out and say"],
            &["no answer came", "Nobody has said yet"],
        ),
        (
            "stuck",
            stuck,
            &["A person must look", "could not be lifted"],
            &["somebody deactivated the account since"],
        ),
        (
            "drifted",
            drifted,
            &["A person must look", "a later look did not show it any more", "Contain again, or accept"],
            &["not in force any more", "it no longer holds, and this run did not lift it"],
        ),
        (
            "set-aside",
            set_aside,
            &["is set aside since", "Release or end the response"],
            &["Run set aside until a person releases it", "The run is set aside"],
        ),
        (
            "empty",
            empty,
            &["The journal holds no start"],
            &["The journal holds no start", "No exchange with a system"],
        ),
    ];
    for (name, make, executive, technical) in cases {
        let story = make();
        keep(name, &story);
        for (template, format) in ALL {
            let text = report(&story, template, format);
            let wanted = if template == "executive" { executive } else { technical };
            for words in wanted {
                // What a list says may be escaped, never left out.
                assert!(
                    text.to_lowercase().contains(&words.to_lowercase()),
                    "{name} {template} {format:?}: {words}\n{text}"
                );
            }
        }
    }
}

#[test]
fn a_storm_of_entries_still_gives_a_report_of_bounded_length() {
    let mut story = Story::new();
    story.begin();
    for index in 0..5000u32 {
        let key = StepKey::root("person").item(index);
        story.say(Event::StepStarted { key: key.clone(), input: Value::Null });
        let why = Some("x".repeat(5000));
        story.say(Event::StepEnded { key, end: StepEnd::Failed, output: None, why });
    }
    let dossier = story.dossier();
    assert!(dossier.left_out > 0);
    let page = report(&story, "executive", Format::Html);
    assert!(page.len() < 40_000, "{}", page.len());
    let long = write(templates(), "technical", &dossier, "responders", Format::Html, minute(45));
    assert!(long.is_err_and(|error| error.to_string().contains("longer than")));
}

#[test]
fn the_same_journal_gives_the_same_report_and_views() {
    let story = whole();
    for (template, format) in ALL {
        let once = write(templates(), template, &story.dossier(), "managers", format, minute(45));
        assert_eq!(once, write(templates(), template, &story.dossier(), "managers", format, minute(45)));
    }
    let fold = |entries: &[quell::domain::event::Entry]| {
        let mut views = Views::default();
        entries.iter().for_each(|entry| views.apply(entry));
        views
    };
    let views = fold(&story.entries);
    assert_eq!(views, fold(&story.entries));
    // An order that can't be is taken in without a word.
    let mut backwards = story.entries.clone();
    backwards.reverse();
    fold(&backwards);
    let mut shuffled = whole();
    shuffled.entries.reverse();
    shuffled.dossier();
}

#[test]
fn lists_show_what_the_run_waits_for_and_what_holds() {
    let mut views = Views::default();
    let story = whole();
    let mut seen = Vec::new();
    for entry in &story.entries {
        views.apply(entry);
        if let Some(row) = views.runs.get(story.run())
            && seen.last() != Some(&row.status)
        {
            seen.push(row.status);
        }
    }
    use RunStatus::{Ending, Running, Succeeded, Waiting};
    assert_eq!(seen, [Running, Waiting, Running, Waiting, Running, Ending, Succeeded]);
    assert_eq!(views.containments.targets_since(minute(40), u64::MAX).len(), 1);
    assert_eq!(views.containments.targets_since(minute(43), u64::MAX).len(), 0);
    assert_eq!(views.containments.targets_of(story.run(), u64::MAX).len(), 1);
    assert_eq!(views.approvals.open_len(), 0);
    assert_eq!(views.runs.live().count(), 0);
    let incident = views.incidents.get(story.incident()).unwrap();
    assert_eq!(
        (incident.severity, incident.runs.len(), incident.alerts.len(), incident.notes.len()),
        (91, 1, 1, 1)
    );
    assert_eq!(views.runs.list(&RunFilter::default(), None, 10).items.len(), 1);

    let mut waiting = Views::default();
    with_silence().entries.iter().for_each(|entry| waiting.apply(entry));
    let row = waiting.runs.get(story.run()).unwrap();
    assert_eq!(row.status, Waiting);
    assert_eq!(row.waiting_on[0].who, ["group:ir-leads", "group:hr"]);
    assert_eq!(row.waiting_on[0].until, minute(62));
    let mut needs = Views::default();
    uncertain().entries.iter().for_each(|entry| needs.apply(entry));
    assert_eq!(needs.runs.get(story.run()).unwrap().status, RunStatus::NeedsPerson);
}

#[test]
fn mails_and_pages_are_written_with_what_the_steps_hand_over() {
    let templates = templates();
    let alert = json!({
        "title": "<b>x</b>", "severity": 82, "event_time": "2026-11-23 08:46 UTC",
        "user": { "name": "Dana Whitfield", "email": "dana.whitfield@example.com" },
        "host": { "name": "LT-0417" }, "objects": [{ "name": "Q3.xlsx", "count": 214 }],
        "dest": { "domain": "dropbox.com", "account": null, "device": null }, "cut": [],
    });
    let author = json!({ "with": null, "alert": alert, "incident": "inc_1", "run": "run_1" });
    let nothing = json!({ "with": null, "alert": null, "incident": "inc_1", "run": "run_1" });
    for context in [&author, &nothing] {
        for name in ["questions/was-this-expected", "questions/can-we-suspend", "messages/run-failed"] {
            let text = templates
                .text(templates.source(name).unwrap(), context)
                .unwrap_or_else(|error| panic!("{error}"));
            assert!(!text.trim().is_empty() && !text.contains("\n\n\n"), "{name}:\n{text}");
            look(&format!("{name}-{}", context["alert"].is_object()), &text);
        }
    }
    // The words of the field's question bank, with what the shipped playbook gives.
    let with = json!({
        "user": "Dana Whitfield", "activity": "transfer of Q3[.]xlsx to dropbox[.]com", "system": "payments-ledger",
        "at": "2026-11-23T08:46:00Z", "objects": "Q3[.]xlsx", "sources": "sign-in records", "from": "30 days before",
        "to": "today", "country": "GB", "time": "at once", "tells": null, "contained": true, "band": "S1",
        "files": "Q3[.]xlsx", "destination": "dropbox[.]com",
    });
    let context = json!({ "with": with, "alert": alert, "incident": "inc_1", "run": "run_1" });
    for (name, says) in [
        (
            "questions/was-this-expected",
            "Was Dana Whitfield's transfer of Q3[.]xlsx to dropbox[.]com on payments-ledger at 2026-11-23T08:46:00Z expected under a ticket, change or on-call duty?",
        ),
        (
            "questions/hr-facts",
            "Employment status, notice or end date, contract type, work country, on leave today? (facts only)",
        ),
        (
            "questions/may-we-review",
            "May we review sign-in records for Dana Whitfield, from 30 days before to today, in GB? Basis, limits, works-council or notice duty?",
        ),
        (
            "questions/what-is-in-it",
            "What is in Q3[.]xlsx: data class, approx. records and people, any personal, payment, health, child or source-code data?",
        ),
        (
            "questions/does-the-work-need-it",
            "Does Dana Whitfield's current work need payments-ledger? Since when, assigned by whom?",
        ),
        (
            "questions/may-we-restrict",
            "Do you approve restricting access at once? Who tells the person, and when?",
        ),
        ("messages/legal-hold", "Legal hold? Custodians, sources, date range"),
        ("messages/watch", "watchlist"),
        ("messages/block-destination", "Please have dropbox[.]com blocked"),
        ("messages/hr-brief", "is not settled"),
        ("messages/owner-notice", "nothing was changed there"),
    ] {
        let text = templates
            .text(templates.source(name).unwrap(), &context)
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(text.contains(says) && !text.contains("\n\n\n"), "{name}:\n{text}");
        for word in ["suspect", "exfiltrat", "theft", "stole", "leak", "malicious"] {
            assert!(!text.to_lowercase().contains(word), "{name} reveals a suspicion: {text}");
        }
        look(&format!("{name}-with"), &text);
    }
    let question = json!({ "text": "Was <this> expected?", "link": "https://quell.example.com/q/t0k", "until": "2026-11-23 13:02 UTC", "if_silent": "I am not sure", "person": "priya@example.com" });
    let approval = json!({
        "approval": "apr_1", "title": "Suspend the account", "operation": "okta.suspend_user", "target": "Dana <dana@example.com>",
        "alert": "Upload", "note": null, "each": ["group:ir-leads", "group:hr"], "until": "2026-11-23 10:02 UTC", "binds": "ab12",
        "link": "https://quell.example.com/approvals/apr_1", "command": "quell approve apr_1",
        "if_silent": "silence means no: nothing of this is done", "undo": "It is lifted by itself after 3d.",
        "covers": [{ "title": "End <all> sessions", "operation": "sessions.revoke", "input": "user=dana", "ends": "cannot be undone" }],
    });
    let summary = json!({ "incident": "inc_1", "template": "executive" });
    for (name, context) in [("messages/question", &question), ("messages/approval", &approval)] {
        let text = templates.plain(&format!("{name}.txt"), context).unwrap_or_else(|error| panic!("{error}"));
        let html = templates.html(&format!("{name}.html"), context).unwrap_or_else(|error| panic!("{error}"));
        let link = context["link"].as_str().unwrap();
        assert!(text.contains(link) && html.contains(&format!("href=\"{link}\"")), "{name}");
        assert!(!html.contains("<this>") && !html.contains("<dana") && !html.contains("<all>"));
        if name == "messages/approval" {
            for words in
                ["silence means no", "lifted by itself after 3d", "sessions.revoke", "cannot be undone"]
            {
                assert!(text.contains(words) && html.contains(words), "{words}:\n{text}");
            }
        }
        look(&format!("{name}.txt"), &text);
        look(&format!("{name}.html"), &html);
    }
    assert!(templates.plain("messages/summary.txt", &summary).is_ok_and(|text| text.contains("inc_1")));
    for (state, at, words) in [
        ("open", Value::Null, "<form method=\"post\""),
        ("answered", json!("2026-11-23 09:12 UTC"), "It was answered on 2026-11-23 09:12 UTC"),
        ("closed", Value::Null, "closed"),
    ] {
        let context = json!({
            "state": state, "text": "Was <this> expected?", "person": "priya@example.com", "until": "2026-11-23 13:02 UTC",
            "choices": [{ "value": "expected", "label": "Expected" }, { "value": "no", "label": "Not expected" }],
            "fields": [{ "name": "ticket", "label": "Ticket", "required": false }], "at": at, "message": Value::Null,
        });
        let page = templates.html("pages/question.html", &context).unwrap_or_else(|error| panic!("{error}"));
        assert!(page.contains(words), "{state}");
        assert_eq!(page.contains("name=\"field.ticket\""), state == "open");
        assert_eq!(page.contains("expected?"), state == "open", "only an open question is shown");
        look(&format!("pages/question-{state}.html"), &page);
    }
    assert!(templates.html("pages/notice.html", &json!({ "title": "T", "text": "x" })).is_ok());
}

fn look(name: &str, text: &str) {
    if let Ok(folder) = std::env::var("REPORTS_OUT") {
        std::fs::write(format!("{folder}/{}", name.replace('/', "-")), text).unwrap();
    }
}

#[test]
fn no_shipped_page_runs_script_or_loads_anything_from_elsewhere() {
    for (name, text) in TEMPLATES.iter().filter(|(name, _)| name.ends_with(".html")) {
        let lower = text.to_lowercase();
        for wrong in [
            "<script",
            "<img",
            "<link",
            "<iframe",
            "@import",
            "url(",
            "javascript:",
            "http://",
            "https://",
            " onclick",
        ] {
            assert!(!lower.contains(wrong), "{name} has {wrong}");
        }
    }
}

//! A run as it goes: one line a step, with time, target and outcome.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::hint::hint;
use crate::cli::screen::{Screen, Style, visible};
use crate::domain::approval::{ApprovalProgress, Verdict};
use crate::domain::command::Phase;
use crate::domain::event::{Entry, Event, RunEnd, SetAside};
use crate::domain::id::ContainmentId;
use crate::domain::outcome::Outcome;
use crate::domain::playbook::{Body, Playbook};
use crate::domain::run::{StepEnd, StepKey};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

/// Columns kept for a step's name.
const NAME_WIDTH: usize = 16;

/// A line: its style, its mark, whose it is, what it says.
type Line = (Style, &'static str, String, String);

/// Prints a run's entries as they come.
pub struct Progress {
    screen: Screen,
    began: Option<Timestamp>,
    /// `connector.operation` by step.
    operations: BTreeMap<String, String>,
    held: BTreeMap<ContainmentId, StepKey>,
    /// Those that were seen to hold.
    seen: BTreeSet<ContainmentId>,
    /// Containing steps whose operation has no way back: done, and over.
    irreversible: BTreeSet<StepKey>,
    /// What a step's last outcome gave, until the step ends.
    outputs: BTreeMap<StepKey, Value>,
    /// How the run ended.
    pub end: Option<RunEnd>,
}

impl Progress {
    /// Nothing printed yet. The playbook, when known, names the operations.
    pub fn new(screen: Screen, playbook: Option<&Playbook>) -> Self {
        let operation = |step: &crate::domain::playbook::Step| match &step.body {
            Body::Perform(action) => Some((step.id.to_string(), action.operation.clone())),
            _ => None,
        };
        let operations = playbook
            .map(|playbook| playbook.steps.iter().filter_map(operation).collect())
            .unwrap_or_default();
        Self {
            screen,
            began: None,
            operations,
            held: BTreeMap::new(),
            seen: BTreeSet::new(),
            irreversible: BTreeSet::new(),
            outputs: BTreeMap::new(),
            end: None,
        }
    }

    /// Prints what this entry tells a person, if it tells one something.
    pub fn entry(&mut self, entry: &Entry) {
        if self.screen.json() {
            self.screen.document(entry);
            if let Event::RunEnded { end } = entry.event {
                self.end = Some(end);
            }
            return;
        }
        let began = *self.began.get_or_insert(entry.at);
        let clock = format!("{:>7.1}s", entry.at.since(began).as_secs_f64());
        if let Some((style, mark, name, text)) = self.words(&entry.event) {
            let name = format!("{name:<NAME_WIDTH$}");
            let line = format!(
                "{} {} {} {}",
                self.screen.paint(Style::Dim, &clock),
                self.screen.paint(style, mark),
                self.screen.paint(Style::Bold, &visible(&name)),
                visible(&text)
            );
            self.screen.line(line.trim_end());
        }
    }

    fn operation(&self, key: &StepKey) -> String {
        self.operations.get(&*key.id).cloned().unwrap_or_default()
    }

    fn words(&mut self, event: &Event) -> Option<Line> {
        self.of_run(event).or_else(|| self.of_people(event)).or_else(|| self.of_containment(event))
    }

    /// The run and its steps.
    fn of_run(&mut self, event: &Event) -> Option<Line> {
        Some(match event {
            Event::RunStarted(started) => (
                Style::Bold,
                "▶",
                started.playbook.clone(),
                format!("version {}, {}, {}", started.version, started.run, started.incident),
            ),
            Event::RunQueued { urgency } => (
                Style::Dim,
                "…",
                "run".to_owned(),
                format!("waits for its turn ({urgency}); others go first"),
            ),
            Event::RunAdmitted {} => (Style::Dim, "▶", "run".to_owned(), "its turn has come".to_owned()),
            Event::AttemptEnded { key, phase, outcome, attempt } => {
                return self.attempt(key, *phase, *attempt, outcome);
            }
            Event::AttemptLost { key, phase, waited, .. } => {
                let when = if *waited { "before" } else { "during" };
                let text = format!("the server stopped {when} `{phase}`; taking it up again");
                (Style::Yellow, "↻", key.to_string(), text)
            }
            Event::RunQuarantined(SetAside { why, .. }) => (
                Style::Red,
                "■",
                "run".to_owned(),
                format!("set aside: {why}; `quell release` lets it go on, `quell cancel` ends it"),
            ),
            Event::RunReleased { by, why } => {
                let why = why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                (Style::Green, "▶", "run".to_owned(), format!("released by {by}{why}; it goes on"))
            }
            Event::StepUncertain { key, what } => (
                Style::Red,
                "?",
                key.to_string(),
                format!("uncertain: {what}; settle it with `{}`", hint("settle RUN STEP happened|did-not")),
            ),
            Event::StepEnded { key, end, output, why } => {
                return self.step_ended(key, *end, output.as_ref(), why.as_deref());
            }
            Event::StepSlept { key, until } => {
                (Style::Dim, "…", key.to_string(), format!("waits until {}", until.to_minute()))
            }
            Event::AttemptDue { key, at, phase: Phase::Recheck } => {
                (Style::Dim, "↻", key.to_string(), format!("looks once more at {at}"))
            }
            Event::AttemptDue { key, at, phase: Phase::Reconcile } => {
                (Style::Dim, "↻", key.to_string(), format!("asks again at {at} whether it happened"))
            }
            Event::AttemptDue { key, at, phase } if *phase != Phase::Verify => {
                (Style::Dim, "↻", key.to_string(), format!("tries again at {at}"))
            }
            Event::RunEnding { end, why, .. } if *end != RunEnd::Succeeded => {
                (Style::Red, "✗", "run".to_owned(), why.clone())
            }
            Event::RunEnded { end } => {
                self.end = Some(*end);
                match end {
                    RunEnd::Succeeded => (Style::Green, "■", "run".to_owned(), "succeeded".to_owned()),
                    RunEnd::Failed => (Style::Red, "■", "run".to_owned(), "failed".to_owned()),
                    RunEnd::Cancelled => (Style::Yellow, "■", "run".to_owned(), "cancelled".to_owned()),
                }
            }
            _ => return None,
        })
    }

    /// Approvals and questions.
    fn of_people(&self, event: &Event) -> Option<Line> {
        Some(match event {
            Event::ApprovalRequested { key, by, each, until, approval, .. } => (
                Style::Yellow,
                "…",
                key.to_string(),
                format!(
                    "needs a yes of {} by {}: {}",
                    ApprovalProgress::new(by, *each, []).asked(),
                    until.to_minute(),
                    hint(&format!("approve {approval}"))
                ),
            ),
            Event::ApprovalGiven { by, approve, note, .. } => {
                let verb = if *approve { "approved by" } else { "rejected by" };
                let note = note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
                (
                    if *approve { Style::Green } else { Style::Red },
                    if *approve { "✓" } else { "✗" },
                    "approval".to_owned(),
                    format!("{verb} {by}{note}"),
                )
            }
            Event::ApprovalEscalated { until, .. } => (
                Style::Yellow,
                "!",
                "approval".to_owned(),
                format!("nobody answered; asked once more, until {}", until.to_minute()),
            ),
            Event::ApprovalClosed { verdict: Verdict::Silent, .. } => {
                (Style::Red, "✗", "approval".to_owned(), "nobody approved in time".to_owned())
            }
            Event::QuestionAsked { key, asked, until, delivered, .. } => {
                let sure = if *delivered { "" } else { " (nobody can say whether it arrived)" };
                (
                    Style::Yellow,
                    "…",
                    key.to_string(),
                    format!("asked {}{sure}, waits until {}", asked.join(", "), until.to_minute()),
                )
            }
            _ => return None,
        })
    }

    /// What is contained and lifted.
    fn of_containment(&mut self, event: &Event) -> Option<Line> {
        Some(match event {
            Event::ContainmentAccepted { key, containment, target, changed, .. } => {
                self.held.insert(*containment, key.clone());
                let text = if *changed {
                    format!("{target}: accepted, reading back …")
                } else {
                    format!("{target}: already so, nothing was written")
                };
                (Style::Yellow, "→", key.to_string(), text)
            }
            // The first look ends the step, and is told with it.
            Event::ContainmentVerified { containment } if self.seen.insert(*containment) => return None,
            Event::ContainmentVerified { containment } => {
                (Style::Dim, "✓", self.holder(*containment), "looked at again: it still holds".to_owned())
            }
            Event::ContainmentDrifted { containment, what } => {
                (Style::Red, "✗", self.holder(*containment), format!("looked at again: {what}"))
            }
            Event::ContainmentExpiring { containment, until } => (
                Style::Yellow,
                "!",
                self.holder(*containment),
                format!(
                    "lifts by itself at {}; people are told; `quell extend {containment} --for 24h` keeps it",
                    until.to_minute()
                ),
            ),
            Event::ContainmentExtended { containment, until, by } => (
                Style::Yellow,
                "→",
                self.holder(*containment),
                format!("extended by {by}, until {}", until.to_minute()),
            ),
            Event::UndoRequested { containment, by, .. } => (
                Style::Yellow,
                "↩",
                self.holder(*containment),
                format!("lifting {containment}, asked by {by}"),
            ),
            Event::ContainmentLifted { containment, .. } => {
                (Style::Green, "✓", self.holder(*containment), "lifted, and read back".to_owned())
            }
            Event::UndoRefused { containment, why, .. } => {
                (Style::Red, "✗", self.holder(*containment), format!("could not be lifted: {why}"))
            }
            _ => return None,
        })
    }

    fn holder(&self, containment: ContainmentId) -> String {
        self.held.get(&containment).map_or_else(|| containment.to_string(), StepKey::to_string)
    }

    fn attempt(&mut self, key: &StepKey, phase: Phase, attempt: u32, outcome: &Outcome) -> Option<Line> {
        match outcome {
            Outcome::Succeeded { output, .. } => {
                if phase == Phase::Act {
                    self.outputs.insert(key.clone(), output.clone());
                }
                if phase == Phase::Capture && output.get("reversible").and_then(Value::as_bool) == Some(false)
                {
                    self.irreversible.insert(key.clone());
                }
                None
            }
            Outcome::Failed { failure, .. } => Some((
                Style::Yellow,
                "!",
                key.to_string(),
                format!("{phase}, attempt {attempt}: {}", failure.message),
            )),
        }
    }

    fn step_ended(
        &mut self,
        key: &StepKey,
        end: StepEnd,
        output: Option<&Value>,
        why: Option<&str>,
    ) -> Option<Line> {
        let acted = self.outputs.remove(key);
        let known = output.or(acted.as_ref());
        let (style, mark) = match end {
            StepEnd::Succeeded | StepEnd::Undone => (Style::Green, "✓"),
            StepEnd::Failed => (Style::Red, "✗"),
            StepEnd::Skipped | StepEnd::Cancelled => (Style::Dim, "–"),
            StepEnd::Uncertain => (Style::Red, "?"),
        };
        let operation = self.operation(key);
        let without = if self.irreversible.remove(key) {
            "done; there is no way back"
        } else {
            "until somebody lifts it"
        };
        let text = match (end, why) {
            (StepEnd::Succeeded | StepEnd::Undone, _) => {
                [operation, known.map(|output| said(output, without)).unwrap_or_default()]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join("  ")
            }
            (_, Some(why)) => format!("{}: {why}", end.name()),
            (_, None) => end.name().to_owned(),
        };
        Some((style, mark, key.to_string(), text))
    }
}

/// The longest text of an output that a line shows, in characters.
const SAID_CHARS: usize = 100;

/// What an output says, in one line: its plain values, the telling ones first.
/// `without` is said of a containment without a time box.
fn said(output: &Value, without: &str) -> String {
    let text = match output {
        Value::Object(map) => {
            if let Some(choice) = map.get("label").and_then(Value::as_str) {
                let by = map.get("by").and_then(Value::as_str).unwrap_or("nobody in time");
                return format!("“{choice}” ({by})");
            }
            if let Some(target) = map.get("target").and_then(Value::as_str) {
                if map.get("changed").and_then(Value::as_bool) == Some(false) {
                    return format!("{target}: was so before; nothing was done, and this run holds nothing");
                }
                let until = map
                    .get("until")
                    .and_then(Value::as_str)
                    .and_then(|until| until.parse::<Timestamp>().ok());
                let until =
                    until.map_or_else(|| without.to_owned(), |until| format!("until {}", until.to_minute()));
                return format!("{target}: verified, {until}");
            }
            let plain = map.iter().filter_map(|(name, value)| match value {
                Value::String(text) => Some(format!("{name}={text}")),
                Value::Number(_) | Value::Bool(_) => Some(format!("{name}={value}")),
                Value::Array(items) if items.iter().all(Value::is_string) => Some(format!(
                    "{name}={}",
                    items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
                )),
                _ => None,
            });
            plain.collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => format!("{} items", items.len()),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    if text.chars().count() > SAID_CHARS {
        text.chars().take(SAID_CHARS - 1).chain(['…']).collect()
    } else {
        text
    }
}

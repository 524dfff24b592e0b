//! How a dossier is folded.

use std::collections::BTreeMap;

use super::parts::{alert_part, change_incident, cut, empty, shown, step_title};
use super::severity::{Says, held};
use super::{
    Cite, Dossier, EvidencePart, Item, LINES_MAX, Moment, Noted, QuestionEnd, Settled, Sources, StepPart,
    UncertainPart, words,
};
use crate::domain::alert::Fate;
use crate::domain::command::Phase;
use crate::domain::event::{Entry, Event};
use crate::domain::incident::IncidentChange;
use crate::domain::outcome::{Evidence, Outcome};
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

pub(super) struct Fold<'a> {
    pub(super) sources: Sources<'a>,
    pub(super) dossier: Dossier,
    /// Where each step stands in the list.
    places: BTreeMap<StepKey, usize>,
    /// Inputs of steps that may ask.
    pub(super) inputs: BTreeMap<StepKey, &'a Value>,
    /// The last act of each step: a containment is accepted right after it.
    pub(super) acts: BTreeMap<StepKey, &'a Evidence>,
    /// What was kept of each step's target before it was touched.
    pub(super) captured: BTreeMap<StepKey, &'a Value>,
    digest: Option<crate::domain::alert::AlertRef>,
    /// What was said of how severe the incident is.
    severities: Vec<(u8, Moment, Says)>,
    /// When a person last said how it ended: no run changes that.
    disposed: Option<Timestamp>,
}

/// Folds the dossier of one run.
pub(super) fn fold(sources: Sources<'_>) -> Dossier {
    let mut fold = Fold {
        sources,
        dossier: empty(sources.plan),
        places: BTreeMap::new(),
        inputs: BTreeMap::new(),
        acts: BTreeMap::new(),
        captured: BTreeMap::new(),
        digest: None,
        severities: Vec::new(),
        disposed: None,
    };
    for entry in sources.alert_entries.iter().chain(sources.incident).chain(sources.run) {
        fold.take(entry);
    }
    for entry in sources.joined {
        fold.joined(entry);
    }
    let first = sources.run.first();
    let came = sources.alert_entries.iter().find(|entry| matches!(entry.event, Event::AlertReceived { .. }));
    if let (Some(alert), Some(entry)) = (sources.alert, came.or(first)) {
        fold.dossier.alert =
            Some(alert_part(alert, fold.digest.map(|it| it.digest), Cite::of(entry, sources.number)));
    }
    let mut dossier = fold.dossier;
    dossier.incident.severity = held(fold.severities);
    // The streams of a run, its incident and its alert are told as one story.
    dossier.timeline.sort_by_key(|item| item.at);
    dossier.incident.notes.sort_by_key(|noted| noted.at);
    dossier.incident.tags.sort_by_key(|noted| noted.at);
    if dossier.timeline.len() > LINES_MAX {
        dossier.left_out += dossier.timeline.len() - LINES_MAX;
        dossier.timeline.truncate(LINES_MAX);
    }
    dossier
}

impl<'a> Fold<'a> {
    fn take(&mut self, entry: &'a Entry) {
        let moment = Moment { at: entry.at, cite: Cite::of(entry, self.sources.number) };
        self.timeline(entry, moment);
        if self.sources.run.first().is_some_and(|first| first.stream == entry.stream) {
            self.dossier.last = Some(moment);
            self.dossier.entries = entry.seq;
        }
        match &entry.event {
            Event::IncidentOpened { title, severity, subject, .. } => {
                let incident = &mut self.dossier.incident;
                incident.title = Some(cut(title));
                incident.subject = subject.as_deref().map(cut);
                incident.opened = Some(moment);
                self.severities.push((*severity, moment, Says::Opening));
            }
            // The run's own alert may have joined an incident that there was.
            Event::AlertTriaged { fate: Fate::Joined { .. }, seen: Some(seen), .. } => {
                self.severities.push((seen.severity, moment, Says::Alert));
            }
            Event::Erased(_) => self.dossier.alert_erased = Some(moment),
            Event::IncidentChanged { change } => {
                let says = if change.by.is_some() { Says::Person } else { Says::Run };
                self.severities.extend(change.severity.map(|severity| (severity, moment, says)));
                self.change(change, moment);
            }
            Event::RunStarted(started) => {
                let run = &mut self.dossier.run;
                run.id = Some(started.run);
                run.by = cut(&started.by);
                run.started = Some(moment);
                self.dossier.incident.id = Some(self.sources.incident_id.unwrap_or(started.incident));
                self.digest = started.alert;
            }
            Event::RunEnding { end, why, disposition } => {
                let run = &mut self.dossier.run;
                run.end = Some(*end);
                run.why = Some(cut(why));
                run.ending = Some(moment);
                let change = IncidentChange { disposition: *disposition, ..IncidentChange::default() };
                self.change(&change, moment);
            }
            Event::RunEnded { end } => {
                self.dossier.run.end = Some(*end);
                self.dossier.run.ended = Some(moment);
            }
            Event::RunQuarantined(aside) => {
                self.dossier.run.quarantined = Some(noted(cut(&aside.why), moment));
            }
            Event::RunReleased { by, why } => {
                let run = &mut self.dossier.run;
                let text = why.as_ref().map_or_else(|| by.clone(), |why| format!("{by}: {why}"));
                run.quarantined = None;
                run.released = Some(noted(cut(&text), moment));
            }
            event => {
                self.step(event, moment);
                self.uncertain(event, moment);
                self.question(event, moment);
                self.approval(event, moment);
                self.containment(event, moment);
            }
        }
    }

    /// A change of the incident. How it ended a person says before any run.
    fn change(&mut self, change: &IncidentChange, moment: Moment) {
        let by_person = change.by.is_some();
        if by_person && change.disposition.is_some() {
            self.disposed = self.disposed.max(Some(moment.at));
        }
        let kept = self.disposed.is_some_and(|disposed| disposed <= moment.at) && !by_person;
        let disposition = change.disposition.filter(|_| !kept);
        let change = IncidentChange { disposition, ..change.clone() };
        change_incident(&mut self.dossier.incident, &change, moment);
    }

    /// Another alert that joined the incident. What it says is not told here: it may
    /// name people whom a summary must not, and `quell show` tells it.
    fn joined(&mut self, entry: &'a Entry) {
        let Event::AlertTriaged { seen: Some(seen), .. } = &entry.event else { return };
        let moment = Moment { at: entry.at, cite: Cite::of(entry, 0) };
        self.timeline(entry, moment);
        self.severities.push((seen.severity, moment, Says::Alert));
    }

    fn timeline(&mut self, entry: &Entry, moment: Moment) {
        let Some(told) = words::tell(&self.sources, &self.dossier, entry) else {
            return;
        };
        if self.dossier.timeline.len() >= 2 * LINES_MAX {
            self.dossier.left_out += 1;
            return;
        }
        self.dossier.timeline.push(Item {
            cite: moment.cite,
            at: moment.at,
            kind: told.kind,
            step: told.step,
            text: cut(&told.text),
            actor: cut(&told.actor),
            detail: told.detail,
        });
    }

    /// The line of a step, made when it is first heard of.
    fn step_part(&mut self, key: &StepKey) -> Option<&mut StepPart> {
        if let Some(place) = self.places.get(key) {
            return self.dossier.steps.get_mut(*place);
        }
        if self.dossier.steps.len() >= LINES_MAX {
            self.dossier.left_out += 1;
            return None;
        }
        self.places.insert(key.clone(), self.dossier.steps.len());
        let playbook = &self.sources.plan.playbook;
        let kind = playbook.step(&key.id).map(|(_, step)| step.kind.to_string());
        self.dossier.steps.push(StepPart {
            key: key.clone(),
            title: step_title(self.sources.plan, key),
            kind: kind.unwrap_or_default(),
            started: None,
            ended: None,
            outcome: None,
            attempts: 0,
            why: None,
            due: None,
        });
        self.dossier.steps.last_mut()
    }

    fn step(&mut self, event: &'a Event, moment: Moment) {
        match event {
            Event::StepStarted { key, input } => {
                self.inputs.insert(key.clone(), input);
                if let Some(part) = self.step_part(key) {
                    part.started = Some(moment);
                }
            }
            Event::StepSlept { key, until } => {
                if let Some(part) = self.step_part(key) {
                    part.due = Some(*until);
                }
            }
            // Looking after what is contained goes on when its step is over.
            Event::AttemptDue { phase, .. } | Event::AttemptStarted { phase, .. } if phase.watches() => {}
            Event::AttemptDue { key, at, .. } => {
                if let Some(part) = self.step_part(key) {
                    part.due = Some(*at);
                }
            }
            Event::AttemptStarted { key, phase, .. } => {
                if let Some(part) = self.step_part(key) {
                    part.due = None;
                    part.attempts += u32::from(*phase == Phase::Act);
                }
            }
            Event::AttemptEnded { key, phase, outcome, .. } => self.attempt(key, *phase, outcome, moment),
            Event::StepEnded { key, end, why, .. } => {
                if let Some(part) = self.step_part(key) {
                    part.ended = Some(moment);
                    part.outcome = Some(*end);
                    part.due = None;
                    if let Some(why) = why {
                        part.why = Some(cut(why));
                    }
                }
                self.withdraw(key, moment);
            }
            _ => {}
        }
    }

    /// Steps of which nobody can say whether they happened, and people's word on them.
    fn uncertain(&mut self, event: &Event, moment: Moment) {
        match event {
            Event::StepUncertain { key, what } => {
                let title = step_title(self.sources.plan, key);
                let part =
                    UncertainPart { step: key.clone(), title, what: cut(what), since: moment, settled: None };
                self.dossier.uncertain.push(part);
            }
            Event::StepSettled { key, happened, by, note } => {
                let said = Settled {
                    happened: *happened,
                    by: cut(by),
                    note: note.as_deref().map(cut),
                    when: moment,
                };
                let mut open = self.dossier.uncertain.iter_mut().rev();
                if let Some(part) = open.find(|part| part.step == *key) {
                    part.settled = Some(said);
                }
            }
            _ => {}
        }
    }

    fn attempt(&mut self, key: &StepKey, phase: Phase, outcome: &'a Outcome, moment: Moment) {
        let (evidence, failure) = match outcome {
            Outcome::Succeeded { evidence, .. } => (evidence, None),
            Outcome::Failed { failure, evidence } => (evidence, Some(failure)),
        };
        if let (Phase::Act, Outcome::Succeeded { output, .. }) = (phase, outcome)
            && output.get("text").is_some()
        {
            // What was sent says more than the input it was made from.
            self.inputs.insert(key.clone(), output);
        }
        if let (Phase::Capture, Outcome::Succeeded { output, .. }) = (phase, outcome) {
            self.captured.insert(key.clone(), output);
        }
        if let (Some(failure), false, Some(part)) = (failure, phase.watches(), self.step_part(key)) {
            part.why = Some(cut(&failure.message));
        }
        let Some(exchange) = evidence else { return };
        if phase == Phase::Act {
            self.acts.insert(key.clone(), exchange);
        }
        if phase == Phase::Verify || phase == Phase::UndoVerify {
            let mut parts = self.dossier.containments.iter_mut();
            if let Some(part) = parts.find(|part| part.step == *key) {
                part.read_back = Some(words::exchange(exchange));
                if let Outcome::Succeeded { output, .. } = outcome {
                    part.showed = output.get("read").and_then(shown);
                }
            }
        }
        if let (Phase::Recheck, Outcome::Succeeded { output, .. }) = (phase, outcome) {
            let mut parts = self.dossier.containments.iter_mut();
            if let Some(part) = parts.find(|part| part.step == *key) {
                part.look_showed = output.get("read").and_then(shown);
            }
        }
        if self.dossier.evidence.len() >= LINES_MAX {
            self.dossier.left_out += 1;
            return;
        }
        let title = step_title(self.sources.plan, key);
        let what = words::proves(&title, phase, failure.is_none(), Some(exchange));
        self.dossier.evidence.push(EvidencePart {
            cite: moment.cite,
            what,
            step: key.clone(),
            phase: phase.name(),
            exchange: Evidence {
                source: cut(&exchange.source),
                request: cut(&exchange.request),
                response: cut(&exchange.response),
                ..exchange.clone()
            },
        });
    }

    /// A step that has ended waits for no answer.
    fn withdraw(&mut self, key: &StepKey, when: Moment) {
        let open = self.dossier.questions.iter_mut().filter(|part| part.step == *key && part.end.is_none());
        for part in open {
            part.end = Some(QuestionEnd { when, choice: None, label: None, by: None, fields: Vec::new() });
        }
    }
}

/// A value with when and where it was set.
pub(super) fn noted<T>(value: T, moment: Moment) -> Noted<T> {
    Noted { value, at: moment.at, cite: moment.cite, by: None }
}

//! How single parts of a dossier are made.

use super::{
    AlertPart, Cite, Dossier, IncidentPart, Moment, Noted, QuestionEnd, RunPart, TEXT_BYTES_MAX, declared,
};
use serde::Serialize;

use crate::domain::alert::{Alert, Indicator, Object};
use crate::domain::incident::IncidentChange;
use crate::domain::kept::{LEFT_OUT, is_secret};
use crate::domain::plan::Plan;
use crate::domain::playbook::{Body, QuestionSpec};
use crate::domain::run::StepKey;
use crate::domain::value::{Digest, Value, truncate_text};

/// Users, machines, objects and indicators of an alert that a dossier keeps of each.
const ALERT_LIST_MAX: usize = 100;

/// A text cut to [`TEXT_BYTES_MAX`].
pub(super) fn cut(text: &str) -> String {
    truncate_text(text, TEXT_BYTES_MAX).into_owned()
}

/// A value in one line, each field by its name, without secrets; nothing for
/// nothing.
pub(super) fn shown(value: &Value) -> Option<String> {
    fn bare(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let pairs = map.iter().map(|(name, value)| {
                    let value = if is_secret(name) { Value::from(LEFT_OUT) } else { bare(value) };
                    (name.clone(), value)
                });
                Value::Object(pairs.collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(bare).collect()),
            other => other.clone(),
        }
    }
    let text = match bare(value) {
        Value::Null => return None,
        Value::Object(map) if map.is_empty() => return None,
        Value::Object(map) => {
            let mut pairs: Vec<String> = map.iter().map(|(name, value)| format!("{name}={value}")).collect();
            // A JSON map's order depends on how the JSON library was built.
            pairs.sort();
            pairs.join(", ")
        }
        other => other.to_string(),
    };
    Some(cut(&text))
}

fn cut_in(text: &mut Option<String>) {
    if let Some(text) = text {
        *text = cut(text);
    }
}

/// The dossier of a run without entries.
pub(super) fn empty(plan: &Plan) -> Dossier {
    let playbook = &plan.playbook;
    let technique = |tag: &String| {
        let id = tag.strip_prefix("attack:").or_else(|| tag.strip_prefix("itm:"));
        id.map(cut)
    };
    Dossier {
        run: RunPart {
            id: None,
            playbook: cut(&playbook.name),
            version: playbook.version,
            title: cut(&playbook.title),
            owner: playbook.owner.as_deref().map(cut),
            posture: playbook.posture,
            source: plan.source,
            by: String::new(),
            started: None,
            end: None,
            why: None,
            ending: None,
            ended: None,
            quarantined: None,
            released: None,
            connectors: plan.connectors.keys().map(|name| cut(name)).collect(),
            products: plan.connectors.values().filter_map(declared::title).map(cut).collect(),
            techniques: playbook.tags.iter().filter_map(technique).collect(),
        },
        earlier: Vec::new(),
        untold_runs: 0,
        incident: IncidentPart::default(),
        alert: None,
        more_alerts: Vec::new(),
        alert_erased: None,
        timeline: Vec::new(),
        steps: Vec::new(),
        evidence: Vec::new(),
        questions: Vec::new(),
        approvals: Vec::new(),
        containments: Vec::new(),
        uncertain: Vec::new(),
        last: None,
        entries: 0,
        left_out: 0,
    }
}

/// What people see of a step, with its place in a loop.
pub(super) fn step_title(plan: &Plan, key: &StepKey) -> String {
    let title = plan.playbook.step(&key.id).map_or(&*key.id, |(_, step)| step.title());
    let index = key.to_string();
    match index.find('[') {
        Some(place) => cut(&format!("{title} {}", &index[place..])),
        None => cut(title),
    }
}

/// The alert without its raw payload, every list and text bounded.
pub(super) fn alert_part(alert: &Alert, digest: Option<Digest>, cite: Cite) -> AlertPart {
    let mut alert = Alert { raw: Value::Null, ..alert.clone() };
    alert.users.truncate(ALERT_LIST_MAX);
    alert.hosts.truncate(ALERT_LIST_MAX);
    alert.objects.truncate(ALERT_LIST_MAX);
    alert.indicators.truncate(ALERT_LIST_MAX);
    alert.techniques.truncate(ALERT_LIST_MAX);
    alert.title = cut(&alert.title);
    alert.source = cut(&alert.source);
    for user in alert.users.iter_mut().chain([&mut alert.user, &mut alert.actor]) {
        [&mut user.email, &mut user.id, &mut user.name, &mut user.employee_id].into_iter().for_each(cut_in);
    }
    for host in alert.hosts.iter_mut().chain([&mut alert.host]) {
        [&mut host.id, &mut host.name, &mut host.ip].into_iter().for_each(cut_in);
    }
    for Object { name, path, origin, sha256, label, .. } in &mut alert.objects {
        [name, path, origin, sha256, label].into_iter().for_each(cut_in);
    }
    for Indicator { kind, value } in &mut alert.indicators {
        *kind = cut(kind);
        *value = cut(value);
    }
    alert.techniques.iter_mut().for_each(|id| *id = cut(id));
    let rule = &mut alert.rule;
    [&mut rule.id, &mut rule.name, &mut rule.version].into_iter().for_each(cut_in);
    let dest = &mut alert.dest;
    [&mut dest.domain, &mut dest.account, &mut dest.device].into_iter().for_each(cut_in);
    [&mut alert.source_id, &mut alert.vendor_severity, &mut alert.description].into_iter().for_each(cut_in);
    [&mut alert.src_ip, &mut alert.url].into_iter().for_each(cut_in);
    AlertPart { alert, digest, cite }
}

/// Takes in a value unless one that is set later is known: the incident's own
/// stream is read before the run's, and both may change it.
fn set<T>(known: &mut Option<Noted<T>>, value: Option<T>, moment: Moment, by: Option<&str>) {
    if let Some(value) = value
        && known.as_ref().is_none_or(|known| known.at <= moment.at)
    {
        *known = Some(noted_by(value, moment, by));
    }
}

fn noted_by<T>(value: T, moment: Moment, by: Option<&str>) -> Noted<T> {
    Noted { value, at: moment.at, cite: moment.cite, by: by.map(cut) }
}

/// Takes in a change of the incident.
pub(super) fn change_incident(incident: &mut IncidentPart, change: &IncidentChange, moment: Moment) {
    let by = change.by.as_deref();
    set(&mut incident.status, change.status, moment, by);
    set(&mut incident.disposition, change.disposition, moment, by);
    set(&mut incident.assignee, change.assignee.as_deref().map(cut), moment, by);
    if let Some(note) = &change.note {
        incident.notes.push(noted_by(cut(note), moment, by));
    }
    for tag in &change.tags {
        if !incident.tags.iter().any(|known| known.value == *tag) {
            incident.tags.push(noted_by(cut(tag), moment, by));
        }
    }
}

/// What a question's step wrote to people: `text` of what it answered, or of
/// its input.
pub(super) fn wording(input: &Value) -> Option<String> {
    ["text", "question"].iter().find_map(|key| input.get(key)?.as_str()).map(cut)
}

fn question_spec<'a>(plan: &'a Plan, step: &StepKey) -> Option<&'a QuestionSpec> {
    match &plan.playbook.step(&step.id)?.1.body {
        Body::Perform(action) => action.question.as_ref(),
        _ => None,
    }
}

/// One field of an answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AnsweredField {
    /// What people see of it.
    pub label: String,
    /// What was answered.
    pub text: String,
    /// Its name in the playbook.
    pub name: String,
}

/// How a question ended: answered by somebody, or silent.
pub(super) fn question_end(
    plan: &Plan,
    step: &StepKey,
    choice: &str,
    answered: Option<(&String, &Value)>,
    when: Moment,
) -> QuestionEnd {
    let spec = question_spec(plan, step);
    let labels = spec.into_iter().flat_map(|spec| &spec.choices);
    let label = labels.filter(|(value, _)| value == choice).map(|(_, label)| cut(label)).next();
    let mut fields = Vec::new();
    for (name, value) in answered.iter().filter_map(|(_, fields)| fields.as_object()).flatten() {
        let known = spec.into_iter().flat_map(|spec| &spec.fields).find(|field| field.name == *name);
        let label = known.and_then(|field| field.label.as_ref()).unwrap_or(name);
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        fields.push(AnsweredField { label: cut(label), text: cut(&text), name: cut(name) });
    }
    // A JSON map's order depends on how the JSON library was built.
    fields.sort();
    QuestionEnd { when, choice: Some(cut(choice)), label, by: answered.map(|(by, _)| cut(by)), fields }
}

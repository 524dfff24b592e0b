//! What any step may say, whatever its kind.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::authored::expressions::expression;
use crate::domain::address::address_key;
use crate::domain::playbook::{ApprovalSpec, IfSilent, OnError, Repeat, Retry};
use crate::step::kind::{Check, Named, check_entry};
use crate::yaml::diagnostic::quoted;
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// How long one attempt may take when the step does not say.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(20);

/// How often an attempt is made again when the step does not say.
pub const RETRY_DEFAULT: Retry =
    Retry { times: 3, first: Duration::from_secs(1), most: Duration::from_secs(60) };

/// Attempts after the first that a step may ask for.
const RETRY_TIMES: RangeInclusive<i64> = 0..=100;

/// Items that a loop may run at the same time.
const AT_ONCE: RangeInclusive<i64> = 1..=1000;

/// Different people that one entry of an approval may demand.
const EACH: RangeInclusive<i64> = 1..=10;

/// The shortest and longest attempt.
const TIMEOUT_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(900));

/// `retry:`.
pub fn read_retry(map: &MapReader<'_>) -> Retry {
    let mut retry = RETRY_DEFAULT;
    let Some(spec) = map.optional("retry").and_then(Field::map) else {
        return retry;
    };
    if let Some(times) = spec.optional("times").and_then(|field| field.int(RETRY_TIMES)) {
        retry.times = u32::try_from(times).unwrap_or(retry.times);
    }
    retry.first = spec.optional("first").and_then(Field::duration).unwrap_or(retry.first);
    if let Some(field) = spec.optional("most") {
        retry.most = field.duration().unwrap_or(retry.most);
        if retry.most < retry.first {
            field.mistake(
                "out-of-range",
                "`most` is shorter than `first`",
                "`most` is the longest wait between two attempts",
            );
        }
    }
    retry.most = retry.most.max(retry.first);
    spec.finish();
    retry
}

/// The pause between two turns of a `repeat`: shorter is a busy loop against a
/// peer, longer is a schedule.
const EVERY_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));

/// Turns that a `repeat` may ask for.
const TURNS: RangeInclusive<i64> = 1..=10_000;

/// `repeat:`, for kinds that may be done again and again.
pub fn read_repeat(map: &MapReader<'_>, kind: Option<&'static str>, check: &mut Check<'_>) -> Option<Repeat> {
    let field = map.optional("repeat")?;
    if let Some(kind) = kind.filter(|kind| !["enrich", "call", "steps", "playbook"].contains(kind)) {
        field.mistake(
            "cannot-repeat",
            format!("`repeat` polls, and `{kind}` is no step to do again and again"),
            "repeat an `enrich`, a `call`, a `playbook` or a block of `steps`",
        );
    }
    let spec = field.map()?;
    let until_field = spec.required("until");
    let until = until_field.and_then(|field| expression(field, check.source));
    if let (Some(field), Some(until)) = (until_field, &until) {
        let references = until.references().clone();
        check.named.push(Named { node: field.node().clone(), references, after: true });
    }
    let every_field = spec.required("every");
    let every = every_field.and_then(Field::duration);
    if let (Some(field), Some(every)) = (every_field, every)
        && !(EVERY_BOUNDS.0..=EVERY_BOUNDS.1).contains(&every)
    {
        field.mistake(
            "out-of-range",
            "two turns are 1s to 24h apart",
            "poll less often, or start the playbook by a schedule",
        );
    }
    let times = spec.required("times").and_then(|field| field.int(TURNS));
    spec.finish();
    Some(Repeat { until: until?, every: every?, times: u32::try_from(times?).ok()? })
}

/// `timeout:`.
pub fn read_timeout(map: &MapReader<'_>) -> Duration {
    let Some(field) = map.optional("timeout") else {
        return TIMEOUT_DEFAULT;
    };
    let timeout = field.duration().unwrap_or(TIMEOUT_DEFAULT);
    let (least, most) = TIMEOUT_BOUNDS;
    if timeout < least || timeout > most {
        field.mistake(
            "out-of-range",
            "one attempt takes between 100ms and 15m",
            "a wait of hours belongs into `within`, or into a `wait` step",
        );
    }
    timeout
}

/// `on_error:`.
pub fn read_on_error(map: &MapReader<'_>) -> OnError {
    match map.optional("on_error").and_then(|field| field.one_of(&["fail", "continue"])) {
        Some("continue") => OnError::Continue,
        _ => OnError::Fail,
    }
}

/// `at_once:`.
pub fn read_at_once(map: &MapReader<'_>) -> usize {
    let Some(field) = map.optional("at_once") else {
        return 1;
    };
    if map.key_place("for_each").is_none() {
        field.mistake(
            "no-loop",
            "`at_once` says how many items run at the same time, and this step runs once",
            "add `for_each: ${ … }`, or take `at_once` out",
        );
    }
    field.int(AT_ONCE).and_then(|n| usize::try_from(n).ok()).unwrap_or(1)
}

/// `approval:`, and by how many different people it is given.
pub fn read_approval(map: &MapReader<'_>, groups: Option<&[String]>) -> Option<(ApprovalSpec, usize)> {
    let field = map.optional("approval")?;
    let spec = field.map()?;
    let by_field = spec.required("by");
    let by: Vec<String> =
        by_field.and_then(Field::texts).unwrap_or_default().into_iter().map(str::to_owned).collect();
    if let Some(field) = by_field {
        check_approvers(field, groups);
    }
    let each = spec
        .optional("each")
        .and_then(|field| field.int(EACH))
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(1);
    if let Some(field) = by_field {
        check_seats(field, each);
    }
    let within = spec.required("within").and_then(Field::duration);
    let if_silent = match spec.optional("if_silent").and_then(|field| field.one_of(&["escalate", "reject"])) {
        Some("escalate") => IfSilent::Escalate,
        _ => IfSilent::Reject,
    };
    spec.finish();
    // An entry written twice is no second person.
    let different: BTreeSet<String> = by.iter().map(|entry| address_key(entry)).collect();
    let people = different.len() * each as usize;
    Some((ApprovalSpec { by, each, within: within?, if_silent }, people))
}

/// Refuses an approval that nobody can ever give: one person says yes once, so
/// an address cannot stand for two of those who must.
fn check_seats(by: Field<'_>, each: u32) {
    let mut seen = BTreeSet::new();
    for entry in by.one_or_many() {
        let Some(address) = entry.node().as_str().filter(|text| !text.starts_with("group:")) else {
            continue;
        };
        if !seen.insert(address_key(address)) {
            entry.mistake(
                "approver-twice",
                format!("{} stands here twice, and one person says yes only once", quoted(address)),
                "name another person, or a group",
            );
        } else if each > 1 {
            entry.mistake(
                "approver-alone",
                format!("`each: {each}` wants {each} people of each entry, and {} is one", quoted(address)),
                "name a group, or take `each` out",
            );
        }
    }
}

/// Who approves is written in the playbook itself, not computed: it can be read
/// before anything runs.
fn check_approvers(field: Field<'_>, groups: Option<&[String]>) {
    let entries = field.one_or_many();
    if entries.is_empty() {
        field.mistake("nobody", "this names nobody", "write an address, group:NAME, or a list of them");
    }
    for entry in entries {
        match entry.node().as_str() {
            Some(text) if text.contains("${") => entry.mistake(
                "not-fixed",
                "approvers are written down, not computed",
                "write an address or group:NAME",
            ),
            Some(text) => check_entry(entry, text, groups),
            None => {}
        }
    }
}

/// Kinds that act on nothing outside: there is nothing to approve.
const ACTS_ON_NOTHING: &[&str] = &["set", "incident", "wait", "finish"];

/// Kinds of which no attempt is made that could last or fail and be tried again.
const TRIES_NOTHING: &[&str] = &["set", "incident", "wait", "finish", "steps"];

/// Reports keys that would mean nothing on a step of this kind.
pub fn check_has_effect(map: &MapReader<'_>, kind: &str) {
    let refuse = |key: &'static str, message: String, help: &str| {
        if let Some(field) = map.optional(key) {
            field.mistake("no-effect", message, help);
        }
    };
    if ACTS_ON_NOTHING.contains(&kind) {
        let message = format!("`{kind}` acts on no system, so there is nothing to approve");
        refuse("approval", message, "put the approval on the step that acts, or on a block around both");
    }
    if !TRIES_NOTHING.contains(&kind) {
        return;
    }
    let help = match kind {
        "steps" => "put it on the steps inside",
        _ => "take it out",
    };
    for key in ["timeout", "retry"] {
        refuse(key, format!("`{kind}` makes no attempt, so `{key}` would mean nothing"), help);
    }
}

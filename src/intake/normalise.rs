//! One payload to its alerts: all of them or none.
//!
//! ```text
//! body ─size, UTF-8, JSON→ payload ─split→ items ─inside→ ─when→ ─fields→ [Alert]
//! ```

use sha2::{Digest as _, Sha256};

use crate::domain::alert::{Alert, Category, Dest, FindingStatus, ListCounts, Rule};
use crate::domain::expr::scope::{Root, Scope};
use crate::domain::id::AlertId;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use crate::intake::error::IntakeError;
use crate::intake::inside::{held, inside, kept, prepare};
use crate::intake::json::{self, JsonMistake};
use crate::intake::parties::{Parties, parties};
use crate::intake::record::joined;
use crate::intake::rule::{Sight, as_text};
use crate::intake::source::{Format, SourceSpec};
use crate::intake::{fingerprint, lists, moment, severity, text};

/// Bytes of one payload. A page of a hundred large alerts has some 500 KB.
pub const ALERT_BYTES_MAX: usize = 1024 * 1024;

/// Lists and maps inside one another. Detectors write fewer than 20; whoever
/// walks a payload by recursion is safe far above 64.
pub const ALERT_DEPTH_MAX: usize = 64;

/// Alerts of one payload: the largest page that vendors' interfaces give.
pub const ALERTS_MAX: usize = 1000;

/// Characters of a title: two lines on a wide screen.
pub const TITLE_CHARS_MAX: usize = 300;

/// Characters of ids, names and paths. Windows paths can have 32,767, but
/// nobody reads more, and `raw` keeps all.
pub const TEXT_CHARS_MAX: usize = 1000;

/// Characters of a description: two pages.
pub const DESCRIPTION_CHARS_MAX: usize = 10_000;

/// Characters of a web address: what browsers and proxies commonly take.
pub const URL_CHARS_MAX: usize = 2000;

/// What stands in `raw` for a value that the source masks.
pub const MASKED: &str = "[masked]";

/// Turns one payload into its alerts.
///
/// `source` is the name by which the delivery came in, `content_type` the
/// header of that name, `new_id` gives each alert its id. Items that the
/// source's `when` turns down are no alerts, so the list may be empty.
///
/// # Errors
/// Why nothing of the payload was taken.
pub fn normalise(
    spec: &SourceSpec,
    source: &str,
    body: &[u8],
    content_type: Option<&str>,
    received_at: Timestamp,
    new_id: &mut dyn FnMut() -> AlertId,
) -> Result<Vec<Alert>, IntakeError> {
    let payloads = payloads(spec, body, content_type)?;
    let count = payloads.iter().flat_map(|payload| items(spec, payload)).map(|item| held(spec, item)).sum();
    if count > ALERTS_MAX {
        return Err(IntakeError::TooMany { count });
    }
    if count == 0 {
        return Err(IntakeError::Empty { why: "its list of alerts is empty".to_owned() });
    }
    let uses_envelope =
        spec.fields.uses_envelope() || spec.when.as_ref().is_some_and(|when| when.uses("envelope"));
    let mut alerts = Vec::new();
    let mut number = 1;
    for payload in &payloads {
        // Converted once for all items, and only when an expression asks.
        let mut around = if uses_envelope { payload.clone() } else { Value::Null };
        spec.spelling.apply(&mut around);
        let envelope = Root::from(&around);
        for item in items(spec, payload) {
            let maker = Maker { spec, source, envelope: &envelope, received_at, number };
            number += maker.alerts(item, new_id, &mut alerts)?;
        }
    }
    Ok(alerts)
}

/// The JSON texts of a body: one, or one per line.
fn payloads(spec: &SourceSpec, body: &[u8], content_type: Option<&str>) -> Result<Vec<Value>, IntakeError> {
    if body.len() > ALERT_BYTES_MAX {
        return Err(IntakeError::TooLarge { bytes: body.len() });
    }
    let kind = content_type.unwrap_or_default().to_ascii_lowercase();
    if let Some((_, charset)) = kind.split_once("charset=") {
        let charset = charset.split(';').next().unwrap_or_default().trim().trim_matches('"');
        if !matches!(charset, "utf-8" | "utf8" | "us-ascii") {
            let charset = text::one_line(charset, 40);
            return Err(IntakeError::NotUtf8 { why: format!("it says it is {charset}") });
        }
    }
    let text = std::str::from_utf8(body).map_err(|mistake| IntakeError::NotUtf8 {
        why: format!("byte {} is not", mistake.valid_up_to() + 1),
    })?;
    // RFC 8259, section 8.1: a reader may skip a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(IntakeError::Empty { why: "the body is empty".to_owned() });
    }
    let ndjson = ["ndjson", "jsonl", "json-lines", "jsonlines"].iter().any(|name| kind.contains(name));
    if spec.format == Format::Json && !ndjson {
        return Ok(vec![read(text, String::new())?]);
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let lines: Result<Vec<_>, _> =
        lines.map(|(at, line)| read(line, format!(" in line {}", at + 1))).collect();
    // One text over several lines is one payload, however it was declared.
    lines.or_else(|mistake| read(text, String::new()).map(|one| vec![one]).map_err(|_| mistake))
}

fn read(text: &str, at: String) -> Result<Value, IntakeError> {
    json::read(text, ALERT_DEPTH_MAX).map_err(|mistake| match mistake {
        JsonMistake::TooDeep => IntakeError::TooDeep { at, depth: ALERT_DEPTH_MAX },
        mistake => IntakeError::NotJson { at, mistake },
    })
}

/// The items of a payload, by the first path that leads to lists; else a list
/// gives its items, and anything else is one item.
fn items<'a>(spec: &SourceSpec, payload: &'a Value) -> Vec<&'a Value> {
    let mut lists = spec.split.iter().filter_map(|path| path.all(payload)).peekable();
    if lists.peek().is_some() {
        return lists.take(if spec.split_all { usize::MAX } else { 1 }).flatten().collect();
    }
    match payload {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

/// Keys by which payloads say what they are about, the best first.
const TITLE_KEYS: &[&str] = &[
    "title",
    "displayName",
    "displayMessage",
    "alertName",
    "ruleName",
    "name",
    "subject",
    "summary",
    "message",
    "description",
    "eventType",
    "event_type",
    "eventName",
    "action",
    "operation",
    "activity",
    "category",
    "type",
];

/// What one item is made into its alerts with.
#[derive(Clone, Copy)]
struct Maker<'a> {
    spec: &'a SourceSpec,
    source: &'a str,
    envelope: &'a Root,
    received_at: Timestamp,
    /// Which alert, counted from 1.
    number: usize,
}

impl Maker<'_> {
    /// Adds the alerts of an item but those that the source's `when` turns down, and
    /// says how many it holds.
    fn alerts(
        &self,
        item: &Value,
        new_id: &mut dyn FnMut() -> AlertId,
        made: &mut Vec<Alert>,
    ) -> Result<usize, IntakeError> {
        if !item.is_object() {
            return Err(IntakeError::NotAnObject {
                number: self.number,
                found: json::kind_name(item),
                source_name: self.source.to_owned(),
            });
        }
        let mut seen = item.clone();
        prepare(self.spec, &mut seen, true);
        let mut raw = item.clone();
        prepare(self.spec, &mut raw, false);
        let outer = Root::from(&seen);
        let (parts, raws) = match inside(self.spec, &seen) {
            Some((path, parts)) if path.ends_in_items() => {
                let raws = kept(raw, path, parts.len())?;
                (parts, raws)
            }
            Some((_, parts)) => (parts, vec![raw]),
            None => (vec![&seen], vec![raw]),
        };
        let count = parts.len();
        for (at, (part, raw)) in parts.into_iter().zip(raws).enumerate() {
            let maker = Maker { number: self.number + at, ..*self };
            made.extend(maker.alert(part, &outer, at + 1, raw, new_id)?);
        }
        Ok(count)
    }

    /// The alert, or none when the source's `when` says that it is none.
    fn alert(
        &self,
        seen: &Value,
        outer: &Root,
        place: usize,
        raw: Value,
        new_id: &mut dyn FnMut() -> AlertId,
    ) -> Result<Option<Alert>, IntakeError> {
        // Candidates fail all the time: the next is tried, and nobody asks why.
        let scope = Scope::new()
            .unexplained()
            .with_root("raw", &Root::from(seen))
            .with_root("outer", outer)
            .with_root("envelope", self.envelope)
            .with_value("place", &Value::from(place));
        let sight = Sight { scope, absent: &self.spec.absent };
        let turned_down = self.spec.when.as_ref().is_some_and(|when| {
            // Only a clear `false` turns an item down: when in doubt it is an alert.
            when.given(&sight).next() == Some(Value::Bool(false))
        });
        if turned_down {
            return Ok(None);
        }
        self.filled(seen, raw, &sight, new_id).map(Some)
    }

    fn filled(
        &self,
        seen: &Value,
        raw: Value,
        sight: &Sight<'_>,
        new_id: &mut dyn FnMut() -> AlertId,
    ) -> Result<Alert, IntakeError> {
        let fields = &self.spec.fields;
        let one = &fields.one;
        let text = |key| one.text(key, sight, TEXT_CHARS_MAX);
        let rule = Rule { id: text("rule.id"), name: text("rule.name"), version: text("rule.version") };
        let known = self.title(&rule, sight);
        let shape_unknown = known.is_none();
        let title = known.or_else(|| self.best_title(seen)).ok_or_else(|| IntakeError::WithoutTitle {
            number: self.number,
            source_name: self.source.to_owned(),
        })?;
        let (severity, vendor_severity) =
            fields.severity.as_ref().map_or((severity::UNKNOWN, None), |rule| rule.of(sight));
        let Parties { subject, actor, users } = parties(fields, seen, sight);
        let (host, hosts) = lists::hosts(fields, seen, sight);
        let (objects, indicators) =
            (lists::objects(fields, seen, sight), lists::indicators(fields, seen, sight));
        let techniques = lists::techniques(fields, sight);
        let mut alert = Alert {
            id: new_id(),
            source: self.source.to_owned(),
            source_id: one.first("source_id", sight, source_id),
            rule,
            category: one.first("category", sight, category).unwrap_or(Category::Other),
            status: one.first("status", sight, status).unwrap_or_default(),
            severity,
            vendor_severity,
            title,
            shape_unknown,
            description: one.first("description", sight, description),
            event_time: one.first("event_time", sight, |value| moment::read(value, self.spec.zone)),
            received_at: self.received_at,
            counts: ListCounts {
                users: users.count,
                hosts: hosts.count,
                objects: objects.count,
                indicators: indicators.count,
                techniques: techniques.count,
            },
            users: users.list,
            actor,
            hosts: hosts.list,
            user: subject,
            host,
            src_ip: one.checked("src_ip", sight, text::ip_of_host),
            objects: objects.list,
            dest: Dest {
                domain: one.first("dest.domain", sight, |value| value.as_str().map(text::site)),
                account: one.joined("dest.account", sight, TEXT_CHARS_MAX),
                device: text("dest.device"),
            },
            indicators: indicators.list,
            techniques: techniques.list,
            url: one.checked("url", sight, |text| text::web_address(text, URL_CHARS_MAX)),
            fingerprint: String::new(),
            raw,
            handed_in_by: None,
        };
        alert.fingerprint = fingerprint::of(&alert, &self.spec.fingerprint);
        Ok(alert)
    }

    /// The title, or else the name of the rule that fired.
    fn title(&self, rule: &Rule, sight: &Sight<'_>) -> Option<String> {
        let title = self.spec.fields.one.text("title", sight, TITLE_CHARS_MAX);
        let of_rule = || rule.name.as_ref().map(|name| text::one_line(name, TITLE_CHARS_MAX));
        title.or_else(of_rule)
    }

    /// What a payload of an unknown shape calls itself: what a known vendor sends is kept
    /// all the same, for it may be grave. Of a source without vendor it is a mistake.
    fn best_title(&self, seen: &Value) -> Option<String> {
        self.spec.vendor.as_ref()?;
        let inner = seen.as_object().into_iter().flat_map(|map| map.values());
        let called = std::iter::once(seen).chain(inner).find_map(|value| {
            let map = value.as_object()?;
            let of = |key: &&str| map.iter().find(|(there, _)| there.eq_ignore_ascii_case(key));
            TITLE_KEYS.iter().filter_map(of).find_map(|(_, value)| as_text(value, TITLE_CHARS_MAX))
        });
        let called = called.unwrap_or_else(|| "a payload of an unknown shape".to_owned());
        Some(text::one_line(&format!("{}: {called}", self.spec.title), TITLE_CHARS_MAX))
    }
}

/// The sender's id. One that is too long is kept as its digest: cut, two
/// findings could look like one.
fn source_id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.chars().count() > TEXT_CHARS_MAX => {
            Some(format!("sha256:{}", hex::encode(Sha256::digest(text.as_bytes()))))
        }
        other => as_text(other, usize::MAX),
    }
}

fn description(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text::many_lines(text, DESCRIPTION_CHARS_MAX)),
        other => joined(other, DESCRIPTION_CHARS_MAX),
    }
}

fn category(value: &Value) -> Option<Category> {
    let word = value.as_str()?.trim().to_lowercase();
    serde_json::from_value(Value::String(word)).ok()
}

/// Words for a finding that has ended, which mean nothing else anywhere. Any other word
/// is open: to read one wrongly as ended would leave an alert without its run. A source
/// whose detector has others turns them into one of these.
const CLOSED_WORDS: &[&str] = &[
    "closed",
    "resolved",
    "dismissed",
    "fixed",
    "archived",
    "suppressed",
    "auto_dismissed",
    "false_positive",
];

/// Whether the finding still stands, by the detector's word.
fn status(value: &Value) -> Option<FindingStatus> {
    let word = value.as_str()?.trim().to_lowercase();
    let closed = CLOSED_WORDS.contains(&word.replace([' ', '-'], "_").as_str());
    Some(if closed { FindingStatus::Closed } else { FindingStatus::Open })
}

//! The things that an alert lists: the first of them, and how many there are in truth.

use std::collections::HashSet;

use serde::Serialize;

use crate::domain::alert::{Host, Indicator, LISTED_MAX, Object};
use crate::domain::value::Value;
use crate::intake::normalise::{TEXT_CHARS_MAX, URL_CHARS_MAX};
use crate::intake::record::{Fields, Listed, Record, email};
use crate::intake::rule::{Sight, as_text};
use crate::intake::text;

/// A list as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptList<T> {
    /// The first [`LISTED_MAX`].
    pub list: Vec<T>,
    /// How many there are, those that are not kept included.
    pub count: usize,
}

impl<T: Serialize> KeptList<T> {
    /// The first of each, repeats left out.
    #[must_use]
    pub fn of(mut list: Vec<T>) -> Self {
        let mut seen = HashSet::with_capacity(list.len());
        list.retain(|item| serde_json::to_string(item).map_or(true, |text| seen.insert(text)));
        let count = list.len();
        list.truncate(LISTED_MAX);
        Self { list, count }
    }
}

/// The machine that it happened on, and all that the alert names. Where no rule says
/// which it is, the only one.
pub fn hosts(fields: &Fields, seen: &Value, sight: &Sight<'_>) -> (Host, KeptList<Host>) {
    let first = host(&fields.one, sight, ["host.id", "host.name", "host.ip"]);
    let named = Listed::collect(&fields.hosts, seen, sight, |record, sight| {
        host(record, sight, ["id", "name", "ip"])
    });
    let all = KeptList::of(first.iter().cloned().chain(named).collect());
    let only = || if let [only] = &*all.list { only.clone() } else { Host::default() };
    (first.unwrap_or_else(only), all)
}

/// A machine by the rules of its keys.
fn host(record: &Record, sight: &Sight<'_>, keys: [&str; 3]) -> Option<Host> {
    let [id, name, ip] = keys;
    let host = Host {
        id: record.text(id, sight, TEXT_CHARS_MAX),
        name: record.text(name, sight, text::SITE_CHARS_MAX),
        ip: record.checked(ip, sight, text::ip_of_host),
    };
    (host != Host::default()).then_some(host)
}

/// What was touched.
pub fn objects(fields: &Fields, seen: &Value, sight: &Sight<'_>) -> KeptList<Object> {
    KeptList::of(Listed::collect(&fields.objects, seen, sight, |record, sight| {
        let text = |key| record.text(key, sight, TEXT_CHARS_MAX);
        let object = Object {
            name: text("name"),
            path: text("path"),
            origin: text("origin"),
            sha256: record.checked("sha256", sight, text::sha256),
            label: record.joined("label", sight, TEXT_CHARS_MAX),
            bytes: record.count("bytes", sight),
            count: record.count("count", sight),
        };
        // A size of 0 alone tells of nothing: vendors send it where there is no file.
        let told = Object { bytes: object.bytes.filter(|bytes| *bytes > 0), ..object.clone() };
        (told != Object::default()).then_some(object)
    }))
}

/// What can be looked up.
pub fn indicators(fields: &Fields, seen: &Value, sight: &Sight<'_>) -> KeptList<Indicator> {
    KeptList::of(Listed::collect(&fields.indicators, seen, sight, |record, sight| {
        let kind = record.text("kind", sight, TEXT_CHARS_MAX)?.to_lowercase();
        let value = record.first("value", sight, |value| indicator(&kind, value.as_str()?))?;
        Some(Indicator { kind, value })
    }))
}

/// ATT&CK or ITM ids.
pub fn techniques(fields: &Fields, sight: &Sight<'_>) -> KeptList<String> {
    let Some(rule) = &fields.techniques else {
        return KeptList::of(Vec::new());
    };
    let items = |value| match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    let given = rule.given(sight).flat_map(items).flat_map(items);
    let texts = given.filter(|value| !sight.is_absent(value));
    let texts = texts.filter_map(|value| as_text(&value, TEXT_CHARS_MAX));
    KeptList::of(texts.flat_map(|text| text::techniques(&text)).collect())
}

/// An indicator whose value is what its kind says.
fn indicator(kind: &str, value: &str) -> Option<String> {
    match kind {
        "ip" => text::ip_of_host(value),
        "sha256" => text::sha256(value),
        "md5" => text::md5(value),
        "email" => email(value),
        "domain" => {
            Some(text::site(value)).filter(|site| site.contains('.') && !site.contains(char::is_whitespace))
        }
        "url" => Some(value)
            .filter(|url| url.chars().count() <= URL_CHARS_MAX)
            .map(|url| text::one_line(url, usize::MAX)),
        _ => None,
    }
}

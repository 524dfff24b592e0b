//! The fields of what expressions name beside steps: alert, incident, run.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::authored::places::{each_text, place_of_name, word};
use crate::step::kind::Named;
use crate::yaml::diagnostic::{Diagnostic, did_you_mean, quoted};
use crate::yaml::node::Place;
use crate::yaml::shape::Reader;

/// Mistakes about names that one file is told. Nobody reads more, and each
/// costs a walk through the file to its place.
const TOLD_MAX: usize = 100;

/// Names listed in a help; the fields of an alert fit.
const LISTED_MAX: usize = 24;

/// The fields of a normalised alert (`domain::alert::Alert`).
pub const ALERT: &[&str] = &[
    "id",
    "source",
    "source_id",
    "rule",
    "category",
    "severity",
    "vendor_severity",
    "title",
    "description",
    "event_time",
    "received_at",
    "user",
    "users",
    "host",
    "hosts",
    "src_ip",
    "objects",
    "dest",
    "indicators",
    "techniques",
    "url",
    "fingerprint",
    "raw",
];
const USER: &[&str] = &["email", "id", "name", "employee_id"];
const HOST: &[&str] = &["id", "name", "ip"];
const RULE: &[&str] = &["id", "name", "version"];
const DEST: &[&str] = &["domain", "account", "device"];
const OBJECT: &[&str] = &["name", "path", "origin", "sha256", "label", "bytes", "count"];
const INDICATOR: &[&str] = &["kind", "value"];
const INCIDENT: &[&str] = &["id", "severity", "status", "disposition", "assignee", "tags"];
const RUN: &[&str] = &["id", "playbook", "version", "by", "started_at", "posture"];

/// Names are checked, and mistakes told, at the word itself.
pub struct Told<'a> {
    /// How many were told.
    pub count: Cell<usize>,
    /// Where mistakes go.
    pub reader: &'a Reader,
    /// The file's text.
    pub source: &'a str,
}

impl Told<'_> {
    /// A mistake at the word `path[at]` of an expression.
    pub fn at(
        &self,
        named: &Named,
        path: &[String],
        at: usize,
        code: &'static str,
        message: String,
        help: String,
    ) {
        if self.count.get() >= TOLD_MAX {
            return;
        }
        let place = place_of_name(&named.node, self.source, path, at);
        self.here(place, code, message, help);
    }

    /// A mistake at a place.
    pub fn here(&self, place: Place, code: &'static str, message: String, help: String) {
        self.count.set(self.count.get() + 1);
        let mistake = Diagnostic::error(code, self.reader.file(), place, message);
        self.reader.report(mistake.label("here").help(help));
    }

    /// The fields that a path takes of an alert, an incident or a run.
    pub fn check_fields(&self, named: &Named, path: &[String]) {
        let Some(root) = path.first() else { return };
        let fields = match root.as_str() {
            "alert" => ALERT,
            "incident" => INCIDENT,
            "run" => RUN,
            _ => return,
        };
        let Some(field) = path.get(1) else { return };
        if !fields.contains(&field.as_str()) {
            return self.unknown_field(named, path, 1, fields);
        }
        let inner = match (root.as_str(), field.as_str()) {
            ("alert", "user") => USER,
            ("alert", "host") => HOST,
            ("alert", "rule") => RULE,
            ("alert", "dest") => DEST,
            _ => return,
        };
        if path.get(2).is_some_and(|name| !inner.contains(&name.as_str())) {
            self.unknown_field(named, path, 2, inner);
        }
    }

    fn unknown_field(&self, named: &Named, path: &[String], at: usize, fields: &[&str]) {
        let (of, name) = (path[..at].join("."), &path[at]);
        let message = format!("`{of}` has no {}", quoted(name));
        self.at(named, path, at, "unknown-name", message, nearest(name, fields, &format!("{of}.")));
    }

    /// The fields taken of one item of an alert's lists: `alert.objects[0].origin`.
    /// References end at the index, so the text itself is looked at.
    pub fn check_items(&self, named: &Named) {
        const LISTS: &[(&str, &[&str])] =
            &[("objects", OBJECT), ("users", USER), ("hosts", HOST), ("indicators", INDICATOR)];
        let mut seen = BTreeSet::new();
        each_text(&named.node, &mut |leaf, text| {
            for (list, fields) in LISTS {
                let start = format!("alert.{list}[");
                for (found, _) in text.match_indices(&start) {
                    let Some((at, name)) = field_of_item(text, found + start.len()) else {
                        continue;
                    };
                    if fields.contains(&name) || !seen.insert((leaf.place, at)) {
                        continue;
                    }
                    let place = leaf.place_within(self.source, at, at + name.len());
                    let message = format!("an item of `alert.{list}` has no {}", quoted(name));
                    self.here(place, "unknown-name", message, nearest(name, fields, ""));
                }
            }
        });
    }
}

/// The field after the bracket that closes the index at `from`.
fn field_of_item(text: &str, from: usize) -> Option<(usize, &str)> {
    let close = from + text[from..].find(']')?;
    let rest = text[close + 1..].strip_prefix('.')?;
    let rest = rest.strip_prefix('?').unwrap_or(rest);
    let name = word(rest);
    let called = rest[name.len()..].starts_with('(');
    (!name.is_empty() && !called).then_some((text.len() - rest.len(), name))
}

/// "did you mean", or what there is.
pub fn nearest<S: AsRef<str>>(name: &str, known: &[S], before: &str) -> String {
    let known = known.iter().map(AsRef::as_ref);
    match did_you_mean(name, known.clone()) {
        Some(meant) => format!("did you mean `{before}{meant}`?"),
        None => {
            let mut listed: Vec<&str> = known.clone().take(LISTED_MAX).collect();
            if known.count() > LISTED_MAX {
                listed.push("…");
            }
            format!("there are: {}", listed.join(", "))
        }
    }
}

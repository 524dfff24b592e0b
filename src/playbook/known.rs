//! The fields of what expressions name beside steps: alert, incident, run.

use std::cell::Cell;

use crate::authored::fields::{ALERT, COUNTS, DEST, HOST, INCIDENT, RULE, RUN, USER};
use crate::authored::places::place_of_name;
use crate::step::kind::Named;
use crate::yaml::diagnostic::{Diagnostic, did_you_mean, quoted};
use crate::yaml::node::Place;
use crate::yaml::shape::Reader;

/// Mistakes about names that one file is told. Nobody reads more, and each
/// costs a walk through the file to its place.
const TOLD_MAX: usize = 100;

/// Names listed in a help; the fields of an alert fit.
const LISTED_MAX: usize = 24;

/// What is said of a field of what has none.
pub const ONE_VALUE: &str = "take out what stands behind it";

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
            return self.reader.leave_out(1);
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
            ("alert", "user" | "actor") => USER,
            ("alert", "host") => HOST,
            ("alert", "rule") => RULE,
            ("alert", "dest") => DEST,
            ("alert", "counts") => COUNTS,
            ("alert", "raw") => return,
            ("alert", "users" | "hosts" | "objects" | "indicators" | "techniques") | ("incident", "tags") => {
                return self.nothing_inside(named, path, 2, "a list", "take one, [0], or all: .map(x, …)");
            }
            _ => return self.nothing_inside(named, path, 2, "one value", ONE_VALUE),
        };
        match path.get(2) {
            Some(name) if !inner.contains(&name.as_str()) => self.unknown_field(named, path, 2, inner),
            _ => self.nothing_inside(named, path, 3, "one value", ONE_VALUE),
        }
    }

    /// What stands at `path[..at]` has no fields.
    pub fn nothing_inside(&self, named: &Named, path: &[String], at: usize, what: &str, help: &str) {
        if let Some(name) = path.get(at) {
            let message = format!("`{}` is {what}, it has no {}", path[..at].join("."), quoted(name));
            self.at(named, path, at, "unknown-name", message, help.to_owned());
        }
    }

    fn unknown_field(&self, named: &Named, path: &[String], at: usize, fields: &[&str]) {
        let (of, name) = (path[..at].join("."), &path[at]);
        let message = format!("`{of}` has no {}", quoted(name));
        self.at(named, path, at, "unknown-name", message, nearest(name, fields, &format!("{of}.")));
    }
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

//! The texts that authors write for people: a template by name, or the text
//! itself, and the names in it.

use crate::authored::fields::{COUNTS, DEST, HOST, OBJECT, USER};
use crate::report::named::{HELPERS, ITEM, TextName, byte_of, names_of};
use crate::report::text::check_template;
use crate::step::kind::Check;
use crate::yaml::diagnostic::{Diagnostic, did_you_mean};
use crate::yaml::node::{Node, NodeValue, Place};
use crate::yaml::shape::Field;

/// What a text may name (`messages::context`).
const ROOTS: &[&str] = &["with", "alert", "incident", "run"];

/// What a text may name of the alert.
const ALERT: &[&str] =
    &["title", "severity", "event_time", "user", "host", "objects", "counts", "cut", "dest"];

/// Templates of the house's own mails: they are filled in by the house, around
/// an author's text.
const OWN: &[&str] = &["messages/question.txt", "messages/approval.txt", "messages/summary.txt"];

/// What stands at a path of the data.
enum Inside<'a> {
    Fields(Vec<&'a str>),
    List,
    OneValue,
    /// Known only when it runs.
    Anything,
}

impl Check<'_> {
    /// A template by name (`questions/…`, `messages/…`), noted for the plan; or
    /// an author's own text. `with` is what the step gives it.
    pub fn text_or_template(
        &mut self,
        field: Field<'_>,
        with: Option<Field<'_>>,
    ) -> Option<(&'static str, String)> {
        let text = field.non_empty()?;
        let is_name = !text.contains(['\n', ' ', '{']) && text.contains('/');
        if is_name {
            return self.named_template(field, text, with);
        }
        if let Some(at) = text.find("${") {
            let end = text[at..].find('}').map_or(text.len(), |end| at + end + 1);
            let place = field.node().place_within(self.source, at, end);
            self.wrong_at(
                field,
                place,
                "expression-in-text",
                "people would read this as it stands: texts are Handlebars",
                "compute it under `with: { name: \"${ … }\" }`, and write {{with.name}} here",
            );
            return None;
        }
        if let Some(open) = open_block(text) {
            field.mistake(
                "template-wrong",
                format!("{{{{#{open} …}}}} is never closed"),
                format!("write {{{{/{open}}}}} where it ends"),
            );
            return None;
        }
        if let Some(problem) = check_template("text", text).into_iter().next() {
            let at = byte_of(text, problem.line, problem.column);
            let end = text[at..].find(char::is_whitespace).map_or(text.len(), |end| at + end);
            let place = field.node().place_within(self.source, at, end.max(at));
            let message = format!("this text cannot be used: {}", problem.message);
            let help = "texts are Handlebars: {{alert.title}}, {{#if …}}…{{/if}}";
            self.wrong_at(field, place, "template-wrong", message, help);
            return None;
        }
        for name in names_of(text) {
            if let Some((message, help)) = what_is_wrong(&name, with) {
                let place = field.node().place_within(self.source, name.start, name.end);
                self.wrong_at(field, place, "unknown-name", message, help);
            }
        }
        Some(("text", text.to_owned()))
    }

    fn named_template(
        &mut self,
        field: Field<'_>,
        name: &str,
        with: Option<Field<'_>>,
    ) -> Option<(&'static str, String)> {
        let Some(text) = self.around.templates.get(name).filter(|_| is_authors(name)) else {
            let known: Vec<&String> = self.around.templates.keys().filter(|name| is_authors(name)).collect();
            let what = match self.around.templates.contains_key(name) {
                true => format!("`{name}` is a page of the house's own, no text to send"),
                false => format!("there is no template `{name}`"),
            };
            let meant = did_you_mean(name, &known);
            field.mistake(
                "unknown-template",
                what,
                meant.map_or_else(
                    || "write the text itself, or add the template to the templates directory".to_owned(),
                    |meant| format!("did you mean `{meant}`?"),
                ),
            );
            return None;
        };
        let names = names_of(text);
        // What a template asks for first, a step need not give.
        let asked: Vec<Vec<String>> = names
            .iter()
            .filter(|name| name.asks && name.path[0] == "with")
            .map(|name| name.path.clone())
            .collect();
        for name in names.iter().filter(|name| !asked.iter().any(|path| name.path.starts_with(path))) {
            if let Some((message, help)) = what_is_wrong(name, with) {
                let line = text[..name.start].matches('\n').count() + 1;
                let message = format!("line {line} of the template: {message}");
                field.mistake("unknown-name", message, help);
            }
        }
        self.texts.push(name.to_owned());
        Some(("template", name.to_owned()))
    }

    fn wrong_at(
        &self,
        field: Field<'_>,
        place: Place,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let reader = field.reader();
        let label = if code == "expression-in-text" { "not worked out in a text" } else { "here" };
        reader.report(Diagnostic::error(code, reader.file(), place, message).label(label).help(help));
    }
}

/// Whether a template is an author's text: no report, no page, no frame of a mail.
fn is_authors(name: &str) -> bool {
    let page = name.starts_with("reports/") || name.starts_with("pages/");
    !page && !name.ends_with(".html") && !name.ends_with(".md") && !OWN.contains(&name)
}

/// What is wrong with a name of a text, and what to do.
fn what_is_wrong(name: &TextName, with: Option<Field<'_>>) -> Option<(String, String)> {
    if name.helper {
        let helper = &name.path[0];
        let help = did_you_mean(helper, HELPERS).map_or_else(
            || format!("there are: {}", HELPERS.join(", ")),
            |meant| format!("did you mean `{meant}`?"),
        );
        return Some((format!("there is no `{helper}` that a text could call"), help));
    }
    for (at, part) in name.path.iter().enumerate() {
        let before = name.path[..at].join(".");
        match inside(&name.path[..at], with) {
            Inside::Anything => return None,
            Inside::Fields(fields) if fields.contains(&part.as_str()) => {}
            Inside::Fields(fields) => return Some(no_such(&before, part, &fields)),
            Inside::List if part == ITEM || part.parse::<usize>().is_ok() => {}
            Inside::List => {
                let help = format!("go through it: {{{{#each {before}}}}}{{{{{part}}}}}{{{{/each}}}}");
                return Some((format!("`{before}` is a list, it has no `{part}`"), help));
            }
            Inside::OneValue => {
                let message = format!("`{before}` is one value, it has no `{part}`");
                return Some((message, format!("write {{{{{before}}}}}")));
            }
        }
    }
    None
}

fn no_such(before: &str, part: &str, fields: &[&str]) -> (String, String) {
    if before.is_empty() {
        let help = did_you_mean(part, fields).map_or_else(
            || format!("a text may name {}; give it more under `with:`", fields.join(", ")),
            |meant| format!("did you mean `{meant}`?"),
        );
        return (format!("a text knows no `{part}`"), help);
    }
    let dotted = if before.ends_with(ITEM) { String::new() } else { format!("{before}.") };
    let help = match did_you_mean(part, fields) {
        Some(meant) => format!("did you mean `{dotted}{meant}`?"),
        None if before == "with" => format!("add `{part}: …` under the `with:` of this step"),
        None => format!("there are: {}", fields.join(", ")),
    };
    let of = match before.strip_suffix(".[]") {
        Some(list) => format!("an item of `{list}`"),
        None => format!("`{before}`"),
    };
    (format!("{of} has no `{part}`"), help)
}

/// What stands at a path of what a text is given.
fn inside<'a>(path: &[String], with: Option<Field<'a>>) -> Inside<'a> {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let fields = |names: &[&'static str]| Inside::Fields(names.to_vec());
    match parts.as_slice() {
        [] => fields(ROOTS),
        ["with"] => match with.map(Field::node) {
            None => Inside::Fields(Vec::new()),
            Some(Node { value: NodeValue::Map(entries), .. }) => {
                Inside::Fields(entries.iter().map(|(key, _)| key.name.as_str()).collect())
            }
            Some(_) => Inside::Anything,
        },
        ["with", ..] => Inside::Anything,
        ["alert"] => fields(ALERT),
        ["alert", "user"] => fields(USER),
        ["alert", "host"] => fields(HOST),
        ["alert", "dest"] => fields(DEST),
        ["alert", "counts"] => fields(COUNTS),
        ["alert", "objects" | "cut"] => Inside::List,
        ["alert", "objects", _] => fields(OBJECT),
        _ => Inside::OneValue,
    }
}

/// The first Handlebars block that is opened and never closed.
fn open_block(text: &str) -> Option<&str> {
    let mut open = Vec::new();
    for (at, _) in text.match_indices("{{") {
        let rest = text[at + 2..].trim_start_matches(['{', '~']);
        let name = |rest: &'_ str| rest.trim_start().split([' ', '}', '~']).next().map_or(0, str::len);
        if let Some(rest) = rest.strip_prefix('#') {
            let rest = rest.trim_start();
            open.push(&rest[..name(rest)]);
        } else if let Some(rest) = rest.strip_prefix('/') {
            let rest = rest.trim_start();
            if open.last() == Some(&&rest[..name(rest)]) {
                open.pop();
            }
        }
    }
    open.first().copied()
}

//! Checked expressions and templates out of YAML nodes.

use std::sync::Arc;

use crate::domain::expr::template::{PathPart, Template};
use crate::domain::expr::{Expr, References};
use crate::yaml::diagnostic::{Diagnostic, quoted};
use crate::yaml::foreign::{CUT_BY_COMMENT, is_cut_by_comment, look_alike, type_it_anew};
use crate::yaml::node::{Node, NodeValue, Place};
use crate::yaml::shape::{Field, Reader};

/// A text that is wholly one `${ … }`, as an expression. Mistakes go to the field's file.
pub fn expression(field: Field<'_>, source: &str) -> Option<Expr> {
    let text = field.non_empty()?;
    let inner = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let Some(inner) = inner else {
        let (begun, open) = match text.trim().strip_prefix("${") {
            Some(rest) => (rest, true),
            None => (text.trim(), false),
        };
        let what = match begun.find("${") {
            _ if open && !begun.contains('}') => "it has no closing }",
            None if !open => "write it inside ${ … }",
            _ => "the whole must be one ${ … }",
        };
        let whole = begun.replace("${", "").replace('}', "");
        if is_cut_by_comment(source, field.place().end) {
            let message = format!("{} is no whole expression", quoted(text.trim()));
            field.mistake("not-an-expression", message, CUT_BY_COMMENT);
            return None;
        }
        field.mistake(
            "not-an-expression",
            format!("{} is no expression", quoted(text.trim())),
            format!("{what}: ${{ {} }}", whole.split_whitespace().collect::<Vec<_>>().join(" ")),
        );
        return None;
    };
    match Expr::parse(inner.trim()) {
        Ok(expr) => Some(expr),
        Err(error) => {
            let skipped = text.find(inner.trim()).unwrap_or(0);
            let place =
                field.node().place_within(source, skipped + error.range.start, skipped + error.range.end);
            field.reader().report(wrong(field.reader(), place, error.message, source));
            None
        }
    }
}

/// Mistakes told of one value. Nobody reads more, and each costs a walk through
/// the file to its place.
const MISTAKES_MAX: usize = 50;

/// Any value whose texts may hold `${ … }`, as a template. Every mistake in it
/// goes to the reader, at the text it stands in.
pub fn template(reader: &Reader, node: &Node, source: &str) -> Option<Template> {
    examined(reader, node, source).1
}

/// As [`template`], and what its expressions name, also when some of them can't be read.
pub fn examined(reader: &Reader, node: &Node, source: &str) -> (References, Option<Template>) {
    let (references, read) = Template::examine(&node.to_json());
    let errors = match read {
        Ok(template) => return (references, Some(template)),
        Err(errors) => errors,
    };
    reader.leave_out(errors.len().saturating_sub(MISTAKES_MAX));
    for error in errors.into_iter().take(MISTAKES_MAX) {
        let place = place_of(node, &error.path, error.range.start, error.range.end, source);
        reader.report(wrong(reader, place, error.message, source));
    }
    (references, None)
}

/// An expression that can't be read.
fn wrong(reader: &Reader, place: Place, message: String, source: &str) -> Diagnostic {
    let help = match message.as_str() {
        "this ${ has no closing }" => "close it: ${ … }; for a plain ${ in a text write $${",
        "the expression is empty" => "write what is to be worked out, such as ${ alert.severity }",
        "the expression ends too early" => "write the rest of it, or take out what is too much",
        _ => "expressions are CEL: compare with ==, join with && and ||, put text in quotes",
    };
    let (message, help) = match message.split_once("; ") {
        Some((what, meant)) if meant.starts_with("did you mean") || meant.starts_with("split it") => {
            (what, meant)
        }
        _ => (message.as_str(), help),
    };
    let told = Diagnostic::error("expression-wrong", reader.file(), place, message).label("here");
    // What stands there is the cause, whatever the parser makes of it.
    let spelt = source.get(place.start..place.end).and_then(look_alike);
    match spelt {
        Some(what) => told.help(type_it_anew(&what)),
        None if is_cut_by_comment(source, place.end) => told.help(CUT_BY_COMMENT),
        None => told.help(help),
    }
}

/// The place of some bytes of a text deep in a node.
fn place_of(node: &Node, path: &[PathPart], start: usize, end: usize, source: &str) -> Place {
    let mut at = node;
    for part in path {
        let next = match (&at.value, part) {
            (NodeValue::Map(entries), PathPart::Key(key)) => {
                entries.iter().find(|(known, _)| known.name == *key).map(|(_, value)| value)
            }
            (NodeValue::List(items), PathPart::Index(index)) => items.get(*index),
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    at.place_within(source, start, end)
}

/// The roots that an expression names and that are not among `known`, each
/// with the closest known one.
pub fn unknown_roots(references: &References, known: &[&str]) -> Vec<(String, Option<String>)> {
    let mut unknown: Vec<(String, Option<String>)> = Vec::new();
    for path in &references.paths {
        let Some(root) = path.first() else { continue };
        if !known.contains(&root.as_str()) && !unknown.iter().any(|(name, _)| name == root) {
            unknown.push((root.clone(), crate::yaml::diagnostic::did_you_mean(root, known)));
        }
    }
    unknown
}

/// Reports each root that an expression at `place` may not name.
pub fn check_roots(reader: &Reader, place: Place, references: &References, known: &[&str]) {
    for (name, meant) in unknown_roots(references, known) {
        let help = meant.map_or_else(
            || format!("here are known: {}", known.join(", ")),
            |meant| format!("did you mean `{meant}`?"),
        );
        let file: &Arc<str> = reader.file();
        reader.report(
            Diagnostic::error("unknown-name", file, place, format!("`{name}` is not known here"))
                .label("unknown name")
                .help(help),
        );
    }
}

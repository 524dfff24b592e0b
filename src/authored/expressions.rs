//! Checked expressions and templates out of YAML nodes.

use std::sync::Arc;

use crate::domain::expr::template::{PathPart, Template};
use crate::domain::expr::{Expr, References};
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::node::{Node, NodeValue, Place};
use crate::yaml::shape::{Field, Reader};

/// A text that is wholly one `${ … }`, as an expression. Mistakes go to the field's file.
pub fn expression(field: Field<'_>, source: &str) -> Option<Expr> {
    let text = field.non_empty()?;
    let inner = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let Some(inner) = inner else {
        field.mistake(
            "not-an-expression",
            format!("`{text}` is no expression"),
            format!("write it inside ${{ … }}: ${{ {text} }}"),
        );
        return None;
    };
    match Expr::parse(inner.trim()) {
        Ok(expr) => Some(expr),
        Err(error) => {
            let skipped = text.find(inner.trim()).unwrap_or(0);
            let place =
                field.node().place_within(source, skipped + error.range.start, skipped + error.range.end);
            field.mistake_at(place, "expression-wrong", error.message);
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
    match Template::parse(&node.to_json()) {
        Ok(template) => Some(template),
        Err(errors) => {
            for error in errors.into_iter().take(MISTAKES_MAX) {
                let place = place_of(node, &error.path, error.range.start, error.range.end, source);
                reader.report(
                    Diagnostic::error("expression-wrong", reader.file(), place, error.message).label("here"),
                );
            }
            None
        }
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

//! Templates: a value whose texts may hold `${ expression }`.
//!
//! ```text
//! "${ alert.severity }"            the value itself, with its type
//! "Severity ${ alert.severity }"   text, the value written into it
//! "costs $${5}"                    text: costs ${5}
//! ```
//!
//! Only the template's own text is ever read for `${`: a value that is put in
//! is never read again, so nothing from the world becomes an expression.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::scope::Scope;
use super::{EvalError, Expr, References};
use crate::domain::value::{VALUE_BYTES_MAX, Value, truncate_text};

/// How deep lists and maps may lie within each other in a template.
const LEVELS_MAX: usize = 100;

/// One part of the way from a template's root to a text in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPart {
    /// The key of a map.
    Key(String),
    /// The position in a list, from zero.
    Index(usize),
}

impl fmt::Display for PathPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathPart::Key(key) => f.write_str(key),
            PathPart::Index(index) => write!(f, "{index}"),
        }
    }
}

/// A mistake in one text of a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The way to the text, from the root.
    pub path: Vec<PathPart>,
    /// The bytes of that text the mistake is about.
    pub range: Range<usize>,
    /// What is wrong, and what to write instead where that is known.
    pub message: String,
}

/// A value with expressions in it, checked; cloning it is cheap.
#[derive(Clone)]
pub struct Template(Arc<Checked>);

struct Checked {
    source: Value,
    node: Node,
    references: References,
}

enum Node {
    /// Nothing to work out.
    Plain(Value),
    /// A text that is wholly one expression.
    Whole(Expr),
    Mixed(Vec<Part>),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

enum Part {
    Text(String),
    Hole(Expr),
}

/// What is left of the bytes one rendering may give.
struct Room(usize);

impl Template {
    /// Reads a value as a template.
    ///
    /// # Errors
    ///
    /// Every mistake in every text, in the order they stand.
    pub fn parse(source: &Value) -> Result<Template, Vec<TemplateError>> {
        Template::examine(source).1
    }

    /// As [`Template::parse`], and what those expressions name that can be
    /// read, so that one mistake does not hide the others.
    pub fn examine(source: &Value) -> (References, Result<Template, Vec<TemplateError>>) {
        let mut reader = Reader { path: Vec::new(), errors: Vec::new(), exprs: Vec::new() };
        let node = reader.node(source);
        let references = merged(&reader.exprs);
        if !reader.errors.is_empty() {
            return (references, Err(reader.errors));
        }
        let template = Template(Arc::new(Checked { source: source.clone(), node, references }));
        (template.references().clone(), Ok(template))
    }

    /// The value it was read from.
    pub fn source(&self) -> &Value {
        &self.0.source
    }

    /// The names all its expressions use.
    pub fn references(&self) -> &References {
        &self.0.references
    }

    /// Whether it holds no expression, so that each rendering is the same.
    pub fn is_plain(&self) -> bool {
        matches!(self.0.node, Node::Plain(_))
    }

    /// The value with each expression worked out in `scope`.
    ///
    /// # Errors
    ///
    /// The first expression that fails; a null, list or map inside a text; a
    /// result of more than [`VALUE_BYTES_MAX`] bytes.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Value, EvalError> {
        render(&self.0.node, scope, &mut Room(VALUE_BYTES_MAX))
    }

    /// As [`Template::render`], but as text: for texts such as a subject.
    ///
    /// # Errors
    ///
    /// As [`Template::render`], and when the result is null, a list or a map.
    pub fn render_text(&self, scope: &Scope<'_>) -> Result<String, EvalError> {
        let value = self.render(scope)?;
        let source = || match &self.0.source {
            Value::String(text) => text.clone(),
            other => truncate_text(&other.to_string(), 200).into_owned(),
        };
        as_text(value).map_err(|message| EvalError { expression: source(), message })
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({})", self.0.source)
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.source.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = Value::deserialize(deserializer)?;
        Template::parse(&source).map_err(|errors| {
            let texts: Vec<String> = errors.iter().map(TemplateError::to_string).collect();
            serde::de::Error::custom(texts.join("; "))
        })
    }
}

fn merged(exprs: &[Expr]) -> References {
    let paths = exprs.iter().flat_map(|expr| &expr.references().paths);
    let functions = exprs.iter().flat_map(|expr| &expr.references().functions);
    References {
        paths: paths.cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        functions: functions.cloned().collect::<BTreeSet<_>>().into_iter().collect(),
    }
}

fn render(node: &Node, scope: &Scope<'_>, room: &mut Room) -> Result<Value, EvalError> {
    Ok(match node {
        Node::Plain(value) => value.clone(),
        Node::Whole(expr) => {
            let value = expr.eval(scope)?;
            room.take(bytes_of(&value), expr)?;
            value
        }
        Node::Mixed(parts) => Value::String(render_parts(parts, scope, room)?),
        Node::List(items) => {
            let items = items.iter().map(|item| render(item, scope, room));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Node::Map(entries) => {
            let entries = entries.iter().map(|(key, item)| Ok((key.clone(), render(item, scope, room)?)));
            Value::Object(entries.collect::<Result<_, _>>()?)
        }
    })
}

fn render_parts(parts: &[Part], scope: &Scope<'_>, room: &mut Room) -> Result<String, EvalError> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Hole(expr) => {
                let written = as_text(expr.eval(scope)?)
                    .map_err(|message| EvalError { expression: expr.source().to_owned(), message })?;
                room.take(written.len(), expr)?;
                text.push_str(&written);
            }
        }
    }
    Ok(text)
}

/// A value as it is written inside a text.
fn as_text(value: Value) -> Result<String, String> {
    let kind = match value {
        Value::String(text) => return Ok(text),
        Value::Number(number) => return Ok(number.to_string()),
        Value::Bool(it) => return Ok(it.to_string()),
        Value::Null => {
            return Err("it is null, which can't be written into a text; \
                        say what to write instead, as in x != null ? x : \"unknown\""
                .to_owned());
        }
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    };
    Err(format!("it is {kind}, which can't be written into a text; use json(…), or join(…) for a list"))
}

/// About how many bytes a value takes as JSON text.
fn bytes_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| bytes_of(item) + 1).sum::<usize>() + 2,
        Value::Object(map) => map.iter().map(|(key, item)| key.len() + 4 + bytes_of(item)).sum::<usize>() + 2,
        _ => 4,
    }
}

impl Room {
    fn take(&mut self, bytes: usize, expr: &Expr) -> Result<(), EvalError> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| EvalError {
            expression: expr.source().to_owned(),
            message: format!(
                "with this the whole is larger than {} KiB, the most a value may hold",
                VALUE_BYTES_MAX / 1024
            ),
        })?;
        Ok(())
    }
}

struct Reader {
    path: Vec<PathPart>,
    errors: Vec<TemplateError>,
    exprs: Vec<Expr>,
}

impl Reader {
    fn node(&mut self, source: &Value) -> Node {
        if self.path.len() > LEVELS_MAX {
            self.mistake(0..0, format!("this nests deeper than {LEVELS_MAX} levels"));
            return Node::Plain(Value::Null);
        }
        match source {
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                let nodes: Vec<Node> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.under(PathPart::Index(index), item))
                    .collect();
                joined_list(nodes)
            }
            Value::Object(map) => {
                let mut nodes = Vec::with_capacity(map.len());
                for (key, item) in map {
                    let node = self.under(PathPart::Key(key.clone()), item);
                    if key.contains("${") {
                        let message = "a key can't hold ${ … }; only values can".to_owned();
                        self.path.push(PathPart::Key(key.clone()));
                        self.mistake(0..0, message);
                        self.path.pop();
                    }
                    nodes.push((key.clone(), node));
                }
                joined_map(nodes)
            }
            other => Node::Plain(other.clone()),
        }
    }

    fn under(&mut self, part: PathPart, item: &Value) -> Node {
        self.path.push(part);
        let node = self.node(item);
        self.path.pop();
        node
    }

    fn mistake(&mut self, range: Range<usize>, message: String) {
        self.errors.push(TemplateError { path: self.path.clone(), range, message });
    }

    fn text(&mut self, text: &str) -> Node {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find('$') {
            let start = at + found;
            plain.push_str(&text[at..start]);
            let rest = &text[start..];
            if rest.starts_with("$${") {
                plain.push_str("${");
                at = start + 3;
            } else if rest.starts_with("${") {
                let Some(end) = closing(text, start + 2) else {
                    self.mistake(start..text.len(), "this ${ has no closing }".to_owned());
                    return Node::Plain(Value::Null);
                };
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                match Expr::parse(&text[start + 2..end]) {
                    Ok(expr) => {
                        self.exprs.push(expr.clone());
                        parts.push(Part::Hole(expr));
                    }
                    Err(error) => {
                        let place = error.range.start + start + 2..error.range.end + start + 2;
                        self.mistake(place, error.message);
                    }
                }
                at = end + 1;
            } else {
                plain.push('$');
                at = start + 1;
            }
        }
        plain.push_str(&text[at..]);
        match parts.as_slice() {
            [] => Node::Plain(Value::String(plain)),
            // YAML's block texts end with a line break nobody wrote.
            [Part::Hole(expr)] if plain.chars().all(|c| c == '\n') => Node::Whole(expr.clone()),
            _ => {
                if !plain.is_empty() {
                    parts.push(Part::Text(plain));
                }
                Node::Mixed(parts)
            }
        }
    }
}

/// A list of plain values is one plain value, so that rendering it is one copy.
fn joined_list(nodes: Vec<Node>) -> Node {
    if !nodes.iter().all(|node| matches!(node, Node::Plain(_))) {
        return Node::List(nodes);
    }
    let values = nodes.into_iter().filter_map(|node| match node {
        Node::Plain(value) => Some(value),
        _ => None,
    });
    Node::Plain(Value::Array(values.collect()))
}

fn joined_map(nodes: Vec<(String, Node)>) -> Node {
    if !nodes.iter().all(|(_, node)| matches!(node, Node::Plain(_))) {
        return Node::Map(nodes);
    }
    let entries = nodes.into_iter().filter_map(|(key, node)| match node {
        Node::Plain(value) => Some((key, value)),
        _ => None,
    });
    Node::Plain(Value::Object(entries.collect()))
}

/// The byte of the `}` that closes the expression that begins at `start`.
/// Braces inside texts, comments and maps are the expression's own.
fn closing(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = start;
    let mut open = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            b'"' | b'\'' => at = after_literal(bytes, start, at)?,
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes[at..].iter().position(|byte| *byte == b'\n')?;
            }
            _ => {}
        }
        // A literal leaves `at` on its last quote.
        at += 1;
    }
    None
}

/// The place of the last quote of the text literal whose first is at `quote`.
pub(super) fn after_literal(bytes: &[u8], start: usize, quote: usize) -> Option<usize> {
    let mark = bytes[quote];
    let raw = quote > start && bytes[quote - 1].eq_ignore_ascii_case(&b'r');
    let long = bytes.get(quote + 1) == Some(&mark) && bytes.get(quote + 2) == Some(&mark);
    let mut at = quote + if long { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if !raw => at += 1,
            byte if byte != mark => {}
            _ if !long => return Some(at),
            _ if bytes.get(at + 1) == Some(&mark) && bytes.get(at + 2) == Some(&mark) => {
                return Some(at + 2);
            }
            _ => {}
        }
        at += 1;
    }
    None
}

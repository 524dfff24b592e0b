//! A value with the place it was written at.

use serde_json::Value;

/// A stretch of the text that was read.
///
/// Offsets are bytes, start inclusive and end exclusive, on character
/// boundaries of that text. Lines and columns count from 1, columns in
/// characters; `end_line` and `end_column` are those of `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub start: usize,
    pub end: usize,
    pub line: usize,
    pub column: usize,
    pub end_line: usize,
    pub end_column: usize,
}

impl Default for Place {
    /// The very start of a file: for mistakes about the file as a whole.
    fn default() -> Self {
        Self { start: 0, end: 0, line: 1, column: 1, end_line: 1, end_column: 1 }
    }
}

impl Place {
    /// The place of `text[start..end]`, both moved back to character boundaries
    /// inside the text. Walks the text from its start: for single places.
    #[must_use]
    pub fn of(text: &str, start: usize, end: usize) -> Self {
        let start = floor_boundary(text, start);
        let end = floor_boundary(text, end.max(start));
        let begin = after_mark(text);
        let (line, column) = advance((1, 1), &text[begin.min(start)..start]);
        let passed = &text[begin.clamp(start, end)..end];
        let (end_line, end_column) = advance((line, column), passed);
        Self { start, end, line, column, end_line, end_column }
    }

    /// The same start, ending where `other` ends if that is further on.
    #[must_use]
    pub fn up_to(self, other: Self) -> Self {
        if other.end < self.end {
            return self;
        }
        Self { end: other.end, end_line: other.end_line, end_column: other.end_column, ..self }
    }
}

/// The greatest character boundary of `text` at or before `offset`.
pub(super) fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Where the first line starts: behind a byte order mark, which has no width.
pub(super) fn after_mark(text: &str) -> usize {
    let mark = '\u{feff}';
    if text.starts_with(mark) { mark.len_utf8() } else { 0 }
}

/// Line and column after reading `passed`.
pub(super) fn advance(from: (usize, usize), passed: &str) -> (usize, usize) {
    passed.chars().fold(from, |(line, column), c| match c {
        '\n' => (line + 1, 1),
        _ => (line, column + 1),
    })
}

/// A key of a map and where it is written, quotes included.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub name: String,
    pub place: Place,
}

/// A value and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: NodeValue,
    pub place: Place,
}

/// What a value is. Maps keep the order of the file; their keys are unique.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue {
    Null,
    Bool(bool),
    Int(i64),
    /// Always finite.
    Float(f64),
    Str(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

impl Node {
    /// The value of `key`, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|(known, _)| known.name == key).map(|(_, value)| value)
    }

    /// The text, if this is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if this is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            NodeValue::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries in the order of the file, if this is a map.
    #[must_use]
    pub fn as_map(&self) -> Option<&[(Key, Node)]> {
        match &self.value {
            NodeValue::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// What the author would call this: "a list", "text", "nothing".
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match &self.value {
            NodeValue::Null => "nothing",
            NodeValue::Bool(true) => "the boolean `true`",
            NodeValue::Bool(false) => "the boolean `false`",
            NodeValue::Int(_) | NodeValue::Float(_) => "a number",
            NodeValue::Str(text) if text.is_empty() => "empty text",
            NodeValue::Str(_) => "text",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a map",
        }
    }

    /// The same value as JSON, places left behind.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(is) => Value::Bool(*is),
            NodeValue::Int(number) => Value::from(*number),
            NodeValue::Float(number) => Value::from(*number),
            NodeValue::Str(text) => Value::String(text.clone()),
            NodeValue::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            NodeValue::Map(entries) => Value::Object(
                entries.iter().map(|(key, value)| (key.name.clone(), value.to_json())).collect(),
            ),
        }
    }

    /// Where `value[start..end]` of this text stands in the file `source`, so
    /// that a mistake inside an expression is underlined itself. Folded
    /// lines and quotes are followed; falls back to the whole text when escapes
    /// make the answer unsure.
    #[must_use]
    pub fn place_within(&self, source: &str, start: usize, end: usize) -> Place {
        let whole = self.place;
        let (Some(value), Some(written)) = (self.as_str(), source.get(whole.start..whole.end)) else {
            return whole;
        };
        if value.get(start..end).is_none() {
            return whole;
        }
        let (from, to) = match written.find(value.trim_end_matches('\n')) {
            Some(offset) => (offset + start, offset + end),
            None => match spread(written, value, start, end) {
                Some(range) => range,
                None => return whole,
            },
        };
        let (Some(before), Some(found)) = (written.get(..from), written.get(from..to)) else {
            return whole;
        };
        // Counted from where the text begins: many mistakes cost no walk each through the file.
        let (line, column) = advance((whole.line, whole.column), before);
        let (end_line, end_column) = advance((line, column), found);
        let at = whole.start + from;
        Place { start: at, end: at + (to - from), line, column, end_line, end_column }
    }
}

/// The bytes of the written text in which `value[start..end]` stands, when it
/// is folded, indented or escaped: those change white space and write some
/// characters with two, so the other characters are counted off against one
/// another. None when they do not fit.
fn spread(written: &str, value: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let solid = |text: &str| text.chars().filter(|c| !is_white(*c)).count();
    let placed = solid_bytes(written)?;
    if placed.len() != solid(value) {
        return None;
    }
    let first = solid(value.get(..start)?);
    let count = solid(value.get(start..end)?);
    if count == 0 {
        // Right behind what stands before it.
        let at = first.checked_sub(1).map_or(0, |before| placed[before].1);
        return Some((at, at));
    }
    Some((placed[first].0, placed[first + count - 1].1))
}

fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Where each character that is no white space stands in a written text,
/// quotes around it left out. None for escapes that are not read here.
fn solid_bytes(written: &str) -> Option<Vec<(usize, usize)>> {
    let quote = written
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\''))
        .filter(|quote| written.len() > 1 && written.ends_with(*quote));
    let inner = if quote.is_some() { 1..written.len() - 1 } else { 0..written.len() };
    let mut chars = written.get(inner.clone())?.char_indices().peekable();
    let mut placed = Vec::new();
    while let Some((at, c)) = chars.next() {
        let at = at + inner.start;
        let mut width = c.len_utf8();
        match (quote, c) {
            (Some('\''), '\'') => {
                chars.next().filter(|(_, next)| *next == '\'')?;
                width = 2;
            }
            (Some('"'), '\\') => match chars.next()?.1 {
                '"' | '\\' | '/' => width = 2,
                'n' | 't' | 'r' | ' ' | '\n' | '\r' => continue,
                _ => return None,
            },
            _ => {}
        }
        if !is_white(c) {
            placed.push((at, at + width));
        }
    }
    Some(placed)
}

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
    /// that a mistake inside an expression is underlined itself. Falls back to
    /// the whole text when escapes or folding make the answer unsure.
    #[must_use]
    pub fn place_within(&self, source: &str, start: usize, end: usize) -> Place {
        let whole = self.place;
        let (Some(value), Some(written)) = (self.as_str(), source.get(whole.start..whole.end)) else {
            return whole;
        };
        let Some(part) = value.get(start..end) else {
            return whole;
        };
        let at = match written.find(value.trim_end_matches('\n')) {
            Some(offset) => whole.start + offset + start,
            None => match block_offset(written, value, start) {
                Some(offset) => whole.start + offset,
                None => return whole,
            },
        };
        match source.get(at..at + part.len()) {
            Some(found) if found == part => Place::of(source, at, at + part.len()),
            _ => whole,
        }
    }
}

/// The offset in the written lines of a `|` block of the byte `start` of its
/// value: each line of the value ends its written line, after the indentation.
fn block_offset(written: &str, value: &str, start: usize) -> Option<usize> {
    let before = value.get(..start)?;
    let row = before.matches('\n').count();
    let in_row = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
    let content = value.split('\n').nth(row)?;
    let mut lines = written.split('\n');
    let passed: usize = lines.by_ref().take(row).map(|line| line.len() + 1).sum();
    let line = lines.next()?.trim_end_matches('\r');
    let indent = line.strip_suffix(content)?;
    indent.bytes().all(|b| b == b' ').then_some(passed + indent.len() + in_row)
}

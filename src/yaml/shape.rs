//! From a [`Node`] to typed things, collecting every mistake in one pass.
//!
//! ```text
//! let reader = Reader::new(file);
//! let map = reader.root("a playbook", &node).map()?;
//! let name   = map.required("name").and_then(Field::non_empty);
//! let within = map.optional("within").and_then(Field::duration);
//! map.finish();                       // unknown keys, with suggestions
//! let mistakes = reader.into_diagnostics();
//! ```
//!
//! A getter that answers `None` has reported why (`optional` on an absent key
//! excepted), so callers go on with the next key and never report twice.

use crate::yaml::codes;
use crate::yaml::diagnostic::{Diagnostic, Severity, did_you_mean, list_of, quoted};
use crate::yaml::map::MapReader;
use crate::yaml::node::{Node, NodeValue, Place};
use crate::yaml::units::{DURATION_DAYS_MAX, parse_duration_within, parse_size};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// Characters of an id: it is part of keys, file names and addresses.
pub const ID_CHARS_MAX: usize = 64;

/// Collects the mistakes of one file while it is read.
#[derive(Debug)]
pub struct Reader {
    pub(super) file: Arc<str>,
    found: RefCell<Vec<Diagnostic>>,
    left_out: Cell<usize>,
}

impl Reader {
    /// A reader of the file that authors know as `file`.
    pub fn new(file: impl Into<Arc<str>>) -> Self {
        Self { file: file.into(), found: RefCell::new(Vec::new()), left_out: Cell::new(0) }
    }

    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The whole file; `called` names it in messages, such as "a playbook".
    #[must_use]
    pub fn root<'a>(&'a self, called: &'a str, node: &'a Node) -> Field<'a> {
        Field { reader: self, name: Name::Root(called), node }
    }

    /// Adds a mistake.
    pub fn report(&self, mistake: Diagnostic) {
        self.found.borrow_mut().push(mistake);
    }

    /// Notes mistakes that were found and are not reported one by one.
    pub fn leave_out(&self, count: usize) {
        self.left_out.set(self.left_out.get() + count);
    }

    /// How many mistakes were found and not reported.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out.get()
    }

    /// Whether an error was reported. Warnings do not count.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        let found = self.found.borrow();
        found.iter().any(|mistake| mistake.severity == Severity::Error)
    }

    /// Everything reported, in the order it was found.
    #[must_use]
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.found.into_inner()
    }
}

/// What a value is called in messages.
#[derive(Debug, Clone, Copy)]
pub(super) enum Name<'a> {
    Root(&'a str),
    Key(&'a str),
    Item(&'a str),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(called) => f.write_str(called),
            Self::Key(key) => f.write_str(&quoted(key)),
            Self::Item(list) => write!(f, "an item of {}", quoted(list)),
        }
    }
}

/// A value, what it is called, and where its mistakes go.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    pub(super) reader: &'a Reader,
    pub(super) name: Name<'a>,
    pub(super) node: &'a Node,
}

impl<'a> Field<'a> {
    /// The value itself.
    #[must_use]
    pub fn node(self) -> &'a Node {
        self.node
    }

    /// Where the value is written.
    #[must_use]
    pub fn place(self) -> Place {
        self.node.place
    }

    /// Reports a mistake of the caller's own at this value.
    pub fn mistake(self, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        let mistake = Diagnostic::error(code, &self.reader.file, self.node.place, message);
        self.reader.report(mistake.help(help));
    }

    /// Reports something that the file can be used with, and that must be seen to.
    pub fn warning(self, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        let warning = Diagnostic::warning(code, &self.reader.file, self.node.place, message);
        self.reader.report(warning.help(help));
    }

    /// Reports a mistake of the caller's own at a part of this value.
    pub fn mistake_at(
        self,
        place: Place,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let mistake = Diagnostic::error(code, &self.reader.file, place, message);
        self.reader.report(mistake.label("here").help(help));
    }

    /// Where mistakes about this value go.
    #[must_use]
    pub fn reader(self) -> &'a Reader {
        self.reader
    }

    fn wrong_type<T>(self, expected: &str, help: Option<String>) -> Option<T> {
        let message = format!("{} takes {expected}, found {}", self.name, self.node.kind_name());
        let mut mistake = Diagnostic::error(codes::WRONG_TYPE, &self.reader.file, self.node.place, message)
            .label(format!("expected {expected}"));
        mistake.help = Some(help.unwrap_or_else(|| format!("write {expected}")));
        self.reader.report(mistake);
        None
    }

    /// Any text, the empty one included.
    #[must_use]
    pub fn text(self) -> Option<&'a str> {
        self.text_as("text")
    }

    fn text_as(self, expected: &str) -> Option<&'a str> {
        let help = match &self.node.value {
            NodeValue::Str(text) => return Some(text),
            NodeValue::Bool(_) | NodeValue::Float(_) => "put it in quotes".to_owned(),
            NodeValue::Int(number) => format!("put it in quotes: \"{number}\""),
            NodeValue::Map(_) => "text that starts with `{` or contains `: ` needs quotes".to_owned(),
            NodeValue::List(_) => "text that starts with `[` or `- ` needs quotes".to_owned(),
            NodeValue::Null => return self.wrong_type(expected, None),
        };
        self.wrong_type(expected, Some(help))
    }

    /// Text that is more than white space.
    #[must_use]
    pub fn non_empty(self) -> Option<&'a str> {
        let text = self.text()?;
        if text.trim().is_empty() {
            let message = format!("{} must not be empty", self.name);
            self.mistake(codes::EMPTY, message, "write something, or remove the key");
            return None;
        }
        Some(text)
    }

    /// A name for machines: `[a-z0-9][a-z0-9_-]*`, at most [`ID_CHARS_MAX`].
    #[must_use]
    pub fn id(self) -> Option<&'a str> {
        let text = self.text_as("an id")?;
        if is_id(text) {
            return Some(text);
        }
        let message = format!("{} is not an id: {}", self.name, quoted(text));
        let help = format!(
            "ids have a to z, 0 to 9, `_` and `-`, start with a letter or digit, and have at most {ID_CHARS_MAX} characters"
        );
        self.mistake(codes::BAD_ID, message, help);
        None
    }

    /// `true` or `false`; `yes` and `on` are text.
    #[must_use]
    pub fn bool(self) -> Option<bool> {
        let help = match &self.node.value {
            NodeValue::Bool(is) => return Some(*is),
            NodeValue::Str(text) => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "true" => Some("write `true` without quotes".to_owned()),
                "no" | "off" | "n" | "false" => Some("write `false` without quotes".to_owned()),
                _ => None,
            },
            _ => None,
        };
        self.wrong_type("`true` or `false`", help)
    }

    /// A whole number within `range`.
    #[must_use]
    pub fn int(self, range: RangeInclusive<i64>) -> Option<i64> {
        let (least, most) = (*range.start(), *range.end());
        let expected = match (least, most) {
            (i64::MIN, i64::MAX) => "a whole number".to_owned(),
            _ => format!("a whole number from {least} to {most}"),
        };
        match &self.node.value {
            NodeValue::Int(number) if range.contains(number) => Some(*number),
            NodeValue::Int(number) => {
                let message = format!("{} takes {expected}, found {number}", self.name);
                let nearest = (*number).clamp(least, most);
                let help = format!("the nearest that is allowed is {nearest}");
                self.mistake(codes::OUT_OF_RANGE, message, help);
                None
            }
            NodeValue::Str(text) if text.parse::<i64>().is_ok() => {
                self.wrong_type(&expected, Some("remove the quotes".to_owned()))
            }
            _ => self.wrong_type(&expected, None),
        }
    }

    /// A number, whole or not, within `range`.
    #[must_use]
    pub fn number(self, range: RangeInclusive<f64>) -> Option<f64> {
        let expected = match (*range.start(), *range.end()) {
            (f64::MIN, f64::MAX) => "a number".to_owned(),
            (least, most) => format!("a number from {least} to {most}"),
        };
        let number = match &self.node.value {
            #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^53")]
            NodeValue::Int(number) => *number as f64,
            NodeValue::Float(number) => *number,
            _ => return self.wrong_type(&expected, None),
        };
        if range.contains(&number) {
            return Some(number);
        }
        let message = format!("{} takes {expected}, found {number}", self.name);
        self.mistake(codes::OUT_OF_RANGE, message, "choose a number in between");
        None
    }

    /// The items of a list, each to be read further.
    #[must_use]
    pub fn list(self) -> Option<Vec<Field<'a>>> {
        match &self.node.value {
            NodeValue::List(items) => Some(self.items(items)),
            NodeValue::Null => self.wrong_type("a list", Some("write `[]` for none".to_owned())),
            _ => {
                let help = "start each item on its own line with `- `".to_owned();
                self.wrong_type("a list", Some(help))
            }
        }
    }

    fn items(self, items: &'a [Node]) -> Vec<Field<'a>> {
        let list = match self.name {
            Name::Key(name) | Name::Item(name) | Name::Root(name) => name,
        };
        let field = |node| Field { name: Name::Item(list), node, ..self };
        items.iter().map(field).collect()
    }

    /// The items of a list, or the one value that stands for a list of one.
    #[must_use]
    pub fn one_or_many(self) -> Vec<Field<'a>> {
        match &self.node.value {
            NodeValue::List(items) => self.items(items),
            _ => vec![self],
        }
    }

    /// One text or a list of texts, none of them empty.
    #[must_use]
    pub fn texts(self) -> Option<Vec<&'a str>> {
        match &self.node.value {
            NodeValue::List(_) | NodeValue::Str(_) => {}
            NodeValue::Int(_) | NodeValue::Float(_) | NodeValue::Bool(_) => {
                return self.wrong_type("text or a list of texts", Some("put it in quotes".into()));
            }
            NodeValue::Null | NodeValue::Map(_) => {
                return self.wrong_type("text or a list of texts", None);
            }
        }
        let fields = self.one_or_many();
        let texts: Vec<_> = fields.iter().filter_map(|field| field.non_empty()).collect();
        (texts.len() == fields.len()).then_some(texts)
    }

    /// A map, whose keys are then asked for.
    #[must_use]
    pub fn map(self) -> Option<MapReader<'a>> {
        match &self.node.value {
            NodeValue::Map(entries) => Some(MapReader::new(self, entries)),
            NodeValue::Null => self.wrong_type("a map", Some("write `{}` for an empty one".into())),
            _ => self.wrong_type("a map", Some("write `key: value` lines".to_owned())),
        }
    }

    /// One of `words`; the answer is the one from `words`.
    #[must_use]
    pub fn one_of(self, words: &[&'static str]) -> Option<&'static str> {
        let listed = list_of(words);
        let text = self.text_as(&format!("one of {listed}"))?;
        if let Some(word) = words.iter().find(|word| **word == text) {
            return Some(word);
        }
        let message = format!("{} cannot be {}", self.name, quoted(text));
        let help = match did_you_mean(text, words) {
            Some(meant) => format!("did you mean {}? It takes {listed}", quoted(&meant)),
            None => format!("it takes {listed}"),
        };
        self.mistake(codes::NOT_ONE_OF, message, help);
        None
    }

    /// A duration such as `30m` or `1h30m`; rules in [`crate::yaml::units::parse_duration`].
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        self.duration_within(DURATION_DAYS_MAX)
    }

    /// The same, up to another number of days.
    #[must_use]
    pub fn duration_within(self, days_max: u64) -> Option<Duration> {
        let expected = "a duration such as 30m";
        let help = "write a number and a unit: 500ms, 90s, 30m, 4h, 7d, 2w, or a sum such as 1h30m";
        match &self.node.value {
            NodeValue::Str(text) => match parse_duration_within(text, days_max) {
                Ok(duration) => Some(duration),
                Err(why) => {
                    let message = format!("{}: {} {why}", self.name, quoted(text));
                    self.mistake(codes::BAD_DURATION, message, help);
                    None
                }
            },
            NodeValue::Int(count) if *count > 0 => {
                let help = format!("add a unit: {count}s, {count}m or {count}h");
                self.wrong_type(expected, Some(help))
            }
            _ => self.wrong_type(expected, None),
        }
    }

    /// A size in bytes such as `64KB` or `1MiB`; rules in [`parse_size`].
    #[must_use]
    pub fn size(self) -> Option<u64> {
        let expected = "a size such as 64KB";
        let text = match &self.node.value {
            NodeValue::Str(text) => text,
            NodeValue::Int(count) if *count > 0 => {
                let help = format!("add a unit: {count}B or {count}KB");
                return self.wrong_type(expected, Some(help));
            }
            _ => return self.wrong_type(expected, None),
        };
        match parse_size(text) {
            Ok(bytes) => Some(bytes),
            Err(why) => {
                let message = format!("{}: {} {why}", self.name, quoted(text));
                self.mistake(codes::BAD_SIZE, message, "write a number and a unit: 64KB, 1MiB");
                None
            }
        }
    }
}

/// Whether `text` is an id; see [`Field::id`].
#[must_use]
pub fn is_id(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= ID_CHARS_MAX
        && text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().all(|b| alphanumeric(b) || b == b'_' || b == b'-')
}

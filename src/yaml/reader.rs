//! YAML text to a [`Node`], all mistakes at once.
//!
//! ```text
//! bytes ─UTF-8, size, characters→ text ─parser events→ open lists and maps ─→ Node
//! ```
//!
//! Every limit is checked before the work it bounds. Aliases are refused, not
//! expanded, so that memory is bounded by the size of the file.

use crate::yaml::characters::refused_characters;
use crate::yaml::codes;
use crate::yaml::diagnostic::{Diagnostic, quoted};
use crate::yaml::node::{Key, Node, NodeValue, Place, advance};
use crate::yaml::{foreign, scalar, syntax};
use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle, options};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of one authored file. The longest playbooks are some 20 KiB; twelve
/// times that still reads in a few milliseconds.
pub const YAML_BYTES_MAX: usize = 256 * 1024;

/// Lists and maps inside one another, the outermost counted. Playbooks need
/// about ten; whoever walks the tree by recursion is safe far above 32.
pub const YAML_DEPTH_MAX: usize = 32;

/// Values, keys included, of one file.
pub const YAML_NODES_MAX: usize = 50_000;

/// Bytes of one text: the largest value that the journal keeps in place.
pub const YAML_SCALAR_BYTES_MAX: usize = 64 * 1024;

/// Mistakes reported for one file; reading ends there. Nobody reads more.
pub const DIAGNOSTICS_MAX: usize = 100;

/// Reads a file that may not be UTF-8; otherwise as [`read`].
///
/// # Errors
/// As [`read`], and `yaml-utf8`. The place of that one lies in the file read
/// up to its first bad byte.
pub fn read_bytes(file: &str, bytes: &[u8]) -> Result<Node, Vec<Diagnostic>> {
    if bytes.len() > YAML_BYTES_MAX {
        return Err(vec![too_large(&Arc::from(file), Some(bytes.len()))]);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => read(file, text),
        Err(mistake) => Err(vec![not_utf8(&Arc::from(file), bytes, mistake)]),
    }
}

/// The mistake of a file that is not UTF-8, at its first bad byte.
#[must_use]
pub fn not_utf8(file: &Arc<str>, bytes: &[u8], mistake: std::str::Utf8Error) -> Diagnostic {
    let good = bytes.get(..mistake.valid_up_to()).unwrap_or_default();
    let good = String::from_utf8_lossy(good);
    let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let message =
        if wide { "this file is UTF-16, not UTF-8" } else { "this file has bytes that are not UTF-8" };
    let place = Place::of(&good, good.len(), good.len());
    Diagnostic::error(codes::YAML_UTF8, file, place, message)
        .label("the first bad byte is here")
        .help("save the file as UTF-8")
}

/// Reads one YAML document. `file` is the name shown in mistakes.
///
/// An empty file is [`NodeValue::Null`]. A byte order mark is skipped; lines
/// may end in CRLF. Text in quotes and block text is always text.
///
/// # Errors
/// Every mistake found, in the order of the file; never an empty list. A
/// syntax mistake or an exceeded limit ends reading.
pub fn read(file: &str, text: &str) -> Result<Node, Vec<Diagnostic>> {
    let file: Arc<str> = file.into();
    if text.len() > YAML_BYTES_MAX {
        return Err(vec![too_large(&file, Some(text.len()))]);
    }
    let refused = refused_characters(&file, text);
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut builder =
        Builder { file, text, open: Vec::new(), root: None, nodes: 0, documents: 0, found: Vec::new() };
    builder.run();
    if builder.found.is_empty() {
        Ok(builder.root.unwrap_or(Node { value: NodeValue::Null, place: Place::default() }))
    } else {
        // Anchors are told after the value they stand before.
        builder.found.sort_by_key(|mistake| mistake.place.start);
        Err(builder.found)
    }
}

/// The mistake of a file that is too large; none = its size is not known.
#[must_use]
pub fn too_large(file: &Arc<str>, bytes: Option<usize>) -> Diagnostic {
    let size = bytes.map_or_else(|| "too many".to_owned(), |bytes| bytes.to_string());
    let message = format!(
        "this file has {size} bytes; at most {YAML_BYTES_MAX} ({} KiB) are read",
        YAML_BYTES_MAX / 1024
    );
    Diagnostic::error(codes::YAML_TOO_LARGE, file, Place::default(), message)
        .help("split the file, or keep data out of it")
}

/// A list or map whose end has not been read yet.
struct Open {
    place: Place,
    in_brackets: bool,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<(Key, Node)>,
        seen: HashMap<String, Place>,
        /// The key whose value comes next.
        key: Option<Key>,
    },
}

struct Builder<'a> {
    file: Arc<str>,
    text: &'a str,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
    found: Vec<Diagnostic>,
}

impl Builder<'_> {
    fn run(&mut self) {
        let options = options! {
            emit_comments: false,
            emit_anchor_events: true,
            emit_unresolved_aliases: true,
            disallow_directives: true,
            flow_nesting_limit: YAML_DEPTH_MAX,
            block_nesting_limit: YAML_DEPTH_MAX,
        };
        for next in Parser::new_from_str_with_options(self.text, options) {
            let going_on = match next {
                Ok((event, span)) => self.event(event, &span),
                Err(mistake) => {
                    let place = self.place(&Span::empty(*mistake.marker()));
                    let place = if syntax::is_tab(mistake.kind()) { self.tab_from(place) } else { place };
                    let place = self.widen(place);
                    let told = syntax::diagnose(mistake.kind(), &self.file, place);
                    let begin = self.text[..place.start].rfind('\n').map_or(0, |at| at + 1);
                    let line = self.text[begin..].lines().next().unwrap_or_default();
                    self.found.push(match foreign::look_alike(line) {
                        Some(what) => told.help(foreign::type_it_anew(&what)),
                        None => told,
                    });
                    false
                }
            };
            if !going_on || self.found.len() >= DIAGNOSTICS_MAX {
                return;
            }
        }
    }

    /// Takes one event in; false ends reading.
    fn event(&mut self, event: Event<'_>, span: &Span) -> bool {
        let place = self.place(span);
        if event.is_node() {
            self.nodes += 1;
            if self.nodes > YAML_NODES_MAX {
                let message = format!("this file has more than {YAML_NODES_MAX} values");
                self.mistake(codes::YAML_TOO_MANY, place, message, "split the file");
                return false;
            }
        }
        if event.tag().is_some() {
            let tag = span.tag_span().map_or(place, |span| self.place(&span));
            let help = "remove the tag; if it is text, put it in quotes";
            self.mistake(codes::YAML_TAG, tag, "tags are not used here", help);
        }
        match event {
            Event::DocumentStart(..) => return self.document(place),
            Event::Anchor(..) => {
                let help = "remove it; text that starts with `&` needs quotes";
                self.mistake(codes::YAML_ANCHOR, place, "anchors are not used here", help);
            }
            Event::Alias(..) | Event::UnresolvedAlias(..) => {
                let help = "write the value out; text that starts with `*` needs quotes";
                self.mistake(codes::YAML_ALIAS, place, "aliases are not used here", help);
                self.close(NodeValue::Null, place);
            }
            Event::Scalar(word, style, ..) => self.scalar(&word, style, place),
            Event::SequenceStart(style, ..) => {
                return self.begin(Content::List(Vec::new()), style, place);
            }
            Event::MappingStart(style, ..) => {
                let content = Content::Map { entries: Vec::new(), seen: HashMap::new(), key: None };
                return self.begin(content, style, place);
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(place),
            _ => {}
        }
        true
    }

    fn document(&mut self, place: Place) -> bool {
        self.documents += 1;
        if self.documents == 1 {
            return true;
        }
        let help = "keep one document in a file; a text line of `---` belongs in quotes";
        let message = "a second document starts here";
        self.mistake(codes::YAML_DOCUMENTS, place, message, help);
        false
    }

    fn begin(&mut self, content: Content, style: StructureStyle, place: Place) -> bool {
        if self.open.len() == YAML_DEPTH_MAX {
            let place = self.widen(place);
            self.mistake(codes::YAML_TOO_DEEP, place, syntax::too_deep(), syntax::FLATTEN);
            return false;
        }
        self.open.push(Open { place, in_brackets: style == StructureStyle::Flow, content });
        true
    }

    fn end(&mut self, at: Place) {
        let Some(open) = self.open.pop() else { return };
        let (value, last) = match open.content {
            Content::List(items) => {
                let last = items.last().map(|item| item.place);
                (NodeValue::List(items), last)
            }
            Content::Map { entries, .. } => {
                let last = entries.last().map(|(key, node)| key.place.up_to(node.place));
                (NodeValue::Map(entries), last)
            }
        };
        // The end of an indented list or map is told where the next thing
        // starts, lines further down.
        let mut place = last.map_or(open.place, |last| open.place.up_to(last));
        if open.in_brackets {
            place = place.up_to(at);
        }
        self.close(value, place);
    }

    fn scalar(&mut self, word: &str, style: ScalarStyle, mut place: Place) {
        let value = match style {
            // Nothing at all is told as a bare `~` without width.
            ScalarStyle::Plain if place.start == place.end => NodeValue::Null,
            ScalarStyle::Plain if word == "<<" && self.at_key() => {
                let help = "write the entries out; a key named `<<` needs quotes";
                let message = "merge keys are not used here";
                self.mistake(codes::YAML_MERGE_KEY, place, message, help);
                NodeValue::Str(word.to_owned())
            }
            ScalarStyle::Plain => match scalar::resolve(word) {
                Ok(value) => value,
                Err(refused) => {
                    self.mistake(refused.code, place, refused.message, refused.help);
                    NodeValue::Str(word.to_owned())
                }
            },
            ScalarStyle::Literal | ScalarStyle::Folded => {
                place = self.without_line_ends(place);
                NodeValue::Str(word.to_owned())
            }
            _ => NodeValue::Str(word.to_owned()),
        };
        if word.len() > YAML_SCALAR_BYTES_MAX {
            let message = format!(
                "this text has {} bytes; at most {YAML_SCALAR_BYTES_MAX} ({} KiB) are read",
                word.len(),
                YAML_SCALAR_BYTES_MAX / 1024
            );
            let help = "keep data out of this file";
            self.mistake(codes::YAML_TOO_LARGE, place, message, help);
        }
        self.close(value, place);
    }

    /// Whether the next value is the key of a map.
    fn at_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    /// Puts a complete value into what is open around it.
    fn close(&mut self, value: NodeValue, place: Place) {
        if self.at_key() {
            return self.key(value, place);
        }
        let node = Node { value, place };
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key, .. }) => {
                if let Some(key) = key.take() {
                    entries.push((key, node));
                }
            }
        }
    }

    fn key(&mut self, value: NodeValue, place: Place) {
        let node = Node { value, place };
        let (name, mut mistake) = match node.value {
            NodeValue::Str(name) => (name, None),
            _ => {
                let help = match node.value {
                    NodeValue::List(_) | NodeValue::Map(_) => {
                        "put text that starts with `{` or `[` in quotes"
                    }
                    _ => "put the key in quotes",
                };
                let message = format!("a key must be text, found {}", node.kind_name());
                let mistake = Diagnostic::error(codes::YAML_KEY, &self.file, place, message);
                (String::new(), Some(mistake.help(help)))
            }
        };
        if let Some(Open { content: Content::Map { seen, key, .. }, .. }) = self.open.last_mut() {
            // A refused key has no name that could occur twice.
            if mistake.is_none() {
                mistake = match seen.get(&name) {
                    Some(first) => Some(duplicate(&self.file, &name, place, *first)),
                    None => {
                        seen.insert(name.clone(), place);
                        None
                    }
                };
            }
            *key = Some(Key { name, place });
        }
        self.found.extend(mistake);
    }

    fn mistake(
        &mut self,
        code: &'static str,
        place: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found.push(Diagnostic::error(code, &self.file, place, message).help(help));
    }

    fn place(&self, span: &Span) -> Place {
        let start = span.start.byte_offset().unwrap_or(0).min(self.text.len());
        let end = span.end.byte_offset().unwrap_or(start);
        Place {
            start,
            end: end.clamp(start, self.text.len()),
            line: span.start.line().max(1),
            column: span.start.col() + 1,
            end_line: span.end.line().max(1),
            end_column: span.end.col() + 1,
        }
    }

    /// A place of no width made one character wide, so that it can be underlined.
    fn widen(&self, place: Place) -> Place {
        let next = self.text.get(place.start..).and_then(|t| t.chars().next());
        match next {
            Some(c) if place.start == place.end && !matches!(c, '\n' | '\r') => {
                Place { end: place.start + c.len_utf8(), end_column: place.column + 1, ..place }
            }
            _ => place,
        }
    }

    /// The tab at `place` or the next behind it: the parser tells some where
    /// the value before them began.
    fn tab_from(&self, place: Place) -> Place {
        let found = self.text.get(place.start..).and_then(|rest| rest.find('\t'));
        found.map_or(place, |found| Place::of(self.text, place.start + found, place.start + found))
    }

    /// A block of text, without the line ends and blank lines behind it.
    fn without_line_ends(&self, place: Place) -> Place {
        let written = self.text.get(place.start..place.end).unwrap_or_default();
        let kept = written.trim_end_matches(['\n', '\r', ' ', '\t']);
        let (end_line, end_column) = advance((place.line, place.column), kept);
        Place { end: place.start + kept.len(), end_line, end_column, ..place }
    }
}

fn duplicate(file: &Arc<str>, name: &str, place: Place, first: Place) -> Diagnostic {
    let message = format!("the key {} is written twice", quoted(name));
    Diagnostic::error(codes::YAML_DUPLICATE_KEY, file, place, message)
        .label("written again here")
        .also(first, "first written here")
        .help("keep one of the two")
}

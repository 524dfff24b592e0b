//! Mistakes as people and as programs read them.
//!
//! The file and the message are text from outside: whatever could steer a
//! terminal or hide is replaced, character by character, so that columns hold.

use crate::yaml::diagnostic::{Diagnostic, Severity};
use crate::yaml::node::{Place, after_mark, floor_boundary};
use annotate_snippets::{Annotation, AnnotationKind, Element, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// Bytes of a source line that are looked at; longer lines are cut around the
/// mistake first, since rendering costs the whole line for each mistake in it.
const LINE_BYTES_MAX: usize = 1_000;

/// Bytes kept before the mistake in a line that is cut.
const LINE_BYTES_BEFORE: usize = 400;

/// Bytes between two places of one mistake up to which the lines between them
/// are kept; the renderer decides which of those it shows.
const BETWEEN_BYTES_MAX: usize = 16 * 1024;

/// The mistakes as text for a terminal, sorted by file and place, one empty
/// line between. `text_of` gives the text of a file by the name mistakes
/// carry; without it the place is told and nothing is quoted.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], text_of: &dyn Fn(&str) -> Option<String>, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut texts: HashMap<&str, Option<String>> = HashMap::new();
    let mut rendered = String::new();
    for diagnostic in sorted(diagnostics) {
        let file: &str = &diagnostic.file;
        let text = texts.entry(file).or_insert_with(|| text_of(file));
        if !rendered.is_empty() {
            rendered.push('\n');
        }
        rendered.push_str(&one(&renderer, diagnostic, text.as_deref()));
        rendered.push('\n');
    }
    rendered
}

/// The mistakes as a JSON list, sorted by file and place.
#[must_use]
pub fn to_json(diagnostics: &[Diagnostic]) -> Value {
    let mistake = |d: &Diagnostic| {
        json!({
            "code": d.code,
            "severity": d.severity.word(),
            "message": d.message,
            "file": &*d.file,
            "line": d.place.line,
            "column": d.place.column,
            "end_line": d.place.end_line,
            "end_column": d.place.end_column,
            "help": d.help,
        })
    };
    sorted(diagnostics).into_iter().map(mistake).collect()
}

fn sorted(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut sorted: Vec<_> = diagnostics.iter().collect();
    sorted.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.place.start, d.severity, d.code);
        a.file.cmp(&b.file).then_with(|| key(a).cmp(&key(b)))
    });
    sorted
}

fn one(renderer: &Renderer, diagnostic: &Diagnostic, text: Option<&str>) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let place = diagnostic.place;
    let file = visible(&diagnostic.file);
    let excerpt = text.map(|text| Excerpt::of(diagnostic, text));
    let mut elements: Vec<Element<'_>> = Vec::new();
    match &excerpt {
        Some(excerpt) => elements.push(excerpt.snippet(&file).into()),
        None => elements.push(Origin::path(file.as_ref()).line(place.line).char_column(place.column).into()),
    }
    if let Some(help) = &diagnostic.help {
        elements.push(Level::HELP.message(visible(help)).into());
    }
    let title = level.primary_title(visible(&diagnostic.message)).id(diagnostic.code);
    let rendered = renderer.render(&[title.elements(elements)]);
    match excerpt.map(|excerpt| excerpt.column) {
        Some(column) if column != place.column => {
            with_column(&rendered, &file, place.line, column, place.column)
        }
        _ => rendered,
    }
}

/// The renderer counts columns in the line it is given; in a line that was cut
/// the author's column has to be put back, below the title.
fn with_column(rendered: &str, file: &str, line: usize, shown: usize, real: usize) -> String {
    let Some((title, rest)) = rendered.split_once('\n') else {
        return rendered.to_owned();
    };
    let shown = format!("{file}:{line}:{shown}");
    let real = format!("{file}:{line}:{real}");
    format!("{title}\n{}", rest.replacen(&shown, &real, 1))
}

/// The lines that a mistake points into, made safe to show.
struct Excerpt<'a> {
    source: String,
    first_line: usize,
    marks: Vec<Mark<'a>>,
    /// Column of the mistake in the line as it is shown here.
    column: usize,
}

struct Mark<'a> {
    /// First in the file, then, once its line is copied, in the excerpt.
    span: Range<usize>,
    label: &'a str,
    is_primary: bool,
}

impl<'a> Excerpt<'a> {
    fn of(diagnostic: &'a Diagnostic, text: &str) -> Self {
        let mark = |place: &Place, label: &'a str, is_primary| {
            let start = floor_boundary(text, place.start);
            let end = floor_boundary(text, place.end.max(start));
            Mark { span: start..end, label, is_primary }
        };
        let mut marks = vec![mark(&diagnostic.place, &diagnostic.label, true)];
        let also = diagnostic.related.iter();
        marks.extend(also.map(|(place, label)| mark(place, label, false)));
        let places = diagnostic.related.iter().map(|(place, _)| place.line);
        let mut excerpt = Self {
            source: String::new(),
            first_line: places.fold(diagnostic.place.line, usize::min),
            marks: Vec::new(),
            column: diagnostic.place.column,
        };
        marks.sort_by_key(|mark| mark.span.start);
        excerpt.copy(text, marks);
        excerpt
    }

    /// Copies the lines from the first mark to the last.
    fn copy(&mut self, text: &str, marks: Vec<Mark<'a>>) {
        let first = marks.first().map_or(0, |mark| mark.span.start);
        let last = marks.last().map_or(0, |mark| mark.span.start);
        let from = text[..first].rfind('\n').map_or(0, |at| at + 1);
        let to = text[last..].find('\n').map_or(text.len(), |at| last + at);
        let keep_all = to - from <= BETWEEN_BYTES_MAX;
        let mut marks = marks.into_iter().peekable();
        let mut start = from;
        for line in text[from..to].split('\n') {
            let end = start + line.len();
            let mut here = Vec::new();
            while let Some(mark) = marks.next_if(|mark| mark.span.start <= end) {
                here.push(mark);
            }
            if keep_all || !here.is_empty() {
                self.line(line, start, here);
            }
            self.source.push('\n');
            start = end + 1;
        }
    }

    /// Copies one line that starts at the byte `start` of the file.
    fn line(&mut self, line: &str, start: usize, marks: Vec<Mark<'a>>) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let wanted = marks.iter().find(|mark| mark.is_primary).or(marks.first());
        let wanted = wanted.map_or(0, |mark| mark.span.start - start);
        let kept = cut(line, wanted, start == 0);
        let before = if kept.start > 3 { "…" } else { "" };
        let base = self.source.len();
        self.source.push_str(before);
        for mut mark in marks {
            let from = (mark.span.start - start).clamp(kept.start, kept.end);
            let to = mark.span.end.saturating_sub(start).clamp(from, kept.end);
            let passed = visible_line(&line[kept.start..from]);
            let at = base + before.len() + passed.len();
            mark.span = at..at + visible_line(&line[from..to]).len();
            if mark.is_primary {
                self.column = before.chars().count() + passed.chars().count() + 1;
            }
            self.marks.push(mark);
        }
        self.source.push_str(&visible_line(&line[kept.clone()]));
        if kept.end < line.len() {
            self.source.push('…');
        }
    }

    fn snippet<'s>(&'s self, file: &'s str) -> Snippet<'s, Annotation<'s>> {
        let annotation = |mark: &'s Mark<'a>| {
            let kind = if mark.is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(mark.span.clone());
            if mark.label.is_empty() { annotation } else { annotation.label(visible(mark.label)) }
        };
        Snippet::source(self.source.as_str())
            .path(file)
            .line_start(self.first_line)
            .annotations(self.marks.iter().map(annotation))
    }
}

/// The part of a line around `wanted` that is kept, without a byte order mark.
fn cut(line: &str, wanted: usize, is_first: bool) -> Range<usize> {
    let mark = if is_first { after_mark(line) } else { 0 };
    if line.len() <= LINE_BYTES_MAX {
        return mark..line.len();
    }
    let start = floor_boundary(line, wanted.saturating_sub(LINE_BYTES_BEFORE)).max(mark);
    start..floor_boundary(line, start + LINE_BYTES_MAX).max(start)
}

/// The text with every character replaced that steers a terminal, reorders
/// text or cannot be seen. One character stays one character.
fn visible(text: &str) -> Cow<'_, str> {
    replaced(text, shown_as)
}

/// As [`visible`], for source lines, in which the renderer widens tabs.
fn visible_line(text: &str) -> Cow<'_, str> {
    replaced(text, |c| if c == '\t' { c } else { shown_as(c) })
}

fn replaced(text: &str, shown: impl Fn(char) -> char) -> Cow<'_, str> {
    if text.chars().all(|c| shown(c) == c) {
        return Cow::Borrowed(text);
    }
    text.chars().map(shown).collect::<String>().into()
}

fn shown_as(c: char) -> char {
    match c {
        '\t' => ' ',
        // The control pictures stand in the order of the control characters.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        _ => c,
    }
}

//! What is printed: text for people or JSON for programs, colour or not.
//!
//! All of it passes [`printed`], and so what came from the world is printed with its
//! control characters made visible: a title must not move the cursor or fake a line.

use std::io::{IsTerminal, Write};
use std::path::Path;

use serde::Serialize;

use crate::cli::args::{Color, Format};
use crate::cli::exit::CliError;
use crate::playbook::library::built_in_text;
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::render::{render, to_json};

/// The styles that lines use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// Good.
    Green,
    /// Waits, or wants attention.
    Yellow,
    /// Bad.
    Red,
    /// Beside the point.
    Dim,
    /// What matters in a line.
    Bold,
}

/// Where a command prints.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Text or JSON.
    pub format: Format,
    /// Whether colours are used on standard output.
    pub color: bool,
}

impl Screen {
    /// The screen that the options ask for. `NO_COLOR` is honoured (no-color.org).
    pub fn new(format: Format, color: Color) -> Self {
        let terminal = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal,
        };
        Self { format, color: color && format == Format::Text }
    }

    /// Whether programs read this.
    pub fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// The text in a style.
    pub fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Plain => return text.to_owned(),
            _ if !self.color => return text.to_owned(),
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Red => "31",
            Style::Dim => "2",
            Style::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Prints a line, and one only, whatever the text holds. A closed pipe is no error:
    /// whoever read has read enough.
    pub fn line(&self, text: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{}", printed(text, PrintedLines::One));
    }

    /// Prints a text of several lines, such as a report.
    pub fn lines(&self, text: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{}", printed(text, PrintedLines::Many));
    }

    /// Prints one JSON document on one line.
    pub fn document<T: Serialize>(&self, value: &T) {
        let text = serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
        let _ = writeln!(std::io::stdout().lock(), "{}", in_json(&text));
    }

    /// Prints what is no mistake and still worth a look, on standard error.
    pub fn warnings(&self, warnings: &[Diagnostic]) {
        if warnings.is_empty() {
            return;
        }
        let color = self.color && std::io::stderr().is_terminal();
        let told = render(warnings, &text_of, color);
        let _ = writeln!(std::io::stderr().lock(), "{}", printed(&told, PrintedLines::Many));
    }

    /// Prints an error on standard error.
    pub fn error(&self, error: &CliError) {
        let mut out = std::io::stderr().lock();
        if self.json() {
            let document = serde_json::json!({
                "code": error.code, "detail": error.message, "diagnostics": to_json(&error.diagnostics),
            });
            let _ = writeln!(out, "{}", in_json(&document.to_string()));
            return;
        }
        let color = self.color && std::io::stderr().is_terminal();
        if !error.diagnostics.is_empty() {
            let told = render(&error.diagnostics, &text_of, color);
            let _ = writeln!(out, "{}", printed(&told, PrintedLines::Many));
        }
        let label = if color { "\x1b[1;31merror\x1b[0m" } else { "error" };
        let _ = writeln!(out, "{label}[{}]: {}", error.code, visible(&error.message));
    }

    /// Prints rows under headings, columns as wide as they need to be.
    pub fn table(&self, headings: &[&str], rows: &[Vec<String>]) {
        let lines = self.aligned(headings, rows);
        for (place, line) in lines.iter().enumerate() {
            self.line(&self.paint(if place == 0 { Style::Dim } else { Style::Plain }, line));
        }
    }

    /// Headings and rows as lines, columns as wide as they need to be.
    pub fn aligned(&self, headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
        let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let aligned = |cells: &[String]| -> String {
            let padded: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            padded.join("  ").trim_end().to_owned()
        };
        let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
        std::iter::once(&headings).chain(&rows).map(|cells| aligned(cells)).collect()
    }
}

/// The text of a file by the name that mistakes carry.
fn text_of(file: &str) -> Option<String> {
    let built_in = built_in_text(file).map(str::to_owned);
    built_in.or_else(|| crate::playbook::file::text_of(Path::new(file)).ok())
}

/// Whether a text may hold line ends of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PrintedLines {
    One,
    Many,
}

/// A text as it goes to a terminal: nothing steers it but the styles that are ours,
/// and those end with the text. All printing passes here.
fn printed(text: &str, lines: PrintedLines) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut styled) = (text, false);
    while let Some(c) = rest.chars().next() {
        let style = style_at(rest, lines);
        if style > 0 {
            styled = !rest.starts_with(RESET);
            out.push_str(&rest[..style]);
            rest = &rest[style..];
            continue;
        }
        match c {
            '\n' | '\t' if lines == PrintedLines::Many => out.push(c),
            c if steers(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    if styled {
        out.push_str(RESET);
    }
    out
}

/// What ends a style.
const RESET: &str = "\u{1b}[0m";

/// The styles of [`Screen::paint`].
const STYLES: [&str; 6] = [RESET, "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[31m", "\u{1b}[2m", "\u{1b}[1m"];

/// How long the style is that a text begins with, in bytes; 0 when it begins with none.
/// Mistakes in files are shown in more styles; what they quote is cleaned before.
fn style_at(text: &str, lines: PrintedLines) -> usize {
    let one = STYLES.iter().find(|style| text.starts_with(**style)).map_or(0, |style| style.len());
    let of_mistakes = || {
        let code = text.strip_prefix("\u{1b}[")?;
        let end = code.find(|c: char| !c.is_ascii_digit() && c != ';')?;
        code[end..].starts_with('m').then_some(2 + end + 1)
    };
    if one > 0 || lines == PrintedLines::One { one } else { of_mistakes().unwrap_or(0) }
}

/// Whether a character steers a terminal, or turns around the direction of writing.
fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A JSON document in which nothing steers a terminal; it says the same.
fn in_json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        match steers(c) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
    }
    out
}

/// The text on one line, with what steers a terminal written as escapes.
pub fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match steers(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_the_world_cannot_move_the_cursor() {
        assert_eq!(visible("a\u{1b}[2Jb\r\u{202e}c\nd"), "a\\u{1b}[2Jb\\r\\u{202e}c\\nd");
    }

    #[test]
    fn a_line_is_one_line_and_only_our_styles_pass() {
        let screen = Screen { format: Format::Text, color: true };
        let painted = screen.paint(Style::Red, "bad");
        for (text, goes) in [
            (painted.as_str(), painted.as_str()),
            ("title\nok  everything is lifted", "title\\nok  everything is lifted"),
            ("a\u{1b}[2J\u{1b}]0;x\u{7}\r\u{9b}1A", "a\\u{1b}[2J\\u{1b}]0;x\\u{7}\\r\\u{9b}1A"),
            ("hidden \u{1b}[8m", "hidden \\u{1b}[8m"),
            ("\u{2028}new", "\\u{2028}new"),
            // A colour that came with a title ends with its line.
            ("\u{1b}[32mtitle", "\u{1b}[32mtitle\u{1b}[0m"),
            ("grüße — 表", "grüße — 表"),
        ] {
            assert_eq!(printed(text, PrintedLines::One), goes, "{text:?}");
        }
        assert_eq!(
            printed("a\tb\nc\u{1b}[1;31md\u{1b}[0m\u{1b}[2J\r", PrintedLines::Many),
            "a\tb\nc\u{1b}[1;31md\u{1b}[0m\\u{1b}[2J\\r"
        );
    }

    #[test]
    fn a_document_says_the_same_and_steers_nothing() {
        let value = serde_json::json!({ "title": "a\u{9b}1A\u{202e}b\u{7f}\nc" });
        let document = in_json(&value.to_string());
        assert!(!document.chars().any(steers), "{document:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&document).ok(), Some(value));
    }

    #[test]
    fn nothing_is_printed_but_through_the_screen() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
        let mut open = vec![dir];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(dir).expect("it is there") {
                let path = entry.expect("it is readable").path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("it is text");
                let prints =
                    ["println!(", "print!(", "eprint", "dbg!("].iter().any(|word| text.contains(*word));
                assert!(!prints || path.ends_with("screen.rs"), "{} prints by itself", path.display());
            }
        }
    }
}

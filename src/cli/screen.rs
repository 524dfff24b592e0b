//! What is printed: text for people or JSON for programs, colour or not.
//!
//! Text that came from the world is printed with its control characters made
//! visible: a title must not move the cursor or fake a line.

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

    /// Prints a line. A closed pipe is no error: whoever read has read enough.
    pub fn line(&self, text: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// Prints one JSON document on one line.
    pub fn document<T: Serialize>(&self, value: &T) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(&text),
            Err(error) => self.line(&format!("{{\"error\":\"{error}\"}}")),
        }
    }

    /// Prints what is no mistake and still worth a look, on standard error.
    pub fn warnings(&self, warnings: &[Diagnostic]) {
        if warnings.is_empty() {
            return;
        }
        let color = self.color && std::io::stderr().is_terminal();
        let _ = writeln!(std::io::stderr().lock(), "{}", render(warnings, &text_of, color));
    }

    /// Prints an error on standard error.
    pub fn error(&self, error: &CliError) {
        let mut out = std::io::stderr().lock();
        if self.json() {
            let document = serde_json::json!({
                "code": error.code, "detail": error.message, "diagnostics": to_json(&error.diagnostics),
            });
            let _ = writeln!(out, "{document}");
            return;
        }
        let color = self.color && std::io::stderr().is_terminal();
        if !error.diagnostics.is_empty() {
            let _ = writeln!(out, "{}", render(&error.diagnostics, &text_of, color));
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

/// The text with control characters (but not line ends within paragraphs of
/// our own) written as escapes.
pub fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let hidden = c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let shown: Vec<char> = if hidden && c != '\n' { c.escape_default().collect() } else { vec![c] };
            shown
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_the_world_cannot_move_the_cursor() {
        assert_eq!(visible("a\u{1b}[2Jb\r\u{202e}c"), "a\\u{1b}[2Jb\\r\\u{202e}c");
    }
}

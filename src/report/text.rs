//! Authors' texts for questions and messages: small Handlebars texts, written
//! with data that nobody vouches for.

use std::io::{self, Write};

use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext};

use crate::domain::value::Value;
use crate::report::escape;
use crate::report::lint::{self, Problem};

/// Why a report or text was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// There is no template of this name.
    #[error("there is no template `{}`; {help}", .name.escape_debug())]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Which it may have been, and where templates live.
        help: String,
    },
    /// The template itself is wrong.
    #[error("{0}")]
    Wrong(Problem),
    /// It names something that is not there, or the like.
    #[error("template `{template}`, line {line}: {message}")]
    Unwritable {
        /// The template's name.
        template: String,
        /// The line, from 1.
        line: usize,
        /// What stands in the way.
        message: String,
    },
    /// The text grew too long.
    #[error("the text of template `{template}` is longer than {bytes_max} bytes")]
    TooLong {
        /// The template's name.
        template: String,
        /// What is allowed.
        bytes_max: usize,
    },
    /// Names could not be kept out of it.
    #[error(
        "no new executive summary is written: the content of the alert was removed by retention at {at}, and without it names that it held cannot be told from other words and replaced by roles. What was written before that still stands (GET /api/v1/reports lists it); `--template technical` writes the record with its names"
    )]
    NamesErased {
        /// When, for people.
        at: String,
    },
}

/// The three ways a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// HTML: everything escaped.
    Html,
    /// Markdown: everything escaped, `{{code …}}` for literal text, `{{quote …}}`
    /// for several lines.
    Markdown,
    /// Plain text for mail bodies.
    Plain,
}

/// An engine that writes this way, strict and without templates yet.
pub fn engine(writing: Writing) -> Handlebars<'static> {
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    engine.unregister_helper("log");
    match writing {
        Writing::Html => engine.register_escape_fn(escape::html),
        Writing::Markdown => {
            engine.register_escape_fn(escape::markdown);
            engine.register_helper("code", Box::new(code));
            engine.register_helper("quote", Box::new(quote));
        }
        Writing::Plain => engine.register_escape_fn(escape::plain),
    }
    engine
}

/// `{{code value}}` in Markdown: the value as literal text.
fn code(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let value = helper.param(0).map(|param| param.value());
    let text = match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    out.write(&escape::code(&text))?;
    Ok(())
}

/// `{{quote value}}` in Markdown: the value as a quotation, line by line.
fn quote(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let text = helper.param(0).and_then(|param| param.value().as_str()).unwrap_or_default();
    out.write(&escape::quote(text))?;
    Ok(())
}

/// Writes an author's text as plain text.
///
/// # Errors
/// When the text is no template, names what is not there, or grows longer
/// than `bytes_max`.
pub fn render_text(text: &str, context: &Value, bytes_max: usize) -> Result<String, ReportError> {
    once(Writing::Plain, text, context, bytes_max)
}

/// Writes an author's text as HTML.
///
/// # Errors
/// As [`render_text`].
pub fn render_html(text: &str, context: &Value, bytes_max: usize) -> Result<String, ReportError> {
    once(Writing::Html, text, context, bytes_max)
}

/// Every mistake in an author's text; none when it can be written. Whether the
/// names in it exist depends on the data and is not known here.
pub fn check_template(name: &str, text: &str) -> Vec<Problem> {
    match lint::check(name, text) {
        Err(problems) => problems,
        Ok((_, uses)) => uses
            .partials
            .iter()
            .map(|(partial, _)| Problem {
                template: name.to_owned(),
                message: format!("a text can't include `{partial}`; write its words here"),
                line: 1,
                column: 1,
            })
            .collect(),
    }
}

fn once(writing: Writing, text: &str, context: &Value, bytes_max: usize) -> Result<String, ReportError> {
    const NAME: &str = "text";
    if let Some(problem) = check_template(NAME, text).into_iter().next() {
        return Err(ReportError::Wrong(problem));
    }
    let (template, _) = lint::check(NAME, text).map_err(|mut wrong| ReportError::Wrong(wrong.remove(0)))?;
    let mut engine = engine(writing);
    engine.register_template(NAME, template);
    write(&engine, NAME, context, bytes_max)
}

/// Writes a registered template.
pub(super) fn write(
    engine: &Handlebars<'_>,
    name: &str,
    context: &Value,
    bytes_max: usize,
) -> Result<String, ReportError> {
    let mut limited = Limited { bytes: Vec::new(), bytes_max, full: false };
    let written = engine.render_to_write(name, context, &mut limited);
    if limited.full {
        return Err(ReportError::TooLong { template: name.to_owned(), bytes_max });
    }
    let unwritable = |line, message| ReportError::Unwritable { template: name.to_owned(), line, message };
    if let Err(error) = written {
        let template = error.template_name.clone().unwrap_or_else(|| name.to_owned());
        let line = error.line_no.unwrap_or(1);
        let message = match error.reason() {
            handlebars::RenderErrorReason::MissingVariable(Some(name)) => {
                format!("`{name}` is not there; ask first with {{{{#if …}}}}")
            }
            reason => reason.to_string(),
        };
        return Err(ReportError::Unwritable { template, line, message });
    }
    String::from_utf8(limited.bytes).map_err(|_| unwritable(1, "the text is not UTF-8".to_owned()))
}

/// Takes so many bytes and no more, so that a template that loops over much
/// can't fill the memory.
struct Limited {
    bytes: Vec<u8>,
    bytes_max: usize,
    full: bool,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            self.full = true;
            return Err(io::Error::other("the text is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_is_written_with_its_data_and_missing_names_are_mistakes() {
        let data = json!({ "alert": { "user": { "name": "Dana <b>" } } });
        assert_eq!(render_text("Hi {{alert.user.name}}", &data, 100), Ok("Hi Dana <b>".to_owned()));
        assert_eq!(render_html("Hi {{alert.user.name}}", &data, 100), Ok("Hi Dana &lt;b&gt;".to_owned()));
        assert!(matches!(render_text("{{alert.nobody}}", &data, 100), Err(ReportError::Unwritable { .. })));
        assert!(matches!(render_text("{{alert.user.name}}", &data, 3), Err(ReportError::TooLong { .. })));
    }

    #[test]
    fn what_an_alert_says_is_never_read_as_a_template() {
        let data = json!({ "title": "{{secret}} {{> page}}" });
        assert_eq!(render_text("{{title}}", &data, 100), Ok("{{secret}} {{> page}}".to_owned()));
    }

    #[test]
    fn dangerous_templates_are_refused_before_they_are_used() {
        let deep = "{{#if a}}".repeat(2000) + &"{{/if}}".repeat(2000);
        let brackets = format!("{{{{a {}", "(".repeat(5000));
        for text in [
            "{{{raw}}}",
            "{{&raw}}",
            "{{~{raw}~}}",
            "{{#if a}}{{{raw}}}{{/if}}",
            "{{#if a}}x{{else}}{{&raw}}{{/if}}",
            "{{> other}}",
            "{{> (lookup this \"x\")}}",
            "{{#*inline \"x\"}}y{{/inline}}",
            "{{#each a}}{{#each b}}{{#each c}}{{#each d}}x{{/each}}{{/each}}{{/each}}{{/each}}",
            "{{#if a}}",
            &deep,
            &brackets,
        ] {
            let shown: String = text.chars().take(40).collect();
            assert!(!check_template("t", text).is_empty(), "{shown} passed");
        }
        assert_eq!(check_template("t", "{{#each a}}{{this}}{{/each}} {{b.c}}"), []);
    }

    #[test]
    fn a_mistake_names_its_line() {
        let problems = check_template("t", "one\ntwo {{{raw}}}");
        assert_eq!((problems[0].line, problems[0].column), (2, 5));
    }
}

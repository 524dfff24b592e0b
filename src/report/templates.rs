//! All templates, checked and parsed once.

use std::collections::BTreeMap;

use handlebars::Handlebars;

use crate::domain::value::Value;
use crate::report::lint::{self, Problem, Uses};
use crate::report::text::{self, ReportError, Writing};

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../templates/", $name, ".hbs")))),*]
    };
}

/// The templates that ship with Quell, by name. The end of a name says how it
/// is written: `.html`, `.md`, anything else is plain text.
pub const TEMPLATES: &[(&str, &str)] = shipped![
    "reports/executive.html",
    "reports/executive.md",
    "reports/technical.html",
    "reports/technical.md",
    "reports/style.html",
    "questions/was-this-expected",
    "questions/can-we-suspend",
    "questions/hr-facts",
    "questions/may-we-review",
    "questions/what-is-in-it",
    "questions/does-the-work-need-it",
    "questions/may-we-restrict",
    "messages/question.txt",
    "messages/question.html",
    "messages/approval.txt",
    "messages/approval.html",
    "messages/expiring.txt",
    "messages/summary.txt",
    "messages/run-failed",
    "messages/legal-hold",
    "messages/watch",
    "messages/block-destination",
    "messages/hr-brief",
    "messages/owner-notice",
    "pages/question.html",
    "pages/notice.html",
    "pages/home.html",
    "pages/style.html",
];

/// The longest report, in bytes: mail servers commonly refuse parts over some
/// megabytes, and nobody reads one.
pub const REPORT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The longest question or message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Templates that a house may add, beside those that ship.
const EXTRA_MAX: usize = 500;

/// All templates, ready to be written with.
pub struct Templates {
    html: Handlebars<'static>,
    markdown: Handlebars<'static>,
    plain: Handlebars<'static>,
    texts: BTreeMap<String, String>,
}

/// How the template of this name is written.
fn writing(name: &str) -> Writing {
    match name.rsplit_once('.') {
        Some((_, "html")) => Writing::Html,
        Some((_, "md")) => Writing::Markdown,
        _ => Writing::Plain,
    }
}

impl Templates {
    /// Checks and parses `embedded`, then `extra`: one of the same name takes
    /// the other's place.
    ///
    /// # Errors
    /// Every mistake in every template.
    pub fn load<'a>(
        embedded: &[(&'a str, &'a str)],
        extra: impl Iterator<Item = (String, String)>,
    ) -> Result<Templates, Vec<Problem>> {
        let mut texts: BTreeMap<String, String> =
            embedded.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        texts.extend(extra.take(EXTRA_MAX));
        let mut problems = Vec::new();
        let mut checked = BTreeMap::new();
        for (name, text) in &texts {
            match lint::check(name, text) {
                Ok(parsed) => drop(checked.insert(name.clone(), parsed)),
                Err(wrong) => problems.extend(wrong),
            }
        }
        let mut engines =
            [Writing::Html, Writing::Markdown, Writing::Plain].map(|how| (how, text::engine(how)));
        for (how, engine) in &mut engines {
            let of_kind = || checked.iter().filter(|(name, _)| writing(name) == *how);
            let uses: BTreeMap<String, Uses> =
                of_kind().map(|(name, it)| (name.clone(), it.1.clone())).collect();
            problems.extend(lint::check_partials(&uses));
            for (name, (template, _)) in of_kind() {
                engine.register_template(name, template.clone());
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let [(_, html), (_, markdown), (_, plain)] = engines;
        Ok(Templates { html, markdown, plain, texts })
    }

    /// The names of all templates, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    /// The text of a template, as a plan freezes it.
    pub fn source(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// The texts of all templates, by name.
    pub fn sources(&self) -> &BTreeMap<String, String> {
        &self.texts
    }

    /// Writes the HTML template of this name, at most [`REPORT_BYTES_MAX`].
    ///
    /// # Errors
    /// When there is none, it names what is not there, or it grows too long.
    pub fn html(&self, name: &str, context: &Value) -> Result<String, ReportError> {
        self.named(&self.html, name, context, REPORT_BYTES_MAX)
    }

    /// Writes the Markdown template of this name, at most [`REPORT_BYTES_MAX`].
    ///
    /// # Errors
    /// As [`Templates::html`].
    pub fn markdown(&self, name: &str, context: &Value) -> Result<String, ReportError> {
        self.named(&self.markdown, name, context, REPORT_BYTES_MAX)
    }

    /// Writes the plain template of this name, at most [`MESSAGE_BYTES_MAX`].
    ///
    /// # Errors
    /// As [`Templates::html`].
    pub fn plain(&self, name: &str, context: &Value) -> Result<String, ReportError> {
        self.named(&self.plain, name, context, MESSAGE_BYTES_MAX)
    }

    /// Writes an author's text as plain text, at most [`MESSAGE_BYTES_MAX`].
    ///
    /// # Errors
    /// As [`text::render_text`].
    pub fn text(&self, text: &str, context: &Value) -> Result<String, ReportError> {
        text::render_text(text, context, MESSAGE_BYTES_MAX)
    }

    /// What to say to whoever asks for a template that there is not: those of
    /// the same folder, and where one may be added.
    fn instead_of(&self, name: &str) -> String {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let is_kin = |known: &&str| {
            known.rsplit_once('/').map_or("", |(folder, _)| folder) == folder
                && known.rsplit_once('.').map_or("", |(_, ending)| ending) == ending
                // What other templates are made of is none to ask for.
                && !known.contains("/style.")
        };
        let kin: Vec<&str> = self.names().filter(is_kin).collect();
        let listed = if kin.is_empty() { String::new() } else { format!("there are: {}; ", kin.join(", ")) };
        format!(
            "{listed}your own go into the `templates` directory of the settings, as {}.hbs",
            name.escape_debug()
        )
    }

    fn named(
        &self,
        engine: &Handlebars<'static>,
        name: &str,
        context: &Value,
        bytes_max: usize,
    ) -> Result<String, ReportError> {
        if !engine.has_template(name) {
            return Err(ReportError::Unknown { name: name.to_owned(), help: self.instead_of(name) });
        }
        text::write(engine, name, context, bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(extra: &[(&str, &str)]) -> Result<Templates, Vec<Problem>> {
        Templates::load(TEMPLATES, extra.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
    }

    #[test]
    fn shipped_templates_are_sound_and_a_house_may_put_its_own_in_their_place() {
        let templates = load(&[("messages/run-failed", "ours")]).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        assert_eq!(templates.plain("messages/run-failed", &Value::Null), Ok("ours".to_owned()));
    }

    #[test]
    fn who_asks_for_a_report_that_there_is_not_is_told_which_there_are() {
        let templates = load(&[]).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let told = templates.markdown("reports/tecnical.md", &Value::Null).err().map(|it| it.to_string());
        let words = "there is no template `reports/tecnical.md`; there are: reports/executive.md, reports/technical.md; your own go into the `templates` directory of the settings, as reports/tecnical.md.hbs";
        assert_eq!(told.as_deref(), Some(words));
    }

    #[test]
    fn partials_that_include_each_other_are_refused_at_load() {
        let wrong = load(&[("a.html", "{{> b.html}}"), ("b.html", "{{> a.html}}")]).err().unwrap_or_default();
        assert!(wrong.iter().any(|problem| problem.message.contains("includes itself")), "{wrong:?}");
    }

    #[test]
    fn every_mistake_of_every_template_is_told_at_once() {
        let wrong = load(&[("a.html", "{{{x}}}"), ("b.md", "{{> nowhere.md}}"), ("c", "{{#if}")]).err();
        let names: Vec<String> = wrong.unwrap_or_default().into_iter().map(|it| it.template).collect();
        assert_eq!(names, ["a.html", "c", "b.md"]);
    }
}

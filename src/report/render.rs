//! One report from one dossier.

use serde::Serialize;
use serde_json::json;

use crate::domain::time::Timestamp;
use crate::domain::value::{Digest, Value, digest};
use crate::projection::dossier::Dossier;
use crate::report::executive::executive;
use crate::report::technical::technical;
use crate::report::templates::Templates;
use crate::report::text::ReportError;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A page that stands alone, in a browser or a mail.
    Html,
    /// Markdown, also readable as it is.
    Markdown,
}

impl Format {
    /// All of them, as a playbook writes them.
    pub const NAMES: [&'static str; 2] = ["html", "markdown"];

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "html" => Some(Self::Html),
            "markdown" => Some(Self::Markdown),
            _ => None,
        }
    }

    /// The end of a file's name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "md",
        }
    }
}

/// A written report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Names it, as its head does.
    pub id: String,
    /// The text.
    pub text: String,
    /// SHA-256 of the text.
    pub digest: Digest,
}

/// The text of a report: see [`write`].
///
/// # Errors
/// As [`write`].
pub fn render(
    templates: &Templates,
    template: &str,
    dossier: &Dossier,
    audience: &str,
    format: Format,
    generated_at: Timestamp,
) -> Result<String, ReportError> {
    write(templates, template, dossier, audience, format, generated_at).map(|report| report.text)
}

/// Writes the report `template` (`executive`, `technical`, or one of the
/// house's own under `reports/`). A template sees `executive` and `technical`,
/// the two readings of the record, and `dossier`, the record itself; the
/// executive template sees only the first, so that no change to it can name
/// anybody.
///
/// # Errors
/// When there is no such template in this format, it names what is not there,
/// the report grows too long, or names could not be kept out of an executive one.
pub fn write(
    templates: &Templates,
    template: &str,
    dossier: &Dossier,
    audience: &str,
    format: Format,
    generated_at: Timestamp,
) -> Result<Report, ReportError> {
    let short = template.strip_prefix("reports/").unwrap_or(template);
    if let Some(erased) = dossier.alert_erased.filter(|_| short == "executive") {
        return Err(ReportError::NamesErased { at: erased.at.to_minute() });
    }
    let page = executive(dossier, short, audience, generated_at);
    let id = page.header.report.clone();
    let context = if short == "executive" {
        json!({ "executive": data(&page) })
    } else {
        let record = technical(dossier, short, audience, generated_at);
        json!({ "executive": data(&page), "technical": data(&record), "dossier": data(dossier) })
    };
    let name = format!("reports/{short}.{}", format.extension());
    let text = match format {
        Format::Html => templates.html(&name, &context)?,
        Format::Markdown => templates.markdown(&name, &context)?,
    };
    Ok(Report { id, digest: digest(text.as_bytes()), text })
}

/// The form that templates read. All of these are plain data, which JSON holds.
fn data(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

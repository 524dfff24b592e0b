//! `quell report`: a summary written now, from the journal alone.

use serde_json::json;

use crate::cli::args::{Format, ReportArgs};
use crate::cli::client::Client;
use crate::cli::decide::id_text;
use crate::cli::exit::{CliError, Exit};
use crate::cli::screen::Screen;

/// Prints the summary.
///
/// # Errors
/// When there is no such thing, no such template, or no server answers.
pub async fn report(args: &ReportArgs, client: &Client, screen: &Screen) -> Result<Exit, CliError> {
    let of = id_text(&args.of)?;
    let kind = match screen.format {
        Format::Html => "html",
        Format::Markdown => "markdown",
        Format::Text | Format::Json => &args.kind,
    };
    let body = json!({ "of": of, "template": args.template, "audience": args.audience, "format": kind });
    let text = client.post_text("/reports", &body).await?;
    if screen.json() {
        screen.document(&json!({ "of": of, "template": args.template, "format": kind, "text": text }));
    } else {
        screen.lines(&text);
    }
    Ok(Exit::Done)
}

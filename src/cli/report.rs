//! `quell report`: a summary written now, from the journal alone.

use serde_json::json;

use crate::cli::args::ReportArgs;
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
    let body = json!({ "of": of, "template": args.template, "audience": args.audience, "format": args.kind });
    let text = client.post_text("/reports", &body).await?;
    if screen.json() {
        screen.document(&json!({ "of": of, "template": args.template, "format": args.kind, "text": text }));
    } else {
        screen.line(&text);
    }
    Ok(Exit::Done)
}

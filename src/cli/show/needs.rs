//! What a run contained, as it stands now, and what of it needs a person.

use serde_json::Value;

use super::words::{items, title};
use crate::cli::attention;
use crate::cli::client::Client;
use crate::cli::exit::CliError;
use crate::cli::list::cell;
use crate::cli::screen::Screen;

/// Prints both, where there is something.
///
/// # Errors
/// When no server answers.
pub(super) async fn show(run: &str, client: &Client, screen: &Screen) -> Result<(), CliError> {
    let contained = client.get(&format!("/containments?run={run}")).await?;
    let contained = items(&contained, "/items");
    if !contained.is_empty() {
        title(screen, "Contained:");
        let names = ["id", "state", "target", "until", "looked_at", "by"];
        let row = |item: &Value| names.iter().map(|name| cell(item.get(name))).collect();
        let rows: Vec<Vec<String>> = contained.iter().map(row).collect();
        screen.table(&["CONTAINMENT", "STATE", "TARGET", "UNTIL", "LOOKED AT", "BY"], &rows);
    }
    let needs = client.get(&format!("/attention?run={run}")).await?;
    let needs = items(&needs, "/items");
    if !needs.is_empty() {
        title(screen, "Needs a person:");
        attention::print(needs, screen);
    }
    Ok(())
}

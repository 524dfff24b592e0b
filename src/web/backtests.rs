//! Backtests: stored alerts through a changed playbook, without any effect.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::domain::time::Timestamp;
use crate::service::backtest::{Draft, Form, LIMIT_DEFAULT, Order, SINCE_DEFAULT};
use crate::service::error::Sort;
use crate::service::preview::how::Reads;
use crate::web::access::{Caller, Role};
use crate::web::extract::Json;
use crate::web::problem::Problem;
use crate::web::server::Web;

/// What is compared, and on what.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BacktestBody {
    /// The changed playbook's text.
    #[serde(default)]
    text: Option<String>,
    /// What its file is called, for messages.
    #[serde(default)]
    file: Option<String>,
    /// The name of one in the library, instead of a text.
    #[serde(default)]
    playbook: Option<String>,
    /// The text that it is held against; else the one of its name in the library.
    #[serde(default)]
    against_text: Option<String>,
    /// What that file is called.
    #[serde(default)]
    against_file: Option<String>,
    /// A version of which a run is on record, instead of a text.
    #[serde(default)]
    against_version: Option<u32>,
    /// Only alerts that came in since then.
    #[serde(default)]
    since: Option<Timestamp>,
    /// How many alerts at most.
    #[serde(default)]
    limit: Option<usize>,
    /// Whether systems are asked.
    #[serde(default)]
    reads: Reads,
}

/// `POST /api/v1/backtests`.
pub async fn backtest(
    State(web): State<Web>,
    caller: Caller,
    Json(body): Json<BacktestBody>,
) -> Result<Response, Problem> {
    caller.may(Role::Responder)?;
    let draft = |text: Option<String>, file: Option<String>, otherwise: &str| {
        text.map(|text| Form::Draft(Draft { file: file.unwrap_or_else(|| otherwise.to_owned()), text }))
    };
    let text = draft(body.text, body.file, "playbook.yaml");
    let new = match (text, body.playbook) {
        (Some(form), None) => form,
        (None, Some(name)) => Form::Library(name),
        _ => {
            let message =
                "give either `text`, the changed playbook, or `playbook`, the name of one in the library";
            return Err(Problem::new(Sort::OtherContent, "playbook-missing", message));
        }
    };
    let text = draft(body.against_text, body.against_file, "against.yaml");
    let old = match (text, body.against_version) {
        (Some(_), Some(_)) => {
            let message = "give either `against_text` or `against_version`, not both";
            return Err(Problem::new(Sort::OtherContent, "against-twice", message));
        }
        (text, version) => text.or(version.map(Form::Version)),
    };
    let service = &web.service;
    let since = body.since.unwrap_or_else(|| service.now().before(SINCE_DEFAULT));
    let limit = body.limit.unwrap_or(LIMIT_DEFAULT);
    let found = service.backtest(Order { new, old, since, limit, reads: body.reads }).await?;
    Ok(Json(found).into_response())
}

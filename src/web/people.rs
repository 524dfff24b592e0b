//! Approvals and questions over the API.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::id::RunId;
use crate::domain::inputs::GivenInputs;
use crate::projection::approvals::ApprovalFilter;
use crate::projection::questions::QuestionFilter;
use crate::service::error::{ServiceError, Sort};
use crate::web::access::{Caller, Role};
use crate::web::extract::{Json, Query};
use crate::web::problem::Problem;
use crate::web::runs::{PageQuery, parsed};
use crate::web::server::Web;

/// Filters of the lists of approvals and questions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenQuery {
    after: Option<String>,
    limit: Option<usize>,
    open: Option<bool>,
    run: Option<String>,
}

impl OpenQuery {
    fn run(&self) -> Result<Option<RunId>, Problem> {
        self.run.as_deref().map(parsed).transpose()
    }
}

/// `GET /api/v1/approvals`.
pub async fn approvals(
    State(web): State<Web>,
    caller: Caller,
    Query(query): Query<OpenQuery>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let filter = ApprovalFilter { open: query.open, run: query.run()? };
    let page = PageQuery { after: query.after, limit: query.limit };
    let views = web.service.views.read();
    let found = views.approvals.list(filter, page.after()?, page.limit()?);
    Ok(Json(found).into_response())
}

/// `GET /api/v1/approvals/{id}`: who is needed and who said what; `covers` says what
/// a yes lets the steps of a block do, `asks` what it lets a single step do.
pub async fn approval(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let (row, asks) = web.service.approval(parsed(&id)?).await?;
    let mut document =
        serde_json::to_value(row).map_err(|error| Problem::new(Sort::Own, "approval", error.to_string()))?;
    document["asks"] = json!(asks);
    Ok(Json(document).into_response())
}

/// A person's reason.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoteBody {
    /// In their words.
    pub note: Option<String>,
}

/// `POST /api/v1/approvals/{id}/approve`.
pub async fn approve(
    web: State<Web>,
    caller: Caller,
    id: Path<String>,
    body: Option<Json<NoteBody>>,
) -> Result<Response, Problem> {
    decide(web, caller, id, body, true).await
}

/// `POST /api/v1/approvals/{id}/reject`.
pub async fn reject(
    web: State<Web>,
    caller: Caller,
    id: Path<String>,
    body: Option<Json<NoteBody>>,
) -> Result<Response, Problem> {
    decide(web, caller, id, body, false).await
}

async fn decide(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    body: Option<Json<NoteBody>>,
    approve: bool,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Approver)?;
    let id = parsed(&id)?;
    let note = body.and_then(|Json(body)| body.note);
    web.service.decide(id, by, approve, note).await?;
    let views = web.service.views.read();
    let row = views.approvals.get(id).ok_or_else(|| ServiceError::absent("approval", &id))?;
    Ok(Json(row).into_response())
}

/// `GET /api/v1/questions`.
pub async fn questions(
    State(web): State<Web>,
    caller: Caller,
    Query(query): Query<OpenQuery>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let filter = QuestionFilter { open: query.open, run: query.run()? };
    let page = PageQuery { after: query.after, limit: query.limit };
    let views = web.service.views.read();
    let found = views.questions.list(filter, page.after()?, page.limit()?);
    Ok(Json(found).into_response())
}

/// `GET /api/v1/questions/{id}`: what is asked, and what may be answered.
pub async fn question(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let (question, asked) = web.service.question(parsed(&id)?).await?;
    Ok(Json(json!({ "question": question, "asked": asked })).into_response())
}

/// An answer by somebody who is signed in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerBody {
    choice: String,
    #[serde(default)]
    fields: Map<String, Value>,
    /// Fields as a person typed them: the declared type says what each means.
    #[serde(default)]
    field_texts: BTreeMap<String, String>,
}

/// `POST /api/v1/questions/{id}/answer`: only for whom the question was sent to.
pub async fn answer(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<AnswerBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Reader)?.to_owned();
    let fields = GivenInputs { values: body.fields, texts: body.field_texts };
    web.service.answer(parsed(&id)?, &by, &body.choice, &fields).await?;
    Ok(Json(json!({ "answered": id })).into_response())
}

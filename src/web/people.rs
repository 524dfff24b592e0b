//! Approvals and questions over the API.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::id::RunId;
use crate::domain::inputs::GivenInputs;
use crate::projection::approvals::ApprovalFilter;
use crate::projection::questions::QuestionFilter;
use crate::service::unchanged::Document;
use crate::web::access::{Caller, Role};
use crate::web::etag::{self, IfMatch};
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
    Ok(Json(web.service.document(Document::Approval(parsed(&id)?)).await?).into_response())
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
    if_match: IfMatch,
    body: Option<Json<NoteBody>>,
) -> Result<Response, Problem> {
    decide(web, caller, id, if_match, body, true).await
}

/// `POST /api/v1/approvals/{id}/reject`.
pub async fn reject(
    web: State<Web>,
    caller: Caller,
    id: Path<String>,
    if_match: IfMatch,
    body: Option<Json<NoteBody>>,
) -> Result<Response, Problem> {
    decide(web, caller, id, if_match, body, false).await
}

async fn decide(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    if_match: IfMatch,
    body: Option<Json<NoteBody>>,
    approve: bool,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Approver)?;
    let id = parsed(&id)?;
    let note = body.and_then(|Json(body)| body.note);
    let document = Document::Approval(id);
    web.service.decide(id, by, approve, note, &if_match.of(document)).await?;
    etag::changed(StatusCode::OK, &web.service.document(document).await?)
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
    Ok(Json(web.service.document(Document::Question(parsed(&id)?)).await?).into_response())
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
    if_match: IfMatch,
    Json(body): Json<AnswerBody>,
) -> Result<Response, Problem> {
    let by = caller.may(Role::Reader)?.to_owned();
    let fields = GivenInputs { values: body.fields, texts: body.field_texts };
    let question = parsed(&id)?;
    let only_if = if_match.of(Document::Question(question));
    web.service.answer(question, &by, &body.choice, &fields, &only_if).await?;
    Ok(Json(json!({ "answered": id })).into_response())
}

//! The layer that every request passes, in this order:
//!
//! ```text
//!   declared? ── from this site? ── who, and the role ── the body, in time
//!     ── a place of theirs, and one among all ── the handler, to its end
//! ```
//! A route that declares no access is refused. Nothing of a body is read before it
//! is known who may send one. Alerts and health need no place: those that are left
//! are theirs.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{Extensions, HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::SemaphorePermit;

use crate::domain::time::Timestamp;
use crate::service::error::{ServiceError, Sort};
use crate::service::gate::counted_as;
use crate::web::access::{Access, Caller, Token, Undeclared, caller, declared};
use crate::web::body::{BODY_BYTES_MAX, BODY_TIME_MAX, FORM_BYTES_MAX, KNOWN, in_time, within};
use crate::web::connections::Connection;
use crate::web::intent;
use crate::web::limits::{CountedFor, CountedKind, NoPlace, RequestsUnderWay, TrafficLimits};
use crate::web::problem::Problem;
use crate::web::server::HungUp;
use crate::web::wrong_tokens::{HELD_BACK, WrongTokens};

/// What the layer knows.
pub struct Admission {
    tokens: Arc<Vec<Token>>,
    public_url: String,
    limits: TrafficLimits,
    now: fn() -> Timestamp,
    under_way: Mutex<RequestsUnderWay>,
    wrong: Mutex<WrongTokens>,
}

impl Admission {
    /// Lets in whom these tokens name, up to these limits. `public_url` is where
    /// people reach the pages.
    pub fn new(
        tokens: Arc<Vec<Token>>,
        public_url: String,
        limits: TrafficLimits,
        now: fn() -> Timestamp,
    ) -> Arc<Self> {
        let (under_way, wrong) = (Mutex::default(), Mutex::new(WrongTokens::new(now())));
        Arc::new(Self { tokens, public_url, limits, now, under_way, wrong })
    }

    /// Who calls, when the access that the route declares needs to know.
    async fn known(
        &self,
        access: Access,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Option<Caller>, Problem> {
        let (role, asks) = match access {
            Access::Open | Access::Health | Access::Sender | Access::Link => return Ok(None),
            Access::Token(role) => (role, false),
            Access::TokenOrHandshake(role) => (role, intent::is_handshake(headers)),
        };
        match caller(&self.tokens, headers) {
            Ok(caller) => {
                caller.may(role)?;
                Ok(Some(caller))
            }
            // The handler answers the handshake, or refuses it.
            Err(_) if asks => Ok(None),
            Err(problem) if problem.0.code == "token-unknown" => Err(self.slowed(peer, problem).await),
            Err(problem) => Err(problem),
        }
    }

    /// RequestCounts and logs a wrong token. The answer to one who was wrong too often is
    /// held back for a while.
    async fn slowed(&self, peer: IpAddr, problem: Problem) -> Problem {
        let judged = self.wrong.lock().count(counted_as(peer), (self.now)());
        if let Some(unlogged) = judged.unlogged {
            tracing::warn!(%peer, unlogged, "a token was sent that this server does not know");
        }
        let Some(wait) = judged.slowed else { return problem };
        tokio::time::sleep(HELD_BACK).await;
        let message = "too many wrong tokens came from this address; a right one is taken at any time. Check QUELL_TOKEN, or ask for a token";
        let mut slowed = Problem::new(Sort::TooOften, "too-many-wrong-tokens", message);
        slowed.0.retry_after = Some(wait.as_secs().max(1));
        slowed
    }
}

/// What a request takes up, until it is dropped.
struct HeldPlaces {
    admission: Arc<Admission>,
    of_one: Option<(CountedKind, CountedFor)>,
    of_all: Option<CountedKind>,
    _room: Option<SemaphorePermit<'static>>,
}

impl HeldPlaces {
    fn take(&mut self, kind: CountedKind, whose: CountedFor) -> Result<(), NoPlace> {
        self.admission.under_way.lock().take(&self.admission.limits, kind, whose)?;
        self.of_one = Some((kind, whose));
        Ok(())
    }

    fn take_of_all(&mut self, kind: CountedKind) -> Result<(), NoPlace> {
        self.admission.under_way.lock().take_of_all(&self.admission.limits, kind)?;
        self.of_all = Some(kind);
        Ok(())
    }
}

impl Drop for HeldPlaces {
    fn drop(&mut self) {
        let mut under_way = self.admission.under_way.lock();
        if let Some((kind, whose)) = self.of_one {
            under_way.give_back(kind, whose);
        }
        if let Some(kind) = self.of_all {
            under_way.give_back_of_all(kind);
        }
    }
}

impl From<NoPlace> for Problem {
    fn from(full: NoPlace) -> Self {
        Problem(ServiceError::from(full))
    }
}

/// Who is connected: the last proxy, where there is one. In a test nobody is.
fn peer(request: &Request) -> IpAddr {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip().to_canonical())
}

/// The layer.
pub async fn admit(State(admission): State<Arc<Admission>>, request: Request, next: Next) -> Response {
    match admitted(&admission, request).await {
        Ok((request, held)) => to_its_end(request, held, next).await,
        Err(problem) => problem.into_response(),
    }
}

async fn admitted(
    admission: &Arc<Admission>,
    mut request: Request,
) -> Result<(Request, HeldPlaces), Problem> {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let (access, kind) = match declared(request.method(), path.as_deref().unwrap_or_default()) {
        Ok(declared) => declared,
        Err(Undeclared::Path) => return Err(nothing_here()),
        Err(Undeclared::Method) => return Err(no_such_call(request.method())),
    };
    if access == Access::Link && !request.method().is_safe() {
        intent::from_this_site(request.headers(), &admission.public_url)?;
    }
    let peer = peer(&request);
    let caller = admission.known(access, request.headers(), peer).await?;
    let mut held = HeldPlaces { admission: Arc::clone(admission), of_one: None, of_all: None, _room: None };
    if access == Access::Sender {
        // How much is read, and after what proof, the door of the source decides.
        return Ok((request.map(|body| Body::new(in_time(body, BODY_TIME_MAX))), held));
    }
    let most = if access == Access::Link { FORM_BYTES_MAX } else { BODY_BYTES_MAX };
    let (parts, body) = request.into_parts();
    let (body, room) = within(Body::new(in_time(body, BODY_TIME_MAX)), &parts.headers, most, &KNOWN).await?;
    held._room = room;
    request = Request::from_parts(parts, Body::from(body));
    begin_work(request.extensions())?;
    if access != Access::Health {
        // Only now: who sends slowly takes no place from those who send with the same token.
        held.take(
            kind,
            caller.as_ref().map_or(CountedFor::Address(counted_as(peer)), |it| CountedFor::Token(it.token)),
        )?;
        held.take_of_all(kind)?;
    }
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    Ok((request, held))
}

/// From here on the connection is not closed for the sake of others.
///
/// # Errors
/// When it was closed just now.
pub fn begin_work(extensions: &Extensions) -> Result<(), Problem> {
    match extensions.get::<Arc<Connection>>() {
        Some(connection) if !connection.works() => Err(Problem::new(
            Sort::Busy,
            "connection-closed",
            "this connection was closed for others; nothing was done",
        )),
        _ => Ok(()),
    }
}

/// A call that has begun goes on to its end, also when the caller hangs up:
/// between the record of a run and its first step nobody may drop it.
async fn to_its_end(mut request: Request, held: HeldPlaces, next: Next) -> Response {
    // Dropped with this call, so that what only waits ends when nobody listens.
    let (_listens, hung_up) = HungUp::watched();
    request.extensions_mut().insert(hung_up);
    let called = async move { next.run(request).await.map(|body| Body::new(HoldingBody::new(body, held))) };
    match tokio::spawn(called).await {
        Ok(response) => response,
        Err(_) => {
            let message = "a mistake in Quell stopped this call; please report it with the server's log";
            Problem::new(Sort::Own, "unanswered", message).into_response()
        }
    }
}

/// There is nothing at an address.
pub fn nothing_here() -> Problem {
    Problem::new(Sort::Absent, "route-unknown", "there is nothing at this address; the API is under /api/v1")
}

/// An address that takes no such method.
pub fn no_such_call(method: &Method) -> Problem {
    let message = format!("this address takes no {method}; the routes are described at /api/v1/openapi.json");
    Problem::new(Sort::OtherMethod, "method-wrong", message)
}

/// The body of an answer, which holds what its request took up until it is out.
pub struct HoldingBody<T> {
    body: Body,
    _held: T,
}

impl<T> HoldingBody<T> {
    /// A body, and what is dropped with it.
    pub fn new(body: Body, held: T) -> Self {
        Self { body, _held: held }
    }
}

impl<T: Unpin> HttpBody for HoldingBody<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;

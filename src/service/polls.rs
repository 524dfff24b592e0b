//! Sources that are asked for their alerts: a page is read, taken as a delivery is,
//! and only when all of it is durable does the journal say where the next begins.
//!
//! ```text
//!   look ── page ── parts ── ingest, each durable ── PollAdvanced ── next look
//! ```
//! A stop anywhere before the last leaves the cursor: the page is read again, and
//! what was taken of it is known. What fails is tried again ever more slowly, and
//! people are told; nothing is ever passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::task::{JoinHandle, JoinSet};

use crate::domain::event::Event;
use crate::domain::expr::scope::Scope;
use crate::domain::id::{AlertId, PollId, StreamId};
use crate::domain::outcome::{Failure, FailureClass, Outcome};
use crate::domain::poll::{Advanced, FAILURES_TOLD, Looked, PollSpec, PolledPage, Standing, next_poll};
use crate::domain::time::{Timestamp, duration_text};
use crate::domain::value::{Digest, Value, digest_of, truncate_text};
use crate::intake::normalise::normalise;
use crate::projection::attention::{Item, Need};
use crate::service::error::ServiceError;
use crate::service::house::{Service, Source};
use crate::service::poll_parts::{asked_for_too_much, parts};
use crate::step::poll::look;
use crate::store::journal::{Append, Batch};

/// Bytes of a cursor: the opaque ones of vendors have some hundreds. It stands in
/// the journal once for every page.
const CURSOR_BYTES_MAX: usize = 16 * 1024;

/// Cursors that are remembered to tell a list that leads in a circle.
const CURSORS_KEPT: usize = 10_000;

/// Bytes of what went wrong that are kept to be shown.
const WHY_BYTES_MAX: usize = 1000;

/// Digits of a cursor's digest that are shown in its place.
const CURSOR_DIGITS_SHOWN: usize = 12;

/// What people are told of a page that cannot be got past.
const STANDS_STILL: &str = "more may wait behind this page than can be asked for: it was taken, and its next cursor is where it began. Ask for more at once by `with`, take a finer cursor, or let `more` say when nothing waits, such as `${ size(output.events) >= 200 }` where a full page holds 200";

/// The JSON of a list around its items.
const JSON: Option<&str> = Some("application/json");

/// The code of a payload without alerts: of a page that is nothing to tell.
const EMPTY: &str = "alert-empty";

/// How the polls of this process stand; what is durable of them is in the journal.
#[derive(Debug, Default)]
pub struct Polls(Mutex<BTreeMap<String, PollState>>);

/// How one stands.
#[derive(Debug, Clone, Default)]
struct PollState {
    standing: Standing,
    last_success: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    why: Option<Trouble>,
    next: Option<Timestamp>,
}

/// A polled source as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct PollView {
    /// Its id.
    pub id: PollId,
    /// The source.
    pub source: String,
    /// The connector and its operation.
    pub operation: String,
    /// How long between two looks.
    pub every: String,
    /// Where the next page begins.
    pub cursor: Value,
    /// When a page last moved it.
    pub moved_at: Option<Timestamp>,
    /// Alerts that were new in all pages that moved it.
    pub taken: u64,
    /// When a look last succeeded, since this server started.
    pub last_success: Option<Timestamp>,
    /// Looks that failed, in a row.
    pub failures: u32,
    /// Since when they fail.
    pub failing_since: Option<Timestamp>,
    /// What the last of them met.
    pub why: Option<String>,
    /// When the next look comes.
    pub next: Option<Timestamp>,
}

impl PollView {
    /// For who may only look: a cursor may be an address with a token in it, so
    /// that no more than whether it moved is told of it.
    #[must_use]
    pub fn for_readers(mut self) -> Self {
        let digest = digest_of(&self.cursor).to_string();
        let begin = digest.get(..CURSOR_DIGITS_SHOWN).unwrap_or(&digest);
        self.cursor = Value::from(format!("sha256 {begin}…"));
        self
    }
}

/// Why a page was not read, or not taken.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    message: String,
    retry_after: Option<Duration>,
    /// The server stops: this is no failure.
    called_off: bool,
    /// Trying again alone does not mend it.
    lasting: bool,
}

impl Trouble {
    /// A look that failed. One that waited for its turn in vain is called off too,
    /// and no more than a failure: only a connector that is `closed` ends a poll.
    fn of(failure: Failure, not_begun: bool, closed: bool) -> Self {
        let lasting = failure.class == FailureClass::Permanent;
        let trouble = Self::new(failure.message, lasting);
        Self { retry_after: failure.retry_after, called_off: not_begun && closed, ..trouble }
    }

    pub(super) fn new(message: impl Into<String>, lasting: bool) -> Self {
        let message = truncate_text(&message.into(), WHY_BYTES_MAX).into_owned();
        Self { message, retry_after: None, called_off: false, lasting }
    }
}

impl From<ServiceError> for Trouble {
    fn from(error: ServiceError) -> Self {
        use crate::service::error::Sort;
        let lasting = matches!(error.sort, Sort::Wrong | Sort::TooLarge);
        not_taken(&error.message, &error.code, lasting)
    }
}

/// A page that was not taken, and what mends it where we know that.
fn not_taken(message: &str, code: &str, lasting: bool) -> Trouble {
    let mended = asked_for_too_much(code).unwrap_or_default();
    Trouble::new(format!("a page was not taken: {message} ({code}){mended}"), lasting)
}

/// Where the pages began that were read in a row, over the pauses between them too.
#[derive(Debug, Default)]
struct Row(BTreeSet<Digest>);

impl Row {
    /// Whether a page that began at `from` leads in a circle: to a place where a page
    /// of this row began, with more behind it.
    fn circles(&mut self, from: &Value, page: &PolledPage) -> bool {
        if !page.more || self.0.len() >= CURSORS_KEPT {
            self.0.clear();
        }
        if page.more {
            self.0.insert(digest_of(from));
        }
        page.more && self.0.contains(&digest_of(&page.cursor))
    }
}

/// What came of a look; a mistake of ours ends the look, and not the poll.
async fn caught<T>(look: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    AssertUnwindSafe(look).catch_unwind().await.unwrap_or_else(|_| {
        let message = "a mistake in Quell stopped the look; please report it with the server's log";
        Err(Trouble::new(message, true))
    })
}

impl Service {
    /// Asks every polled source when it is due, for as long as the handle is not
    /// aborted. Each has a task of its own: one that hangs holds up no other.
    pub fn keep_polls(self: &Arc<Self>) -> JoinHandle<()> {
        let mut polled = JoinSet::new();
        for name in self.sources.iter().filter(|(_, source)| source.poll.is_some()).map(|(name, _)| name) {
            let (service, name) = (Arc::clone(self), name.clone());
            polled.spawn(async move { service.keep_polling(&name).await });
        }
        tokio::spawn(async move {
            while let Some(ended) = polled.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a source is polled no more until the server starts again");
                }
            }
        })
    }

    async fn keep_polling(&self, name: &str) {
        let Some(source) = self.sources.get(name) else { return };
        let Some(poll) = &source.poll else { return };
        // The views show what the process before left.
        self.caught_up().await;
        let mut row = Row::default();
        loop {
            let outcome = caught(self.look_at(name, source, poll, &mut row)).await;
            if matches!(&outcome, Err(trouble) if trouble.called_off) {
                return;
            }
            let next = self.note(name, poll, outcome);
            tokio::time::sleep(next.since(self.now())).await;
        }
    }

    /// Keeps what came of a look, and says when the next comes.
    fn note(&self, name: &str, poll: &PollSpec, outcome: Result<bool, Trouble>) -> Timestamp {
        let now = self.now();
        // A thousandth is fine enough for a pause.
        let chance = (self.fresh().random() % 1000) as f64 / 1000.0;
        let looked = match &outcome {
            Ok(more) => Looked::Page { more: *more },
            Err(trouble) => Looked::Failed { retry_after: trouble.retry_after },
        };
        let mut states = self.polls.0.lock();
        let state = states.entry(name.to_owned()).or_default();
        let (standing, next) = next_poll(state.standing, looked, poll.every, now, chance);
        match outcome {
            Ok(_) => {
                let last_success = Some(now);
                *state = PollState { last_success, standing, next: Some(next), ..PollState::default() };
            }
            Err(trouble) => {
                tracing::warn!(source = name, failures = standing.failures, why = %trouble.message, "a poll failed");
                state.failing_since.get_or_insert(now);
                (state.standing, state.next, state.why) = (standing, Some(next), Some(trouble));
            }
        }
        next
    }

    /// One look: reads a page, takes it, and moves the cursor once all of it is
    /// durable. Gives whether the next page is to be read at once.
    async fn look_at(
        &self,
        name: &str,
        source: &Source,
        poll: &PollSpec,
        row: &mut Row,
    ) -> Result<bool, Trouble> {
        let id = poll.id(name);
        let (after, cursor) = self.cursor(id, poll);
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            Trouble::new(format!("the poll's `{what}` cannot be worked out: {error}"), true)
        };
        let input = poll.input.render(&Scope::new().with("cursor", &cursor));
        let input = input.map_err(|error| wrong("with", &error))?;
        let outcome = look(&self.world, name, poll, &input).await;
        let not_begun = outcome.not_begun();
        let output = match outcome {
            Outcome::Succeeded { output, .. } => output,
            Outcome::Failed { failure, .. } => {
                return Err(Trouble::of(failure, not_begun, self.world.hub.is_closed()));
            }
        };
        let page = poll.page(&cursor, &output);
        let page = page.map_err(|error| wrong("cursor`, `alerts` or `more", &error))?;
        if page.cursor.to_string().len() > CURSOR_BYTES_MAX {
            return Err(Trouble::new(
                format!("its next cursor has more than {CURSOR_BYTES_MAX} bytes"),
                true,
            ));
        }
        let (taken, known) = self.take_page(name, source, &page.alerts).await?;
        if page.stands_still {
            return Err(Trouble::new(STANDS_STILL, true));
        }
        if row.circles(&cursor, &page) {
            return Err(Trouble::new(
                "its next cursor came back: a page of this row began there already, so that its pages lead in a circle and would be read for ever; check `cursor` and `more` of the poll against what the operation gives",
                true,
            ));
        }
        if page.cursor != cursor {
            let (source, cursor) = (name.to_owned(), page.cursor);
            let events = vec![Event::PollAdvanced(Box::new(Advanced { source, cursor, taken, known }))];
            let append = Append { stream: StreamId::Poll(id), after, at: self.now(), events };
            let batch = Batch { appends: vec![append], ..Batch::default() };
            let receipt = self.journal.append(batch).await.map_err(ServiceError::from)?;
            self.shown(Some(&receipt)).await;
        }
        Ok(page.more)
    }

    /// The number of the poll's last entry, and where it goes on.
    fn cursor(&self, id: PollId, poll: &PollSpec) -> (u64, Value) {
        let views = self.views.read();
        views.polls.get(id).map_or_else(|| (0, poll.first.clone()), |row| (row.seq, row.cursor.clone()))
    }

    /// Takes the alerts of a page by the rules of the source, as if it had sent them.
    /// How many were new, and how many had come before.
    async fn take_page(&self, name: &str, source: &Source, page: &Value) -> Result<(u32, u32), Trouble> {
        let parts = parts(&source.spec, page)?;
        if parts.len() > 1 {
            // One that cannot be read refuses the whole page, not what comes after it.
            for part in &parts {
                let mut new_id = || AlertId::new(self.fresh());
                let read = normalise(&source.spec, name, part, JSON, self.now(), &mut new_id);
                if let Err(error) = read.map_err(|error| (error.code(), error.to_string()))
                    && error.0 != EMPTY
                {
                    return Err(not_taken(&error.1, error.0, true));
                }
            }
        }
        let (mut taken, mut known) = (0u32, 0u32);
        for part in &parts {
            match self.take_polled(name, JSON, part).await {
                Ok(accepted) => {
                    for one in accepted {
                        let count = if one.duplicate { &mut known } else { &mut taken };
                        *count = count.saturating_add(1);
                    }
                }
                // A list inside what the operation gives may be empty.
                Err(error) if error.code == EMPTY => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((taken, known))
    }

    /// All polled sources as people see them.
    pub fn poll_views(&self) -> Vec<PollView> {
        let views = self.views.read();
        let states = self.polls.0.lock();
        let polled = self.sources.iter().filter_map(|(name, source)| Some((name, source.poll.as_ref()?)));
        let shown = polled.map(|(name, poll)| {
            let id = poll.id(name);
            let row = views.polls.get(id);
            let state = states.get(name).cloned().unwrap_or_default();
            PollView {
                id,
                source: name.clone(),
                operation: format!("{}.{}", poll.connector, poll.operation),
                every: duration_text(poll.every),
                cursor: row.map_or_else(|| poll.first.clone(), |row| row.cursor.clone()),
                moved_at: row.map(|row| row.moved_at),
                taken: row.map_or(0, |row| row.taken),
                last_success: state.last_success,
                failures: state.standing.failures,
                failing_since: state.failing_since,
                why: state.why.map(|why| why.message),
                next: state.next,
            }
        });
        shown.collect()
    }

    /// Polls that people must look at: they failed again and again, or met what
    /// trying again does not mend.
    pub(super) fn failing_polls(&self) -> Vec<Item> {
        let states = self.polls.0.lock();
        let failing = states.iter().filter_map(|(name, state)| {
            let why = state.why.as_ref()?;
            let failures = state.standing.failures;
            if failures < FAILURES_TOLD && !(why.lasting && failures > 1) {
                return None;
            }
            let what = format!(
                "the source `{name}` could not be asked for its alerts {failures} times in a row: {}; it is asked again, and nothing of it is passed over",
                why.message
            );
            let item = Item::new(Need::Unpolled, None, &format!("poll {name}"), state.failing_since?, what);
            Some(Item { commands: vec!["quell polls".to_owned()], ..item })
        });
        failing.collect()
    }
}

#[cfg(test)]
mod tests;

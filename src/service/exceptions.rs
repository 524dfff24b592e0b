//! Exceptions, and how often the rules of detectors are right.

use crate::domain::event::Event;
use crate::domain::exception::Exception;
use crate::domain::id::{ExceptionId, IncidentId, StreamId};
use crate::domain::incident::{Disposition, Verdict};
use crate::projection::alerts::AlertFilter;
use crate::projection::detections::DetectionRow;
use crate::projection::exceptions::ExceptionRow;
use crate::projection::fold::PAGE_ROWS_MAX;
use crate::projection::views::Views;
use crate::report::detection::{Message, message};
use crate::scheduler::run::SchedulerError;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::incidents::plain;
use crate::service::unchanged::OnlyIf;
use crate::store::error::StoreError;
use crate::store::journal::{Append, Batch};

/// Exceptions that hold at the same time: each alert is held against all of them,
/// and nobody keeps more in mind.
const HOLDING_MAX: usize = 500;

/// Incidents that are named to whoever answers for a rule.
const EXAMPLES_MAX: usize = 5;

/// Alerts that are looked at for those, the newest.
const EXAMPLE_LOOKS_MAX: usize = 4 * PAGE_ROWS_MAX;

/// The newest incidents in which the rule was wrong, or right about something harmless.
fn examples(views: &Views, row: &DetectionRow) -> Vec<(IncidentId, Disposition)> {
    let filter = AlertFilter { source: Some(row.source.clone()), ..AlertFilter::default() };
    let (mut found, mut before, mut looks) = (Vec::<(IncidentId, Disposition)>::new(), None, 0);
    while looks < EXAMPLE_LOOKS_MAX && found.len() < EXAMPLES_MAX {
        let page = views.alerts.list(&filter, before, PAGE_ROWS_MAX);
        looks += page.items.len().max(1);
        for alert in page.items.iter().filter(|alert| alert.rule.as_ref() == Some(&row.rule)) {
            let incident = alert.incident.and_then(|incident| views.incidents.get(incident));
            let Some((id, end)) = incident.and_then(|incident| Some((incident.id, incident.disposition?)))
            else {
                continue;
            };
            let was_wrong = matches!(end.verdict(), Verdict::False | Verdict::Harmless);
            if was_wrong && found.len() < EXAMPLES_MAX && !found.iter().any(|(known, _)| *known == id) {
                found.push((id, end));
            }
        }
        before = page.next.and_then(|next| next.parse().ok());
        if before.is_none() {
            break;
        }
    }
    found
}

impl Service {
    /// Makes an exception. Durable and shown when it returns.
    ///
    /// # Errors
    /// When something of it is wrong, or too many hold already.
    pub async fn make_exception(&self, mut exception: Exception) -> Result<ExceptionRow, ServiceError> {
        exception.why = plain("the reason", &exception.why)?;
        exception.owner = plain("the owner", &exception.owner)?;
        exception.rule = plain("the rule", &exception.rule)?;
        let now = self.now();
        let wrong = |message: String| ServiceError::new(Sort::Wrong, "exception-wrong", message);
        exception.check(now).map_err(|error| wrong(error.to_string()))?;
        if let Some(source) = exception.source.as_ref().filter(|source| !self.sources.contains_key(*source)) {
            return Err(wrong(format!("there is no source `{}` here", source.escape_debug())));
        }
        if self.views.read().exceptions.holding(now).count() >= HOLDING_MAX {
            let message = format!("{HOLDING_MAX} exceptions hold already; end some, or mend the rules");
            return Err(ServiceError::new(Sort::Refused, "exceptions-too-many", message));
        }
        let id = ExceptionId::new(self.fresh());
        self.append_exception(id, 0, Event::ExceptionMade(Box::new(exception))).await?;
        self.exception(id)
    }

    /// Ends an exception before its time. Durable and shown when it returns.
    ///
    /// # Errors
    /// When there is none, or it has ended.
    pub async fn end_exception(
        &self,
        id: ExceptionId,
        by: &str,
        why: Option<String>,
        only_if: &OnlyIf,
    ) -> Result<ExceptionRow, ServiceError> {
        // It changes once: whoever comes second finds it ended.
        self.caught_up().await;
        self.unchanged(only_if).await?;
        let why = why.map(|why| plain("the reason", &why)).transpose()?;
        if !self.exception(id)?.holds(self.now()) {
            let message = format!("{id} has ended already");
            return Err(ServiceError::new(Sort::Refused, "exception-ended", message));
        }
        self.append_exception(id, 1, Event::ExceptionEnded { by: by.to_owned(), why }).await?;
        self.exception(id)
    }

    async fn append_exception(&self, id: ExceptionId, after: u64, event: Event) -> Result<(), ServiceError> {
        let append = Append { stream: StreamId::Exception(id), after, at: self.now(), events: vec![event] };
        let batch = Batch { appends: vec![append], ..Batch::default() };
        match self.scheduler.start(Vec::new(), batch).await {
            Ok(receipt) => {
                self.shown(Some(&receipt)).await;
                Ok(())
            }
            Err(SchedulerError::Store(StoreError::Conflict { .. })) => {
                Err(ServiceError::new(Sort::Refused, "exception-ended", format!("{id} has ended already")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// One exception.
    ///
    /// # Errors
    /// When there is none.
    pub fn exception(&self, id: ExceptionId) -> Result<ExceptionRow, ServiceError> {
        let views = self.views.read();
        let row = views.exceptions.get(id).ok_or_else(|| ServiceError::absent("exception", &id))?;
        Ok(row.into_owned())
    }

    /// How often a rule fired and was right, and what to write to whom about it.
    ///
    /// # Errors
    /// When it never fired.
    pub fn detection(&self, source: &str, rule: &str) -> Result<(DetectionRow, Message), ServiceError> {
        let (views, now) = (self.views.read(), self.now());
        let row = views.detections.get(source, rule).ok_or_else(|| {
            let message = format!(
                "no rule `{}` of `{}` has fired here; `quell detections` lists those that did",
                rule.escape_debug(),
                source.escape_debug()
            );
            ServiceError::new(Sort::Absent, "not-found", message)
        })?;
        let row = row.into_owned();
        let holding: Vec<_> = views
            .exceptions
            .holding(now)
            .filter(|(_, it)| {
                it.rule.trim().eq_ignore_ascii_case(&row.rule)
                    && it.source.as_ref().is_none_or(|of| *of == row.source)
            })
            .map(|(id, it)| (id, it.clone()))
            .collect();
        let owner = self.triage_rules.owner_of(source, rule);
        let examples = examples(&views, &row);
        let message = message(&row, owner, &holding, &examples, now);
        Ok((row, message))
    }
}

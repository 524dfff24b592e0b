//! The two forms of a playbook that are held against each other: from the
//! library, from a text, or from the plans that runs froze.

use std::sync::Arc;

use super::{Draft, Form, Order, Side};
use crate::domain::alert::AlertRef;
use crate::domain::event::Event;
use crate::domain::id::{AlertId, StreamId};
use crate::playbook::library::{Library, Prepared};
use crate::projection::fold::PAGE_ROWS_MAX;
use crate::projection::runs::RunFilter;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;

/// How many mistakes of a playbook an error tells; `quell check` tells all.
const MISTAKES_TOLD: usize = 5;

impl Service {
    /// The old and the new form that an order names.
    pub(super) async fn sides(&self, order: &Order) -> Result<(Side, Side), ServiceError> {
        let new = match &order.new {
            Form::Library(name) => self.in_library(name)?,
            Form::Draft(draft) => self.drafted(draft)?,
            Form::Version(_) => {
                let message = "the changed playbook is a text or the name of one in the library";
                return Err(ServiceError::new(Sort::Wrong, "playbook-missing", message));
            }
        };
        let name = new.plan.playbook.name.clone();
        let old = match &order.old {
            None => self.in_library(&name).map_err(|mut error| {
                let what = "there is nothing to hold it against; name a file or a version to compare it with";
                error.message = format!("{}; {what}", error.message);
                error
            })?,
            Some(Form::Library(other)) => self.in_library(other)?,
            Some(Form::Draft(draft)) => self.drafted(draft)?,
            Some(Form::Version(version)) => self.frozen(&name, *version).await?,
        };
        Ok((old, new))
    }

    fn in_library(&self, name: &str) -> Result<Side, ServiceError> {
        let prepared = self.playbook(name)?;
        Ok(Side::new(Arc::clone(&prepared.plan), prepared.plan_digest, "the library".to_owned()))
    }

    fn drafted(&self, draft: &Draft) -> Result<Side, ServiceError> {
        let prepared = self.prepared(draft)?;
        Ok(Side::new(Arc::clone(&prepared.plan), prepared.plan_digest, draft.file.clone()))
    }

    /// A text, checked whole beside the library's playbooks, which its steps may run.
    fn prepared(&self, draft: &Draft) -> Result<Arc<Prepared>, ServiceError> {
        let own = || (draft.file.clone(), draft.text.clone());
        let (alone, mut mistakes) = Library::load([own()], &self.around);
        if let Some(prepared) = alone.playbooks.into_values().next() {
            return Ok(prepared);
        }
        if mistakes.is_empty() {
            // It runs others: their plans have to be made too.
            let others = Arc::clone(&self.library.read());
            let others = others.playbooks.values().map(|other| (other.file.clone(), other.text.clone()));
            let files: Vec<_> =
                std::iter::once(own()).chain(others.filter(|(file, _)| *file != draft.file)).collect();
            let (library, found) = Library::load(files, &self.around);
            let mine = library.playbooks.into_values().find(|prepared| prepared.text == draft.text);
            if let Some(prepared) = mine {
                return Ok(prepared);
            }
            mistakes = found;
        }
        let count = mistakes.len();
        let told = mistakes.iter().take(MISTAKES_TOLD).map(|mistake| {
            format!("{}:{}:{}: {}", mistake.file, mistake.place.line, mistake.place.column, mistake.message)
        });
        let told: Vec<String> = told.collect();
        let message = format!(
            "the playbook has {count} mistake{}, and no alert was looked at: {}",
            if count == 1 { "" } else { "s" },
            told.join("; ")
        );
        Err(ServiceError::new(Sort::Wrong, "mistakes", message))
    }

    /// The plan of the newest run that was started of this version.
    async fn frozen(&self, name: &str, version: u32) -> Result<Side, ServiceError> {
        self.caught_up().await;
        let filter = RunFilter { playbook: Some(name.to_owned()), ..RunFilter::default() };
        let mut before = None;
        loop {
            let page = self.views.read().runs.list(&filter, before, PAGE_ROWS_MAX);
            if let Some(row) = page.items.iter().find(|row| row.version == version) {
                let plan = self.scheduler.plan(row.plan).await?;
                return Ok(Side::new(plan, row.plan, format!("the plan of {}", row.id)));
            }
            before = page.next.and_then(|next| next.parse().ok());
            if before.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let message = format!(
            "no run of `{name}` version {version} is on record, so its plan is not; compare with a file instead"
        );
        Err(ServiceError::new(Sort::Absent, "version-unknown", message))
    }

    /// Where the content of an alert is kept.
    pub(in crate::service) async fn alert_ref(&self, id: AlertId) -> Result<Option<AlertRef>, ServiceError> {
        let entries = self.journal.read(StreamId::Alert(id), 0).await?;
        Ok(entries.iter().find_map(|entry| match &entry.event {
            Event::AlertReceived { digest, .. } => Some(AlertRef { id, digest: *digest }),
            _ => None,
        }))
    }
}

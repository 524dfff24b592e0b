//! What needs a person, and what is contained by whom and why.

use std::borrow::Cow;

use crate::domain::approval::Verdict;
use crate::domain::id::{ContainmentId, RunId};
use crate::domain::plan::Plan;
use crate::domain::run::StepKey;
use crate::projection::attention::needs::Place;
use crate::projection::attention::{Item, Need};
use crate::projection::containments::{ContainmentFilter, ContainmentRow};
use crate::projection::fold::{PAGE_ROWS_MAX, Page};
use crate::service::error::ServiceError;
use crate::service::house::Service;
use crate::store::error::StoreError;

/// Which of what needs a person a list shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttentionFilter {
    /// Only of this run.
    pub run: Option<RunId>,
    /// Only what the caller is asked.
    pub mine: bool,
}

impl Service {
    /// All that is wrong and needs a person now, the most urgent first: what the journal
    /// says, and what keeps this process from writing or reading it.
    pub fn needs(&self) -> Vec<Item> {
        let now = self.now();
        let views = self.views.read();
        let mut items = views.needs(now);
        for (run, since, why) in self.scheduler.troubles.damaged() {
            let item = Item::new(Need::Damaged, Some((run, &*views)), "damaged", since, why);
            let commands = vec!["quell store verify".to_owned(), format!("quell show {run}")];
            items.push(Item { commands, ..item });
        }
        if let Err(StoreError::Full) = self.journal.health() {
            let since = self.scheduler.troubles.full_since().unwrap_or(now);
            let what = format!(
                "the disk of the journal is full: {} run(s) are parked until there is space, and go on by themselves then",
                views.runs.live_len()
            );
            let item = Item::new(Need::Parked, None, "full", since, what);
            items.push(Item { commands: vec!["df -h".to_owned()], ..item });
        }
        items.extend(self.failing_polls());
        items.sort_by(|a, b| a.place.cmp(&b.place));
        items
    }

    /// That runs are held since the journal was read from a backup, while any is.
    pub fn held_since_restore(&self) -> Option<Item> {
        self.views.read().held_since_restore()
    }

    /// A page of all that needs a person, or of what this caller, or this run, needs:
    /// what is wrong, and what people are asked.
    pub fn attention(
        &self,
        caller: &str,
        filter: AttentionFilter,
        after: Option<&Place>,
        limit: usize,
    ) -> Page<Item> {
        let caller = self.person(caller);
        let (mut items, views) = (self.needs(), self.views.read());
        items.extend(views.duties(&caller, self.now()));
        items.sort_by(|a, b| a.place.cmp(&b.place));
        let is_mine = |item: &Item| item.id.as_ref().is_some_and(|id| views.is_asked_of(id, &caller));
        let wanted = |item: &Item| {
            filter.run.is_none_or(|run| item.run == Some(run))
                && after.is_none_or(|after| item.place.as_str() > after.as_str())
                && (!filter.mine || is_mine(item))
        };
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let mut items: Vec<Item> = items.into_iter().filter(wanted).take(limit + 1).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|item| item.place.clone());
        Page { items, next }
    }

    /// A page of containments, each with who stands behind it and why.
    pub async fn containments(
        &self,
        filter: &ContainmentFilter,
        before: Option<ContainmentId>,
        limit: usize,
    ) -> Page<ContainmentRow> {
        let page = self.views.read().containments.list(filter, before, limit);
        let mut items = Vec::with_capacity(page.items.len());
        for row in page.items {
            items.push(self.told(row).await);
        }
        Page { items, next: page.next }
    }

    /// One containment, with who stands behind it and why.
    ///
    /// # Errors
    /// When there is none of this id.
    pub async fn containment(&self, id: ContainmentId) -> Result<ContainmentRow, ServiceError> {
        let row = self.views.read().containments.get(id).map(Cow::into_owned);
        let row = row.ok_or_else(|| ServiceError::absent("containment", &id))?;
        Ok(self.told(row).await)
    }

    /// The row with what is filled in when it is shown. A plan that cannot be
    /// read leaves out what only it knows: a list must not fail for it.
    async fn told(&self, mut row: ContainmentRow) -> ContainmentRow {
        row.state = Some(row.stands(self.now()));
        let run = self.views.read().runs.get(row.run).map(Cow::into_owned);
        let Some(run) = run else { return row };
        let plan = self.scheduler.plan(run.plan).await.ok();
        let steps =
            plan.as_ref().map_or_else(|| vec![row.step.id.to_string()], |plan| around(plan, &row.step));
        let step = plan.as_ref().and_then(|plan| plan.playbook.step(&row.step.id)).map(|(_, step)| step);
        row.reason = step.map(|step| step.note.clone().unwrap_or_else(|| step.title().to_owned()));
        let views = self.views.read();
        let asked = views.approvals.of_run(row.run);
        let approved = asked.iter().filter(|asked| {
            asked.verdict == Some(Verdict::Approved)
                && steps.iter().any(|id| **id == *asked.step.id)
                && row.step.at.starts_with(&asked.step.at)
        });
        let given = approved.flat_map(|asked| &asked.given).filter(|given| given.approve);
        row.by = given.map(|given| given.by.clone()).collect();
        row.by.dedup();
        if row.by.is_empty() {
            row.by.push(run.by.to_string());
        }
        row.playbook = Some(run.playbook);
        row
    }
}

/// The step and the blocks around it, by their ids: an approval may stand on any.
fn around(plan: &Plan, key: &StepKey) -> Vec<String> {
    let steps = &plan.playbook.steps;
    let place = plan.playbook.step(&key.id).map(|(ix, _)| ix);
    let all = std::iter::successors(place, |ix| steps.get(*ix).and_then(|step| step.parent));
    all.filter_map(|ix| steps.get(ix)).map(|step| step.id.to_string()).collect()
}

//! All views of the house in one list.

use crate::domain::event::Entry;
use crate::projection::alerts::Alerts;
use crate::projection::approvals::Approvals;
use crate::projection::attention::Attention;
use crate::projection::containments::Containments;
use crate::projection::fold::Projection;
use crate::projection::incidents::Incidents;
use crate::projection::orders::Orders;
use crate::projection::questions::Questions;
use crate::projection::reports::Reports;
use crate::projection::runs::Runs;
use crate::projection::schedules::Schedules;

/// The views that the API, the pages and the guardrails read. A new view is
/// one field here and one line in `apply`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Views {
    /// What came in and what became of it.
    pub alerts: Alerts,
    /// Investigations.
    pub incidents: Incidents,
    /// Runs.
    pub runs: Runs,
    /// Approvals asked for.
    pub approvals: Approvals,
    /// Questions asked.
    pub questions: Questions,
    /// What is or was contained.
    pub containments: Containments,
    /// Summaries that were kept.
    pub reports: Reports,
    /// How far schedules are ruled on.
    pub schedules: Schedules,
    /// What needs a person.
    pub attention: Attention,
    /// Orders to lift what the runs of an incident contained.
    pub orders: Orders,
}

impl Projection for Views {
    fn apply(&mut self, entry: &Entry) {
        let all: [&mut dyn Projection; 10] = [
            &mut self.alerts,
            &mut self.incidents,
            &mut self.runs,
            &mut self.approvals,
            &mut self.questions,
            &mut self.containments,
            &mut self.reports,
            &mut self.schedules,
            &mut self.attention,
            &mut self.orders,
        ];
        for view in all {
            view.apply(entry);
        }
    }
}

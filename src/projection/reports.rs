//! Reports: which summaries a run wrote and kept.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::command::Phase;
use crate::domain::event::{Entry, Event};
use crate::domain::id::{IncidentId, ReportId, RunId, StreamId};
use crate::domain::outcome::Outcome;
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use crate::projection::fold::{Page, Projection, page};
use crate::projection::rows::Rows;
use crate::projection::shelf::Table;

/// One kept report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// Its id.
    pub id: ReportId,
    /// The run that wrote it.
    pub run: RunId,
    /// The investigation it is about.
    pub incident: Option<IncidentId>,
    /// The step that wrote it.
    pub step: StepKey,
    /// Which summary.
    pub template: String,
    /// `html` or `markdown`.
    pub format: String,
    /// When it was written.
    pub written_at: Timestamp,
    /// SHA-256 of its text, as 64 hexadecimal digits.
    pub sha256: String,
    /// The name of its file in the reports directory.
    pub file: String,
}

/// Which reports a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportFilter {
    /// Only those of this run.
    pub run: Option<RunId>,
    /// Only those of this incident.
    pub incident: Option<IncidentId>,
}

/// All kept reports.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reports {
    rows: Rows<ReportId, ReportRow>,
    of_run: Rows<(RunId, ReportId), ()>,
    of_incident: Rows<(IncidentId, ReportId), ()>,
}

impl Reports {
    /// The row of one report.
    pub fn get(&self, id: ReportId) -> Option<Cow<'_, ReportRow>> {
        self.rows.get(id)
    }

    fn move_run(&mut self, run: RunId, from: IncidentId, to: IncidentId) {
        let ids: Vec<ReportId> = self.of_run.newest_of(run, None).collect();
        for id in ids {
            if let Some(row) = self.rows.get_mut(id) {
                row.incident = Some(to);
            }
            self.of_incident.remove((from, id));
            self.of_incident.insert((to, id), ());
        }
    }

    /// Forgets those of a run that was erased.
    pub fn forget(&mut self, run: RunId) {
        let ids: Vec<ReportId> = self.of_run.newest_of(run, None).collect();
        for id in ids {
            let incident = self.rows.get(id).and_then(|row| row.incident);
            incident.into_iter().for_each(|incident| self.of_incident.remove((incident, id)));
            self.rows.remove(id);
            self.of_run.remove((run, id));
        }
    }

    /// The newest first, from before `before`.
    pub fn list(&self, filter: ReportFilter, before: Option<ReportId>, limit: usize) -> Page<ReportRow> {
        let keep = |row: &ReportRow| {
            filter.run.is_none_or(|run| run == row.run)
                && filter.incident.is_none_or(|incident| Some(incident) == row.incident)
        };
        let row = |id: ReportId| Some((id, self.rows.get(id)?));
        match (filter.run, filter.incident) {
            (Some(run), _) => page(self.of_run.newest_of(run, before).filter_map(row), limit, keep),
            (None, Some(of)) => page(self.of_incident.newest_of(of, before).filter_map(row), limit, keep),
            (None, None) => page(self.rows.newest(before), limit, keep),
        }
    }

    fn written(
        &mut self,
        (run, incident): (RunId, Option<IncidentId>),
        key: &StepKey,
        at: Timestamp,
        report: &Value,
    ) {
        let text = |name: &str| report.get(name).and_then(Value::as_str).unwrap_or_default();
        let (template, format) = (text("template"), text("format"));
        // The id is derived from the step and the run: what a system answered
        // under the same name is no report of ours.
        let id = ReportId::derived(run.ulid(), &format!("{key}/{template}/{format}"));
        let file = text("file").rsplit('/').next().unwrap_or_default();
        if text("id") != id.to_string() || file.is_empty() {
            return;
        }
        let row = ReportRow {
            id,
            run,
            incident,
            step: key.clone(),
            template: template.to_owned(),
            format: format.to_owned(),
            written_at: at,
            sha256: text("sha256").to_owned(),
            file: file.to_owned(),
        };
        self.rows.insert(id, row);
        self.of_run.insert((run, id), ());
        if let Some(incident) = incident {
            self.of_incident.insert((incident, id), ());
        }
    }
}

impl Projection for Reports {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![
            ("reports", &mut self.rows),
            ("reports.of_run", &mut self.of_run),
            ("reports.of_incident", &mut self.of_incident),
        ]
    }

    fn apply(&mut self, entry: &Entry, incident: Option<IncidentId>) {
        if let (Event::AlertsMoved(moved), StreamId::Incident(from)) = (&entry.event, entry.stream) {
            moved.runs.iter().for_each(|run| self.move_run(*run, from, moved.to));
        }
        let StreamId::Run(run) = entry.stream else {
            return;
        };
        let Event::AttemptEnded {
            key, phase: Phase::Act, outcome: Outcome::Succeeded { output, .. }, ..
        } = &entry.event
        else {
            return;
        };
        for report in output.get("reports").and_then(Value::as_array).into_iter().flatten() {
            self.written((run, incident), key, entry.at, report);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ulid::Ulid;

    use super::*;

    fn ended(run: RunId, output: Value) -> Entry {
        let outcome = Outcome::Succeeded { output, evidence: None };
        let event =
            Event::AttemptEnded { key: StepKey::root("brief"), phase: Phase::Act, attempt: 1, outcome };
        Entry { stream: StreamId::Run(run), seq: 2, at: Timestamp::from_millis(5), event }
    }

    #[test]
    fn a_report_is_listed_and_an_answer_that_looks_like_one_is_not() {
        let run = RunId::new(Ulid::from_parts(1, 2));
        let id = ReportId::derived(run.ulid(), "brief/executive/html");
        let report = |id: ReportId| json!({ "reports": [{ "id": id, "template": "executive", "format": "html", "file": "/a/b/inc-executive.html", "sha256": "ab" }] });
        let mut reports = Reports::default();
        reports.apply(&ended(run, report(ReportId::new(Ulid::from_parts(9, 9)))), None);
        reports.apply(&ended(run, json!({ "reports": "none" })), None);
        assert!(reports.list(ReportFilter::default(), None, 10).items.is_empty());
        reports.apply(&ended(run, report(id)), None);
        assert_eq!(reports.get(id).map(|row| row.file.clone()).as_deref(), Some("inc-executive.html"));
        let other = ReportFilter { run: Some(RunId::new(Ulid::from_parts(7, 7))), incident: None };
        assert!(reports.list(other, None, 10).items.is_empty());
    }
}

//! What is known: dossiers and reports.

use std::cmp::Reverse;

use crate::domain::id::{IncidentId, ReportId, RunId};
use crate::domain::value::digest;
use crate::projection::dossier::Dossier;
use crate::projection::reports::ReportRow;
use crate::report::render::{Format, render};
use crate::report::text::ReportError;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;

/// Runs of an incident that its report tells: what people read through.
const RUNS_TOLD_MAX: usize = 20;

impl Service {
    /// Everything about one run.
    ///
    /// # Errors
    /// When there is none, or the journal cannot be read.
    pub async fn dossier(&self, run: RunId) -> Result<Dossier, ServiceError> {
        if self.views.read().runs.get(run).is_none() {
            return Err(ServiceError::absent("run", &run));
        }
        self.numbered(run, 0).await
    }

    async fn numbered(&self, run: RunId, number: u16) -> Result<Dossier, ServiceError> {
        let dossier = self.world.records.dossier(run, number).await;
        dossier.map_err(|error| ServiceError::new(Sort::Own, "dossier", error))
    }

    /// Everything about the runs of an incident: those that have not ended before those
    /// that have, the latest of each first, up to [`RUNS_TOLD_MAX`]; what is left out is
    /// counted.
    async fn dossier_of_incident(&self, incident: IncidentId) -> Result<Dossier, ServiceError> {
        let (mut runs, untold) = {
            let views = self.views.read();
            let incident = views.incidents.current(incident);
            if views.incidents.get(incident).is_none() {
                return Err(ServiceError::absent("incident", &incident));
            }
            let mut runs = views.runs.of_incident(incident);
            let ended = |run: RunId| views.runs.get(run).is_none_or(|row| row.end.is_some());
            runs.sort_by_key(|run| (ended(*run), Reverse(*run)));
            let untold = runs.len().saturating_sub(RUNS_TOLD_MAX);
            runs.truncate(RUNS_TOLD_MAX);
            (runs, untold)
        };
        if let [run] = runs[..] {
            return self.numbered(run, 0).await;
        }
        runs.sort_unstable();
        let mut told = Vec::new();
        for (number, run) in (1..).zip(runs) {
            told.push(self.numbered(run, number).await?);
        }
        let dossier = Dossier::of_several(told).ok_or_else(|| {
            let message = format!("nothing was run for {incident} yet, so there is nothing to write");
            ServiceError::new(Sort::Refused, "no-run", message)
        })?;
        Ok(Dossier { untold_runs: untold, ..dossier })
    }

    /// A summary of a run, or of all runs of an incident.
    ///
    /// # Errors
    /// When there is no such thing, or no such report.
    pub async fn report(
        &self,
        of: &str,
        template: &str,
        audience: &str,
        format: &str,
    ) -> Result<String, ServiceError> {
        let format = Format::named(format).ok_or_else(|| {
            ServiceError::new(
                Sort::Wrong,
                "format-unknown",
                format!("`{}` is no format; there are html and markdown", format.escape_debug()),
            )
        })?;
        let dossier = match (of.parse::<RunId>(), of.parse::<IncidentId>()) {
            (Ok(run), _) => self.dossier(run).await?,
            (_, Ok(incident)) => self.dossier_of_incident(incident).await?,
            _ => {
                let message = format!("`{}` is neither a run nor an incident", of.escape_debug());
                return Err(ServiceError::new(Sort::Wrong, "id-wrong", message));
            }
        };
        render(&self.world.templates, template, &dossier, audience, format, self.now()).map_err(|error| {
            let (sort, code) = match error {
                ReportError::Unknown { .. } => (Sort::Wrong, "report"),
                ReportError::NamesErased { .. } => (Sort::Refused, "names-erased"),
                _ => (Sort::Own, "report"),
            };
            ServiceError::new(sort, code, error.to_string())
        })
    }

    /// A summary that a run wrote and kept, as it was written.
    ///
    /// # Errors
    /// When there is none, or its file is gone or no longer what was written.
    pub async fn kept_report(&self, id: ReportId) -> Result<(ReportRow, Vec<u8>), ServiceError> {
        let row = self.views.read().reports.get(id).map(|row| row.into_owned());
        let row = row.ok_or_else(|| {
            let message =
                format!("there is no report `{id}` here; GET /api/v1/reports lists those that were kept");
            ServiceError::new(Sort::Absent, "not-found", message)
        })?;
        let bytes = self.world.records.kept_report(row.file.clone()).await;
        let bytes = bytes.map_err(|error| ServiceError::new(Sort::Own, "report-unreadable", error))?;
        if digest(&bytes).to_string() != row.sha256 {
            let message =
                format!("the file {} is not what was written: its SHA-256 differs from the record", row.file);
            return Err(ServiceError::new(Sort::Own, "report-changed", message));
        }
        Ok((row, bytes))
    }
}

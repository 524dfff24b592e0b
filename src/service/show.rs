//! What is known: dossiers and reports.

use crate::domain::id::{IncidentId, ReportId, RunId};
use crate::domain::value::digest;
use crate::projection::dossier::Dossier;
use crate::projection::reports::ReportRow;
use crate::report::render::{Format, render};
use crate::report::text::ReportError;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;

impl Service {
    /// Everything about one run.
    ///
    /// # Errors
    /// When there is none, or the journal cannot be read.
    pub async fn dossier(&self, run: RunId) -> Result<Dossier, ServiceError> {
        if self.views.read().runs.get(run).is_none() {
            return Err(ServiceError::absent("run", &run));
        }
        self.world.records.dossier(run).await.map_err(|error| ServiceError::new(Sort::Own, "dossier", error))
    }

    /// A summary of a run, or of the latest run of an incident.
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
        let run = self.run_of(of)?;
        let format = Format::named(format).ok_or_else(|| {
            ServiceError::new(
                Sort::Wrong,
                "format-unknown",
                format!("`{}` is no format; there are html and markdown", format.escape_debug()),
            )
        })?;
        let dossier = self.dossier(run).await?;
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

    fn run_of(&self, of: &str) -> Result<RunId, ServiceError> {
        if let Ok(run) = of.parse::<RunId>() {
            return Ok(run);
        }
        let incident: IncidentId = of.parse().map_err(|_| {
            ServiceError::new(
                Sort::Wrong,
                "id-wrong",
                format!("`{}` is neither a run nor an incident", of.escape_debug()),
            )
        })?;
        let views = self.views.read();
        let row = views.incidents.get(incident).ok_or_else(|| ServiceError::absent("incident", &incident))?;
        row.runs.iter().max().copied().ok_or_else(|| {
            ServiceError::new(
                Sort::Refused,
                "no-run",
                format!("nothing was run for {incident} yet, so there is nothing to write"),
            )
        })
    }
}

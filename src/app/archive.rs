//! What steps ask of the journal, and where reports are kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::app::data_dir::private_dir;
use crate::domain::event::{Entry, Event};
use crate::domain::id::{AlertId, IncidentId, RunId, StreamId};
use crate::domain::run::StepKey;
use crate::domain::time::Timestamp;
use crate::failpoint::pass;
use crate::guard::contained::{Contained, DAY, TEN_MINUTES};
use crate::projection::dossier::{Dossier, Sources};
use crate::projection::views::Views;
use crate::scheduler::plans::{Plans, stored_alert};
use crate::step::world::Records;
use crate::store::journal::Journal;

/// Alerts of an incident that a dossier tells beside the run's own; a storm is told
/// by the incident's count.
const JOINED_TOLD_MAX: usize = 50;

/// How long an act waits for the views. They are milliseconds behind; an act that is
/// not judged is called off, and made anew.
const CATCH_UP: Duration = Duration::from_secs(10);

/// The journal and the reports directory.
pub struct Archive {
    journal: Arc<dyn Journal>,
    views: Arc<RwLock<Views>>,
    /// Up to which record the views go.
    seen: watch::Receiver<u64>,
    plans: Plans,
    reports: PathBuf,
}

impl Archive {
    /// Over a journal and its views; reports go to this directory.
    pub fn new(
        journal: Arc<dyn Journal>,
        views: Arc<RwLock<Views>>,
        seen: watch::Receiver<u64>,
        reports: PathBuf,
    ) -> Self {
        Self { journal, views, seen, plans: Plans::default(), reports }
    }

    async fn build(&self, run: RunId, number: u16) -> Result<Dossier, String> {
        let entries = self.journal.read(StreamId::Run(run), 0).await.map_err(|error| error.to_string())?;
        let Some(Event::RunStarted(started)) = entries.first().map(|entry| &entry.event) else {
            return Err(format!("there is no run {run}"));
        };
        let plan = self.plans.get(&*self.journal, started.plan).await.map_err(|error| error.to_string())?;
        let (of, runs) = {
            let views = self.views.read();
            let of = views.runs.get(run).map_or(started.incident, |row| row.incident);
            (of, views.runs.of_incident(of).len())
        };
        let incident = self.journal.read(StreamId::Incident(of), 0).await;
        let incident = incident.map_err(|error| error.to_string())?;
        let (mut alert_entries, mut alert) = (Vec::new(), None);
        if let Some(reference) = &started.alert {
            alert_entries = self
                .journal
                .read(StreamId::Alert(reference.id), 0)
                .await
                .map_err(|error| error.to_string())?;
            alert = stored_alert(&*self.journal, reference).await.map_err(|error| error.to_string())?;
        }
        let (joined, untold) = self.joined(of, started.alert.map(|alert| alert.id)).await?;
        let sources = Sources {
            run: &entries,
            incident_id: Some(of),
            incident: &incident,
            alert_entries: &alert_entries,
            joined: &joined,
            plan: &plan,
            alert: alert.as_deref(),
            number,
        };
        let mut dossier = Dossier::build(sources);
        // Alerts are the incident's: of several of its runs the first tells their number.
        dossier.left_out += if number <= 1 { untold } else { 0 };
        dossier.untold_runs = runs.saturating_sub(1);
        Ok(dossier)
    }
}

impl Archive {
    /// How the other alerts of an incident were triaged, the first of them, and how many
    /// others there are.
    async fn joined(
        &self,
        incident: IncidentId,
        own: Option<AlertId>,
    ) -> Result<(Vec<Entry>, usize), String> {
        let (alerts, count) = {
            let views = self.views.read();
            let incident = views.incidents.current(incident);
            let row = views.incidents.get(incident);
            row.map(|row| (row.alerts.clone(), row.alert_count)).unwrap_or_default()
        };
        let others = usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(usize::from(own.is_some()));
        let untold = others.saturating_sub(JOINED_TOLD_MAX);
        let mut joined = Vec::new();
        for alert in alerts.into_iter().filter(|alert| Some(*alert) != own).take(JOINED_TOLD_MAX) {
            let entries = self.journal.read(StreamId::Alert(alert), 0).await;
            let triaged = |entry: &Entry| matches!(entry.event, Event::AlertTriaged { .. });
            joined.extend(entries.map_err(|error| error.to_string())?.into_iter().find(triaged));
        }
        Ok((joined, untold))
    }
}

impl Records for Archive {
    fn dossier(&self, run: RunId, number: u16) -> BoxFuture<'_, Result<Dossier, String>> {
        self.build(run, number).boxed()
    }

    fn keep_report(&self, name: String, bytes: Vec<u8>) -> BoxFuture<'_, Result<String, String>> {
        async move {
            is_ours(&name)?;
            let path = self.reports.join(&name);
            let fresh = self.reports.join(format!(".{name}.new"));
            let failed =
                |error: std::io::Error| format!("the report {} cannot be written: {error}", path.display());
            private_dir(&self.reports).map_err(failed)?;
            tokio::fs::write(&fresh, bytes).await.map_err(failed)?;
            pass("report.written");
            tokio::fs::rename(&fresh, &path).await.map_err(failed)?;
            pass("report.named");
            Ok(path.display().to_string())
        }
        .boxed()
    }

    fn kept_report(&self, name: String) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        async move {
            is_ours(&name)?;
            let path = self.reports.join(&name);
            let read = tokio::fs::read(&path).await;
            read.map_err(|error| format!("the report {} cannot be read: {error}", path.display()))
        }
        .boxed()
    }

    fn report_files(&self) -> BoxFuture<'_, Vec<String>> {
        async move {
            let mut names = Vec::new();
            // There is no directory before the first report.
            let Ok(mut found) = tokio::fs::read_dir(&self.reports).await else { return names };
            while let Ok(Some(file)) = found.next_entry().await {
                names.extend(file.file_name().into_string().ok());
            }
            names
        }
        .boxed()
    }

    fn remove_report(&self, name: String) -> BoxFuture<'_, Result<(), String>> {
        async move {
            is_ours(name.strip_prefix('.').unwrap_or(&name))?;
            let path = self.reports.join(&name);
            let failed =
                |error: std::io::Error| format!("the report {} cannot be removed: {error}", path.display());
            tokio::fs::remove_file(&path).await.map_err(failed)?;
            tokio::fs::File::open(&self.reports).await.map_err(failed)?.sync_all().await.map_err(failed)
        }
        .boxed()
    }

    fn contained<'a>(
        &'a self,
        run: RunId,
        act: Option<&'a StepKey>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Contained, String>> {
        async move {
            if act.is_some() {
                // Its own intent is durable, and so is all that came before.
                let (head, mut seen) = (self.journal.head().position, self.seen.clone());
                let shown = tokio::time::timeout(CATCH_UP, seen.wait_for(|position| *position >= head)).await;
                if !matches!(shown, Ok(Ok(_))) {
                    return Err("the views are too far behind the journal to count by".to_owned());
                }
            }
            let views = self.views.read();
            let place = act.map_or(u64::MAX, |step| views.containments.place_of(run, step));
            let since = |span: Duration| views.containments.targets_since(now.before(span), place);
            let run = views.containments.targets_of(run, place);
            Ok(Contained { run, ten_minutes: since(TEN_MINUTES), day: since(DAY) })
        }
        .boxed()
    }
}

/// Names of reports are ours: an incident's id, a report's name, an ending.
fn is_ours(name: &str) -> Result<(), String> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if plain && !name.starts_with('.') {
        return Ok(());
    }
    Err(format!("`{}` is no name for a report", name.escape_debug()))
}

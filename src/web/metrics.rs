//! `/metrics`: a few counts for a monitoring system, as Prometheus reads them.
//! Counts only; no name of a person or a target.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::domain::event::RunEnd;
use crate::domain::urgency::Urgency;
use crate::projection::runs::RunStatus;
use crate::projection::views::Views;
use crate::service::polls::PollView;
use crate::web::access::{Caller, Role};
use crate::web::problem::Problem;
use crate::web::server::Web;

/// The text format's own name.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a run that has not ended can stand, and the word for it here.
const LIVE: [(RunStatus, &str); 6] = [
    (RunStatus::Queued, "queued"),
    (RunStatus::Running, "running"),
    (RunStatus::Waiting, "waiting"),
    (RunStatus::Ending, "ending"),
    (RunStatus::NeedsPerson, "needs_person"),
    (RunStatus::Quarantined, "quarantined"),
];

/// How a run can end, and the word for it here.
const ENDS: [(RunEnd, &str); 3] =
    [(RunEnd::Succeeded, "succeeded"), (RunEnd::Failed, "failed"), (RunEnd::Cancelled, "cancelled")];

/// `GET /metrics`, for a token that may read.
pub async fn show(State(web): State<Web>, caller: Caller) -> Result<Response, Problem> {
    caller.may(Role::Reader)?;
    let needs = web.service.needs().len();
    let queued = web.service.scheduler.queue_lengths();
    let mut text = text(&web.service.views.read(), needs, &queued);
    calls(&mut text, web.service.world.hub.waiting());
    polls(&mut text, &web.service.poll_views());
    Ok(([(header::CONTENT_TYPE, KIND)], text).into_response())
}

fn text(views: &Views, needs: usize, queued: &[(Urgency, usize)]) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# HELP quell_runs_live Runs that have not ended.\n# TYPE quell_runs_live gauge");
    for (status, word) in LIVE {
        let count = views.runs.live_standing(status);
        let _ = writeln!(out, "quell_runs_live{{status=\"{word}\"}} {count}");
    }
    let _ = writeln!(
        out,
        "# HELP quell_runs_ended_total Runs that ended, by how they ended.\n# TYPE quell_runs_ended_total counter"
    );
    for (end, word) in ENDS {
        let _ = writeln!(out, "quell_runs_ended_total{{end=\"{word}\"}} {}", views.run_ends.count(end));
    }
    let _ = writeln!(
        out,
        "# HELP quell_runs_queued Runs that wait for their turn.\n# TYPE quell_runs_queued gauge"
    );
    for (urgency, count) in queued {
        let _ = writeln!(out, "quell_runs_queued{{severity=\"{urgency}\"}} {count}");
    }
    for (name, kind, says, count) in [
        (
            "quell_runs_total",
            "counter",
            "Runs that were ever started.",
            ENDS.iter()
                .map(|(end, _)| views.run_ends.count(*end))
                .fold(views.runs.live_len(), |sum, ended| {
                    sum.saturating_add(usize::try_from(ended).unwrap_or(usize::MAX))
                }),
        ),
        (
            "quell_containments_holding",
            "gauge",
            "Containments that hold.",
            views.containments.holding().count(),
        ),
        ("quell_approvals_waiting", "gauge", "Approvals that wait for people.", views.approvals.open_len()),
        (
            "quell_attention",
            "gauge",
            "What is wrong and needs a person; what people are asked is counted beside it.",
            needs,
        ),
        ("quell_questions_waiting", "gauge", "Questions that wait for people.", views.questions.open_len()),
    ] {
        let _ = writeln!(out, "# HELP {name} {says}\n# TYPE {name} {kind}\n{name} {count}");
    }
    out
}

/// Calls that wait for a connector, by its name in the settings.
fn calls<'a>(out: &mut String, waiting: impl Iterator<Item = (&'a str, usize)>) {
    out.push_str("# HELP quell_calls_waiting Calls that wait for their turn at a connector.\n");
    out.push_str("# TYPE quell_calls_waiting gauge\n");
    for (name, count) in waiting {
        let name = label(name);
        let _ = writeln!(out, "quell_calls_waiting{{connector=\"{name}\"}} {count}");
    }
}

/// How polled sources stand, by their names in the settings.
fn polls(out: &mut String, polls: &[PollView]) {
    out.push_str("# HELP quell_poll_failures Looks at a polled source that failed, in a row.\n");
    out.push_str("# TYPE quell_poll_failures gauge\n");
    for poll in polls {
        let _ = writeln!(out, "quell_poll_failures{{source=\"{}\"}} {}", label(&poll.source), poll.failures);
    }
    out.push_str("# HELP quell_poll_success_seconds When a polled source last answered, since 1970.\n");
    out.push_str("# TYPE quell_poll_success_seconds gauge\n");
    for (poll, at) in polls.iter().filter_map(|poll| Some((poll, poll.last_success?))) {
        let seconds = at.millis() / 1000;
        let _ = writeln!(out, "quell_poll_success_seconds{{source=\"{}\"}} {seconds}", label(&poll.source));
    }
}

/// A name inside a label: only these are special there.
fn label(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_the_settings_stays_inside_its_label() {
        let mut out = String::new();
        calls(&mut out, [("a\"b\\c\nd", 2)].into_iter());
        assert_eq!(out.lines().last(), Some(r#"quell_calls_waiting{connector="a\"b\\c\nd"} 2"#));
    }

    #[test]
    fn an_empty_house_counts_nothing_and_says_so() {
        let text = text(&Views::default(), 0, &Urgency::ALL.map(|urgency| (urgency, 0)));
        for line in [
            "quell_runs_live{status=\"waiting\"} 0",
            "quell_runs_queued{severity=\"critical\"} 0",
            "quell_runs_total 0",
            "quell_runs_ended_total{end=\"failed\"} 0",
            "quell_containments_holding 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{text}");
        }
        assert!(
            text.lines().all(|line| line.starts_with('#') || line.split_whitespace().count() == 2),
            "{text}"
        );
    }
}

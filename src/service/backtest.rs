//! A backtest: stored alerts go through a changed playbook in plan mode, and what
//! is shown is where its decisions differ from those of another one. Nothing is
//! written, nothing is done, nobody is written to.
//!
//! ```text
//! stored alerts, the newest first ─┬─▶ old: trigger, then plan ─┐
//!                                  └─▶ new: trigger, then plan ─┴─▶ difference (pure)
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::domain::alert::Alert;
use crate::domain::expr::Expr;
use crate::domain::expr::scope::Scope;
use crate::domain::id::{AlertId, RunId};
use crate::domain::inputs::defaults;
use crate::domain::plan::Plan;
use crate::domain::playbook::{Playbook, Trigger};
use crate::domain::run::Shared;
use crate::domain::time::Timestamp;
use crate::domain::trigger::TriggerIndex;
use crate::domain::value::Digest;
use crate::projection::alerts::{AlertFilter, AlertRow};
use crate::scheduler::plans::stored_alert;
use crate::service::error::{ServiceError, Sort};
use crate::service::house::Service;
use crate::service::preview::How;
use crate::service::preview::how::Reads;

use self::decision::{Change, Decision, difference};

pub mod decision;
mod sides;

/// How many alerts are looked at when nobody says.
pub const LIMIT_DEFAULT: usize = 1_000;

/// The most alerts that one backtest looks at.
pub const LIMIT_MAX: usize = 10_000;

/// How far back it looks when nobody says: a quarter.
pub const SINCE_DEFAULT: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long it may take; what it has not looked at by then is told. Callers of
/// the API wait half a minute.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Rows of alerts that are read at a time.
const ROWS_AT_A_TIME: usize = 200;

/// Backtests that run at the same time: each may keep a core busy.
static AT_ONCE: Semaphore = Semaphore::const_new(1);

/// A playbook's text, and what its file is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// For messages.
    pub file: String,
    /// The playbook.
    pub text: String,
}

/// Which of a playbook's forms is meant.
#[derive(Debug, Clone)]
pub enum Form {
    /// The one that the library has now.
    Library(String),
    /// One that is not in the library.
    Draft(Draft),
    /// The newest with this version of which a run was started.
    Version(u32),
}

/// What is to be compared, and on what.
#[derive(Debug, Clone)]
pub struct Order {
    /// The changed playbook.
    pub new: Form,
    /// What it is held against; the one of its name in the library when absent.
    pub old: Option<Form>,
    /// Only alerts that came in since then.
    pub since: Timestamp,
    /// How many alerts at most, the newest first.
    pub limit: usize,
    /// Whether systems are asked.
    pub reads: Reads,
}

/// One of the two playbooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its version.
    pub version: u32,
    /// Where it is from.
    pub from: String,
    /// Whether it has a trigger on alerts at all.
    pub triggered: bool,
}

/// How many of what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Alerts that went through both.
    pub looked_at: usize,
    /// Alerts that only say that they were there: retention erased what they said.
    pub erased: usize,
    /// Alerts for which the old one starts a run.
    pub wanted_old: usize,
    /// Alerts for which the new one starts a run.
    pub wanted_new: usize,
    /// Alerts for which both do.
    pub wanted_both: usize,
    /// Alerts for which the old one's trigger can't be decided.
    pub undecided_old: usize,
    /// Alerts for which the new one's trigger can't be decided.
    pub undecided_new: usize,
    /// Alerts about which they decide differently.
    pub differ: usize,
}

/// Why not all alerts were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// There are more than were asked for.
    Limit,
    /// It took too long.
    Time,
}

/// An alert about which the two decide differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The alert.
    pub alert: AlertId,
    /// When it came in.
    pub received_at: Timestamp,
    /// Whom it is about.
    pub subject: Option<String>,
    /// 0 to 100.
    pub severity: u8,
    /// One line.
    pub title: String,
    /// How they differ.
    pub change: Change,
}

/// What a backtest found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backtest {
    /// The playbook.
    pub playbook: String,
    /// The one it is held against.
    pub old: Told,
    /// The changed one.
    pub new: Told,
    /// Whether systems were asked.
    pub reads: Reads,
    /// Alerts that came in before were not looked at.
    pub since: Timestamp,
    /// How many of what.
    pub counts: Counts,
    /// Why older alerts were left out, when some were.
    pub cut: Option<Cut>,
    /// The newest first.
    pub differences: Vec<Difference>,
}

/// One of the two, ready to decide.
struct Side {
    plan: Arc<Plan>,
    digest: Digest,
    told: Told,
    index: TriggerIndex,
}

impl Service {
    /// Puts stored alerts through two forms of a playbook and tells where they
    /// decide differently.
    ///
    /// # Errors
    /// When one of the two is not there or has mistakes, another backtest is under
    /// way, or alerts cannot be read.
    pub async fn backtest(&self, order: Order) -> Result<Backtest, ServiceError> {
        let Ok(_turn) = AT_ONCE.try_acquire() else {
            let message = "another backtest is under way; try again once it has ended";
            return Err(ServiceError::new(Sort::Busy, "backtest-busy", message));
        };
        if order.limit == 0 || order.limit > LIMIT_MAX {
            let message = format!("a backtest looks at 1 to {LIMIT_MAX} alerts; give such a limit");
            return Err(ServiceError::new(Sort::Wrong, "limit-wrong", message));
        }
        let (old, new) = self.sides(&order).await?;
        let mut found = Backtest {
            playbook: new.plan.playbook.name.clone(),
            old: old.told.clone(),
            new: new.told.clone(),
            reads: order.reads,
            since: order.since,
            counts: Counts::default(),
            cut: None,
            differences: Vec::new(),
        };
        self.caught_up().await;
        let began = Instant::now();
        let mut before = None;
        loop {
            let rows = self.alerts_before(before);
            let Some(last) = rows.last() else { break };
            before = Some(last.id);
            for row in rows {
                if row.received_at < order.since {
                    return Ok(found);
                }
                if found.counts.looked_at + found.counts.erased >= order.limit {
                    found.cut = Some(Cut::Limit);
                    return Ok(found);
                }
                if began.elapsed() > TIME_MAX {
                    found.cut = Some(Cut::Time);
                    return Ok(found);
                }
                match self.content(&row).await? {
                    None => found.counts.erased += 1,
                    Some(alert) => self.compare(&old, &new, alert, &mut found).await,
                }
            }
        }
        Ok(found)
    }

    /// The next rows of alerts, the newest first.
    fn alerts_before(&self, before: Option<AlertId>) -> Vec<AlertRow> {
        self.views.read().alerts.list(&AlertFilter::default(), before, ROWS_AT_A_TIME).items
    }

    /// What an alert said; nothing when that was erased.
    async fn content(&self, row: &AlertRow) -> Result<Option<Arc<Alert>>, ServiceError> {
        if row.content_erased_at.is_some() {
            return Ok(None);
        }
        let Some(of) = self.alert_ref(row.id).await? else { return Ok(None) };
        Ok(stored_alert(&*self.journal, &of).await?)
    }

    async fn compare(&self, old: &Side, new: &Side, alert: Arc<Alert>, found: &mut Backtest) {
        let json = Shared::new(serde_json::to_value(&*alert).unwrap_or(Value::Null));
        let was = self.decision(old, &alert, &json, found.reads).await;
        // The same plan decides the same.
        let is = if old.digest == new.digest {
            was.clone()
        } else {
            self.decision(new, &alert, &json, found.reads).await
        };
        let counts = &mut found.counts;
        counts.looked_at += 1;
        counts.wanted_old += usize::from(was.starts());
        counts.wanted_new += usize::from(is.starts());
        counts.wanted_both += usize::from(was.starts() && is.starts());
        counts.undecided_old += usize::from(was.is_undecided());
        counts.undecided_new += usize::from(is.is_undecided());
        if let Some(change) = difference(&was, &is) {
            counts.differ += 1;
            let user = &alert.user;
            found.differences.push(Difference {
                alert: alert.id,
                received_at: alert.received_at,
                subject: user.email.clone().or_else(|| user.name.clone()).or_else(|| user.id.clone()),
                severity: alert.severity,
                title: alert.title.clone(),
                change,
            });
        }
    }

    /// What one form decides about an alert.
    async fn decision(&self, side: &Side, alert: &Arc<Alert>, json: &Shared, reads: Reads) -> Decision {
        if !alert.status.is_open() {
            let why = "its detector ended the finding, which starts nothing".to_owned();
            return Decision::Unwanted { why };
        }
        let decided = {
            let scope = Scope::new().with_root("alert", json.root());
            let outcomes = side.index.decide(json.value(), &scope);
            if outcomes.iter().any(|(_, outcome)| outcome.is_ok()) {
                None
            } else if let Some(why) = outcomes.into_iter().find_map(|(_, outcome)| outcome.err()) {
                Some(Decision::Undecided { why: why.to_string() })
            } else {
                let miss = side.index.closest_miss(json.value(), &scope);
                let why = miss.map(|miss| {
                    let failed: Vec<String> = miss.failed.iter().map(ToString::to_string).collect();
                    format!("wanted {}", failed.join("; and "))
                });
                let why = why.unwrap_or_else(|| "no alert starts it".to_owned());
                Some(Decision::Unwanted { why })
            }
        };
        if let Some(decided) = decided {
            return decided;
        }
        // The same id and time for both, so that they differ only where the playbooks do.
        let how = How {
            plan: Arc::clone(&side.plan),
            digest: side.digest,
            reads,
            run: RunId::derived(alert.id.ulid(), &side.plan.playbook.name),
            at: alert.received_at,
        };
        match self.explore(&how, Some(Arc::clone(alert)), defaults(&side.plan.playbook.inputs)).await {
            Ok(explored) => Decision::Run {
                branches: explored.ways.into_iter().map(Into::into).collect(),
                left_out: explored.left_out,
            },
            Err(error) => Decision::Unplanned { why: error.message },
        }
    }
}

/// The conditions on alerts that start a playbook.
fn conditions(playbook: &Playbook) -> impl Iterator<Item = &Expr> {
    playbook.triggers.iter().filter_map(|trigger| match trigger {
        Trigger::Alert(trigger) => Some(&trigger.when),
        Trigger::Schedule(_) => None,
    })
}

impl Side {
    fn new(plan: Arc<Plan>, digest: Digest, from: String) -> Side {
        let playbook = &plan.playbook;
        let index =
            TriggerIndex::new(conditions(playbook).map(|condition| (playbook.name.as_str(), condition)));
        let told = Told { version: playbook.version, from, triggered: !index.is_empty() };
        Side { plan, digest, told, index }
    }
}

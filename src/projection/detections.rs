//! Detections: how often each rule of a detector fired, and how often it was right.
//!
//! An incident's disposition is the verdict on every rule that fired in it, once
//! each; when people change their mind, the verdict changes with them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::alert::Fate;
use crate::domain::event::{Entry, Event};
use crate::domain::id::{AlertId, IncidentId, StreamId};
use crate::domain::incident::{Disposition, Verdict};
use crate::domain::tie::{TieKey, TieKind};
use crate::domain::time::Timestamp;
use crate::domain::value::truncate_text;
use crate::projection::fold::{Page, Projection, ROW_TEXT_BYTES_MAX, page};
use crate::projection::rows::Rows;
use crate::projection::shelf::Table;

/// Rules that fired in one incident and share its verdict. More of them than this
/// are a burst of everything, which says little of each.
const RULES_OF_INCIDENT_MAX: usize = 50;

/// 97.5 % of a normal distribution lie below this many deviations, so that 19 of 20
/// intervals hold the true rate.
const DEVIATIONS: f64 = 1.959_964;

/// A share with the interval in which the true one likely lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// How many of them.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// The share, 0 to 1.
    pub share: f64,
    /// The least that it likely is.
    pub low: f64,
    /// The most that it likely is.
    pub high: f64,
}

impl Rate {
    /// The share with its 95 % interval by Wilson's score (E. B. Wilson 1927, "Probable
    /// inference, the law of succession, and statistical inference"), which holds
    /// for few cases too; none of none.
    #[must_use]
    pub fn of(count: u64, of: u64) -> Option<Self> {
        if of == 0 || count > of {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of incidents are far below 2^52")]
        let (number, share) = (of as f64, count as f64 / of as f64);
        let square = DEVIATIONS * DEVIATIONS;
        let middle = share + square / (2.0 * number);
        let reach = DEVIATIONS * (share * (1.0 - share) / number + square / (4.0 * number * number)).sqrt();
        let whole = 1.0 + square / number;
        let (low, high) = ((middle - reach) / whole, (middle + reach) / whole);
        Some(Self { count, of, share, low: low.max(0.0), high: high.min(1.0) })
    }

    /// In plain words: `3 of 4 (75 %, likely 30 to 95 %)`.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { count, of, share, low, high } = self;
        let percent = |share: &f64| (share * 100.0).round();
        format!("{count} of {of} ({} %, likely {} to {} %)", percent(share), percent(low), percent(high))
    }
}

/// One rule of a detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectionRow {
    /// The source its alerts come in by.
    pub source: String,
    /// The rule's name, else its id.
    pub rule: String,
    /// Alerts that came in.
    pub alerts: u64,
    /// Those for which runs were started.
    pub started: u64,
    /// Those that joined an incident.
    pub joined: u64,
    /// Those that an exception, or our own change, kept from having any effect.
    pub suppressed: u64,
    /// Incidents that were opened or joined by it.
    pub incidents: u64,
    /// What came of those that are decided: how many by disposition.
    pub dispositions: BTreeMap<String, u64>,
    /// Verdicts.
    pub verdicts: Verdicts,
    /// When the first alert came.
    pub first_at: Timestamp,
    /// When the last one came.
    pub last_at: Timestamp,
}

/// How often a rule was right, by incidents that are decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdicts {
    /// Right, and something was wrong.
    pub right: u64,
    /// Right, and nobody meant or did harm.
    pub harmless: u64,
    /// Wrong.
    pub wrong: u64,
    /// Nobody could tell.
    pub undecided: u64,
}

impl DetectionRow {
    /// How often it was right and something was wrong.
    pub fn true_positives(&self) -> Option<Rate> {
        Rate::of(self.verdicts.right, self.decided())
    }

    /// How often it was wrong.
    pub fn false_positives(&self) -> Option<Rate> {
        Rate::of(self.verdicts.wrong, self.decided())
    }

    fn decided(&self) -> u64 {
        self.verdicts.right + self.verdicts.harmless + self.verdicts.wrong
    }
}

/// The rules of one incident, and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Ended {
    /// Each with how many of its alerts are here.
    rules: Vec<(TieKey, u64)>,
    disposition: Option<Disposition>,
    by_person: bool,
}

/// All rules that ever fired.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Detections {
    rows: Rows<TieKey, DetectionRow>,
    incidents: Rows<IncidentId, Ended>,
    /// The rules of alerts that are not triaged yet, and of those in incidents.
    of_alert: Rows<AlertId, TieKey>,
}

/// The key of a rule: its source and its name in any case.
fn key(source: &str, rule: &str) -> TieKey {
    TieKey::of(TieKind::Finding, &["rule", source, &rule.trim().to_lowercase()])
}

impl Detections {
    /// The row of one rule.
    pub fn get(&self, source: &str, rule: &str) -> Option<Cow<'_, DetectionRow>> {
        self.rows.get(key(source, rule))
    }

    /// All, in no order that means anything, from before `before`.
    pub fn list(&self, before: Option<TieKey>, limit: usize) -> Page<DetectionRow> {
        page(self.rows.newest(before), limit, |_| true)
    }

    /// Forgets an incident that was erased. The counts stay until the views are folded
    /// anew from what is left: they name nobody.
    pub fn forget(&mut self, incident: IncidentId) {
        self.incidents.remove(incident);
    }

    /// Forgets an alert that was erased.
    pub fn forget_alert(&mut self, alert: AlertId) {
        self.of_alert.remove(alert);
    }

    fn came(&mut self, rule: TieKey, fate: &Fate, incident: Option<IncidentId>) {
        let Some(row) = self.rows.get_mut(rule) else { return };
        match fate {
            Fate::RunStarted { .. } => row.started += 1,
            Fate::Joined { .. } => row.joined += 1,
            Fate::Suppressed { .. } => row.suppressed += 1,
            Fate::Ended {} | Fate::NoPlaybook { .. } => {}
        }
        if let Some(incident) = incident {
            self.belongs(rule, incident);
        }
    }

    fn belongs(&mut self, rule: TieKey, incident: IncidentId) {
        let ended = self.incidents.get_or(incident, Ended::default);
        if let Some((_, alerts)) = ended.rules.iter_mut().find(|(known, _)| *known == rule) {
            *alerts += 1;
            return;
        }
        if ended.rules.len() >= RULES_OF_INCIDENT_MAX {
            return;
        }
        ended.rules.push((rule, 1));
        let disposition = ended.disposition;
        if let Some(row) = self.rows.get_mut(rule) {
            row.incidents += 1;
            row.count(disposition, true);
        }
    }

    /// An alert of this rule went to another incident; with the last one the verdict goes.
    fn leaves(&mut self, rule: TieKey, incident: IncidentId) {
        let Some(ended) = self.incidents.get_mut(incident) else { return };
        let Some((_, alerts)) = ended.rules.iter_mut().find(|(known, _)| *known == rule) else { return };
        *alerts -= 1;
        if *alerts > 0 {
            return;
        }
        ended.rules.retain(|(known, _)| *known != rule);
        let disposition = ended.disposition;
        if let Some(row) = self.rows.get_mut(rule) {
            row.incidents = row.incidents.saturating_sub(1);
            row.count(disposition, false);
        }
    }

    /// A person or a run says how an incident ended, or changes their mind. What a
    /// person said no run changes.
    fn decided(&mut self, incident: IncidentId, disposition: Disposition, by_person: bool) {
        let ended = self.incidents.get_or(incident, Ended::default);
        if ended.by_person && !by_person {
            return;
        }
        ended.by_person = by_person;
        let before = ended.disposition.replace(disposition);
        let rules = ended.rules.clone();
        for (rule, _) in rules {
            if let Some(row) = self.rows.get_mut(rule) {
                row.count(before, false);
                row.count(Some(disposition), true);
            }
        }
    }
}

impl DetectionRow {
    fn new(source: &str, rule: &str, at: Timestamp) -> Self {
        Self {
            source: source.to_owned(),
            rule: truncate_text(rule, ROW_TEXT_BYTES_MAX).into_owned(),
            alerts: 0,
            started: 0,
            joined: 0,
            suppressed: 0,
            incidents: 0,
            dispositions: BTreeMap::new(),
            verdicts: Verdicts::default(),
            first_at: at,
            last_at: at,
        }
    }

    fn count(&mut self, disposition: Option<Disposition>, more: bool) {
        let Some(disposition) = disposition else { return };
        let verdicts = &mut self.verdicts;
        let verdict = match disposition.verdict() {
            Verdict::True => &mut verdicts.right,
            Verdict::Harmless => &mut verdicts.harmless,
            Verdict::False => &mut verdicts.wrong,
            Verdict::Undecided => &mut verdicts.undecided,
        };
        let named = self.dispositions.entry(disposition.name().to_owned()).or_default();
        for count in [verdict, named] {
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
        }
        self.dispositions.retain(|_, count| *count > 0);
    }
}

impl Projection for Detections {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![
            ("detections", &mut self.rows),
            ("detections.incidents", &mut self.incidents),
            ("detections.of_alert", &mut self.of_alert),
        ]
    }

    fn apply(&mut self, entry: &Entry, incident: Option<IncidentId>) {
        match (&entry.event, entry.stream) {
            (Event::AlertReceived { source, rule: Some(rule), .. }, StreamId::Alert(alert)) => {
                let key = key(source, rule);
                let row = self.rows.get_or(key, || DetectionRow::new(source, rule, entry.at));
                row.alerts += 1;
                row.first_at = row.first_at.min(entry.at);
                row.last_at = row.last_at.max(entry.at);
                self.of_alert.insert(alert, key);
            }
            (Event::AlertTriaged { fate, .. }, StreamId::Alert(alert)) => {
                let Some(rule) = self.of_alert.get(alert).map(|rule| *rule) else { return };
                if fate.incident().is_none() {
                    self.of_alert.remove(alert);
                }
                self.came(rule, fate, incident);
            }
            (Event::AlertsMoved(moved), StreamId::Incident(from)) => {
                for alert in &moved.alerts {
                    if let Some(rule) = self.of_alert.get(*alert).map(|rule| *rule) {
                        self.leaves(rule, from);
                        self.belongs(rule, moved.to);
                    }
                }
            }
            (Event::IncidentChanged { change }, _) => {
                if let (Some(incident), Some(disposition)) = (incident, change.disposition) {
                    self.decided(incident, disposition, change.by.is_some());
                }
            }
            (Event::RunEnding { disposition: Some(disposition), .. }, StreamId::Run(_)) => {
                if let Some(incident) = incident {
                    self.decided(incident, *disposition, false);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::domain::incident::{IncidentChange, Move, MoveKind};
    use crate::domain::value::digest;

    #[test]
    fn a_rate_says_how_little_few_cases_tell() {
        for (count, of, words) in [
            (0, 1, "0 of 1 (0 %, likely 0 to 79 %)"),
            (1, 1, "1 of 1 (100 %, likely 21 to 100 %)"),
            (3, 4, "3 of 4 (75 %, likely 30 to 95 %)"),
            (50, 100, "50 of 100 (50 %, likely 40 to 60 %)"),
        ] {
            assert_eq!(Rate::of(count, of).expect("a rate").words(), words);
        }
        assert_eq!(Rate::of(0, 0), None);
    }

    #[test]
    fn a_disposition_is_the_verdict_on_each_rule_once_and_can_be_changed() {
        let mut detections = Detections::default();
        let incident = IncidentId::new(Ulid(9));
        let at = Timestamp::from_millis(1);
        for number in 1..=3 {
            let stream = StreamId::Alert(AlertId::new(Ulid(number)));
            let received = Event::AlertReceived {
                counts: None,
                shape_unknown: false,
                source: "dlp".to_owned(),
                source_id: None,
                title: "t".to_owned(),
                severity: 50,
                digest: digest(b""),
                rule: Some("Bulk download".to_owned()),
                subject: None,
                by: None,
            };
            let fate = Fate::RunStarted { runs: Vec::new(), incident };
            let triaged = Event::AlertTriaged { fate, seen: None, related: Vec::new() };
            for (seq, event) in [(1, received), (2, triaged)] {
                detections.apply(&Entry { stream, seq, at, event }, Some(incident));
            }
        }
        let mut decide = |disposition| {
            let change = IncidentChange { disposition: Some(disposition), ..IncidentChange::default() };
            let event = Event::IncidentChanged { change };
            let stream = StreamId::Incident(incident);
            detections.apply(&Entry { stream, seq: 2, at, event }, Some(incident));
            let row = detections.get("dlp", "bulk DOWNLOAD").expect("it fired").into_owned();
            (row.alerts, row.incidents, row.verdicts, row.dispositions)
        };
        let wrong = Verdicts { wrong: 1, ..Verdicts::default() };
        let named = |name: &str| BTreeMap::from([(name.to_owned(), 1)]);
        assert_eq!(decide(Disposition::FalsePositive), (3, 1, wrong, named("false_positive")));
        let right = Verdicts { right: 1, ..Verdicts::default() };
        assert_eq!(decide(Disposition::Contained), (3, 1, right, named("contained")));
        // The incident was another one's: its rule goes along, and with it the verdict.
        let (to, alerts) =
            (IncidentId::new(Ulid(10)), (1..=3).map(|number| AlertId::new(Ulid(number))).collect());
        let moved = Move {
            kind: MoveKind::Merge,
            to,
            alerts,
            runs: Vec::new(),
            left: None,
            ties: Vec::new(),
            by: "ana@example.com".to_owned(),
            why: "one story".to_owned(),
        };
        let event = Event::AlertsMoved(Box::new(moved));
        let stream = StreamId::Incident(incident);
        detections.apply(&Entry { stream, seq: 3, at, event }, Some(incident));
        let row = detections.get("dlp", "bulk download").expect("it fired").into_owned();
        assert_eq!(
            (row.incidents, row.verdicts, row.dispositions),
            (1, Verdicts::default(), BTreeMap::new())
        );
    }
}

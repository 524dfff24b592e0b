//! Where things were seen last: how a new alert finds the incident it belongs to.
//!
//! Ties are kept by month: one that was not seen again is let go after the second
//! month, so that a store of years is no slower than one of weeks.

use crate::domain::event::{Entry, Event};
use crate::domain::id::{IncidentId, StreamId};
use crate::domain::incident::{Move, MoveKind};
use crate::domain::tie::TieKey;
use crate::domain::time::Timestamp;
use crate::domain::triage::{REMEMBERED_MOST, Tied};
use crate::projection::fold::Projection;
use crate::projection::key::Key;
use crate::projection::rows::Rows;
use crate::projection::shelf::Table;

/// One alert in this many lets old ties go, many at a time: looking for them costs
/// more than letting them go.
const LETS_GO: u128 = 256;

/// Ties that are let go at a time: more than so many alerts bring, each of which has
/// some 26 at the most.
const LET_GO_MAX: usize = 32 * LETS_GO as usize;

/// A month that ties are kept by, counted from 1970. A little longer than anything
/// is remembered, so that this one and the last hold all that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Month(u16);

impl Month {
    fn of(at: Timestamp) -> Self {
        let length = i64::try_from(REMEMBERED_MOST.as_millis()).unwrap_or(i64::MAX);
        Self(u16::try_from(at.millis() / length).unwrap_or(if at.millis() < 0 { 0 } else { u16::MAX }))
    }

    fn before(self, months: u16) -> Self {
        Self(self.0.saturating_sub(months))
    }
}

impl Key for Month {
    const LEAST: Self = Self(0);
    const MOST: Self = Self(u16::MAX);
    const BYTES: usize = 2;

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.0.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(u16::from_be_bytes(bytes)))
    }
}

impl Key for TieKey {
    const LEAST: Self = Self([0; 16]);
    const MOST: Self = Self([u8::MAX; 16]);
    const BYTES: usize = 16;

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.0);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// What was seen in the last month or two, and in which incident.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ties {
    rows: Rows<(Month, TieKey), Tied>,
}

impl Ties {
    /// Where this was seen last, as far back as anything is remembered at `now`.
    pub fn get(&self, key: TieKey, now: Timestamp) -> Option<Tied> {
        let month = Month::of(now);
        let months = [month, month.before(1)];
        months.into_iter().find_map(|month| self.rows.get((month, key)).map(|tied| tied.into_owned()))
    }

    fn set(&mut self, key: TieKey, tied: Tied) {
        let month = Month::of(tied.at);
        // Entries of different alerts come in any order.
        if self.rows.get((month, key)).is_none_or(|there| there.at <= tied.at) {
            self.rows.insert((month, key), tied);
        }
    }

    /// What was seen last by an alert that moved leads where that went.
    fn moved(&mut self, moved: &Move, at: Timestamp) {
        let month = Month::of(at);
        for key in &moved.ties {
            for month in [month, month.before(1)] {
                let leads =
                    self.rows.get((month, *key)).is_some_and(|tied| moved.alerts.contains(&tied.alert));
                if leads && let Some(tied) = self.rows.get_mut((month, *key)) {
                    tied.incident = moved.to;
                }
            }
        }
    }

    fn let_go(&mut self, at: Timestamp) {
        let kept = (Month::of(at).before(1), TieKey::LEAST);
        let gone: Vec<_> = self.rows.newest(Some(kept)).take(LET_GO_MAX).map(|(key, _)| key).collect();
        gone.into_iter().for_each(|key| self.rows.remove(key));
    }
}

impl Projection for Ties {
    fn tables(&mut self) -> Vec<(&'static str, &mut dyn Table)> {
        vec![("ties", &mut self.rows)]
    }

    fn apply(&mut self, entry: &Entry, _incident: Option<IncidentId>) {
        match (&entry.event, entry.stream) {
            (Event::AlertTriaged { fate, seen: Some(seen), .. }, StreamId::Alert(alert)) => {
                let Some(incident) = fate.incident() else { return };
                let (at, status, id) = (entry.at, seen.status, seen.id);
                let tied = Tied {
                    incident,
                    alert,
                    at,
                    status,
                    id,
                    worst: seen.worst,
                    ran: seen.ran.clone(),
                    people: seen.people,
                    finding: seen.finding.clone(),
                };
                seen.ties.iter().for_each(|key| self.set(*key, tied.clone()));
                if alert.ulid().0 % LETS_GO == 0 {
                    self.let_go(entry.at);
                }
            }
            // After a merge the old incident itself says where to go on.
            (Event::AlertsMoved(moved), StreamId::Incident(_)) if moved.kind == MoveKind::Split => {
                self.moved(moved, entry.at);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::domain::alert::{Fate, FindingStatus};
    use crate::domain::id::AlertId;
    use crate::domain::tie::{FindingPeople, TieKind};
    use crate::domain::triage::Sighting;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + day * 86_400_000)
    }

    fn seen(ties: &mut Ties, number: u128, key: TieKey, at: Timestamp) {
        let incident = IncidentId::new(Ulid(number));
        let fate = Fate::RunStarted { runs: Vec::new(), incident };
        let sighting = Sighting {
            ties: vec![key],
            status: FindingStatus::Open,
            id: None,
            severity: 50,
            worst: 50,
            ran: Vec::new(),
            subject: None,
            people: FindingPeople::default(),
            finding: Vec::new(),
        };
        let event = Event::AlertTriaged { fate, seen: Some(Box::new(sighting)), related: Vec::new() };
        let stream = StreamId::Alert(AlertId::new(Ulid(number)));
        ties.apply(&Entry { stream, seq: 2, at, event }, None);
    }

    #[test]
    fn what_was_seen_is_known_for_a_month_and_let_go_after_the_next() {
        let mut ties = Ties::default();
        let key = |number: u128| TieKey::of(TieKind::Finding, &[&number.to_string()]);
        for number in 1..100 {
            seen(&mut ties, number, key(number), day(0));
        }
        assert_eq!(ties.get(key(7), day(0)).map(|tied| tied.incident), Some(IncidentId::new(Ulid(7))));
        assert!(ties.get(key(7), day(29)).is_some());
        assert!(ties.get(key(100), day(0)).is_none());
        seen(&mut ties, LETS_GO, key(7), day(60));
        assert_eq!(ties.get(key(7), day(60)).map(|tied| tied.incident), Some(IncidentId::new(Ulid(LETS_GO))));
        let left = ties.rows.newest(None).count();
        assert_eq!(left, 1, "what nobody saw again is let go");
    }
}

//! How severe an incident was, and when: by the same rules as its row in lists
//! (`projection::incidents`).

use super::{Moment, Noted};

/// Who or what says how severe an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// Its opening.
    Opening,
    /// An alert that joined it: counts when it is more severe than all before it.
    Alert,
    /// A run: it only raises, and after a person only above the most severe alert.
    Run,
    /// A person: counts as it is.
    Person,
}

/// The severities that held, in the order of time; the last holds.
pub(super) fn held(mut said: Vec<(u8, Moment, Says)>) -> Vec<Noted<u8>> {
    said.sort_by_key(|(_, moment, _)| moment.at);
    let (mut held, mut worst, mut by_person): (Vec<Noted<u8>>, u8, bool) = (Vec::new(), 0, false);
    for (value, moment, says) in said {
        let now = held.last().map_or(0, |noted| noted.value);
        let counts = match says {
            Says::Opening | Says::Person => true,
            Says::Alert => value > worst && value > now,
            Says::Run => value >= now && !(by_person && value <= worst),
        };
        match says {
            Says::Opening | Says::Alert => worst = worst.max(value),
            Says::Person => by_person = true,
            Says::Run => {}
        }
        if counts {
            held.push(Noted { value, at: moment.at, cite: moment.cite, by: None });
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::domain::id::{RunId, StreamId};
    use crate::domain::time::Timestamp;
    use crate::projection::dossier::Cite;

    #[test]
    fn it_rises_by_rule_and_falls_by_a_person_alone() {
        use Says::{Alert, Opening, Person, Run};
        let stream = StreamId::Run(RunId::new(Ulid(1)));
        for (said, values) in [
            (vec![(60, Opening), (40, Run), (80, Run)], vec![60, 80]),
            (vec![(60, Opening), (90, Alert), (70, Alert)], vec![60, 90]),
            (vec![(60, Opening), (30, Person), (60, Run), (60, Alert)], vec![60, 30]),
            (vec![(60, Opening), (30, Person), (90, Alert), (95, Run)], vec![60, 30, 90, 95]),
        ] {
            let numbered = (1..).zip(&said);
            let said = numbered.map(|(at, (value, says))| {
                let moment = Moment {
                    at: Timestamp::from_millis(i64::try_from(at).expect("few")),
                    cite: Cite { stream, seq: at, run: 0 },
                };
                (*value, moment, *says)
            });
            let found: Vec<u8> = held(said.collect()).iter().map(|noted| noted.value).collect();
            assert_eq!(found, values);
        }
    }
}

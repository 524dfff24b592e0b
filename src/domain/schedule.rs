//! When a schedule is due: a cron expression of five fields in a time zone.
//!
//! The one file that touches the `cron` crate, which is used for nothing but
//! walking through a calendar. It takes seconds first, counts weekdays from 1,
//! reads day of month and weekday as AND, and in the repeated hour of autumn
//! goes back in time; so `fields.rs` reads the five fields, explicit lists are
//! handed on, and the walk is on the local clock without a zone. Each moment
//! found is then placed in the zone:
//!
//! ```text
//! the clock shows it once             that instant
//! the clock jumps over it (spring)    the first instant after the gap
//! the clock shows it twice (autumn)   the first of the two, once
//! ```
//!
//! In other words: the first instant at which the local clock has reached it.
//! That never falls while the moments rise, which is why firings strictly rise.

mod fields;

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use chrono::{NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::{GapInfo, Tz};
use serde::{Deserialize, Serialize};

use self::fields::Fields;
use crate::domain::expr::template::Template;
use crate::domain::id::ScheduleId;
use crate::domain::time::Timestamp;
use crate::domain::value::{Value, canonical};

/// The first point in time after which nothing is due: 2101-01-01T00:00:00Z.
/// The calendar of the `cron` crate ends with the year 2100.
const CALENDAR_ENDS: Timestamp = Timestamp::from_millis(4_133_980_800_000);

/// How far back [`Times::newest`] looks before it looks further: an hour, a
/// day, a month, a year, and the nine years that may lie between two 29ths of
/// February. A dense schedule is found near, a rare one has little to walk.
const LOOK_BACK_HOURS: [u64; 5] = [1, 24, 32 * 24, 366 * 24, 9 * 366 * 24];

/// What is to be done with firings that nobody was there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Nothing: they are recorded as skipped.
    #[default]
    Skip,
    /// One run for all of them, at the newest.
    RunOnce,
    /// One run for each.
    RunAll,
}

/// What is to be done when a firing is due while a run of the same schedule goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Nothing: it is recorded as skipped.
    #[default]
    Skip,
    /// It waits for the end of the run; one waits at the most.
    Queue,
    /// It starts beside it.
    Parallel,
}

/// A schedule as the playbook says it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Five fields: minute, hour, day of the month, month, weekday.
    pub cron: String,
    /// IANA name of the zone whose clock counts.
    pub timezone: String,
    /// For firings that nobody was there for.
    #[serde(default)]
    pub missed: Missed,
    /// For firings while a run goes on.
    #[serde(default)]
    pub overlap: Overlap,
    /// The run's inputs; `due` is known to their expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Template>,
}

impl ScheduleSpec {
    /// The id of this schedule in this playbook. It names what is done and
    /// when: another expression, zone or other inputs make another schedule,
    /// whose counting begins anew; another policy does not.
    pub fn id(&self, playbook: &str) -> ScheduleId {
        let cron: Vec<&str> = self.cron.split_whitespace().collect();
        let inputs = self.inputs.as_ref().map_or(Value::Null, |inputs| inputs.source().clone());
        let label = canonical(&Value::from(vec![
            Value::from(playbook),
            Value::from(cron.join(" ")),
            Value::from(self.timezone.as_str()),
            inputs,
        ]));
        ScheduleId::derived(ulid::Ulid::nil(), &label)
    }

    /// When it is due.
    ///
    /// # Errors
    /// When its expression or zone cannot be read; `check` refuses those.
    pub fn times(&self) -> Result<Times, CronMistake> {
        Times::parse(&self.cron, &self.timezone)
    }
}

/// What is wrong with a cron expression or a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct CronMistake {
    /// Stable and kebab-case: `bad-cron`, `never-fires` or `bad-timezone`.
    pub code: &'static str,
    /// The bytes of the text that it is about.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// When a schedule is due, ready to be asked.
#[derive(Debug, Clone)]
pub struct Times {
    /// Due when any of these is: two where day of month and weekday are both given.
    calendars: Vec<cron::Schedule>,
    zone: Tz,
}

impl Times {
    /// Reads a cron expression of five fields and the IANA name of a zone.
    ///
    /// # Errors
    /// The first mistake, or that it is never due.
    pub fn parse(cron: &str, zone: &str) -> Result<Times, CronMistake> {
        let fields = Fields::parse(cron)?;
        let zone = zone_named(zone)?;
        let calendars: Result<Vec<cron::Schedule>, _> =
            fields.expressions().iter().map(|text| text.parse()).collect();
        let calendars = calendars.map_err(|error| CronMistake {
            code: "bad-cron",
            range: 0..cron.len(),
            message: format!("`{cron}` cannot be read: {error}"),
            help: "write minute hour day month weekday, such as 0 9 * * MON-FRI".to_owned(),
        })?;
        let times = Times { calendars, zone };
        if times.next_after(Timestamp::EPOCH).is_none() {
            return Err(CronMistake {
                code: "never-fires",
                range: fields.days_and_months(),
                message: format!("`{cron}` is never due: there is no such day in any year"),
                help: "name a day that the month has; for its last day write 28-31, and let the playbook look at the date".to_owned(),
            });
        }
        Ok(times)
    }

    /// The first firing after this point, as an instant in UTC; none beyond the
    /// year 2100. Points before 1970 count as 1970.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.max(Timestamp::EPOCH);
        if after >= CALENDAR_ENDS {
            return None;
        }
        let local = after.to_chrono().with_timezone(&self.zone).naive_local();
        let mut moment = local.with_nanosecond(0)?;
        // Moments that the clock shows a second time, or jumped over, lie at or
        // before `after` when placed: an hour of them, a day at the most.
        loop {
            moment = self.next_moment(moment)?;
            if let Some(due) = self.place(moment).filter(|due| *due > after) {
                return Some(due);
            }
        }
    }

    /// The firings after this point, in order.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(after), |due| self.next_after(*due))
    }

    /// The newest firings after `after` and not after `until`, `count` at the
    /// most, in order. Costs what is found and not how long ago `after` is.
    pub fn newest(&self, after: Timestamp, until: Timestamp, count: usize) -> Vec<Timestamp> {
        let mut windows = LOOK_BACK_HOURS.iter().map(|hours| until.before(Duration::from_secs(hours * 3600)));
        loop {
            let from = windows.next().unwrap_or(after).max(after);
            let mut found = VecDeque::new();
            for due in self.after(from).take_while(|due| *due <= until) {
                found.push_back(due);
                if found.len() > count {
                    found.pop_front();
                }
            }
            if found.len() >= count || from == after {
                return found.into();
            }
        }
    }

    /// The next moment of the local clock, whatever the zone makes of it.
    fn next_moment(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        let after = after.and_utc();
        self.calendars
            .iter()
            .filter_map(|calendar| calendar.after(&after).next())
            .min()
            .map(|due| due.naive_utc())
    }

    /// The first instant at which the local clock has reached this moment.
    fn place(&self, moment: NaiveDateTime) -> Option<Timestamp> {
        let instants = self.zone.from_local_datetime(&moment);
        let instant = instants.earliest().or_else(|| GapInfo::new(&moment, &self.zone)?.end)?;
        Some(instant.with_timezone(&Utc).into())
    }
}

/// The zone of this IANA name.
///
/// # Errors
/// When there is none.
pub fn zone_named(name: &str) -> Result<Tz, CronMistake> {
    name.parse().map_err(|_| CronMistake {
        code: "bad-timezone",
        range: 0..name.len(),
        message: format!("`{}` is no time zone", name.escape_debug()),
        help: "write an IANA name, such as Europe/London".to_owned(),
    })
}

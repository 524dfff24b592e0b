//! When schedules are due, against two oracles: a walk over every minute of the
//! local clock, and the `croner` crate.
//!
//! `croner` agrees wherever the local clock neither jumps nor repeats, and for
//! jobs at one fixed time of the day also there. It differs on purpose for
//! jobs with `*`, ranges or steps in the hour or minute: those it runs through
//! the repeated hour a second time, ours run once for each time that the clock
//! shows; and what lies in a gap it leaves out, where ours run once after it.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use chrono::{Datelike, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use quell::domain::schedule::Times;
use quell::domain::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn times(cron: &str, zone: &str) -> Times {
    Times::parse(cron, zone).unwrap_or_else(|mistake| panic!("{cron} {zone}: {mistake}"))
}

/// The first firings after `from`, to the minute, in UTC.
fn firings(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let times = times(cron, zone);
    times.after(at(from)).take(count).map(|due| due.to_string().replace(":00.000Z", "Z")).collect()
}

#[test]
fn a_clock_that_jumps_or_repeats_loses_and_doubles_no_firing() {
    // cron, zone, from, and the next firings in UTC.
    let cases: [(&str, &str, &str, &[&str]); 11] = [
        // London: 01:00 GMT becomes 02:00 BST on 2026-03-29; 02:00 BST becomes 01:00 GMT on 2026-10-25.
        (
            "30 1 * * *",
            "Europe/London",
            "2026-03-27T12:00:00Z",
            &["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"],
        ),
        ("30 1 * * *", "Europe/London", "2026-10-24T12:00:00Z", &["2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
        (
            "*/30 * * * *",
            "Europe/London",
            "2026-10-25T00:00:00Z",
            &["2026-10-25T00:30Z", "2026-10-25T02:00Z", "2026-10-25T02:30Z"],
        ),
        (
            "0 9 * * MON-FRI",
            "Europe/London",
            "2026-03-27T12:00:00Z",
            &["2026-03-30T08:00Z", "2026-03-31T08:00Z"],
        ),
        // New York: 02:00 EST becomes 03:00 EDT on 2026-03-08; 02:00 EDT becomes 01:00 EST on 2026-11-01.
        (
            "15,45 2 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            &["2026-03-08T07:00Z", "2026-03-09T06:15Z", "2026-03-09T06:45Z"],
        ),
        (
            "0 1 * * *",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            &["2026-11-01T05:00Z", "2026-11-02T06:00Z"],
        ),
        // Lord Howe moves by half an hour: 02:00 becomes 02:30 on 2026-10-04, and 02:00 becomes 01:30 on 2026-04-05.
        (
            "10 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            &["2026-10-03T15:30Z", "2026-10-04T15:10Z"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            &["2026-04-04T14:45Z", "2026-04-05T15:15Z"],
        ),
        // Kathmandu is 5:45 ahead and never moves.
        ("0 0 * * *", "Asia/Kathmandu", "2026-06-01T00:00:00Z", &["2026-06-01T18:15Z", "2026-06-02T18:15Z"]),
        // Asked at 01:10 GMT, when the clock shows that hour again: its moments have been.
        ("*/30 * * * *", "Europe/London", "2026-10-25T01:10:00Z", &["2026-10-25T02:00Z"]),
        // Samoa went from 29 to 31 December 2011: the 30th is over when the 31st begins.
        ("0 12 30 12 *", "Pacific/Apia", "2011-06-01T00:00:00Z", &["2011-12-30T10:00Z", "2012-12-29T22:00Z"]),
    ];
    for (cron, zone, from, expected) in cases {
        assert_eq!(firings(cron, zone, from, expected.len()), expected, "{cron} in {zone} after {from}");
    }
}

#[test]
fn the_five_fields_mean_what_they_mean_on_every_unix() {
    let cases: [(&str, &str, &[&str]); 9] = [
        // 0 and 7 are Sunday, 1 is Monday. 2026-11-26 is a Thursday.
        ("0 9 * * 1", "2026-11-26T00:00:00Z", &["2026-11-30T09:00Z", "2026-12-07T09:00Z"]),
        ("0 9 * * 0", "2026-11-26T00:00:00Z", &["2026-11-29T09:00Z"]),
        ("0 9 * * 7", "2026-11-26T00:00:00Z", &["2026-11-29T09:00Z"]),
        (
            "0 9 * * fri-SUN",
            "2026-11-26T00:00:00Z",
            &["2026-11-27T09:00Z", "2026-11-28T09:00Z", "2026-11-29T09:00Z", "2026-12-04T09:00Z"],
        ),
        // A day of the month and a weekday: on either.
        (
            "0 9 1 * MON",
            "2026-11-26T00:00:00Z",
            &["2026-11-30T09:00Z", "2026-12-01T09:00Z", "2026-12-07T09:00Z"],
        ),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", &["2028-02-29T00:00Z", "2032-02-29T00:00Z"]),
        ("0 0 1 JAN,jul *", "2026-01-01T00:00:00Z", &["2026-07-01T00:00Z", "2027-01-01T00:00Z"]),
        (
            "10-40/15 8 * * *",
            "2026-01-01T00:00:00Z",
            &["2026-01-01T08:10Z", "2026-01-01T08:25Z", "2026-01-01T08:40Z"],
        ),
        // After a firing comes the next one, also within its minute.
        ("0 9 * * *", "2026-01-01T09:00:00Z", &["2026-01-02T09:00Z"]),
    ];
    for (cron, from, expected) in cases {
        assert_eq!(firings(cron, "UTC", from, expected.len()), expected, "{cron} after {from}");
    }
    let after = at("2026-01-01T09:00:00.500Z");
    assert_eq!(times("0 9 * * *", "UTC").next_after(after), Some(at("2026-01-02T09:00:00Z")));
    assert_eq!(
        times("0 9 * * *", "UTC").next_after(at("2026-01-01T08:59:59.999Z")),
        Some(at("2026-01-01T09:00:00Z"))
    );
}

#[test]
fn what_is_never_due_or_means_two_things_is_refused_at_its_place() {
    let cases = [
        ("0 0 31 2 *", "never-fires", "31 2"),
        ("0 0 30 FEB *", "never-fires", "30 FEB"),
        ("0 0 31 4,6,9,11 *", "never-fires", "31 4,6,9,11"),
        ("60 * * * *", "bad-cron", "60"),
        ("* * 0 * *", "bad-cron", "0"),
        ("* * * 13 *", "bad-cron", "13"),
        ("* * * * 8", "bad-cron", "8"),
        ("* * * * MONDAY", "bad-cron", "MONDAY"),
        ("1,,2 * * * *", "bad-cron", ""),
        ("1, * * * *", "bad-cron", ""),
        ("+1 * * * *", "bad-cron", "+1"),
        ("-1 * * * *", "bad-cron", "-1"),
        ("*/61 * * * *", "bad-cron", "*/61"),
        ("1-5-9 * * * *", "bad-cron", "1-5-9"),
        ("* * ? * *", "bad-cron", "?"),
        ("* * * * MON#1", "bad-cron", "MON#1"),
        ("9999999999999 * * * *", "bad-cron", "9999999999999"),
        ("* * * *", "bad-cron", "* * * *"),
        ("", "bad-cron", ""),
        ("é * * * *", "bad-cron", "é"),
    ];
    for (cron, code, part) in cases {
        let mistake = Times::parse(cron, "UTC").err().unwrap_or_else(|| panic!("`{cron}` was taken"));
        assert_eq!((mistake.code, &cron[mistake.range.clone()]), (code, part), "`{cron}`: {mistake}");
        assert!(mistake.help.len() > 10, "`{cron}`: {mistake}");
    }
    let zone = Times::parse("0 0 * * *", "Europe/Londn").expect_err("there is no such zone");
    assert_eq!(zone.code, "bad-timezone");
}

#[test]
fn the_calendar_is_total_at_the_ends_of_time() {
    let every_minute = times("* * * * *", "Pacific/Apia");
    for millis in [i64::MIN, -1, 0] {
        let due = every_minute.next_after(Timestamp::from_millis(millis));
        assert!(due.is_some_and(|due| due > Timestamp::EPOCH), "{millis}");
    }
    for late in ["2100-12-31T23:59:59Z", "2101-01-01T00:00:00Z", "9999-01-01T00:00:00Z"] {
        assert_eq!(times("* * * * *", "UTC").next_after(at(late)), None, "{late}");
    }
    assert_eq!(every_minute.next_after(Timestamp::from_millis(i64::MAX)), None);
    let newest = times("0 0 29 2 *", "UTC").newest(Timestamp::EPOCH, at("2026-01-01T00:00:00Z"), 2);
    assert_eq!(newest, [at("2020-02-29T00:00:00Z"), at("2024-02-29T00:00:00Z")]);
}

/// One field: what is written, and the numbers it means.
fn field(least: u32, most: u32) -> impl Strategy<Value = (String, BTreeSet<u32>)> {
    let part = prop_oneof![
        (least..=most).prop_map(|n| (n.to_string(), BTreeSet::from([n]))),
        (least..=most, least..=most, 1..=most).prop_map(|(a, b, step)| {
            let (first, last) = (a.min(b), a.max(b));
            let numbers = (first..=last).step_by(step as usize).collect();
            (if step == 1 { format!("{first}-{last}") } else { format!("{first}-{last}/{step}") }, numbers)
        }),
    ];
    prop_oneof![
        2 => Just(("*".to_owned(), (least..=most).collect())),
        3 => prop::collection::vec(part, 1..4).prop_map(|parts| {
            let texts: Vec<&str> = parts.iter().map(|(text, _)| text.as_str()).collect();
            (texts.join(","), parts.iter().flat_map(|(_, numbers)| numbers.clone()).collect())
        }),
    ]
}

#[derive(Debug, Clone)]
struct Written {
    cron: String,
    minutes: BTreeSet<u32>,
    hours: BTreeSet<u32>,
    days: Option<BTreeSet<u32>>,
    months: BTreeSet<u32>,
    weekdays: Option<BTreeSet<u32>>,
}

impl Written {
    fn is_due(&self, moment: NaiveDateTime) -> bool {
        let day = self.days.as_ref().map(|days| days.contains(&moment.day()));
        let weekday = moment.weekday().num_days_from_sunday();
        let weekday =
            self.weekdays.as_ref().map(|days| days.contains(&weekday) || weekday == 0 && days.contains(&7));
        let on_day = match (day, weekday) {
            (None, None) => true,
            (Some(on), None) | (None, Some(on)) => on,
            (Some(day), Some(weekday)) => day || weekday,
        };
        on_day
            && self.months.contains(&moment.month())
            && self.hours.contains(&moment.hour())
            && self.minutes.contains(&moment.minute())
    }
}

fn written() -> impl Strategy<Value = Written> {
    (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)).prop_map(
        |(minute, hour, day, month, weekday)| Written {
            cron: [&minute.0, &hour.0, &day.0, &month.0, &weekday.0].map(String::as_str).join(" "),
            minutes: minute.1,
            hours: hour.1,
            days: (day.0 != "*").then_some(day.1),
            months: month.1,
            weekdays: (weekday.0 != "*").then_some(weekday.1),
        },
    )
}

const ZONES: [&str; 5] =
    ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"];

/// Days on which one of the zones' clocks jumps or repeats, or the year ends.
const DAYS: [&str; 8] = [
    "2026-03-28T12:00:00Z",
    "2026-10-24T12:00:00Z",
    "2026-03-07T22:00:00Z",
    "2026-10-31T22:00:00Z",
    "2026-04-04T05:00:00Z",
    "2026-10-03T05:00:00Z",
    "2011-12-29T12:00:00Z",
    "2027-12-31T04:00:00Z",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    /// A firing is the first instant at which the local clock has reached a
    /// moment that is written; each instant fires once.
    #[test]
    fn firings_are_those_of_a_walk_over_every_minute(
        mut written in written(), zone in prop::sample::select(&ZONES[..]), day in prop::sample::select(&DAYS[..]),
        always in any::<bool>(),
    ) {
        // Most random dates are far from these days; half the cases look at every day.
        if always {
            let fields: Vec<&str> = written.cron.split(' ').collect();
            written.cron = format!("{} {} * * *", fields[0], fields[1]);
            (written.days, written.weekdays, written.months) = (None, None, (1..=12).collect());
        }
        let Ok(times) = Times::parse(&written.cron, zone) else {
            prop_assert!(!always, "{} was refused", written.cron);
            return Ok(());
        };
        let tz = Tz::from_str(zone).expect("a zone");
        let local = |at: Timestamp| at.to_chrono().with_timezone(&tz).naive_local();
        let (start, end) = (at(day), at(day).after(2 * DAY));
        let (mut reached, mut now, mut expected) = (local(start), start, Vec::new());
        while now < end {
            now = now.after(MINUTE);
            let shows = local(now);
            let mut fires = false;
            while reached < shows {
                reached += chrono::Duration::minutes(1);
                fires |= written.is_due(reached);
            }
            if fires {
                expected.push(now);
            }
        }
        let found: Vec<Timestamp> = times.after(start).take_while(|due| *due <= end).collect();
        prop_assert_eq!(&found, &expected, "{} in {} from {}", written.cron, zone, day);
        prop_assert!(found.windows(2).all(|two| two[0] < two[1]), "they rise");
        // Asked at any other moment, within the repeated hour too, it says the same.
        for minutes in (0..2880).step_by(7) {
            let asked = start.after(minutes * MINUTE);
            let next = times.next_after(asked).filter(|due| *due <= end);
            prop_assert_eq!(next, expected.iter().copied().find(|due| *due > asked), "asked at {}", asked);
        }
        for count in [1, 3, 100] {
            let newest = &expected[expected.len().saturating_sub(count)..];
            prop_assert_eq!(times.newest(start, end, count), newest);
        }
    }

    /// Where no clock moves, `croner` is due at the same times.
    #[test]
    fn croner_agrees_where_no_clock_moves(written in written(), minutes in 0i64..30_000_000) {
        let Ok(times) = Times::parse(&written.cron, "UTC") else { return Ok(()) };
        let theirs = croner::Cron::from_str(&written.cron).expect("croner reads it");
        let mut after = Timestamp::from_millis(minutes * 60_000 + 946_684_800_000);
        for _ in 0..12 {
            let ours = times.next_after(after);
            let other = theirs.find_next_occurrence(&after.to_chrono(), false).ok().map(Timestamp::from);
            prop_assert_eq!(ours, other, "{} after {}", written.cron, after);
            let Some(due) = ours else { break };
            prop_assert!(due > after, "never early");
            after = due;
        }
    }

    /// A job at one fixed time of the day: `croner` agrees in every zone, on
    /// days when the clock moves too.
    #[test]
    fn croner_agrees_on_one_time_of_the_day_in_every_zone(
        hour in 0u32..24, minute in 0u32..60, zone in prop::sample::select(&ZONES[..4]),
    ) {
        let cron = format!("{minute} {hour} * * *");
        let tz = Tz::from_str(zone).expect("a zone");
        let theirs = croner::Cron::from_str(&cron).expect("croner reads it");
        let start = tz.from_utc_datetime(&Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap().naive_utc());
        let other: Vec<Timestamp> =
            theirs.iter_after(start).take(400).map(|due| due.with_timezone(&Utc).into()).collect();
        let ours: Vec<Timestamp> = times(&cron, zone).after(start.with_timezone(&Utc).into()).take(400).collect();
        prop_assert_eq!(ours, other, "{} in {}", cron, zone);
    }

    /// Whatever is written, it is read or refused at a place within it.
    #[test]
    fn any_text_is_read_or_refused_at_its_place(text in "[ 0-9*/,A-Zé?#L-]{0,24}", from in any::<i64>()) {
        match Times::parse(&text, "Europe/London") {
            Ok(times) => {
                let from = Timestamp::from_millis(from);
                prop_assert!(times.next_after(from).is_none_or(|due| due > from));
            }
            Err(mistake) => prop_assert!(text.get(mistake.range.clone()).is_some(), "{mistake:?}"),
        }
    }
}

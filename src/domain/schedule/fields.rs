//! The five fields of a cron expression, read into the numbers they mean.
//!
//! ```text
//! field = part , part …
//! part  = * | value | value-value      and after * or a range: /step
//! value = a number or, for months and weekdays, a name: JAN … DEC, SUN … SAT
//! ```
//!
//! Sunday is 0 and 7, as on every Unix. What crons disagree on is refused
//! rather than guessed: `5/15`, `?`, `L`, `W`, `#`, ranges that run backwards,
//! and `*/2` for the day of the month beside a weekday.

use std::collections::BTreeSet;
use std::ops::Range;

use super::CronMistake;

/// What one field may hold.
struct Sort {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const SORTS: [Sort; 5] = [
    Sort { name: "minute", least: 0, most: 59, names: &[] },
    Sort { name: "hour", least: 0, most: 23, names: &[] },
    Sort { name: "day of the month", least: 1, most: 31, names: &[] },
    Sort { name: "month", least: 1, most: 12, names: MONTHS },
    Sort { name: "weekday", least: 0, most: 7, names: WEEKDAYS },
];

/// One field as it was written and what it means.
struct Field {
    range: Range<usize>,
    /// Whether it is `*`, and so leaves the day to the other field.
    star: bool,
    numbers: BTreeSet<u32>,
}

/// A whole expression.
pub struct Fields {
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

impl Fields {
    /// Reads five fields.
    ///
    /// # Errors
    /// The first mistake, at its bytes.
    pub fn parse(text: &str) -> Result<Fields, CronMistake> {
        let found: Vec<Range<usize>> = words(text);
        let [minute, hour, day, month, weekday] = &found[..] else {
            return Err(mistake(
                0..text.len(),
                format!("`{}` is not five fields but {}", text.escape_debug(), found.len()),
                "write minute hour day month weekday, such as 0 9 * * MON-FRI",
            ));
        };
        let read = |range: &Range<usize>, sort: usize| read_field(text, range.clone(), &SORTS[sort]);
        let mut fields = Fields {
            minute: read(minute, 0)?,
            hour: read(hour, 1)?,
            day: read(day, 2)?,
            month: read(month, 3)?,
            weekday: read(weekday, 4)?,
        };
        if fields.weekday.numbers.remove(&7) {
            fields.weekday.numbers.insert(0);
        }
        for (field, other) in [(&fields.day, &fields.weekday), (&fields.weekday, &fields.day)] {
            if !field.star && !other.star && text[field.range.clone()].contains('*') {
                return Err(mistake(
                    field.range.clone(),
                    format!(
                        "crons disagree on what `{}` means when the day of the month and the weekday are both given",
                        &text[field.range.clone()]
                    ),
                    "write the days out, such as 1-31/2, and it is due on those days and on the weekdays too; or write `*` in one of the two",
                ));
            }
        }
        Ok(fields)
    }

    /// Where the day of the month and the month are written.
    pub fn days_and_months(&self) -> Range<usize> {
        self.day.range.start..self.month.range.end
    }

    /// As the `cron` crate takes it, each with seconds first and every number
    /// written out; due when any of them is. With a day of the month and a
    /// weekday it is due on both, as on every Unix.
    pub fn expressions(&self) -> Vec<String> {
        let numbers = |field: &Field| {
            let texts: Vec<String> = field.numbers.iter().map(u32::to_string).collect();
            texts.join(",")
        };
        // By name, because that crate counts weekdays from Sunday as 1.
        let weekdays: Vec<&str> =
            self.weekday.numbers.iter().filter_map(|day| WEEKDAYS.get(*day as usize).copied()).collect();
        let (days, weekdays) = (numbers(&self.day), weekdays.join(","));
        let expression = |days: &str, weekdays: &str| {
            format!(
                "0 {} {} {days} {} {weekdays}",
                numbers(&self.minute),
                numbers(&self.hour),
                numbers(&self.month)
            )
        };
        match (self.day.star, self.weekday.star) {
            (_, true) => vec![expression(&days, "*")],
            (true, false) => vec![expression("*", &weekdays)],
            (false, false) => vec![expression(&days, "*"), expression("*", &weekdays)],
        }
    }
}

/// Where the words of a text stand.
fn words(text: &str) -> Vec<Range<usize>> {
    let start_of = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace().map(|word| start_of(word)..start_of(word) + word.len()).collect()
}

fn read_field(text: &str, range: Range<usize>, sort: &Sort) -> Result<Field, CronMistake> {
    let written = &text[range.clone()];
    let mut numbers = BTreeSet::new();
    let mut start = range.start;
    for part in written.split(',') {
        let place = start..start + part.len();
        start = place.end + 1;
        numbers.extend(read_part(part, place, sort)?);
    }
    Ok(Field { star: written == "*", numbers, range })
}

fn read_part(part: &str, place: Range<usize>, sort: &Sort) -> Result<Vec<u32>, CronMistake> {
    let (span, step) = match part.split_once('/') {
        Some((span, step)) => (span, Some(step)),
        None => (part, None),
    };
    let (first, last) = match span.split_once('-') {
        _ if span == "*" => (sort.least, if sort.most == 7 { 6 } else { sort.most }),
        Some((first, last)) => {
            let first_number = value(first, &place, sort)?;
            let mut last_number = value(last, &place, sort)?;
            // A week may end with its Sunday: FRI-SUN.
            if sort.most == 7 && last_number == 0 && first_number > 0 {
                last_number = 7;
            }
            if last_number < first_number {
                let message = format!("`{span}` runs backwards");
                let help =
                    format!("write two parts, such as {first}-{},{}-{last}", sort.last(), sort.first());
                return Err(mistake(place, message, help));
            }
            (first_number, last_number)
        }
        None => {
            let number = value(span, &place, sort)?;
            if step.is_some() {
                let help =
                    format!("write where the range ends: {span}-{}/{}", sort.last(), step.unwrap_or("15"));
                return Err(mistake(place, format!("`{part}` has a step and no range"), help));
            }
            (number, number)
        }
    };
    let step = match step {
        None => 1,
        Some(text) => match number(text) {
            Some(step) if (1..=sort.most).contains(&step) => step,
            _ => {
                let message = format!("`{}` is no step", text.escape_debug());
                let help = format!("write a whole number from 1 to {}", sort.most);
                return Err(mistake(place, message, help));
            }
        },
    };
    Ok((first..=last).step_by(step as usize).collect())
}

impl Sort {
    fn first(&self) -> String {
        self.names.first().map_or_else(|| self.least.to_string(), |name| (*name).to_owned())
    }

    fn last(&self) -> String {
        self.names.last().map_or_else(|| self.most.to_string(), |name| (*name).to_owned())
    }
}

/// A whole number without a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn value(text: &str, place: &Range<usize>, sort: &Sort) -> Result<u32, CronMistake> {
    if let Some(number) = number(text).filter(|number| (sort.least..=sort.most).contains(number)) {
        return Ok(number);
    }
    if let Some(at) = sort.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        // Months are named from 1, weekdays from 0; there are twelve at the most.
        return Ok(sort.least + u32::try_from(at).unwrap_or(0));
    }
    let message = format!("`{}` is no {}", text.escape_debug(), sort.name);
    let mut help = format!("write {} to {}", sort.least, sort.most);
    if !sort.names.is_empty() {
        help.push_str(&format!(", or {}", sort.names.join(" ")));
    }
    help.push_str("; lists 1,2, ranges 1-5 and steps */2 are known");
    Err(mistake(place.clone(), message, help))
}

fn mistake(range: Range<usize>, message: String, help: impl Into<String>) -> CronMistake {
    CronMistake { code: "bad-cron", range, message, help: help.into() }
}

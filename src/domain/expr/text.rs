//! Functions on text that can make much out of little, or take long: each pays
//! before it works. They mean what CEL's own text functions mean.

use cel::ExecutionError;
use cel::common::types::{CelInt, CelList, CelString};
use cel::common::value::{CowVal, Val};

use super::LIST_ITEMS_MAX;
use super::functions::{Answer, Args, ENV, budget, mismatch, number, owned, text};

pub(super) fn matches<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let (subject, pattern) = (text(&args, "matches", 0)?, text(&args, "matches", 1)?);
    // A pattern is compiled at each call, and each character may be tried at
    // each place of it.
    let places = pattern_places(pattern);
    let search = (subject.len() as u64).saturating_mul(1 + places / 8);
    let price = places.saturating_mul(64).saturating_add(search);
    budget(&args)?.pay(price.saturating_add(4096))?;
    let Some(function) = ENV.find_overload("matches", &args[1..]) else {
        return Err(mismatch(&args, "matches"));
    };
    function(args.into_iter().skip(1).collect())
}

/// About how many places a pattern has once its counted repetitions are
/// written out: `(a{1,50}){1,50}` has 2,500.
fn pattern_places(pattern: &str) -> u64 {
    /// A class of Unicode characters is matched byte by byte.
    const CLASS: u64 = 8;
    let mut groups = vec![0_u64];
    let mut latest = 0_u64;
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        let mut factor = 1;
        let place = match c {
            '(' => {
                groups.push(0);
                continue;
            }
            ')' if groups.len() > 1 => groups.pop().unwrap_or(0),
            '[' => {
                // A `]` right after `[` or `[^` only shortens what is skipped.
                rest.by_ref().take_while(|c| *c != ']').for_each(drop);
                CLASS
            }
            '\\' => {
                rest.next();
                CLASS
            }
            '{' => {
                let counts: String = rest.by_ref().take_while(|c| *c != '}').collect();
                let counts = counts.split(',').filter_map(|count| count.trim().parse().ok());
                factor = counts.max().unwrap_or(1_u64).max(1);
                latest.saturating_mul(factor - 1)
            }
            '*' | '+' | '?' | '|' => continue,
            _ => 1,
        };
        latest = if c == '{' { latest.saturating_mul(factor) } else { place };
        if let Some(group) = groups.last_mut() {
            *group = group.saturating_add(place);
        }
    }
    groups.into_iter().fold(0, u64::saturating_add)
}

pub(super) fn replace<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let (subject, from) = (text(&args, "replace", 0)?, text(&args, "replace", 1)?);
    let to = text(&args, "replace", 2)?;
    let most = number(&args, "replace", 3)?.and_then(|n| usize::try_from(n).ok());
    let count = subject.matches(from).take(most.unwrap_or(usize::MAX)).count();
    let grown = (to.len().saturating_mul(count)).saturating_add(subject.len());
    budget(&args)?.pay_text(grown.saturating_sub(from.len().saturating_mul(count)))?;
    owned(match most {
        Some(most) => subject.replacen(from, to, most),
        None => subject.replace(from, to),
    })
}

pub(super) fn join<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let separator = if args.len() > 2 { text(&args, "join", 1)? } else { "" };
    let Some(items) = args[1].downcast_ref::<CelList>().map(CelList::inner) else {
        return Err(mismatch(&args, "join"));
    };
    let parts: Option<Vec<&str>> =
        items.iter().map(|item| item.downcast_ref::<CelString>().map(CelString::inner)).collect();
    let Some(parts) = parts else {
        let message = "every item must be text; turn others into text first, \
                       as in list.map(x, string(x)).join(', ')";
        return Err(ExecutionError::function_error("join", message));
    };
    let bytes = parts.iter().map(|part| part.len() + separator.len()).sum();
    budget(&args)?.pay_text(bytes)?;
    owned(parts.join(separator))
}

pub(super) fn split<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let (subject, separator) = (text(&args, "split", 0)?, text(&args, "split", 1)?);
    let most = number(&args, "split", 2)?.and_then(|n| usize::try_from(n).ok());
    // One more than is allowed is enough to know that it is too many.
    let most = most.unwrap_or(usize::MAX).min(LIST_ITEMS_MAX + 1);
    let parts: Vec<&str> = match (most, separator) {
        (0, _) => Vec::new(),
        (_, "") => characters(subject, most),
        _ => subject.splitn(most, separator).collect(),
    };
    budget(&args)?.pay_list(parts.len(), subject.len())?;
    let parts = parts.into_iter().map(|part| Box::new(CelString::from(part.to_owned())) as Box<dyn Val>);
    Ok(CowVal::owned(CelList::from(parts.collect::<Vec<_>>())))
}

/// `text` as at most `most` parts of one character, the last holding the rest.
fn characters(text: &str, most: usize) -> Vec<&str> {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).take(most).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(start, end)| &text[*start..end]).collect()
}

pub(super) fn index_of<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let (subject, needle) = (text(&args, "indexOf", 0)?, text(&args, "indexOf", 1)?);
    budget(&args)?.pay(subject.len() as u64)?;
    let from = number(&args, "indexOf", 2)?.unwrap_or(0);
    let Some(start) = byte_position(subject, from) else {
        return Err(outside("indexOf", from));
    };
    position(subject, subject[start..].find(needle).map(|at| at + start))
}

pub(super) fn last_index_of<'b, 'v>(args: Args<'b, 'v>) -> Answer<'b, 'v> {
    let (subject, needle) = (text(&args, "lastIndexOf", 0)?, text(&args, "lastIndexOf", 1)?);
    budget(&args)?.pay(subject.len() as u64)?;
    let end = match number(&args, "lastIndexOf", 2)? {
        None => subject.len(),
        Some(from) => match byte_position(subject, from) {
            None => return Err(outside("lastIndexOf", from)),
            // A match may begin at this position and go on after it.
            Some(start) => {
                let end = (start + needle.len()).min(subject.len());
                (end..=subject.len()).find(|at| subject.is_char_boundary(*at)).unwrap_or(end)
            }
        },
    };
    position(subject, subject[..end].rfind(needle))
}

/// The byte at which the character at `position` begins; the length is one
/// past the last character.
fn byte_position(text: &str, position: i64) -> Option<usize> {
    let position = usize::try_from(position).ok()?;
    let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    starts.nth(position)
}

fn position<'b, 'v>(text: &str, byte: Option<usize>) -> Answer<'b, 'v> {
    let position = byte.map_or(-1, |byte| text[..byte].chars().count() as i64);
    Ok(CowVal::owned(CelInt::from(position)))
}

fn outside(function: &str, position: i64) -> ExecutionError {
    let message = format!("the text has no position {position}");
    ExecutionError::function_error(function, message)
}

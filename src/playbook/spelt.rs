//! What only the text of an expression tells: fields of items, and words that
//! are compared. References end at an index and at a loop's variable.

use std::collections::BTreeSet;

use crate::authored::fields::{HOST, INDICATOR, OBJECT, USER};
use crate::authored::places::{each_text, word};
use crate::playbook::known::{Told, nearest};
use crate::step::kind::Named;
use crate::yaml::diagnostic::quoted;

/// The lists of an alert, with the fields of their items.
const LISTS: &[(&str, &[&str])] =
    &[("objects", OBJECT), ("users", USER), ("hosts", HOST), ("indicators", INDICATOR)];

/// Loops whose first argument names each item.
const LOOPS: &[&str] = &["map", "filter", "all", "exists", "exists_one", "existsOne"];

/// How a step can have ended, as expressions see it.
const OUTCOMES: &[&str] = &["succeeded", "failed", "skipped", "undone", "uncertain", "cancelled"];

impl Told<'_> {
    /// The fields taken of items of an alert's lists: `alert.objects[0].origin`
    /// and `alert.objects.map(o, o.origin)`.
    pub fn check_items(&self, named: &Named) {
        let mut seen = BTreeSet::new();
        each_text(&named.node, &mut |leaf, text| {
            for (list, fields) in LISTS {
                let mut taken = Vec::new();
                let start = format!("alert.{list}[");
                let indexed = text.match_indices(&start).map(|(found, _)| found + start.len());
                taken.extend(indexed.filter_map(|from| field_of_item(text, from)));
                let start = format!("alert.{list}.");
                for (found, _) in text.match_indices(&start) {
                    fields_of_turns(text, found + start.len(), &mut taken);
                }
                for (at, name) in taken {
                    if fields.contains(&name) || !seen.insert((leaf.place, at)) {
                        continue;
                    }
                    let place = leaf.place_within(self.source, at, at + name.len());
                    let message = format!("an item of `alert.{list}` has no {}", quoted(name));
                    self.here(place, "unknown-name", message, nearest(name, fields, ""));
                }
            }
        });
    }

    /// The words that `outcome.…` is compared with.
    pub fn check_outcomes(&self, named: &Named) {
        each_text(&named.node, &mut |leaf, text| {
            for (found, _) in text.match_indices("outcome.") {
                let before = text[..found].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '"' | '\'')) {
                    continue;
                }
                let name = word(&text[found + "outcome.".len()..]);
                let after = found + "outcome.".len() + name.len();
                for (at, compared) in words_beside(text, found, after) {
                    if OUTCOMES.contains(&compared) {
                        continue;
                    }
                    let place = leaf.place_within(self.source, at, at + compared.len());
                    let message = format!("no step ends as {}", quoted(compared));
                    self.here(place, "not-one-of", message, nearest(compared, OUTCOMES, ""));
                }
            }
        });
    }
}

/// The field after the bracket that closes the index at `from`.
fn field_of_item(text: &str, from: usize) -> Option<(usize, &str)> {
    let close = from + text[from..].find(']')?;
    let rest = text[close + 1..].strip_prefix('.')?;
    let rest = rest.strip_prefix('?').unwrap_or(rest);
    let name = word(rest);
    let called = rest[name.len()..].starts_with('(');
    (!name.is_empty() && !called).then_some((text.len() - rest.len(), name))
}

/// The fields taken of the variable of the loop that is called at `from`.
fn fields_of_turns<'a>(text: &'a str, from: usize, taken: &mut Vec<(usize, &'a str)>) {
    let called = word(&text[from..]);
    let Some(inside) = text[from + called.len()..].strip_prefix('(').filter(|_| LOOPS.contains(&called))
    else {
        return;
    };
    let inside = inside.trim_start();
    let variable = word(inside);
    let begin = text.len() - inside.len() + variable.len();
    if variable.is_empty() || !text[begin..].trim_start().starts_with(',') {
        return;
    }
    let mut open = 1_usize;
    for (at, c) in text[begin..].char_indices() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            break;
        }
        let at = begin + at;
        let before = text[..at].chars().next_back();
        let begins = !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '"' | '\''));
        if !begins || word(&text[at..]) != variable {
            continue;
        }
        let Some(rest) = text[at + variable.len()..].strip_prefix('.') else { continue };
        let rest = rest.strip_prefix('?').unwrap_or(rest);
        let name = word(rest);
        if !name.is_empty() && !rest[name.len()..].starts_with('(') {
            taken.push((text.len() - rest.len(), name));
        }
    }
}

/// The texts that what stands at `start..end` is compared with: `x == "a"`,
/// `"a" != x`, `x in ["a", "b"]`.
fn words_beside(text: &str, start: usize, end: usize) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let rest = text[end..].trim_start();
    if let Some(rest) = rest.strip_prefix("==").or_else(|| rest.strip_prefix("!=")) {
        found.extend(literal(text, rest));
    } else if let Some(mut rest) =
        rest.strip_prefix("in").and_then(|rest| rest.trim_start().strip_prefix('['))
    {
        while let Some((at, inner)) = literal(text, rest) {
            found.push((at, inner));
            match text[at + inner.len() + 1..].trim_start().strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
    }
    let before = text[..start].trim_end();
    if let Some(before) = before.strip_suffix("==").or_else(|| before.strip_suffix("!=")) {
        let before = before.trim_end();
        let quote = before.chars().next_back().filter(|c| matches!(c, '"' | '\''));
        let inner = quote.and_then(|quote| before.strip_suffix(quote));
        if let Some((inner, at)) =
            inner.zip(quote).and_then(|(inner, quote)| Some((inner, inner.rfind(quote)?)))
        {
            found.push((at + 1, &inner[at + 1..]));
        }
    }
    found
}

/// The text in quotes that `rest`, the end of `text`, begins with.
fn literal<'a>(text: &'a str, rest: &'a str) -> Option<(usize, &'a str)> {
    let rest = rest.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = &rest[1..];
    let inner = &inner[..inner.find(quote)?];
    Some((text.len() - rest.len() + 1, inner))
}

//! Which steps of a block wait for which.
//!
//! A step waits for the step above it, unless it says `needs:`; it may then
//! name any step of its own block, above it or below. Only a circle is wrong.

use std::collections::BTreeSet;

use crate::domain::playbook::StepIx;
use crate::playbook::reading::Reading;
use crate::yaml::diagnostic::{Diagnostic, did_you_mean};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// What a step waits for. `before` are the steps above it in its block,
/// `siblings` all steps of the block.
pub(super) fn read_needs(
    reading: &Reading<'_>,
    map: &MapReader<'_>,
    before: &[StepIx],
    siblings: &[StepIx],
    own: StepIx,
) -> Vec<StepIx> {
    let Some(field) = map.optional("needs") else {
        return before.last().copied().into_iter().collect();
    };
    let mut needs = Vec::new();
    for entry in field.one_or_many() {
        let Some(name) = entry.non_empty() else {
            continue;
        };
        match reading.ids.get(name).copied() {
            Some(ix) if ix == own => entry.mistake("cycle", format!("`{name}` needs itself"), "take it out"),
            Some(ix) if needs.contains(&ix) => {
                entry.mistake("named-twice", format!("`{name}` is named twice"), "once is enough")
            }
            Some(ix) if siblings.contains(&ix) => needs.push(ix),
            Some(ix) => {
                // The block around it that stands beside this step, if there is one.
                let around = std::iter::successors(Some(ix), |ix| reading.parents[*ix]);
                let beside = around.filter(|ix| siblings.contains(ix) && *ix != own).last();
                let help = match beside {
                    Some(block) => format!("wait for that block: `{}`", id_of(reading, block)),
                    None => "a step waits for steps of its own block; let the block wait".to_owned(),
                };
                entry.mistake("needs-outside", format!("`{name}` stands in another block"), help);
            }
            None => {
                let meant = did_you_mean(name, reading.ids.keys());
                entry.mistake(
                    "unknown-step",
                    format!("there is no step `{name}`"),
                    meant.map_or_else(
                        || "name a step of this block".to_owned(),
                        |meant| format!("did you mean `{meant}`?"),
                    ),
                );
            }
        }
    }
    needs
}

/// Reports each circle among the steps of one block and opens it, so that what
/// is checked later sees none.
pub(super) fn refuse_circles(reading: &mut Reading<'_>, items: &[Field<'_>], siblings: &[StepIx]) {
    for (item, &ix) in items.iter().zip(siblings) {
        // A step that only waits for the one above it closes no circle by itself.
        let Some(written) = item.node().get("needs") else { continue };
        let Some(circle) = circle_from(reading, ix) else { continue };
        let names: Vec<String> = circle.iter().map(|ix| format!("`{}`", id_of(reading, *ix))).collect();
        let by_place = circle.iter().skip(1).find(|step| {
            let at = siblings.iter().position(|sibling| sibling == *step);
            at.is_some_and(|at| items[at].node().get("needs").is_none())
        });
        let help = match by_place {
            Some(step) => format!(
                "`{}` waits for the step above it, because it says nothing else: give it `needs: []`, or take one of these out",
                id_of(reading, *step)
            ),
            None => "take one of these out".to_owned(),
        };
        let first = names.first().cloned().unwrap_or_default();
        let reader = item.reader();
        let place = written.place;
        let message = format!("these steps wait for one another: {}, {first}", names.join(", "));
        reader.report(
            Diagnostic::error("cycle", reader.file(), place, message).label("closes the circle").help(help),
        );
        reading.needs[ix].retain(|need| !circle.contains(need));
    }
}

/// A way from a step along what it needs back to itself, the step first.
fn circle_from(reading: &Reading<'_>, ix: StepIx) -> Option<Vec<StepIx>> {
    let mut seen = BTreeSet::new();
    let mut ways: Vec<Vec<StepIx>> = vec![vec![ix]];
    while let Some(way) = ways.pop() {
        for &need in reading.needs[*way.last()?].iter().rev() {
            if need == ix {
                return Some(way);
            }
            if seen.insert(need) {
                ways.push(way.iter().copied().chain([need]).collect());
            }
        }
    }
    None
}

fn id_of(reading: &Reading<'_>, ix: StepIx) -> String {
    let mut ids = reading.ids.iter();
    ids.find(|(_, at)| **at == ix).map(|(id, _)| id.clone()).unwrap_or_default()
}

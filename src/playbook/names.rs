//! What expressions name: does it exist, and can it have ended by then?

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::authored::places::{each_text, place_of_name};
use crate::domain::playbook::{Body, OnError, StepIx};
use crate::playbook::header::Header;
use crate::playbook::known::{Told, nearest};
use crate::playbook::reading::Reading;
use crate::step::kind::Named;
use crate::yaml::diagnostic::{Diagnostic, quoted};
use crate::yaml::shape::Reader;

/// The names an expression of a step may begin with.
const ROOTS: &[&str] = &["alert", "incident", "run", "inputs", "steps", "outcome", "item", "index", "now"];

/// Checks every name that the playbook's expressions use.
pub fn check_names(reader: &Reader, reading: &Reading<'_>, header: &Header<'_>) {
    let told = Told { count: Cell::new(0), reader, source: reading.source };
    for (field, condition) in &header.conditions {
        let named =
            Named { node: field.node().clone(), references: condition.references().clone(), after: false };
        for path in &named.references.paths {
            match path.first().map(String::as_str) {
                Some("alert") => told.check_fields(&named, path),
                Some(root) => {
                    let message = format!("{} is not known to a trigger", quoted(root));
                    let help = "a trigger sees the alert alone; ask the rest in the steps, with `when:`";
                    told.at(&named, path, 0, "unknown-name", message, help.to_owned());
                }
                None => {}
            }
        }
        told.check_items(&named);
    }
    let mut children = vec![Vec::new(); reading.parents.len()];
    for (ix, parent) in reading.parents.iter().enumerate() {
        if let Some(block) = parent {
            children[*block].push(ix);
        }
    }
    let mut names = NamesOf { told, reading, header, children, before: BTreeSet::new() };
    for ix in 0..reading.steps.len() {
        names.before = names.ended_before(ix);
        let Some(notes) = &reading.notes[ix] else {
            continue;
        };
        for named in &notes.named {
            names.check(ix, named);
        }
        for (target, place) in &notes.undoes {
            if !names.contains_something(*target) {
                let message =
                    format!("{} contains nothing, so there is nothing to lift", quoted(&names.id(*target)));
                let help = "name a `contain` step, or a block that holds one";
                names.told.here(*place, "no-containment", message, help.to_owned());
                continue;
            }
            if !names.before.contains(target) {
                let message = format!("{} need not have ended before this step", quoted(&names.id(*target)));
                names.told.here(*place, "not-ended", message, names.how_to_wait(ix, *target));
            }
        }
        names.check_reachable(ix);
    }
}

struct NamesOf<'a, 's> {
    told: Told<'a>,
    reading: &'a Reading<'s>,
    header: &'a Header<'a>,
    /// The steps inside each block.
    children: Vec<Vec<StepIx>>,
    /// The steps that have ended before the one that is looked at.
    before: BTreeSet<StepIx>,
}

impl NamesOf<'_, '_> {
    fn id(&self, ix: StepIx) -> String {
        let mut ids = self.reading.ids.iter();
        ids.find(|(_, known)| **known == ix).map(|(id, _)| id.clone()).unwrap_or_default()
    }

    fn check(&self, ix: StepIx, named: &Named) {
        // Each name is told once, however often an expression uses it.
        let mut seen = BTreeSet::new();
        for path in &named.references.paths {
            let Some(root) = path.first() else { continue };
            match root.as_str() {
                "alert" | "incident" | "run" => self.told.check_fields(named, path),
                "steps" | "outcome" if seen.insert(path.get(..3).unwrap_or(path)) => {
                    self.check_step(ix, named, path);
                }
                "steps" | "outcome" => {}
                "inputs" => self.check_input(named, path),
                "item" | "index" if !self.in_loop(ix) => {
                    let message = format!("`{root}` is known only inside a `for_each`");
                    let help = "add `for_each: ${ … }` to this step or the block around it";
                    self.told.at(named, path, 0, "unknown-name", message, help.to_owned());
                }
                "item" | "index" | "now" => {}
                _ if seen.insert(&path[..1]) => {
                    let message = format!("{} is not known here", quoted(root));
                    let help = if self.reading.ids.contains_key(root) {
                        format!("the output of a step is written `steps.{root}`")
                    } else {
                        nearest(root, ROOTS, "")
                    };
                    self.told.at(named, path, 0, "unknown-name", message, help);
                }
                _ => {}
            }
        }
        self.told.check_items(named);
        self.told.check_outcomes(named);
    }

    fn check_input(&self, named: &Named, path: &[String]) {
        let Some(name) = path.get(1) else { return };
        let known: Vec<&str> = self.header.inputs.iter().map(|input| input.name.as_str()).collect();
        if !known.contains(&name.as_str()) {
            let help = match known.is_empty() {
                true => "declare it under `inputs:` above the steps".to_owned(),
                false => nearest(name, &known, "inputs."),
            };
            let message = format!("this playbook has no input {}", quoted(name));
            self.told.at(named, path, 1, "unknown-input", message, help);
        }
    }

    fn check_step(&self, ix: StepIx, named: &Named, path: &[String]) {
        let (root, Some(name)) = (&path[0], path.get(1)) else {
            return;
        };
        let Some(&target) = self.reading.ids.get(name) else {
            let known: Vec<&String> = self.reading.ids.keys().collect();
            let message = format!("there is no step {}", quoted(name));
            let help = nearest(name, &known, &format!("{root}."));
            return self.told.at(named, path, 1, "unknown-step", message, help);
        };
        if let Some(block) = self.hidden_in(target, ix).filter(|block| self.reading.turned[*block]) {
            let block = self.id(block);
            let message =
                format!("`{name}` runs again and again inside `{block}`, so it has no one output here");
            let help = format!("`steps.{block}` is the last turn of all: steps.{block}.{name}");
            return self.told.at(named, path, 1, "inside-repeat", message, help);
        }
        if let Some(block) = self.hidden_in(target, ix) {
            let block = self.id(block);
            let message =
                format!("`{name}` runs once for each item inside `{block}`, so it has no one output here");
            let help = format!(
                "`steps.{block}` is the list of all: steps.{block}[0].{name}, or steps.{block}.map(x, x.{name})"
            );
            return self.told.at(named, path, 1, "inside-loop", message, help);
        }
        // What is asked after a turn sees what the turn gave.
        let own = named.after && (target == ix || self.ancestors(target).contains(&ix));
        if !own && !self.before.contains(&target) {
            let message = match target == ix {
                true => format!("`{name}` is this step itself: it has given nothing yet"),
                false => format!("`{name}` need not have ended before this step"),
            };
            return self.told.at(named, path, 1, "not-ended", message, self.how_to_wait(ix, target));
        }
        if root == "outcome" {
            let help = format!("compare it: outcome.{name} == \"succeeded\"");
            self.told.nothing_inside(named, path, 2, "one word", &help);
        }
        let takes = root == "steps" && path.len() > 2;
        let last_section = self.reading.sections[target] != self.reading.sections[ix];
        if takes && !own && last_section {
            return self.check_given(ix, target, named, path);
        }
        if takes && self.check_output(target, named, path) && !own {
            self.check_given(ix, target, named, path);
        }
    }

    /// Whether the step gives what the path takes.
    fn check_output(&self, target: StepIx, named: &Named, path: &[String]) -> bool {
        let (name, field) = (&path[1], &path[2]);
        if self.reading.looped[target] {
            let message = format!("`steps.{name}` is a list, one output for each item");
            let help = format!("take one, steps.{name}[0].{field}, or all, steps.{name}.map(x, x.{field})");
            self.told.at(named, path, 2, "not-one", message, help);
            return false;
        }
        let children = &self.children[target];
        let outputs = match children.is_empty() {
            true => self.reading.notes[target].as_ref().and_then(|notes| notes.output.clone()),
            // A block gives the outputs of its steps, by their ids.
            false => Some(children.iter().map(|child| self.id(*child)).collect()),
        };
        let Some(known) = outputs.filter(|known| !known.contains(field)) else {
            return true;
        };
        let help = match known.is_empty() {
            true => format!("`outcome.{name}` says how it ended"),
            false => nearest(field, &known, &format!("steps.{name}.")),
        };
        let message = format!("`{name}` gives no {}", quoted(field));
        self.told.at(named, path, 2, "unknown-output", message, help);
        false
    }

    /// A step that may be skipped, or may fail without failing the run, may
    /// have given nothing: an expression that takes its output then fails.
    fn check_given(&self, ix: StepIx, target: StepIx, named: &Named, path: &[String]) {
        let (around, name) = (self.ancestors(ix), &path[1]);
        let mut unsure =
            std::iter::once(target).chain(self.ancestors(target)).filter(|step| !around.contains(step));
        let maybe = unsure.find_map(|step| {
            let spec = self.reading.steps[step].as_ref()?;
            if self.reading.sections[step] != self.reading.sections[ix] {
                return Some((step, "need not have run when the run ended before it"));
            }
            let why = match (&spec.when, spec.on_error) {
                (Some(_), _) => "is skipped when its `when` does not hold",
                (None, OnError::Continue) => "may fail, and the run goes on",
                (None, OnError::Fail) => return None,
            };
            Some((step, why))
        });
        let Some((step, why)) = maybe else { return };
        let asked = self.id(step);
        let mut seen = vec![named];
        for step in std::iter::once(ix).chain(around) {
            seen.extend(self.reading.notes[step].iter().flat_map(|notes| &notes.named));
        }
        let asks = |named: &&Named| {
            named.references.paths.iter().any(|path| {
                path[0] == "outcome" && path.get(1).is_some_and(|about| *about == asked || about == name)
            })
        };
        let mut optional = false;
        let spellings =
            [format!("steps.{name}.?"), format!("steps.?{name}"), format!("steps.{name} != null")];
        each_text(&named.node, &mut |_, text| {
            optional |= spellings.iter().any(|spelling| text.contains(spelling))
        });
        // A run that ended because of it does not come here.
        for step in self.before.iter().filter(|step| self.ends_run(**step)) {
            seen.extend(self.reading.notes[*step].iter().flat_map(|notes| &notes.named));
        }
        if optional || seen.iter().any(asks) {
            return;
        }
        let place = place_of_name(&named.node, self.told.source, path, 1);
        let message =
            format!("`{asked}` {why}; then `{}` is missing and this step fails", path[..3].join("."));
        let help = format!(
            "ask first: outcome.{asked} == \"succeeded\" && …, or write steps.{name}.?{}.orValue(…)",
            path[2]
        );
        let warning = Diagnostic::warning("may-be-missing", self.told.reader.file(), place, message);
        self.told.reader.report(warning.label("may be missing").help(help));
    }

    /// Whether the run ends with this step when the step's own `when` holds.
    fn ends_run(&self, ix: StepIx) -> bool {
        let always = |child: &StepIx| {
            let step = self.reading.steps[*child].as_ref();
            step.is_some_and(|step| &*step.kind == "finish" && step.when.is_none())
        };
        let finishes = self.reading.steps[ix].as_ref().is_some_and(|step| &*step.kind == "finish");
        finishes || self.children[ix].iter().any(always)
    }

    /// Whether a step, or one inside it, contains something.
    fn contains_something(&self, ix: StepIx) -> bool {
        let own = self.reading.steps[ix].as_ref().is_none_or(|step| match &step.body {
            Body::Perform(action) => action.containment.is_some(),
            _ => false,
        });
        let mut inside = self.children[ix].iter();
        own || inside.any(|child| self.contains_something(*child))
    }

    /// What an author does about a step that may not have ended.
    fn how_to_wait(&self, ix: StepIx, target: StepIx) -> String {
        if ix == target {
            return "compute it in a `set` step of its own, above this one".to_owned();
        }
        if self.ancestors(ix).contains(&target) {
            return "a block ends after the steps inside it; name what stands above the block".to_owned();
        }
        let name = self.id(target);
        if target > ix {
            return format!("put this step below `{name}`");
        }
        if self.reading.parents[target] == self.reading.parents[ix] {
            return format!("let this step wait for it: add `{name}` to its `needs`");
        }
        // The step or block beside `target` that holds this step.
        let parent = self.reading.parents[target];
        let beside = self.ancestors(ix).into_iter().find(|block| self.reading.parents[*block] == parent);
        match (beside, parent) {
            (Some(block), _) => {
                format!("let the block `{}` wait for it: add `{name}` to its `needs`", self.id(block))
            }
            (None, Some(block)) => format!("let this step wait for the block `{}`", self.id(block)),
            (None, None) => format!("let the block around this step wait for `{name}`"),
        }
    }

    fn in_loop(&self, ix: StepIx) -> bool {
        self.reading.looped[ix] || self.ancestors(ix).iter().any(|block| self.reading.looped[*block])
    }

    fn ancestors(&self, ix: StepIx) -> Vec<StepIx> {
        std::iter::successors(self.reading.parents[ix], |ix| self.reading.parents[*ix]).collect()
    }

    /// The looped block that `target` stands in and `ix` does not.
    fn hidden_in(&self, target: StepIx, ix: StepIx) -> Option<StepIx> {
        let around = self.ancestors(ix);
        let mut blocks = self.ancestors(target).into_iter();
        let again = |block: &StepIx| self.reading.looped[*block] || self.reading.turned[*block];
        blocks.find(|block| again(block) && !around.contains(block) && *block != ix)
    }

    /// The steps that have surely ended (or were skipped) when `ix` starts.
    fn ended_before(&self, ix: StepIx) -> BTreeSet<StepIx> {
        let mut found = BTreeSet::new();
        // When the last sections run, the ones before them are over.
        let own = self.reading.sections[ix];
        let sections = self.reading.sections.iter().enumerate();
        found.extend(sections.filter(|(_, section)| **section < own).map(|(ix, _)| ix));
        let mut waiting: Vec<StepIx> = self.reading.needs[ix].clone();
        for block in self.ancestors(ix) {
            waiting.extend(&self.reading.needs[block]);
        }
        while let Some(next) = waiting.pop() {
            if found.insert(next) {
                waiting.extend(&self.reading.needs[next]);
                waiting.extend(&self.children[next]);
            }
        }
        found
    }

    /// A step after an unconditional `finish` of its own block never runs.
    fn check_reachable(&self, ix: StepIx) {
        let finishes = |step: &StepIx| {
            self.reading.steps[*step]
                .as_ref()
                .is_some_and(|step| &*step.kind == "finish" && step.when.is_none() && step.for_each.is_none())
        };
        let Some(finish) = self.reading.needs[ix].iter().find(|step| finishes(step)) else {
            return;
        };
        if let Some(notes) = &self.reading.notes[ix] {
            let by = self.id(*finish);
            let message = format!("this step is never reached: `{by}` always ends the run before it");
            let help = "give the `finish` step a `when:`, or take this step out";
            self.told.here(notes.place, "unreachable", message, help.to_owned());
        }
    }
}

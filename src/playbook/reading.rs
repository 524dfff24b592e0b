//! One step after another, blocks and all, into the arena of the playbook.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::expr::Expr;
use crate::domain::playbook::{ApprovalSpec, ForEach};
use crate::domain::playbook::{Body, Posture, STEPS_MAX, Section, Step, StepIx};
use crate::playbook::common::{
    check_has_effect, read_approval, read_at_once, read_on_error, read_repeat, read_retry, read_timeout,
};
use crate::playbook::kinds::{read_condition, read_id, read_kind};
use crate::playbook::order::{read_needs, refuse_circles};
use crate::step::kind::{Called, Check, Named, StepKind, Surroundings};
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::map::MapReader;
use crate::yaml::node::{Node, Place};
use crate::yaml::shape::{Field, Reader};

/// What the names check needs to know of a step beside the step itself.
pub struct Notes {
    /// Where its id is written.
    pub place: Place,
    /// What its expressions name.
    pub named: Vec<Named>,
    /// The names in its output; none = not known.
    pub output: Option<Vec<String>>,
    /// The steps it lifts.
    pub undoes: Vec<(StepIx, Place)>,
}

/// The playbook's steps while they are read.
pub struct Reading<'s> {
    /// The file's text.
    pub source: &'s str,
    around: &'s Surroundings,
    posture: Posture,
    /// Places in the arena by id.
    pub ids: BTreeMap<String, StepIx>,
    /// The steps; absent where a mistake stands.
    pub steps: Vec<Option<Step>>,
    /// What else is known of each.
    pub notes: Vec<Option<Notes>>,
    /// The block around each.
    pub parents: Vec<Option<StepIx>>,
    /// What each waits for.
    pub needs: Vec<Vec<StepIx>>,
    /// Whether each runs once for each item.
    pub looped: Vec<bool>,
    /// Whether each runs in turns.
    pub turned: Vec<bool>,
    /// The section each stands in.
    pub sections: Vec<Section>,
    /// The playbooks that steps run.
    pub calls: Vec<Called>,
    texts: Vec<String>,
    used: Vec<String>,
}

/// What a finished reading gives.
pub struct Finished {
    /// All steps.
    pub steps: Vec<Step>,
    /// The templates they name.
    pub texts: Vec<String>,
    /// The connectors they use.
    pub used: Vec<String>,
    /// The playbooks they run.
    pub calls: Vec<Called>,
}

impl<'s> Reading<'s> {
    /// Nothing read yet.
    pub fn new(source: &'s str, around: &'s Surroundings, posture: Posture) -> Self {
        Self {
            source,
            around,
            posture,
            ids: BTreeMap::new(),
            steps: Vec::new(),
            notes: Vec::new(),
            parents: Vec::new(),
            needs: Vec::new(),
            looped: Vec::new(),
            turned: Vec::new(),
            sections: Vec::new(),
            calls: Vec::new(),
            texts: Vec::new(),
            used: Vec::new(),
        }
    }

    /// Reads the playbook's steps, all sections; gives those of each that stand
    /// in no block.
    pub fn read_sections(&mut self, fields: &[(Section, Field<'_>)]) -> Vec<(Section, Vec<StepIx>)> {
        let mut next = 0;
        let mut firsts = Vec::new();
        for (section, field) in fields {
            firsts.push(next);
            self.collect(field.reader(), field.node(), &mut next, *section);
        }
        if let Some((_, field)) = fields.first().filter(|_| next > STEPS_MAX) {
            field.mistake(
                "too-many-steps",
                format!("a playbook holds at most {STEPS_MAX} steps, this one {next}"),
                "split it: a step `playbook: NAME` runs another",
            );
            return Vec::new();
        }
        let read = |((section, field), first): (&(Section, Field<'_>), StepIx)| {
            (*section, self.read_block(*field, None, first, 0))
        };
        fields.iter().zip(firsts).map(read).collect()
    }

    /// The arena when nothing is missing.
    pub fn finish(self, reader: &Reader) -> Option<Finished> {
        if reader.has_errors() {
            return None;
        }
        let steps: Option<Vec<Step>> = self.steps.into_iter().collect();
        let parents = &self.parents;
        let steps = steps.map(|mut steps| {
            for step in &mut steps {
                if let Body::Undo(targets) = &mut step.body {
                    *targets = with_inner(targets, parents);
                }
            }
            steps
        });
        let mut texts = self.texts;
        texts.sort();
        texts.dedup();
        Some(Finished { steps: steps?, texts, used: self.used, calls: self.calls })
    }

    /// Gives every step its place, in file order, so that any step can name any other.
    fn collect(&mut self, reader: &Reader, list: &Node, next: &mut StepIx, section: Section) {
        for node in list.as_list().unwrap_or_default() {
            let ix = *next;
            *next += 1;
            self.steps.push(None);
            self.notes.push(None);
            self.parents.push(None);
            self.needs.push(Vec::new());
            self.looped.push(node.get("for_each").is_some());
            self.turned.push(node.get("repeat").is_some());
            self.sections.push(section);
            if let Some(id) = node.get("id") {
                let name = id.as_str().unwrap_or_default().to_owned();
                if let Some(first) = self.ids.get(&name).copied() {
                    let place = self.notes[first].as_ref().map_or(id.place, |notes| notes.place);
                    reader.report(
                        Diagnostic::error(
                            "duplicate-step",
                            reader.file(),
                            id.place,
                            format!("there are two steps `{name}`"),
                        )
                        .label("used again")
                        .also(place, "first used here")
                        .help("ids are unique in a playbook, also inside blocks"),
                    );
                } else {
                    self.notes[ix] =
                        Some(Notes { place: id.place, named: Vec::new(), output: None, undoes: Vec::new() });
                    self.ids.insert(name, ix);
                }
            }
            if let Some(inner) = node.get("steps") {
                self.collect(reader, inner, next, section);
            }
        }
    }

    fn read_block(
        &mut self,
        field: Field<'_>,
        parent: Option<StepIx>,
        first: StepIx,
        approvers: usize,
    ) -> Vec<StepIx> {
        let items = field.list().unwrap_or_default();
        if items.is_empty() && field.node().as_list().is_some() {
            field.mistake("empty", "there is no step here", "add one: `- id: …`");
        }
        let mut siblings: Vec<StepIx> = Vec::new();
        let mut ix = first;
        let mut places: Vec<StepIx> = Vec::new();
        for item in &items {
            places.push(ix);
            ix += 1 + count_inside(item.node());
        }
        for (item, &ix) in items.iter().zip(&places) {
            self.parents[ix] = parent;
            self.read_step(*item, ix, &siblings, &places, approvers);
            siblings.push(ix);
        }
        refuse_circles(self, &items, &siblings);
        siblings
    }

    fn read_step(
        &mut self,
        field: Field<'_>,
        ix: StepIx,
        before: &[StepIx],
        siblings: &[StepIx],
        outer: usize,
    ) {
        let reader = field.reader();
        let Some(map) = reader.root("a step", field.node()).map() else {
            return;
        };
        let id = map.required("id").and_then(read_id);
        let needs = read_needs(self, &map, before, siblings, ix);
        self.needs[ix] = needs.clone();
        let approval = read_approval(&map, self.around.groups.as_deref());
        let approvers = outer.max(approval.as_ref().map_or(0, |(_, people)| *people));
        let mut check = Check {
            around: self.around,
            posture: self.posture,
            source: self.source,
            steps: &self.ids,
            named: Vec::new(),
            texts: Vec::new(),
            used: Vec::new(),
            output: None,
            approvers,
            undoes: Vec::new(),
            calls: Vec::new(),
        };
        let when = read_condition(&map, "when", &mut check);
        let items = read_condition(&map, "for_each", &mut check);
        let at_once = read_at_once(&map);
        let for_each = items.map(|items| ForEach { items, at_once });
        let kind = read_kind(field, &map, &mut check);
        let repeat = read_repeat(&map, kind.as_ref().map(|(kind, _)| kind.name()), &mut check);
        self.calls.append(&mut check.calls);
        let (named, output, undoes) = (check.named, check.output, check.undoes);
        let (texts, used) = (check.texts, check.used);
        self.texts.extend(texts);
        for connector in used {
            if !self.used.contains(&connector) {
                self.used.push(connector);
            }
        }
        if let Some(notes) = &mut self.notes[ix] {
            notes.named = named;
            notes.output = output;
            notes.undoes = undoes;
        }
        let (kind, mut body) = match kind {
            Some((kind, body)) => (Some(kind), body),
            None => (None, None),
        };
        if let Some(inner) = map.optional("steps") {
            let children = self.read_block(inner, Some(ix), ix + 1, approvers);
            body = Some(Body::Block(children));
        }
        if let Some(kind) = kind {
            check_has_effect(&map, kind.name());
        }
        self.no_finish_at_the_end(field, kind, ix);
        let approval = approval.map(|(spec, _)| spec);
        let step = self.assembled(&map, id, kind, body, needs, when, for_each, approval, ix);
        let step = step.map(|step| Step { repeat, ..step });
        map.finish();
        self.steps[ix] = step;
    }

    fn no_finish_at_the_end(&self, field: Field<'_>, kind: Option<&'static dyn StepKind>, ix: StepIx) {
        let finishes = kind.is_some_and(|kind| kind.name() == "finish");
        if finishes && self.sections[ix] != Section::Main {
            field.mistake(
                "finish-at-end",
                "here the run is on its way to its end already",
                "record a disposition with `incident: { disposition: … }`",
            );
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is one part of a step, read just before")]
    fn assembled(
        &self,
        map: &MapReader<'_>,
        id: Option<String>,
        kind: Option<&'static dyn StepKind>,
        body: Option<Body>,
        needs: Vec<StepIx>,
        when: Option<Expr>,
        for_each: Option<ForEach>,
        approval: Option<ApprovalSpec>,
        ix: StepIx,
    ) -> Option<Step> {
        let retry = read_retry(map);
        let timeout = read_timeout(map);
        let within = map.optional("within").and_then(Field::duration);
        let on_error = read_on_error(map);
        let text = |key| map.optional(key).and_then(|field: Field<'_>| field.non_empty()).map(str::to_owned);
        let (label, note) = (text("label"), text("note"));
        Some(Step {
            id: Arc::from(id?),
            kind: Arc::from(kind?.name()),
            parent: self.parents[ix],
            needs,
            when,
            for_each,
            repeat: None,
            retry,
            timeout,
            within,
            on_error,
            approval,
            label,
            note,
            body: body?,
        })
    }
}

/// Lifting a block lifts what the steps inside it contained.
fn with_inner(targets: &[StepIx], parents: &[Option<StepIx>]) -> Vec<StepIx> {
    let inside =
        |ix: &StepIx| std::iter::successors(Some(*ix), |ix| parents[*ix]).any(|ix| targets.contains(&ix));
    (0..parents.len()).filter(inside).collect()
}

fn count_inside(node: &Node) -> usize {
    let inner = node.get("steps").and_then(Node::as_list).unwrap_or_default();
    inner.iter().map(|step| 1 + count_inside(step)).sum()
}

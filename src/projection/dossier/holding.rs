//! How containments are folded.

use std::sync::Arc;

use super::fold::{Fold, noted};
use super::parts::{cut, shown, step_title};
use super::{ContainmentPart, Moment, Noted, declared, words};
use crate::domain::event::{Event, Intended};
use crate::domain::id::ContainmentId;
use crate::domain::playbook::{Body, ContainmentSpec};
use crate::domain::run::{Hold, StepKey};
use crate::projection::intents::{ActNews, act_news};

impl<'a> Fold<'a> {
    fn containment_spec(&self, id: &Arc<str>) -> Option<&'a ContainmentSpec> {
        let (_, step) = self.sources.plan.playbook.step(id)?;
        match &step.body {
            Body::Perform(action) => action.containment.as_ref(),
            _ => None,
        }
    }

    /// The request that the plan's connector declares for `connector.operation`.
    fn declared_change(&self, operation: &str) -> Option<String> {
        let (connector, name) = operation.split_once('.')?;
        declared::request(self.sources.plan.connectors.get(connector)?, name).as_deref().map(cut)
    }

    /// Who said yes to this step or to a block around it.
    fn approvers(&self, id: &Arc<str>) -> Vec<Noted<String>> {
        let playbook = &self.sources.plan.playbook;
        let mut around = vec![id.clone()];
        let mut step = playbook.step(id).map(|(_, step)| step);
        while let Some(parent) = step.and_then(|step| step.parent).and_then(|at| playbook.steps.get(at)) {
            around.push(parent.id.clone());
            step = Some(parent);
        }
        let approvals = self.dossier.approvals.iter().filter(|part| around.contains(&part.step.id));
        let given = approvals.flat_map(|part| &part.given).filter(|given| given.approve);
        given
            .map(|given| {
                let counts = given.counts_for.join(", ");
                let value =
                    if counts.is_empty() { given.by.clone() } else { format!("{} for {counts}", given.by) };
                noted(value, given.when)
            })
            .collect()
    }

    fn accepted(&mut self, event: &Event, moment: Moment) {
        if let Event::ContainmentAccepted { key, containment, operation, target, changed, until } = event {
            let part = self.part(*containment, key, operation, target, moment);
            let irreversible = part.undo.is_none();
            let part = ContainmentPart {
                changed: *changed,
                one_off: irreversible && until.is_none(),
                until: *until,
                ..part
            };
            self.dossier.containments.retain(|part| part.id != *containment);
            self.dossier.containments.push(part);
        }
    }

    /// A containment that was accepted just now, without an end.
    fn part(
        &self,
        id: ContainmentId,
        key: &StepKey,
        operation: &str,
        target: &str,
        moment: Moment,
    ) -> ContainmentPart {
        let spec = self.containment_spec(&key.id);
        let captured = self.captured.get(key).copied();
        let note = self.sources.plan.playbook.step(&key.id).and_then(|(_, step)| step.note.as_deref());
        ContainmentPart {
            id,
            step: key.clone(),
            title: step_title(self.sources.plan, key),
            operation: cut(operation),
            target: cut(target),
            tier: spec.map(|spec| spec.tier),
            hold: Hold::Accepted,
            changed: true,
            one_off: false,
            reason: note.map(cut),
            asked: self.inputs.get(key).and_then(|input| shown(input)),
            change: self.declared_change(operation),
            before: captured.and_then(|captured| captured.get("state")).and_then(shown),
            approvers: self.approvers(&key.id),
            accepted: moment,
            verified: None,
            looked: None,
            drifted: None,
            look_showed: None,
            warned: None,
            until: None,
            extended: None,
            lifting: None,
            lifted: None,
            stuck: None,
            changed_since: Vec::new(),
            request: self.acts.get(key).map(|exchange| words::exchange(exchange)),
            read_back: None,
            showed: None,
            undo: spec.is_none_or(|spec| spec.undo).then(|| format!("quell undo {id}")),
        }
    }

    /// What an act is about to contain is told as what may be held, until it is known.
    fn intended(&mut self, event: &Event, moment: Moment) {
        let Some((key, news)) = act_news(event) else { return };
        let at = self.dossier.containments.iter().position(|part| part.step == *key);
        let may_hold = at.filter(|at| self.dossier.containments[*at].hold == Hold::MayHold);
        match (news, may_hold) {
            (ActNews::Intended(_), Some(at)) => self.dossier.containments[at].accepted = moment,
            (ActNews::Intended(Intended { operation, target }), None) => {
                let Some(run) = self.dossier.run.id else { return };
                let id = ContainmentId::derived(run.ulid(), &key.to_string());
                let part = self.part(id, key, operation, target, moment);
                self.dossier.containments.push(ContainmentPart { hold: Hold::MayHold, undo: None, ..part });
            }
            (ActNews::Unheard(why), Some(at)) => {
                self.dossier.containments[at].stuck = Some(noted(cut(why), moment));
            }
            (ActNews::NotThisTime, Some(at)) if self.dossier.containments[at].stuck.is_some() => {}
            (ActNews::NotThisTime | ActNews::NotDone, Some(at)) => {
                self.dossier.containments.remove(at);
            }
            _ => {}
        }
    }

    pub(super) fn containment(&mut self, event: &Event, moment: Moment) {
        self.intended(event, moment);
        self.accepted(event, moment);
        let id = match event {
            Event::ContainmentVerified { containment }
            | Event::ContainmentDrifted { containment, .. }
            | Event::ContainmentExpiring { containment, .. }
            | Event::ContainmentExtended { containment, .. }
            | Event::UndoRequested { containment, .. }
            | Event::ContainmentLifted { containment, .. }
            | Event::UndoRefused { containment, .. } => *containment,
            _ => return,
        };
        let Some(part) = self.dossier.containments.iter_mut().find(|part| part.id == id) else {
            return;
        };
        match event {
            Event::ContainmentVerified { .. } => {
                part.hold = Hold::Verified;
                part.drifted = None;
                match part.verified {
                    None => part.verified = Some(moment),
                    Some(_) => part.looked = Some(moment),
                }
            }
            Event::ContainmentDrifted { what, .. } => {
                part.looked = Some(moment);
                part.drifted = Some(noted(cut(what), moment));
            }
            Event::ContainmentExpiring { .. } => part.warned = Some(moment),
            Event::ContainmentExtended { until, by, .. } => {
                part.until = Some(*until);
                part.extended = Some(noted(cut(by), moment));
            }
            Event::UndoRequested { by, why, anyway, .. } => {
                part.hold = Hold::Lifting;
                part.changed_since.clear();
                let over = if *anyway { " (also over what somebody else changed)" } else { "" };
                let text = why.as_ref().map_or_else(|| by.clone(), |why| format!("{by}{over}: {why}"));
                part.lifting = Some(noted(cut(&text), moment));
            }
            Event::ContainmentLifted { others, .. } => {
                part.hold = Hold::Lifted;
                part.changed_since.clone_from(others);
                part.lifted = Some(moment);
                part.undo = None;
            }
            Event::UndoRefused { why, others, .. } => {
                part.hold = Hold::Stuck;
                part.changed_since.clone_from(others);
                part.stuck = Some(noted(cut(why), moment));
            }
            _ => {}
        }
    }
}

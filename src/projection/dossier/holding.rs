//! How containments are folded.

use std::sync::Arc;

use super::fold::{Fold, noted};
use super::parts::{cut, step_title};
use super::{ContainmentPart, Moment, words};
use crate::domain::event::Event;
use crate::domain::playbook::{Body, ContainmentSpec};
use crate::domain::run::Hold;

impl<'a> Fold<'a> {
    fn containment_spec(&self, id: &Arc<str>) -> Option<&'a ContainmentSpec> {
        let (_, step) = self.sources.plan.playbook.step(id)?;
        match &step.body {
            Body::Perform(action) => action.containment.as_ref(),
            _ => None,
        }
    }

    fn accepted(&mut self, event: &Event, moment: Moment) {
        if let Event::ContainmentAccepted { key, containment, operation, target, changed, until } = event {
            let spec = self.containment_spec(&key.id);
            let undo = spec.is_none_or(|spec| spec.undo).then(|| format!("quell undo {containment}"));
            self.dossier.containments.push(ContainmentPart {
                id: *containment,
                step: key.clone(),
                title: step_title(self.sources.plan, key),
                operation: cut(operation),
                target: cut(target),
                tier: spec.map(|spec| spec.tier),
                hold: Hold::Accepted,
                changed: *changed,
                accepted: moment,
                verified: None,
                until: *until,
                extended: None,
                lifting: None,
                lifted: None,
                stuck: None,
                request: self.acts.get(key).map(|exchange| words::exchange(exchange)),
                read_back: None,
                undo,
            });
        }
    }

    pub(super) fn containment(&mut self, event: &Event, moment: Moment) {
        self.accepted(event, moment);
        let id = match event {
            Event::ContainmentVerified { containment }
            | Event::ContainmentExtended { containment, .. }
            | Event::UndoRequested { containment, .. }
            | Event::ContainmentLifted { containment }
            | Event::UndoRefused { containment, .. } => *containment,
            _ => return,
        };
        let Some(part) = self.dossier.containments.iter_mut().find(|part| part.id == id) else {
            return;
        };
        match event {
            Event::ContainmentVerified { .. } => {
                part.hold = Hold::Verified;
                part.verified.get_or_insert(moment);
            }
            Event::ContainmentExtended { until, by, .. } => {
                part.until = Some(*until);
                part.extended = Some(noted(cut(by), moment));
            }
            Event::UndoRequested { by, why, .. } => {
                part.hold = Hold::Lifting;
                let text = why.as_ref().map_or_else(|| by.clone(), |why| format!("{by}: {why}"));
                part.lifting = Some(noted(cut(&text), moment));
            }
            Event::ContainmentLifted { .. } => {
                part.hold = Hold::Lifted;
                part.lifted = Some(moment);
                part.undo = None;
            }
            Event::UndoRefused { why, .. } => {
                part.hold = Hold::Stuck;
                part.stuck = Some(noted(cut(why), moment));
            }
            _ => {}
        }
    }
}

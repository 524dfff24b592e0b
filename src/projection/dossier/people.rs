//! How questions and approvals are folded.

use super::fold::Fold;
use super::parts::{cut, question_end, step_title, wording};
use super::{ApprovalPart, GivenPart, Moment, QuestionPart};
use crate::domain::event::Event;
use crate::domain::id::ApprovalId;

impl Fold<'_> {
    pub(super) fn question(&mut self, event: &Event, moment: Moment) {
        match event {
            Event::QuestionAsked { key, question, asked, until, delivered } => {
                let part = QuestionPart {
                    id: *question,
                    step: key.clone(),
                    title: step_title(self.sources.plan, key),
                    wording: self.inputs.get(key).and_then(|input| wording(input)),
                    asked: asked.iter().map(|who| cut(who)).collect(),
                    sent: moment,
                    until: *until,
                    delivered: *delivered,
                    end: None,
                };
                self.dossier.questions.push(part);
            }
            Event::QuestionAnswered { question, by, choice, fields } => {
                let plan = self.sources.plan;
                if let Some(part) = self.dossier.questions.iter_mut().find(|part| part.id == *question) {
                    part.end = Some(question_end(plan, &part.step, choice, Some((by, fields)), moment));
                }
            }
            Event::QuestionSilent { question, choice } => {
                let plan = self.sources.plan;
                if let Some(part) = self.dossier.questions.iter_mut().find(|part| part.id == *question) {
                    part.end = Some(question_end(plan, &part.step, choice, None, moment));
                }
            }
            _ => {}
        }
    }

    fn approval_part(&mut self, id: ApprovalId) -> Option<&mut ApprovalPart> {
        self.dossier.approvals.iter_mut().find(|part| part.id == id)
    }

    pub(super) fn approval(&mut self, event: &Event, moment: Moment) {
        match event {
            Event::ApprovalRequested { key, approval, by, each, binds, until, .. } => {
                let part = ApprovalPart {
                    id: *approval,
                    step: key.clone(),
                    title: step_title(self.sources.plan, key),
                    by: by.iter().map(|who| cut(who)).collect(),
                    each: *each,
                    binds: *binds,
                    asked: moment,
                    until: *until,
                    escalated: false,
                    given: Vec::new(),
                    verdict: None,
                    closed: None,
                };
                self.dossier.approvals.push(part);
            }
            Event::ApprovalGiven { approval, by, counts_for, approve, note } => {
                if let Some(part) = self.approval_part(*approval) {
                    part.given.push(GivenPart {
                        by: cut(by),
                        counts_for: counts_for.iter().map(|entry| cut(entry)).collect(),
                        approve: *approve,
                        note: note.as_deref().map(cut),
                        when: moment,
                    });
                }
            }
            Event::ApprovalEscalated { approval, until } => {
                if let Some(part) = self.approval_part(*approval) {
                    part.escalated = true;
                    part.until = *until;
                }
            }
            Event::ApprovalClosed { approval, verdict } => {
                if let Some(part) = self.approval_part(*approval) {
                    part.verdict = Some(*verdict);
                    part.closed = Some(moment);
                }
            }
            _ => {}
        }
    }
}

//! Approvals and questions: who was asked, who said what, and whether it is decided.

use crate::domain::approval::{Approval, Verdict};
use crate::domain::event::Event;
use crate::domain::evolve::live;
use crate::domain::id::QuestionId;
use crate::domain::run::{Question, RunState, Stage};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;

pub(super) fn apply_approval(state: &mut RunState, event: &Event) -> Result<(), String> {
    match event {
        Event::ApprovalRequested { key, approval, by, each, binds, until, if_silent, covers } => {
            let step = live(state, key)?;
            step.approval = Some(*approval);
            step.stage = Stage::Approving(*approval);
            let asked = Approval {
                key: key.clone(),
                by: by.clone(),
                each: *each,
                binds: *binds,
                until: *until,
                if_silent: *if_silent,
                escalated: false,
                covers: covers.clone(),
                given: Vec::new(),
                closed: false,
            };
            state.approvals.insert(*approval, asked);
        }
        Event::ApprovalGiven { approval, by, counts_for, approve, .. } => {
            let asked = state.approvals.get_mut(approval).ok_or("nobody asked for this approval")?;
            if *approve {
                asked.given.push((by.clone(), counts_for.clone()));
            }
        }
        Event::ApprovalEscalated { approval, until } => {
            let asked = state.approvals.get_mut(approval).ok_or("nobody asked for this approval")?;
            asked.escalated = true;
            asked.until = *until;
        }
        Event::ApprovalClosed { approval, verdict } => {
            let asked = state.approvals.get_mut(approval).ok_or("nobody asked for this approval")?;
            asked.closed = true;
            let key = asked.key.clone();
            if *verdict == Verdict::Approved {
                live(state, &key)?.stage = Stage::Ready;
            }
        }
        other => return Err(format!("{other:?} is no event of an approval")),
    }
    Ok(())
}

pub(super) fn apply_question(state: &mut RunState, event: &Event, at: Timestamp) -> Result<(), String> {
    match event {
        Event::QuestionAsked { key, question, asked, until, .. } => {
            let step = live(state, key)?;
            step.stage = Stage::Asking(*question);
            step.question = Some(*question);
            let asked = Question {
                key: key.clone(),
                asked: asked.clone(),
                since: at,
                until: *until,
                reminded: 0,
                remind: Value::Null,
                closed: false,
            };
            state.questions.insert(*question, asked);
        }
        Event::QuestionReminded { question, nth, to } => {
            let asked = state.questions.get_mut(question).ok_or("nobody asked this question")?;
            asked.reminded = nth + 1;
            asked.remind = to.clone();
        }
        Event::QuestionAnswered { question, .. } | Event::QuestionSilent { question, .. } => {
            state.questions.get_mut(question).ok_or("nobody asked this question")?.closed = true;
        }
        other => return Err(format!("{other:?} is no event of a question")),
    }
    Ok(())
}

/// Those whom a reminder reached and who were not asked before may answer too.
pub(super) fn ask_also(state: &mut RunState, question: QuestionId, output: &Value) {
    let Some(question) = state.questions.get_mut(&question) else {
        return;
    };
    let sent = output.get("asked").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for person in sent.iter().filter_map(Value::as_str) {
        if !question.asked.iter().any(|known| known == person) {
            question.asked.push(person.to_owned());
        }
    }
}

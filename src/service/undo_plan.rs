//! What lifting would do, without doing it: each target is looked at as before
//! lifting, and nothing is written, neither there nor here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;

use crate::domain::id::RunId;
use crate::domain::kept::{FieldState, KeptField, fields_of, standing, words_of};
use crate::domain::outcome::Outcome;
use crate::domain::owed::look_before_lifting;
use crate::domain::run::RunState;
use crate::domain::value::Value;
use crate::projection::containments::ContainmentRow;
use crate::service::error::ServiceError;
use crate::service::house::Service;
use crate::service::undo::{Judged, UndoAnswer, UndoCall, UndoFate, needs_reason, says};
use crate::step::kind::{carry_out, kind};
use crate::step::world::Call;

/// Targets that one plan looks at: more than a person reads. Those beyond are listed.
const LOOKS_MAX: usize = 100;

/// Targets looked at at the same time.
const LOOKS_AT_ONCE: usize = 8;

/// How long one look may take, whatever its step allows: a person waits for it.
const LOOK_TIMEOUT: Duration = Duration::from_secs(8);

/// How long all of them may take together: less than callers wait.
const LOOKS_TIMEOUT: Duration = Duration::from_secs(20);

impl Service {
    /// What an order to lift would do: in which order, from which state to which,
    /// and what somebody else changed since.
    ///
    /// # Errors
    /// When there is nothing of the kind, or a run cannot be read.
    pub async fn undo_plan(&self, call: &UndoCall) -> Result<UndoAnswer, ServiceError> {
        needs_reason(call)?;
        let chosen = self.chosen(call).await?;
        let mut runs: BTreeMap<RunId, Arc<RunState>> = BTreeMap::new();
        let (mut looks, until) = (0, Instant::now() + LOOKS_TIMEOUT);
        let mut work = Vec::with_capacity(chosen.len());
        for row in &chosen {
            let known = self.on_record(row);
            let state = if known.is_none() && looks < LOOKS_MAX {
                looks += 1;
                let state = match runs.get(&row.run) {
                    Some(state) => Arc::clone(state),
                    None => Arc::new(self.scheduler.replay(row.run).await?),
                };
                Some(Arc::clone(runs.entry(row.run).or_insert(state)))
            } else {
                None
            };
            work.push((row.clone(), known, state));
        }
        let anyway = call.anyway;
        let judged = stream::iter(work).map(|(row, known, state)| async move {
            match (known, state) {
                (Some(fate), _) => told(&row, fate),
                (None, Some(state)) => judged(self.look(&row, &state, until).await, anyway),
                (None, None) => told(&row, UndoFate::NotLooked),
            }
        });
        let judged: Vec<Judged> = judged.buffered(LOOKS_AT_ONCE).collect().await;
        let rows = chosen.iter().zip(judged).enumerate();
        let items = rows.map(|(at, (row, judged))| self.undo_row(at, row, judged)).collect();
        Ok(UndoAnswer { plan: true, anyway: call.anyway, items })
    }

    /// Looks at a target as before lifting, live.
    async fn look(&self, row: &ContainmentRow, state: &RunState, until: Instant) -> Result<Value, String> {
        let missing = || "its run does not show it".to_owned();
        let perform = look_before_lifting(state, row.id).ok_or_else(missing)?;
        let (started, _) = state.started.as_ref().ok_or_else(missing)?;
        let (_, step) = state.plan.playbook.step(&perform.key.id).ok_or_else(missing)?;
        let kind = kind(&step.kind).ok_or_else(missing)?;
        let call = Call {
            started,
            plan: &state.plan,
            alert: state.alert.as_ref().map(|(alert, _)| &**alert),
            step,
            perform: &perform,
            approval: None,
            on_turn: None,
        };
        let until = until.min(Instant::now() + LOOK_TIMEOUT);
        let look = tokio::time::timeout_at(until, carry_out(kind, &call, &self.world)).await;
        match look.map(|done| done.outcome) {
            Ok(Outcome::Succeeded { output, .. }) => Ok(output),
            Ok(Outcome::Failed { failure, .. }) => Err(failure.message),
            Err(_) => Err("it did not answer in time".to_owned()),
        }
    }
}

fn told(row: &ContainmentRow, fate: UndoFate) -> Judged {
    let says = match fate {
        UndoFate::NotLooked => format!("was not looked at: a plan looks at {LOOKS_MAX} at the most"),
        _ => says(row, fate),
    };
    Judged { fate, says, needs_person: false, fields: Vec::new() }
}

/// What a look means for an order to lift.
fn judged(look: Result<Value, String>, anyway: bool) -> Judged {
    let look = match look {
        Ok(look) => look,
        Err(why) => {
            let says = format!("cannot be looked at now: {why}; lifting would be tried until it can");
            return Judged { fate: UndoFate::Unread, says, needs_person: false, fields: Vec::new() };
        }
    };
    let fields = fields_of(&look);
    let back = |field: &KeptField| {
        let field = field.shown();
        format!("`{}` from {} to {}", field.name, field.now, field.before)
    };
    let listed = |keep: &dyn Fn(&KeptField) -> bool| {
        fields.iter().filter(|field| keep(field)).map(back).collect::<Vec<_>>().join(", ")
    };
    let is_as_left = |field: &KeptField| field.state == FieldState::AsLeft;
    let stands = standing(&fields);
    let disputed = words_of(&fields, KeptField::is_disputed);
    let others = words_of(&fields, |field| field.is_changed() && !field.is_disputed());
    let alone = if others.is_empty() {
        String::new()
    } else {
        format!("; left alone, because somebody else changed it since: {others}")
    };
    let theirs = fields.iter().any(KeptField::is_changed);
    let (fate, says) = match stands {
        "restored" => {
            (UndoFate::NothingToWrite, format!("is as it was before; nothing would be written{alone}"))
        }
        _ if anyway => {
            let over = if theirs { ", also over what somebody else changed since" } else { "" };
            let all = listed(&|field| field.state != FieldState::Restored);
            (UndoFate::WouldLift, format!("would be lifted{over}: {all}"))
        }
        "as_left" if disputed.is_empty() => {
            (UndoFate::WouldLift, format!("would be lifted: {}{alone}", listed(&is_as_left)))
        }
        "as_left" => {
            let back = listed(&is_as_left);
            let says = format!(
                "would be lifted in part: {back}; a person must say what is to stand of what somebody else changed since: {disputed}{alone}"
            );
            (UndoFate::WouldLiftInPart, says)
        }
        _ => {
            let says = format!("would be refused: somebody else changed it since: {disputed}{alone}");
            (UndoFate::WouldRefuse, says)
        }
    };
    let needs_person = matches!(fate, UndoFate::WouldLiftInPart | UndoFate::WouldRefuse);
    Judged { fate, says, needs_person, fields }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::kept::compare;

    fn look(now: &Value) -> Result<Value, String> {
        let captured = json!({
            "state": { "active": true, "groups": ["a"], "desk": 1 },
            "left": { "active": false, "groups": [], "desk": 1 },
        });
        let keep = ["active", "groups", "desk"].map(str::to_owned);
        let fields = compare(&keep, &captured, now, true);
        Ok(json!({ "state": standing(&fields), "fields": fields }))
    }

    #[test]
    fn a_plan_says_from_which_state_to_which_and_what_a_person_must_settle() {
        for (now, anyway, fate, person, says) in [
            (
                json!({ "active": false, "groups": [], "desk": 1 }),
                false,
                UndoFate::WouldLift,
                false,
                "`active` from false to true, `groups` from [] to [\"a\"]",
            ),
            (
                json!({ "active": false, "groups": ["b"], "desk": 1 }),
                false,
                UndoFate::WouldLiftInPart,
                true,
                "`groups` was [\"a\"] before, we left it [], and is [\"b\"] now",
            ),
            (
                json!({ "active": true, "groups": ["b"], "desk": 1 }),
                false,
                UndoFate::WouldRefuse,
                true,
                "would be refused",
            ),
            (
                json!({ "active": true, "groups": ["b"], "desk": 1 }),
                true,
                UndoFate::WouldLift,
                false,
                "also over what somebody else changed since: `groups` from [\"b\"] to [\"a\"]",
            ),
            (
                json!({ "active": true, "groups": ["a"], "desk": 2 }),
                false,
                UndoFate::NothingToWrite,
                false,
                "left alone, because somebody else changed it since: `desk` was 1 before, and is 2 now",
            ),
        ] {
            let judged = judged(look(&now), anyway);
            assert_eq!((judged.fate, judged.needs_person), (fate, person), "{now}: {}", judged.says);
            assert!(judged.says.contains(says), "{now}: {}", judged.says);
        }
        let unread = judged(Err("nothing answers there".to_owned()), false);
        assert!(unread.says.contains("tried until it can"), "{}", unread.says);
    }
}

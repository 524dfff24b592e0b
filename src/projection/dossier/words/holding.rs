//! Containments in plain words.

use super::{PLAYBOOK, Told, line};
use crate::domain::event::Event;
use crate::domain::id::ContainmentId;
use crate::domain::kept::words_of;
use crate::projection::dossier::parts::step_title;
use crate::projection::dossier::{Dossier, Sources};

pub(super) fn of_containment(sources: &Sources<'_>, dossier: &Dossier, event: &Event) -> Option<Told> {
    let part = |id: &ContainmentId| dossier.containments.iter().find(|part| part.id == *id);
    let about =
        |id: &ContainmentId| part(id).map(|it| format!("{} ({})", it.title, it.target)).unwrap_or_default();
    let step = |id: &ContainmentId| part(id).map(|part| &part.step);
    if let Event::ContainmentAccepted { .. } = event {
        return accepted(sources, event);
    }
    match event {
        Event::ContainmentVerified { containment: id }
            if part(id).is_some_and(|part| part.verified.is_some()) =>
        {
            let text = format!("{}: looked at again, it still holds", about(id));
            line("containment_verified", step(id), PLAYBOOK, text)
        }
        Event::ContainmentDrifted { containment: id, what } => {
            line("containment_drifted", step(id), PLAYBOOK, format!("{}: looked at again, {what}", about(id)))
        }
        Event::ContainmentExpiring { containment: id, until } => {
            let text =
                format!("{}: is lifted by itself at {}; people are told", about(id), until.to_minute());
            line("containment_expiring", step(id), PLAYBOOK, text)
        }
        Event::ContainmentVerified { containment: id } => {
            let once = part(id).is_some_and(|part| part.one_off);
            let seen = if once { "it is done" } else { "it holds" };
            line("containment_verified", step(id), PLAYBOOK, format!("{}: read back, {seen}", about(id)))
        }
        Event::ContainmentExtended { containment: id, until, by } => {
            let text = format!("{}: extended until {}", about(id), until.to_minute());
            line("containment_extended", step(id), by, text)
        }
        Event::UndoRequested { containment: id, by, why, anyway } => {
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let over = if *anyway { ", also over what somebody else changed since" } else { "" };
            line("undo_requested", step(id), by, format!("{}: to be lifted{over}{why}", about(id)))
        }
        Event::ContainmentLifted { containment: id, others } => {
            let left = match words_of(others, |_| true) {
                diff if diff.is_empty() => String::new(),
                diff => format!(". Left alone, because somebody else changed it since: {diff}"),
            };
            let text = format!("{}: lifted, and read back{left}", about(id));
            line("containment_lifted", step(id), PLAYBOOK, text)
        }
        Event::UndoRefused { containment: id, why, .. } => {
            line("undo_refused", step(id), PLAYBOOK, format!("{}: could not be lifted: {why}", about(id)))
        }
        _ => None,
    }
}

fn accepted(sources: &Sources<'_>, event: &Event) -> Option<Told> {
    match event {
        Event::ContainmentAccepted { key, operation, target, changed, until, .. } => {
            let title = step_title(sources.plan, key);
            let how = if *changed { "accepted" } else { "already was so; nothing was written" };
            let until = until.map(|at| format!(", until {}", at.to_minute())).unwrap_or_default();
            let text = format!("{title}: {operation} on {target}: {how}{until}");
            line("containment_accepted", Some(key), PLAYBOOK, text)
        }
        _ => None,
    }
}

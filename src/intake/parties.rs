//! Whom an alert is about, who did it, and who else it names.

use crate::domain::alert::User;
use crate::domain::value::Value;
use crate::intake::identity;
use crate::intake::lists::KeptList;
use crate::intake::normalise::TEXT_CHARS_MAX;
use crate::intake::record::{Fields, Listed};
use crate::intake::rule::Sight;
use crate::intake::verb::{Fault, fault};

/// Users of one alert that are compared with one another, to find those named twice.
/// Beyond it each is taken for another: comparing all with all takes too long.
const COMPARED_MAX: usize = 1000;

/// Everybody that an alert names.
pub struct Parties {
    /// Whom it is about, who may be contained.
    pub subject: User,
    /// Who did it.
    pub actor: User,
    /// All users, the subject first.
    pub users: KeptList<User>,
}

/// Reads everybody off one alert. A rule of the source that names the subject goes
/// first; else the verb says whether it is the doer or the one it was done to. Of
/// several people nobody is the subject, and a service stands nowhere for a person.
#[must_use]
pub fn parties(fields: &Fields, seen: &Value, sight: &Sight<'_>) -> Parties {
    let one = &fields.one;
    let said = identity::user(one, sight, identity::SUBJECT).unwrap_or_default();
    let mut actor = identity::user(one, sight, identity::ACTOR).unwrap_or_default();
    let (targets, listed) = (named(&fields.targets, seen, sight), named(&fields.users, seen, sight));
    let verb = one.text("verb", sight, TEXT_CHARS_MAX);
    let fault = verb.map(|verb| fault(&verb, !targets.is_empty()));
    let doer_at_fault = fault == Some(Fault::Doer);
    let mut subject = match fault {
        _ if !said.is_nobody() => said,
        Some(Fault::Doer) => actor.clone(),
        Some(Fault::Target) | None => sole(&targets).unwrap_or_default(),
        Some(Fault::Nobody) => User::default(),
    };
    // What a person did to others makes those no suspects.
    let victims = doer_at_fault && !actor.is_nobody() && !actor.service;
    let mut others = if victims { Vec::new() } else { targets };
    others.extend(listed);
    if subject.is_nobody() {
        subject = sole(&others).unwrap_or_default();
    }
    if subject.service && others.iter().any(|user| !user.service) {
        let person = sole(&others).unwrap_or_default();
        let service = std::mem::replace(&mut subject, person);
        if actor.is_nobody() {
            actor = service.clone();
        }
        others.push(service);
    }
    if subject.service && fault != Some(Fault::Target) && !actor.is_nobody() && !actor.service {
        others.push(std::mem::replace(&mut subject, actor.clone()));
    }
    let all = std::iter::once(subject.clone()).filter(|user| !user.is_nobody()).chain(others).collect();
    Parties { users: once_each(all), subject, actor }
}

fn named(rules: &[Listed], seen: &Value, sight: &Sight<'_>) -> Vec<User> {
    Listed::collect(rules, seen, sight, |record, sight| identity::user(record, sight, identity::LISTED))
}

/// The one that is meant: the only person, or the only account where no person is named.
fn sole(users: &[User]) -> Option<User> {
    let users = identity::merged(users.iter().take(COMPARED_MAX).cloned().collect());
    let people: Vec<_> = users.iter().filter(|user| !user.service).collect();
    match (&*people, &*users) {
        ([person], _) => Some((*person).clone()),
        ([], [service]) => Some(service.clone()),
        _ => None,
    }
}

/// Everybody once.
fn once_each(users: Vec<User>) -> KeptList<User> {
    let mut users = users.into_iter();
    let mut kept = identity::merged(users.by_ref().take(COMPARED_MAX).collect());
    kept.extend(users);
    KeptList::of(kept)
}

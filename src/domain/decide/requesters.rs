//! Who asked for what a step does. None of them can approve it, by whichever way
//! their yes comes in.

use std::collections::BTreeSet;

use crate::domain::address::address_key;
use crate::domain::expr::References;
use crate::domain::nesting::{ancestors, stands_in};
use crate::domain::playbook::{Body, Compute, Playbook, Step, StepIx};
use crate::domain::run::{RunState, StepKey};
use crate::domain::value::Value;

/// The host part of people who are known by their login on this machine alone.
const LOCAL_HOST: &str = "localhost";

/// How somebody came to ask for what a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// They started the run.
    StartedRun,
    /// They handed in the alert that the run acts on.
    HandedInAlert,
    /// Their answer is part of what the step is given.
    ChoseInput,
}

impl Request {
    /// The reason of a refusal, after the person's address.
    pub fn words(self) -> &'static str {
        match self {
            Self::StartedRun => "started this run",
            Self::HandedInAlert => "handed in the alert that this run acts on",
            Self::ChoseInput => "gave an input or an answer that this step acts on",
        }
    }
}

/// Everybody who asked for what the step `key` does, and how.
pub fn requesters(state: &RunState, key: &StepKey) -> Vec<(String, Request)> {
    let mut found = Vec::new();
    if let Some((started, _)) = &state.started {
        found.push((started.by.clone(), Request::StartedRun));
        found.extend(started.requesters.iter().map(|who| (who.clone(), Request::ChoseInput)));
    }
    let alert = state.alert.as_ref().and_then(|(alert, _)| alert.handed_in_by.clone());
    found.extend(alert.map(|who| (who, Request::HandedInAlert)));
    found.extend(answerers(state, key).into_iter().map(|who| (who, Request::ChoseInput)));
    found
}

/// How this person asked for what the step `key` does; nothing when they did not.
pub fn request_of(state: &RunState, key: &StepKey, address: &str) -> Option<Request> {
    requesters(state, key).into_iter().find(|(who, _)| same_person(who, address)).map(|(_, how)| how)
}

/// The people whose answers the calling step hands over to a run of its own.
pub fn requesters_of_call(state: &RunState, key: &StepKey) -> Vec<String> {
    let inherited = state.started.iter().flat_map(|(started, _)| started.requesters.clone());
    let all: BTreeSet<String> = inherited.chain(answerers(state, key)).collect();
    all.into_iter().collect()
}

/// Whether both addresses may be of one person. Who used the command line without a
/// server is known by a login alone: a wrong no costs a second approver, a wrong yes
/// an account.
pub fn same_person(one: &str, other: &str) -> bool {
    let (one, other) = (address_key(one), address_key(other));
    let parts =
        |address: &str| address.rsplit_once('@').map(|(login, host)| (login.to_owned(), host.to_owned()));
    match (parts(&one), parts(&other)) {
        (Some((login, host)), Some((other_login, other_host))) => {
            let local = host == LOCAL_HOST || other_host == LOCAL_HOST;
            login == other_login && (local || host == other_host)
        }
        _ => one == other,
    }
}

/// Who answered the questions whose answers reach the inputs of the step `key`, of
/// what stands in it or around it, also by way of other steps.
fn answerers(state: &RunState, key: &StepKey) -> BTreeSet<String> {
    let playbook = &state.plan.playbook;
    let Some((ix, _)) = playbook.step(&key.id) else { return BTreeSet::new() };
    let inside = (0..playbook.steps.len()).filter(|other| stands_in(playbook, *other, ix));
    let reached = reached(playbook, ancestors(playbook, ix).chain(inside).chain([ix]).collect());
    let asks = |step: &&Step| matches!(&step.body, Body::Perform(action) if action.question.is_some());
    let questions: BTreeSet<&str> =
        reached.iter().map(|ix| &playbook.steps[*ix]).filter(asks).map(|step| &*step.id).collect();
    let answered = state.steps.iter().filter(|(key, _)| questions.contains(&*key.id));
    answered
        .filter_map(|(_, step)| step.output.value().get("by").and_then(Value::as_str))
        .map(str::to_owned)
        .collect()
}

/// The steps whose outputs reach these, and these.
fn reached(playbook: &Playbook, mut open: Vec<StepIx>) -> BTreeSet<StepIx> {
    let mut reached = BTreeSet::new();
    while let Some(ix) = open.pop() {
        if !reached.insert(ix) {
            continue;
        }
        let paths = inputs(&playbook.steps[ix]).flat_map(|references| &references.paths);
        for path in paths.filter(|path| path.first().is_some_and(|root| root == "steps")) {
            match path.get(1) {
                Some(id) => open.extend(playbook.step(id).map(|(ix, _)| ix)),
                // Which step is worked out when it runs: it may be any.
                None => open.extend(0..playbook.steps.len()),
            }
        }
    }
    reached
}

/// What the values that a step acts on are made of. Whether and when it runs is
/// another matter.
fn inputs(step: &Step) -> impl Iterator<Item = &References> {
    let own = match &step.body {
        Body::Perform(action) => Some(&action.input),
        Body::Call(call) => Some(&call.with),
        Body::Compute(Compute::Set(values) | Compute::Incident(values) | Compute::Finish(values)) => {
            Some(values)
        }
        Body::Wait(_) | Body::WaitUntil(_) | Body::Undo(_) | Body::Block(_) => None,
    };
    let items = step.for_each.as_ref().map(|looped| looped.items.references());
    own.map(|template| template.references()).into_iter().chain(items)
}

#[cfg(test)]
mod tests {
    use super::same_person;

    #[test]
    fn a_login_of_this_machine_may_be_anybody_of_that_name() {
        for (one, other, same) in [
            ("ana@example.com", "Ana@Example.com", true),
            ("ana@localhost", "ana@example.com", true),
            ("ana@example.com", "ana@localhost", true),
            ("ana@example.com", "ana@example.org", false),
            ("ana@localhost", "sam@example.com", false),
            ("trigger", "trigger@example.com", false),
            ("trigger", "trigger", true),
        ] {
            assert_eq!(same_person(one, other), same, "{one} and {other}");
        }
    }
}

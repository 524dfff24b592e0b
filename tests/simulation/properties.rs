//! What holds of every run, whatever its playbook, whatever it is told and
//! whenever: properties that proptest looks for exceptions of, and shrinks.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;
use quell::domain::command::{Command, Perform, Phase};
use quell::domain::decide::turn::decide;
use quell::domain::event::Entry;
use quell::domain::nesting::{Part, container_of, part};
use quell::domain::owed::commands;
use quell::domain::plan::Plan;
use quell::domain::playbook::Body;
use quell::domain::run::{Hold, RunState, Stage, StepKey};
use quell::domain::signal::Signal;
use quell::store::codec::{pack, unpack};

use crate::deeds::{happenings, wake_time};
use crate::entries::others;
use crate::failures::Failures;
use crate::life::{Life, Turn};
use crate::sketches::sketches;

/// Cases of one property; a bad night's worth when asked.
fn cases() -> ProptestConfig {
    let cases = if std::env::var_os("QUELL_LONG").is_some() { 10_000 } else { 256 };
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_a_run_is_told_gives_facts_or_a_refusal_that_changes_nothing(
        sketch in sketches(), happenings in happenings(),
    ) {
        Life::new(&sketch).live(&happenings, &mut facts_or_a_refusal)?;
    }

    #[test]
    fn before_it_has_begun_a_run_refuses_all_but_its_start(
        sketch in sketches(), happenings in happenings(),
    ) {
        let life = Life::new(&sketch);
        for signal in happenings.iter().flat_map(|it| crate::deeds::signals(&it.deed, &life.state)) {
            let refused = decide(&life.state, &signal, life.now).expect_err("it has not begun");
            prop_assert_eq!(refused.code, "run-unknown");
        }
    }

    #[test]
    fn the_same_state_signal_and_time_give_the_same_facts(sketch in sketches(), happenings in happenings()) {
        let mut life = Life::new(&sketch);
        // As another process would have it: the plan and the entries read again.
        let plan = reread(&life.plan);
        let mut other = RunState::new(plan, None);
        life.live(&happenings, &mut |life: &Life, turn: &Turn<'_>| {
            let again = decide(&other, turn.signal, life.now);
            prop_assert_eq!(turn.heard, &again);
            let new = &life.journal[usize::try_from(other.seq).unwrap()..];
            other = Life::folded(other.clone(), new);
            Ok::<(), TestCaseError>(())
        })?;
    }

    #[test]
    fn a_run_that_is_read_again_stands_where_it_stood(
        sketch in sketches(), happenings in happenings(), stop in any::<Index>(),
    ) {
        let mut life = Life::new(&sketch);
        life.live(&happenings, &mut |life: &Life, turn: &Turn<'_>| {
            let new = &life.journal[usize::try_from(turn.before.seq).unwrap()..];
            same(&Life::folded(turn.before.clone(), new), &life.state)
        })?;
        same(&Life::folded(RunState::new(reread(&life.plan), None), &life.journal), &life.state)?;
        let (first, second) = life.journal.split_at(stop.index(life.journal.len() + 1));
        let stopped = Life::folded(RunState::new(Arc::clone(&life.plan), None), &stored(first)?);
        same(&Life::folded(stopped, &stored(second)?), &life.state)?;
    }

    #[test]
    fn a_run_asks_only_for_what_is_on_record_and_approved(sketch in sketches(), happenings in happenings()) {
        Life::new(&sketch).live(&happenings, &mut |life: &Life, _: &Turn<'_>| asks_only_what_it_may(life))?;
    }

    #[test]
    fn nothing_begins_in_what_has_failed(sketch in sketches(), happenings in happenings()) {
        let mut failures = Failures::default();
        Life::new(&sketch).live(&happenings, &mut |life: &Life, turn: &Turn<'_>| {
            let mut state = turn.before.clone();
            for entry in &life.journal[usize::try_from(turn.before.seq).unwrap()..] {
                failures.hear(&life.plan.playbook, &state, &entry.event).map_err(TestCaseError::fail)?;
                state = Life::folded(state, std::slice::from_ref(entry));
            }
            Ok::<(), TestCaseError>(())
        })?;
    }

    #[test]
    fn whatever_has_begun_waits_for_something_that_can_come(
        sketch in sketches(), happenings in happenings(),
    ) {
        Life::new(&sketch).live(&happenings, &mut |life: &Life, _: &Turn<'_>| nothing_is_forgotten(life))?;
    }

    #[test]
    fn a_run_that_is_over_and_has_lifted_all_asks_for_nothing(
        sketch in sketches(), happenings in happenings(), cancel in any::<bool>(),
    ) {
        let mut life = Life::new(&sketch);
        let mut look = |life: &Life, turn: &Turn<'_>| {
            facts_or_a_refusal(life, turn)?;
            asks_only_what_it_may(life)?;
            nothing_is_forgotten(life)
        };
        life.live(&happenings, &mut look)?;
        prop_assert!(life.settle(cancel, &mut look)?, "it asks for ever: {:?}", commands(&life.state));
        prop_assert!(life.state.ended.is_some(), "nothing is asked for, and it has not ended");
        prop_assert!(life.state.active.is_empty(), "these have not ended: {:?}", life.state.active);
        let holds = life.state.containments.values().find(|held| {
            let (_, spec) = life.plan.playbook.step(&held.key.id).expect("it stands in the plan");
            let undoes = matches!(&spec.body, Body::Perform(action) if action.containment.as_ref().is_some_and(|spec| spec.undo));
            undoes && held.hold != Hold::Lifted
        });
        prop_assert!(holds.is_none(), "this still holds: {holds:?}");
        prop_assert_eq!(commands(&life.state), Vec::new());
    }

    #[test]
    fn extending_a_containment_never_shortens_it(sketch in sketches(), happenings in happenings()) {
        Life::new(&sketch).live(&happenings, &mut |life: &Life, turn: &Turn<'_>| {
            let (Signal::Extend { containment, .. }, Ok(_)) = (turn.signal, turn.heard) else {
                return Ok(());
            };
            let (before, after) = (&turn.before.containments[containment], &life.state.containments[containment]);
            prop_assert!(before.until.is_some() && after.until >= before.until, "{before:?} {after:?}");
            Ok::<(), TestCaseError>(())
        })?;
    }

    #[test]
    fn what_is_recorded_of_alerts_incidents_and_schedules_comes_back_byte_for_byte(
        entries in proptest::collection::vec(others(), 0..20),
    ) {
        stored(&entries)?;
    }

    #[test]
    fn what_a_run_records_comes_back_from_the_store_byte_for_byte(
        sketch in sketches(), happenings in happenings(),
    ) {
        let mut life = Life::new(&sketch);
        life.live(&happenings, &mut |_: &Life, _: &Turn<'_>| Ok::<(), TestCaseError>(()))?;
        stored(&life.journal)?;
    }
}

/// Facts that follow, or a refusal. What the world says is never refused: whoever
/// says it cannot do anything else instead.
fn facts_or_a_refusal(life: &Life, turn: &Turn<'_>) -> TestCaseResult {
    let Err(refusal) = turn.heard else {
        return Ok(());
    };
    prop_assert_ne!(refusal.code, "cannot-follow", "{}", refusal.message);
    let of_the_world = matches!(
        turn.signal,
        Signal::Performed { .. }
            | Signal::Began { .. }
            | Signal::Lost { .. }
            | Signal::Wake
            | Signal::ChildEnded { .. }
    );
    prop_assert!(!of_the_world, "{:?} was refused: {}", turn.signal, refusal);
    prop_assert!(!refusal.message.is_empty());
    same(turn.before, &life.state)
}

/// Everything that a state says is the same.
fn same(a: &RunState, b: &RunState) -> TestCaseResult {
    prop_assert!(a == b, "two states differ:\n{:#?}\n{:#?}", a.steps, b.steps);
    prop_assert_eq!(&a.inputs, &b.inputs);
    prop_assert_eq!(commands(a), commands(b));
    Ok(())
}

/// The entries as the store gives them back.
fn stored(entries: &[Entry]) -> Result<Vec<Entry>, TestCaseError> {
    let packed = pack(entries).expect("they are small enough");
    let read = unpack(&packed).map_err(|error| TestCaseError::fail(error.to_string()))?;
    for (read, entry) in read.iter().zip(entries) {
        prop_assert_eq!(read, entry);
    }
    prop_assert_eq!(read.len(), entries.len());
    prop_assert_eq!(pack(&read).expect("they are small enough"), packed);
    Ok(read)
}

fn reread(plan: &Plan) -> Arc<Plan> {
    let text = serde_json::to_string(plan).expect("a plan is JSON");
    Arc::new(serde_json::from_str(&text).expect("and reads back"))
}

/// What a run asks for has its intent on record and its approvals given, and of
/// a run that has ended only its lifts and its looks are left.
fn asks_only_what_it_may(life: &Life) -> TestCaseResult {
    let ended = life.state.ended.is_some();
    for command in commands(&life.state) {
        match command {
            Command::Perform(perform) => {
                let intent = (perform.key.clone(), perform.phase, perform.attempt);
                prop_assert!(life.intents.contains(&intent), "{intent:?} is asked for and not on record");
                let after = perform.phase.undoes() || perform.phase.watches();
                prop_assert!(!ended || after, "{} is asked of a run that has ended", perform.phase);
                approved(life, &perform)?;
            }
            Command::WakeAt(at) => {
                let held = life.state.containments.values().any(|held| held.hold != Hold::Lifted);
                prop_assert!(!ended || held, "a run that has ended and holds nothing wakes at {at}");
            }
            Command::Follow(_) | Command::CancelChild(_) => prop_assert!(!ended),
        }
    }
    Ok(())
}

fn approved(life: &Life, perform: &Perform) -> TestCaseResult {
    let playbook = &life.plan.playbook;
    let given = |key: &StepKey| {
        let asked = life.state.steps.get(key).and_then(|step| step.approval);
        asked.is_some_and(|asked| life.approved.contains(&asked))
    };
    let (_, spec) = playbook.step(&perform.key.id).expect("it stands in the plan");
    let acts = matches!(perform.phase, Phase::Act | Phase::Verify | Phase::Reconcile | Phase::Remind);
    if acts && spec.approval.is_some() {
        prop_assert!(given(&perform.key), "{} of {} without its approval", perform.phase, perform.key);
    }
    if !acts && perform.phase != Phase::Capture {
        return Ok(());
    }
    let around =
        std::iter::successors(container_of(playbook, &perform.key), |key| container_of(playbook, key));
    for block in around {
        let (ix, spec) = playbook.step(&block.id).expect("it stands in the plan");
        let asks = matches!(spec.body, Body::Block(_)) && spec.approval.is_some();
        if asks && part(playbook, ix, &block) == Part::Body {
            prop_assert!(
                given(&block),
                "{} of {} without the approval of {block}",
                perform.phase,
                perform.key
            );
            as_seen(life, perform, &block)?;
        }
    }
    Ok(())
}

/// What is handed over is what people saw of it when they said yes to the block.
fn as_seen(life: &Life, perform: &Perform, block: &StepKey) -> TestCaseResult {
    let asked = &life.state.approvals[&life.state.steps[block].approval.expect("it is given")];
    for seen in asked.covers.iter().filter(|covered| *covered.step == *perform.key.id) {
        for (name, value) in seen.input.iter().filter_map(|input| input.as_object()).flatten() {
            prop_assert_eq!(perform.input.get(name), Some(value), "`{}` of {}", name, perform.key);
        }
    }
    Ok(())
}

/// Every step that has begun and not ended waits for something that can come,
/// and a wake at the time asked for leads on: else the timer would ask for ever.
fn nothing_is_forgotten(life: &Life) -> TestCaseResult {
    let state = &life.state;
    if let Some(at) = wake_time(state) {
        let woken = decide(state, &Signal::Wake, life.now.max(at));
        prop_assert!(woken.as_ref().is_ok_and(|events| !events.is_empty()), "woken at {at}: {woken:?}");
    }
    if state.quarantined.is_some() {
        return Ok(());
    }
    prop_assert!(
        state.started.is_some() && (state.ended.is_some() || !state.active.is_empty()),
        "it is idle"
    );
    for key in &state.active {
        let step = &state.steps[key];
        let (_, spec) = life.plan.playbook.step(&key.id).expect("it stands in the plan");
        let inside = || {
            state.active.iter().any(|other| {
                std::iter::successors(container_of(&life.plan.playbook, other), |key| {
                    container_of(&life.plan.playbook, key)
                })
                .any(|around| around == *key)
            })
        };
        let wakes = |at| wake_time(state).is_some_and(|wake| wake <= at);
        let waits = match &step.stage {
            Stage::Ready if matches!(spec.body, Body::Undo(_)) => {
                state.containments.values().any(|held| held.hold == Hold::Lifting)
            }
            Stage::Open | Stage::Ready => inside(),
            Stage::Approving(id) => !state.approvals[id].closed && wakes(state.approvals[id].until),
            Stage::Asking(id) => !state.questions[id].closed && wakes(state.questions[id].until),
            Stage::Due { at, .. } | Stage::Sleeping { until: at } => wakes(*at),
            Stage::InFlight { phase, attempt, .. } => life.intents.contains(&(key.clone(), *phase, *attempt)),
            Stage::Calling { .. } | Stage::Uncertain { .. } => true,
            Stage::Ended(_) => false,
        };
        prop_assert!(waits, "{key} waits for nothing: {:?}", step.stage);
    }
    Ok(())
}

//! What the properties found, each told as it would happen to somebody.

use std::time::Duration;

use quell::domain::command::Phase;
use quell::domain::event::Event;
use quell::domain::outcome::{Failure, FailureClass, Outcome};
use quell::domain::playbook::Effect;
use quell::domain::run::{Hold, Stage, StepEnd, StepKey};
use quell::domain::signal::{Person, Signal};
use quell::store::codec::{pack, unpack};

use crate::deeds::{Answer, performs, wake_time};
use crate::life::Life;
use crate::sketches::{Does, StepSketch};

const ACT: Does = Does::Act { effect: Effect::Idempotent, reconciles: None };
const CONTAIN: Does =
    Does::Contain { effect: Effect::Idempotent, verifies: true, hold: Some(7200), undo: true };

impl Life {
    /// A run of these steps that has begun.
    pub fn of(steps: Vec<StepSketch>) -> Life {
        let mut life = Life::new(&steps.into());
        life.tell(&life.start());
        life
    }

    /// It is told something that it does not refuse.
    pub fn tell(&mut self, signal: &Signal) {
        let told = self.hear(signal, &mut |_, turn| match turn.heard {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal.to_string()),
        });
        told.unwrap_or_else(|refusal| panic!("{signal:?} was refused: {refusal}"));
    }

    /// The attempt in flight of this step is answered.
    pub fn answer(&mut self, step: &str, answer: &Answer) {
        self.outcome(step, |phase| answer.outcome(phase));
    }

    fn outcome(&mut self, step: &str, outcome: impl Fn(Phase) -> Outcome) {
        let perform = performs(&self.state).into_iter().find(|perform| &*perform.key.id == step);
        let perform = perform.unwrap_or_else(|| panic!("nothing of {step} is in flight"));
        self.tell(&Signal::Performed {
            outcome: outcome(perform.phase),
            key: perform.key,
            phase: perform.phase,
            attempt: perform.attempt,
        });
    }

    /// The attempt in flight of this step is lost with its server.
    fn lose(&mut self, step: &str) {
        let perform = performs(&self.state).into_iter().find(|perform| &*perform.key.id == step);
        let perform = perform.unwrap_or_else(|| panic!("nothing of {step} is in flight"));
        perform.lost_at_work().iter().for_each(|signal| self.tell(signal));
    }

    /// A person says what came of a step.
    fn say(&mut self, step: &str, happened: bool) {
        let by = "ana@example.com".to_owned();
        self.tell(&Signal::Settle { key: StepKey::root(step), happened, by, note: None });
    }

    fn wait(&mut self) {
        let at = wake_time(&self.state).expect("it waits for a time");
        self.now = self.now.max(at);
        self.tell(&Signal::Wake);
    }

    /// Both people whose yes a step needs give it.
    pub fn approve(&mut self, step: &str) {
        let asked = self.state.steps[&StepKey::root(step)].approval.expect("it was asked for");
        for (address, group) in [("ana@example.com", "leads"), ("lee@example.com", "hr")] {
            let by = Person { address: address.to_owned(), groups: vec![group.to_owned()] };
            self.tell(&Signal::Decide { approval: asked, by, approve: true, note: None });
        }
    }

    fn release(&mut self) {
        self.tell(&Signal::Release { by: "ana@example.com".to_owned(), why: None });
    }

    /// Where a step stands.
    pub fn stage(&self, step: &str) -> &Stage {
        &self.state.steps[&StepKey::root(step)].stage
    }
}

fn beside(does: Does) -> StepSketch {
    StepSketch { beside: true, ..does.into() }
}

#[test]
fn a_run_that_is_set_aside_asks_for_no_time_of_its_steps() {
    let mut life = Life::of(vec![ACT.into(), beside(Does::Wait(60))]);
    assert!(wake_time(&life.state).is_some());
    (0..3).for_each(|_| life.lose("s0"));
    assert!(life.state.quarantined.is_some());
    // Nobody may move the pause on, so a timer that fired would fire for ever.
    assert_eq!(wake_time(&life.state), None);
    life.now = life.now.after(Duration::from_secs(3600));
    life.release();
    assert_eq!(*life.stage("s1"), Stage::Ended(StepEnd::Succeeded), "what was due meanwhile is done now");
}

#[test]
fn a_run_that_is_set_aside_still_lifts_what_it_holds_on_time() {
    let mut life = Life::of(vec![CONTAIN.into(), ACT.into()]);
    (0..3).for_each(|_| life.answer("s0", &Answer::Fine));
    (0..3).for_each(|_| life.lose("s1"));
    assert!(life.state.quarantined.is_some());
    for _ in 0..20 {
        match performs(&life.state).is_empty() {
            true if life.state.containments.values().all(|held| held.hold == Hold::Lifted) => return,
            true => life.wait(),
            false => life.answer("s0", &Answer::Fine),
        }
    }
    panic!("it was never lifted");
}

#[test]
fn a_value_that_is_nothing_is_recorded_as_no_value() {
    let nothing = quell::domain::expr::template::Template::parse(&serde_json::json!("${ null }")).unwrap();
    let life = Life::of(vec![Does::Compute(quell::domain::playbook::Compute::Set(nothing)).into()]);
    let read = unpack(&pack(&life.journal).expect("it packs")).expect("it unpacks");
    assert_eq!(read, life.journal);
}

#[test]
fn a_run_that_is_released_goes_on_with_what_was_lost_last_and_asks_nobody_again() {
    let act = StepSketch { approval: Some(false), ..ACT.into() };
    let mut life = Life::of(vec![act]);
    // The server stops while the approvers are told; they decide all the same.
    life.lose("s0");
    life.approve("s0");
    (0..3).for_each(|_| life.lose("s0"));
    assert!(life.state.quarantined.is_some());
    life.release();
    assert!(matches!(life.stage("s0"), Stage::InFlight { phase: Phase::Act, .. }), "{:?}", life.stage("s0"));
    life.answer("s0", &Answer::Fine);
    assert!(life.state.ended.is_some());
}

#[test]
fn a_run_that_is_released_begins_nothing_in_a_block_that_has_failed_meanwhile() {
    let block = Does::Block(vec![CONTAIN.into(), beside(ACT)]);
    let mut life = Life::of(vec![block.into(), beside(ACT)]);
    (0..3).for_each(|_| life.lose("s3"));
    assert!(life.state.quarantined.is_some());
    life.answer("s1", &Answer::Fine);
    life.answer("s2", &Answer::Fails(FailureClass::Permanent, None));
    life.release();
    assert_eq!(*life.stage("s1"), Stage::Ended(StepEnd::Cancelled), "nobody is contained after the failure");
    assert_eq!(*life.stage("s0"), Stage::Ended(StepEnd::Failed));
}

#[test]
fn a_peer_that_asks_for_an_endless_wait_is_looked_at_again_within_the_hour() {
    let mut life = Life::of(vec![CONTAIN.into()]);
    (0..3).for_each(|_| life.answer("s0", &Answer::Fine));
    life.wait();
    let failure = Failure::new(FailureClass::Transient, "busy", "the peer is busy");
    let failure = Failure { retry_after: Some(Duration::MAX), ..failure };
    life.outcome("s0", |phase| {
        assert_eq!(phase, Phase::Recheck);
        failure.clone().into()
    });
    let due = life.journal.iter().rev().find_map(|entry| match &entry.event {
        Event::AttemptDue { at, .. } => Some(*at),
        _ => None,
    });
    assert!(due.is_some_and(|due| due.since(life.now) <= Duration::from_secs(3600)), "{due:?}");
    assert_eq!(unpack(&pack(&life.journal).expect("it packs")).expect("it unpacks"), life.journal);
}

#[test]
fn an_act_that_nobody_heard_of_is_never_called_failed() {
    let refused = Answer::Fails(FailureClass::Permanent, None);
    let unheard = Answer::Fails(FailureClass::Unknown, None);
    let is_uncertain = |life: &Life| matches!(life.stage("s0"), Stage::Uncertain { .. });
    for effect in [Effect::Idempotent, Effect::Keyed, Effect::Once] {
        let does = Does::Act { effect, reconciles: None };
        let act = || Life::of(vec![StepSketch { retries: 2, ..does.clone().into() }]);
        // Never an answer that proves anything.
        let mut life = act();
        life.answer("s0", &unheard);
        while !is_uncertain(&life) {
            life.wait();
            life.answer("s0", &unheard);
        }
        // One that proves nothing, and then a refusal, which is of the second alone.
        let mut life = act();
        life.answer("s0", &unheard);
        if effect != Effect::Once {
            life.wait();
            life.answer("s0", &refused);
        }
        assert!(is_uncertain(&life), "{effect:?}: {:?}", life.stage("s0"));
        // A person says that it did not happen: then a refusal is a refusal.
        life.say("s0", false);
        life.answer("s0", &refused);
        assert_eq!(*life.stage("s0"), Stage::Ended(StepEnd::Failed), "{effect:?}");
        // The same when its process was lost while it was sent.
        let mut life = act();
        life.lose("s0");
        if effect != Effect::Once {
            life.answer("s0", &refused);
        }
        assert!(is_uncertain(&life), "{effect:?}: {:?}", life.stage("s0"));
        // Cut off while it waits to be tried again.
        let mut life = act();
        life.answer("s0", &unheard);
        life.tell(&Signal::Cancel { by: "ana@example.com".to_owned(), why: None });
        assert_eq!(*life.stage("s0"), Stage::Ended(StepEnd::Uncertain), "{effect:?}");
        // A refusal from the start.
        let mut life = act();
        life.answer("s0", &refused);
        assert_eq!(*life.stage("s0"), Stage::Ended(StepEnd::Failed), "{effect:?}");
    }
    let reads = Does::Act { effect: Effect::Read, reconciles: None };
    let mut life = Life::of(vec![StepSketch { retries: 2, ..reads.into() }]);
    life.answer("s0", &unheard);
    life.wait();
    life.answer("s0", &refused);
    assert_eq!(*life.stage("s0"), Stage::Ended(StepEnd::Failed), "what only reads leaves nothing open");
}

#[test]
fn what_can_be_read_back_is_read_back_whatever_its_effect() {
    let unheard = Answer::Fails(FailureClass::Unknown, None);
    for effect in [Effect::Idempotent, Effect::Keyed, Effect::Once] {
        let contain = || {
            let does = Does::Contain { effect, verifies: true, hold: Some(7200), undo: true };
            let mut life = Life::of(vec![StepSketch { retries: 1, ..does.into() }]);
            life.answer("s0", &Answer::Fine);
            life.answer("s0", &unheard);
            life
        };
        let mut life = contain();
        life.answer("s0", &Answer::Fine);
        assert_eq!(hold(&life), Hold::Accepted, "{effect:?}: it is ours");
        life.answer("s0", &Answer::Fine);
        assert_eq!(hold(&life), Hold::Verified, "{effect:?}");
        // It does not show: then what converges is sent again, and nothing else is.
        let mut life = contain();
        life.answer("s0", &Answer::Otherwise);
        let acts = |life: &Life| {
            let acts = |entry: &&quell::domain::event::Entry| {
                matches!(&entry.event, Event::AttemptStarted { phase: Phase::Act, .. })
            };
            life.journal.iter().filter(acts).count()
        };
        assert_eq!(acts(&life), if effect == Effect::Once { 1 } else { 2 }, "{effect:?}");
        // And it is said that it did not happen only after the time that it may take to show.
        while !matches!(life.stage("s0"), Stage::Ended(_)) {
            if matches!(life.stage("s0"), Stage::Due { .. }) {
                life.wait();
            }
            let acting = matches!(life.stage("s0"), Stage::InFlight { phase: Phase::Act, .. });
            life.answer("s0", if acting { &unheard } else { &Answer::Otherwise });
        }
        assert_eq!(*life.stage("s0"), Stage::Ended(StepEnd::Failed), "{effect:?}");
        assert!(life.state.containments.is_empty());
    }
}

#[test]
fn a_system_that_asks_to_be_left_alone_is_read_back_in_time_all_the_same() {
    let mut life = Life::of(vec![CONTAIN.into()]);
    life.answer("s0", &Answer::Fine);
    life.answer("s0", &Answer::Fails(FailureClass::Unknown, Some(Duration::MAX)));
    let Stage::Due { phase: Phase::Verify, at } = *life.stage("s0") else {
        panic!("it is not read back: {:?}", life.stage("s0"))
    };
    assert!(at.since(life.now) <= Duration::from_secs(3600), "{at}");
}

#[test]
fn a_lift_that_is_asked_for_again_is_tried_as_often_as_the_first() {
    let mut life = Life::of(vec![CONTAIN.into()]);
    (0..3).for_each(|_| life.answer("s0", &Answer::Fine));
    let lift =
        Signal::Undo { containments: Vec::new(), by: "ana@example.com".to_owned(), why: None, anyway: false };
    life.tell(&lift);
    (0..3).for_each(|_| life.lose("s0"));
    assert_eq!(hold(&life), Hold::Stuck);
    life.tell(&lift);
    life.lose("s0");
    assert_eq!(hold(&life), Hold::Lifting, "the server may stop once more");
    (0..3).for_each(|_| life.answer("s0", &Answer::Fine));
    assert_eq!(hold(&life), Hold::Lifted);
}

#[test]
fn a_later_look_at_what_is_contained_is_tried_as_often_as_the_first() {
    let mut life = Life::of(vec![CONTAIN.into()]);
    (0..3).for_each(|_| life.answer("s0", &Answer::Fine));
    let drifted = |life: &Life| life.state.containments.values().next().unwrap().drifted.is_some();
    life.wait();
    (0..3).for_each(|_| life.lose("s0"));
    assert!(drifted(&life), "nobody can say whether it holds");
    life.wait();
    life.lose("s0");
    life.answer("s0", &Answer::Fine);
    assert!(!drifted(&life), "it was looked at, and it holds");
}

#[test]
fn a_containment_that_holds_until_a_person_lifts_it_is_not_given_an_end_by_extending_it() {
    let contain = Does::Contain { effect: Effect::Idempotent, verifies: true, hold: None, undo: true };
    let mut life = Life::of(vec![contain.into()]);
    (0..3).for_each(|_| life.answer("s0", &Answer::Fine));
    let containment = *life.state.containments.keys().next().unwrap();
    let hold = Duration::from_secs(3600);
    let extend = Signal::Extend { containment, hold, by: "ana@example.com".to_owned() };
    let refused = quell::domain::decide::turn::decide(&life.state, &extend, life.now).unwrap_err();
    assert_eq!(refused.code, "no-end");
    assert!(refused.message.contains("`quell undo"), "{refused}");
}

fn hold(life: &Life) -> Hold {
    life.state.containments.values().next().expect("something is contained").hold
}

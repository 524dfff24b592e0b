//! Whether the simulation would notice: mistakes planted into the house, one at
//! a time (`src/domain/planted.rs`), each found by the promise that it breaks.

use quell::domain::planted::{Bug, plant};

use crate::process;
use crate::range::Range;

/// Seeds within which each must be found; most are within some tens.
const SEEDS: u64 = 2000;

/// Some seed breaks a promise that is told in these words.
fn found(bug: Bug, told: &str, play: impl Fn(u64) -> Result<(), String>) {
    let broken = |seed| {
        plant(Some(bug));
        let broken = play(seed).err().map(|why| (seed, why));
        plant(None);
        broken
    };
    let (seed, why) = (0..SEEDS)
        .filter_map(broken)
        .find(|(_, why)| why.contains(told))
        .unwrap_or_else(|| panic!("{bug:?} breaks no promise in {SEEDS} seeds"));
    println!("{bug:?}: seed {seed}: {why}");
    play(seed).unwrap_or_else(|why| panic!("seed {seed} breaks one without {bug:?}: {why}"));
}

fn in_a_run(seed: u64) -> Result<(), String> {
    Range::new(seed, true).play()
}

fn in_a_process(seed: u64) -> Result<(), String> {
    process::play(seed).map(drop)
}

#[test]
fn a_key_that_names_the_attempt() {
    found(Bug::KeyNamesTheAttempt, "a keyed effect happened", in_a_run);
}

#[test]
fn a_time_box_that_nobody_waits_for() {
    found(Bug::TimeBoxIsForgotten, "its time box is over", in_a_run);
}

#[test]
fn a_once_only_effect_that_is_tried_again() {
    found(Bug::OnceIsTriedAgain, "a once-only effect happened", in_a_run);
}

#[test]
fn an_approval_that_is_not_asked_about_after_a_stop() {
    found(Bug::ResumeSkipsApproval, "acts without the approval", in_a_run);
}

#[test]
fn an_act_taken_as_not_done_after_one_look() {
    found(Bug::OneLookIsEnough, "nothing on record explains it", in_a_run);
}

#[test]
fn a_once_only_effect_that_is_sent_again_after_one_no() {
    found(Bug::OneNoIsEnough, "happened 2 times", in_a_run);
}

#[test]
fn a_no_that_proves_nothing_and_is_trusted() {
    found(Bug::EveryNoIsTrusted, "happened 2 times", in_a_run);
}

#[test]
fn a_restored_journal_that_is_taken_for_all_that_happened() {
    let told = "can be asked for, and happened 2 times";
    found(Bug::RestoredIsTheEnd, told, |seed| Range::new(seed, true).play_and_restore());
}

#[test]
fn a_state_before_that_is_captured_after() {
    found(Bug::CapturedAfterActing, "was contained already", in_a_run);
}

#[test]
fn a_yes_after_the_time_for_it() {
    found(Bug::LateYesCounts, "and could be until", in_a_run);
}

#[test]
fn one_yes_where_two_are_needed() {
    found(Bug::OneYesIsEnough, "and needs", in_a_run);
}

#[test]
fn lifting_in_the_order_of_containing() {
    found(Bug::UndoRunsForward, "which was contained after it", in_a_run);
}

#[test]
fn a_containment_that_shows_late_taken_as_lifted() {
    found(Bug::LiftedAfterOneLook, "its record says lifted", in_a_run);
}

#[test]
fn a_way_back_that_was_accepted_and_not_seen() {
    found(Bug::LiftedUnseen, "its record says lifted", in_a_run);
}

#[test]
fn a_turn_that_was_cut_and_is_not_owed() {
    found(Bug::CutTurnIsNotOwed, "nothing is left to happen", in_a_run);
}

#[test]
fn an_attempt_before_its_intent_is_durable() {
    found(Bug::ActsBeforeTheJournal, "before its intent was durable", in_a_process);
}

#[test]
fn a_time_that_is_not_waited_for_after_a_stop() {
    found(Bug::StartForgetsTheTime, "the timer knows", in_a_process);
}

#[test]
fn an_attempt_that_is_sent_again_after_a_stop() {
    found(Bug::LostAttemptsAreResent, "was carried out twice", in_a_process);
}

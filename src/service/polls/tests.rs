//! How a poll goes on, whatever a look meets.

use super::*;
use serde_json::json;

fn failure(outcome: Outcome) -> (Failure, bool) {
    let not_begun = outcome.not_begun();
    match outcome {
        Outcome::Failed { failure, .. } => (failure, not_begun),
        Outcome::Succeeded { .. } => panic!("it failed"),
    }
}

#[test]
fn who_waits_in_vain_for_a_turn_asks_again_and_only_a_closed_connector_ends_a_poll() {
    let ends = |outcome: Outcome, closed: bool| {
        let (failure, not_begun) = failure(outcome);
        Trouble::of(failure, not_begun, closed).called_off
    };
    assert!(ends(Outcome::called_off("the server is stopping"), true));
    assert!(!ends(Outcome::called_off("too much is asked of `feed` at once"), false));
    let refused = || Failure::new(FailureClass::Permanent, "http-403", "it says 403");
    assert!(!ends(refused().into(), false));
    assert!(!ends(refused().into(), true), "it was sent, and is told");
}

#[tokio::test]
async fn a_mistake_in_a_look_is_a_failure_that_people_are_told_of() {
    let mistaken: Result<bool, Trouble> = caught(async { panic!("a planted mistake") }).await;
    let trouble = mistaken.expect_err("it is caught");
    assert!(trouble.lasting && !trouble.called_off, "{trouble:?}");
    assert!(trouble.message.contains("report it"), "{trouble:?}");
    assert!(caught(async { Ok(true) }).await.is_ok_and(|more| more));
}

fn page(cursor: &str, more: bool) -> PolledPage {
    PolledPage { alerts: json!([]), cursor: json!(cursor), more, stands_still: false }
}

#[test]
fn a_cursor_that_comes_back_within_a_row_leads_in_a_circle() {
    let mut row = Row::default();
    assert!(!row.circles(&json!("a"), &page("b", true)));
    assert!(!row.circles(&json!("b"), &page("c", true)));
    assert!(row.circles(&json!("c"), &page("a", true)));
    assert!(row.circles(&json!("c"), &page("a", true)), "asked again, it is no better");
    assert!(!row.circles(&json!("c"), &page("d", true)), "and then it is");
    // Where nothing waits a list may begin anew.
    assert!(!row.circles(&json!("d"), &page("a", false)));
    assert!(!row.circles(&json!("a"), &page("b", true)));
}

#[test]
fn a_row_without_an_end_is_remembered_up_to_a_bound() {
    let mut row = Row::default();
    for number in 0..2 * CURSORS_KEPT {
        let (from, to) = (json!(number.to_string()), (number + 1).to_string());
        assert!(!row.circles(&from, &page(&to, true)));
        assert!(row.0.len() <= CURSORS_KEPT);
    }
}

//! `quell check` finds the mistakes in `poll:`, each at its place.

use crate::house::{POLL, quell, write};

fn told(poll: &str) -> String {
    let dir = tempfile::tempdir().expect("there is room");
    write(dir.path(), "127.0.0.1:1", &format!("feed: {{ use: generic, poll: {{ {poll} }} }}"));
    quell(dir.path(), &["check"])
}

#[test]
fn a_poll_that_is_right_has_no_mistakes() {
    let told = told(POLL);
    assert!(!told.contains("error") && !told.contains("warning"), "{told}");
}

#[test]
fn every_mistake_of_a_poll_is_told_with_what_was_meant() {
    for (from, to, expected) in [
        (
            "feed.list_events",
            "feed.list_event",
            &["unknown-operation", "did you mean `feed.list_events`?"][..],
        ),
        (
            "feed.list_events",
            "fed.list_events",
            &["connector-not-configured", "did you mean `feed.list_events`?"],
        ),
        ("feed.list_events", "scim.find_user", &["connector-not-configured"]),
        ("feed.list_events", "list_events", &["not-an-operation"]),
        ("feed.list_events", "feed.forget", &["poll-that-writes", "`effect` is R"]),
        ("${ cursor }", "${ curser }", &["unknown-name", "did you mean `cursor`?"]),
        ("${ cursor }", "${ output.next }", &["unknown-name"]),
        ("${ output.next }", "${ output.nxt }", &["unknown-output", "did you mean `output.next`?"]),
        ("${ output.next }", "${ outputs.next }", &["unknown-name", "did you mean `output`?"]),
        ("${ output.events }", "${ output.[ }", &["expression-wrong"]),
        ("${ output.events }", "output.events", &["not-an-expression"]),
        ("since:", "sinse:", &["unknown-input", "did you mean `since`?", "missing-input"]),
        ("every: 1s", "every: 10ms", &["out-of-range"]),
        ("every: 1s", "evry: 1s", &["did you mean `every`?"]),
        ("first: c0", "first: { a: 1 }", &["wrong-type"]),
        ("first: c0, ", "", &["poll-without-first"]),
        ("cursor: \"${ output.next }\", ", "", &["poll-without-cursor"]),
        ("cursor: \"${ output.next }\", ", "more: \"${ true }\", ", &["more-without-cursor"]),
    ] {
        let poll = POLL.replacen(from, to, 1);
        assert_ne!(poll, POLL, "{from}");
        let told = told(&poll);
        for word in expected {
            assert!(told.contains(word), "{to}: no {word} in\n{told}");
        }
    }
}

/// Whoever reads the rules of a source needs no connectors, and a source that takes
/// deliveries too keeps its door.
#[test]
fn a_polled_source_needs_no_auth_and_may_have_it() {
    let dir = tempfile::tempdir().expect("there is room");
    let both = format!(
        "feed: {{ use: generic, auth: {{ bearer: \"${{env:QUELL_FEED_TOKEN}}\" }}, poll: {{ {POLL} }} }}"
    );
    write(dir.path(), "127.0.0.1:1", &both);
    let settings = std::fs::read_to_string(dir.path().join("quell.yaml")).expect("it is there");
    std::fs::write(dir.path().join("quell.yaml"), settings.replace("127.0.0.1:0", "0.0.0.0:0"))
        .expect("written");
    let told = quell(dir.path(), &["check"]);
    assert!(!told.contains("error"), "{told}");
    write(dir.path(), "127.0.0.1:1", &format!("feed: {{ use: generic, poll: {{ {POLL} }} }}"));
    let settings = std::fs::read_to_string(dir.path().join("quell.yaml")).expect("it is there");
    std::fs::write(dir.path().join("quell.yaml"), settings.replace("127.0.0.1:0", "0.0.0.0:0"))
        .expect("written");
    let told = quell(dir.path(), &["check"]);
    assert!(!told.contains("error"), "a source without a door is open to nobody: {told}");
    std::fs::write(dir.path().join("one.json"), "{\"title\":\"x\"}").expect("written");
    let told = quell(dir.path(), &["ingest", "one.json", "--source", "feed", "--dry-run"]);
    assert!(told.contains('x'), "{told}");
}

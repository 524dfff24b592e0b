//! What typed reading accepts, and what it says otherwise.

use crate::yaml::codes;
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::node::Node;
use crate::yaml::reader::read;
use crate::yaml::shape::{Field, Reader, is_id};
use std::time::Duration;

/// Reads the value of `k` in `k: <text>`.
fn field<T>(text: &str, get: impl Fn(Field<'_>) -> Option<T>) -> Result<T, Vec<Diagnostic>> {
    let node = read("t.yaml", &format!("k: {text}\n")).expect("the test's YAML is good");
    let reader = Reader::new("t.yaml");
    let map = reader.root("a test", &node).map().expect("a map");
    let value = map.required("k").and_then(get);
    map.finish();
    assert_eq!(value.is_none(), reader.has_errors(), "{text}");
    value.ok_or(reader.into_diagnostics())
}

fn told<T: std::fmt::Debug>(read: Result<T, Vec<Diagnostic>>) -> (String, String) {
    let mut found = read.unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    let mistake = found.remove(0);
    (mistake.message, mistake.help.unwrap_or_default())
}

#[test]
fn values_of_the_right_kind_are_read() {
    assert_eq!(field("a b", |f| f.text().map(str::to_owned)).unwrap(), "a b");
    assert_eq!(field("''", |f| f.text().map(str::to_owned)).unwrap(), "");
    assert_eq!(field("a-1_b", |f| f.id().map(str::to_owned)).unwrap(), "a-1_b");
    assert!(field("true", |f| f.bool()).unwrap());
    assert_eq!(field("5", |f| f.int(1..=5)).unwrap(), 5);
    assert!((field("5", |f| f.number(0.0..=9.0)).unwrap() - 5.0).abs() < f64::EPSILON);
    assert_eq!(field("[1, 2]", |f| f.list().map(|l| l.len())).unwrap(), 2);
    assert_eq!(field("b", |f| f.one_of(&["a", "b"])).unwrap(), "b");
    assert_eq!(field("1h30m", |f| f.duration()).unwrap(), Duration::from_secs(5400));
    assert_eq!(field("64KB", |f| f.size()).unwrap(), 64_000);
    for (text, count) in [("x", 1), ("[x, y]", 2), ("[]", 0)] {
        assert_eq!(field(text, |f| f.texts().map(|t| t.len())).unwrap(), count);
    }
}

#[test]
fn other_values_are_refused_in_the_authors_words() {
    let text = |text: &str| told(field(text, |f| f.text().map(str::to_owned)));
    let ask = |message: &str, help: &str| (message.to_owned(), help.to_owned());
    assert_eq!(text("8080"), ask("`k` takes text, found a number", "put it in quotes: \"8080\""));
    assert_eq!(text(""), ask("`k` takes text, found nothing", "write text"));
    assert_eq!(
        told(field("[1]", |f| f.duration())),
        ask("`k` takes a duration such as 30m, found a list", "write a duration such as 30m")
    );
    assert_eq!(
        told(field("30", |f| f.duration())),
        ask("`k` takes a duration such as 30m, found a number", "add a unit: 30s, 30m or 30h")
    );
    assert_eq!(
        told(field("30 m", |f| f.duration())).0,
        "`k`: `30 m` has ` ` where a unit should be (w, d, h, m, s or ms)"
    );
    assert_eq!(told(field("64", |f| f.size())).1, "add a unit: 64B or 64KB");
    assert_eq!(
        told(field("yes", |f| f.bool())),
        ask("`k` takes `true` or `false`, found text", "write `true` without quotes")
    );
    assert_eq!(
        told(field("11", |f| f.int(1..=10))),
        ask("`k` takes a whole number from 1 to 10, found 11", "the nearest that is allowed is 10")
    );
    assert_eq!(told(field("'5'", |f| f.int(1..=10))).1, "remove the quotes");
}

#[test]
fn words_ids_texts_and_maps_are_refused_in_the_authors_words() {
    let ask = |message: &str, help: &str| (message.to_owned(), help.to_owned());
    assert_eq!(
        told(field("hgih", |f| f.one_of(&["low", "high"]))),
        ask("`k` cannot be `hgih`", "did you mean `high`? It takes `low`, `high`")
    );
    assert_eq!(
        told(field("Owner Check", |f| f.id().map(str::to_owned))).0,
        "`k` is not an id: `Owner Check`"
    );
    assert_eq!(told(field("' '", |f| f.non_empty().map(str::to_owned))).0, "`k` must not be empty");
    assert_eq!(
        told(field("[a, 1]", |f| f.texts().map(|t| t.len()))).0,
        "an item of `k` takes text, found a number"
    );
    assert_eq!(
        told(field("x", |f| f.list().map(|l| l.len()))).1,
        "start each item on its own line with `- `"
    );
    assert_eq!(told(field("x", |f| f.map().map(|m| m.finish()))).0, "`k` takes a map, found text");
}

/// Code, line, message and help, in the order of reading.
const EVERYTHING_WRONG: &[(&str, usize, &str, &str)] = &[
    (codes::MISSING_KEY, 1, "a playbook needs the key `name`", "add `name: …`"),
    (
        codes::BAD_ID,
        3,
        "`id` is not an id: `A`",
        "ids have a to z, 0 to 9, `_` and `-`, start with a letter or digit, and have at most 64 characters",
    ),
    (
        codes::WRONG_TYPE,
        4,
        "`within` takes a duration such as 30m, found a list",
        "write a duration such as 30m",
    ),
    (codes::MISSING_KEY, 5, "an item of `steps` needs the key `id`", "add `id: …`"),
    (codes::UNKNOWN_KEY, 5, "an item of `steps` has no key `witihn`", "did you mean `within`?"),
    (codes::UNKNOWN_KEY, 1, "a playbook has no key `nmae`", "did you mean `name`?"),
    (codes::UNKNOWN_KEY, 6, "a playbook has no key `zzz`", "its keys are `name`, `steps`"),
];

#[test]
fn everything_wrong_in_a_file_is_told_in_one_pass() {
    let text = "nmae: x\nsteps:\n  - id: A\n    within: [1]\n  - witihn: 5m\nzzz: 1\n";
    let node: Node = read("t.yaml", text).unwrap();
    let reader = Reader::new("t.yaml");
    let map = reader.root("a playbook", &node).map().unwrap();
    let _ = map.required("name").and_then(Field::non_empty);
    for step in map.required("steps").and_then(Field::list).unwrap_or_default() {
        let Some(step) = step.map() else { continue };
        let _ = step.required("id").and_then(Field::id);
        let _ = step.optional("within").and_then(Field::duration);
        step.finish();
    }
    map.finish();
    let found = reader.into_diagnostics();
    let told: Vec<_> = found
        .iter()
        .map(|d| (d.code, d.place.line, d.message.as_str(), d.help.as_deref().unwrap_or("")))
        .collect();
    assert_eq!(told, EVERYTHING_WRONG);
}

#[test]
fn a_map_with_keys_of_the_authors_choice_has_no_unknown_ones() {
    let node = read("t.yaml", "b: 1\na: 2\n").unwrap();
    let reader = Reader::new("t.yaml");
    let map = reader.root("inputs", &node).map().unwrap();
    let names: Vec<_> = map.entries().iter().map(|(key, _)| key.name.clone()).collect();
    map.finish();
    assert_eq!(names, ["b", "a"]);
    assert!(!reader.has_errors());
}

#[test]
fn ids_are_names_for_machines() {
    for (text, good) in [
        ("a", true),
        ("0a", true),
        ("a-b_c", true),
        ("", false),
        ("-a", false),
        ("A", false),
        ("a.b", false),
        ("é", false),
        ("../x", false),
    ] {
        assert_eq!(is_id(text), good, "{text}");
    }
    assert!(is_id(&"a".repeat(64)) && !is_id(&"a".repeat(65)));
}

//! What the reader makes of files, good ones and traps.

use crate::yaml::codes::{self, CODES};
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::node::{Node, NodeValue, Place};
use crate::yaml::reader::{
    DIAGNOSTICS_MAX, YAML_BYTES_MAX, YAML_DEPTH_MAX, YAML_NODES_MAX, YAML_SCALAR_BYTES_MAX, read, read_bytes,
};
use proptest::prelude::*;
use serde_json::json;
use std::time::{Duration, Instant};

fn good(text: &str) -> Node {
    read("t.yaml", text).unwrap_or_else(|found| panic!("{text:?}: {found:#?}"))
}

fn bad(text: &str) -> Vec<Diagnostic> {
    match read("t.yaml", text) {
        Ok(node) => panic!("{text:?} was read as {}", node.to_json()),
        Err(found) => found,
    }
}

fn check_place(text: &str, place: Place) {
    assert!(text.get(place.start..place.end).is_some(), "{place:?}");
    assert_eq!(place, Place::of(text, place.start, place.end), "{text:?}");
}

fn check_places(text: &str, node: &Node) {
    check_place(text, node.place);
    match &node.value {
        NodeValue::List(items) => items.iter().for_each(|item| check_places(text, item)),
        NodeValue::Map(entries) => {
            for (key, value) in entries {
                check_place(text, key.place);
                check_places(text, value);
                assert!(node.place.start <= key.place.start && value.place.end <= node.place.end);
            }
        }
        _ => {}
    }
}

#[test]
fn values_are_read_by_the_rules_of_yaml_1_2() {
    for (text, value) in [
        ("", json!(null)),
        ("# nothing here\n", json!(null)),
        ("---\n", json!(null)),
        ("a: 1\nb: [x, 2.5, true, ~]\n", json!({"a": 1, "b": ["x", 2.5, true, null]})),
        ("on: no\nyes: off\n", json!({"on": "no", "yes": "off"})),
        ("a: '1'\nb: \"true\"\nc: ''\n", json!({"a": "1", "b": "true", "c": ""})),
        ("'8080': x\n\"<<\": y\n", json!({"8080": "x", "<<": "y"})),
        ("a: |\n  x\n   y\n\nb: >-\n  x\n  y\n", json!({"a": "x\n y\n", "b": "x y"})),
        ("a: |\n  true\n", json!({"a": "true\n"})),
        ("a:\r\n  - 1\r\n  - x\r\n", json!({"a": [1, "x"]})),
        ("\u{feff}a: 1\n", json!({"a": 1})),
        ("a: x # y\nb: x#y\n", json!({"a": "x", "b": "x#y"})),
        ("a:\t1\n", json!({"a": 1})),
        ("a: \"\\e[2J\\0\"\n", json!({"a": "\u{1b}[2J\0"})),
        ("w: ${ steps.a.b == 'x' && !c }\n", json!({"w": "${ steps.a.b == 'x' && !c }"})),
        ("---\na: 1\n...\n", json!({"a": 1})),
    ] {
        let node = good(text);
        assert_eq!(node.to_json(), value, "{text:?}");
        check_places(text, &node);
    }
}

#[test]
fn keys_keep_the_order_of_the_file() {
    let node = good("z: 1\na: 2\nm: 3\n");
    let names: Vec<_> = node.as_map().unwrap().iter().map(|(key, _)| key.name.as_str()).collect();
    assert_eq!(names, ["z", "a", "m"]);
    assert_eq!(node.get("a").map(Node::kind_name), Some("a number"));
    assert_eq!(node.get("b"), None);
}

#[test]
fn every_value_knows_where_it_is_written() {
    let text = "é: \"ü\\n\"\nlist:\n  - one\n  - k: v # c\n\n# comment\nblock: |\n  first\n  second\n\n\nflow: [1, {a: b}]\nnull: # \"null\" is no key\n".replace("null:", "none:");
    let node = good(&text);
    check_places(&text, &node);
    let written = |node: &Node| text[node.place.start..node.place.end].to_owned();
    let at = |key: &str| node.get(key).unwrap();
    for (key, expected, line, column) in [
        ("é", "\"ü\\n\"", 1, 4),
        ("list", "- one\n  - k: v", 3, 3),
        ("block", "first\n  second", 8, 3),
        ("flow", "[1, {a: b}]", 12, 7),
        ("none", "", 13, 5),
    ] {
        assert_eq!(written(at(key)), expected, "{key}");
        let place = at(key).place;
        assert_eq!((place.line, place.column), (line, column), "{key}");
    }
    let item = &at("list").as_list().unwrap()[1];
    assert_eq!(written(item), "k: v");
    let key = &node.as_map().unwrap()[0].0.place;
    assert_eq!(&text[key.start..key.end], "é");
}

#[test]
fn a_part_of_a_text_is_found_in_the_file() {
    let text = "a: ${ x.y }\nb: 'q ${ z }'\nc: |\n  one\n    two ${ w }\nd: \"\\t${ v }\"\n";
    let node = good(text);
    for (key, part, expected) in
        [("a", "x.y", "x.y"), ("b", "z", "z"), ("c", "${ w }", "${ w }"), ("d", "v", "v")]
    {
        let field = node.get(key).unwrap();
        let start = field.as_str().unwrap().find(part).unwrap();
        let place = field.place_within(text, start, start + part.len());
        assert_eq!(&text[place.start..place.end], expected, "{key}");
        check_place(text, place);
    }
}

/// Text, then the code and the underlined text of each mistake in it.
const TRAPS: &[(&str, &[(&str, &str)])] = &[
    ("a: &x 1\n", &[(codes::YAML_ANCHOR, "&x")]),
    ("a: *x\nb: 1\n", &[(codes::YAML_ALIAS, "*x")]),
    ("a: &x 1\nb: *x\n", &[(codes::YAML_ANCHOR, "&x"), (codes::YAML_ALIAS, "*x")]),
    ("<<: {a: 1}\n", &[(codes::YAML_MERGE_KEY, "<<")]),
    ("a: !!str 5\n", &[(codes::YAML_TAG, "!!str")]),
    ("a: !x [1]\n", &[(codes::YAML_TAG, "!x")]),
    ("a: ! x\n", &[(codes::YAML_TAG, "!")]),
    ("a: 1\n---\nb: 2\n", &[(codes::YAML_DOCUMENTS, "---")]),
    ("%YAML 1.1\n---\na: 1\n", &[(codes::YAML_DIRECTIVE, "%")]),
    ("80: a\n", &[(codes::YAML_KEY, "80")]),
    ("~: a\n", &[(codes::YAML_KEY, "~")]),
    (": a\n", &[(codes::YAML_KEY, "")]),
    ("true: a\n", &[(codes::YAML_KEY, "true")]),
    ("? [a]\n: b\n", &[(codes::YAML_KEY, "[a]")]),
    ("a: {{ x }}\n", &[(codes::YAML_KEY, "{ x }")]),
    ("a: 1\nb: 2\na: 3\na: 4\n", &[(codes::YAML_DUPLICATE_KEY, "a"), (codes::YAML_DUPLICATE_KEY, "a")]),
    ("a: 1\n'a': 2\n", &[(codes::YAML_DUPLICATE_KEY, "'a'")]),
    (
        "a: True\nb: 007\nc: .nan\n",
        &[(codes::YAML_BOOLEAN, "True"), (codes::YAML_NUMBER, "007"), (codes::YAML_NUMBER, ".nan")],
    ),
    ("a:\n\tb: 1\n", &[(codes::YAML_TAB, "b")]),
    ("a: b: c\n", &[(codes::YAML_SYNTAX, ":")]),
    ("a: @x\n", &[(codes::YAML_SYNTAX, "@")]),
    ("a: [1,\n", &[(codes::YAML_SYNTAX, "[")]),
    ("a: True\nb: [1\n", &[(codes::YAML_BOOLEAN, "True"), (codes::YAML_SYNTAX, "[")]),
    ("a: \0\n", &[(codes::YAML_CHARACTER, "\0")]),
    (
        "a: \u{1b}[2J\nb: \u{9b}\u{202e}\n",
        &[
            (codes::YAML_CHARACTER, "\u{1b}"),
            (codes::YAML_CHARACTER, "\u{9b}"),
            (codes::YAML_CHARACTER, "\u{202e}"),
        ],
    ),
    ("a: 1\rb: 2\n", &[(codes::YAML_CHARACTER, "\r")]),
    ("\u{feff}\u{feff}a: 1\n", &[(codes::YAML_CHARACTER, "\u{feff}")]),
];

#[test]
fn traps_are_refused_with_a_code_at_their_place() {
    for (text, expected) in TRAPS {
        let found = bad(text);
        let told: Vec<_> = found.iter().map(|d| (d.code, &text[d.place.start..d.place.end])).collect();
        assert_eq!(told, *expected, "{text:?}");
        for mistake in &found {
            check_place(text, mistake.place);
            assert!(CODES.iter().any(|(code, _)| *code == mistake.code));
            assert!(mistake.help.is_some(), "{} has no help", mistake.code);
        }
    }
}

#[test]
fn a_duplicate_key_points_to_the_first() {
    let text = "a: 1\nb:\n  a: 2\na: 3\n";
    let found = bad(text);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].place.line, found[0].place.column), (4, 1));
    assert_eq!(found[0].related[0].0, Place::of(text, 0, 1));
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    let found = read_bytes("t.yaml", b"a: 1\nb: \xc3\x28\n").unwrap_err();
    assert_eq!(found[0].code, codes::YAML_UTF8);
    assert_eq!((found[0].place.line, found[0].place.column), (2, 4));
    let utf16 = read_bytes("t.yaml", b"\xff\xfea\0:\0").unwrap_err();
    assert_eq!(utf16[0].message, "this file is UTF-16, not UTF-8");
    assert!(read_bytes("t.yaml", "é: 1".as_bytes()).is_ok());
}

/// What a limit refuses in some tens of milliseconds counts as a hang after this
/// long: far above, so that a busy machine never fails it.
const REFUSED_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn what_exceeds_a_limit_is_refused_quickly() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let bomb = (1..9).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        let before = format!("*a{}, ", n - 1).repeat(9);
        format!("{text}a{n}: &a{n} [{before}x]\n")
    });
    let blocks: String = (0..=YAML_DEPTH_MAX).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    let many_lists = format!("[{}]", "1,".repeat(YAML_NODES_MAX));
    for (name, text, code) in [
        ("10 MB", "a: 1\n".repeat(2_000_000), codes::YAML_TOO_LARGE),
        ("1 M [", "[".repeat(1_000_000), codes::YAML_TOO_LARGE),
        ("10,000 [", "[".repeat(10_000), codes::YAML_TOO_DEEP),
        ("10,000 {", "{".repeat(10_000), codes::YAML_TOO_DEEP),
        ("10,000 ? ", "? ".repeat(10_000), codes::YAML_TOO_DEEP),
        ("10,000 - ", "- ".repeat(10_000), codes::YAML_TOO_DEEP),
        ("deep", nested(YAML_DEPTH_MAX + 1), codes::YAML_TOO_DEEP),
        ("deep block", blocks, codes::YAML_TOO_DEEP),
        ("deep mix", format!("a:\n  - b: {}", nested(YAML_DEPTH_MAX - 2)), codes::YAML_TOO_DEEP),
        ("alias bomb", bomb, codes::YAML_ANCHOR),
        ("many", many_lists, codes::YAML_TOO_MANY),
        ("long text", format!("a: {}", "x".repeat(YAML_SCALAR_BYTES_MAX + 1)), codes::YAML_TOO_LARGE),
        ("NULs", "\0".repeat(YAML_BYTES_MAX), codes::YAML_CHARACTER),
        ("quotes", "'".repeat(YAML_BYTES_MAX), codes::YAML_TOO_LARGE),
        ("colons", "a: ".repeat(80_000), codes::YAML_SYNTAX),
        ("aliases", "- *a\n".repeat(50_000), codes::YAML_ALIAS),
    ] {
        let began = Instant::now();
        let found = bad(&text);
        let took = began.elapsed();
        assert_eq!(found[0].code, code, "{name}: {:?}", found[0]);
        assert!(found.len() <= DIAGNOSTICS_MAX, "{name}");
        assert!(took < REFUSED_WITHIN, "{name} took {took:?}");
    }
}

#[test]
fn what_reaches_a_limit_exactly_is_read() {
    let depth = YAML_DEPTH_MAX;
    good(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    good(&format!("[{}]", "1,".repeat(YAML_NODES_MAX - 1)));
    good(&format!("a: {}", "x".repeat(YAML_SCALAR_BYTES_MAX)));
    let comment = "# a comment of 32 bytes, 31 + 1\n";
    good(&comment.repeat(YAML_BYTES_MAX / comment.len()));
}

fn check_any(text: &str) {
    match read("t.yaml", text) {
        Ok(node) => check_places(text, &node),
        Err(found) => {
            assert!(!found.is_empty());
            for mistake in found {
                check_place(text, mistake.place);
                for (place, _) in mistake.related {
                    check_place(text, place);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_places_inside_it(text in "\\PC{0,80}") {
        check_any(&text);
    }

    #[test]
    fn text_made_of_yaml_signs_is_read_or_refused(
        parts in prop::collection::vec(prop::sample::select(vec![
            "a", "b: ", "é", "- ", "\n", "\r\n", "  ", "\t", ":", ": ", "? ", "[", "]", "{", "}",
            ",", "'", "\"", "|\n", ">-\n", "#", " #c", "&x ", "*x", "!t ", "---\n", "...\n", "<<: ",
            "%Y", "\u{feff}", "\u{1f600}", "1", "true", "\\", "@", "~", "\u{85}", "\u{2028}", "|2\n",
        ]), 0..40)
    ) {
        check_any(&parts.concat());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = read_bytes("t.yaml", &bytes);
    }
}

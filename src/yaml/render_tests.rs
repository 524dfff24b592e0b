//! How mistakes look.

use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::node::Place;
use crate::yaml::reader::read;
use crate::yaml::render::{render, to_json};
use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn plain(text: &str, found: &[Diagnostic]) -> String {
    render(found, &|_| Some(text.to_owned()), false)
}

fn refused(text: &str) -> String {
    plain(text, &read("p.yaml", text).unwrap_err())
}

fn at(text: &str, part: &str) -> Diagnostic {
    let start = text.find(part).unwrap();
    let place = Place::of(text, start, start + part.len());
    Diagnostic::error("some-code", &Arc::from("p.yaml"), place, "something is wrong")
}

#[test]
fn a_mistake_is_underlined_with_help() {
    let text = "id: x\nsteps:\n  - witihn: 30m\n";
    let mistake = at(text, "witihn").label("unknown key").help("did you mean `within`?");
    assert_snapshot!(plain(text, &[mistake]), @r#"
    error[some-code]: something is wrong
     --> p.yaml:3:5
      |
    3 |   - witihn: 30m
      |     ^^^^^^ unknown key
      |
      = help: did you mean `within`?
    "#);
}

#[test]
fn a_duplicate_key_shows_both_places() {
    assert_snapshot!(refused("a: 1\nb: 2\nc: 3\nd: 4\ne: 5\nf: 6\ng: 7\na: 8\n"), @r#"
    error[yaml-duplicate-key]: the key `a` is written twice
     --> p.yaml:8:1
      |
    1 | a: 1
      | - first written here
    ...
    8 | a: 8
      | ^ written again here
      |
      = help: keep one of the two
    "#);
}

#[test]
fn mistakes_are_sorted_by_place() {
    assert_snapshot!(refused("a: True\nb: *x\nc: &y 007\n"), @r#"
    error[yaml-boolean]: `True` is not a boolean and not clearly text
     --> p.yaml:1:4
      |
    1 | a: True
      |    ^^^^
      |
      = help: write `true`, or "True" in quotes if it is text

    error[yaml-alias]: aliases are not used here
     --> p.yaml:2:4
      |
    2 | b: *x
      |    ^^
      |
      = help: write the value out; text that starts with `*` needs quotes

    error[yaml-anchor]: anchors are not used here
     --> p.yaml:3:4
      |
    3 | c: &y 007
      |    ^^
      |
      = help: remove it; text that starts with `&` needs quotes

    error[yaml-number]: the number `007` starts with 0: some readers take it as octal, and the 0 would be lost
     --> p.yaml:3:7
      |
    3 | c: &y 007
      |       ^^^
      |
      = help: put it in quotes if it is text
    "#);
}

#[test]
fn a_syntax_mistake_says_what_to_do() {
    assert_snapshot!(refused("note: time: 12\n"), @r#"
    error[yaml-syntax]: `:` cannot be used here
     --> p.yaml:1:11
      |
    1 | note: time: 12
      |           ^ here
      |
      = help: put text that contains `: ` in quotes; if this line is an entry of its own, align it with the entries around it
    "#);
}

#[test]
fn only_the_first_line_of_a_long_value_is_underlined() {
    let text = "a:\n  - 1\n  - 2\n  - 3\n";
    assert_snapshot!(plain(text, &[at(text, "- 1\n  - 2\n  - 3")]), @r#"
    error[some-code]: something is wrong
     --> p.yaml:2:3
      |
    2 |   - 1
      |   ^^^
    "#);
}

#[test]
fn a_place_at_the_end_of_the_file_is_shown() {
    let text = "a:\n";
    let end = Place::of(text, 99, 99);
    let mistake = Diagnostic::warning("w", &Arc::from("p.yaml"), end, "ends here").label("here");
    assert_snapshot!(plain(text, &[mistake]), @r#"
    warning[w]: ends here
     --> p.yaml:2:1
      |
    2 |
      | ^ here
    "#);
}

#[test]
fn tabs_wide_characters_line_ends_and_byte_order_marks_keep_columns() {
    let text = "\u{feff}日本: \tx y\r\nb: 1\r\n";
    assert_snapshot!(plain(text, &[at(text, "y").label("here")]), @r#"
    error[some-code]: something is wrong
     --> p.yaml:1:8
      |
    1 | 日本:     x y
      |             ^ here
    "#);
    assert_snapshot!(plain(text, &[at(text, "日本").label("here")]), @r#"
    error[some-code]: something is wrong
     --> p.yaml:1:1
      |
    1 | 日本:     x y
      | ^^^^ here
    "#);
}

#[test]
fn without_the_text_the_place_is_told() {
    let mistake = at("a: 1\nb: 2\n", "2").help("remove it");
    assert_snapshot!(render(&[mistake], &|_| None, false), @r#"
    error[some-code]: something is wrong
    --> p.yaml:2:4
     = help: remove it
    "#);
}

#[test]
fn nothing_in_a_file_or_message_steers_the_terminal() {
    let text = "a: \u{1b}[2J\u{7}\u{9b}31m\u{202e}x\u{200b}\nb: 1\n";
    let mut mistake = at(text, "x").label("\u{1b}]0;t\u{7}").help("a\r\nb\u{8}");
    mistake.message = "line\nbreak \u{1b}[A".to_owned();
    mistake.file = Arc::from("p\u{1b}[1m.yaml");
    let shown = plain(text, &[mistake]);
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    assert_snapshot!(shown, @r#"
    error[some-code]: line␊break ␛[A
     --> p␛[1m.yaml:1:14
      |
    1 | a: ␛[2J␇�31m�x�
      |              ^ ␛]0;t␇
      |
      = help: a␍␊b␈
    "#);
}

#[test]
fn a_long_line_is_cut_around_the_mistake_and_the_column_stays() {
    let text = format!("a: {}HERE {}", "x ".repeat(100_000), "y ".repeat(20_000));
    let began = Instant::now();
    let shown = plain(&text, &[at(&text, "HERE").label("this")]);
    assert!(began.elapsed() < Duration::from_millis(500));
    assert!(shown.contains(" --> p.yaml:1:200004\n"), "{shown}");
    assert!(shown.contains("HERE") && shown.contains("^^^^ this"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() < 200), "{shown}");
}

#[test]
fn colour_is_added_on_request_only() {
    let text = "a: 1\n";
    let found = [at(text, "1")];
    assert!(!plain(text, &found).contains('\u{1b}'));
    assert!(render(&found, &|_| Some(text.to_owned()), true).contains('\u{1b}'));
}

#[test]
fn programs_get_the_same_as_json() {
    let text = "a: 1\nb: xyz\n";
    let found = [at(text, "xyz").help("remove it"), at(text, "1")];
    assert_eq!(
        to_json(&found)[1],
        json!({
            "code": "some-code", "severity": "error", "message": "something is wrong",
            "file": "p.yaml", "line": 2, "column": 4, "end_line": 2, "end_column": 7,
            "help": "remove it",
        })
    );
    assert_eq!(to_json(&found)[0]["line"], json!(1));
    assert_eq!(to_json(&[]), json!([]));
}

proptest! {
    #[test]
    fn any_place_in_any_text_is_rendered(
        text in "[a\u{e9}\u{1f600}\u{feff}\u{1b}\u{301} \t\r\n:]{0,60}",
        other in "[a\n]{0,10}",
        spans in prop::collection::vec((0usize..90, 0usize..90), 1..4),
        color: bool,
    ) {
        let place = |(start, end): (usize, usize)| Place::of(&text, start, end);
        let mut mistake =
            Diagnostic::error("c", &Arc::from("f"), place(spans[0]), "m").label(&text);
        for span in &spans[1..] {
            mistake = mistake.also(place(*span), "also");
        }
        // The file may have changed since it was read.
        for source in [&text, &other] {
            let shown = render(std::slice::from_ref(&mistake), &|_| Some(source.clone()), color);
            prop_assert!(color || shown.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}

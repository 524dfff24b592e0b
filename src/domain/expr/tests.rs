//! What expressions mean, and how their mistakes are told.

use serde_json::json;

use super::scope::{Root, Scope};
use super::template::Template;
use super::*;

pub(super) fn alert() -> Value {
    json!({
        "severity": 70,
        "category": "dlp",
        "score": 1.5,
        "big": 18_446_744_073_709_551_615_u64,
        "at": "2026-03-01T09:00:00Z",
        "nothing": null,
        "user": {"email": "Ann.Lee@Example.com", "groups": ["vip", "leavers"]},
        "indicators": [
            {"value": "a.example", "kind": "domain"},
            {"value": "10.0.0.1", "kind": "ip"},
        ],
        "tags": ["x", "y"],
        "counts": {"a": 1, "b": 2},
        "odd key": 1,
    })
}

pub(super) fn person() -> Value {
    json!({"end_date": "2026-03-11", "manager": "boss@example.com"})
}

/// Evaluates with an alert given as JSON and steps given as roots.
pub(super) fn eval(source: &str) -> Result<Value, String> {
    let alert = alert();
    let (person, risk) = (Root::from(&person()), Root::from(&json!({"score": 90})));
    let inputs = Root::from(&json!({}));
    let scope = Scope::new()
        .with("alert", &alert)
        .with_root("inputs", &inputs)
        .with_map("steps", [("person", &person), ("risk", &risk)])
        .with_value("index", &json!(3));
    let expr = Expr::parse(source).map_err(|error| format!("parse: {error}"))?;
    expr.eval(&scope).map_err(|error| error.message)
}

#[test]
fn expressions_give_values() {
    let table: &[(&str, Value)] = &[
        ("1 + 2", json!(3)),
        ("alert.severity", json!(70)),
        ("alert.severity + 1", json!(71)),
        ("alert.severity * 2 - 1", json!(139)),
        ("alert.severity / 2 % 4", json!(3)),
        ("-alert.severity", json!(-70)),
        ("alert.severity >= 60 && 'vip' in alert.user.groups", json!(true)),
        ("alert.score * 2.0", json!(3.0)),
        ("alert.big", json!(18_446_744_073_709_551_615_u64)),
        ("alert.severity == 70.0", json!(true)),
        ("index + 1", json!(4)),
        ("alert.nothing == null", json!(true)),
        ("alert.user", json!({"email": "Ann.Lee@Example.com", "groups": ["vip", "leavers"]})),
        ("alert[\"odd key\"]", json!(1)),
        ("alert.tags == ['x', 'y']", json!(true)),
        ("['x'] + alert.tags + ['z']", json!(["x", "x", "y", "z"])),
        ("alert.tags[1]", json!("y")),
        ("alert.counts", json!({"a": 1, "b": 2})),
        ("alert.counts.a + alert.counts.b", json!(3)),
        ("alert.counts.exists(k, alert.counts[k] == 2)", json!(true)),
        ("{'a': alert.severity, 'b': [1, 2u]}", json!({"a": 70, "b": [1, 2]})),
        ("{1: 'x'}", json!({"1": "x"})),
        // Keys that may be missing.
        ("has(alert.user.phone)", json!(false)),
        ("has(steps.person.end_date)", json!(true)),
        ("has(steps.other)", json!(false)),
        ("has(inputs.note)", json!(false)),
        ("alert.?user.?phone.orValue('none')", json!("none")),
        ("alert.?user.?email.orValue('none')", json!("Ann.Lee@Example.com")),
        ("steps.?other.?x.orValue(1)", json!(1)),
        ("steps[?'person'].hasValue()", json!(true)),
        ("alert.?severity", json!(70)),
        ("alert.?severity.optMap(s, s + 1).orValue(0)", json!(71)),
        ("optional.of(3).orValue(4)", json!(3)),
        ("true || alert.user.phone == ''", json!(true)),
        // Steps.
        ("steps.person.end_date", json!("2026-03-11")),
        ("steps.person", json!({"end_date": "2026-03-11", "manager": "boss@example.com"})),
        ("steps['risk'].score", json!(90)),
        ("size(steps)", json!(2)),
        ("'risk' in steps", json!(true)),
        ("steps.all(name, name != '')", json!(true)),
        ("steps == {'risk': {'score': 90}, 'person': steps.person}", json!(true)),
        ("steps.map(name, name).exists(name, name == 'risk')", json!(true)),
        // Loops.
        ("alert.indicators.map(i, i.value)", json!(["a.example", "10.0.0.1"])),
        ("alert.indicators.filter(i, i.kind == 'ip').map(i, i.value)", json!(["10.0.0.1"])),
        ("alert.indicators.map(i, i.kind == 'ip', i.value)", json!(["10.0.0.1"])),
        ("[1, 2, 3].map(x, x * alert.severity)", json!([70, 140, 210])),
        ("[[1, 2], [3]].map(l, l.map(x, x + 1))", json!([[2, 3], [4]])),
        ("[1, 2, 3].all(x, x > 0) && [1, 2].exists_one(x, x == 2)", json!(true)),
        ("alert.tags.exists(alert, alert == 'y')", json!(true)),
        // Text.
        ("lower(alert.user.email)", json!("ann.lee@example.com")),
        ("upper('é') + trim('  a ')", json!("Éa")),
        ("domain(alert.user.email)", json!("example.com")),
        ("domain('nobody') + domain('a@b@C.d')", json!("c.d")),
        ("'a,b,c'.split(',')", json!(["a", "b", "c"])),
        ("'a,b,c'.split(',', 2)", json!(["a", "b,c"])),
        ("'aé'.split('')", json!(["a", "é"])),
        ("'abc'.split('', 2)", json!(["a", "bc"])),
        ("alert.tags.join('; ')", json!("x; y")),
        ("['a', 'b'].join()", json!("ab")),
        ("'banana'.replace('a', 'o')", json!("bonono")),
        ("'banana'.replace('a', 'o', 1)", json!("bonana")),
        ("'ab'.replace('', '-')", json!("-a-b-")),
        ("'héllo'.indexOf('l') + 'héllo'.lastIndexOf('l')", json!(5)),
        ("['abcabc'.indexOf('c', 3), 'abcabc'.lastIndexOf('c', 4), 'a'.indexOf('z')]", json!([5, 2, -1])),
        ("'hello'.substring(1, 3) + 'A'.lowerAscii()", json!("ela")),
        ("alert.user.email.matches('(?i)@example[.]com$')", json!(true)),
        ("matches('abc', 'b')", json!(true)),
        ("alert.user.email.startsWith('Ann') && 'abc'.contains('b')", json!(true)),
        ("'x' + string(alert.severity)", json!("x70")),
        ("int('12') + size('ééé')", json!(15)),
        ("type(alert.severity) == int", json!(true)),
        (r#"'userName eq ' + json('a"b\\')"#, json!(r#"userName eq "a\"b\\""#)),
        ("json(alert.tags)", json!(r#"["x","y"]"#)),
        // Times.
        ("timestamp(alert.at)", json!("2026-03-01T09:00:00Z")),
        ("timestamp(alert.at) + duration('90m')", json!("2026-03-01T10:30:00Z")),
        ("timestamp('2026-03-01T09:00:00.5+02:00')", json!("2026-03-01T09:00:00.500+02:00")),
        ("duration('90m')", json!("5400s")),
        ("duration('-1500ms')", json!("-1.5s")),
        ("timestamp(alert.at) > timestamp('2026-01-01T00:00:00Z')", json!(true)),
        ("timestamp(alert.at).getHours('Europe/Berlin')", json!(10)),
        ("days_between(alert.at, steps.person.end_date)", json!(9)),
        ("days_between('2026-03-11', '2026-03-01')", json!(-10)),
        ("days_between(timestamp(alert.at), '2026-03-02')", json!(0)),
    ];
    for (source, expected) in table {
        assert_eq!(eval(source).as_ref(), Ok(expected), "{source}");
    }
}

#[test]
fn failures_are_told_in_an_authors_words() {
    let table = [
        (
            "steps.person.enddate",
            "`steps.person` has no key `enddate`; it has: end_date, manager; did you mean `end_date`?",
        ),
        ("steps.persn.x", "`steps` has no key `persn`; it has: person, risk; did you mean `person`?"),
        ("inputs.note", "`inputs` has no key `note`; it is empty"),
        ("alert.severity.x", "`alert.severity` is a whole number, so it has no key `x`"),
        ("alert.nothing.x", "`alert.nothing` is null, so it has no key `x`"),
        (
            "alrt.severity",
            "nothing here is called `alrt`; it has: alert, index, inputs, steps; did you mean `alert`?",
        ),
        ("alert.indicators.map(i, i.valeu)", "there is no key `valeu`"),
        ("alert.severity + 'x'", "`+` does not work on 70 and the text \"x\""),
        ("alert.tags + 1", "`+` does not work on a list and 1"),
        ("alert.severity && true", "`&&` does not work on a whole number and true or false"),
        ("alert.tags > 1", "`>` does not work on a list and a whole number"),
        ("1 in 2", "`in` does not work on a whole number and a whole number"),
        ("alert.severity.map(x, x)", "only lists and maps can be gone through, not a whole number"),
        ("alert.tags.filter(x, x)", "true or false is needed here, not text"),
        ("'a' ? 1 : 2", "true or false is needed here, not text"),
        ("1 / 0", "a division by zero"),
        ("9223372036854775807 + 1", "the number or time gets too large"),
        ("alert.tags[2]", "the list has no item at position 2; the first is 0"),
        ("alert.tags[0.5]", "a position in a list must be a whole number"),
        ("alert.?user.?phone", "the value is absent; say what to use instead with .orValue(…)"),
        ("b'abc'", "the result is bytes; make it text with string(…)"),
        ("type(1)", "the result is a type; compare it, as in type(x) == string"),
        ("1.0 / 0.0", "the result is infinite or not a number"),
        ("lower(1)", "`lower` does not work on a whole number"),
        (
            "[1].join()",
            "`join` failed: every item must be text; turn others into text first, as in list.map(x, string(x)).join(', ')",
        ),
        (
            "days_between('soon', 1)",
            "`days_between` failed: `soon` is no time: give a date like 2026-01-31, or a time like 2026-01-31T09:00:00Z",
        ),
        (
            "days_between('2026-01-01', 1)",
            "`days_between` failed: a whole number is no time: give a date like 2026-01-31, or a time like 2026-01-31T09:00:00Z",
        ),
        ("{'a': 1, 'a': 2}", "a map is given the key the text \"a\" twice"),
        ("'abc'.indexOf('c', 9)", "`indexOf` failed: the text has no position 9"),
    ];
    for (source, expected) in table {
        assert_eq!(eval(source), Err(expected.to_owned()), "{source}");
    }
}

#[test]
fn mistakes_in_the_text_are_found_when_it_is_read() {
    let table = [
        ("", "the expression is empty", ""),
        ("1 +", "the expression ends too early", ""),
        ("a and b", "write && for \"and\"", "and"),
        ("a = b", "write == to compare", "="),
        ("a & b", "write &&", "&"),
        ("'abc", "this text has no closing quote", "'"),
        ("a b", "`b` is not expected here", "b"),
        ("é + 1 )", "", ""),
        ("lowr(x)", "there is no function `lowr`; did you mean `lower`?", "lowr"),
        ("xlower + lowr(x)", "there is no function `lowr`; did you mean `lower`?", "lowr"),
        ("exec('rm')", "there is no function `exec`", "exec"),
        ("x.lower()", "`lower` is written lower(x)", "lower"),
        ("split(x)", "`split` is written x.split(…)", "split"),
        ("x.map(y)", "`map` is written list.map(x, …)", "map"),
        ("lower(a, b)", "`lower` takes 1 in its brackets, not 2", "lower"),
        ("Foo{a: 1}", "no types can be made here; write a map as {\"key\": value}", "Foo"),
        (".alert.x", "a name can't begin with a dot", ".alert"),
        (
            "a.map(x, x.map(y, y.map(z, z)))",
            "loops (map, filter, all, exists) nest at most 2 deep; compute the inner part in a `set` step first",
            "z",
        ),
        ("'%s'.format([1])", "there is no function `format`", "format"),
    ];
    for (source, message, word) in table {
        let error = Expr::parse(source).expect_err(source);
        if !message.is_empty() {
            assert_eq!(error.message, message, "{source}");
        }
        if !word.is_empty() {
            assert_eq!(source.get(error.range.clone()), Some(word), "{source}");
        }
        assert!(source.get(error.range).is_some(), "{source}");
    }
}

#[test]
fn names_are_known_before_evaluation() {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("1 + 1", &[], &[]),
        ("steps.person.end_date", &["steps.person.end_date"], &[]),
        ("outcome.suspend == 'failed'", &["outcome.suspend"], &[]),
        ("item.value", &["item.value"], &[]),
        ("has(steps.a.b)", &["steps.a.b"], &[]),
        ("steps.?a.?b.orValue(alert.x)", &["alert.x", "steps.a.b"], &["orValue"]),
        ("steps['a'].b", &["steps.a.b"], &[]),
        ("steps[index].b", &["index", "steps"], &[]),
        ("alert.xs.map(x, x.value + alert.y)", &["alert.xs", "alert.y"], &[]),
        ("xs.map(x, x).filter(y, x > y)", &["x", "xs"], &[]),
        ("lower(a) + b.trim() + string(c)", &["a", "b", "c"], &["lower", "string", "trim"]),
        ("type(a) == string", &["a"], &["type"]),
        ("optional.of(a).hasValue()", &["a"], &["hasValue", "optional.of"]),
        ("a.optMap(v, v + b)", &["a", "b"], &["hasValue", "optional.none", "optional.of", "value"]),
        ("{a: [b, c ? d : e]}", &["a", "b", "c", "d", "e"], &[]),
    ];
    for (source, paths, functions) in table {
        let expr = Expr::parse(source).unwrap();
        let found: Vec<String> = expr.references().paths.iter().map(|p| p.join(".")).collect();
        assert_eq!(found, *paths, "{source}");
        assert_eq!(expr.references().functions, *functions, "{source}");
    }
}

#[test]
fn only_true_is_true() {
    let value = alert();
    let scope = Scope::new().with("alert", &value);
    let parse = |source| Expr::parse(source).unwrap();
    assert_eq!(parse("alert.severity > 1").eval_bool(&scope), Ok(true));
    assert_eq!(parse("alert.severity < 1").eval_bool(&scope), Ok(false));
    for source in ["1", "'true'", "null", "alert.tags"] {
        let error = parse(source).eval_bool(&scope).unwrap_err();
        assert!(error.message.starts_with("the result must be true or false"), "{error}");
    }
    let error = parse("alert.sev").eval(&scope).unwrap_err();
    assert!(error.to_string().starts_with("`alert.sev`: `alert` has no key `sev`; it has: at, big"));
}

#[test]
fn a_trace_shows_each_name_with_its_value() {
    let value = json!({"a": 1, "long": "x".repeat(1000)});
    let scope = Scope::new().with("alert", &value);
    let expr = Expr::parse("alert.a > 0 || alert.gone || alert.long == ''").unwrap();
    let long = format!("{}…", "x".repeat(SHOWN_BYTES));
    let expected = [
        ("alert.a".to_owned(), Some(json!(1))),
        ("alert.gone".to_owned(), None),
        ("alert.long".to_owned(), Some(json!(long))),
    ];
    assert_eq!(expr.trace(&scope), expected);
}

#[test]
fn an_expression_is_kept_as_its_text() {
    let expr = Expr::parse("alert.severity>=60").unwrap();
    let text = serde_json::to_string(&expr).unwrap();
    assert_eq!(text, "\"alert.severity>=60\"");
    assert_eq!(serde_json::from_str::<Expr>(&text).unwrap(), expr);
    assert!(serde_json::from_str::<Expr>("\"1 +\"").is_err());
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Expr>();
    shared::<Template>();
    shared::<Root>();
}

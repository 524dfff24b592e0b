//! Hostile expressions, random ones, and how long ordinary ones take.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::scope::{Root, Scope};
use super::stack::PLAIN_BYTES_MAX;
use super::template::Template;
use super::tests::{alert, eval, person};
use super::*;
use crate::domain::value::VALUE_BYTES_MAX;

/// Runs `work` on a thread whose stack is as small as a worker's.
fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    thread.spawn(work).unwrap().join().unwrap();
}

#[test]
fn long_chains_work_and_longer_ones_are_refused() {
    on_small_stack(|| {
        let chain = |count| vec!["1"; count].join("+");
        assert_eq!(eval(&chain(2000)), Ok(json!(2000)));
        let error = eval(&chain(20_000)).unwrap_err();
        assert!(error.contains("at most 4096 are allowed"), "{error}");
        let both = vec!["true"; 500].join("&&");
        assert_eq!(eval(&both), Ok(json!(true)));
        for (open, inner, close) in [("(", "1", ")"), ("[", "1", "]"), ("a.map(x,", "x", ")")] {
            let source = format!("{}{inner}{}", open.repeat(400), close.repeat(400));
            eval(&source).expect_err(&source);
        }
        for link in ["-1", "*1", ".a", "[0]", ".trim()", "?1:2", "==1", ".?a"] {
            let source = format!("alert{}", link.repeat(4090 / link.len()));
            eval(&source).expect_err(&source);
            // As deep as is allowed.
            let source = format!("alert{}", link.repeat(DEPTH_MAX - 2));
            let _ = eval(&source);
        }
    });
}

#[test]
fn hostile_expressions_end_soon_on_a_small_stack() {
    on_small_stack(|| {
        let big = "a".repeat(VALUE_BYTES_MAX / 2);
        let many: Vec<Value> = (0..LIST_ITEMS_MAX).map(|n| json!({"n": n, "t": "abc"})).collect();
        let long: Vec<Value> = vec![json!(1); LIST_ITEMS_MAX + 1];
        let value = json!({"big": big, "many": many, "long": long});
        let root = Root::from(&value);
        let doubled = |count: usize| format!("['aaaaaaaa']{}", ".map(x,x+x)".repeat(count));
        let table = [
            doubled(90),
            format!("'aaaa'{}", ".replace('a','aaaa')".repeat(90)),
            format!("a.big{}", ".replace('','aaaa')".repeat(90)),
            format!("[{}]", vec!["a.big"; 500].join(",")),
            format!("{{{}}}", (0..300).map(|n| format!("{n}:a.big")).collect::<Vec<_>>().join(",")),
            vec!["a.big"; 600].join("+"),
            "a.many.all(x, a.many.all(y, x.n >= 0 && y.n >= 0))".to_owned(),
            "a.many.exists(x, a.many.exists(y, x.gone == y.gone))".to_owned(),
            "a.many.map(x, a.many)".to_owned(),
            "a.many.map(x, a.big)".to_owned(),
            "a.many.map(x, a.many.map(y, y.n))".to_owned(),
            "a.many.filter(x, a.many.exists_one(y, y == x))".to_owned(),
            "a.many.exists(x, a.big + 1 == 2)".to_owned(),
            "a.many.exists(x, a.many - 1 == 2)".to_owned(),
            "a.many.exists(x, a.many + 1 == 2)".to_owned(),
            "a.big.matches('((a{1,50}){1,50}){1,50}b')".to_owned(),
            "a.big.matches('(?x) (a{ 1, 900 }){ 900 }b')".to_owned(),
            "a.many.exists(x, a.?big.orValue('').size() < 0)".to_owned(),
            "a.many.exists(x, a.many == [x])".to_owned(),
            "a.many.exists(x, a.many[0.5] == 1)".to_owned(),
            "a.many.exists(x, x in a.many && false)".to_owned(),
            "a.many.exists(x, a.big.matches('(a{1,50}){1,50}b'))".to_owned(),
            "a.many.exists(x, a.big.contains('aab'))".to_owned(),
            "a.many.exists(x, lower(a.big) == '')".to_owned(),
            "a.many.exists(x, json(a.many) == '')".to_owned(),
            "a.big.indexOf(a.big.substring(1) + 'b') == 0".to_owned(),
            "a.big.split('')".to_owned(),
            "a.many.map(x, a.big).join(a.big)".to_owned(),
            "a.long.map(x, x)".to_owned(),
            "a.long".to_owned(),
            "a".to_owned(),
            "a.many + a.many".to_owned(),
            "a.many.map(x, timestamp('9999-12-31T23:59:59Z') + duration('9999h'))".to_owned(),
            "duration('99999999999999999999h')".to_owned(),
            "duration('9223372036854775807s') + duration('9223372036854775807s')".to_owned(),
            "timestamp(9223372036854775807)".to_owned(),
            "-(-9223372036854775807 - 1)".to_owned(),
            "int(1e300) + int('99999999999999999999')".to_owned(),
            "timestamp('0001-01-01T00:00:00Z').getDayOfYear('-23:59') + timestamp('bad')".to_owned(),
        ];
        for source in table {
            let start = Instant::now();
            let expr = match Expr::parse(&source) {
                Ok(expr) => expr,
                Err(error) => panic!("{source} should be read: {error}"),
            };
            let scope = Scope::new().with_root("a", &root);
            let outcome = expr.eval(&scope);
            let took = start.elapsed();
            println!("{took:>10.1?} {:.60}: {:.90}", source, format!("{outcome:?}").replace(&source, "…"));
            let bound = "a.big.indexOf(a.big.substring(1) + 'b') == 0";
            assert!(outcome.is_err() || source == bound, "{source}");
            // Far above what any takes, far below what any takes without its limit.
            let most = Duration::from_secs(60);
            assert!(took < most, "{source} took {took:?}");
        }
    });
}

#[test]
fn results_are_limited_in_size() {
    let big = json!({"text": "a".repeat(VALUE_BYTES_MAX), "half": "a".repeat(VALUE_BYTES_MAX / 2)});
    let root = Root::from(&big);
    let scope = Scope::new().with_root("a", &root);
    let table = [
        ("a.text", "the result is larger than 1024 KiB, the most a value may hold"),
        ("a.half + a.half + 'x'", "the value is too large: a value may hold 1024 KiB"),
        ("[a.half, a.half]", "the result is larger than 1024 KiB, the most a value may hold"),
    ];
    for (source, expected) in table {
        let error = Expr::parse(source).unwrap().eval(&scope).unwrap_err();
        assert_eq!(error.message, expected, "{source}");
    }
    let template = Template::parse(&json!(["${ a.half }", "x ${ a.half }", "${ a.half }"])).unwrap();
    let error = template.render(&scope).unwrap_err();
    assert_eq!(error.message, "with this the whole is larger than 1024 KiB, the most a value may hold");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~é\n]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-c$]{1,3}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_read_or_refused(source in ".{0,60}") {
        let _ = Expr::parse(&source);
        let _ = Template::parse(&Value::from(source.as_str()));
        let _ = Template::parse(&Value::from(format!("${{{source}}}")));
    }

    #[test]
    fn text_like_cel_is_read_or_refused(
        parts in prop::collection::vec(prop::sample::select(vec![
            "a", ".", "b", "(", ")", "[", "]", "{", "}", ":", ",", "'", "\"", "+", "-", "*", "/", "%",
            "==", "<", "&&", "||", "!", "?", "1", "2u", "0.5", "1e999", "0x", "in", "map(x,", "has(",
            "size(", ".?b", ".orValue(", "all(x,", "r'", "b'", "'''", "\\", "\n", "//", "é", " ",
            "timestamp(", "duration(", "'1h'", "true", "null", "@", "#", "`", "9223372036854775808",
        ]), 0..25)
    ) {
        let source = parts.concat();
        if let Ok(expr) = Expr::parse(&source) {
            let value = alert();
            let _ = expr.eval(&Scope::new().with("a", &value).with("b", &value));
        }
    }

    #[test]
    fn a_value_without_holes_stays_itself(value in any_json()) {
        prop_assume!(!value.to_string().contains("${"));
        let template = Template::parse(&value).unwrap();
        prop_assert_eq!(template.render(&Scope::new()).unwrap(), value);
    }

    #[test]
    fn a_value_passes_through_unchanged(value in any_json()) {
        let expr = Expr::parse("a").unwrap();
        prop_assert_eq!(expr.eval(&Scope::new().with("a", &value)).unwrap(), value);
    }

    #[test]
    fn evaluation_gives_a_value_or_an_error(value in any_json(), index in 0..14_usize) {
        let sources = [
            "a + a", "a - a", "a * 2", "a / a", "-a", "a < a", "a == a", "a in a", "a[0]", "a.a.b",
            "a.map(x, x + x)", "a.?a.?b.orValue(a)", "json(a).split('a').join('b').replace('b', 'c')",
            "[string(a), lower(a), domain(a), int(a), timestamp(a), duration(a), a.matches(a)]",
        ];
        let expr = Expr::parse(sources[index]).unwrap();
        let scope = Scope::new().with("a", &value);
        let _ = (expr.eval(&scope), expr.trace(&scope));
    }
}

#[test]
fn how_long_evaluation_takes() {
    let value = alert();
    let (alert_root, person) = (Root::from(&value), Root::from(&person()));
    let time = |label: &str, work: &dyn Fn()| {
        let (rounds, start) = (2000, Instant::now());
        (0..rounds).for_each(|_| work());
        println!("{label:<44} {:?}", start.elapsed() / rounds);
    };
    let parse = |source| Expr::parse(source).unwrap();
    let condition = parse("alert.severity >= 7 && 'vip' in alert.user.groups");
    let plain = parse("alert.category == 'dlp' && alert.severity >= 60");
    let step = parse("steps.person.end_date != null ? 20 : 0");
    let looped = parse("alert.indicators.filter(i, i.kind == 'ip').map(i, i.value)");
    time("parse", &|| drop(parse(condition.source())));
    time("convert the alert", &|| drop(Root::from(&value)));
    time("condition, alert as JSON", &|| {
        let _ = condition.eval(&Scope::new().with("alert", &value));
    });
    time("condition, alert converted", &|| {
        let _ = condition.eval(&Scope::new().with_root("alert", &alert_root));
    });
    time("texts and numbers only, alert as JSON", &|| {
        let _ = plain.eval(&Scope::new().with("alert", &value));
    });
    time("a step's value", &|| {
        let scope = Scope::new().with_root("alert", &alert_root).with_map("steps", [("person", &person)]);
        let _ = step.eval(&scope);
    });
    time("two loops over two items", &|| {
        let _ = looped.eval(&Scope::new().with_root("alert", &alert_root));
    });
}

#[test]
fn what_is_parsed_without_a_thread_fits_a_small_stack() {
    on_small_stack(|| {
        let fill = |link: &str| format!("a{}", link.repeat((PLAIN_BYTES_MAX - 8) / link.len()));
        let mut sources: Vec<String> = ["-1", ".a", "[0]", "&&a", "==1", ".?a", ".trim()"].map(fill).to_vec();
        sources.push("[[[1]]]".to_owned());
        sources.push("f(g(h(".to_owned());
        sources.push("a?b:a?b:a?b:c".to_owned());
        sources.push("!".repeat(PLAIN_BYTES_MAX));
        for source in sources {
            assert!(is_plain(&source), "{source}");
            let _ = Expr::parse(&source);
        }
    });
    for source in ["((((1", "a?b:a?b:a?b:a?b:c", "'))))' + ((( ')))' (((", "( // )\n(", "'unclosed"] {
        assert!(!is_plain(source), "{source}");
    }
}

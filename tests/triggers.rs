//! The index of triggers says what asking every trigger says: of random
//! expressions on random alerts, and of every trigger in this repository on every
//! sample of an alert.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use quell::domain::expr::Expr;
use quell::domain::expr::scope::Scope;
use quell::domain::trigger::TriggerIndex;
use quell::domain::trigger::miss::{EVALUATED_MAX, LOOKED_AT_MAX};
use serde_json::{Value, json};

/// What each trigger says: it holds, it is plainly false, or it can't be decided.
fn asked(exprs: &[Expr], alert: &Value) -> Vec<Option<bool>> {
    let scope = Scope::new().with("alert", alert);
    exprs.iter().map(|expr| expr.eval_bool(&scope).ok()).collect()
}

fn index(exprs: &[Expr]) -> TriggerIndex {
    let names: Vec<String> = (0..exprs.len()).map(|number| format!("p{number}")).collect();
    TriggerIndex::new(names.iter().map(String::as_str).zip(exprs))
}

/// Holds the index against asking every trigger.
fn check(exprs: &[Expr], index: &TriggerIndex, alert: &Value) {
    let scope = Scope::new().with("alert", alert);
    let wanted = asked(exprs, alert);
    let decided = index.decide(alert, &scope);
    let candidates: Vec<usize> = index.candidates(alert).collect();
    for (place, says) in wanted.iter().enumerate() {
        let found = decided.iter().find(|(other, _)| *other == place).map(|(_, outcome)| outcome.is_ok());
        let expected = match says {
            Some(true) => Some(true),
            Some(false) => None,
            None => Some(false),
        };
        assert_eq!(found, expected, "{:?} on {alert}", exprs[place]);
        assert!(*says == Some(false) || candidates.contains(&place), "{:?} on {alert}", exprs[place]);
    }
    assert!(candidates.is_sorted() && decided.is_sorted_by_key(|(place, _)| *place));
    closest(exprs, index, alert, &wanted);
}

/// Holds the closest miss against rating every trigger, where all are looked at.
fn closest(exprs: &[Expr], index: &TriggerIndex, alert: &Value, wanted: &[Option<bool>]) {
    let scope = Scope::new().with("alert", alert);
    let miss = index.closest_miss(alert, &scope);
    let held = |expr: &Expr| {
        let parts = expr.conjuncts("alert");
        let held = parts.iter().filter(|part| part.expr.eval_bool(&scope) == Ok(true)).count();
        (held, parts.len())
    };
    for (expr, says) in exprs.iter().zip(wanted) {
        let (held, of) = held(expr);
        assert_eq!(held == of, *says == Some(true), "{expr:?} is not its parts on {alert}");
    }
    if let Some(miss) = &miss {
        assert_ne!(wanted[miss.place], Some(true), "{miss:?}");
        assert_eq!(held(&exprs[miss.place]), (miss.held, miss.of), "{miss:?}");
        assert_eq!(miss.failed.len(), miss.of - miss.held);
    }
    if exprs.len() <= EVALUATED_MAX {
        let missed = exprs.iter().zip(wanted).filter(|(_, says)| **says != Some(true));
        let best = missed.map(|(expr, _)| held(expr)).map(|(held, of)| (held * 1000 / of, held)).max();
        assert_eq!(miss.map(|miss| (miss.held * 1000 / miss.of, miss.held)), best, "{alert}");
    }
}

const PATHS: &[&str] = &[
    "alert.category",
    "alert.severity",
    "alert.title",
    "alert.user.email",
    "alert.tags",
    "alert.raw.kind",
    "alert.raw.deep.er",
    "alert[\"category\"]",
    "alert.raw",
    "alert.flag",
    "alert.size",
];

const LITERALS: &[&str] = &[
    "\"dlp\"",
    "\"uam\"",
    "\"a\"",
    "\"\"",
    "\"über\"",
    "60",
    "50",
    "-1",
    "60.0",
    "59.5",
    "0",
    "-0.0",
    "true",
    "false",
    "null",
    "9007199254740993",
    "9007199254740992",
    "9007199254740992.0",
    "18446744073709551615u",
    "1u",
    "b\"a\"",
];

fn expression() -> impl Strategy<Value = String> {
    let path = || select(PATHS);
    let literal = || select(LITERALS);
    let text = || select(vec!["\"dlp\"", "\"d\"", "\"a\"", "\"\"", "\"ü\"", "\"übe\""]);
    let leaf = prop_oneof![
        4 => (path(), select(vec!["==", "!=", ">=", ">", "<=", "<"]), literal()).prop_map(|(p, o, l)| format!("{p} {o} {l}")),
        1 => (path(), select(vec!["==", ">=", "<"]), literal()).prop_map(|(p, o, l)| format!("{l} {o} {p}")),
        3 => (path(), vec(literal(), 0..4)).prop_map(|(p, l)| format!("{p} in [{}]", l.join(", "))),
        2 => (literal(), path()).prop_map(|(l, p)| format!("{l} in {p}")),
        2 => (path(), select(vec!["startsWith", "endsWith", "contains"]), text()).prop_map(|(p, f, t)| format!("{p}.{f}({t})")),
        1 => path().prop_map(str::to_owned),
        1 => path().prop_map(|p| format!("!{p}")),
        1 => (path(), path()).prop_map(|(p, q)| format!("{p} == {q}")),
        1 => path().prop_map(|p| format!("size({p}) > 0")),
        1 => path().prop_map(|p| format!("lower({p}) == \"dlp\"")),
        1 => Just("alert.tags.exists(alert, alert == \"a\")".to_owned()),
        1 => Just("has(alert.raw.kind)".to_owned()),
        1 => Just("alert.raw.?kind.orValue(\"none\") == \"dlp\"".to_owned()),
        1 => Just("steps.other == 1".to_owned()),
        1 => select(vec!["true", "false", "1"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            4 => vec(inner.clone(), 2..5).prop_map(|parts| parts.join(" && ")),
            2 => vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            2 => vec(inner.clone(), 2..4).prop_map(|parts| parts.join(" || ")),
            1 => inner.clone().prop_map(|part| format!("!({part})")),
            1 => inner.clone().prop_map(|part| format!("({part})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
        ]
    })
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(vec!["dlp", "uam", "a", "", "über", "d"]).prop_map(Value::from),
        select(vec![
            json!(60),
            json!(50),
            json!(-1),
            json!(60.0),
            json!(59.5),
            json!(0),
            json!(-0.0),
            json!(1)
        ]),
        select(vec![
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_992_i64),
            json!(u64::MAX),
            json!(9_007_199_254_740_992.0)
        ]),
        select(vec![
            json!(null),
            json!(true),
            json!(false),
            json!([]),
            json!(["a", 60, null]),
            json!(["dlp"]),
            json!({"a": 1})
        ]),
    ]
}

fn alert() -> impl Strategy<Value = Value> {
    let maybe = || proptest::option::weighted(0.8, value());
    (vec(maybe(), 9)).prop_map(|values| {
        let mut alert = json!({ "user": {}, "raw": { "deep": {} } });
        let places = [
            "/category",
            "/severity",
            "/title",
            "/tags",
            "/flag",
            "/size",
            "/user/email",
            "/raw/kind",
            "/raw/deep/er",
        ];
        for (place, value) in places.iter().zip(values) {
            let (holder, key) = place.rsplit_once('/').expect("it has one");
            if let Some(value) = value {
                alert.pointer_mut(holder).expect("it is there")[key] = value;
            }
        }
        alert
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("QUELL_LONG").is_some() { 4_000 } else { 150 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_says_what_asking_every_trigger_says(sources in vec(expression(), 1..40), alerts in vec(alert(), 4)) {
        let exprs: Vec<Expr> = sources.iter().filter_map(|source| Expr::parse(source).ok()).collect();
        let index = index(&exprs);
        alerts.iter().for_each(|alert| check(&exprs, &index, alert));
    }

    #[test]
    fn of_few_triggers_the_closest_is_found(sources in vec(expression(), 1..=EVALUATED_MAX), alerts in vec(alert(), 4)) {
        let exprs: Vec<Expr> = sources.iter().filter_map(|source| Expr::parse(source).ok()).collect();
        let index = index(&exprs);
        alerts.iter().for_each(|alert| check(&exprs, &index, alert));
    }
}

/// The conditions on alerts in all playbooks and pages of this repository.
fn written() -> Vec<Expr> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for dir in ["playbooks", "tests/flow", "tests/diagnostics", "docs"] {
        for entry in std::fs::read_dir(root.join(dir)).expect("it is there").flatten() {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let lines = text.lines().filter_map(|line| line.split_once("alert: ${")?.1.rsplit_once('}'));
            found.extend(lines.filter_map(|(source, _)| Expr::parse(source).ok()));
        }
    }
    found
}

/// The alerts that the samples become.
fn samples() -> Vec<Value> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerts");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("it is there").flatten() {
        if entry.file_name().to_string_lossy().ends_with(".expected.json") {
            let text = std::fs::read_to_string(entry.path()).expect("it is text");
            match serde_json::from_str(&text).expect("it is JSON") {
                Value::Array(alerts) => found.extend(alerts),
                alert => found.push(alert),
            }
        }
    }
    found
}

#[test]
fn every_trigger_here_on_every_sample() {
    let (mut exprs, alerts) = (written(), samples());
    assert!(exprs.len() > 20 && alerts.len() > 30, "{} triggers, {} samples", exprs.len(), alerts.len());
    // For each sample also triggers that its own values fulfil, or nearly do.
    for alert in &alerts {
        for source in [
            format!("alert.source == {} && alert.severity >= {}", alert["source"], alert["severity"]),
            format!("alert.rule.name == {} || alert.title == {}", alert["rule"]["name"], alert["title"]),
            format!(
                "alert.category == {} && alert.user.email in [{}, \"x\"]",
                alert["category"], alert["user"]["email"]
            ),
            format!("alert.severity > {} && size(alert.users) > 1", alert["severity"]),
        ] {
            exprs.extend(Expr::parse(&source).ok());
        }
    }
    let index = index(&exprs);
    for alert in &alerts {
        check(&exprs, &index, alert);
        let held = asked(&exprs, alert).into_iter().flatten().filter(|held| *held).count();
        assert!(held >= 2, "its own triggers hold on {}", alert["title"]);
    }
    assert!(exprs.len() > LOOKED_AT_MAX);
}

#[test]
fn the_closest_miss_says_what_it_wanted_and_what_there_was() {
    let exprs = [
        "alert.category in [\"dlp\", \"uam\"] && alert.severity >= 60 && size(alert.objects) > 0",
        "alert.category == \"identity\" && alert.severity >= 40",
        "alert.category == \"dlp\" && alert.severity >= 90 && alert.raw.verdict == \"bad\"",
    ];
    let exprs: Vec<Expr> = exprs.iter().map(|source| Expr::parse(source).unwrap()).collect();
    let index = TriggerIndex::new(["leavers", "sign-ins", "verdicts"].into_iter().zip(&exprs));
    let told = |alert: Value| {
        let scope = Scope::new().with("alert", &alert);
        let miss =
            index.closest_miss(&alert, &scope).map(|miss| format!("{miss} ({} of {})", miss.held, miss.of));
        miss.unwrap_or_default()
    };
    let alert = |category: &str, severity: u8| json!({ "category": category, "severity": severity, "objects": [{}], "raw": {} });
    assert_eq!(told(alert("dlp", 50)), "`leavers` wanted alert.severity >= 60 and it is 50 (2 of 3)");
    assert_eq!(told(alert("identity", 30)), "`sign-ins` wanted alert.severity >= 40 and it is 30 (1 of 2)");
    assert_eq!(
        told(alert("cloud", 80)),
        "`leavers` wanted alert.category in [\"dlp\", \"uam\"] and it is \"cloud\" (2 of 3)"
    );
    let mut empty = alert("dlp", 60);
    empty["objects"] = json!([]);
    assert_eq!(told(empty), "`leavers` wanted size(alert.objects) > 0 and has alert.objects = [] (2 of 3)");
    let mut odd = alert("dlp", 95);
    odd["objects"] = json!(null);
    assert_eq!(
        told(odd),
        "`leavers` wanted size(alert.objects) > 0, which can't be decided: `size` does not work on null (2 of 3)"
    );
}

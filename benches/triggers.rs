//! How many alerts a second find their playbooks, with ten, a hundred and a
//! thousand of them: by the index, and by asking every trigger, in the same run.
//! `cargo bench --bench triggers`, or with numbers of playbooks behind `--`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use quell::domain::expr::Expr;
use quell::domain::expr::scope::Scope;
use quell::domain::trigger::TriggerIndex;
use serde_json::{Value, json};

/// Playbooks, when nobody says.
const LEVELS: &[usize] = &[10, 100, 1_000];

/// How long each is measured.
const MEASURED: Duration = Duration::from_millis(1_500);

/// Playbooks from which on the index is held to its limits.
const HELD_FROM: usize = 1_000;

/// How many times the pace of asking every trigger it must keep there.
const TIMES_FASTER: f64 = 20.0;

/// How many times the pace of asking every trigger an alert that nobody wants must
/// keep there with the closest miss told.
const MISS_TIMES_FASTER: f64 = 5.0;

/// How much of its pace with the fewest playbooks it must keep with the most.
const KEPT_PACE: f64 = 0.1;

fn main() {
    let asked: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let levels = if asked.is_empty() { LEVELS.to_vec() } else { asked };
    let alerts: Vec<Value> = (0..2_000).map(alert).collect();
    let mut first = None;
    for playbooks in levels {
        let exprs: Vec<Expr> = (0..playbooks)
            .map(|number| Expr::parse(&trigger(number)).expect("it is an expression"))
            .collect();
        let names: Vec<String> = (0..playbooks).map(|number| format!("playbook-{number}")).collect();
        let began = Instant::now();
        let index = TriggerIndex::new(names.iter().map(String::as_str).zip(&exprs));
        let built = began.elapsed().as_secs_f64() * 1000.0;
        let mut candidates = 0;
        for alert in &alerts {
            candidates += index.candidates(alert).count();
        }
        let by_index = pace(&alerts, |alert| {
            index
                .decide(alert, &Scope::new().with("alert", alert))
                .iter()
                .filter(|(_, held)| held.is_ok())
                .count()
        });
        let by_asking = pace(&alerts, |alert| {
            let scope = Scope::new().with("alert", alert);
            exprs.iter().filter(|expr| expr.eval_bool(&scope) == Ok(true)).count()
        });
        assert_eq!(by_index.held, by_asking.held, "the index and the triggers disagree");
        let unwanted: Vec<Value> =
            alerts.iter().filter(|alert| nobody_wants(&index, alert)).cloned().collect();
        let missed = pace(&unwanted, |alert| {
            let scope = Scope::new().with("alert", alert);
            index.decide(alert, &scope).len() + usize::from(index.closest_miss(alert, &scope).is_some())
        });
        let times = by_index.a_second / by_asking.a_second;
        println!(
            "{playbooks:>6} playbooks: {:>9.0} alerts/s by the index, {:>9.0} by asking all ({times:.1} times), {:.2} candidates an alert, {:>8.0} alerts/s nobody wants with the closest told, index built in {built:.1} ms",
            by_index.a_second,
            by_asking.a_second,
            candidates as f64 / alerts.len() as f64,
            missed.a_second,
        );
        let first = *first.get_or_insert(by_index.a_second);
        if playbooks >= HELD_FROM {
            assert!(times >= TIMES_FASTER, "the index is only {times:.1} times as fast as asking all");
            let told = missed.a_second / by_asking.a_second;
            assert!(
                told >= MISS_TIMES_FASTER,
                "with the closest told only {told:.1} times as fast as asking all"
            );
            let kept = by_index.a_second / first;
            assert!(kept >= KEPT_PACE, "{kept:.2} of the pace with few playbooks is left");
        }
    }
}

struct Pace {
    a_second: f64,
    /// How many triggers held, over all alerts once.
    held: usize,
}

/// Goes through the alerts again and again.
fn pace(alerts: &[Value], mut work: impl FnMut(&Value) -> usize) -> Pace {
    let (began, mut done, mut held) = (Instant::now(), 0_usize, 0);
    for turn in 0.. {
        for alert in alerts {
            let found = black_box(work(black_box(alert)));
            if turn == 0 {
                held += found;
            }
            done += 1;
            // Each alert is taken once, however long it takes.
            if turn > 0 && began.elapsed() > MEASURED {
                return Pace { a_second: done as f64 / began.elapsed().as_secs_f64(), held };
            }
        }
    }
    Pace { a_second: 0.0, held }
}

fn nobody_wants(index: &TriggerIndex, alert: &Value) -> bool {
    !index.decide(alert, &Scope::new().with("alert", alert)).iter().any(|(_, held)| held.is_ok())
}

const CATEGORIES: &[&str] = &["dlp", "identity", "endpoint", "uam", "ueba", "cloud", "email", "network"];

/// What house playbooks ask: most name a rule or several, some a kind of alert
/// and a list's size, a few a beginning or only a bound.
fn trigger(number: usize) -> String {
    let category = CATEGORIES[number % CATEGORIES.len()];
    let rule = format!("rule-{number}");
    match number % 20 {
        0..=9 => format!(
            "alert.category == \"{category}\" && alert.severity >= 60 && alert.rule.name == \"{rule}\""
        ),
        10..=13 => format!("alert.rule.name in [\"{rule}\", \"{rule}-b\"] && size(alert.objects) > 0"),
        14..=16 => format!(
            "alert.source == \"source-{number}\" && (alert.severity >= 90 || \"T{number}\" in alert.techniques)"
        ),
        17 => format!("alert.user.email.startsWith(\"svc-{number}-\") && alert.severity >= 40"),
        18 => format!("alert.source == \"source-{number}\" && alert.raw.kind == \"{rule}\""),
        _ if number == 19 => "alert.severity >= 99 && size(alert.users) > 5".to_owned(),
        _ => format!("\"T{number}\" in alert.techniques && alert.category != \"{category}\""),
    }
}

/// One alert in two fits some playbook's rule.
fn alert(number: usize) -> Value {
    json!({
        "source": format!("source-{}", number % 50), "category": CATEGORIES[number % CATEGORIES.len()],
        "severity": 20 + (number * 7) % 80, "title": "Mass download", "status": "open",
        "rule": { "id": null, "name": format!("rule-{}", number % 2_000), "version": null },
        "user": { "email": format!("person-{number}@example.com"), "name": null, "id": null },
        "users": [{ "email": format!("person-{number}@example.com") }], "hosts": [], "indicators": [],
        "objects": [{ "name": "payroll.xlsx", "bytes": 1_048_576 }], "techniques": [format!("T{}", number % 3_000)],
        "raw": { "kind": format!("rule-{number}"), "text": "x".repeat(500), "list": [1, 2, 3] },
    })
}

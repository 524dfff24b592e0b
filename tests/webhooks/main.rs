//! The corpus of the door: deliveries that are forged, replayed, broken or hostile,
//! against a real server with a source behind every kind of door. The cases are the
//! YAML files beside this; none of them may store anything.

mod addresses;
mod case;
mod connections;
mod house;
mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::case::{Case, File};
use crate::house::{House, SECRETS, now};
use crate::wire::{Answer, send};

const FORGED: &str = include_str!("forged.yaml");
const PAYLOADS: &str = include_str!("payloads.yaml");
const FRAMING: &str = include_str!("framing.yaml");
const HANDSHAKES: &str = include_str!("handshakes.yaml");
const REPLAYED: &str = include_str!("replayed.yaml");
const TAKEN: &str = include_str!("taken.yaml");

/// Bytes of an endless body that may be on their way before the refusal arrives:
/// what the limit and the buffers of both sides hold.
const SENT_MAX: u64 = 16 * 1024 * 1024;

fn read(name: &str, text: &str) -> Vec<Case> {
    let file: File = serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    file.cases
}

/// Each case with each of its doors.
fn each(cases: &[Case]) -> impl Iterator<Item = (&Case, &str)> {
    let elsewhere = |case: &Case| case.to.is_empty();
    cases.iter().flat_map(move |case| {
        let bare = elsewhere(case).then_some("bearer");
        case.to.iter().map(String::as_str).chain(bare).map(move |door| (case, door))
    })
}

/// What is wrong with an answer, in words.
fn judged(case: &Case, answer: &Answer) -> Option<String> {
    if case.says.as_deref().is_some_and(|says| says.as_bytes() != answer.body) {
        return Some(format!("it says {:?}", String::from_utf8_lossy(&answer.body)));
    }
    if answer.status != case.status || (case.says.is_none() && answer.code() != case.code) {
        return Some(format!("{} {} instead of {} {}", answer.status, answer.code(), case.status, case.code));
    }
    let body = String::from_utf8_lossy(&answer.body);
    if body.chars().any(char::is_control) {
        return Some(format!("a control character in the answer: {body:?}"));
    }
    if !case.code.is_empty() && answer.header("content-type") != Some("application/problem+json") {
        return Some("no problem document".to_owned());
    }
    (answer.sent > SENT_MAX).then(|| format!("{} bytes were sent before the refusal", answer.sent))
}

#[tokio::test]
async fn nothing_of_the_corpus_is_taken() {
    let mut house = House::start().await;
    let before = house.head();
    house.live().await;
    let mut wrong = Vec::new();
    let (mut count, mut names) = (0, BTreeSet::new());
    for (name, text) in
        [("forged", FORGED), ("payloads", PAYLOADS), ("framing", FRAMING), ("handshakes", HANDSHAKES)]
    {
        let cases = read(name, text);
        for (case, door) in each(&cases) {
            assert!(names.insert(format!("{name}: {} ({door})", case.case)), "twice: {} ({door})", case.case);
            let answer = send(house.address(), &case.request(door, now())).await;
            count += 1;
            if let Some(why) = judged(case, &answer) {
                wrong.push(format!("{name}: {} ({door}): {why}", case.case));
            }
            if answer.json()["alerts"].is_array() {
                wrong.push(format!("{name}: {} ({door}): it was taken", case.case));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 200, "{count} cases");
    assert_eq!(house.alerts().await, Vec::<Value>::new());
    assert_eq!(house.head(), before, "the journal is where it was");
    let told = house.sound_log().matches("a delivery was turned away").count();
    assert!(told >= 200, "{told} refusals in the log");
    println!("{count} cases, none taken");
}

/// The alerts of an answer that took some; whether they had come before.
fn duplicates(answer: &Answer) -> Option<Vec<bool>> {
    let body = answer.json();
    let alerts = body["alerts"].as_array()?;
    alerts.iter().map(|alert| alert["duplicate"].as_bool()).collect()
}

#[tokio::test]
async fn what_came_once_is_not_taken_again_now_or_after_a_restart() {
    let mut house = House::start().await;
    let cases = read("replayed", REPLAYED);
    let signed_at = now();
    let mut first = 0;
    for (case, door) in each(&cases) {
        let answer = send(house.address(), &case.request(door, signed_at)).await;
        assert_eq!(answer.status, case.status, "{} ({door}): {}", case.case, answer.json());
        let known = duplicates(&answer).unwrap_or_default();
        assert!(!known.is_empty() && known.iter().all(|known| !known), "{} ({door})", case.case);
        first += known.len();
    }
    let stored = house.alerts().await.len();
    assert_eq!(stored, first);
    let (head, mut replays) = (house.head(), 0);
    for life in ["the same life", "the next life", "the one after"] {
        house.live().await;
        for (case, door) in each(&cases) {
            for again in std::iter::once(case).chain(&case.again) {
                let what = format!("{}: {} ({door}), {life}", case.case, again.case);
                let answer = send(house.address(), &again.request(door, signed_at)).await;
                replays += 1;
                assert_eq!((answer.status, answer.code()), (again.status, again.code.clone()), "{what}");
                if again.code.is_empty() {
                    let known = duplicates(&answer).expect("alerts");
                    assert!(!known.is_empty() && known.iter().all(|known| *known), "{what}: stored again");
                }
            }
        }
        assert_eq!(house.head(), head, "{life}: the journal is where it was");
    }
    house.sound_log();
    assert!(replays >= 100, "{replays} replays");
    println!("{first} alerts, {replays} replays, none stored again");
}

#[tokio::test]
async fn a_thousand_deliveries_over_all_doors_are_each_taken_once() {
    const DOORS: [&str; 9] =
        ["standard", "slack", "github", "hmac", "timed", "bearer", "key", "okta", "certificate"];
    let mut house = House::start().await;
    let signed_at = now();
    let cases: Arc<Vec<(String, Case)>> = Arc::new(
        (0..1000)
            .map(|number| {
                let body =
                    json!({ "title": format!("Finding {number}"), "source_id": format!("f-{number}") });
                let secret = if number % 2 == 0 { "first" } else { "second" };
                let case = json!({
                    "case": "valid", "body": body.to_string(), "id": format!("msg_{number}"),
                    "signed": secret, "status": 202,
                });
                let case = serde_json::from_value(case).expect("a case");
                (DOORS[number % DOORS.len()].to_owned(), case)
            })
            .collect(),
    );
    for (life, stored_again) in [("first", false), ("again", true), ("after a restart", true)] {
        let address = house.address();
        let sending = |part: usize| {
            let cases = Arc::clone(&cases);
            tokio::spawn(async move {
                for (door, case) in cases.iter().skip(part).step_by(16) {
                    let answer = send(address, &case.request(door, signed_at)).await;
                    let status = if door == "okta" { 200 } else { 202 };
                    assert_eq!(answer.status, status, "{door}: {}", answer.json());
                    assert_eq!(duplicates(&answer), Some(vec![stored_again]), "{life}: {door}");
                }
            })
        };
        for done in (0..16).map(sending).collect::<Vec<_>>() {
            done.await.expect("all were taken");
        }
        assert_eq!(house.alerts().await.len(), 1000, "{life}");
        if life == "again" {
            house.die();
            house.live().await;
        }
    }
    house.sound_log();
}

/// Every text of an alert but its payload.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => map.iter().filter(|(key, _)| *key != "raw").for_each(|(key, value)| {
            found.push(key.clone());
            texts(value, found);
        }),
        _ => {}
    }
}

#[tokio::test]
async fn what_is_hostile_and_still_an_alert_is_taken_and_steers_nothing() {
    let house = House::start().await;
    let cases = read("taken", TAKEN);
    let mut count = 0;
    for (case, door) in each(&cases) {
        let answer = send(house.address(), &case.request(door, now())).await;
        assert_eq!(answer.status, case.status, "{} ({door}): {}", case.case, answer.json());
        let text = String::from_utf8(answer.body.clone()).expect("text");
        assert!(!text.chars().any(char::is_control), "{} ({door}): {text:?}", case.case);
        count += 1;
    }
    let alerts = house.alerts().await;
    assert!(alerts.len() >= count, "{} of {count}", alerts.len());
    let mut found = Vec::new();
    alerts.iter().for_each(|alert| texts(alert, &mut found));
    for text in found {
        let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!text.chars().any(steers), "{text:?}");
    }
    house.sound_log();
}

#[tokio::test]
async fn a_source_has_its_own_limits_and_a_forger_spends_none_of_them() {
    let house = House::start().await;
    let case = |id: &str, signed: &str| -> Case {
        let case = json!({ "case": "rate", "id": id, "signed": signed, "status": 202, "body": format!("{{\"title\":\"{id}\"}}") });
        serde_json::from_value(case).expect("a case")
    };
    for number in 0..30 {
        let forged =
            send(house.address(), &case(&format!("f{number}"), "other").request("rare", now())).await;
        assert_eq!(forged.status, 401);
    }
    let mut statuses = Vec::new();
    let mut later = None;
    for number in 0..8 {
        let answer =
            send(house.address(), &case(&format!("r{number}"), "first").request("rare", now())).await;
        statuses.push(answer.status);
        if answer.status == 429 {
            assert_eq!(answer.code(), "too-many-deliveries");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            later = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        }
    }
    assert_eq!(&statuses[..3], &[202, 202, 202], "what may come at once");
    assert!(statuses.iter().filter(|status| **status == 429).count() >= 3, "{statuses:?}");
    // A copy takes nothing from the source, and is still told apart.
    let copy = send(house.address(), &case("r0", "first").request("rare", now())).await;
    assert_eq!((copy.status, duplicates(&copy)), (202, Some(vec![true])));
    let wait = later.expect("it says when to come back");
    assert!((1..=2).contains(&wait), "{wait}");
    tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
    let back = send(house.address(), &case("back", "first").request("rare", now())).await;
    assert_eq!(back.status, 202, "{}", back.json());
    assert!(!house.sound_log().contains(SECRETS[0]));
}

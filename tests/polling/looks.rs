//! Pages are read until the list ends, and whatever the peer does in between.

use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::feed::{Feed, Mood, PAGE};
use crate::house::House;

async fn started(feed: &Feed) -> House {
    let mut house = House::of(feed);
    house.start(None);
    house.ready().await;
    house
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_read_page_by_page_to_its_end_and_what_comes_later_too() {
    let feed = Feed::open().await;
    feed.grow(2 * PAGE + 20);
    let began = Instant::now();
    let mut house = started(&feed).await;
    house.read_to("c620").await;
    house.holds_each_once(620).await;
    // A page that holds something is followed by the next at once.
    assert_eq!(feed.asked()[..3], ["c0", "c300", "c600"]);
    feed.grow(3);
    house.read_to("c623").await;
    house.holds_each_once(623).await;
    let looks = feed.asked().len();
    let most = began.elapsed().as_secs_f64() / 0.8 + 5.0;
    assert!((looks as f64) < most, "{looks} looks within {:?}", began.elapsed());
    assert_eq!(feed.unlettered(), 0, "each look brings the connector's secret");

    let poll = house.poll().await;
    assert_eq!((&poll["taken"], &poll["failures"], &poll["why"]), (&json!(623), &json!(0), &json!(null)));
    assert!(poll["last_success"].is_string());
    let shown = house.quell(&["--data", "data", "polls"]);
    assert!(shown.contains("feed.list_events") && shown.contains("c623"), "{shown}");
    // It has no door.
    let (status, refusal) = house.post("/alerts/feed", "{\"title\":\"x\"}").await;
    assert_eq!((status, &refusal["code"]), (409, &json!("source-polled")));

    // Its stream outlives restarts, exports and imports.
    house.kill();
    let verified = house.quell(&["--data", "data", "store", "verify"]);
    assert!(!verified.to_lowercase().contains("error"), "{verified}");
    house.quell(&["--data", "data", "store", "export", "all.jsonl"]);
    let export = std::fs::read_to_string(house.dir.path().join("all.jsonl")).expect("it is written");
    assert!(export.contains("poll_advanced") && export.contains("\"pol_"), "it tells of the poll");
    std::fs::rename(house.dir.path().join("data"), house.dir.path().join("before")).expect("it is moved");
    let imported = house.quell(&["--data", "data", "store", "import", "all.jsonl"]);
    assert!(house.dir.path().join("data").exists(), "{imported}");
    let looked = feed.asked().len();
    feed.grow(1);
    house.start(None);
    house.ready().await;
    house.read_to("c624").await;
    house.holds_each_once(624).await;
    assert_eq!(feed.asked()[looked], "c623", "it goes on where it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_list_answers_each_event_is_taken_once() {
    let feed = Feed::open().await;
    feed.grow(2 * PAGE);
    feed.next(&[Mood::Says(429, Some(2)), Mood::Says(500, None)]);
    let house = started(&feed).await;
    house.read_to("c600").await;
    feed.grow(PAGE);
    // Each event of the page is known when it comes again.
    feed.next(&[Mood::Hangs, Mood::Babbles, Mood::StandsStill, Mood::Says(503, None)]);
    house.read_to("c900").await;
    feed.next(&[Mood::Repeats, Mood::Repeats, Mood::Says(404, None)]);
    feed.grow(10);
    house.read_to("c910").await;
    assert_eq!(feed.moods_left(), 0);
    house.holds_each_once(910).await;
    let asked = feed.asked();
    assert_eq!(asked[..3], ["c0", "c0", "c0"], "what failed is asked again from the same place");
    assert!(asked.iter().filter(|since| *since == "c600").count() >= 4, "{asked:?}");
    assert_eq!(house.poll().await["failures"], json!(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_of_a_source_that_cannot_be_asked_and_no_more_once_it_can() {
    let feed = Feed::open().await;
    feed.grow(5);
    feed.next(&[Mood::Says(403, None); 4]);
    let house = started(&feed).await;
    let told = house.told().await;
    assert_eq!((&told["need"], &told["commands"]), (&json!("unpolled"), &json!(["quell polls"])));
    let what = told["what"].as_str().expect("words");
    assert!(what.contains("`feed`") && what.contains("403"), "{what}");
    let poll = house.poll().await;
    assert!(poll["failures"].as_u64().is_some_and(|failures| failures >= 2), "{poll}");
    let metrics = house.text("/metrics").await;
    assert!(metrics.contains("quell_poll_failures{source=\"feed\"}"), "{metrics}");
    house.read_to("c5").await;
    assert_eq!(house.get("/attention").await["items"], json!([]));
    house.holds_each_once(5).await;
}

/// An item that the source cannot read keeps the whole page back, and is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_taken_whole_or_not_at_all() {
    let feed = Feed::open().await;
    feed.grow(PAGE - 1);
    feed.put(json!({ "severity": 60 }));
    let house = started(&feed).await;
    let began = Instant::now();
    loop {
        let poll = house.poll().await;
        if poll["failures"].as_u64().is_some_and(|failures| failures >= 2) {
            let why = poll["why"].as_str().expect("words");
            assert!(why.contains("alert-without-title"), "{why}");
            assert_eq!(poll["cursor"], json!("c0"));
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{poll}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(house.all("alerts").await.is_empty(), "nothing of the page was stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_leads_in_a_circle_is_told_and_not_read_for_ever() {
    let feed = Feed::open().await;
    feed.grow(2 * PAGE);
    feed.next(&[Mood::Circles; 4]);
    let house = started(&feed).await;
    let began = Instant::now();
    let poll = loop {
        let poll = house.poll().await;
        if poll["failures"].as_u64().is_some_and(|failures| failures >= 2) {
            break poll;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{poll}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(poll["why"].as_str().is_some_and(|why| why.contains("circle")), "{poll}");
    assert_eq!(
        (&poll["cursor"], &feed.asked()[..2]),
        (&json!("c300"), &["c0".to_owned(), "c300".to_owned()][..])
    );
    let told = house.get("/attention").await;
    assert_eq!(told["items"][0]["need"], json!("unpolled"), "{told}");
    house.read_to("c600").await;
    house.holds_each_once(600).await;
    assert_eq!(
        feed.asked()[..5],
        ["c0", "c300", "c300", "c300", "c300"],
        "no place is asked twice in a row but the last"
    );
}

/// Four items of one second, and three on a page: the fourth cannot be asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_cannot_be_got_past_is_told_until_the_list_moves_on() {
    let feed = Feed::open().await;
    feed.count_by_seconds(3);
    let event = |name: &str, second: u64| json!({ "source_id": name, "title": name, "severity": 60, "second": second });
    for name in ["a", "b", "c", "d"] {
        feed.put(event(name, 7));
    }
    let mut house = House::of(&feed);
    house.settings(|settings| {
        settings.replace("every: 1s", "every: 1s, more: \"${ size(output.events) >= 3 }\"")
    });
    house.start(None);
    house.ready().await;
    let began = Instant::now();
    let told = house.told().await;
    assert_eq!(told["need"], json!("unpolled"));
    assert!(told["what"].as_str().is_some_and(|what| what.contains("more may wait")), "{told}");
    let poll = house.poll().await;
    assert_eq!((&poll["cursor"], &poll["taken"]), (&json!("c7"), &json!(3)), "{poll}");
    assert!(
        poll["why"].as_str().is_some_and(|why| why.contains("its next cursor is where it began")),
        "{poll}"
    );
    house.holds_each_once(3).await;

    // With room for all four on a page it is quiet, though each look meets the last second again.
    feed.count_by_seconds(5);
    house.kill();
    house.settings(|settings| settings.replace(">= 3", ">= 5"));
    house.start(None);
    house.ready().await;
    feed.put(event("e", 8));
    house.read_to("c8").await;
    house.holds_each_once(5).await;
    let looks = feed.asked().len();
    while feed.asked().len() < looks + 3 {
        assert!(began.elapsed() < Duration::from_secs(120), "it is asked no more");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(house.poll().await["failures"], json!(0));
    assert_eq!(house.get("/attention").await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_of_more_alerts_than_one_delivery_may_bring_is_taken_in_parts() {
    let feed = Feed::open().await;
    feed.grow(4 * PAGE);
    feed.whole();
    let mut house = House::of(&feed);
    house.settings(|settings| settings.replace("${ output.events }", "${ {'alerts': output.events} }"));
    house.start(None);
    house.ready().await;
    house.read_to("c1200").await;
    house.holds_each_once(1200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_is_shown_to_those_alone_who_respond() {
    let feed = Feed::open().await;
    feed.grow(5);
    let mut house = House::of(&feed);
    let token = |role: &str| format!("token-of-a-{role}-0123456789abcdef");
    let tokens = ["reader", "approver", "responder"].map(|role| {
        let sha256: String = Sha256::digest(token(role)).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("    - {{ who: {role}@example.com, sha256: {sha256}, roles: [{role}] }}\n")
    });
    house.settings(|settings| format!("{settings}access:\n  tokens:\n{}", tokens.concat()));
    house.start(None);
    house.ready().await;
    house.read_to("c5").await;
    for (role, sees) in [("reader", false), ("approver", false), ("responder", true)] {
        let polls = house.get_as(&token(role), "/polls").await;
        let poll = &polls["items"][0];
        assert_eq!((poll["cursor"] == "c5", &poll["taken"]), (sees, &json!(5)), "{role}: {polls}");
        assert!(sees || poll["cursor"].as_str().is_some_and(|told| told.starts_with("sha256 ")), "{polls}");
    }
}

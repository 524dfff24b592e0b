//! `kill -9` around every moment of a page: between its parts, between its last
//! alert and the cursor, and after. What follows reads on, and nothing is doubled.

use std::time::Duration;

use crate::feed::{Feed, Mood, PAGE};
use crate::house::House;

/// Points around what the journal takes of a page, each passed at every append.
#[cfg(feature = "failpoints")]
const POINTS: [&str; 5] =
    ["append.taken", "append.written", "append.flushed", "append.synced", "append.marked"];

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_at_every_point_of_a_page_loses_and_doubles_nothing() {
    let feed = Feed::open().await;
    let mut house = House::of(&feed);
    let mut count = 0;
    for what in ["poll_advanced", "alert_received"] {
        for point in POINTS {
            // Two parts: the kill at an alert falls into the first.
            feed.grow(260);
            count += 260;
            house.start(Some(&format!("{point}:{what}\n")));
            house.died().await;
        }
    }
    house.start(None);
    house.ready().await;
    house.read_to(&format!("c{count}")).await;
    house.holds_each_once(count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_at_any_moment_loses_and_doubles_nothing() {
    let feed = Feed::open().await;
    let mut house = House::of(&feed);
    let kills = if std::env::var_os("QUELL_LONG").is_some() { 40 } else { 6 };
    let mut count = 0;
    for kill in 0..kills {
        feed.grow(PAGE);
        count += PAGE;
        if kill % 3 == 2 {
            feed.next(&[Mood::Hangs]);
        }
        let looked = feed.asked().len();
        house.start(None);
        while feed.asked().len() == looked {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // From the first byte of the answer to past the end of the page.
        tokio::time::sleep(Duration::from_millis(13 * (kill as u64 * 7 % 23))).await;
        house.kill();
    }
    house.start(None);
    house.ready().await;
    house.read_to(&format!("c{count}")).await;
    house.holds_each_once(count).await;
}

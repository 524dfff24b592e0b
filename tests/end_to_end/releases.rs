//! Who is set aside when a server is killed again and again, and how many are let go on at once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::attention::Peer;
use crate::house::Server;

const LOOKS: &str = "playbook: looks\nversion: 1\ntitle: Looks\nposture: overt\ninputs: { name: { type: string } }\nsteps:\n  - { id: system, enrich: assets.system, with: { name: \"${ inputs.name }\" } }\n";

/// Runs that come at once, and calls that their system takes at once.
const CROWD: usize = 10;
const AT_ONCE: usize = 2;
/// Lives after which two runs were at work often enough, whatever the order in which
/// a start takes them up.
const LIVES_MAX: usize = 14;

async fn standing(server: &Server, status: &str) -> Vec<String> {
    let page = server.get("/runs").await;
    let rows = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
    let rows = rows.iter().filter(|row| row["status"] == status);
    rows.filter_map(|row| row["id"].as_str().map(str::to_owned)).collect()
}

async fn set_aside(server: &Server) -> Vec<String> {
    standing(server, "quarantined").await
}

async fn until_ended(server: &Server, count: usize) {
    for _ in 0..1500 {
        if standing(server, "succeeded").await.len() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("they never ended: {}", server.get("/runs").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_crowd_only_runs_that_were_at_work_are_set_aside_and_one_order_lets_all_go_on() {
    let mut assets = Peer::start(false).await;
    let settings = format!(
        "connectors:\n  assets: {{ use: assets, url: \"http://{}\", at_once: {AT_ONCE}, auth: {{ token: \"${{env:QUELL_TEST_TOKEN}}\" }} }}\n",
        assets.address
    );
    let mut server = Server::with(&settings, &[("looks.yaml", LOOKS)]).await;
    let mut runs = Vec::new();
    for nth in 0..CROWD {
        let body = json!({ "inputs": { "name": format!("system-{nth}.") } });
        let started = server.post("/playbooks/looks/runs", &body, &[]).await;
        runs.push(started.body["run"].as_str().unwrap_or_else(|| panic!("{}", started.body)).to_owned());
    }
    let mut lives = 0;
    while set_aside(&server).await.len() < 2 {
        lives += 1;
        assert!(lives <= LIVES_MAX, "nothing was set aside after {lives} lives");
        assets.came(lives * AT_ONCE).await;
        server.die_and_come_back().await;
    }
    let aside = set_aside(&server).await;
    let asked = assets.asked.lock().expect("no test panics here").clone();
    for run in &aside {
        let nth = runs.iter().position(|known| known == run).expect("it is one of ours");
        let times = asked.iter().filter(|line| line.contains(&format!("system-{nth}."))).count();
        assert!(times >= 2, "{run} was asked for {times} times and is set aside: {asked:#?}");
    }
    assert!(aside.len() < CROWD / 2, "the crowd is set aside: {aside:?}");

    assets.answers.store(true, Ordering::SeqCst);
    let waits = runs.iter().find(|run| !aside.contains(run)).expect("most are not set aside");
    let out = server.quell(&["release", &aside[0], waits, "--note", "the inventory was mended"]);
    assert_eq!(out.status.code(), Some(3), "{}", out.text);
    for told in [format!("{} goes on from where it stood", aside[0]), format!("{waits} is not set aside")] {
        assert!(out.text.contains(&told), "{told} in {}", out.text);
    }
    let out = server.quell(&["release", "--all", "--note", "the inventory was mended"]);
    assert!(out.status.success(), "{}", out.text);
    for run in &aside[1..] {
        assert!(out.text.contains(&format!("{run} goes on from where it stood")), "{}", out.text);
    }
    // Those that were at work in the last life wait for an answer that never comes.
    server.die_and_come_back().await;
    let left = set_aside(&server).await;
    if !left.is_empty() {
        let answer = server.post("/runs/release", &json!({ "runs": left, "note": "again" }), &[]).await;
        assert!(
            answer.body["items"]
                .as_array()
                .is_some_and(|items| items.iter().all(|item| item["released"] == true)),
            "{}",
            answer.body
        );
    }
    until_ended(&server, CROWD).await;
    assert!(server.quell(&["release", "--all"]).text.contains("no run is set aside"));
    for body in [json!({}), json!({ "all": true, "runs": [waits] })] {
        let answer = server.post("/runs/release", &body, &[]).await;
        assert_eq!((answer.status, &answer.body["code"]), (422, &json!("scope-wrong")), "{}", answer.body);
    }
    let timeline = server.get(&format!("/runs/{}", aside[1])).await["timeline"].to_string();
    assert!(timeline.contains("the inventory was mended"), "{timeline}");
}

//! What `quell show` tells of each sort of thing: the lab's story, looked at after
//! it has ended.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use quell::lab::range::{Lab as Range, LabOptions};

use crate::house::{Lab, Server, quell};

/// A server over what a lab left behind.
struct Afterwards {
    lab: Lab,
    child: Child,
}

impl Afterwards {
    fn of(lab: Lab) -> Self {
        let data = lab.data();
        let child = Command::new(env!("CARGO_BIN_EXE_quell"))
            .args(["--config", data.join("quell.yaml").to_str().expect("it is text")])
            .args(["--data", data.to_str().expect("it is text"), "serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let served = Self { lab, child };
        for _ in 0..500 {
            if served.quell(&["runs"]).0 {
                return served;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server never got ready");
    }

    fn quell(&self, args: &[&str]) -> (bool, String) {
        let data = self.lab.data();
        let out = quell(&[&["--data", data.to_str().expect("it is text")][..], args].concat(), &data);
        (out.status.success(), out.text)
    }

    fn shown(&self, id: &str) -> String {
        let (good, text) = self.quell(&["show", id]);
        assert!(good, "{text}");
        text
    }

    /// The first id of this sort in a list.
    fn id(&self, list: &str, prefix: &str) -> String {
        let (_, text) = self.quell(&[list, "--all"]);
        let id = text.split_whitespace().find(|word| word.starts_with(prefix));
        id.unwrap_or_else(|| panic!("no {prefix} in {text}")).to_owned()
    }
}

impl Drop for Afterwards {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Each of these in the text, in this order.
fn in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("`{word}` in its place in:\n{text}"));
        rest = &rest[at + word.len()..];
    }
}

#[test]
fn everything_of_the_labs_story_can_be_shown() {
    let lab = Lab::new();
    let out = lab.play(&["--exit", "--pace", "0"]);
    assert!(out.status.success(), "{}", out.text);
    let after = Afterwards::of(lab);
    let run = after.shown(&after.id("runs", "run_"));
    let head =
        ["succeeded  departing-employee-exfiltration version", "incident", "started", "by trigger", "ended"];
    in_order(&run, &head);
    in_order(&run, &["What happened:", "the message as it was sent → 250"]);
    assert!(!run.contains("left out") && !run.contains("Waits for:"), "{run}");
    assert!(!run.contains("the answer → 250"), "a mail is no answer: {run}");

    let approvals = after.quell(&["approvals", "--all"]).1;
    let block = approvals.lines().find(|line| line.contains("contain")).expect("the block was approved");
    let approval = after.shown(block.split_whitespace().next().expect("it has an id"));
    in_order(&approval, &["approved  apr_", "needs a yes", "1 person of ir-leads and 1 person of hr"]);
    in_order(
        &approval,
        &[
            "STEP",
            "OPERATION",
            "AS FAR AS KNOWN",
            "suspend",
            "scim.suspend_user",
            "end_sessions",
            "sessions.revoke",
        ],
    );
    let said = approval.lines().filter(|line| line.contains("@example.com  yes for group:")).count();
    assert_eq!(said, 2, "each on a line: {approval}");
    assert!(!approval.contains("To decide:"), "{approval}");

    let held = after.quell(&["containments"]).1;
    let held = held.split_whitespace().find(|word| word.starts_with("ctn_")).expect("one holds").to_owned();
    let containment = after.shown(&held);
    in_order(
        &containment,
        &["verified  Dana Whitfield", "scim.suspend_user", "read back", "active=false", "until"],
    );
    assert_eq!(containment.matches("approved by").count(), 2, "{containment}");
    let data = after.lab.data().display().to_string();
    for command in [format!("--data {data} undo {held} "), format!("--data {data} extend {held} --for 24h")] {
        assert!(containment.contains(&command), "`{command}` in {containment}");
    }

    let incident = after.shown(&after.id("incidents", "inc_"));
    in_order(
        &incident,
        &["severity", "What is known:", "alert alt_", "run run_", "started by", "ended: succeeded"],
    );
    let alert = after.shown(&after.id("alerts", "alt_"));
    in_order(
        &alert,
        &["run started", "incident", "inc_", "What is known:", "alert alt_", "ended: succeeded"],
    );
}

#[tokio::test]
async fn a_run_that_waits_says_for_what_and_until_when() {
    let waits =
        "playbook: waits\nversion: 1\ntitle: Waits\nposture: overt\nsteps:\n  - id: pause\n    wait: 1h\n";
    let server = Server::with("", &[("waits.yaml", waits)]).await;
    let started = server.post("/playbooks/waits/runs", &serde_json::json!({}), &[]).await;
    let run = started.body["run"].as_str().expect("it is started").to_owned();
    let mut shown = String::new();
    for _ in 0..500 {
        shown = server.quell(&["show", &run]).text;
        if shown.contains("Waits for:") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    in_order(&shown, &["waiting  waits version 1", "Waits for:", "pause", "a point in time", " UTC"]);
    let list = server.quell(&["runs"]).text;
    assert!(list.contains("pause"), "where it waits for nobody, the step: {list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_asked_about_one_step_sees_what_it_would_do() {
    let dir = tempfile::tempdir().expect("there is room");
    let options = LabOptions { data: dir.path().to_owned(), seed: 7, now: chrono::Utc::now(), pace: 1.0 };
    let range = Range::start(options).await.expect("the range starts");
    let settings = format!(
        "mail: {{ connector: smtp, from: quell@example.com }}\nconnectors:\n  smtp: {{ use: smtp, url: \"smtp://{}\" }}\n",
        range.smtp_addr
    );
    let tells = "playbook: tells\nversion: 1\ntitle: Tells\nposture: overt\nsteps:\n  - id: tell\n    notify: { to: lee.park@example.com, text: A word about the ledger }\n    approval: { by: [lee.park@example.com], within: 1h }\n";
    let server = Server::with(&settings, &[("tells.yaml", tells)]).await;
    let started = server.post("/playbooks/tells/runs", &serde_json::json!({}), &[]).await;
    assert_eq!(started.status, 201, "{}", started.body);
    let mut id = None;
    for _ in 0..500 {
        let list = server.quell(&["approvals"]).text;
        id = list.split_whitespace().find(|word| word.starts_with("apr_")).map(str::to_owned);
        if id.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let id = id.expect("an approval waits");
    let shown = server.quell(&["show", &id]).text;
    in_order(
        &shown,
        &[
            "waits  apr_",
            "lee.park@example.com",
            "silence is a no",
            "STEP",
            "tell",
            "A word about the ledger",
        ],
    );
    in_order(&shown, &["nobody yet", "To decide:", &format!(" approve {id}"), &format!(" reject {id}")]);
    let runs = server.quell(&["runs"]).text;
    assert!(runs.contains("lee.park@example.com"), "the people, and not the step: {runs}");
    // A word that comes too late is told how and when it was decided.
    let run = runs.split_whitespace().find(|word| word.starts_with("run_")).expect("it is listed").to_owned();
    assert!(server.quell(&["cancel", &run]).status.success());
    let late = server.quell(&["approve", &id]);
    assert_eq!(late.status.code(), Some(3), "{}", late.text);
    in_order(&late.text, &["approval-closed", "was closed as withdrawn at 20", "before this came", &run]);
    for (step, told) in [("tell", "is not uncertain"), ("tall", "is not there")] {
        let out = server.quell(&["settle", &run, step, "happened"]).text;
        in_order(&out, &[&format!("step `{step}` {told}"), "no step of this run is uncertain"]);
    }
    range.stop().await;
}

#[tokio::test]
async fn a_plan_begins_with_what_holds_over_all_ways_and_a_table_of_its_outcomes() {
    let ask = |id: &str| {
        format!(
            "  - id: {id}\n    ask: {{ who: sam@example.com, question: \"Q\", choices: {{ good: G, bad: B, unsure: U }}, within: 1h, if_silent: unsure }}\n"
        )
    };
    let change = "  - id: note\n    incident: { severity: 80, tags: [seen] }\n";
    let asks = |ids: &[&str]| {
        let steps: String = ids.iter().map(|id| ask(id)).collect();
        format!("playbook: asks{}\nversion: 1\ntitle: T\nposture: overt\nsteps:\n{change}{steps}", ids.len())
    };
    let (one, three) = (asks(&["a"]), asks(&["a", "b", "c"]));
    let server = Server::with("", &[("one.yaml", &one), ("three.yaml", &three)]).await;
    let plan = server.quell(&["plan", "asks1"]).text;
    in_order(
        &plan,
        &[
            "There are 3 ways it may go",
            "all with the same outcome",
            "contains  nothing",
            "asks      sam@example.com, in 3 of 3 ways",
            "ENDS",
            "WOULD BE CONTAINED",
            "1  3     good/bad/unsure  succeeded  nothing",
            "1. In 3 of 3 ways, such as if answered a: good:",
        ],
    );
    assert!(plan.contains("the incident would change: severity 80 of 100; tagged seen"), "{plan}");
    assert!(!plan.contains("{\"") && !plan.contains("left out"), "{plan}");
    let plan = server.quell(&["plan", "asks3"]).text;
    in_order(&plan, &["There are 27 ways", "in 27 of 27 ways", "a", "b", "c", "ENDS"]);
}

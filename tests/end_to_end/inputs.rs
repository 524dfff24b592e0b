//! One reading of inputs for runs, plans, tests, schedules and playbooks that others run.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::Server;

const TAKES: &str = "playbook: takes
version: 1
title: Takes inputs
posture: overt
on:
  - alert: ${ alert.title == \"start takes\" }
inputs:
  ticket: { type: string, default: \"0042\" }
  count: { type: integer, default: 2 }
  share: { type: number, default: 0.5 }
  urgent: { type: boolean, default: true }
steps:
  - id: seen
    set: { ticket: \"${ inputs.ticket }\", count: \"${ inputs.count }\", share: \"${ inputs.share }\", urgent: \"${ inputs.urgent }\" }
  - id: mark
    when: ${ inputs.urgent }
    incident: { tags: [\"ticket ${ inputs.ticket }\"] }
";

const CALLS: &str = "playbook: calls
version: 1
title: Runs another
posture: overt
steps:
  - { id: inner, playbook: takes, with: { count: 3 } }
";

const NEEDS: &str = "playbook: needs
version: 1
title: Needs an input
posture: overt
inputs: { ticket: { type: string, required: true }, count: { type: integer } }
steps:
  - { id: seen, set: { ticket: \"${ inputs.ticket }\" } }
";

const TESTED: &str = "test: takes
cases:
  - case: defaults stand where the case gives nothing
    inputs: { count: 7 }
    expect:
      outputs: { seen: { ticket: \"0042\", count: 7, share: 0.5, urgent: true } }
";

async fn server() -> Server {
    Server::with("", &[("takes.yaml", TAKES), ("calls.yaml", CALLS), ("needs.yaml", NEEDS)]).await
}

/// What a step of a run gave. The stream of a run's entries ends with the run.
async fn output(server: &Server, run: &str, step: &str) -> Value {
    let text = server.get(&format!("/runs/{run}/events")).await.as_str().unwrap_or_default().to_owned();
    let entries =
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data:")?).ok());
    let ended = entries.filter_map(|entry| entry["event"].get("step_ended").cloned());
    let mut ended = ended.filter(|event| event["key"] == step);
    ended.next().map_or_else(|| panic!("{step} never ended in {text}"), |event| event["output"].clone())
}

fn run_of(printed: &str) -> String {
    let word = printed.split_whitespace().find(|word| word.starts_with("run_"));
    word.unwrap_or_else(|| panic!("no run in {printed}")).to_owned()
}

#[tokio::test]
async fn the_declared_type_says_how_a_typed_input_is_read_and_defaults_fill_the_rest() {
    let server = server().await;
    let out = server.quell(&["run", "takes", "--input", "ticket=4711", "--input", "share=4711"]);
    assert!(out.status.success(), "{}", out.text);
    let wanted = json!({ "ticket": "4711", "count": 2, "share": 4711, "urgent": true });
    assert_eq!(output(&server, &run_of(&out.text), "seen").await, wanted);
    let plan = server.quell(&["plan", "takes", "--input", "ticket=true"]).text;
    assert!(plan.contains("tagged ticket true"), "a plan reads as a run does, defaults too: {plan}");
    let plan = server.quell(&["plan", "takes", "--input", "urgent=false"]).text;
    assert!(!plan.contains("tagged"), "{plan}");
    // Over the API a value has its type already.
    let body = json!({ "inputs": { "ticket": 4711 } });
    for path in ["/playbooks/takes/runs", "/playbooks/takes/plan"] {
        let refused = server.post(path, &body, &[]).await;
        assert_eq!((refused.status, &refused.body["code"]), (422, &json!("input-wrong")), "{}", refused.body);
        let told = "the input `ticket` takes text, such as abc; `4711` was given";
        assert!(refused.body["detail"].as_str().is_some_and(|text| text.contains(told)), "{}", refused.body);
    }
}

#[tokio::test]
async fn defaults_stand_in_runs_that_an_alert_a_playbook_or_a_case_starts() {
    let server = server().await;
    let defaults = json!({ "ticket": "0042", "count": 2, "share": 0.5, "urgent": true });
    let taken = server.deliver("open", br#"{"title":"start takes"}"#.to_vec(), &[]).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    let mut runs = json!(null);
    for _ in 0..1000 {
        runs = server.get("/runs?playbook=takes").await;
        if runs["items"].as_array().is_some_and(|items| !items.is_empty()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let run = runs["items"][0]["run"].as_str().or(runs["items"][0]["id"].as_str());
    assert_eq!(output(&server, run.unwrap_or_else(|| panic!("{runs}")), "seen").await, defaults);
    let started = server.post("/playbooks/calls/runs", &json!({}), &[]).await;
    let outer = started.body["run"].as_str().unwrap_or_default().to_owned();
    let inner = output(&server, &outer, "inner").await["steps"]["seen"].clone();
    assert_eq!(inner, json!({ "ticket": "0042", "count": 3, "share": 0.5, "urgent": true }));
    let file = server.data().join("../playbooks/takes.test.yaml");
    std::fs::write(&file, TESTED).expect("it is written");
    let out = server.quell(&["test", file.to_str().expect("it is text")]);
    assert!(out.status.success(), "{}", out.text);
}

#[tokio::test]
async fn a_wrong_input_is_told_by_its_name_its_type_and_an_example() {
    let server = server().await;
    for (inputs, told) in [
        (
            &["ticket=a", "count=many"][..],
            "the input `count` takes a whole number, such as 7; `many` was given",
        ),
        (&[], "the input `ticket` is missing; it takes text, such as abc; give it: --input ticket=…"),
        (&["tiket=a"], "there is no input `tiket`; the inputs are: ticket, count"),
        (&["ticket"], "`ticket` has no `=`; write name=value"),
        (&["ticket=a", "ticket=b"], "`ticket` is given twice"),
    ] {
        for command in ["run", "plan"] {
            let mut args = vec![command, "needs"];
            inputs.iter().for_each(|input| args.extend(["--input", input]));
            let out = server.quell(&args);
            assert_eq!(out.status.code(), Some(2), "{args:?}: {}", out.text);
            assert!(out.text.contains(told), "`{told}` in {}", out.text);
        }
    }
}

//! `quell plan`: the same question gets the same answer, counted over all ways.

use serde_json::{Value, json};

use crate::house::Server;

/// Every group that the playbooks name has somebody.
const GROUPS: &str = "people: { groups: { leads: [lee@example.com], hr: [sam@example.com], ir-leads: [sam@example.com], legal: [sam@example.com], managers: [sam@example.com] } }\n";

/// Five questions of three answers each: 243 ways. One answer to the last question in
/// file order contains, so a walk that stops early does not see it.
fn playbook() -> String {
    let ask = |id: &str| {
        format!(
            "  - id: {id}\n    needs: []\n    ask: {{ who: {id}@example.com, question: \"Q\", choices: {{ yes: Y, no: N, unsure: U }}, within: 1h, if_silent: unsure }}\n"
        )
    };
    let asks: String = ["a", "b", "c", "d", "e"].iter().map(|id| ask(id)).collect();
    let each = |id: &str| {
        format!(
            "  - id: mark_{id}\n    needs: [{id}]\n    when: ${{ steps.{id}.choice == \"yes\" }}\n    incident: {{ tags: [{id}] }}\n"
        )
    };
    let marks: String = ["a", "b"].iter().map(|id| each(id)).collect();
    format!(
        r#"playbook: many
version: 1
title: Many ways
posture: compromise
inputs: {{ who: {{ type: string, default: dana@example.com }} }}
steps:
{asks}{marks}  - id: suspend
    needs: [a, e]
    when: ${{ steps.a.choice == "unsure" && steps.e.choice == "unsure" }}
    contain: scim.suspend_user
    with: {{ user: "${{ inputs.who }}" }}
    approval: {{ by: ["group:leads"], within: 30m }}
    on_error: continue
  - id: stop
    needs: [a, b, c, d, e]
    when: ${{ steps.b.choice == "unsure" }}
    set: {{ broken: "${{ int(inputs.who) }}" }}
"#
    )
}

/// Without the times, which pass.
fn timeless(text: &str) -> String {
    let is_time = |word: &str| word.len() >= 5 && word.as_bytes()[2] == b':';
    let is_date = |word: &str| word.len() == 10 && word.starts_with("20");
    text.lines()
        .map(|line| {
            let words = line.split(' ').filter(|word| !is_time(word) && !is_date(word));
            words.collect::<Vec<_>>().join(" ") + "\n"
        })
        .collect()
}

#[tokio::test]
async fn the_same_plan_is_told_the_same_with_every_way_counted_and_the_worst_first() {
    let server = Server::with(GROUPS, &[("many.yaml", &playbook())]).await;
    let first = server.quell(&["plan", "many"]);
    assert_eq!(first.status.code(), Some(1), "some ways fail: {}", first.text);
    let again = server.quell(&["plan", "many"]);
    assert_eq!(timeless(&first.text), timeless(&again.text));
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| panic!("{text}"));
    let plan = json(&server.quell(&["--format", "json", "plan", "many"]).text);
    let over_api = server.post("/playbooks/many/plan", &json!({}), &[]).await.body;
    assert_eq!(timeless(&plan["branches"].to_string()), timeless(&over_api["branches"].to_string()));
    let summary = &plan["summary"];
    assert_eq!(
        (&summary["ways"], &summary["complete"], &plan["counted"]),
        (&json!(243), &json!(true), &json!(true))
    );
    assert_eq!(summary["failing"], json!(81), "{summary}");
    let asked = |who: &str| {
        let asks = summary["asks"].as_array().into_iter().flatten();
        asks.filter(|one| one["what"] == who).find_map(|one| one["ways"].as_u64())
    };
    assert_eq!((asked("a@example.com"), asked("e@example.com")), (Some(243), Some(243)), "{summary}");
    // The 27 ways in which two answers are `unsure` come to the suspension.
    let suspend = |line: &Value| line.as_str().is_some_and(|line| line.starts_with("suspend:"));
    let branches = plan["branches"].as_array().cloned().unwrap_or_default();
    let tried = |branch: &&Value| {
        let lines = branch["lines"].as_array().cloned().unwrap_or_default();
        lines.iter().any(|line| suspend(line) && !line.to_string().contains("skipped"))
    };
    let ways: u64 = branches.iter().filter(tried).filter_map(|branch| branch["ways"].as_u64()).sum();
    assert_eq!(ways, 27, "{branches:#?}");
    let told = [
        "There are 243 ways it may go",
        "a@example.com, in 243 of 243 ways",
        "fails",
        "in 81 of 243 ways",
        "ENDS",
    ];
    let mut rest = &first.text[..];
    for told in told {
        let (_, after) = rest.split_once(told).unwrap_or_else(|| panic!("`{told}` in {}", first.text));
        rest = after;
    }
    let order: Vec<bool> = branches.iter().map(|branch| branch["outcome"] == "failed").collect();
    assert!(order.is_sorted_by(|one, next| one >= next), "what fails goes first: {order:?}");
}

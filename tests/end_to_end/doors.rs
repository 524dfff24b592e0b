//! The doors: what programs and people get from the server's addresses.

use std::time::Duration;

use quell::lab::range::{Lab as Range, LabOptions};
use serde_json::{Value, json};

use crate::house::Server;

const JSON: (&str, &str) = ("content-type", "application/json");

/// Words of the language that the server is written in.
const FOREIGN: [&str; 9] =
    ["struct", "u64", "usize", "Option<", "deserialize", "serde", "Failed to", "Body", "enum"];

/// Method, path, headers, body; the status, and what the detail says.
type Refused<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

#[tokio::test]
async fn every_refusal_is_a_problem_document_in_plain_words() {
    let server = Server::start().await;
    let run = "/api/v1/runs/run_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let long = format!("{{\"why\":\"{}\"}}", "x".repeat(2 << 20));
    let cases: [Refused<'_>; 22] = [
        ("POST", "/api/v1/playbooks/quick/runs", &[JSON], "{", 400, "is no JSON"),
        ("POST", "/api/v1/playbooks/quick/runs", &[JSON], "[]", 400, "must be a JSON object"),
        ("POST", "/api/v1/playbooks/quick/runs", &[JSON], "", 400, "needs a body"),
        (
            "POST",
            "/api/v1/playbooks/quick/runs",
            &[("content-type", "text/plain")],
            "{}",
            415,
            "content-type",
        ),
        ("POST", "/api/v1/playbooks/quick/runs", &[JSON], r#"{"inputs":[]}"#, 400, "`inputs`: it is a list"),
        ("POST", "/api/v1/playbooks/quick/runs", &[JSON], r#"{"input":{}}"#, 400, "there is no `input`"),
        (
            "POST",
            "/api/v1/playbooks/quick/runs",
            &[JSON, ("idempotency-key", " ")],
            "{}",
            400,
            "Idempotency-Key",
        ),
        ("POST", "/api/v1/playbooks/nope/runs", &[JSON], "{}", 404, "there is no playbook `nope`"),
        ("POST", "/api/v1/containments/x/extend", &[JSON], r#"{"seconds":"1"}"#, 400, "a whole number"),
        ("POST", "/api/v1/reports", &[JSON], "{}", 400, "it lacks `of`"),
        ("POST", "/api/v1/runs/x/cancel", &[JSON], &long, 413, "larger than 1 MiB"),
        ("POST", "/api/v1/runs/x/undo", &[], "why=now", 415, "content-type"),
        ("GET", "/api/v1/runs?limit=many", &[], "", 400, "`limit=many`: it must be a whole number"),
        ("GET", "/api/v1/runs?limit=0", &[], "", 400, "1 to 500"),
        ("GET", "/api/v1/runs?lmit=5", &[], "", 400, "there is no `lmit`"),
        ("GET", "/api/v1/runs?live=1", &[], "", 400, "`true` or `false`"),
        ("GET", "/api/v1/approvals?after=yesterday", &[], "", 400, "`after` is no place in this list"),
        ("GET", "/api/v1/runs/x", &[], "", 400, "no run id"),
        ("GET", "/api/v1/runs/%ff", &[], "", 400, "no text in UTF-8"),
        ("DELETE", "/api/v1/runs", &[], "", 405, "takes no DELETE"),
        ("PUT", run, &[], "", 405, "takes no PUT"),
        ("GET", "/api/v1/nowhere", &[], "", 404, "nothing at this address"),
    ];
    for (method, path, headers, body, status, says) in cases {
        let answer = server.call(method, path, headers, body).await;
        let what = format!("{method} {path}: {}", answer.body);
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(answer.kind, "application/problem+json", "{what}");
        assert_eq!(answer.body["status"], json!(status), "{what}");
        assert!(answer.body["code"].as_str().is_some_and(|code| !code.is_empty()), "{what}");
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(says), "{what}");
        assert!(FOREIGN.iter().all(|word| !detail.contains(word)), "{what}");
    }
}

#[tokio::test]
async fn the_servers_own_address_says_what_it_is_and_nothing_of_the_house() {
    let server = Server::start().await;
    let answer = reqwest::get(&server.base).await.expect("it answers");
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-type"].to_str().is_ok_and(|kind| kind.starts_with("text/html")));
    let html = answer.text().await.expect("it is whole");
    for told in ["Quell", "/api/v1", "/api/v1/openapi.json", "quell --help"] {
        assert!(html.contains(told), "{told}: {html}");
    }
    for kept in ["quick", "yearly", "departing", "open", "signed"] {
        assert!(!html.replace("openapi", "").contains(kept), "{kept}: {html}");
    }
}

#[tokio::test]
async fn what_the_description_says_is_what_the_server_takes() {
    let server = Server::start().await;
    let http = reqwest::Client::new();
    let answer = http.get(server.url("/openapi.json")).send().await.expect("it answers");
    let text = answer.text().await.expect("it is whole");
    let document: Value = serde_json::from_str(&text).expect("it is JSON");
    let paths = document["paths"].as_object().expect("it has paths");
    assert!(paths.len() >= 25);
    for (path, described) in paths {
        let at = path.replace("{id}", "x").replace("{name}", "x").replace("{source}", "x");
        for method in ["get", "post", "put", "patch", "delete"] {
            let answer = server.call(&method.to_uppercase(), &format!("/api/v1{at}"), &[], "").await;
            let is_described = described.get(method).is_some();
            assert_eq!(answer.status != 405, is_described, "{method} {path}: {}", answer.status);
            assert_ne!(answer.body["code"], json!("route-unknown"), "{method} {path}");
            let needs_token = described[method]["security"].as_array().is_some_and(|needs| !needs.is_empty());
            if is_described && needs_token {
                let method = method.to_uppercase().parse().expect("it is a method");
                let bare = http.request(method, server.url(&at)).send().await.expect("it answers");
                assert_eq!(bare.status(), 401, "{path} is described as needing a token");
            }
        }
    }
}

#[tokio::test]
async fn what_was_stored_of_an_alert_is_what_a_second_delivery_is_told() {
    let server = Server::start().await;
    let alert = json!({ "source_id": "a-1", "title": "A file left", "category": "dlp", "severity": 20 });
    let first = server.deliver("open", alert.to_string().into_bytes(), &[]).await;
    let again = server.deliver("open", alert.to_string().into_bytes(), &[]).await;
    let (first, again) = (&first.body["alerts"][0], &again.body["alerts"][0]);
    assert_eq!((&again["duplicate"], &again["title"]), (&json!(true), &json!("A file left")));
    assert_eq!((&again["id"], &again["reasons"]), (&first["id"], &first["reasons"]));
}

#[tokio::test]
async fn one_idempotency_key_starts_one_run_with_an_alert_too() {
    let server = Server::start().await;
    for body in [json!({}), json!({ "alert": { "title": "A file left", "severity": 90 } })] {
        let key = format!("key-{}", body.to_string().len());
        let header = [("idempotency-key", key.as_str())];
        let first = server.post("/playbooks/quick/runs", &body, &header).await;
        assert_eq!(first.status, 201, "{}", first.body);
        let again = server.post("/playbooks/quick/runs", &body, &header).await;
        assert_eq!(first.body["run"], again.body["run"], "{body}");
    }
    assert_eq!(server.get("/runs").await["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn summaries_that_a_run_kept_are_listed_and_given_as_they_were_written() {
    let writes = "playbook: writes\nversion: 1\ntitle: Writes\nposture: overt\nsteps:\n  - id: brief\n    report: { template: technical, audience: responders, formats: [html, markdown] }\n";
    let server = Server::with("", &[("writes.yaml", writes)]).await;
    let started = server.post("/playbooks/writes/runs", &json!({}), &[]).await;
    let run = started.body["run"].as_str().expect("it is started").to_owned();
    ended(&server, &run).await;
    let listed = server.get(&format!("/reports?run={run}")).await;
    let items = listed["items"].as_array().expect("it is a list").clone();
    assert_eq!(items.len(), 2, "{listed}");
    for item in items {
        let id = item["id"].as_str().expect("it has an id");
        let report = server.call("GET", &format!("/api/v1/reports/{id}"), &[], "").await;
        assert_eq!(report.status, 200, "{}", report.body);
        assert!(report.kind.starts_with(if item["format"] == "html" {
            "text/html"
        } else {
            "text/markdown"
        }));
        assert!(report.body.as_str().is_some_and(|text| text.contains(&run)), "{}", report.body);
    }
    let absent = server.call("GET", "/api/v1/reports/rep_01ARZ3NDEKTSV4RRFFQ69G5FAV", &[], "").await;
    assert_eq!(absent.status, 404, "{}", absent.body);
    for (form, begins) in [("html", "<!doctype html>"), ("markdown", "#")] {
        for flag in ["--format", "--as"] {
            let out = server.quell(&["report", &run, flag, form]);
            assert_eq!(out.status.code(), Some(0), "{}", out.text);
            assert!(out.text.trim_start().starts_with(begins), "{flag} {form}: {}", out.text);
        }
    }
}

#[tokio::test]
async fn a_playbook_is_checked_over_the_api_and_counts_are_given() {
    let server = Server::start().await;
    let good = "playbook: p\nversion: 1\ntitle: T\nposture: overt\nsteps:\n  - id: a\n    wait: 1s\n";
    let answer = server.post("/playbooks/check", &json!({ "text": good }), &[]).await;
    assert_eq!(answer.body, json!({ "ok": true, "diagnostics": [] }));
    let answer = server
        .post("/playbooks/check", &json!({ "text": good.replace("wait", "wiat"), "file": "p.yaml" }), &[])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["ok"], json!(false));
    assert_eq!(answer.body["diagnostics"][0]["file"], json!("p.yaml"), "{}", answer.body);
    assert!(answer.body["diagnostics"][0]["line"].as_u64().is_some_and(|line| line >= 6), "{}", answer.body);
    let metrics = server.call("GET", "/metrics", &[], "").await;
    assert!(
        metrics.body.as_str().is_some_and(|text| text.contains("quell_runs_total 0")),
        "{}",
        metrics.body
    );
    let bare = reqwest::get(format!("{}/metrics", server.base)).await.expect("it answers");
    assert_eq!(bare.status(), 401, "nothing is shown without a token");
}

const ASKS: &str = "playbook: asks\nversion: 1\ntitle: Asks\nposture: overt\nsteps:\n  - id: check\n    ask:\n      who: sam.okafor@example.com\n      question: \"Was the export of Dana's ledger expected?\"\n      choices: { expected: \"Yes, it was\", unsure: I am not sure }\n      within: 1h\n      if_silent: unsure\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_button_answers_and_a_used_link_tells_nothing_more() {
    let dir = tempfile::tempdir().expect("there is room");
    let options = LabOptions { data: dir.path().to_owned(), seed: 7, now: chrono::Utc::now(), pace: 1.0 };
    let range = Range::start(options).await.expect("the range starts");
    let settings = format!(
        "mail: {{ connector: smtp, from: quell@example.com }}\nconnectors:\n  smtp: {{ use: smtp, url: \"smtp://{}\" }}\n",
        range.smtp_addr
    );
    let server = Server::with(&settings, &[("asks.yaml", ASKS)]).await;
    let started = server.post("/playbooks/asks/runs", &json!({}), &[]).await;
    let run = started.body["run"].as_str().expect("it is started").to_owned();
    let mut mails = Vec::new();
    while mails.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        mails = range.mails();
    }
    let link = mails[0].text.split("/q/").nth(1).and_then(|rest| rest.split_whitespace().next());
    let page = format!("/q/{}", link.expect("the mail holds a link"));
    let form = ("content-type", "application/x-www-form-urlencoded");
    let questions = server.quell(&["questions"]).text;
    let id = questions.split_whitespace().find(|word| word.starts_with("qst_")).expect("one waits");
    let shown = server.quell(&["show", id]).text;
    for line in ["expected  Yes, it was", "unsure  I am not sure"] {
        assert!(shown.lines().any(|told| told.trim() == line), "each choice on a line of its own: {shown}");
    }
    let secret = hidden(&server.call("GET", &page, &[], "").await.body, "confirm");
    assert_eq!(secret, None, "what confirms an answer is not in the page that asks");
    for (headers, body, status, says) in [
        // The form as it stands, and what a filler of forms might add to it.
        (&[form][..], "", 400, "choose one of the answers"),
        (&[form], "decide=yes&sure=yes&confirm=", 400, "choose one of the answers"),
        (&[form], "choice=maybe", 400, "none of the answers. Please choose"),
        (&[form], "choice=maybe", 400, "Go on"),
        (&[form], "choice=expected&decide=yes", 200, "Is this your answer?"),
        (&[form], "choice=expected&sure=yes", 200, "Yes, it was"),
        (&[form], "choice=expected&sure=yes&confirm=AAAA", 400, "Please confirm this answer"),
        (&[JSON], "{}", 415, "Nothing was answered"),
        // Another site, whatever it knows.
        (&[form, ("origin", "https://evil.example")], "choice=expected", 403, "from another site"),
        (&[form, ("sec-fetch-site", "cross-site")], "choice=expected", 403, "from another site"),
    ] {
        let answer = server.call("POST", &page, headers, body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(answer.body.as_str().is_some_and(|html| html.contains(says)), "{body}: {}", answer.body);
    }
    let large = format!("decide=yes&choice=expected&x={}", "x".repeat(2 << 20));
    assert_eq!(server.call("POST", &page, &[form], &large).await.status, 413);
    let open = server.call("GET", &page, &[], "").await;
    assert!(open.body.as_str().is_some_and(|html| html.contains("Dana")), "{}", open.body);
    let confirm = |page: &Value| format!("confirm={}", hidden(page, "confirm").expect("it asks to confirm"));
    let asked = server.call("POST", &page, &[form], "choice=expected").await.body;
    let unticked = server.call("POST", &page, &[form], &format!("choice=expected&{}", confirm(&asked))).await;
    assert_eq!(unticked.status, 400, "{}", unticked.body);
    assert!(unticked.body.as_str().is_some_and(|html| html.contains("tick the box")), "{}", unticked.body);
    let other = format!("choice=unsure&sure=yes&{}", confirm(&asked));
    let other = server.call("POST", &page, &[form], &other).await;
    assert_eq!(other.status, 400, "what confirms one answer confirms no other: {}", other.body);
    let own = ("origin", server.base.as_str());
    let confirmed = format!("choice=expected&sure=yes&{}", confirm(&unticked.body));
    let answered =
        server.call("POST", &page, &[form, own, ("sec-fetch-site", "same-origin")], &confirmed).await;
    assert_eq!(answered.status, 200, "{}", answered.body);
    ended(&server, &run).await;
    for answer in [
        answered,
        server.call("GET", &page, &[], "").await,
        server.call("POST", &page, &[form], "choice=unsure").await,
    ] {
        let html = answer.body.as_str().unwrap_or_default().to_owned();
        assert!(html.contains("It was answered on 20"), "{html}");
        for told in ["Dana", "ledger", "Yes, it was", "sam.okafor"] {
            assert!(!html.contains(told), "a used link still tells “{told}”: {html}");
        }
    }
    range.stop().await;
}

/// The value of a hidden field of a page.
fn hidden(page: &Value, name: &str) -> Option<String> {
    let rest = page.as_str()?.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
    rest.split('"').next().map(str::to_owned)
}

/// Waits until a run has succeeded.
async fn ended(server: &Server, run: &str) {
    for _ in 0..1500 {
        let rows = server.get("/runs").await;
        let row = rows["items"].as_array().into_iter().flatten().find(|row| row["id"] == json!(run));
        let status = row.map(|row| row["status"].clone()).unwrap_or_default();
        if status == json!("succeeded") {
            return;
        }
        assert_ne!(status, json!("failed"), "{run} failed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{run} never ended");
}

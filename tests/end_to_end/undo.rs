//! Undo as a person meets it: plans, partial choice, somebody else's changes,
//! and all that an incident's runs contained, against a badge office that keeps
//! several things of each person.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::house::Server;

const SPEC: &str = r#"connector: badge
title: Badge office
limits: { at_once: 4 }
proven: simulated
operations:
  person:
    effect: R
    input: { name: { type: string, required: true } }
    request: { method: GET, path: "/people/${input.name}" }
    success: ${ status == 200 }
    output: { name: "${ body.name }", active: "${ body.active }", doors: "${ body.doors }", desk: "${ body.desk }" }
  close:
    effect: I
    input: { name: { type: string, required: true } }
    containment: { tier: 1, visible_to_subject: false }
    capture: { with: person, id: "${ output.name }", label: "${ output.name }", keep: [active, doors, desk] }
    request: { method: PATCH, path: "/people/${captured.id}", body: { active: false, doors: [] } }
    success: ${ status == 200 }
    verify: { with: person, holds: "${ output.active == false }", within: 1m }
    undo: open
  open:
    effect: I
    input: { name: { type: string, required: true } }
    request:
      method: PATCH
      path: "/people/${captured.id}"
      body: { active: "${ captured.state.active }", doors: "${ captured.state.doors }", desk: "${ captured.state.desk }" }
    success: ${ status == 200 }
"#;

/// A playbook that closes the badges of two people.
fn closes(name: &str, trigger: &str, people: [&str; 2]) -> String {
    let [a, b] = people;
    format!(
        "playbook: {name}\nversion: 1\ntitle: {name}\nposture: overt\n{trigger}steps:\n  - {{ id: stop_{a}, contain: badge.close, with: {{ name: {a} }} }}\n  - {{ id: stop_{b}, contain: badge.close, with: {{ name: {b} }} }}\n"
    )
}

/// A playbook that has another close two badges, and then closes one itself.
const CALLS: &str =
    "playbook: calls\nversion: 1\ntitle: Calls\nposture: overt\nsteps:\n  - { id: both, playbook: one }\n";

/// A playbook that closes eight badges at once.
const MANY: &str = "playbook: many\nversion: 1\ntitle: Many\nposture: overt\nsteps:\n  - id: stop\n    for_each: ${ ['hal', 'ida', 'jon', 'kay', 'lou', 'mia', 'ned', 'oda'] }\n    at_once: 8\n    contain: badge.close\n    with: { name: \"${ item }\" }\n    on_error: continue\n";

#[derive(Default)]
struct Book {
    people: BTreeMap<String, Value>,
    /// Who was written to open again, in order.
    opened: Vec<String>,
    /// How long the office thinks before it answers that.
    thinks: Duration,
    /// How long it thinks before it answers that somebody is closed.
    thinks_of_closing: Duration,
}

/// The badge office, and a server that speaks to it.
struct Office {
    server: Server,
    book: Arc<Mutex<Book>>,
    task: tokio::task::JoinHandle<()>,
    _spec: tempfile::TempDir,
}

type Shared = State<Arc<Mutex<Book>>>;

async fn read(State(book): Shared, Path(name): Path<String>) -> Json<Value> {
    let mut book = book.lock();
    let fresh = || json!({ "name": name, "active": true, "doors": ["front", "lab"], "desk": 12 });
    Json(book.people.entry(name.clone()).or_insert_with(fresh).clone())
}

async fn write(State(book): Shared, Path(name): Path<String>, Json(change): Json<Value>) -> Json<Value> {
    let opens = change["active"] == json!(true);
    let (person, thinks) = {
        let mut book = book.lock();
        if opens {
            book.opened.push(name.clone());
        }
        let thinks = if opens { book.thinks } else { book.thinks_of_closing };
        let person = book.people.entry(name).or_default();
        for (field, value) in change.as_object().expect("a change is an object") {
            person[field] = value.clone();
        }
        (person.clone(), thinks)
    };
    tokio::time::sleep(thinks).await;
    Json(person)
}

impl Office {
    async fn open() -> Office {
        let book = Arc::new(Mutex::new(Book::default()));
        let routes =
            Router::new().route("/people/{name}", get(read).patch(write)).with_state(Arc::clone(&book));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, routes).await;
        });
        let spec = tempfile::tempdir().expect("there is room");
        std::fs::write(spec.path().join("badge.yaml"), SPEC).expect("it is written");
        let settings = format!(
            "connector_specs: {}\nconnectors:\n  badge: {{ use: badge, url: \"http://{address}\" }}\n",
            spec.path().display()
        );
        let trigger = "on: [ { alert: \"${ alert.category == 'identity' }\" } ]\n";
        let playbooks = [
            ("one.yaml", closes("one", "", ["ada", "bob"])),
            ("north.yaml", closes("north", trigger, ["cleo", "dan"])),
            ("south.yaml", closes("south", trigger, ["eve", "finn"])),
            ("many.yaml", MANY.to_owned()),
            (
                "calls.yaml",
                format!("{CALLS}  - {{ id: stop_gus, contain: badge.close, with: {{ name: gus }} }}\n"),
            ),
        ];
        let playbooks: Vec<(&str, &str)> =
            playbooks.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let server = Server::with(&settings, &playbooks).await;
        Office { server, book, task, _spec: spec }
    }

    fn person(&self, name: &str) -> Value {
        self.book.lock().people[name].clone()
    }

    fn somebody_else_sets(&self, name: &str, field: &str, value: Value) {
        self.book.lock().people.get_mut(name).expect("the office knows them")[field] = value;
    }

    /// Waits until so many containments are read back.
    async fn verified(&self, many: usize) -> Vec<Value> {
        self.until(|rows| rows.len() == many && rows.iter().all(|row| row["hold"] == json!("verified"))).await
    }

    async fn until(&self, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        for _ in 0..1500 {
            let page = self.server.get("/containments").await;
            let rows = page["items"].as_array().cloned().unwrap_or_default();
            if enough(&rows) {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it never came to that: {}", self.server.get("/containments").await);
    }

    async fn run_one(&self) -> String {
        let started = self.server.post("/playbooks/one/runs", &json!({}), &[]).await;
        let run = started.body["run"].as_str().expect("it is started").to_owned();
        self.verified(2).await;
        run
    }

    /// An incident whose two runs have contained two people each.
    async fn incident(&self) -> (String, Vec<Value>) {
        let alert =
            json!({ "source_id": "a-1", "title": "Two badges", "category": "identity", "severity": 20 });
        let taken = self.server.deliver("open", alert.to_string().into_bytes(), &[]).await;
        assert_eq!(taken.status, 202, "{}", taken.body);
        let rows = self.verified(4).await;
        let incident = rows[0]["incident"].as_str().expect("it belongs to an incident").to_owned();
        assert!(rows.iter().all(|row| row["incident"] == rows[0]["incident"]), "two runs of one incident");
        (incident, rows)
    }

    /// A command of the command line, with its exit code and its document.
    fn json(&self, args: &[&str]) -> (Option<i32>, Value) {
        let out = self.server.quell(&[&["--format", "json"], args].concat());
        let document = out.text.lines().find_map(|line| serde_json::from_str(line).ok());
        (out.status.code(), document.unwrap_or_else(|| panic!("no document in {}", out.text)))
    }

    async fn close(self) {
        drop(self.server);
        self.task.abort();
    }
}

fn fates(document: &Value) -> BTreeMap<String, String> {
    let items = document["items"].as_array().expect("it has items");
    let of = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    items.iter().map(|item| (of(item, "step"), of(item, "fate"))).collect()
}

fn these(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(step, fate)| ((*step).to_owned(), (*fate).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_changed_is_left_alone_shown_and_restored_only_with_a_reason() {
    let office = Office::open().await;
    let run = office.run_one().await;
    office.somebody_else_sets("ada", "doors", json!(["vault"]));

    // A plan looks and does nothing.
    let (exit, plan) = office.json(&["undo", &run, "--plan"]);
    assert_eq!(exit, Some(0), "{plan}");
    assert_eq!(fates(&plan), these(&[("stop_ada", "would_lift_in_part"), ("stop_bob", "would_lift")]));
    let ada = plan["items"].as_array().and_then(|items| items.iter().find(|item| item["step"] == "stop_ada"));
    let ada = ada.expect("it is in the plan");
    assert_eq!(ada["needs_person"], json!(true));
    let doors = ada["fields"].as_array().and_then(|all| all.iter().find(|field| field["name"] == "doors"));
    let doors = doors.expect("the field is told");
    assert_eq!(
        (&doors["before"], &doors["left"], &doors["now"], &doors["state"]),
        (&json!(["front", "lab"]), &json!([]), &json!(["vault"]), &json!("changed"))
    );
    let told = office.server.quell(&["undo", &run, "stop_bob", "--plan"]).text;
    assert!(told.contains("`active` from false to true") && !told.contains("stop_ada"), "{told}");
    assert!(office.book.lock().opened.is_empty(), "nothing was done");

    // One step of the run; of it, what is still as we left it.
    let out = office.server.quell(&["undo", &run, "stop_ada", "--note", "it was a mistake"]);
    assert_eq!(out.status.code(), Some(1), "{}", out.text);
    for told in ["lifted in part", "we left it []", "--anyway --note"] {
        assert!(out.text.contains(told), "`{told}` in {}", out.text);
    }
    assert_eq!(
        office.person("ada"),
        json!({ "name": "ada", "active": true, "doors": ["vault"], "desk": 12 }),
        "their doors are theirs"
    );
    assert_eq!(office.person("bob")["active"], json!(false), "nobody asked for the other");

    // It is told everywhere, and refused again as long as it stands.
    let ada = ada["containment"].as_str().expect("it has an id").to_owned();
    for (what, args) in [
        ("the containment", vec!["show", &ada]),
        ("the run", vec!["show", &run]),
        ("the report", vec!["report", &run, "--template", "technical"]),
    ] {
        let told = office.server.quell(&args).text;
        assert!(told.contains("vault") && told.contains("doors"), "{what}: {told}");
    }
    let path = format!("/containments/{ada}/undo");
    let again = office.server.post(&path, &json!({ "wait_seconds": 20 }), &[]).await;
    assert_eq!((again.status, &again.body["items"][0]["fate"]), (202, &json!("refused")), "{}", again.body);
    assert_eq!(again.body["items"][0]["fields"][0]["now"], json!(["vault"]), "{}", again.body);

    // A person may override it, with a reason.
    assert_eq!(office.server.quell(&["undo", &ada, "--anyway"]).status.code(), Some(2));
    let bare = office.server.post(&path, &json!({ "anyway": true }), &[]).await;
    assert_eq!((bare.status, &bare.body["code"]), (422, &json!("reason-needed")), "{}", bare.body);
    let (exit, done) = office.json(&["undo", "--containment", &ada, "--anyway", "--note", "HR agreed"]);
    assert_eq!((exit, fates(&done)), (Some(0), these(&[("stop_ada", "lifted")])), "{done}");
    assert_eq!(office.person("ada")["doors"], json!(["front", "lab"]));
    let told = office.server.quell(&["show", &run]).text;
    assert!(told.contains("also over what somebody else changed since: HR agreed"), "{told}");

    // The rest; a second time says that there is nothing to do.
    let (exit, done) = office.json(&["undo", &run]);
    assert_eq!(exit, Some(0), "{done}");
    assert_eq!(fates(&done), these(&[("stop_ada", "lifted_before"), ("stop_bob", "lifted")]));
    let (exit, done) = office.json(&["undo", &run]);
    assert_eq!(exit, Some(0), "{done}");
    assert_eq!(fates(&done), these(&[("stop_ada", "lifted_before"), ("stop_bob", "lifted_before")]));
    let out = office.server.quell(&["undo", &run, "stop_nobody"]);
    assert_eq!(out.status.code(), Some(2), "{}", out.text);
    assert!(out.text.contains("stop_ada, stop_bob"), "{}", out.text);
    office.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_lifted_with_what_the_runs_it_called_contained() {
    let office = Office::open().await;
    let started = office.server.post("/playbooks/calls/runs", &json!({}), &[]).await;
    let run = started.body["run"].as_str().expect("it is started").to_owned();
    office.verified(3).await;
    let (exit, plan) = office.json(&["undo", &run, "--plan"]);
    assert_eq!(exit, Some(0), "{plan}");
    let all = ["stop_gus", "stop_bob", "stop_ada"];
    assert_eq!(fates(&plan), these(&all.map(|step| (step, "would_lift"))), "{plan}");
    let (exit, done) = office.json(&["undo", &run]);
    assert_eq!(exit, Some(0), "{done}");
    office.until(|rows| rows.iter().all(|row| row["hold"] == json!("lifted"))).await;
    let opened = office.book.lock().opened.clone();
    assert_eq!(opened[0], "gus", "the newest first");
    assert_eq!(opened.len(), 3, "each once");
    office.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_is_lifted_over_all_its_runs_the_newest_first() {
    let office = Office::open().await;
    let (incident, rows) = office.incident().await;

    let (exit, plan) = office.json(&["undo", "--incident", &incident, "--plan"]);
    assert_eq!(exit, Some(0), "{plan}");
    let items = plan["items"].as_array().expect("it has items").clone();
    let nth = |item: &Value| {
        rows.iter().find(|row| row["id"] == item["containment"]).map(|row| row["nth"].as_u64())
    };
    assert!(items.windows(2).all(|pair| nth(&pair[0]) > nth(&pair[1])), "the newest first: {plan}");
    assert_eq!(items.len(), 4);
    assert!(items.iter().all(|item| item["fate"] == json!("would_lift")), "{plan}");
    assert!(office.book.lock().opened.is_empty(), "nothing was done");

    // One of them alone, then all that is left.
    let chosen = items[2]["step"].as_str().expect("it has a step").to_owned();
    let (exit, done) = office.json(&["undo", "--incident", &incident, "--only", &chosen]);
    assert_eq!(exit, Some(0), "{done}");
    assert_eq!(fates(&done), these(&[(&chosen, "lifted")]), "{done}");
    let (exit, done) = office.json(&["undo", "--incident", &incident, "--note", "all clear"]);
    assert_eq!(exit, Some(0), "{done}");
    office.until(|rows| rows.iter().all(|row| row["hold"] == json!("lifted"))).await;
    let name = |item: &Value| item["target"].as_str().unwrap_or_default().to_owned();
    let wanted: Vec<String> = [2, 0, 1, 3].iter().map(|at| name(&items[*at])).collect();
    assert_eq!(office.book.lock().opened, wanted, "one after the other, over both runs");
    let (exit, done) = office.json(&["undo", "--incident", &incident]);
    assert_eq!(exit, Some(0), "{done}");
    assert!(fates(&done).values().all(|fate| fate == "lifted_before"), "{done}");
    let run = items[0]["run"].as_str().expect("it has a run");
    let told = office.server.quell(&["show", run]).text;
    assert!(told.contains("3 containments to be lifted, the newest first: all clear"), "{told}");
    office.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_in_the_middle_of_it_goes_on_where_it_stopped() {
    let mut office = Office::open().await;
    let (incident, mut rows) = office.incident().await;
    rows.sort_by_key(|row| std::cmp::Reverse(row["nth"].as_u64()));
    let wanted: Vec<String> =
        rows.iter().map(|row| row["target"].as_str().unwrap_or_default().to_owned()).collect();
    office.book.lock().thinks = Duration::from_millis(300);
    let asked = office.server.post(&format!("/incidents/{incident}/undo"), &json!({}), &[]).await;
    assert_eq!(asked.status, 202, "{}", asked.body);
    while office.book.lock().opened.len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    office.server.die_and_come_back().await;
    office.until(|rows| rows.iter().all(|row| row["hold"] == json!("lifted"))).await;
    let mut opened = office.book.lock().opened.clone();
    opened.dedup();
    assert_eq!(opened, wanted, "nobody is forgotten, and the order stays");
    office.close().await;
}

/// How many badges are closed by a run that asks for eight at once.
async fn closed_of_eight(dies: bool) -> usize {
    let mut office = Office::open().await;
    let closed = |office: &Office| {
        let book = office.book.lock();
        book.people.values().filter(|person| person["active"] == json!(false)).count()
    };
    office.book.lock().thinks_of_closing = Duration::from_millis(400);
    let started = office.server.post("/playbooks/many/runs", &json!({}), &[]).await;
    let run = started.body["run"].as_str().expect("it is started").to_owned();
    if dies {
        while closed(&office) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        office.server.die_and_come_back().await;
    }
    let began = std::time::Instant::now();
    while office.server.get(&format!("/runs/{run}")).await["run"]["ended"].is_null() {
        // What never reached the office is looked for a minute before it is given up.
        assert!(began.elapsed() < Duration::from_secs(240), "it never ends");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let closed = closed(&office);
    office.close().await;
    closed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_burst_as_many_are_touched_as_the_cap_of_a_run_allows() {
    assert_eq!(closed_of_eight(false).await, 3, "people_per_run");
}

/// One whose act was lost on its way counts, and may not have been touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_in_a_burst_forgets_nobody_who_counts_for_the_cap() {
    let closed = closed_of_eight(true).await;
    assert!((1..=3).contains(&closed), "{closed} were touched, and people_per_run is 3");
}

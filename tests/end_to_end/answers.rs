//! Answers that say neither yes nor no, from a directory that keeps people: what
//! was done is found out by reading back, is on record, and is lifted on time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::house::Server;

const SCIM: &str = include_str!("../../src/connector/shipped/scim.yaml");

/// A pager takes a message as often as it is sent.
const PAGER: &str = "connector: pager\ntitle: Pager\nproven: simulated\noperations:\n  page:\n    effect: N\n    input: { text: { type: string, required: true } }\n    request: { method: POST, path: /pages, body: { text: \"${ input.text }\" } }\n    success: ${ status == 200 }\n";

/// Whether each person may log in, by the status that their name asks for.
type People = Arc<Mutex<BTreeMap<String, bool>>>;

fn shown(name: &str, active: bool) -> Value {
    json!({ "id": name, "userName": name, "displayName": name, "active": active })
}

async fn find(State(people): State<People>, Query(query): Query<BTreeMap<String, String>>) -> Json<Value> {
    let name = query["filter"].trim_start_matches("userName eq ").trim_matches('"').to_owned();
    let active = *people.lock().entry(name.clone()).or_insert(true);
    Json(json!({ "totalResults": 1, "Resources": [shown(&name, active)] }))
}

async fn read(State(people): State<People>, Path(name): Path<String>) -> Json<Value> {
    let active = people.lock()[&name];
    Json(shown(&name, active))
}

/// Does what is asked, but for people whose name says otherwise, and answers with
/// the status in the name.
async fn change(
    State(people): State<People>,
    Path(name): Path<String>,
    Json(change): Json<Value>,
) -> StatusCode {
    let active = change["Operations"][0]["value"].as_bool().expect("it is said");
    if !name.starts_with("ignored") {
        people.lock().insert(name.clone(), active);
    }
    let status = name.rsplit('-').next().and_then(|status| status.parse().ok());
    status.and_then(|status| StatusCode::from_u16(status).ok()).expect("the name ends in a status")
}

struct House {
    server: Server,
    people: People,
    pages: Arc<Mutex<usize>>,
    task: tokio::task::JoinHandle<()>,
    _specs: tempfile::TempDir,
}

/// A house with one playbook, and connectors that need no approval and little time.
async fn house(steps: &str) -> House {
    let (people, pages) = (People::default(), Arc::new(Mutex::new(0)));
    let counted = Arc::clone(&pages);
    let page = move || {
        *counted.lock() += 1;
        async { StatusCode::ACCEPTED }
    };
    let routes = Router::new()
        .route("/Users", get(find))
        .route("/Users/{name}", get(read).patch(change))
        .with_state(Arc::clone(&people))
        .route("/pages", post(page));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        let _ = axum::serve(listener, routes).await;
    });
    let specs = tempfile::tempdir().expect("there is room");
    let scim = SCIM
        .replace("connector: scim", "connector: office")
        .replace("tier: 3, visible_to_subject: true", "tier: 1, visible_to_subject: false")
        .replace("within: 1m", "within: 2s");
    std::fs::write(specs.path().join("office.yaml"), scim).expect("it is written");
    std::fs::write(specs.path().join("pager.yaml"), PAGER).expect("it is written");
    let settings = format!(
        "connector_specs: {}\nconnectors:\n  office: {{ use: office, url: \"http://{address}\", auth: {{ token: \"${{env:QUELL_TEST_TOKEN}}\" }} }}\n  pager: {{ use: pager, url: \"http://{address}\" }}\n",
        specs.path().display()
    );
    let playbook = format!("playbook: stop\nversion: 1\ntitle: Stop\nposture: overt\nsteps:\n{steps}");
    let server = Server::with(&settings, &[("stop.yaml", &playbook)]).await;
    House { server, people, pages, task, _specs: specs }
}

impl House {
    async fn run(&self) -> String {
        let started = self.server.post("/playbooks/stop/runs", &json!({}), &[]).await;
        started.body["run"].as_str().unwrap_or_else(|| panic!("{}", started.body)).to_owned()
    }

    async fn until(&self, path: &str, enough: impl Fn(&Value) -> bool) -> Value {
        let mut found = Value::Null;
        for _ in 0..3000 {
            found = self.server.get(path).await;
            if enough(&found) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it never came to that: {found:#}");
    }

    async fn close(self) {
        drop(self.server);
        self.task.abort();
    }
}

fn holds(page: &Value, hold: &str) -> usize {
    page["items"].as_array().into_iter().flatten().filter(|row| row["hold"] == *hold).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_that_is_answered_oddly_is_read_back_on_record_and_lifted() {
    let statuses = [201, 202, 303];
    let steps: String = statuses
        .iter()
        .map(|status| {
            format!("  - {{ id: stop_{status}, contain: office.suspend_user, for: 4s, with: {{ user: done-{status} }} }}\n")
        })
        .collect();
    let house = house(&steps).await;
    let run = house.run().await;

    let seen = house
        .until("/containments", |page| {
            page["items"].as_array().is_some_and(|rows| rows.len() == statuses.len())
                && page["items"].as_array().into_iter().flatten().all(|row| !row["verified_at"].is_null())
        })
        .await;
    assert_eq!(holds(&seen, "stuck"), 0, "{seen:#}");
    house.until("/containments", |page| holds(page, "lifted") == statuses.len()).await;
    assert!(house.people.lock().values().all(|active| *active), "{:?}", house.people.lock());
    let told = house.server.quell(&["show", &run]).text;
    assert!(!told.contains("failed"), "{told}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reading_back_does_not_show_is_said_so() {
    let step = "  - { id: stop, contain: office.suspend_user, for: 1h, with: { user: ignored-202 } }\n";
    let house = house(step).await;
    let run = house.run().await;
    let told = house.until(&format!("/runs/{run}"), |run| run.to_string().contains("\"failed\"")).await;
    let told = told.to_string();
    for words in ["was answered 202", "reading back shows that it did not happen"] {
        assert!(told.contains(words), "`{words}` in {told}");
    }
    assert_eq!(house.server.get("/containments").await["items"], json!([]));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_one_off_act_that_is_answered_oddly_waits_for_a_person_and_is_not_repeated() {
    let house = house("  - { id: tell, call: pager.page, with: { text: Hello } }\n").await;
    house.run().await;
    let page = house
        .until("/attention", |page| page["items"].as_array().is_some_and(|items| !items.is_empty()))
        .await;
    let told = page.to_string();
    assert!(told.contains("uncertain") && told.contains("was answered 202"), "{page:#}");
    assert_eq!(*house.pages.lock(), 1);
    house.close().await;
}

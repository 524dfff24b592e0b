//! What was kept long enough is erased, by the real server: stories that it played
//! itself are moved into the past, because nobody waits for a year here.

use std::collections::BTreeMap;
use std::path::Path;

use quell::domain::erasure::Erasure;
use quell::domain::event::{Entry, Event};
use quell::domain::id::StreamId;
use quell::domain::value::{Digest, digest};
use quell::store::journal::{Append, Batch, Erase, Journal, Part, Place, Stored};
use quell::store::sled::journal::{Options, SledJournal};
use serde_json::{Value, json};
use ulid::Ulid;

use crate::house::Server;

const STORY: &str = "playbook: story\nversion: 1\ntitle: A story\nposture: overt\non:\n  - alert: \"${ alert.title.startsWith('Story') }\"\nsteps:\n  - { id: brief, report: { template: technical, formats: [markdown] } }\n  - { id: over, needs: brief, incident: { status: closed } }\n";

const WITH: &str = "retention: { closed_incidents: 400d, raw_alerts: 90d }\n";

const DAY: i64 = 24 * 3600 * 1000;

/// The file names and texts of a store, so many days earlier.
struct Past {
    days: i64,
    digests: BTreeMap<String, String>,
}

impl Past {
    /// Moves the time of every id, and names contents anew.
    fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('_') {
            let (before, after) = rest.split_at(at + 1);
            out.push_str(before);
            rest = after;
            let sort = ["alt_", "inc_", "run_", "ctn_", "qst_", "apr_", "rep_"];
            let id = after.get(..26).and_then(|id| Ulid::from_string(id).ok());
            if let Some(id) = id.filter(|_| sort.iter().any(|sort| out.ends_with(sort))) {
                let moved = id.timestamp_ms().saturating_add_signed(-self.days * DAY);
                out.push_str(&Ulid::from_parts(moved, id.random()).to_string());
                rest = &after[26..];
            }
        }
        out.push_str(rest);
        self.digests.iter().fold(out, |out, (old, new)| out.replace(old, new))
    }

    fn entry(&self, entry: &Entry) -> Entry {
        let text = serde_json::to_string(entry).expect("it is JSON");
        let mut moved: Entry = serde_json::from_str(&self.text(&text)).expect("it reads");
        moved.at = quell::domain::time::Timestamp::from_millis(entry.at.millis() - self.days * DAY);
        moved
    }
}

/// Everything that a store keeps.
async fn parts(journal: &SledJournal) -> Vec<Part> {
    let (mut all, mut place) = (Vec::new(), Some(Place::START));
    while let Some(from) = place {
        let (parts, next) = journal.parts(from, u64::MAX).await.expect("reads");
        all.extend(parts);
        place = next;
    }
    all
}

/// Moves the store of a server that has stopped into the past.
async fn age(data: &Path, days: i64) {
    let store = data.join("store");
    let old = SledJournal::open(&store, &Options::default()).expect("opens");
    let parts = parts(&old).await;
    drop(old);
    std::fs::remove_dir_all(&store).expect("is removed");
    let mut past = Past { days, digests: BTreeMap::new() };
    let mut blobs: Vec<(Digest, Vec<u8>)> = Vec::new();
    for part in &parts {
        if let Part::Content(name, bytes) = part {
            let moved = std::str::from_utf8(bytes)
                .map_or_else(|_| bytes.clone(), |text| past.text(text).into_bytes());
            past.digests.insert(name.to_string(), digest(&moved).to_string());
            blobs.push((digest(&moved), moved));
        }
    }
    let journal = SledJournal::open(&store, &Options::default()).expect("opens");
    journal.append(Batch { blobs, ..Batch::default() }).await.expect("fits");
    for part in &parts {
        let Part::Record { position, entries, .. } = part else { continue };
        // Only erasing says that something was erased.
        let mut facts = entries.iter().map(|entry| past.entry(entry));
        if let Some((of, at, erasure)) = facts.find_map(|entry| match entry.event {
            Event::Erased(erasure) => Some((entry.stream, entry.at, erasure)),
            _ => None,
        }) {
            let Erasure { rule, kept_seconds, streams, contents, .. } = *erasure;
            let seen = journal.head().position;
            journal.erase(Erase { of, at, rule, kept_seconds, streams, contents, seen }).await.expect("fits");
            continue;
        }
        let keys = parts.iter().filter_map(|part| match part {
            Part::Key { key, position: of, .. } if of == position => Some(key.clone()),
            _ => None,
        });
        let appends = entries.iter().map(|entry| past.entry(entry)).map(|entry| Append {
            stream: entry.stream,
            after: entry.seq - 1,
            at: entry.at,
            events: vec![entry.event],
        });
        let batch = Batch { appends: appends.collect(), keys: keys.collect(), ..Batch::default() };
        journal.append(batch).await.expect("fits");
    }
    let reports = data.join("reports");
    for file in std::fs::read_dir(&reports).into_iter().flatten() {
        let path = file.expect("reads").path();
        let name = past.text(&path.file_name().expect("a name").to_string_lossy());
        std::fs::rename(&path, reports.join(name)).expect("is renamed");
    }
}

async fn deliver(server: &Server, n: u64) -> Value {
    let alert = json!({ "id": format!("finding-{n}"), "title": format!("Story {n}"), "severity": "high", "user": { "email": format!("dana.{n}@example.org") } });
    let answer = server.deliver("open", alert.to_string().into_bytes(), &[]).await;
    assert!(answer.status < 300, "{}: {}", answer.status, answer.body);
    answer.body
}

async fn rows(server: &Server, list: &str) -> Vec<Value> {
    server.get(list).await["items"].as_array().cloned().unwrap_or_default()
}

/// Waits until there are so many incidents, all of them closed.
async fn closed(server: &Server, count: usize) -> Vec<Value> {
    for _ in 0..500 {
        let found = rows(server, "/incidents").await;
        if found.len() == count && found.iter().all(|row| row["status"] == "closed") {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("there never were {count} closed incidents: {:?}", rows(server, "/incidents").await);
}

/// Waits until a list has so many rows.
async fn until(server: &Server, list: &str, count: usize) -> Vec<Value> {
    for _ in 0..500 {
        let found = rows(server, list).await;
        if found.len() == count {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{list} never had {count} rows: {:?}", rows(server, list).await);
}

fn reports(server: &Server) -> usize {
    std::fs::read_dir(server.data().join("reports")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn what_was_closed_long_ago_is_erased_and_the_rest_stays() {
    let mut server = Server::with(WITH, &[("story.yaml", STORY)]).await;
    deliver(&server, 1).await;
    closed(&server, 1).await;
    server.stop_hard();
    age(&server.data(), 350).await;
    let server = server.again().await;
    // Not long enough for the incident; its alert's content is over.
    deliver(&server, 2).await;
    closed(&server, 2).await;
    let alerts = until(&server, "/alerts", 2).await;
    let old = alerts.iter().find(|row| row["title"] == "Story 1").expect("the row stays");
    assert!(old["content_erased_at"].is_string(), "{old}");
    let runs = rows(&server, "/runs").await;
    let run = runs.last().expect("there are two")["id"].as_str().expect("an id").to_owned();
    let refused = server.quell(&["report", &run, "--template", "executive"]);
    assert_eq!(refused.status.code(), Some(3), "{}", refused.text);
    assert!(refused.text.contains("cannot be told from other words"), "{}", refused.text);
    let shown = server.quell(&["report", &run, "--template", "technical"]);
    assert!(shown.text.contains("The content of the alert was removed by retention"), "{}", shown.text);
    let old_id = old["id"].as_str().expect("an id");
    for words in [&["show", old_id, "--raw"][..], &["run", "story", "--alert", old_id]] {
        let refused = server.quell(words);
        assert!(refused.text.contains("retention erased what"), "{words:?}: {}", refused.text);
        assert_eq!(refused.status.code(), Some(3), "{words:?}");
    }
    let mut server = server;
    server.stop_hard();
    let (_, incidents) = verified(&server);
    assert_eq!(incidents, 0, "no record was erased yet");

    age(&server.data(), 60).await;
    let server = server.again().await;
    let left = closed(&server, 1).await;
    assert_eq!(left[0]["title"], "Story 2");
    for list in ["/alerts", "/runs"] {
        assert_eq!(rows(&server, list).await.len(), 1, "{list}");
    }
    until_reports(&server, 1).await;
    let gone = server.call("GET", &format!("/api/v1/runs/{run}"), &[], "").await;
    assert_eq!(gone.status, 404, "{}", gone.body);
    // The same finding comes again: it is known, and starts nothing.
    let again = deliver(&server, 1).await;
    assert!(again.to_string().contains("\"duplicate\":true"), "{again}");
    assert_eq!(rows(&server, "/runs").await.len(), 1);
    let backup = server.quell(&["store", "backup", "copy.jsonl"]);
    assert!(backup.status.success(), "{}", backup.text);
    let checked = server.quell(&["store", "verify", "copy.jsonl"]);
    assert!(checked.text.contains("erased by retention"), "{}", checked.text);

    // Killed and started again: the lists are the same, and the record holds.
    let server = server.again().await;
    assert_eq!(until(&server, "/incidents", 1).await, left);
    let mut server = server;
    server.stop_hard();
    let (text, records) = verified(&server);
    assert!(records > 0 && text.contains("nothing is missing or changed"), "{text}");
    assert!(entries(&server).await.iter().all(|entry| !said(entry).contains("dana.1@example.org")));
    assert!(entries(&server).await.iter().any(|entry| matches!(entry.event, Event::Erased(_))));
}

async fn until_reports(server: &Server, count: usize) {
    for _ in 0..500 {
        if reports(server) == count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("there are {} files of reports", reports(server));
}

/// What `store verify` says, and how many records it says were erased.
fn verified(server: &Server) -> (String, u64) {
    let out = server.quell(&["store", "verify"]);
    assert!(out.status.success(), "{}", out.text);
    let line = out.text.lines().find(|line| line.contains("erased by retention"));
    let count = line.and_then(|line| line.split(' ').next()?.parse().ok()).unwrap_or(0);
    (out.text, count)
}

async fn entries(server: &Server) -> Vec<Entry> {
    let journal = SledJournal::open(&server.data().join("store"), &Options::default()).expect("opens");
    let scanned = journal.scan(0, usize::MAX).await.expect("reads");
    scanned.into_iter().map(|(_, entry)| entry).collect()
}

fn said(entry: &Entry) -> String {
    serde_json::to_string(entry).expect("it is JSON")
}

#[tokio::test]
async fn nothing_is_erased_that_the_settings_do_not_name() {
    let mut server = Server::with("", &[("story.yaml", STORY)]).await;
    deliver(&server, 1).await;
    closed(&server, 1).await;
    server.stop_hard();
    age(&server.data(), 4000).await;
    let server = server.again().await;
    let alerts = until(&server, "/alerts", 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(alerts[0].get("content_erased_at").is_none(), "{}", alerts[0]);
    assert_eq!(rows(&server, "/incidents").await.len(), 1);
    let streams = |stream: &StreamId| matches!(stream, StreamId::Run(_));
    let mut server = server;
    server.stop_hard();
    assert!(entries(&server).await.iter().any(|entry| streams(&entry.stream)));
}

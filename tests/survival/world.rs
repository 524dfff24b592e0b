//! One world: runs that are wanted, people who answer, and a server that dies
//! again and again until all of it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Chance;
use crate::house::{Answer, Death, LEAD, Life, OPERATOR, OWNER, PATIENCE, Place};

const PLAYBOOKS: [(&str, &str); 4] = [
    ("everything", include_str!("world/everything.yaml")),
    ("called", include_str!("world/called.yaml")),
    ("alarmed", include_str!("world/alarmed.yaml")),
    ("stumbles", include_str!("world/stumbles.yaml")),
];

/// Ticks between two tries to release runs that were set aside.
const TRY_RELEASE: u64 = 5;

/// A run that somebody wants, and its id once that was acknowledged.
pub struct Wanted {
    pub playbook: &'static str,
    key: String,
    pub run: Option<String>,
}

/// What the server has acknowledged: it must be on record ever after.
#[derive(Default)]
pub struct Acknowledged {
    pub approvals: BTreeSet<String>,
    pub answers: BTreeSet<String>,
    pub settled: Vec<(String, String, bool)>,
}

pub struct World {
    pub chance: Chance,
    pub place: Arc<Place>,
    pub wanted: Vec<Wanted>,
    pub acknowledged: Acknowledged,
    /// How each life ended, for the story when something is wrong.
    pub lives: Vec<String>,
    /// Points that were passed, over all lives.
    pub passed: BTreeSet<String>,
    /// Points at which it died.
    pub died_at: BTreeSet<String>,
    pub deaths: usize,
}

impl World {
    pub async fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let mut wanted = vec!["everything", "stumbles", "alarmed"];
        if chance.percent(50) {
            wanted.push("alarmed");
        }
        let wanted = wanted
            .into_iter()
            .enumerate()
            .map(|(nth, playbook)| Wanted { playbook, key: format!("{seed}-{nth}"), run: None })
            .collect();
        Self {
            chance,
            place: Arc::new(Place::new(&PLAYBOOKS).await),
            wanted,
            acknowledged: Acknowledged::default(),
            lives: Vec::new(),
            passed: BTreeSet::new(),
            died_at: BTreeSet::new(),
            deaths: 0,
        }
    }

    /// One life of the server; true when all that was wanted is over.
    pub async fn live(&mut self, death: &Death) -> Result<bool, String> {
        let place = Arc::clone(&self.place);
        let mut life = place.live(death);
        let result = self.through(&mut life).await;
        let points = life.points();
        let said = life.said();
        let kindly = self.chance.percent(50);
        if matches!(result, Ok(true)) && kindly {
            life.stop().await;
        } else {
            life.kill();
        }
        place.settle_down().await;
        for point in &points {
            match point.strip_prefix("† ") {
                Some(died) => self.died_at.insert(died.to_owned()),
                None => self.passed.insert(point.clone()),
            };
        }
        let last = points.last().map_or("", String::as_str);
        self.lives.push(format!("{death:?}: {} points, {last}", points.len()));
        if matches!(result, Ok(false)) {
            self.deaths += 1;
        }
        result.map_err(|why| format!("{why}\nthe server said:\n{said}"))
    }

    async fn through(&mut self, life: &mut Life<'_>) -> Result<bool, String> {
        let began = Instant::now();
        for tick in 0.. {
            if let Some(over) = self.tick(life, tick).await? {
                if over {
                    return Ok(true);
                }
            } else if let Some(status) = life.ended() {
                return match status.signal() {
                    Some(9) => Ok(false),
                    _ => Err(format!("the server ended by itself: {status}")),
                };
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("it never came to an end: {:?}", life.list("/runs").await));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(false)
    }

    /// People look what is to be done, and do it. Nothing when the server was gone.
    async fn tick(&mut self, life: &mut Life<'_>, tick: u64) -> Result<Option<bool>, String> {
        for nth in 0..self.wanted.len() {
            // In each life again: the same is never started twice.
            if self.wanted[nth].run.is_some() && tick > 0 {
                continue;
            }
            let Some(run) = self.order(life, nth).await? else { return Ok(None) };
            let known = self.wanted[nth].run.get_or_insert_with(|| run.clone());
            if *known != run {
                return Err(format!("{known} was acknowledged, and then {run} for the same"));
            }
        }
        if self.decide(life).await?.is_none() {
            return Ok(None);
        }
        let Some(rows) = life.list("/runs").await else { return Ok(None) };
        for row in &rows {
            let run = row["id"].as_str().unwrap_or_default().to_owned();
            if row["status"] == "needs_person" && self.settle(life, &run).await?.is_none() {
                return Ok(None);
            }
            if row["end"].is_null() && tick % TRY_RELEASE == TRY_RELEASE - 1 {
                let path = format!("/runs/{run}/release");
                if life.call(OPERATOR, "POST", &path, Some(json!({}))).await.is_none() {
                    return Ok(None);
                }
            }
        }
        let Some(held) = life.list("/containments?holding=true").await else { return Ok(None) };
        for stuck in held.iter().filter(|row| row["hold"] == "stuck") {
            // Its way back was lost with the server again and again; somebody looks, and asks anew.
            let path = format!("/containments/{}/undo", stuck["id"].as_str().unwrap_or_default());
            if life.call(OPERATOR, "POST", &path, Some(json!({}))).await.is_none() {
                return Ok(None);
            }
        }
        for wanted in &self.wanted {
            if !rows.iter().any(|row| row["id"].as_str() == wanted.run.as_deref()) {
                return Err(format!("{:?} was acknowledged and is gone", wanted.run));
            }
        }
        Ok(Some(held.is_empty() && rows.iter().all(|row| !row["end"].is_null())))
    }

    /// Asks for a run, by hand or by an alert.
    async fn order(&self, life: &mut Life<'_>, nth: usize) -> Result<Option<String>, String> {
        let wanted = &self.wanted[nth];
        let on_alert = wanted.playbook == "alarmed";
        let answer = if on_alert {
            let alert =
                json!({ "source_id": wanted.key, "title": "A file left", "category": "dlp", "severity": 60 });
            life.call(OPERATOR, "POST", "/alerts/open", Some(alert)).await
        } else {
            let path = format!("/playbooks/{}/runs", wanted.playbook);
            let headers = [("idempotency-key", wanted.key.as_str())];
            life.call_with(OPERATOR, "POST", &path, &headers, Some(json!({}))).await
        };
        let Some(answer) = answer else { return Ok(None) };
        let run = if on_alert { &answer.body["alerts"][0]["runs"][0] } else { &answer.body["run"] };
        match run.as_str() {
            Some(run) if answer.status < 300 => Ok(Some(run.to_owned())),
            _ => Err(format!("a run of {} was refused: {answer:?}", wanted.playbook)),
        }
    }

    /// Approves what is to be approved, and answers what is asked.
    async fn decide(&mut self, life: &mut Life<'_>) -> Result<Option<()>, String> {
        let Some(approvals) = life.list("/approvals?open=true").await else { return Ok(None) };
        let Some(questions) = life.list("/questions?open=true").await else { return Ok(None) };
        let ids = |rows: Vec<Value>| {
            rows.into_iter().filter_map(|row| row["id"].as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        // A run that was set aside takes nobody's word until it is released.
        let set_aside = |answer: &Answer| answer.body["code"] == "run-quarantined";
        for id in ids(approvals) {
            let answer = life.call(LEAD, "POST", &format!("/approvals/{id}/approve"), Some(json!({}))).await;
            match answer {
                None => return Ok(None),
                Some(answer) if answer.status == 200 => self.acknowledged.approvals.insert(id),
                Some(answer) if set_aside(&answer) => false,
                Some(answer) => return Err(format!("a yes to {id} was refused: {answer:?}")),
            };
        }
        for id in ids(questions) {
            let path = format!("/questions/{id}/answer");
            match life.call(OWNER, "POST", &path, Some(json!({ "choice": "mine" }))).await {
                None => return Ok(None),
                Some(answer) if answer.status == 200 => self.acknowledged.answers.insert(id),
                Some(answer) if set_aside(&answer) => false,
                Some(answer) => return Err(format!("an answer to {id} was refused: {answer:?}")),
            };
        }
        Ok(Some(()))
    }

    /// Says what truly happened, as somebody who has looked.
    async fn settle(&mut self, life: &mut Life<'_>, run: &str) -> Result<Option<()>, String> {
        let Some(shown) = life.call(OPERATOR, "GET", &format!("/runs/{run}"), None).await else {
            return Ok(None);
        };
        let uncertain = shown.body["uncertain"].as_array().cloned().unwrap_or_default();
        let incident = shown.body["incident"]["id"].as_str().unwrap_or_default().to_owned();
        for part in uncertain.iter().filter(|part| part["settled"].is_null()) {
            let step = part["step"].as_str().unwrap_or_default().to_owned();
            let happened = self.effects(run, &incident, &step) > 0;
            let body = json!({ "step": step, "happened": happened, "note": "I asked them" });
            match life.call(OPERATOR, "POST", &format!("/runs/{run}/settle"), Some(body)).await {
                None => return Ok(None),
                Some(answer) if answer.status == 200 => {
                    self.acknowledged.settled.push((run.to_owned(), step, happened));
                }
                // Settled before the server died, and told too late; or set aside.
                Some(answer) if answer.status == 409 => {}
                Some(answer) => return Err(format!("settling {step} was refused: {answer:?}")),
            }
        }
        Ok(Some(()))
    }

    /// How often a step's effect has happened, by the peers' own books.
    pub fn effects(&self, run: &str, incident: &str, step: &str) -> u32 {
        let mails =
            |subject: String| u32::try_from(self.place.post.about(&subject).len()).unwrap_or(u32::MAX);
        match step {
            "notice" => mails(format!("Notice {run}")),
            "brief" => mails(format!("Summary for {incident}")),
            _ => {
                let what = (run.to_owned(), named(step));
                let books = self.place.peer.books.lock();
                let keyed = books.keyed.get(&what).map_or(0, BTreeSet::len);
                books.once.get(&what).copied().unwrap_or(0) + u32::try_from(keyed).unwrap_or(u32::MAX)
            }
        }
    }

    pub fn story(&self) -> String {
        let mut count = BTreeMap::new();
        for asked in &self.place.peer.books.lock().asked {
            *count.entry(asked.clone()).or_insert(0) += 1;
        }
        let asked: Vec<String> =
            count.into_iter().map(|(asked, times)| format!("{times} × {asked}")).collect();
        format!("lives:\n{}\nwhat the peer was asked:\n{}", self.lives.join("\n"), asked.join("\n"))
    }
}

/// What a peer calls the effect of a step: `tell[1]` is `tell-1`.
pub fn named(step: &str) -> String {
    step.replace('[', "-").replace(']', "")
}

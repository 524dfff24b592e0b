use std::collections::BTreeMap;

use serde_json::{Value, json};
use ulid::Ulid;

use super::*;

/// A desk that remembers as the views do.
#[derive(Default)]
struct Desk {
    ties: BTreeMap<TieKey, Tied>,
    incidents: BTreeMap<IncidentId, Standing>,
}

impl Known for Desk {
    fn tied(&self, key: TieKey) -> Option<Tied> {
        self.ties.get(&key).cloned()
    }

    fn standing(&self, incident: IncidentId) -> Option<Standing> {
        self.incidents.get(&incident).cloned()
    }
}

const HOUR: i64 = 3_600_000;

fn alert(number: u128, hours: i64, with: Value) -> Alert {
    let at = Timestamp::from_millis(1_790_000_000_000 + hours * HOUR);
    let mut alert = json!({
        "id": AlertId::new(Ulid(number)), "source": "dlp", "source_id": format!("finding-{number}"),
        "rule": {}, "category": "dlp", "severity": 60, "title": "t", "received_at": at,
        "user": { "email": "dana@example.com" }, "users": [], "host": {}, "hosts": [], "objects": [], "dest": {},
        "indicators": [], "techniques": [], "fingerprint": format!("f-{number}"), "raw": null,
    });
    for (key, value) in with.as_object().expect("a map") {
        alert[key] = value.clone();
    }
    serde_json::from_value(alert).expect("an alert")
}

fn wants(playbook: &str, once: Option<&str>) -> Wanted {
    let within = Duration::from_secs(24 * 3600);
    Wanted {
        playbook: playbook.to_owned(),
        once_per: once.map(|once| (Tie::once_per(playbook, once), within)),
        needs_subject: playbook.contains("subject"),
    }
}

/// One word for what follows: `opens +a`, `again 1 +b`, `none`.
fn follows(desk: &mut Desk, alert: &Alert, wanted: &[Wanted]) -> String {
    let rules = Rules::default();
    let bonds = Bonds::of(alert, &rules);
    let placement = place(alert, &bonds, wanted, desk, &rules);
    let mut words = Vec::new();
    let incident = match &placement.place {
        Place::None => {
            words.push("none".to_owned());
            None
        }
        Place::Opens => {
            let id = IncidentId::new(alert.id.ulid());
            let subject = alert.user.shown().map(str::to_owned);
            desk.incidents.insert(id, Standing { closed: false, subject });
            words.push("opens".to_owned());
            Some(id)
        }
        Place::Joins { incident, news, because, reopens } => {
            assert!(!because.is_empty());
            let news = serde_json::to_value(news).expect("a word");
            words.push(format!("{} {}", news.as_str().expect("a word"), incident.ulid().0));
            if *reopens {
                words.push("reopens".to_owned());
            }
            let standing = desk.incidents.get_mut(incident).expect("it is there");
            standing.closed &= !*reopens;
            standing.subject = standing.subject.take().or(alert.user.shown().map(str::to_owned));
            Some(*incident)
        }
    };
    for at in &placement.starts {
        words.push(format!("+{}", wanted[*at].playbook));
        assert!(incident.is_some(), "a run belongs to an incident");
    }
    if let Some(incident) = incident {
        let (alert_id, at) = (alert.id, alert.received_at);
        let (status, id) = (alert.status, Tie::own_id(alert));
        let (ran, worst) = (placement.ran.clone(), placement.worst);
        let (people, finding) = (placement.people, placement.finding.clone());
        let tied = Tied { incident, alert: alert_id, at, status, id, worst, ran, people, finding };
        desk.ties.extend(placement.ties.iter().map(|key| (*key, tied.clone())));
    }
    words.extend(placement.related.iter().map(|related| format!("~{}", related.incident.ulid().0)));
    words.join(" ")
}

fn close(desk: &mut Desk, number: u128) {
    desk.incidents.get_mut(&IncidentId::new(Ulid(number))).expect("it is there").closed = true;
}

#[test]
fn the_same_finding_joins_its_incident_and_only_what_never_ran_there_starts() {
    let mut desk = Desk::default();
    let finding = json!({ "fingerprint": "f", "source_id": "x" });
    let suspend = [wants("suspend", None)];
    assert_eq!(follows(&mut desk, &alert(1, 0, finding.clone()), &suspend), "opens +suspend");
    assert_eq!(follows(&mut desk, &alert(2, 1, finding.clone()), &suspend), "again 1");
    let worse = [wants("suspend", None), wants("page", None)];
    assert_eq!(follows(&mut desk, &alert(3, 2, finding.clone()), &worse), "again 1 +page");
    // Each sighting counts from the last: nothing repeats itself into a second incident.
    assert_eq!(follows(&mut desk, &alert(4, 24 * 13, finding.clone()), &suspend), "again 1");
    assert_eq!(follows(&mut desk, &alert(5, 24 * 26, finding.clone()), &suspend), "again 1");
    assert_eq!(follows(&mut desk, &alert(6, 24 * 41, finding), &suspend), "opens +suspend");
}

#[test]
fn what_the_detector_ends_changes_the_incident_and_opens_none() {
    let mut desk = Desk::default();
    let finding = json!({ "fingerprint": "f", "source_id": "x" });
    let ended = json!({ "fingerprint": "f", "source_id": "x", "status": "closed" });
    let suspend = [wants("suspend", None)];
    assert_eq!(follows(&mut desk, &alert(1, 0, ended.clone()), &suspend), "none", "nothing is known of it");
    assert_eq!(follows(&mut desk, &alert(2, 0, finding.clone()), &suspend), "opens +suspend");
    assert_eq!(follows(&mut desk, &alert(3, 1, ended.clone()), &suspend), "ended 2");
    assert_eq!(follows(&mut desk, &alert(4, 2, finding.clone()), &suspend), "back 2 +suspend");
    assert_eq!(follows(&mut desk, &alert(5, 3, ended), &suspend), "ended 2");
    close(&mut desk, 2);
    // It ended, people closed it, and it is back: that is new.
    assert_eq!(follows(&mut desk, &alert(6, 4, finding), &suspend), "opens +suspend ~2");
}

#[test]
fn a_closed_incident_takes_updates_and_opens_again_for_worse_and_what_happens_anew_is_new() {
    let mut desk = Desk::default();
    let finding = |severity: u8| json!({ "fingerprint": "f", "source_id": "x", "severity": severity });
    let suspend = [wants("suspend", None)];
    assert_eq!(follows(&mut desk, &alert(1, 0, finding(60)), &suspend), "opens +suspend");
    close(&mut desk, 1);
    assert_eq!(
        follows(&mut desk, &alert(2, 1, finding(60)), &suspend),
        "again 1",
        "an update of what is known"
    );
    assert_eq!(
        follows(&mut desk, &alert(3, 2, finding(90)), &[wants("page", None)]),
        "again 1 reopens +page"
    );
    // The same fields under another id of the detector's happened anew.
    let mut desk = Desk::default();
    let own = |id: &str| json!({ "fingerprint": "rule and user", "source_id": id });
    assert_eq!(follows(&mut desk, &alert(1, 0, own("a")), &suspend), "opens +suspend");
    assert_eq!(follows(&mut desk, &alert(2, 1, own("b")), &suspend), "again 1");
    close(&mut desk, 1);
    assert_eq!(follows(&mut desk, &alert(3, 2, own("c")), &suspend), "opens +suspend ~1");
}

#[test]
fn once_per_holds_a_playbook_back_for_its_time_and_its_alerts_join() {
    let mut desk = Desk::default();
    let nobody = |number: u128, hours: i64| alert(number, hours, json!({ "user": {} }));
    let dana = [wants("suspend", Some("dana"))];
    assert_eq!(follows(&mut desk, &nobody(1, 0), &dana), "opens +suspend");
    assert_eq!(follows(&mut desk, &nobody(2, 20), &dana), "another 1");
    assert_eq!(follows(&mut desk, &nobody(3, 20), &[wants("suspend", Some("lee"))]), "opens +suspend");
    // It counts from the run, not from what was held back.
    assert_eq!(follows(&mut desk, &nobody(4, 25), &dana), "opens +suspend");
    // Another playbook that wants the same alert is not held back.
    let both = [wants("suspend", Some("dana")), wants("page", None)];
    assert_eq!(follows(&mut desk, &nobody(5, 26), &both), "another 4 +page");
}

#[test]
fn alerts_about_one_person_make_one_incident_and_another_person_is_never_mixed_in() {
    let mut desk = Desk::default();
    let suspend = [wants("suspend", None)];
    let host = |user: Value| json!({ "user": user, "host": { "name": "LAP-1" } });
    let dana = json!({ "email": "dana@example.com" });
    assert_eq!(follows(&mut desk, &alert(1, 0, host(dana.clone())), &suspend), "opens +suspend");
    assert_eq!(follows(&mut desk, &alert(2, 1, json!({})), &suspend), "another 1 +suspend");
    // Nobody wants it, and it still belongs there.
    assert_eq!(follows(&mut desk, &alert(3, 2, json!({})), &[]), "another 1");
    let lee = json!({ "email": "lee@example.com" });
    assert_eq!(follows(&mut desk, &alert(4, 2, host(lee.clone())), &suspend), "opens +suspend ~1");
    assert_eq!(follows(&mut desk, &alert(5, 2, host(lee)), &[]), "another 4");
    // Whose it is nobody says: the machine decides, the one that was seen last.
    assert_eq!(follows(&mut desk, &alert(6, 3, host(json!({}))), &[]), "another 4");
    assert_eq!(follows(&mut desk, &alert(7, 60, host(dana.clone())), &[]), "none", "too long ago");
    close(&mut desk, 1);
    assert_eq!(follows(&mut desk, &alert(8, 3, json!({ "user": dana })), &[]), "none ~1");
}

#[test]
fn a_graver_update_starts_what_its_key_says_must_start_anew() {
    let mut desk = Desk::default();
    let finding = |severity: u8| json!({ "fingerprint": "f", "source_id": "x", "severity": severity });
    assert_eq!(
        follows(&mut desk, &alert(1, 0, finding(60)), &[wants("leaver", Some("dana S3"))]),
        "opens +leaver"
    );
    assert_eq!(follows(&mut desk, &alert(2, 1, finding(60)), &[wants("leaver", Some("dana S3"))]), "again 1");
    // Days later it is still the same finding, and no reason to start again.
    assert_eq!(
        follows(&mut desk, &alert(3, 90, finding(60)), &[wants("leaver", Some("dana S3"))]),
        "again 1"
    );
    assert_eq!(
        follows(&mut desk, &alert(4, 91, finding(92)), &[wants("leaver", Some("dana S1"))]),
        "again 1 +leaver"
    );
}

#[test]
fn what_ran_and_how_bad_it_was_is_known_of_each_finding_by_itself() {
    let mut desk = Desk::default();
    let finding =
        |id: &str, severity: u8| json!({ "fingerprint": id, "source_id": id, "severity": severity });
    let isolate = [wants("isolate", None)];
    assert_eq!(follows(&mut desk, &alert(1, 0, finding("a", 90)), &isolate), "opens +isolate");
    assert_eq!(follows(&mut desk, &alert(2, 1, finding("b", 40)), &[]), "another 1");
    assert_eq!(follows(&mut desk, &alert(3, 2, finding("b", 80)), &isolate), "again 1 +isolate");
    assert_eq!(follows(&mut desk, &alert(4, 3, finding("c", 30)), &[]), "another 1");
    close(&mut desk, 1);
    assert_eq!(follows(&mut desk, &alert(5, 4, finding("c", 30)), &isolate), "again 1");
    assert_eq!(follows(&mut desk, &alert(6, 5, finding("c", 80)), &isolate), "again 1 reopens +isolate");
}

#[test]
fn a_closed_incident_holds_nothing_back_and_takes_nobody_from_an_open_one() {
    let mut desk = Desk::default();
    let suspend = [wants("suspend", Some("dana"))];
    let finding = |id: &str| json!({ "fingerprint": id, "source_id": id });
    assert_eq!(follows(&mut desk, &alert(1, 0, finding("a")), &suspend), "opens +suspend");
    close(&mut desk, 1);
    assert_eq!(follows(&mut desk, &alert(2, 1, finding("b")), &suspend), "opens +suspend ~1");
    // What the detector repeats of the closed one does not draw Dana back to it.
    assert_eq!(follows(&mut desk, &alert(3, 2, finding("a")), &suspend), "again 1");
    assert_eq!(follows(&mut desk, &alert(4, 3, finding("c")), &[]), "another 2");
}

#[test]
fn a_key_of_a_machine_holds_nobody_back_for_what_another_did() {
    let mut desk = Desk::default();
    let once = [wants("isolate", Some("lap-1"))];
    let lee = json!({ "user": { "email": "lee@example.com" } });
    assert_eq!(follows(&mut desk, &alert(1, 0, json!({})), &once), "opens +isolate");
    assert_eq!(follows(&mut desk, &alert(2, 1, lee), &once), "opens +isolate");
}

#[test]
fn an_incident_about_nobody_takes_the_first_person_and_then_no_other() {
    let mut desk = Desk::default();
    let hash = "aa".repeat(32);
    let about = |user: Value| json!({ "user": user, "indicators": [{ "kind": "sha256", "value": hash }] });
    let suspend = [wants("suspend", None)];
    assert_eq!(follows(&mut desk, &alert(1, 0, about(json!({}))), &suspend), "opens +suspend");
    let dana = about(json!({ "email": "dana@example.com" }));
    assert_eq!(follows(&mut desk, &alert(2, 1, dana), &suspend), "another 1 +suspend");
    let lee = about(json!({ "email": "lee@example.com" }));
    assert_eq!(follows(&mut desk, &alert(3, 2, lee), &suspend), "opens +suspend ~1");
    // An address of the open internet may be a whole office's: it only makes related.
    let nat = |user: Value| json!({ "user": user, "indicators": [{ "kind": "ip", "value": "203.0.113.7" }] });
    assert_eq!(follows(&mut desk, &alert(4, 3, nat(json!({}))), &suspend), "opens +suspend");
    assert_eq!(follows(&mut desk, &alert(5, 4, nat(json!({}))), &suspend), "opens +suspend ~4");
}

#[test]
fn an_incident_that_was_erased_is_not_joined() {
    let mut desk = Desk::default();
    let finding = json!({ "fingerprint": "f", "source_id": "x" });
    let suspend = [wants("suspend", None)];
    assert_eq!(follows(&mut desk, &alert(1, 0, finding.clone()), &suspend), "opens +suspend");
    desk.incidents.clear();
    assert_eq!(follows(&mut desk, &alert(2, 1, finding), &suspend), "opens +suspend");
}

/// A fingerprint as intake makes it: of the fields, and of whom it is about.
fn of_person(fields: char, person: &str) -> String {
    let fields = fields.to_string().repeat(64);
    if person.is_empty() { fields } else { format!("{fields}-{person}") }
}

#[test]
fn the_same_finding_of_another_person_is_another_finding() {
    let mut desk = Desk::default();
    let of = |name: &str| {
        let email = format!("{name}@example.com");
        json!({ "fingerprint": of_person('a', name), "source_id": "x", "user": { "email": email } })
    };
    let suspend = [wants("suspend", None)];
    assert_eq!(follows(&mut desk, &alert(1, 0, of("ana")), &suspend), "opens +suspend");
    assert_eq!(follows(&mut desk, &alert(2, 0, of("ben")), &suspend), "opens +suspend ~1");
    assert_eq!(follows(&mut desk, &alert(3, 1, of("ana")), &suspend), "again 1");
    assert_eq!(follows(&mut desk, &alert(4, 1, of("ben")), &suspend), "again 2");
    // Without a subject, another actor is another finding.
    let by = |name: &str| {
        let actor = json!({ "email": format!("{name}@example.com") });
        json!({ "fingerprint": of_person('b', name), "source_id": "y", "user": {}, "actor": actor })
    };
    assert_eq!(follows(&mut desk, &alert(5, 1, by("eve")), &suspend), "opens +suspend");
    assert_eq!(follows(&mut desk, &alert(6, 1, by("mallory")), &suspend), "opens +suspend ~5");
}

#[test]
fn a_subject_that_is_learnt_later_starts_the_playbooks_that_need_one() {
    let mut desk = Desk::default();
    let of = |user: Value, person: &str| json!({ "fingerprint": of_person('a', person), "source_id": "x", "user": user });
    let wanted = [wants("log", None), wants("suspend-subject", None)];
    assert_eq!(follows(&mut desk, &alert(1, 0, of(json!({}), "")), &wanted), "opens +log +suspend-subject");
    assert_eq!(follows(&mut desk, &alert(2, 0, of(json!({}), "")), &wanted), "again 1");
    let ana = || of(json!({ "email": "ana@example.com", "name": "ana" }), "ana");
    assert_eq!(follows(&mut desk, &alert(3, 0, ana()), &wanted), "again 1 +suspend-subject");
    assert_eq!(follows(&mut desk, &alert(4, 0, ana()), &wanted), "again 1", "once is enough");
    assert_eq!(follows(&mut desk, &alert(5, 0, of(json!({}), "")), &wanted), "again 1");
    // By her login she is the same person.
    assert_eq!(
        follows(&mut desk, &alert(6, 0, of(json!({ "name": "CORP\\ana" }), "login")), &wanted),
        "again 1"
    );
    assert_eq!(
        follows(&mut desk, &alert(7, 0, of(json!({ "email": "ben@example.com" }), "ben")), &wanted),
        "opens +log +suspend-subject ~1"
    );
}

#[test]
fn who_ends_a_finding_is_not_who_did_it() {
    let mut desk = Desk::default();
    let by = |name: &str, status: &str| {
        let actor = json!({ "email": format!("{name}@example.com") });
        json!({ "fingerprint": of_person('c', name), "source_id": "z", "user": {}, "actor": actor, "status": status })
    };
    let log = [wants("log", None)];
    assert_eq!(follows(&mut desk, &alert(1, 0, by("eve", "open")), &log), "opens +log");
    assert_eq!(follows(&mut desk, &alert(2, 1, by("analyst", "closed")), &log), "ended 1");
    assert_eq!(follows(&mut desk, &alert(3, 2, by("eve", "open")), &log), "back 1 +log");
}

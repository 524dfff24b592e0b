//! The rows of the technical report's tables.

use std::collections::BTreeMap;

use super::{Card, EvidenceRow, Line, Pair, TimeRow, line};
use crate::domain::alert::{Host, Object, User};
use crate::domain::time::Timestamp;
use crate::projection::dossier::{AlertPart, ApprovalPart, Cite, ContainmentPart, Dossier, QuestionPart};
use crate::report::words;

fn pair(name: &str, value: impl Into<String>) -> Pair {
    Pair { name: name.to_owned(), value: value.into() }
}

fn cites(all: impl IntoIterator<Item = Option<Cite>>) -> String {
    let mut all: Vec<Cite> = all.into_iter().flatten().collect();
    all.sort();
    all.dedup();
    all.iter().map(Cite::to_string).collect::<Vec<_>>().join(", ")
}

/// What is there of these, joined.
fn joined(parts: &[&Option<String>]) -> String {
    parts
        .iter()
        .filter_map(|part| part.as_deref())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" · ")
}

fn second(at: Timestamp) -> i64 {
    at.millis().div_euclid(1000)
}

/// A time to the second, and to the millisecond where a second has several lines.
fn clock(at: Timestamp, millis: bool) -> String {
    let text = at.to_string();
    let text = text.trim_end_matches('Z');
    let text = if millis { text } else { text.split('.').next().unwrap_or(text) };
    text.replacen('T', " ", 1)
}

/// The responder's lines in their order, and before them the actor's.
pub(super) fn timeline(dossier: &Dossier) -> Vec<TimeRow> {
    let mut rows = Vec::new();
    let items: Vec<_> = dossier.timeline.iter().filter(|item| !item.detail).collect();
    let mut seconds: BTreeMap<i64, usize> = BTreeMap::new();
    for item in &items {
        *seconds.entry(second(item.at)).or_default() += 1;
    }
    for (part, at) in dossier.alerts().filter_map(|part| Some((part, part.alert.event_time?))) {
        rows.push(TimeRow {
            actor_time: clock(at, false),
            responder_time: String::new(),
            text: format!("The detector says: {}", part.alert.title),
            by: "actor".to_owned(),
            cite: part.cite.to_string(),
        });
    }
    rows.extend(items.into_iter().map(|item| TimeRow {
        actor_time: String::new(),
        responder_time: clock(item.at, seconds.get(&second(item.at)).is_some_and(|rows| *rows > 1)),
        text: item.text.clone(),
        by: item.actor.clone(),
        cite: item.cite.to_string(),
    }));
    rows
}

/// The alert in named lines.
pub(super) fn alert(part: &AlertPart) -> Vec<Line> {
    let alert = &part.alert;
    let cite = part.cite;
    let mut lines = vec![
        line("Alert", format!("{} from {}", alert.id, alert.source), cite),
        line("Alert title", alert.title.clone(), cite),
    ];
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(line(name, value, cite));
        }
    };
    add("Description", alert.description.clone());
    add("Rule", Some(joined(&[&alert.rule.id, &alert.rule.name, &alert.rule.version])));
    add("Vendor severity", alert.vendor_severity.clone());
    add("Happened (actor’s clock)", alert.event_time.map(|at| at.to_string()));
    add("Received (our clock)", Some(alert.received_at.to_string()));
    add("At the sender’s", alert.url.clone());
    add("Stored alert SHA-256", part.digest.map(|digest| digest.to_string()));
    lines
}

fn account(user: &User) -> String {
    let id = user.id.as_ref().map(|id| format!("id {id}"));
    let number = user.employee_id.as_ref().map(|id| format!("employee {id}"));
    let service = user.service.then(|| "a service account".to_owned());
    joined(&[&user.name, &user.email, &id, &number, &service])
}

fn machine(host: &Host) -> String {
    joined(&[&host.name, &host.ip, &host.id])
}

fn data(object: &Object) -> String {
    let bytes = object.bytes.and_then(|bytes| u64::try_from(bytes).ok()).map(words::bytes);
    let count = object.count.map(|count| format!("{count} of these"));
    let label = object.label.as_ref().map(|label| format!("label {label}"));
    joined(&[&object.name, &object.path, &object.origin, &label, &count, &bytes])
}

/// What the alert names: accounts, machines, data, places.
pub(super) fn scope(part: &AlertPart) -> Vec<Line> {
    let alert = &part.alert;
    let mut users = alert.users.clone();
    if users.is_empty() {
        users.push(alert.user.clone());
    }
    let mut hosts = alert.hosts.clone();
    if hosts.is_empty() {
        hosts.push(alert.host.clone());
    }
    // A machine of which only the address is known, and which is the address
    // the activity came from, is that address and no second machine.
    hosts.retain(|host| {
        host.name.is_some() || host.id.is_some() || host.ip.is_none() || host.ip != alert.src_ip
    });
    let dest = &alert.dest;
    let device = dest.device.as_ref().map(|device| format!("device {device}"));
    let mut all: Vec<(&str, String)> = Vec::new();
    all.extend(users.iter().map(|user| ("Account", account(user))));
    all.extend(hosts.iter().map(|host| ("Machine", machine(host))));
    all.extend(alert.objects.iter().map(|object| ("Data", data(object))));
    all.extend(alert.counts.words().into_iter().map(|words| ("In all", format!("the alert names {words}"))));
    all.push(("Destination", joined(&[&dest.domain, &dest.account, &device])));
    all.push(("From address", joined(&[&alert.src_ip])));
    let known = all.into_iter().filter(|(_, text)| !text.is_empty());
    known.map(|(name, text)| line(name, text, part.cite)).collect()
}

/// The evidence table.
pub(super) fn evidence(dossier: &Dossier) -> Vec<EvidenceRow> {
    let row = |part: &crate::projection::dossier::EvidencePart| EvidenceRow {
        what: part.what.clone(),
        source: part.exchange.source.clone(),
        request: part.exchange.request.clone(),
        response: part.exchange.response.clone(),
        sha256: match part.exchange.bytes {
            // The digest of nothing looks like one of something.
            0 => "none: the answer had no body".to_owned(),
            _ => part.exchange.sha256.to_string(),
        },
        size: words::bytes(part.exchange.bytes),
        at: part.exchange.at.to_string(),
        cite: part.cite.to_string(),
    };
    let alert = dossier.alert.iter().filter_map(|part| {
        Some(EvidenceRow {
            what: "The alert as it came in, kept whole in the journal".to_owned(),
            source: part.alert.source.clone(),
            request: "delivery".to_owned(),
            response: "accepted".to_owned(),
            sha256: part.digest?.to_string(),
            size: "as stored".to_owned(),
            at: part.alert.received_at.to_string(),
            cite: part.cite.to_string(),
        })
    });
    alert.chain(dossier.evidence.iter().map(row)).collect()
}

/// A question with its answer.
pub(super) fn question(part: &QuestionPart) -> Card {
    let mut pairs = vec![
        pair("Asked", format!("{} on {}", part.asked.join(", "), part.sent.at.to_minute())),
        pair("Answer until", part.until.to_minute()),
    ];
    if !part.delivered {
        pairs.push(pair("Delivery", "not sure that the message left"));
    }
    let state = match &part.end {
        None => "awaiting an answer",
        Some(end) => {
            let choice = end.choice.clone().unwrap_or_default();
            let answer = match &end.label {
                Some(label) => format!("{label} ({choice})"),
                None => choice,
            };
            let at = end.when.at.to_minute();
            match (&end.by, &end.choice) {
                (Some(by), _) => {
                    pairs.push(pair("Answer", answer));
                    pairs.push(pair("Answered by", format!("{by} on {at}")));
                    pairs.extend(end.fields.iter().map(|field| pair(&field.label, field.text.clone())));
                    "answered"
                }
                (None, Some(_)) => {
                    pairs.push(pair("Silence counts as", answer));
                    "nobody answered in time"
                }
                (None, None) => "withdrawn: the step ended first",
            }
        }
    };
    Card {
        title: part.title.clone(),
        state: state.to_owned(),
        text: part.wording.clone().unwrap_or_default(),
        pairs,
        undo: String::new(),
        cites: cites([Some(part.sent.cite), part.end.as_ref().map(|end| end.when.cite)]),
    }
}

/// An approval with everybody's word.
pub(super) fn approval(part: &ApprovalPart) -> Card {
    let mut pairs = vec![
        pair("Id", part.id.to_string()),
        pair(
            "Needed",
            if part.verdict.is_none() { part.progress().words() } else { part.progress().asked() },
        ),
        pair("Asked", part.asked.at.to_minute()),
        pair("Until", part.until.to_minute()),
        pair("Binds (SHA-256)", part.binds.to_string()),
    ];
    if part.escalated {
        pairs.push(pair("Escalated", "asked a second time"));
    }
    for given in &part.given {
        let word = if given.approve { "Yes" } else { "No" };
        let counts = if given.counts_for.is_empty() {
            String::new()
        } else {
            format!(" for {}", given.counts_for.join(", "))
        };
        let note = given.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        pairs.push(pair(word, format!("{}{counts} on {}{note}", given.by, given.when.at.to_minute())));
    }
    let all = part.given.iter().map(|given| Some(given.when.cite));
    Card {
        title: part.title.clone(),
        state: part.verdict.map_or("awaiting a decision", words::verdict).to_owned(),
        text: String::new(),
        pairs,
        undo: String::new(),
        cites: cites([Some(part.asked.cite), part.closed.map(|when| when.cite)].into_iter().chain(all)),
    }
}

/// A containment with request, read-back, expiry and way back.
pub(super) fn containment(part: &ContainmentPart) -> Card {
    let none = || "none is on record".to_owned();
    let mut pairs = vec![
        pair("Id", part.id.to_string()),
        pair("Operation", part.operation.clone()),
        pair("Target", part.target.clone()),
    ];
    if let Some(tier) = part.tier {
        pairs.push(pair("Tier", format!("T{tier}")));
    }
    if !part.changed {
        pairs.push(pair("Change", "none: the target already was in that state"));
    }
    for (name, said) in [
        ("Reason", &part.reason),
        ("Asked for", &part.asked),
        ("Change, as declared", &part.change),
        ("State before", &part.before),
    ] {
        if let Some(said) = said {
            pairs.push(pair(name, said.clone()));
        }
    }
    for noted in &part.approvers {
        pairs.push(pair("Approved by", format!("{} on {}", noted.value, noted.at.to_minute())));
    }
    pairs.push(pair("Accepted", part.accepted.at.to_string()));
    pairs.push(pair("Request", part.request.clone().unwrap_or_else(none)));
    let verified = part.verified.map_or_else(|| "not yet".to_owned(), |when| when.at.to_string());
    pairs.push(pair("Verified", verified));
    pairs.push(pair("Read-back", part.read_back.clone().unwrap_or_else(none)));
    pairs.push(pair("Read-back showed", part.showed.clone().unwrap_or_else(none)));
    pairs.extend(watched(part));
    let until = match (part.until, &part.undo) {
        _ if part.one_off => "nothing to expire: it is done, and there is no way back".to_owned(),
        (Some(at), _) => at.to_minute(),
        (None, _) => "when a person lifts it".to_owned(),
    };
    pairs.push(pair("Expires", until));
    let said = [("Extended by", &part.extended), ("Lifting", &part.lifting), ("Stuck", &part.stuck)];
    for (name, noted) in said {
        if let Some(noted) = noted {
            pairs.push(pair(name, format!("{} on {}", noted.value, noted.at.to_minute())));
        }
    }
    for field in &part.changed_since {
        pairs.push(pair("Changed by somebody else", field.words()));
    }
    if let Some(when) = part.lifted {
        pairs.push(pair("Lifted", when.at.to_string()));
    }
    let noted = [&part.drifted, &part.extended, &part.lifting, &part.stuck]
        .map(|it| it.as_ref().map(|noted| noted.cite));
    let moments = [Some(part.accepted), part.verified, part.looked, part.warned, part.lifted]
        .map(|it| it.map(|when| when.cite));
    Card {
        title: part.title.clone(),
        state: match part.hold {
            _ if part.drift().is_some() => words::DRIFTED,
            hold if part.one_off => words::done_once(hold),
            hold => words::hold(hold),
        }
        .to_owned(),
        text: String::new(),
        pairs,
        undo: part.undo.clone().unwrap_or_default(),
        cites: cites(moments.into_iter().chain(noted).chain(part.approvers.iter().map(|it| Some(it.cite)))),
    }
}

/// What came of keeping an eye on it.
fn watched(part: &ContainmentPart) -> Vec<Pair> {
    let mut pairs = Vec::new();
    if let Some(when) = part.looked {
        let found = if part.drifted.is_some() { "it did not hold any more" } else { "it still holds" };
        let showed = part.look_showed.clone().unwrap_or_else(|| "none is on record".to_owned());
        pairs.push(pair("Looked at again", format!("{}: {found}", when.at)));
        pairs.push(pair("The later look showed", showed));
    }
    if let Some(noted) = &part.drifted {
        pairs.push(pair("Drifted", format!("{}: {}", noted.at.to_minute(), noted.value)));
    }
    if let Some(when) = part.warned {
        pairs.push(pair("People told of its end", when.at.to_minute()));
    }
    pairs
}

/// Technique ids from the alert and the playbook.
pub(super) fn techniques(dossier: &Dossier) -> Vec<Line> {
    let mut lines = Vec::new();
    for part in dossier.alerts() {
        lines.extend(part.alert.techniques.iter().map(|id| line(id, "named by the detector", part.cite)));
    }
    for run in dossier.runs() {
        let cite = run.started.map(|when| when.cite.to_string()).unwrap_or_default();
        let own = run.techniques.iter();
        lines.extend(own.map(|id| line(id, "what the playbook is for (inferred)", cite.clone())));
    }
    lines
}

/// Indicators of compromise: what the alert names, and hashes of its objects.
pub(super) fn iocs(part: &AlertPart) -> Vec<Line> {
    let alert = &part.alert;
    let mut lines: Vec<Line> =
        alert.indicators.iter().map(|it| line(&it.kind, it.value.clone(), part.cite)).collect();
    for object in &alert.objects {
        if let Some(sha256) = &object.sha256 {
            lines.push(line("sha256", sha256.clone(), part.cite));
        }
    }
    lines.dedup();
    lines
}

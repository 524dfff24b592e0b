//! Names kept out of what leaves the need-to-know circle.
//!
//! An executive report says what happened and never to whom, with which tool
//! or by which technique. Its sentences are made of fixed words; what authors
//! and people wrote (titles of steps, labels of answers, tags) passes here.

use std::net::IpAddr;

use crate::domain::alert::Alert;
use crate::projection::dossier::Dossier;

/// The subject of the report.
pub const SUBJECT: &str = "the employee";
const PERSON: &str = "a colleague";
const SYSTEM: &str = "a connected system";
const DEVICE: &str = "a device";
const PLACE: &str = "an outside destination";
const ITEM: &str = "an item";

/// Names of connectors that are plain words: an author's "ask the people who
/// own it" names no tool.
const PLAIN_WORDS: &[&str] = &[
    "alerts",
    "assets",
    "cases",
    "chat",
    "cloud",
    "device",
    "devices",
    "directory",
    "dlp",
    "dns",
    "edr",
    "email",
    "endpoint",
    "files",
    "firewall",
    "hr",
    "identity",
    "idp",
    "intel",
    "inventory",
    "lab",
    "mail",
    "network",
    "people",
    "proxy",
    "sensor",
    "siem",
    "sso",
    "storage",
    "tickets",
    "users",
    "vpn",
];

/// Replaces names by roles.
pub struct Redactor {
    /// What to look for in any case, and what to say instead; the longest first.
    any_case: Vec<(String, &'static str)>,
    /// Parts of people's names, only as they are written: `Mark`, never `mark`.
    exact: Vec<(String, &'static str)>,
}

impl Redactor {
    /// Knows the names that this dossier holds.
    pub fn of(dossier: &Dossier) -> Self {
        let mut made = Redactor { any_case: Vec::new(), exact: Vec::new() };
        dossier.alerts().for_each(|part| made.alert(&part.alert));
        made.record(dossier);
        made.any_case.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        made.any_case.dedup_by(|a, b| a.0 == b.0);
        made
    }

    /// Whom and what an alert names.
    fn alert(&mut self, alert: &Alert) {
        for user in alert.users.iter().chain([&alert.user, &alert.actor]) {
            for text in [&user.email, &user.id, &user.employee_id].into_iter().flatten() {
                self.person(text, SUBJECT);
            }
            user.name.iter().for_each(|name| self.person(name, SUBJECT));
        }
        for host in alert.hosts.iter().chain([&alert.host]) {
            for text in [&host.id, &host.name, &host.ip].into_iter().flatten() {
                self.add(text, DEVICE);
            }
        }
        for object in &alert.objects {
            for text in [&object.name, &object.path, &object.sha256].into_iter().flatten() {
                self.add(text, ITEM);
            }
            object.origin.iter().for_each(|text| self.tool(text));
        }
        for text in [&alert.dest.domain, &alert.dest.account, &alert.dest.device].into_iter().flatten() {
            self.add(text, PLACE);
        }
        alert.indicators.iter().for_each(|indicator| self.add(&indicator.value, PLACE));
        self.tool(&alert.source);
    }

    /// Whom and what the rest of the record names.
    fn record(&mut self, dossier: &Dossier) {
        dossier.incident.subject.iter().for_each(|name| self.person(name, SUBJECT));
        let incident = &dossier.incident;
        incident
            .assignee
            .iter()
            .filter(|it| !it.value.starts_with("group:"))
            .for_each(|it| self.person(&it.value, PERSON));
        let changed = [&incident.assignee].into_iter().flatten().chain(&incident.notes).chain(&incident.tags);
        changed.filter_map(|noted| noted.by.as_ref()).for_each(|name| self.person(name, PERSON));
        let alerts = dossier.alerts().filter_map(|part| part.alert.handed_in_by.as_ref());
        alerts.for_each(|name| self.person(name, PERSON));
        dossier.runs().filter_map(|run| run.owner.as_ref()).for_each(|name| self.person(name, PERSON));
        for name in dossier.questions.iter().flat_map(|part| &part.asked) {
            self.person(name, PERSON);
        }
        let answered = dossier.questions.iter().filter_map(|part| part.end.as_ref()?.by.as_ref());
        let approved = dossier.approvals.iter().flat_map(|part| &part.given).map(|given| &given.by);
        answered.chain(approved).for_each(|name| self.person(name, PERSON));
        for part in &dossier.containments {
            self.person(&part.target, SUBJECT);
            self.operation(&part.operation);
        }
        dossier.evidence.iter().for_each(|part| self.operation(&part.exchange.source));
        let tools = dossier.runs().flat_map(|run| run.connectors.iter().chain(&run.products));
        tools.for_each(|name| self.tool(name));
    }

    fn add(&mut self, text: &str, instead: &'static str) {
        let text = text.trim();
        // Two letters are more often a word than a name.
        if text.chars().count() > 2 {
            self.any_case.push((text.to_lowercase(), instead));
        }
    }

    fn tool(&mut self, name: &str) {
        if !PLAIN_WORDS.contains(&name.to_lowercase().as_str()) {
            self.add(name, SYSTEM);
        }
    }

    /// `okta.suspend_user`: whole, and its connector.
    fn operation(&mut self, operation: &str) {
        self.add(operation, SYSTEM);
        if let Some((connector, _)) = operation.split_once('.') {
            self.tool(connector);
        }
    }

    fn person(&mut self, name: &str, instead: &'static str) {
        if name.starts_with("group:") {
            return;
        }
        self.add(name, instead);
        let local = name.split('@').next().unwrap_or(name);
        if local.chars().count() > 3 && (name.contains('@') && local.contains('.')) {
            self.add(local, instead);
        }
        for part in local.split(|c: char| !c.is_alphabetic()).filter(|part| part.chars().count() > 2) {
            let mut chars = part.chars();
            let capital: String =
                chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect();
            self.exact.push((capital, instead));
        }
    }

    /// `text` with every known name, and whatever looks like an address, a
    /// link or a technique id, replaced.
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, instead) in &self.any_case {
            text = replace_words(&text, name, instead, true);
        }
        for (name, instead) in &self.exact {
            text = replace_words(&text, name, instead, false);
        }
        let words: Vec<String> = text.split(' ').map(word).collect();
        words.join(" ")
    }
}

/// A single word, replaced when its shape tells what it is.
fn word(word: &str) -> String {
    let core = word.trim_matches(|c: char| !c.is_alphanumeric());
    let instead = if core.contains('@') {
        PERSON
    } else if word.contains("://") || core.starts_with("www.") {
        "a link"
    } else if core.parse::<IpAddr>().is_ok() {
        "an address"
    } else if technique(core) {
        "a known technique"
    } else {
        return word.to_owned();
    };
    word.replace(core, instead)
}

/// `T1567.002` of ATT&CK, `IF001.001` of the Insider Threat Matrix.
fn technique(word: &str) -> bool {
    let (id, sub) = word.split_once('.').unwrap_or((word, "000"));
    let letters = id.bytes().take_while(u8::is_ascii_uppercase).count();
    let digits = id.len() - letters;
    let numbers = id.bytes().skip(letters).all(|b| b.is_ascii_digit());
    let shape = (letters == 1 && id.starts_with('T') && digits == 4) || (letters == 2 && digits == 3);
    shape && numbers && sub.len() == 3 && sub.bytes().all(|b| b.is_ascii_digit())
}

/// Every whole-word `name` in `text` replaced. With `any_case`, `name` must be
/// in lower case.
fn replace_words(text: &str, name: &str, instead: &str, any_case: bool) -> String {
    if name.is_empty() {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let wanted: Vec<char> = name.chars().collect();
    let same = |a: char, b: char| {
        if any_case { a.to_lowercase().eq(b.to_lowercase()) } else { a == b }
    };
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = at + wanted.len();
        let hit = end <= chars.len()
            && (at == 0 || !chars[at - 1].is_alphanumeric())
            && chars.get(end).is_none_or(|c| !c.is_alphanumeric())
            && chars[at..end].iter().zip(&wanted).all(|(a, b)| same(*a, *b));
        if hit {
            out.push_str(instead);
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_roles_and_words_stay() {
        let mut redactor = Redactor { any_case: Vec::new(), exact: Vec::new() };
        redactor.person("Mark Berg", SUBJECT);
        redactor.person("ana.lopez@example.com", PERSON);
        redactor.tool("okta");
        redactor.tool("people");
        for (text, wanted) in [
            ("mark it", "mark it"),
            ("Mark's account", "the employee's account"),
            ("MARK BERG left", "the employee left"),
            ("ask Ana.Lopez@Example.com now", "ask a colleague now"),
            ("Suspend in Okta", "Suspend in a connected system"),
            ("ask the people", "ask the people"),
            ("seen T1567.002, IF001.001.", "seen a known technique, a known technique."),
            ("from 203.0.113.9 (https://x.example/y)", "from an address (a link)"),
            ("someone@else.example", "a colleague"),
        ] {
            assert_eq!(redactor.clean(text), wanted);
        }
    }
}

//! The executive report: one page of sentences that a manager can act on.
//!
//! Facts and what is inferred from them stand apart. A sentence that states a
//! fact names the entry it rests on; one without an entry states none. Nobody
//! is named, nor any tool or technique.
//!
//! What no entry can know, people say with tags on the incident: `impact:…`,
//! `data:…`, `people:…`, `cost:…`, `classification:…`
//! (`quell incident inc_… --tag "impact:…"`), or in fields of their answers (`report/stated.rs`).

use serde::Serialize;

use crate::domain::run::Hold;
use crate::domain::time::Timestamp;
use crate::projection::dossier::{Cite, Dossier, StepPart};
use crate::report::header::{Header, header, tag};
use crate::report::redact::Redactor;
use crate::report::words;

mod facts;
mod next;

/// Entries that the head row names for what holds; the lines below name them all.
const CITES_MAX: usize = 3;

/// Lines of each list, so that the report stays one page.
const LINES_MAX: usize = 6;

/// The longest text of a person or author in a sentence, in characters.
const QUOTED_MAX: usize = 80;

/// What a report says where the journal has nothing.
const NOT_KNOWN: &str = "not yet on record";

/// One sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// The sentence, with its full stop.
    pub text: String,
    /// The entries it rests on; empty when it states no fact.
    pub cites: String,
}

impl Sentence {
    fn fact(text: impl Into<String>, cites: &[Cite]) -> Self {
        let mut names: Vec<String> = cites.iter().map(Cite::to_string).collect();
        names.dedup();
        Sentence { text: text.into(), cites: names.join(", ") }
    }

    fn plain(text: impl Into<String>) -> Self {
        Sentence { text: text.into(), cites: String::new() }
    }
}

/// A decision that somebody must take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What is to be decided, and on what it rests.
    pub what: Sentence,
    /// `by …`, or `as soon as possible`.
    pub by: String,
}

/// Whether harm is limited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contained {
    /// One or two words.
    pub word: &'static str,
    /// Since when; empty when nothing holds.
    pub since: String,
    /// Until when.
    pub until: String,
    /// The entries that these rest on.
    pub cites: String,
    /// Each containment.
    pub lines: Vec<Sentence>,
}

/// One page for people who decide.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Executive {
    /// The head.
    pub header: Header,
    /// That a written procedure was followed, and nothing of what it is called:
    /// a playbook's title may say of a person what nobody knows yet.
    pub procedure: Sentence,
    /// The event in one sentence.
    pub event: Sentence,
    /// The severity in one word.
    pub severity: &'static str,
    /// 0 to 100; a dash when not known.
    pub score: String,
    /// Where the severity is going.
    pub trend: Sentence,
    /// Where the incident stands.
    pub status: Sentence,
    /// What is known.
    pub known: Vec<Sentence>,
    /// What is inferred.
    pub inferred: Vec<Sentence>,
    /// What it does to the business.
    pub impact: Vec<Sentence>,
    /// What data is affected.
    pub data: Vec<Sentence>,
    /// Which people are affected.
    pub people: Vec<Sentence>,
    /// Whether harm is limited.
    pub contained: Contained,
    /// Decisions needed.
    pub decisions: Vec<Decision>,
    /// What comes next by itself.
    pub next_steps: Vec<Sentence>,
    /// Whose incident it is.
    pub owner: Sentence,
    /// What it costs.
    pub cost: Sentence,
    /// When there is more to say.
    pub next_update: Sentence,
}

/// Writes the page.
pub fn executive(dossier: &Dossier, template: &str, audience: &str, generated_at: Timestamp) -> Executive {
    let writer = Writer { dossier, names: Redactor::of(dossier) };
    let mut header = header(dossier, template, audience, generated_at);
    header.audience = writer.names.clean(&header.audience);
    header.classification = writer.quoted(&header.classification);
    let severity = dossier.severity();
    Executive {
        header,
        procedure: writer.procedure(),
        event: writer.event(),
        severity: severity.map_or("not known", words::severity),
        score: severity.map_or_else(|| "–".to_owned(), |severity| severity.to_string()),
        trend: writer.trend(),
        status: writer.status(),
        known: writer.known(),
        inferred: writer.inferred(),
        impact: writer.impact(),
        data: writer.data(),
        people: writer.people(),
        contained: writer.contained(),
        decisions: writer.decisions(),
        next_steps: writer.next_steps(),
        owner: writer.owner(),
        cost: writer.tagged("cost").unwrap_or_else(|| Sentence::plain(format!("Cost is {NOT_KNOWN}."))),
        next_update: writer.next_update(),
    }
}

struct Writer<'a> {
    dossier: &'a Dossier,
    names: Redactor,
}

impl Writer<'_> {
    /// What a person or author wrote, without names and not too long.
    fn quoted(&self, text: &str) -> String {
        let text = self.names.clean(text);
        if text.chars().count() <= QUOTED_MAX {
            return text;
        }
        let cut: String = text.chars().take(QUOTED_MAX).collect();
        format!("{cut}…")
    }

    /// A step as people call it: `owner_check` reads `owner check`.
    fn step(&self, title: &str) -> String {
        format!("“{}”", self.quoted(&title.replace('_', " ")))
    }

    fn step_of(&self, part: &StepPart) -> String {
        self.step(&part.title)
    }

    /// What the last incident tag `key:…` says, as a sentence.
    fn tagged(&self, key: &str) -> Option<Sentence> {
        let (text, cites) = tag(self.dossier, key)?;
        let text = self.quoted(text);
        let stop = if text.ends_with(['.', '!', '?', '…']) { "" } else { "." };
        Some(Sentence { text: format!("{text}{stop}"), cites })
    }

    fn contained(&self) -> Contained {
        let all = &self.dossier.containments;
        // What was done once, without a way back, is neither held nor lifted.
        let lasting = || all.iter().filter(|part| !part.one_off);
        let holding: Vec<_> = lasting().filter(|part| part.hold != Hold::Lifted).collect();
        let word = if all
            .iter()
            .any(|part| matches!(part.hold, Hold::Stuck | Hold::MayHold) || part.drift().is_some())
        {
            "A person must look"
        } else if all.is_empty() {
            "No"
        } else if lasting().next().is_none() {
            "Nothing is held"
        } else if holding.is_empty() {
            "Lifted"
        } else if holding.iter().any(|part| part.hold == Hold::Lifting) {
            "Being lifted"
        } else if holding.iter().all(|part| part.hold == Hold::Verified) {
            "Yes"
        } else {
            "Not confirmed"
        };
        let since = holding.iter().filter_map(|part| part.verified).map(|when| when.at).min();
        let until = holding.iter().filter_map(|part| part.until).min();
        let until = match until {
            Some(at) => at.to_minute(),
            None if holding.is_empty() => "–".to_owned(),
            None => "a person lifts it".to_owned(),
        };
        let rests_on = if holding.is_empty() { lasting().collect() } else { holding.clone() };
        let cites: Vec<Cite> = rests_on
            .iter()
            .map(|part| match part.drift() {
                Some(noted) => noted.cite,
                None => part.lifted.or(part.verified).unwrap_or(part.accepted).cite,
            })
            .take(CITES_MAX)
            .collect();
        let cites = Sentence::fact("", &cites).cites;
        let mut lines: Vec<Sentence> = all.iter().map(|part| self.containment(part)).collect();
        shorten(&mut lines);
        if lines.is_empty() {
            lines.push(Sentence::plain("Nothing has been contained by this run."));
        }
        Contained { word, since: since.map(Timestamp::to_minute).unwrap_or_default(), until, cites, lines }
    }
}

/// Keeps the first lines and says how many are left out.
fn shorten(lines: &mut Vec<Sentence>) {
    let all = lines.len();
    if all > LINES_MAX {
        lines.truncate(LINES_MAX - 1);
        lines.push(Sentence::plain(format!("{} more are in the technical report.", all - LINES_MAX + 1)));
    }
}

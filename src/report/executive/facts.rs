//! Sentences on what is known, and on what follows from it.

use super::{CITES_MAX, NOT_KNOWN, Sentence, Writer, shorten};
use crate::domain::alert::{Alert, grouped};
use crate::domain::approval::Verdict;
use crate::domain::incident::Status;
use crate::domain::run::{Hold, StepEnd};
use crate::projection::dossier::{ApprovalPart, Cite, ContainmentPart, QuestionPart, RunPart};
use crate::report::stated::{answered, differing};
use crate::report::words;

/// Labels of data that are told; more of them are counted.
const LABELS_MAX: usize = 3;

impl Writer<'_> {
    pub(super) fn event(&self) -> Sentence {
        let Some(part) = &self.dossier.alert else {
            return match self.dossier.run.started {
                Some(when) => {
                    let alert = match self.dossier.alert_erased {
                        Some(_) => "the content of the alert was removed by retention",
                        None => "no alert is on record",
                    };
                    let text = format!("A response was started on {}; {alert}.", when.at.to_minute());
                    Sentence::fact(text, &[when.cite])
                }
                None => Sentence::plain("The journal holds no start of this run."),
            };
        };
        let alert = &part.alert;
        let about = match who(alert) {
            0 => "activity on company systems".to_owned(),
            1 => "activity by one person".to_owned(),
            many => format!("activity by {many} accounts"),
        };
        let outside = match transfer(alert) {
            Some(place) => format!(", with a transfer to {place},"),
            None => String::new(),
        };
        let kind = words::category(alert.category);
        let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "An" } else { "A" };
        let at = alert.event_time.unwrap_or(alert.received_at).to_minute();
        let when = if alert.event_time.is_some() { format!("on {at}") } else { format!("received on {at}") };
        Sentence::fact(format!("{article} {kind} alert reports {about}{outside} {when}."), &[part.cite])
    }

    /// A run as people call it.
    pub(super) fn response(&self, run: &RunPart) -> String {
        match run.started.map_or(0, |when| when.cite.run) {
            0 => "the response".to_owned(),
            number => format!("response {number} of {}", self.dossier.earlier.len() + 1),
        }
    }

    pub(super) fn procedure(&self) -> Sentence {
        let run = &self.dossier.run;
        let earlier = self.dossier.earlier.len();
        if earlier > 0 {
            let text = format!("Written response procedures were followed, in {} runs.", earlier + 1);
            let began = self.dossier.runs().filter_map(|run| run.started);
            return Sentence::fact(text, &began.map(|when| when.cite).take(CITES_MAX).collect::<Vec<_>>());
        }
        match run.started {
            Some(when) => {
                let text = format!("A written response procedure, version {}, was followed.", run.version);
                Sentence::fact(text, &[when.cite])
            }
            None => Sentence::plain(format!("Which procedure was followed is {NOT_KNOWN}.")),
        }
    }

    pub(super) fn trend(&self) -> Sentence {
        let set = &self.dossier.incident.severity;
        let first = self.dossier.alert.as_ref().map(|part| (part.alert.severity, part.cite));
        let first = first.or(set.first().map(|noted| (noted.value, noted.cite)));
        let (Some((first, from)), Some(last)) = (first, set.last()) else {
            return match first {
                Some((_, cite)) => Sentence::fact("Unchanged since the alert.", &[cite]),
                None => Sentence::plain("No severity is on record."),
            };
        };
        let word = match last.value.cmp(&first) {
            std::cmp::Ordering::Less => format!("Lowered from {first} on {}.", last.at.to_minute()),
            std::cmp::Ordering::Equal => "Unchanged since the alert.".to_owned(),
            std::cmp::Ordering::Greater => {
                format!("Raised from {first} on {}.", last.at.to_minute())
            }
        };
        Sentence::fact(word, &[from, last.cite])
    }

    pub(super) fn status(&self) -> Sentence {
        let lasting = || self.dossier.containments.iter().filter(|part| !part.one_off);
        let lifted = lasting().filter_map(|part| part.lifted).max_by_key(|when| when.at);
        let nothing_holds = lasting().all(|part| part.hold == Hold::Lifted);
        if let (Some(noted), Some(lifted), true) = (&self.dossier.incident.status, lifted, nothing_holds)
            && noted.value == Status::Contained
            && lifted.at >= noted.at
        {
            let text = format!(
                "The incident was recorded as contained on {}; what held was lifted on {}.",
                noted.at.to_minute(),
                lifted.at.to_minute()
            );
            return Sentence::fact(text, &[noted.cite, lifted.cite]);
        }
        match (&self.dossier.incident.status, self.dossier.incident.opened) {
            (Some(noted), _) => {
                Sentence::fact(format!("The incident is {}.", words::status(noted.value)), &[noted.cite])
            }
            (None, Some(opened)) => Sentence::fact("The incident is open.", &[opened.cite]),
            (None, None) => Sentence::plain(format!("Where the incident stands is {NOT_KNOWN}.")),
        }
    }

    pub(super) fn known(&self) -> Vec<Sentence> {
        let dossier = self.dossier;
        let mut lines = Vec::new();
        for run in dossier.runs() {
            if let Some(noted) = &run.quarantined {
                let (which, since) = (words::capitalised(&self.response(run)), noted.at.to_minute());
                let text = format!("{which} is set aside since {since} until a person releases it.");
                lines.push(Sentence::fact(text, &[noted.cite]));
            }
        }
        for part in dossier.uncertain.iter().filter(|part| part.settled.is_none()) {
            let text = format!("Nobody can yet say whether the step {} took effect.", self.step(&part.title));
            lines.push(Sentence::fact(text, &[part.since.cite]));
        }
        lines.extend(self.failed());
        lines.extend(dossier.approvals.iter().filter_map(|part| self.approval(part)));
        for run in dossier.runs() {
            if let (Some(end), Some(when)) = (run.end, run.ended.or(run.ending)) {
                let which = words::capitalised(&self.response(run));
                let text = format!("{which} {} on {}.", words::run_end(end), when.at.to_minute());
                lines.push(Sentence::fact(text, &[when.cite]));
            }
        }
        lines.extend(dossier.questions.iter().filter_map(|part| self.question(part)));
        let (mails, exchanges): (Vec<_>, Vec<_>) =
            dossier.evidence.iter().partition(|part| part.is_message());
        if let (Some(first), Some(last)) = (exchanges.first(), exchanges.last()) {
            let (many, are) = (words::count(exchanges.len(), "exchange", "exchanges"), be(exchanges.len()));
            let kept = format!("{many} with company systems {are} on record, each with a checksum.");
            lines.push(Sentence::fact(kept, &[first.cite, last.cite]));
        }
        if let (Some(first), Some(last)) = (mails.first(), mails.last()) {
            let (many, are) = (words::count(mails.len(), "message", "messages"), be(mails.len()));
            let kept = format!("{many} to colleagues {are} on record, each with a checksum.");
            lines.push(Sentence::fact(kept, &[first.cite, last.cite]));
        }
        shorten(&mut lines);
        if lines.is_empty() {
            lines.push(Sentence::plain("Nothing beyond the event itself."));
        }
        lines
    }

    fn failed(&self) -> Option<Sentence> {
        let steps = self.dossier.steps.iter();
        let failed: Vec<_> = steps.filter(|part| part.outcome == Some(StepEnd::Failed)).collect();
        let ended = failed.iter().filter_map(|part| part.ended);
        let cites: Vec<Cite> = ended.map(|when| when.cite).take(3).collect();
        match failed[..] {
            [] => None,
            [part] => Some(Sentence::fact(format!("The step {} failed.", self.step_of(part)), &cites)),
            _ => Some(Sentence::fact(format!("{} steps failed.", failed.len()), &cites)),
        }
    }

    fn question(&self, part: &QuestionPart) -> Option<Sentence> {
        let title = self.step(&part.title);
        let Some(end) = &part.end else {
            let text = format!(
                "A responsible person was asked on {} and has not answered yet ({title}).",
                part.sent.at.to_minute()
            );
            return Some(Sentence::fact(text, &[part.sent.cite]));
        };
        let cites = [part.sent.cite, end.when.cite];
        let Some(choice) = &end.choice else {
            return Some(Sentence::fact(format!("The question {title} ended without an answer."), &cites));
        };
        let label = self.quoted(end.label.as_ref().unwrap_or(choice));
        Some(match end.by {
            Some(_) => {
                let at = end.when.at.to_minute();
                Sentence::fact(format!("A responsible person answered “{label}” on {at} ({title})."), &cites)
            }
            None => Sentence::fact(format!("Nobody answered in time ({title})."), &cites),
        })
    }

    fn approval(&self, part: &ApprovalPart) -> Option<Sentence> {
        let title = self.step(&part.title);
        let (verdict, closed) = (part.verdict?, part.closed?);
        let at = closed.at.to_minute();
        let mut cites: Vec<Cite> = part.given.iter().map(|given| given.when.cite).take(3).collect();
        cites.push(closed.cite);
        let text = match verdict {
            Verdict::Approved => {
                let people =
                    words::count(part.given.iter().filter(|given| given.approve).count(), "person", "people");
                format!("{people} approved {title} on {at}.")
            }
            _ => format!("{title} was {}, on {at}.", words::verdict(verdict)),
        };
        Some(Sentence::fact(text, &cites))
    }

    pub(super) fn inferred(&self) -> Vec<Sentence> {
        let mut lines = Vec::new();
        let incident = &self.dossier.incident;
        if let Some(noted) = &incident.disposition {
            let text = format!("The incident is classed as {}.", words::disposition(noted.value));
            lines.push(Sentence::fact(text, &[noted.cite]));
        }
        for part in &self.dossier.questions {
            if let Some(end) = part.end.as_ref().filter(|end| end.by.is_none() && end.choice.is_some()) {
                let label = end.label.as_ref().or(end.choice.as_ref()).map(|text| self.quoted(text));
                let label = label.unwrap_or_default();
                let text = format!("Silence on {} is treated as “{label}”.", self.step(&part.title));
                lines.push(Sentence::fact(text, &[end.when.cite]));
            }
        }
        let rated = incident.severity.last().map(|noted| noted.cite);
        if let (Some(severity), Some(cite)) =
            (self.dossier.severity(), rated.or(self.dossier.alert.as_ref().map(|part| part.cite)))
        {
            let text = format!("The severity of {severity} is a rating, not a finding.");
            lines.push(Sentence::fact(text, &[cite]));
        }
        shorten(&mut lines);
        lines.push(Sentence::plain("Nothing is concluded about anyone’s intent."));
        lines
    }

    /// What people put on record of this: the last tag of the incident, and what they
    /// answered; where that differs, all of it and that it does.
    fn on_record(&self, key: &str) -> Vec<Sentence> {
        let mut lines: Vec<Sentence> = self.tagged(key).into_iter().collect();
        let said = answered(self.dossier, key);
        lines.extend(said.iter().map(|said| {
            let (label, text) = (self.quoted(said.label), self.quoted(said.text));
            let text = format!("{label}: “{text}”, answered on {}.", said.at.to_minute());
            Sentence::fact(text, &[said.cite])
        }));
        lines.extend(differing(&said).into_iter().map(|(label, cites)| {
            let text =
                format!("The answers about {} differ; a person has to say which holds.", self.quoted(label));
            Sentence::fact(text, &cites)
        }));
        lines
    }

    pub(super) fn impact(&self) -> Vec<Sentence> {
        let mut lines = self.on_record("impact");
        if lines.is_empty() {
            lines.push(Sentence::plain(format!("The effect on the business is {NOT_KNOWN}.")));
        }
        let holding = self.dossier.containments.iter().find(|part| {
            part.hold == Hold::Verified && part.changed && !part.one_off && part.drift().is_none()
        });
        if let Some(part) = holding {
            let cites: Vec<Cite> = part.verified.iter().map(|when| when.cite).collect();
            lines.push(Sentence::fact(
                "Whoever needs the contained access cannot use it while it holds.",
                &cites,
            ));
        }
        lines
    }

    pub(super) fn data(&self) -> Vec<Sentence> {
        let mut lines = self.on_record("data");
        for part in self.dossier.alerts() {
            let alert = &part.alert;
            if !alert.objects.is_empty() {
                lines.push(Sentence::fact(self.objects(alert), &[part.cite]));
            }
            if let Some(place) = transfer(alert) {
                lines.push(Sentence::fact(format!("It names {place} for them."), &[part.cite]));
            }
        }
        if lines.is_empty() {
            lines.push(Sentence::plain(format!("Which data is affected is {NOT_KNOWN}.")));
        }
        lines
    }

    fn objects(&self, alert: &Alert) -> String {
        let number = |count: Option<i64>| usize::try_from(count.unwrap_or(1)).unwrap_or(1);
        let not_kept = alert.counts.objects.saturating_sub(alert.objects.len());
        let items: usize =
            alert.objects.iter().map(|object| number(object.count)).fold(not_kept, usize::saturating_add);
        let size: u64 = alert
            .objects
            .iter()
            .filter_map(|object| u64::try_from(object.bytes?).ok())
            .fold(0, u64::saturating_add);
        let size = if size > 0 { format!(", {} in all", words::bytes(size)) } else { String::new() };
        let mut labels: Vec<String> = alert
            .objects
            .iter()
            .filter_map(|object| object.label.as_deref())
            .map(|it| self.quoted(it))
            .collect();
        labels.sort();
        labels.dedup();
        let more = labels.len().saturating_sub(LABELS_MAX);
        labels.truncate(LABELS_MAX);
        let labels = match (labels.is_empty(), more) {
            (true, _) => String::new(),
            (false, 0) => format!(", labelled “{}”", labels.join("”, “")),
            (false, more) => format!(", labelled “{}” and {more} more", labels.join("”, “")),
        };
        let items = if items == 1 { "1 item".to_owned() } else { format!("{} items", grouped(items)) };
        if not_kept == 0 {
            return format!("The alert names {items}{size}{labels}.");
        }
        let kept = alert.objects.len();
        let of_kept = format!("{size}{labels}");
        match of_kept.strip_prefix(", ") {
            Some(of_kept) => format!("The alert names {items}, {kept} of them kept: {of_kept}."),
            None => format!("The alert names {items}, {kept} of them kept."),
        }
    }

    pub(super) fn people(&self) -> Vec<Sentence> {
        let mut lines = Vec::new();
        if let Some(part) = self.dossier.alert.as_ref().filter(|part| who(&part.alert) > 0) {
            let text = match who(&part.alert) {
                1 => "One person is its subject.".to_owned(),
                many => format!("{many} accounts are its subject."),
            };
            lines.push(Sentence::fact(text, &[part.cite]));
        }
        let more: Vec<Cite> = self.dossier.more_alerts.iter().map(|part| part.cite).collect();
        if !more.is_empty() {
            let count = words::count(more.len(), "further alert is", "further alerts are");
            let text = format!("Whom {count} about is not told here.");
            lines.push(Sentence::fact(text, more.get(..CITES_MAX).unwrap_or(&more)));
        }
        let said = self.on_record("people");
        if said.is_empty() {
            lines.push(Sentence::plain(format!(
                "Whether other people’s data is affected is {NOT_KNOWN} as a finding."
            )));
        }
        lines.extend(said);
        lines
    }

    pub(super) fn containment(&self, part: &ContainmentPart) -> Sentence {
        let title = self.step(&part.title);
        let accepted = part.accepted.cite;
        let verified = part.verified.map_or(accepted, |when| when.cite);
        let until = part.until.map(|at| format!(", until {}", at.to_minute())).unwrap_or_default();
        let at = part.verified.unwrap_or(part.accepted).at.to_minute();
        match part.hold {
            _ if part.drift().is_some() => {
                let cite = part.drift().map_or(accepted, |noted| noted.cite);
                let text = format!(
                    "{title} was in force on {at}; a later look did not show it any more. A person must look."
                );
                Sentence::fact(text, &[accepted, cite])
            }
            _ if !part.changed && part.hold != Hold::Lifted => {
                Sentence::fact(format!("{title} was in force before; nothing was changed."), &[accepted])
            }
            Hold::MayHold => Sentence::fact(
                format!("{title} was sent on {at}; whether it was done is not known, and it may hold."),
                &[accepted],
            ),
            Hold::Accepted if part.one_off => Sentence::fact(
                format!("{title} was asked for on {at} and is not yet confirmed."),
                &[accepted],
            ),
            Hold::Verified if part.one_off => Sentence::fact(
                format!("{title} was done on {at}, confirmed; nothing is left to lift."),
                &[accepted, verified],
            ),
            Hold::Accepted => Sentence::fact(
                format!("{title} was accepted on {at} and is not yet confirmed{until}."),
                &[accepted],
            ),
            Hold::Verified => Sentence::fact(
                format!("{title} is in force, confirmed on {at}{until}."),
                &[accepted, verified],
            ),
            Hold::Lifting => {
                let cite = part.lifting.as_ref().map_or(accepted, |noted| noted.cite);
                Sentence::fact(format!("{title} is being lifted."), &[accepted, cite])
            }
            Hold::Lifted => {
                let (at, cite) = part.lifted.map_or((at, accepted), |when| (when.at.to_minute(), when.cite));
                Sentence::fact(format!("{title} was in force and was lifted on {at}."), &[accepted, cite])
            }
            Hold::Stuck => {
                let cite = part.stuck.as_ref().map_or(accepted, |noted| noted.cite);
                let why = if part.changed_since.is_empty() { "" } else { ": somebody else changed it since" };
                let text = format!("{title} could not be lifted{why}; a person must look.");
                Sentence::fact(text, &[accepted, cite])
            }
        }
    }
}

/// `is` for one, `are` for more.
fn be(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// Where an alert says that data went.
fn transfer(alert: &Alert) -> Option<&'static str> {
    let dest = &alert.dest;
    match (dest.device.is_some(), dest.domain.is_some() || dest.account.is_some()) {
        (true, _) => Some("a removable device"),
        (false, true) => Some("an online destination"),
        (false, false) => None,
    }
}

/// How many accounts an alert is about.
fn who(alert: &Alert) -> usize {
    alert.users.len().max(usize::from(!alert.user.is_nobody()))
}

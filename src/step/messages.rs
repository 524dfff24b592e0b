//! Mail to people: questions, approvals, notices, reports.

use serde_json::{Map, Value, json};

use crate::connector::hub::OperationCall;
use crate::domain::approval::{Approval, Covered};
use crate::domain::command::Phase;
use crate::domain::id::{ContainmentId, QuestionId, ReportId};
use crate::domain::outcome::{Evidence, Failure, FailureClass, Outcome};
use crate::domain::playbook::{Body, ContainmentSpec, IfSilent, QuestionSpec, Step};
use crate::domain::time::{Timestamp, duration_text};
use crate::domain::value::{digest, truncate_text};
use crate::guard::people::entries_of;
use crate::report::render::{Format, render};
use crate::step::defang::{self, OwnLinks};
use crate::step::letters::About;
use crate::step::world::{Call, Done, World};

/// The longest account of what one step of an approved block hands over, in bytes:
/// some lines of a mail.
const COVERED_BYTES_MAX: usize = 400;

/// The longest subject line, in characters: RFC 5322 §2.1.1 allows 998 in a
/// line, and no inbox shows more than this.
const SUBJECT_CHARS_MAX: usize = 200;

/// A mail to one or several people.
struct Mail<'a> {
    to: Vec<String>,
    subject: &'a str,
    text: String,
    html: Option<String>,
    /// The addresses in it that are an author's or our own.
    own_links: OwnLinks,
    /// Names the mail among all of its step: two that shared a Message-ID would
    /// be one mail to many mail systems, and the second would never be seen.
    part: String,
}

/// What a step gives, and the exchange that proves it.
type Written = (Value, Option<Evidence>);

fn permanent(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Permanent, code, message)
}

fn finished(result: Result<Written, Failure>) -> Done {
    match result {
        Ok((output, evidence)) => Outcome::Succeeded { output, evidence }.into(),
        Err(failure) => Outcome::from(failure).into(),
    }
}

/// Sends a question: a personal link to each recipient.
pub async fn ask(call: &Call<'_>, world: &World) -> Done {
    finished(send_question(call, world).await)
}

async fn send_question(call: &Call<'_>, world: &World) -> Result<Written, Failure> {
    let people = about(call).recipients(&world.people, &call.perform.input["who"])?;
    let until = (world.now)().after(question(call)?.within);
    let (text, evidence) = send_links(call, world, &people, 0, until).await?;
    Ok((json!({ "asked": people, "text": text }), evidence))
}

/// The question that a step asks.
fn question<'a>(call: &Call<'a>) -> Result<&'a QuestionSpec, Failure> {
    let spec = match &call.step.body {
        Body::Perform(action) => action.question.as_ref(),
        _ => None,
    };
    spec.ok_or_else(|| permanent("kind-wrong", "this step asks nothing"))
}

/// Sends each of these people their personal link; the first of them is the
/// recipient with this number.
async fn send_links(
    call: &Call<'_>,
    world: &World,
    people: &[String],
    first: usize,
    until: Timestamp,
) -> Result<(String, Option<Evidence>), Failure> {
    let input = &call.perform.input;
    let about = about(call);
    let text = about.words(&world.templates, input, &call.perform.key.to_string())?;
    let source = about.source(input)?;
    let question = question(call)?;
    let id = QuestionId::derived(call.run().ulid(), &call.perform.key.to_string());
    let silent = question
        .choices
        .iter()
        .find(|(value, _)| *value == question.if_silent)
        .map_or("", |(_, label)| label);
    let mut evidence = None;
    for (index, person) in people.iter().enumerate() {
        let recipient = u8::try_from(first + index)
            .map_err(|_| permanent("too-many", "a question goes to at most 255 people"))?;
        let link = format!("{}/q/{}", world.public_url, world.links.token(id, recipient));
        let around = json!({
            "text": text, "link": link, "until": until.to_minute(), "if_silent": silent, "person": person,
        });
        let subject = match call.perform.phase {
            Phase::Remind => "A question from the security team still waits for an answer",
            _ => "A question from the security team",
        };
        let mail = Mail {
            to: vec![person.clone()],
            subject,
            text: page(world, "messages/question.txt", &around)?,
            html: Some(html(world, "messages/question.html", &around)?),
            own_links: own_links(world, &["messages/question.txt", "messages/question.html"], [source])
                .and(&link),
            part: format!("question/{person}"),
        };
        evidence = send(call, world, &mail)
            .await
            .map_err(|failure| after_some(failure, person, &people[..index], people.len()))?;
    }
    Ok((text, evidence))
}

/// Reminds those who were asked, or asks further people the same question.
pub async fn remind(call: &Call<'_>, world: &World) -> Done {
    finished(send_reminder(call, world).await)
}

async fn send_reminder(call: &Call<'_>, world: &World) -> Result<Written, Failure> {
    let told = &call.perform.about;
    let asked = entries_of(told.get("asked").unwrap_or(&Value::Null));
    let until = told.get("until").and_then(Value::as_str).and_then(|until| until.parse().ok());
    let until = until.unwrap_or_else(|| (world.now)());
    let further = told.get("to").filter(|to| !to.is_null());
    let (people, first) = match further {
        None => (asked, 0),
        Some(to) => {
            let people = about(call).recipients(&world.people, to)?;
            (people.into_iter().filter(|person| !asked.contains(person)).collect(), asked.len())
        }
    };
    let (_, evidence) = send_links(call, world, &people, first, until).await?;
    Ok((json!({ "asked": people, "sent_to": people }), evidence))
}

/// Tells those who approved a containment, or the owner of the playbook, that
/// it will be lifted soon.
pub async fn warn(call: &Call<'_>, world: &World) -> Done {
    finished(send_warning(call, world).await)
}

async fn send_warning(call: &Call<'_>, world: &World) -> Result<Written, Failure> {
    let by: Vec<String> = match call.approval {
        Some((_, asked)) => asked.by.clone(),
        None => call.plan.playbook.owner.iter().cloned().collect(),
    };
    if by.is_empty() {
        return Ok((json!({ "sent_to": [] }), None));
    }
    let people = about(call).approvers(&world.people, &by)?;
    let until = call.perform.about.get("until").and_then(Value::as_str).unwrap_or_default();
    let until = until.parse::<Timestamp>().map_or_else(|_| until.to_owned(), Timestamp::to_minute);
    let containment = ContainmentId::derived(call.run().ulid(), &call.perform.key.to_string());
    let captured = call.perform.captured.as_ref();
    let around = json!({
        "title": call.step.title(), "until": until, "incident": call.incident(),
        "target": captured.and_then(|state| state.get("target")),
        "extend": format!("quell extend {containment} --for 24h"),
        "lift": format!("quell undo {containment}"),
    });
    let subject = format!("A containment ends soon: {containment}");
    let mail = Mail {
        to: people.clone(),
        subject: &subject,
        text: page(world, "messages/expiring.txt", &around)?,
        html: None,
        own_links: own_links(world, &["messages/expiring.txt"], [call.step.title()]),
        part: "expiring".to_owned(),
    };
    let evidence = send(call, world, &mail).await?;
    Ok((json!({ "sent_to": people }), evidence))
}

/// Sends a notice.
pub async fn notify(call: &Call<'_>, world: &World) -> Done {
    finished(send_notice(call, world).await)
}

async fn send_notice(call: &Call<'_>, world: &World) -> Result<Written, Failure> {
    let input = &call.perform.input;
    let about = about(call);
    let people = about.recipients(&world.people, &input["to"])?;
    let text = about.words(&world.templates, input, &call.perform.key.to_string())?;
    let subject = input.get("subject").and_then(Value::as_str).unwrap_or("A notice from the security team");
    let mail = Mail {
        to: people.clone(),
        subject,
        text,
        html: None,
        own_links: own_links(world, &[], [about.source(input)?]),
        part: "notice".to_owned(),
    };
    let evidence = send(call, world, &mail).await?;
    Ok((json!({ "sent_to": people }), evidence))
}

/// Writes summaries from the journal alone, keeps them, and sends them.
pub async fn report(call: &Call<'_>, world: &World) -> Done {
    finished(write_report(call, world).await)
}

async fn write_report(call: &Call<'_>, world: &World) -> Result<Written, Failure> {
    let input = &call.perform.input;
    let text = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default();
    let template = text("template");
    let own = |message: String| Failure::new(FailureClass::Transient, "report-unwritten", message);
    let dossier = world.records.dossier(call.run(), 0).await.map_err(own)?;
    let mut written = Vec::new();
    let mut bodies = Map::new();
    for name in entries_of(input.get("formats").unwrap_or(&Value::Null)) {
        let format = Format::named(&name).ok_or_else(|| {
            permanent("format-unknown", format!("`{name}` is no format; write html or markdown"))
        })?;
        let body = render(&world.templates, template, &dossier, text("audience"), format, (world.now)())
            .map_err(|error| permanent("report-unwritten", error.to_string()))?;
        let id = ReportId::derived(call.run().ulid(), &format!("{}/{template}/{name}", call.perform.key));
        let file = file_name(call, template, id, format);
        let kept = world.records.keep_report(file, body.clone().into_bytes()).await.map_err(own)?;
        written.push(json!({ "id": id, "template": template, "format": name, "file": kept, "sha256": digest(body.as_bytes()) }));
        bodies.insert(name, Value::from(body));
    }
    let mut output = json!({ "reports": written, "sent_to": [] });
    let mut evidence = None;
    if let Some(to) = input.get("to").filter(|to| !to.is_null()) {
        let people = about(call).recipients(&world.people, to)?;
        let around = json!({ "incident": call.incident(), "template": template });
        let body = |name: &str| bodies.get(name).and_then(Value::as_str).map(str::to_owned);
        let plain = match body("markdown") {
            Some(markdown) => markdown,
            None => page(world, "messages/summary.txt", &around)?,
        };
        let subject = format!("Summary for {}", call.incident());
        let mail = Mail {
            to: people.clone(),
            subject: &subject,
            text: plain,
            html: body("html"),
            own_links: own_links(world, &["messages/summary.txt"], []),
            part: "report".to_owned(),
        };
        evidence = send(call, world, &mail).await?;
        output["sent_to"] = json!(people);
    }
    Ok((output, evidence))
}

/// The file of one report: the incident and template for people, the end of
/// the report's id so that no other report of the incident is written over it.
fn file_name(call: &Call<'_>, template: &str, id: ReportId, format: Format) -> String {
    let plain: String =
        template.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    let id = id.ulid().to_string();
    format!("{}-{plain}-{}.{}", call.incident(), &id[id.len() - 8..], format.extension())
}

/// Tells the approvers that they are asked.
pub async fn announce(call: &Call<'_>, world: &World) -> Done {
    finished(send_announcement(call, world).await)
}

async fn send_announcement(call: &Call<'_>, world: &World) -> Result<Written, Failure> {
    let Some((id, asked)) = call.approval else {
        return Err(permanent("no-approval", "this step asked for no approval"));
    };
    let people = about(call).approvers(&world.people, &asked.by)?;
    let operation = match &call.step.body {
        Body::Perform(action) => Some(action.operation.as_str()),
        _ => None,
    };
    let link = format!("{}/approvals/{id}", world.public_url);
    let covers: Vec<Value> = asked.covers.iter().map(|covered| covered_words(call, covered)).collect();
    let captured = call.perform.captured.as_ref();
    let around = json!({
        "approval": id,
        "title": call.step.title(),
        "operation": operation,
        "target": captured.and_then(|state| state.get("target")),
        "alert": call.alert.map(|alert| &alert.title),
        "note": call.step.note,
        "needs": asked.progress().words(),
        "covers": covers,
        "until": asked.until.to_minute(),
        "if_silent": silence(asked),
        "undo": way_back(call),
        "binds": asked.binds,
        "link": link,
        "command": format!("quell approve {id}"),
    });
    let subject = format!("Approval needed: {id}");
    let mail = Mail {
        to: people.clone(),
        subject: &subject,
        text: page(world, "messages/approval.txt", &around)?,
        html: Some(html(world, "messages/approval.html", &around)?),
        own_links: own_links(
            world,
            &["messages/approval.txt", "messages/approval.html"],
            [call.step.title(), call.step.note.as_deref().unwrap_or_default()],
        )
        .and(&link),
        // Asked once more after silence, it must arrive once more.
        part: if asked.escalated { "approval/again" } else { "approval" }.to_owned(),
    };
    let evidence = send(call, world, &mail).await?;
    Ok((json!({ "sent_to": people }), evidence))
}

/// What a yes for a block lets one of its steps do, in words.
fn covered_words(call: &Call<'_>, covered: &Covered) -> Value {
    let step = call.plan.playbook.step(&covered.step).map(|(_, step)| step);
    let title = step.map_or(covered.step.as_str(), Step::title);
    let ends = step.and_then(containment).map(|spec| match (spec.undo, ends_by_itself(spec)) {
        (true, Some(ends)) => ends,
        (true, None) => "holds until somebody lifts it".to_owned(),
        (false, _) => "cannot be undone".to_owned(),
    });
    let handed = step.and_then(|step| match &step.body {
        Body::Perform(action) => action.input.source().as_object(),
        Body::Call(call) => call.with.source().as_object(),
        _ => None,
    });
    let input = covered.input.as_ref().and_then(Value::as_object).map(|input| {
        let known = input.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{name}={value}")
        });
        let later = handed.into_iter().flatten().filter(|(name, _)| !input.contains_key(*name));
        let fields = known.chain(later.map(|(name, _)| format!("{name}: known only then")));
        let line = one_line(&fields.collect::<Vec<_>>().join(", "));
        truncate_text(&line, COVERED_BYTES_MAX).into_owned()
    });
    json!({ "title": title, "operation": covered.operation, "input": input, "ends": ends })
}

/// What silence means, in words.
fn silence(asked: &Approval) -> &'static str {
    match (asked.if_silent, asked.escalated) {
        (IfSilent::Escalate, false) => "you are asked once more; after that, silence means no",
        _ => "silence means no: nothing of this is done",
    }
}

/// How it is undone, in words; none for what contains nothing.
fn way_back(call: &Call<'_>) -> Option<String> {
    let spec = containment(call.step)?;
    Some(match (spec.undo, ends_by_itself(spec)) {
        (true, Some(ends)) => format!("It is {ends}. To lift it before: quell undo {}", call.run()),
        (true, None) => format!("It holds until somebody lifts it: quell undo {}", call.run()),
        (false, _) => "It cannot be undone.".to_owned(),
    })
}

fn containment(step: &Step) -> Option<&ContainmentSpec> {
    match &step.body {
        Body::Perform(action) => action.containment.as_ref(),
        _ => None,
    }
}

fn ends_by_itself(spec: &ContainmentSpec) -> Option<String> {
    spec.hold.map(|hold| format!("lifted by itself after {}", duration_text(hold)))
}

fn about<'a>(call: &Call<'a>) -> About<'a> {
    About {
        plan: call.plan,
        alert: call.alert,
        incident: call.incident(),
        run: call.run(),
        found: call.perform.captured.as_ref(),
    }
}

fn page(world: &World, name: &str, context: &Value) -> Result<String, Failure> {
    world.templates.plain(name, context).map_err(|error| permanent("template-wrong", error.to_string()))
}

fn html(world: &World, name: &str, context: &Value) -> Result<String, Failure> {
    world.templates.html(name, context).map_err(|error| permanent("template-wrong", error.to_string()))
}

/// The addresses in the house's templates of these names, and in what an author wrote
/// for the step.
fn own_links<'a>(world: &'a World, templates: &[&str], texts: impl IntoIterator<Item = &'a str>) -> OwnLinks {
    OwnLinks::in_texts(templates.iter().filter_map(|name| world.templates.source(name)).chain(texts))
}

/// Hands one mail to the mail connector. All that came from the world is made sure to
/// become no link here, and nowhere before. Its Message-ID comes from the step's
/// idempotency key, so that a person can tell whether it came.
async fn send(call: &Call<'_>, world: &World, mail: &Mail<'_>) -> Result<Option<Evidence>, Failure> {
    let Some(connector) = &world.mail else {
        return Err(permanent(
            "no-mail",
            "no mail connector is set, so nothing was sent; name one under `mail: { connector: … }` in the settings",
        ));
    };
    let Some(spec) = world.hub.spec(connector) else {
        return Err(permanent(
            "connector-unknown",
            format!(
                "the mail connector `{connector}` is not configured; add it under `connectors:` in the settings"
            ),
        ));
    };
    let key = format!("{}/{}", call.perform.idempotency_key, mail.part);
    let subject = defang::text(&one_line(mail.subject), &OwnLinks::default());
    let html = mail.html.as_ref().map(|page| defang::html(page, &mail.own_links));
    let input = json!({
        "to": mail.to, "subject": subject, "from": world.mail_from,
        "text": defang::text(&mail.text, &mail.own_links), "html": html,
        "message_id": message_id(&key, &world.mail_from),
    });
    let operation = OperationCall {
        connector,
        spec: &spec,
        operation: "send",
        input: &input,
        captured: None,
        idempotency_key: &key,
        timeout: call.perform.timeout,
        playbook: &call.started.playbook,
        urgency: call.urgency(),
        on_turn: call.on_turn,
    };
    match world.hub.perform(&operation).await.outcome {
        Outcome::Succeeded { evidence, .. } => Ok(evidence),
        Outcome::Failed { failure, .. } => Err(failure),
    }
}

/// A Message-ID under the sender's own domain, as mail filters expect (RFC 5322 §3.6.4).
fn message_id(key: &str, from: &str) -> String {
    let domain = from.trim_end_matches('>').rsplit('@').next().unwrap_or_default();
    let fits =
        !domain.is_empty() && domain.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    format!("<{}@{}>", &digest(key.as_bytes()).to_string()[..40], if fits { domain } else { "quell.invalid" })
}

/// A subject may hold words from an alert: a line break there must not keep
/// the mail from being sent.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if plain.chars().count() <= SUBJECT_CHARS_MAX {
        return plain;
    }
    plain.chars().take(SUBJECT_CHARS_MAX - 1).chain(['…']).collect()
}

/// A failure after some mails have left is no clean failure: trying it all
/// again would send those twice.
fn after_some(failure: Failure, person: &str, sent: &[String], total: usize) -> Failure {
    if sent.is_empty() {
        return failure;
    }
    let message = format!(
        "{} of {total} people were written to ({}); then, for {person}: {}",
        sent.len(),
        sent.join(", "),
        failure.message
    );
    Failure { class: FailureClass::Unknown, code: failure.code, message, retry_after: None }
}

//! People who read their mail and act on it a few seconds later, through the
//! same pages and requests that anybody would use.
//!
//! What a person did is written down once it is done. Killed before that, the
//! person acts again after the restart: the page or the server then says that
//! it was decided already, as it would to anybody who clicks twice.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN};
use reqwest::{Client, Response, Url};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::lab::chance::Chance;
use crate::lab::page::{self, Form};
use crate::lab::world::{Acted, Mail, World};

/// How long somebody takes to get to a mail, in seconds at pace 1.
pub const DELAY_S_MIN: f64 = 1.5;
pub const DELAY_S_MAX: f64 = 4.0;
/// How long somebody tries again when the server does not answer: it may be
/// starting again.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two tries.
pub const PAUSE: Duration = Duration::from_secs(1);
/// How long one request may take.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(15);
/// Bytes of a page that are read.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Errands under way at once.
pub const ERRANDS_MAX: usize = 16;

/// Which choice somebody takes when no preferred one is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    First,
    Last,
}

/// How one person answers questions.
#[derive(Debug, Clone, Copy)]
struct Habit {
    /// Taken when a choice contains it, in this order.
    prefers: &'static [&'static str],
    otherwise: Otherwise,
    sentence: &'static str,
    /// What is written into the fields of these names; the sentence into others.
    facts: &'static [(&'static str, &'static str)],
}

/// One person who acts. Everybody else never answers.
#[derive(Debug, Clone, Copy)]
struct Persona {
    email: &'static str,
    answers: Option<Habit>,
    /// What they note when they approve; `None` approves nothing.
    approves: Option<&'static str>,
}

const PERSONAS: &[Persona] = &[
    Persona {
        email: "priya.nair@example.com",
        answers: Some(Habit {
            prefers: &["not_expected", "sensitive"],
            otherwise: Otherwise::Last,
            sentence: "Nobody on the team asked for this export, and I know of no work that needs it.",
            facts: &[
                ("data_class", "confidential, payment records"),
                ("records", "about 48,000"),
                ("people", "about 31,000"),
            ],
        }),
        approves: None,
    },
    Persona {
        email: "morgan.reyes@example.com",
        answers: Some(Habit {
            prefers: &["not_needed", "yes"],
            otherwise: Otherwise::First,
            sentence: "That work was handed over two weeks ago; I assigned nothing that needs it.",
            facts: &[],
        }),
        approves: None,
    },
    Persona {
        email: "ana.duarte@example.com",
        answers: None,
        approves: Some("The evidence holds and the owner did not expect it. Go ahead."),
    },
    Persona {
        email: "lee.park@example.com",
        // The facts on file, and yes to a restriction.
        answers: Some(Habit {
            prefers: &["leaving", "yes"],
            otherwise: Otherwise::Last,
            sentence: "As it is on file.",
            facts: &[
                ("end_date", "at the end of this week, as in the directory"),
                ("contract", "permanent"),
                ("country", "GB"),
                ("on_leave", "no"),
                ("tells", "I tell them in person, tomorrow at nine, with the manager"),
            ],
        }),
        approves: Some("Fine from the HR side; the notice period is on file."),
    },
    Persona {
        email: "noor.haddad@example.com",
        answers: Some(Habit {
            prefers: &["yes"],
            otherwise: Otherwise::Last,
            sentence: "The review is proportionate.",
            facts: &[
                ("basis", "legitimate interest; the assessment of May covers it"),
                (
                    "limits",
                    "work accounts only, thirty days; no works council here, no notice before HR agrees",
                ),
            ],
        }),
        approves: None,
    },
    // Away from the keyboard: a second lead whom nothing may wait for.
    Persona { email: "sam.okafor@example.com", answers: None, approves: None },
];

/// What a mail asks one person to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Errand {
    Answer(Url),
    Approve(Url),
}

/// How one try went.
enum Tried {
    /// Over, well or not.
    Over(String),
    /// The server did not answer, or not sensibly.
    Again(String),
}

/// Reads mail and acts until stopped. `pace` scales every delay.
pub async fn run(world: Arc<World>, client: Client, pace: f64, mut stop: watch::Receiver<bool>) {
    let mut done: BTreeSet<(String, String)> =
        world.state().acted.iter().map(|acted| (acted.mail.clone(), acted.person.clone())).collect();
    let room = Arc::new(Semaphore::new(ERRANDS_MAX));
    let mut errands = JoinSet::new();
    let mut read = 0;
    loop {
        let state = world.state();
        for mail in state.mails.iter().skip(read) {
            for persona in PERSONAS.iter().filter(|persona| is_to(mail, persona.email)) {
                let Some(errand) = errand(persona, mail) else {
                    continue;
                };
                if done.insert((mail.id.clone(), persona.email.to_owned())) {
                    let go = go(Arc::clone(&world), client.clone(), *persona, mail.id.clone(), errand);
                    let wait = delay(state.seed, &mail.id, persona.email, pace);
                    let room = Arc::clone(&room);
                    errands.spawn(async move {
                        tokio::time::sleep(wait).await;
                        // Never closed, so there is always a permit in the end.
                        let _permit = room.acquire_owned().await;
                        go.await;
                    });
                }
            }
        }
        read = state.mails.len();
        tokio::select! {
            () = world.mail_arrived.notified() => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
            Some(_) = errands.join_next() => {}
        }
    }
}

fn is_to(mail: &Mail, email: &str) -> bool {
    mail.to.iter().any(|to| to.eq_ignore_ascii_case(email))
}

fn delay(seed: u64, mail: &str, email: &str, pace: f64) -> Duration {
    let fraction = Chance::new(seed, &format!("delay {mail} {email}")).fraction();
    let seconds = (DELAY_S_MIN + fraction * (DELAY_S_MAX - DELAY_S_MIN)) * pace;
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn errand(persona: &Persona, mail: &Mail) -> Option<Errand> {
    let links = page::links(&mail.text, mail.html.as_deref());
    links.iter().filter_map(|link| Url::parse(link).ok()).filter(is_here).find_map(|url| {
        let segments: Vec<&str> = url.path_segments()?.collect();
        match segments.as_slice() {
            ["q", token] if !token.is_empty() && persona.answers.is_some() => Some(Errand::Answer(url)),
            ["approvals", id] if is_approval(id) && persona.approves.is_some() => {
                let decide = url.join(&format!("/api/v1/approvals/{id}/approve")).ok()?;
                Some(Errand::Approve(decide))
            }
            _ => None,
        }
    })
}

fn is_approval(id: &str) -> bool {
    id.strip_prefix("apr_").is_some_and(|ulid| ulid::Ulid::from_string(ulid).is_ok())
}

/// People here hold tokens, and mail can say anything: they only ever talk to
/// this machine.
fn is_here(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

async fn go(world: Arc<World>, client: Client, persona: Persona, mail: String, errand: Errand) {
    let started = Instant::now();
    let outcome = loop {
        let tried = match (&errand, persona.answers, persona.approves) {
            (Errand::Answer(url), Some(habit), _) => answer(&client, url, habit).await,
            (Errand::Approve(url), _, Some(note)) => approve(&client, &world, persona.email, url, note).await,
            _ => Tried::Over("nothing to do".to_owned()),
        };
        match tried {
            Tried::Over(outcome) => break outcome,
            Tried::Again(why) if started.elapsed() >= PATIENCE => break format!("gave up: {why}"),
            Tried::Again(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    tracing::info!(person = persona.email, mail, outcome, "somebody in the lab acted on a mail");
    let acted = Acted { mail, person: persona.email.to_owned(), time: world.now(), outcome };
    if let Err(error) = world.change(move |state| state.acted.push(acted)).await {
        tracing::error!(%error, "what a person did could not be kept; they may do it again after a restart");
    }
}

async fn answer(client: &Client, url: &Url, habit: Habit) -> Tried {
    let page = match client.get(url.clone()).send().await {
        Ok(response) if response.status().is_success() => response,
        Ok(response) => return refused("the page", &response),
        Err(error) => return Tried::Again(format!("the page did not load: {error}")),
    };
    let html = match text(page).await {
        Ok(html) => html,
        Err(error) => return Tried::Again(format!("the page did not load: {error}")),
    };
    let Some(form) = page::form(&html) else {
        return Tried::Over("the page had nothing to answer".to_owned());
    };
    let Some(choice) = choose(&form.choices, habit) else {
        return Tried::Over("the page had nothing to choose".to_owned());
    };
    let answered = match post(client, url, &form, filled(&form, choice, habit)).await {
        Ok(html) => html,
        Err(tried) => return tried,
    };
    // The page that comes then repeats the answer and wants it confirmed.
    if let Some(form) = page::confirmation(&answered) {
        let pairs = form.kept.iter().chain(&form.ticks).cloned().collect();
        if let Err(tried) = post(client, url, &form, pairs).await {
            return tried;
        }
    }
    Tried::Over(format!("answered {choice}"))
}

/// Sends a form as a browser does, and gives the page that comes.
async fn post(
    client: &Client,
    url: &Url,
    form: &Form,
    pairs: Vec<(String, String)>,
) -> Result<String, Tried> {
    let to = match url.join(&form.action) {
        Ok(to) if to.origin() == url.origin() => to,
        _ => return Err(Tried::Over("the form goes somewhere else, so it was not sent".to_owned())),
    };
    let request = client
        .post(to)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ORIGIN, url.origin().ascii_serialization())
        .header("sec-fetch-site", "same-origin")
        .body(encoded(&pairs));
    let lost = |error: reqwest::Error| Tried::Again(format!("the answer was not taken: {error}"));
    match request.send().await {
        Ok(response) if response.status().is_success() || response.status().is_redirection() => {
            text(response).await.map_err(lost)
        }
        Ok(response) => Err(refused("the answer", &response)),
        Err(error) => Err(lost(error)),
    }
}

fn choose(choices: &[String], habit: Habit) -> Option<&str> {
    let preferred = habit.prefers.iter().find_map(|word| {
        let is = |choice: &&String| choice.to_lowercase().replace([' ', '-'], "_").contains(word);
        choices.iter().find(is)
    });
    let otherwise = || match habit.otherwise {
        Otherwise::First => choices.first(),
        Otherwise::Last => choices.last(),
    };
    preferred.or_else(otherwise).map(String::as_str)
}

fn filled(form: &Form, choice: &str, habit: Habit) -> Vec<(String, String)> {
    let mut pairs = form.kept.clone();
    pairs.push(("choice".to_owned(), choice.to_owned()));
    for name in &form.texts {
        let known = habit.facts.iter().find(|(field, _)| name.ends_with(field)).map(|(_, fact)| *fact);
        let other = if name.to_lowercase().contains("ticket") { "none found" } else { habit.sentence };
        pairs.push((name.clone(), known.unwrap_or(other).to_owned()));
    }
    pairs
}

/// The body of a form.
fn encoded(pairs: &[(String, String)]) -> String {
    // The URL type brings the one encoder that forms and queries share.
    let mut encoder = Url::parse("http://localhost/").expect("a constant address");
    encoder.query_pairs_mut().extend_pairs(pairs);
    encoder.query().unwrap_or_default().to_owned()
}

async fn approve(client: &Client, world: &World, email: &str, url: &Url, note: &str) -> Tried {
    let Some(token) = world.state().tokens.persons.get(email).cloned() else {
        return Tried::Over("has no token".to_owned());
    };
    let request = client
        .post(url.clone())
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json")
        .body(serde_json::json!({ "note": note }).to_string());
    match request.send().await {
        Ok(response) if response.status().is_success() => Tried::Over("approved".to_owned()),
        Ok(response) if response.status() == reqwest::StatusCode::CONFLICT => {
            Tried::Over("somebody else had decided".to_owned())
        }
        Ok(response) => refused("the approval", &response),
        Err(error) => Tried::Again(format!("the approval was not taken: {error}")),
    }
}

fn refused(what: &str, response: &Response) -> Tried {
    let status = response.status();
    let why = format!("{what} got {status}");
    if status.is_server_error() || status == reqwest::StatusCode::TOO_MANY_REQUESTS {
        Tried::Again(why)
    } else {
        Tried::Over(why)
    }
}

async fn text(mut response: Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > PAGE_BYTES_MAX {
            bytes.truncate(PAGE_BYTES_MAX);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persona(email: &str) -> &'static Persona {
        PERSONAS.iter().find(|persona| persona.email == email).expect("a persona")
    }

    fn mail(text: &str) -> Mail {
        Mail {
            id: "m-000001".into(),
            time: chrono::DateTime::UNIX_EPOCH,
            from: String::new(),
            to: Vec::new(),
            subject: String::new(),
            message_id: String::new(),
            text: text.into(),
            html: None,
            attachments: Vec::new(),
        }
    }

    #[test]
    fn people_act_on_what_is_theirs_to_act_on_and_only_on_this_machine() {
        let id = "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let question = "See http://127.0.0.1:7/q/tok.";
        let approval = format!("See http://localhost:7/approvals/{id}");
        let (priya, ana, sam) =
            ("priya.nair@example.com", "ana.duarte@example.com", "sam.okafor@example.com");
        for (who, text, expected) in [
            (priya, question, Some("http://127.0.0.1:7/q/tok".to_owned())),
            (priya, &approval, None),
            (ana, &approval, Some(format!("http://localhost:7/api/v1/approvals/{id}/approve"))),
            (ana, question, None),
            (sam, &approval, None),
            (priya, "http://quell.example.com/q/tok", None),
            (priya, "http://127.0.0.1.example.com/q/tok", None),
            (ana, "http://127.0.0.1:7/approvals/apr_short", None),
        ] {
            let url = errand(persona(who), &mail(text)).map(|errand| match errand {
                Errand::Answer(url) | Errand::Approve(url) => url.to_string(),
            });
            assert_eq!(url, expected, "{who}: {text}");
        }
    }

    #[test]
    fn everybody_chooses_by_habit() {
        for (who, choices, expected) in [
            ("priya.nair@example.com", &["expected", "not_expected", "unsure"][..], Some("not_expected")),
            ("priya.nair@example.com", &["expected", "Not expected"], Some("Not expected")),
            ("priya.nair@example.com", &["a", "b"], Some("b")),
            ("priya.nair@example.com", &["sensitive", "plain", "unsure"], Some("sensitive")),
            ("lee.park@example.com", &["last_days", "leaving", "staying", "unsure"], Some("leaving")),
            ("lee.park@example.com", &["yes", "no"], Some("yes")),
            ("noor.haddad@example.com", &["yes", "no"], Some("yes")),
            ("morgan.reyes@example.com", &["needed", "not_needed", "unsure"], Some("not_needed")),
            ("morgan.reyes@example.com", &["no", "yes"], Some("yes")),
            ("morgan.reyes@example.com", &["a", "b"], Some("a")),
            ("morgan.reyes@example.com", &[], None),
        ] {
            let choices: Vec<String> = choices.iter().map(|&c| c.to_owned()).collect();
            let habit = persona(who).answers.expect("answers questions");
            assert_eq!(choose(&choices, habit), expected, "{who}: {choices:?}");
        }
    }

    #[test]
    fn a_delay_follows_from_the_seed_and_the_pace() {
        for number in 0..100 {
            let seconds = delay(1, &format!("m-{number}"), "a@b", 1.0).as_secs_f64();
            assert!((DELAY_S_MIN..DELAY_S_MAX).contains(&seconds), "{seconds}");
        }
        assert_eq!(delay(1, "m", "a@b", 1.0), delay(1, "m", "a@b", 1.0));
        assert_eq!(delay(1, "m", "a@b", 0.0), Duration::ZERO);
    }
}

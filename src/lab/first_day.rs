//! What a new world holds: everybody's account and sessions, and tokens that
//! are random once.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::lab::chance::Chance;
use crate::lab::seed::{self, AccountKind, Person};
use crate::lab::world::{FORMAT, Ports, Session, State, Tokens, UserState, WorldError};

/// Bytes of a random token: 256 bits, beyond guessing.
const TOKEN_BYTES: usize = 32;

/// The world on its first day.
pub fn state(seed: u64, now: DateTime<Utc>) -> Result<State, WorldError> {
    let people = seed::people(seed, now.date_naive());
    let mut persons = BTreeMap::new();
    for person in people.iter().filter(|p| p.kind == AccountKind::Employee) {
        persons.insert(person.email.clone(), token()?);
    }
    let users = people.iter().map(|person| {
        let state = UserState { active: person.status != "left", version: 1, modified: now };
        (person.id.clone(), state)
    });
    Ok(State {
        format: FORMAT,
        seed,
        started_at: now,
        ports: Ports::default(),
        tokens: Tokens {
            identity: token()?,
            people: token()?,
            assets: token()?,
            webhook: webhook_secret()?,
            persons,
        },
        users: users.collect(),
        sessions: people.iter().flat_map(|person| first_sessions(seed, now, person)).collect(),
        mails: Vec::new(),
        acted: Vec::new(),
        writes: Vec::new(),
    })
}

/// The devices that a person is signed in on when the lab first starts.
fn first_sessions(seed: u64, now: DateTime<Utc>, person: &Person) -> Vec<Session> {
    const DEVICES: [&str; 3] = ["browser", "phone", "vpn"];
    let mut chance = Chance::new(seed, &format!("sessions {}", person.login));
    let count = match (person.login.as_str(), person.status.as_str()) {
        ("dana.whitfield", _) => DEVICES.len(),
        (_, "left") => 0,
        _ => 1 + chance.below(2) as usize,
    };
    let session = |device: &&str| Session {
        id: format!("ses-{}", chance.uuid()),
        user: person.id.clone(),
        device: if person.kind == AccountKind::Service { "server" } else { device }.to_owned(),
        // Addresses set aside for documentation (RFC 5737).
        ip: format!("203.0.113.{}", 1 + chance.below(254)),
        created_at: now - TimeDelta::minutes(10 + chance.below(2_000) as i64),
        alive: true,
    };
    DEVICES[..count].iter().map(session).collect()
}

fn random() -> Result<[u8; TOKEN_BYTES], WorldError> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|e| WorldError::Chance(e.to_string()))?;
    Ok(bytes)
}

fn token() -> Result<String, WorldError> {
    Ok(hex::encode(random()?))
}

fn webhook_secret() -> Result<String, WorldError> {
    use base64::Engine as _;
    Ok(format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(random()?)))
}

//! What is so in the practice range, kept in `world.json` after every change.
//!
//! The people and systems follow from the seed and the first start; only what
//! changes is in the file. A change is applied to a copy, written to a
//! temporary file, renamed over the old one, and only then seen by anybody:
//! whoever got an answer finds its effect again after `kill -9`. The file is
//! not synced to the disk, so a power cut may cost the world; it is a practice
//! range.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::lab::first_day;
use crate::lab::seed::{self, Person};
use crate::lab::systems::{self, Asset};

/// The form of `world.json` that this code writes and reads.
pub const FORMAT: u32 = 1;

/// How many mails, writes and sessions a world keeps. The whole file is
/// written at every change, so it has to stay small; a full world refuses.
pub const MAILS_MAX: usize = 1_000;
pub const WRITES_MAX: usize = 5_000;
pub const SESSIONS_MAX: usize = 5_000;

const FILE: &str = "world.json";
const LOCK: &str = "world.lock";

/// Why a world could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("cannot {doing} {}: {source}; check that the directory exists and may be written", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is not a world that this version reads ({source}); start the lab on another directory", path.display())]
    Unreadable { path: PathBuf, source: serde_json::Error },
    #[error("{} has format {found} and this version reads {FORMAT}; start the lab on another directory", path.display())]
    Format { path: PathBuf, found: u32 },
    #[error("{} was made from seed {found}, not {asked}; use that seed, or another directory", path.display())]
    Seed { path: PathBuf, found: u64, asked: u64 },
    #[error("another lab runs on {}; stop it, or use another directory", path.display())]
    InUse { path: PathBuf },
    #[error("the operating system gave no random numbers for the lab's tokens: {0}")]
    Chance(String),
    #[error("the lab is stopping and took no more changes")]
    Stopping,
}

/// The ports that the servers keep over restarts; 0 before the first start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    pub identity: u16,
    pub people: u16,
    pub assets: u16,
    pub mail: u16,
    pub smtp: u16,
}

/// Random once, then kept: the only things that do not follow from the seed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    pub identity: String,
    pub people: String,
    pub assets: String,
    /// In the form of Standard Webhooks: `whsec_` and base64.
    pub webhook: String,
    /// By mail address.
    pub persons: BTreeMap<String, String>,
}

/// What changes about an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserState {
    pub active: bool,
    pub version: u64,
    pub modified: DateTime<Utc>,
}

/// A signed-in device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    pub id: String,
    /// The account's id at the identity provider.
    pub user: String,
    pub device: String,
    pub ip: String,
    pub created_at: DateTime<Utc>,
    pub alive: bool,
}

/// A mail as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    pub id: String,
    pub time: DateTime<Utc>,
    /// Sender and recipients of the envelope: who it really went to.
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub message_id: String,
    pub text: String,
    pub html: Option<String>,
    pub attachments: Vec<String>,
}

/// What a person did about a mail. Written once, after it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acted {
    pub mail: String,
    pub person: String,
    pub time: DateTime<Utc>,
    pub outcome: String,
}

/// One writing request that reached the identity provider, with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityWrite {
    pub time: DateTime<Utc>,
    pub method: String,
    /// Path and query.
    pub path: String,
    pub body: String,
    /// HTTP status that was answered.
    pub status: u16,
    /// Whether anything is different since.
    pub changed: bool,
}

/// Everything that is kept.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub format: u32,
    pub seed: u64,
    pub started_at: DateTime<Utc>,
    pub ports: Ports,
    pub tokens: Tokens,
    pub users: BTreeMap<String, UserState>,
    pub sessions: Vec<Session>,
    pub mails: Vec<Mail>,
    pub acted: Vec<Acted>,
    pub writes: Vec<IdentityWrite>,
}

/// Holds the directory for one lab; let go when dropped, or with the process.
#[derive(Debug)]
pub struct DirectoryLock(#[expect(dead_code, reason = "held, not read")] File);

struct Kept {
    state: Arc<State>,
    /// Nothing is written once the lab has stopped, since another lab may
    /// have opened the directory.
    closed: bool,
}

/// The world: what the seed gives, and what changed since.
pub struct World {
    people: Vec<Person>,
    assets: Vec<Asset>,
    path: PathBuf,
    state: Mutex<Kept>,
    /// What time it was, and when that was said: the lab's clock runs on.
    clock: (DateTime<Utc>, Instant),
    /// Told after each mail that arrived.
    pub mail_arrived: Notify,
}

impl World {
    /// Opens the world in this directory, or makes it.
    pub fn open(dir: &Path, seed: u64, now: DateTime<Utc>) -> Result<(Arc<Self>, DirectoryLock), WorldError> {
        std::fs::create_dir_all(dir).map_err(|source| WorldError::File {
            doing: "create",
            path: dir.to_owned(),
            source,
        })?;
        let lock = lock(dir)?;
        let path = dir.join(FILE);
        let state = match read(&path)? {
            Some(state) if state.seed != seed => {
                return Err(WorldError::Seed { path, found: state.seed, asked: seed });
            }
            Some(state) => state,
            None => first_day::state(seed, now)?,
        };
        let people = seed::people(seed, state.started_at.date_naive());
        write(&path, &state)?;
        let world = Self {
            assets: systems::assets(&people),
            people,
            path,
            state: Mutex::new(Kept { state: Arc::new(state), closed: false }),
            clock: (now, Instant::now()),
            mail_arrived: Notify::new(),
        };
        Ok((Arc::new(world), lock))
    }

    /// The time in the lab.
    pub fn now(&self) -> DateTime<Utc> {
        let (then, instant) = self.clock;
        TimeDelta::from_std(instant.elapsed())
            .ok()
            .and_then(|passed| then.checked_add_signed(passed))
            .unwrap_or(then)
    }

    /// Every account, people and services.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// The account with this id at the identity provider.
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.iter().find(|p| p.id == id)
    }

    /// The account whose first address this is, in any case.
    pub fn person_at(&self, email: &str) -> Option<&Person> {
        self.people.iter().find(|p| p.email.eq_ignore_ascii_case(email))
    }

    /// Every asset.
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// What is so now; later changes do not touch it.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.lock().state)
    }

    /// Takes no more changes.
    pub fn close(&self) {
        self.state.lock().closed = true;
    }

    /// Changes the world and keeps it. When it cannot be written, nothing
    /// changed. The edit must not ask for [`World::state`]: it holds its lock.
    pub async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        edit: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, WorldError> {
        let world = Arc::clone(self);
        // Off the async threads: the file is written under the lock, so that
        // the file on the disk is never older than what an answer said.
        tokio::task::spawn_blocking(move || {
            let mut kept = world.state.lock();
            if kept.closed {
                return Err(WorldError::Stopping);
            }
            let mut next = State::clone(&kept.state);
            let out = edit(&mut next);
            write(&world.path, &next)?;
            kept.state = Arc::new(next);
            Ok(out)
        })
        .await
        .unwrap_or(Err(WorldError::Stopping))
    }
}

fn lock(dir: &Path) -> Result<DirectoryLock, WorldError> {
    let path = dir.join(LOCK);
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|source| WorldError::File { doing: "open", path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(DirectoryLock(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(WorldError::InUse { path: dir.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(WorldError::File { doing: "lock", path, source }),
    }
}

fn read(path: &Path) -> Result<Option<State>, WorldError> {
    /// Read first, so that a file of another version says so.
    #[derive(Deserialize)]
    struct Header {
        format: u32,
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(WorldError::File { doing: "read", path: path.to_owned(), source });
        }
    };
    let unreadable = |source| WorldError::Unreadable { path: path.to_owned(), source };
    let Header { format } = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if format != FORMAT {
        return Err(WorldError::Format { path: path.to_owned(), found: format });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
}

fn write(path: &Path, state: &State) -> Result<(), WorldError> {
    let temporary = path.with_extension("json.new");
    let failed = |source| WorldError::File { doing: "write", path: temporary.clone(), source };
    let bytes = serde_json::to_vec(state).map_err(|e| failed(e.into()))?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    // The file holds the lab's tokens.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary).map_err(failed)?;
    file.write_all(&bytes).map_err(failed)?;
    drop(file);
    std::fs::rename(&temporary, path).map_err(|source| WorldError::File {
        doing: "replace",
        path: path.to_owned(),
        source,
    })
}

//! The server's own settings: `quell.yaml`, every key with a safe default.
//!
//! Sections that belong to a room (connectors, sources, people, guardrails) are
//! kept as they were read; the room reads them, and the app brings the
//! mistakes of all together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::map::MapReader;
use crate::yaml::node::{Node, Place};
use crate::yaml::reader::read_bytes;
use crate::yaml::shape::{Field, Reader};

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "quell.yaml";

/// Where the server listens when nothing is said: this machine only.
const DEFAULT_LISTEN: &str = "127.0.0.1:7070";

/// What a bearer of a token may do.
pub const ROLES: &[&str] = &["reader", "responder", "approver", "admin"];

/// One token for the API.
#[derive(Debug, Clone)]
pub struct TokenSetting {
    /// Whose it is: a mail address.
    pub who: String,
    /// SHA-256 of the token, lowercase hex: the token itself is in no file.
    pub sha256: String,
    /// What it may do.
    pub roles: Vec<String>,
}

/// The most that `runs_at_once` may ask for: each run at work holds its state, a
/// call and its answer.
const RUNS_AT_ONCE_MAX: i64 = 10_000;

/// The most that `queue` may ask for: each run that waits takes some hundred
/// bytes, so this is some gigabytes.
const QUEUE_MAX: i64 = 10_000_000;

/// `limits:` of the settings; what is absent has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Runs at work at the same time.
    pub runs_at_once: Option<usize>,
    /// Runs that may wait for their turn.
    pub queue: Option<usize>,
    /// Runs of one playbook at work at the same time, by its name and where
    /// that is written.
    pub playbooks: Vec<(String, Place, usize)>,
}

/// The least that `retention` may keep: the caps on containments count the last
/// day, and what happened overnight is looked at in the morning.
const RETENTION_LEAST: Duration = Duration::from_secs(24 * 3600);

/// The most that it may say, in days: a hundred years.
const RETENTION_DAYS_MAX: u64 = 36_525;

/// `retention:` of the settings; of what is absent nothing is ever erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionSettings {
    /// How long an incident is kept after it was closed.
    pub closed_incidents: Option<Duration>,
    /// How long the stored content of an alert is kept after it came in.
    pub raw_alerts: Option<Duration>,
}

/// The settings of one server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file they came from, for messages; none = defaults alone.
    pub file: Option<Arc<str>>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where people reach it; none = `http://` and the listening address.
    pub public_url: Option<String>,
    /// The directory of everything the server keeps.
    pub data: PathBuf,
    /// The store's directory; none = `store` in the data directory.
    pub store: Option<PathBuf>,
    /// The directory of playbooks; none = the shipped ones.
    pub playbooks: Option<PathBuf>,
    /// A directory of templates that add to or replace the shipped ones.
    pub templates: Option<PathBuf>,
    /// A directory of further declared connectors.
    pub connector_specs: Option<PathBuf>,
    /// A directory of further declared sources.
    pub source_specs: Option<PathBuf>,
    /// The connector that sends mail.
    pub mail: Option<String>,
    /// Where the file says so.
    pub mail_place: Place,
    /// Whom messages come from.
    pub mail_from: String,
    /// Tokens for the API.
    pub tokens: Vec<TokenSetting>,
    /// How much is done at the same time.
    pub limits: LimitSettings,
    /// How long things are kept.
    pub retention: RetentionSettings,
    /// `connectors:` as written.
    pub connectors: Option<Node>,
    /// `sources:` as written.
    pub sources: Option<Node>,
    /// `triage:` as written.
    pub triage: Option<Node>,
    /// `people:` as written.
    pub people: Option<Node>,
    /// `guardrails:` as written.
    pub guardrails: Option<Node>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            public_url: None,
            data: PathBuf::from("data"),
            store: None,
            playbooks: None,
            templates: None,
            connector_specs: None,
            source_specs: None,
            mail: None,
            mail_place: Place::default(),
            mail_from: "quell@localhost".to_owned(),
            tokens: Vec::new(),
            limits: LimitSettings::default(),
            retention: RetentionSettings::default(),
            connectors: None,
            sources: None,
            triage: None,
            people: None,
            guardrails: None,
        }
    }
}

/// Why settings could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is not there or cannot be read.
    #[error(
        "the settings {path} cannot be read: {error}; name another with --config, or write one with `quell init`"
    )]
    File {
        /// Which file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file holds mistakes.
    #[error("the settings hold {} mistake(s)", .0.len())]
    Mistakes(Vec<Diagnostic>),
}

impl Settings {
    /// Reads settings: the named file, else `quell.yaml` here when there is
    /// one, else the defaults. Paths in a file are relative to the file.
    ///
    /// # Errors
    /// When a named file is missing, or a file holds mistakes.
    pub fn load(named: Option<&Path>) -> Result<Settings, SettingsError> {
        match Settings::load_to_check(named)? {
            (settings, mistakes) if mistakes.is_empty() => Ok(settings),
            (_, mistakes) => Err(SettingsError::Mistakes(mistakes)),
        }
    }

    /// As [`Settings::load`], with every mistake in the file beside what could be
    /// read of it: the other files are checked all the same.
    ///
    /// # Errors
    /// When a named file cannot be read.
    pub fn load_to_check(named: Option<&Path>) -> Result<(Settings, Vec<Diagnostic>), SettingsError> {
        let path = match named {
            Some(path) => path,
            None if Path::new(DEFAULT_FILE).exists() => Path::new(DEFAULT_FILE),
            None => return Ok((Settings::default(), Vec::new())),
        };
        let shown = path.display().to_string();
        let bytes =
            std::fs::read(path).map_err(|error| SettingsError::File { path: shown.clone(), error })?;
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        Ok(Settings::read_all(&shown, &bytes, base))
    }

    /// Reads settings from a file's bytes; relative paths start at `base`.
    ///
    /// # Errors
    /// Every mistake in the file.
    pub fn read(file: &str, bytes: &[u8], base: &Path) -> Result<Settings, Vec<Diagnostic>> {
        match Settings::read_all(file, bytes, base) {
            (settings, mistakes) if mistakes.is_empty() => Ok(settings),
            (_, mistakes) => Err(mistakes),
        }
    }

    /// What can be read of a file, and every mistake in it.
    pub fn read_all(file: &str, bytes: &[u8], base: &Path) -> (Settings, Vec<Diagnostic>) {
        let mut settings = Settings { file: Some(file.into()), ..Settings::default() };
        let node = match read_bytes(file, bytes) {
            Ok(node) => node,
            Err(mistakes) => return (settings, mistakes),
        };
        let reader = Reader::new(file);
        if let Some(map) = reader.root("the settings", &node).map() {
            settings.fill(map, base);
        }
        let mistakes = if reader.has_errors() { reader.into_diagnostics() } else { Vec::new() };
        (settings, mistakes)
    }

    fn fill(&mut self, map: MapReader<'_>, base: &Path) {
        let path = |key| {
            let text = map.optional(key)?.non_empty()?;
            Some(base.join(text))
        };
        self.playbooks = path("playbooks");
        self.templates = path("templates");
        self.connector_specs = path("connector_specs");
        self.source_specs = path("source_specs");
        self.data = path("data").unwrap_or_else(|| base.join("data"));
        if let Some(field) = map.optional("listen")
            && let Some(text) = field.non_empty()
        {
            match text.parse() {
                Ok(listen) => self.listen = listen,
                Err(_) => field.mistake(
                    "bad-address",
                    format!("`{text}` is no address to listen on"),
                    format!("write an IP address and a port, such as {DEFAULT_LISTEN}"),
                ),
            }
        }
        if let Some(field) = map.optional("public_url")
            && let Some(text) = field.non_empty()
        {
            if text.starts_with("https://") || text.starts_with("http://") {
                self.public_url = Some(text.trim_end_matches('/').to_owned());
            } else {
                field.mistake(
                    "bad-url",
                    "`public_url` takes the address where people reach this server",
                    "write it whole, such as https://quell.example.com",
                );
            }
        }
        self.fill_store(&map, base);
        self.fill_access(&map);
        self.fill_limits(&map);
        self.fill_retention(&map);
        if let Some(mail) = map.optional("mail").and_then(|field| field.map()) {
            let connector = mail.required("connector");
            self.mail_place = connector.map(Field::place).unwrap_or_default();
            self.mail = connector.and_then(Field::non_empty).map(str::to_owned);
            if let Some(from) = mail.optional("from").and_then(|field| field.non_empty()) {
                self.mail_from = from.to_owned();
            }
            mail.finish();
        }
        let section = |key| map.optional(key).map(|field| field.node().clone());
        self.connectors = section("connectors");
        self.sources = section("sources");
        self.triage = section("triage");
        self.people = section("people");
        self.guardrails = section("guardrails");
        if let Some(field) = map.optional("telemetry") {
            field.mistake(
                "not-yet",
                "this version does not use `telemetry` yet",
                "take it out; nothing would follow from it",
            );
        }
        map.finish();
    }

    fn fill_store(&mut self, map: &MapReader<'_>, base: &Path) {
        let Some(store) = map.optional("store").and_then(|field| field.map()) else {
            return;
        };
        if let Some(sled) = store.optional("sled").and_then(|field| field.map()) {
            self.store =
                sled.optional("path").and_then(|field| field.non_empty()).map(|path| base.join(path));
            sled.finish();
        }
        if let Some(field) = store.optional("postgres") {
            field.mistake(
                "not-yet",
                "this version does not run on PostgreSQL yet",
                "use the embedded store: `store: { sled: { path: ./data/store } }`",
            );
        }
        store.finish();
    }

    fn fill_access(&mut self, map: &MapReader<'_>) {
        let Some(access) = map.optional("access").and_then(|field| field.map()) else {
            return;
        };
        for token in access.optional("tokens").and_then(|field| field.list()).unwrap_or_default() {
            let Some(token) = token.map() else { continue };
            let who = token.required("who").and_then(|field| field.non_empty());
            let sha256 = token.required("sha256").and_then(|field| {
                let text = field.non_empty()?;
                let fits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
                if !fits {
                    field.mistake(
                        "bad-digest",
                        "`sha256` takes the SHA-256 of the token: 64 hexadecimal digits",
                        "make one with: printf %s TOKEN | sha256sum",
                    );
                }
                fits.then(|| text.to_lowercase())
            });
            let roles: Vec<String> = token
                .required("roles")
                .map(|field| field.one_or_many())
                .unwrap_or_default()
                .into_iter()
                .filter_map(|role| role.one_of(ROLES))
                .map(str::to_owned)
                .collect();
            token.finish();
            if let (Some(who), Some(sha256)) = (who, sha256) {
                self.tokens.push(TokenSetting { who: who.to_lowercase(), sha256, roles });
            }
        }
        if let Some(field) = access.optional("oidc") {
            field.mistake(
                "not-yet",
                "this version does not sign people in by OpenID Connect yet",
                "use `tokens:`",
            );
        }
        access.finish();
    }

    fn fill_limits(&mut self, map: &MapReader<'_>) {
        let Some(limits) = map.optional("limits").and_then(|field| field.map()) else {
            return;
        };
        let number = |field: Field<'_>, most: i64| {
            let number = field.int(1..=most)?;
            usize::try_from(number).ok()
        };
        self.limits.runs_at_once =
            limits.optional("runs_at_once").and_then(|field| number(field, RUNS_AT_ONCE_MAX));
        self.limits.queue = limits.optional("queue").and_then(|field| number(field, QUEUE_MAX));
        if let Some(playbooks) = limits.optional("playbooks").and_then(|field| field.map()) {
            for (key, field) in playbooks.entries() {
                let most = number(field, RUNS_AT_ONCE_MAX);
                self.limits.playbooks.extend(most.map(|most| (key.name.clone(), key.place, most)));
            }
            playbooks.finish();
        }
        limits.finish();
    }

    fn fill_retention(&mut self, map: &MapReader<'_>) {
        let Some(retention) = map.optional("retention").and_then(|field| field.map()) else {
            return;
        };
        let kept = |key| {
            let field = retention.optional(key)?;
            let kept = field.duration_within(RETENTION_DAYS_MAX)?;
            if kept < RETENTION_LEAST {
                field.mistake(
                    "retention-too-short",
                    format!("`{key}` keeps things for less than a day"),
                    "write 1d or more: the caps on containments count what was done in the last day, and what \
                     happened overnight is looked at in the morning",
                );
                return None;
            }
            Some(kept)
        };
        self.retention =
            RetentionSettings { closed_incidents: kept("closed_incidents"), raw_alerts: kept("raw_alerts") };
        retention.finish();
    }

    /// The store's directory.
    pub fn store_dir(&self) -> PathBuf {
        self.store.clone().unwrap_or_else(|| self.data.join("store"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_and_paths_start_at_the_file() {
        let text = "listen: 127.0.0.1:9\npublic_url: https://q.example.com/\ndata: d\nmail: { connector: smtp, from: ir@example.com }\naccess:\n  tokens:\n    - { who: Ana@Example.com, sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae, roles: [approver] }\n";
        let settings =
            Settings::read("quell.yaml", text.as_bytes(), Path::new("/etc/quell")).expect("it is right");
        assert_eq!(settings.data, Path::new("/etc/quell/d"));
        assert_eq!(settings.public_url.as_deref(), Some("https://q.example.com"));
        assert_eq!(settings.tokens[0].who, "ana@example.com");
        assert_eq!(settings.store_dir(), Path::new("/etc/quell/d/store"));
    }

    #[test]
    fn limits_are_read_and_bounded() {
        let read = |text: &str| Settings::read("quell.yaml", text.as_bytes(), Path::new(""));
        let limits =
            read("limits: { runs_at_once: 8, queue: 100, playbooks: { look-twice: 2 } }").expect("right");
        let limits = limits.limits;
        assert_eq!((limits.runs_at_once, limits.queue), (Some(8), Some(100)));
        assert_eq!((limits.playbooks[0].0.as_str(), limits.playbooks[0].2), ("look-twice", 2));
        for wrong in ["runs_at_once: 0", "queue: -1", "playbooks: { a: 0 }", "runs: 3"] {
            assert!(read(&format!("limits: {{ {wrong} }}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn retention_is_read_and_keeps_a_day_at_least() {
        let read = |text: &str| Settings::read("quell.yaml", text.as_bytes(), Path::new(""));
        let days = |days: u64| Some(Duration::from_secs(days * 24 * 3600));
        let both = read("retention: { closed_incidents: 400d, raw_alerts: 90d }").expect("right").retention;
        assert_eq!(both, RetentionSettings { closed_incidents: days(400), raw_alerts: days(90) });
        let one = read("retention: { closed_incidents: 3650d }").expect("ten years are right").retention;
        assert_eq!(one, RetentionSettings { closed_incidents: days(3650), raw_alerts: None });
        let none = RetentionSettings::default();
        assert_eq!(read("listen: 127.0.0.1:9").expect("right").retention, none, "nothing is ever erased");
        let short = read("retention: { raw_alerts: 23h }").expect_err("too short");
        assert_eq!(short[0].code, "retention-too-short");
        assert!(short[0].help.as_deref().is_some_and(|help| help.contains("1d or more")), "{:?}", short[0]);
        for wrong in ["closed_incidents: 400", "closed: 400d", "raw_alerts: 40000d", "raw_alerts: never"] {
            assert!(read(&format!("retention: {{ {wrong} }}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "listen: here\npublic: x\nstore: { postgres: { url: x } }\naccess: { tokens: [ { who: a, sha256: zz, roles: [boss] } ] }\n";
        let mistakes = Settings::read("quell.yaml", text.as_bytes(), Path::new("")).expect_err("it is wrong");
        let codes: Vec<&str> = mistakes.iter().map(|mistake| mistake.code).collect();
        for code in ["bad-address", "unknown-key", "not-yet", "bad-digest", "not-one-of"] {
            assert!(codes.contains(&code), "{code} in {codes:?}");
        }
    }
}

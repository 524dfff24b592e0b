//! A source: one YAML file that says how one detector's payloads are read.
//!
//! ```yaml
//! source: acme-dlp                     # the name in the address of the webhook
//! title: Acme DLP incidents
//! split: data.incidents[]              # one payload, many alerts
//! fields:
//!   title: ${ raw.policy }
//!   severity: ${ raw.risk }
//!   user.email: [ "${ raw.user.mail }", "${ raw.user.login }" ]
//! ```
//! `docs/alerts.md` describes every key.

use std::sync::Arc;

use chrono_tz::Tz;

use crate::intake::fingerprint;
use crate::intake::keys::Spelling;
use crate::intake::moment;
use crate::intake::path::Path;
use crate::intake::record::{Fields, read_path};
use crate::intake::rule::{Reading, Rule};
use crate::yaml::codes;
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::map::MapReader;
use crate::yaml::reader;
use crate::yaml::shape::{Field, Reader};

/// Code of a mistake: a time zone that there is not.
pub const BAD_ZONE: &str = "bad-zone";

/// Names that a guard may use.
const GUARD_NAMES: &[&str] = &["raw", "outer", "envelope", "place"];

/// What a source has been run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proven {
    /// Nothing, as far as its author says.
    Untested,
    /// Payloads made up in the documented shape.
    Simulated,
    /// Payloads that others published.
    Samples,
    /// A real tenant.
    LiveTenant,
}

impl Proven {
    /// All of them, as a source writes them.
    pub const NAMES: [&'static str; 4] = ["untested", "simulated", "samples", "live-tenant"];

    fn named(name: &str) -> Self {
        match name {
            "simulated" => Self::Simulated,
            "samples" => Self::Samples,
            "live-tenant" => Self::LiveTenant,
            _ => Self::Untested,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Untested => "untested",
            Self::Simulated => "simulated",
            Self::Samples => "samples",
            Self::LiveTenant => "live-tenant",
        }
    }
}

/// How a payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON text.
    Json,
    /// One JSON text in each line.
    Ndjson,
}

/// A checked source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSpec {
    /// Its id.
    pub source: String,
    /// What people call it.
    pub title: String,
    /// Who makes the detector.
    pub vendor: Option<String>,
    /// Where the vendor describes its payloads.
    pub docs: Option<String>,
    /// What it has been run against.
    pub proven: Proven,
    /// How its payloads are written.
    pub format: Format,
    /// Where the alerts lie; the first path that leads somewhere wins. When
    /// none does, an object is one alert and a list one alert per item.
    pub split: Vec<Path>,
    /// Whether the items of every path are alerts, not of the first alone.
    pub split_all: bool,
    /// Where in an item the alert itself lies; the first path that leads to
    /// one object wins, and one that ends in `[]` when it leads to nothing but
    /// objects: each is an alert. Expressions see it as `raw`, the item as `outer`.
    pub inside: Vec<Path>,
    /// Items for which this is exactly `false` are no alerts.
    pub when: Option<Rule>,
    /// Texts that are JSON; expressions see what they hold.
    pub parse_json: Vec<Path>,
    /// Lists of names and values; expressions see maps.
    pub named: Vec<Path>,
    /// How the rules spell the keys of payloads.
    pub spelling: Spelling,
    /// Values that are never kept, such as keys of the sender.
    pub mask: Vec<Path>,
    /// Further words for "not known", in lower case.
    pub absent: Vec<String>,
    /// The zone of times that name none; such times are absent without it.
    pub zone: Option<Tz>,
    /// The rules.
    pub fields: Fields,
    /// What makes two alerts the same finding; empty for the default.
    pub fingerprint: Vec<&'static str>,
}

impl SourceSpec {
    /// Reads a source file. `file` is the name shown in mistakes.
    ///
    /// # Errors
    /// Every mistake found, never an empty list.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let node = reader::read(file, text)?;
        let reader = Reader::new(Arc::<str>::from(file));
        let reading = Reading { reader: &reader, source: text };
        let spec = reader.root("a source", &node).map().and_then(|map| {
            let spec = Self::from_map(&map, reading);
            map.finish();
            spec
        });
        match spec {
            Some(spec) if !reader.has_errors() => Ok(spec),
            _ => Err(reader.into_diagnostics()),
        }
    }

    fn from_map(map: &MapReader<'_>, reading: Reading<'_>) -> Option<Self> {
        let source = map.required("source").and_then(Field::id);
        let title = map.required("title").and_then(Field::non_empty);
        let text = |key| map.optional(key).and_then(Field::non_empty).map(str::to_owned);
        let vendor = text("vendor");
        let docs = map.optional("docs").and_then(web_page);
        let proven = map.optional("proven").and_then(|field| field.one_of(&Proven::NAMES));
        let format = map.optional("format").and_then(|field| field.one_of(&["json", "ndjson"]));
        let split = paths(map, "split", true);
        let split_all = map.optional("split_all").and_then(Field::bool).unwrap_or(false);
        let inside = paths(map, "inside", false);
        let when = map.optional("when").and_then(|field| Rule::read(field, GUARD_NAMES, reading));
        let parse_json = paths(map, "parse_json", false);
        let named = paths(map, "named", false);
        let mask = paths(map, "mask", false);
        let mut spelling = Spelling::of(reading.source);
        let written = [&inside, &parse_json, &named].into_iter().flatten().flat_map(Path::keys);
        written.for_each(|key| spelling.learn(key));
        let absent = map.optional("absent").and_then(Field::texts).unwrap_or_default();
        let zone = map.optional("zone").and_then(zone);
        let fingerprint = map.optional("fingerprint").map(fingerprint_fields).unwrap_or_default();
        let fields = map.required("fields").and_then(|field| Fields::read(field, reading));
        Some(Self {
            source: source?.to_owned(),
            title: title?.to_owned(),
            vendor,
            docs,
            proven: proven.map_or(Proven::Untested, Proven::named),
            format: if format == Some("ndjson") { Format::Ndjson } else { Format::Json },
            split,
            split_all,
            inside,
            when,
            parse_json,
            named,
            spelling,
            mask,
            absent: absent.iter().map(|word| word.trim().to_lowercase()).collect(),
            zone,
            fields: fields?,
            fingerprint,
        })
    }
}

/// A page that may be shown as a link.
fn web_page(field: Field<'_>) -> Option<String> {
    let written = field.non_empty()?;
    if written.starts_with("https://") || written.starts_with("http://") {
        return Some(written.to_owned());
    }
    field.mistake(codes::NOT_ONE_OF, "`docs` is not a web address", "write one that starts with https://");
    None
}

fn paths(map: &MapReader<'_>, key: &'static str, items: bool) -> Vec<Path> {
    let Some(field) = map.optional(key) else {
        return Vec::new();
    };
    field.one_or_many().into_iter().filter_map(|one| read_path(one, items)).collect()
}

fn zone(field: Field<'_>) -> Option<Tz> {
    let written = field.non_empty()?;
    let zone = moment::zone(written);
    if zone.is_none() {
        field.mistake(BAD_ZONE, "there is no such time zone", "write `utc` or a name such as Europe/London");
    }
    zone
}

fn fingerprint_fields(field: Field<'_>) -> Vec<&'static str> {
    let fields = field.one_or_many().into_iter();
    fields.filter_map(|one| one.one_of(fingerprint::FIELDS)).collect()
}

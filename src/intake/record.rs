//! The rules of an alert's fields, and of the things it lists.

use crate::domain::value::Value;
use crate::intake::path::Path;
use crate::intake::rule::{Reading, Rule, Sight, as_count, as_text};
use crate::intake::severity::{self, Scale};
use crate::intake::text;
use crate::yaml::codes;
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// Code of a mistake: a path that cannot be read.
pub const BAD_PATH: &str = "bad-path";

/// Fields of an alert that hold one value, as source files name them.
pub const FIELDS: &[&str] = &[
    "source_id",
    "rule.id",
    "rule.name",
    "rule.version",
    "category",
    "status",
    "title",
    "description",
    "event_time",
    "user.email",
    "user.id",
    "user.name",
    "user.employee_id",
    "user.service",
    "actor.email",
    "actor.id",
    "actor.name",
    "actor.employee_id",
    "actor.service",
    "verb",
    "host.id",
    "host.name",
    "host.ip",
    "src_ip",
    "dest.domain",
    "dest.account",
    "dest.device",
    "url",
];

/// Names that expressions outside lists may use.
const NAMES: &[&str] = &["raw", "outer", "envelope", "place"];

/// Names that expressions inside lists may use.
const NAMES_IN_LIST: &[&str] = &["raw", "outer", "envelope", "place", "item"];

/// Rules by the name of what they fill.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record(Vec<(&'static str, Rule)>);

impl Record {
    fn read(map: &MapReader<'_>, keys: &[&'static str], names: &[&str], reading: Reading<'_>) -> Self {
        let mut rules = Vec::new();
        for key in keys {
            let rule = map.optional(key).and_then(|field| Rule::read(field, names, reading));
            rules.extend(rule.map(|rule| (*key, rule)));
        }
        Self(rules)
    }

    /// The rule for `key`, if the source has one.
    #[must_use]
    pub fn rule(&self, key: &str) -> Option<&Rule> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, rule)| rule)
    }

    /// The first candidate for `key` that is there and that `take` accepts.
    pub fn first<T>(&self, key: &str, sight: &Sight<'_>, take: impl FnMut(&Value) -> Option<T>) -> Option<T> {
        self.rule(key)?.first(sight, take)
    }

    /// One line of text for `key`.
    #[must_use]
    pub fn text(&self, key: &str, sight: &Sight<'_>, chars_max: usize) -> Option<String> {
        self.first(key, sight, |value| as_text(value, chars_max))
    }

    /// A text for `key` that `check` accepts, perhaps in another form; of a list the first.
    pub fn checked(&self, key: &str, sight: &Sight<'_>, check: fn(&str) -> Option<String>) -> Option<String> {
        self.first(key, sight, |value| match value {
            Value::Array(items) => items.iter().filter_map(Value::as_str).find_map(check),
            one => check(one.as_str()?),
        })
    }

    /// One line of text for `key`: of a list all of it, with commas between.
    #[must_use]
    pub fn joined(&self, key: &str, sight: &Sight<'_>, chars_max: usize) -> Option<String> {
        self.first(key, sight, |value| joined(value, chars_max))
    }

    /// A count or size for `key`.
    #[must_use]
    pub fn count(&self, key: &str, sight: &Sight<'_>) -> Option<i64> {
        self.first(key, sight, as_count)
    }

    fn uses(&self, name: &str) -> bool {
        self.0.iter().any(|(_, rule)| rule.uses(name))
    }
}

/// Rules for the things of a list: one thing, or one for each item at a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The items, in `raw`; absent for one thing.
    pub each: Option<Path>,
    /// What fills it.
    pub record: Record,
}

impl Listed {
    /// What `make` makes of each thing. A thing of which nothing is known is left out.
    pub fn collect<T>(
        all: &[Listed],
        raw: &Value,
        sight: &Sight<'_>,
        mut make: impl FnMut(&Record, &Sight<'_>) -> Option<T>,
    ) -> Vec<T> {
        let mut made = Vec::new();
        for listed in all {
            let Some(path) = &listed.each else {
                made.extend(make(&listed.record, sight));
                continue;
            };
            for item in path.present(raw) {
                let scope = sight.scope.clone().with("item", item);
                made.extend(make(&listed.record, &Sight { scope, absent: sight.absent }));
            }
        }
        made
    }

    fn read_all(
        map: &MapReader<'_>,
        key: &'static str,
        keys: &[&'static str],
        reading: Reading<'_>,
    ) -> Vec<Self> {
        let Some(field) = map.optional(key) else {
            return Vec::new();
        };
        field.one_or_many().into_iter().filter_map(|one| Self::read(one, keys, reading)).collect()
    }

    fn read(field: Field<'_>, keys: &[&'static str], reading: Reading<'_>) -> Option<Self> {
        let map = field.map()?;
        let each = map.optional("each");
        let names = if each.is_some() { NAMES_IN_LIST } else { NAMES };
        let path = each.map(|each| read_path(each, true));
        let record = Record::read(&map, keys, names, reading);
        map.finish();
        let each = match path {
            Some(path) => Some(path?),
            None => None,
        };
        Some(Self { each, record })
    }
}

/// Reads a path; `items` wants one that ends in `[]`.
#[must_use]
pub fn read_path(field: Field<'_>, items: bool) -> Option<Path> {
    let written = field.non_empty()?;
    let help = "write keys with dots between, `[]` for each item of a list: alerts[], data.files[]";
    match Path::read(written) {
        Ok(path) if items && !path.ends_in_items() => {
            field.mistake(
                BAD_PATH,
                "this path must lead to the items of a list",
                format!("write {written}[]"),
            );
            None
        }
        Ok(path) => Some(path),
        Err(why) => {
            field.mistake(BAD_PATH, format!("this path {why}"), help);
            None
        }
    }
}

/// Where the severity comes from and how it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct SeverityRule {
    /// The sender's word or number.
    pub from: Rule,
    /// How it is meant.
    pub reading: severity::Reading,
}

impl SeverityRule {
    fn read(field: Field<'_>, reading: Reading<'_>) -> Option<Self> {
        let mut words = Vec::new();
        let mut scale = Some(Scale::Words);
        if field.node().as_map().is_none() {
            let from = Rule::read(field, NAMES, reading)?;
            return Some(Self { from, reading: severity::Reading { scale: Scale::Words, words } });
        }
        let map = field.map()?;
        let from = map.required("from").and_then(|from| Rule::read(from, NAMES, reading));
        if let Some(named) = map.optional("scale") {
            scale = named.one_of(&Scale::NAMES).and_then(Scale::named);
        }
        if let Some(own) = map.optional("words").and_then(Field::map) {
            for (word, value) in own.entries() {
                let ours = value.int(0..=i64::from(severity::MOST)).and_then(|ours| u8::try_from(ours).ok());
                words.extend(ours.map(|ours| (word.name.trim().to_lowercase(), ours)));
            }
            own.finish();
        }
        map.finish();
        Some(Self { from: from?, reading: severity::Reading { scale: scale?, words } })
    }

    /// Our severity, and the sender's word for it. The first candidate that is
    /// understood counts, so that an `unknown` in one place does not hide a
    /// `high` in another; of a list the severest.
    #[must_use]
    pub fn of(&self, sight: &Sight<'_>) -> (u8, Option<String>) {
        let mut word = None;
        for value in self.from.given(sight) {
            let values = flat(value);
            let said = |value| as_text(value, VENDOR_SEVERITY_CHARS_MAX);
            let understood = values.iter().filter_map(|value| Some((self.reading.of(value)?, value)));
            if let Some((ours, value)) = understood.max_by_key(|(ours, _)| *ours) {
                return (ours, said(value));
            }
            word = word.or_else(|| values.iter().find_map(said));
        }
        (severity::UNKNOWN, word)
    }
}

/// Characters of the sender's word for a severity.
const VENDOR_SEVERITY_CHARS_MAX: usize = 64;

/// All rules of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    /// Those that give one value.
    pub one: Record,
    /// The severity.
    pub severity: Option<SeverityRule>,
    /// Users to whom it was done; the verb says whether it is about them.
    pub targets: Vec<Listed>,
    /// More users than the subject.
    pub users: Vec<Listed>,
    /// More machines than the one it happened on.
    pub hosts: Vec<Listed>,
    /// What was touched.
    pub objects: Vec<Listed>,
    /// What can be looked up.
    pub indicators: Vec<Listed>,
    /// ATT&CK or ITM ids: each candidate adds its texts.
    pub techniques: Option<Rule>,
}

impl Fields {
    /// Reads the map of fields.
    #[must_use]
    pub fn read(field: Field<'_>, reading: Reading<'_>) -> Option<Self> {
        let map = field.map()?;
        let one = Record::read(&map, FIELDS, NAMES, reading);
        if one.rule("title").is_none() && one.rule("rule.name").is_none() && !reading.reader.has_errors() {
            let help = "add `title: ${ raw.… }` or `rule.name: ${ raw.… }`";
            field.mistake(codes::MISSING_KEY, "`fields` needs a rule for `title` or `rule.name`", help);
        }
        check_category(&map, &one);
        let user = &["email", "id", "name", "employee_id", "service"];
        let fields = Self {
            severity: map.optional("severity").and_then(|field| SeverityRule::read(field, reading)),
            targets: Listed::read_all(&map, "targets", user, reading),
            users: Listed::read_all(&map, "users", user, reading),
            hosts: Listed::read_all(&map, "hosts", &["id", "name", "ip"], reading),
            objects: Listed::read_all(
                &map,
                "objects",
                &["name", "path", "origin", "sha256", "label", "bytes", "count"],
                reading,
            ),
            indicators: Listed::read_all(&map, "indicators", &["kind", "value"], reading),
            techniques: map.optional("techniques").and_then(|field| Rule::read(field, NAMES, reading)),
            one,
        };
        map.finish();
        Some(fields)
    }

    /// Whether any expression uses the whole payload.
    #[must_use]
    pub fn uses_envelope(&self) -> bool {
        let name = "envelope";
        let lists = [&self.targets, &self.users, &self.hosts, &self.objects, &self.indicators];
        self.one.uses(name)
            || self.severity.as_ref().is_some_and(|rule| rule.from.uses(name))
            || self.techniques.as_ref().is_some_and(|rule| rule.uses(name))
            || lists.into_iter().flatten().any(|listed| listed.record.uses(name))
    }
}

/// A category written out must be one that there is.
fn check_category(map: &MapReader<'_>, one: &Record) {
    let (Some(field), Some(rule)) = (map.optional("category"), one.rule("category")) else {
        return;
    };
    let known = |value: &Value| value.as_str().is_some_and(|word| CATEGORIES.contains(&word));
    if !rule.fixed().all(known) {
        let help = format!("it takes {}", CATEGORIES.join(", "));
        field.mistake(codes::NOT_ONE_OF, "`category` has a word that is no category", help);
    }
}

/// The categories as sources write them.
pub const CATEGORIES: [&str; 10] =
    ["dlp", "identity", "endpoint", "uam", "ueba", "cloud", "email", "network", "policy", "other"];

/// The values of lists within lists.
fn flat(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values.into_iter().flat_map(flat).collect(),
        one => vec![one],
    }
}

/// One line of text, of a list all of it with commas between.
#[must_use]
pub fn joined(value: &Value, chars_max: usize) -> Option<String> {
    let Value::Array(items) = value else { return as_text(value, chars_max) };
    let mut texts: Vec<String> = Vec::new();
    for text in items.iter().filter_map(|item| joined(item, chars_max)) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    (!texts.is_empty()).then(|| text::one_line(&texts.join(", "), chars_max))
}

/// A mail address or nothing.
#[must_use]
pub fn email(text: &str) -> Option<String> {
    let text = text.trim();
    text::is_email(text).then(|| text.to_owned())
}

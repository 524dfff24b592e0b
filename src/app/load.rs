//! Settings → everything that authors wrote, every mistake at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::connector::instance::{Instance, check_instances, secrets_required};
use crate::connector::shipped::SHIPPED as CONNECTORS;
use crate::connector::spec::ConnectorSpec;
use crate::guard::people::People;
use crate::guard::settings::{read_guard, read_people};
use crate::guard::verdict::Guard;
use crate::intake::shipped::SHIPPED as SOURCES;
use crate::intake::source::SourceSpec;
use crate::playbook::library::{Library, SHIPPED as PLAYBOOKS, built_in, files_in};
use crate::report::templates::{TEMPLATES, Templates};
use crate::service::house::Source;
use crate::service::triage::TriageRules;
use crate::settings::Settings;
use crate::step::kind::Surroundings;
use crate::step::using::CONNECTOR_NOT_CONFIGURED;
use crate::yaml::diagnostic::{Diagnostic, Severity, did_you_mean};
use crate::yaml::node::{Node, Place};

use crate::app::polls::read_polls;
use crate::app::sources::read_sources;
use crate::app::triage::read_triage;

/// Everything that authors wrote, read.
pub struct Loaded {
    /// Configured connectors.
    pub instances: BTreeMap<String, Instance>,
    /// What playbooks may name.
    pub around: Surroundings,
    /// Templates, ready to fill in.
    pub templates: Templates,
    /// Groups.
    pub people: People,
    /// Guardrails.
    pub guard: Guard,
    /// Configured sources.
    pub sources: BTreeMap<String, Source>,
    /// How alerts are triaged.
    pub triage: TriageRules,
    /// Playbooks that can be run.
    pub library: Library,
}

/// Reads everything that the settings name, for a server that is about to start.
///
/// # Errors
/// Every mistake in every file, and every secret that is not there.
pub fn load(settings: &Settings) -> Result<Loaded, Vec<Diagnostic>> {
    let (loaded, found) = load_all(settings);
    let mistakes = secrets_required(found);
    loaded.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

/// Reads everything that the settings name, to check it: an author has no
/// secrets of the server. Gives also a warning for each that is not there.
///
/// # Errors
/// Every mistake in every file, and the warnings.
pub fn load_to_check(settings: &Settings) -> Result<(Loaded, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (loaded, found) = load_all(settings);
    match loaded {
        Some(loaded) if found.iter().all(|told| told.severity == Severity::Warning) => Ok((loaded, found)),
        _ => Err(found),
    }
}

/// Everything that can be had, and all that was found wrong or is worth a look.
/// Nothing when the templates cannot be read.
pub fn load_all(settings: &Settings) -> (Option<Loaded>, Vec<Diagnostic>) {
    let mut mistakes = Vec::new();
    let file = settings.file.as_deref().unwrap_or("the settings");
    let specs = connector_specs(settings, &mut mistakes);
    let source_specs = source_specs(settings, &mut mistakes);
    let instances = match &settings.connectors {
        Some(section) => beside(&mut mistakes, check_instances(file, section, &specs)),
        None => BTreeMap::new(),
    };
    mistakes.extend(no_mail(file, settings));
    let before = mistakes.len();
    let people = settings
        .people
        .as_ref()
        .map_or_else(People::default, |section| gather(&mut mistakes, read_people(file, section)));
    // Groups that could not be read are not known: nothing is told that only follows from it.
    let groups = (settings.people.is_some() && mistakes.len() == before).then(|| people.names());
    let guard = settings
        .guardrails
        .as_ref()
        .map_or_else(Guard::default, |section| gather(&mut mistakes, read_guard(file, section)));
    let loopback = settings.listen.ip().is_loopback();
    let mut sources = match &settings.sources {
        Some(section) => beside(&mut mistakes, read_sources(file, section, &source_specs, loopback)),
        None => BTreeMap::new(),
    };
    let triage = settings.triage.as_ref();
    let triage =
        triage.map_or_else(TriageRules::default, |section| beside(&mut mistakes, read_triage(file, section)));
    let (texts, templates) = load_templates(settings, &mut mistakes);
    let mut around = Surroundings {
        connectors: named_connectors(settings.connectors.as_ref(), specs),
        configured: settings.connectors.as_ref().map(names_in),
        templates: texts,
        groups,
        playbooks: BTreeMap::new(),
    };
    if let Some(section) = &settings.sources {
        for (name, poll) in beside(&mut mistakes, read_polls(file, section, &around)) {
            if let Some(source) = sources.get_mut(&name) {
                source.poll = Some(poll);
            }
        }
    }
    let files = playbook_files(settings, &mut mistakes);
    let (library, found) = Library::load(files, &around);
    around.playbooks = library.signatures();
    if found.is_empty() {
        mistakes.extend(limits_of_nothing(settings, &library));
    }
    mistakes.extend(found);
    let loaded = templates.map(|templates| Loaded {
        instances,
        around,
        templates,
        people,
        guard,
        sources,
        triage,
        library,
    });
    (loaded, mistakes)
}

/// Limits of playbooks that are not there: whoever wrote them would wait in vain.
fn limits_of_nothing(settings: &Settings, library: &Library) -> Vec<Diagnostic> {
    let file: Arc<str> = settings.file.clone().unwrap_or_else(|| "the settings".into());
    let known = &library.playbooks;
    let unknown = settings.limits.playbooks.iter().filter(|(name, _, _)| !known.contains_key(name.as_str()));
    let told = |(name, place, _): &(String, Place, usize)| {
        let message = format!("there is no playbook `{}`", name.escape_debug());
        let help = did_you_mean(name, known.keys()).map_or_else(
            || "take it out, or write the name that stands under `playbook:`".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        Diagnostic::error("unknown-playbook", &file, *place, message).help(help)
    };
    unknown.map(told).collect()
}

fn beside<T>(mistakes: &mut Vec<Diagnostic>, (read, found): (T, Vec<Diagnostic>)) -> T {
    mistakes.extend(found);
    read
}

fn gather<T: Default>(mistakes: &mut Vec<Diagnostic>, result: Result<T, Vec<Diagnostic>>) -> T {
    result.unwrap_or_else(|found| {
        mistakes.extend(found);
        T::default()
    })
}

/// Mail by a connector that is not configured: every question would stay unsent.
fn no_mail(file: &str, settings: &Settings) -> Option<Diagnostic> {
    let (mail, section) = (settings.mail.as_ref()?, settings.connectors.as_ref()?);
    if names_in(section).contains(mail) {
        return None;
    }
    let message = format!("no connector `{}` is configured here: no mail can be sent", mail.escape_debug());
    let warning =
        Diagnostic::warning(CONNECTOR_NOT_CONFIGURED, &Arc::from(file), settings.mail_place, message);
    Some(warning.help(match did_you_mean(mail, names_in(section)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "add it under `connectors:`, such as `smtp: { use: smtp, url: … }`".to_owned(),
    }))
}

/// What playbooks name: configured connectors, also those with a mistake of their
/// own, and beside them the shipped ones under their own names, so that a playbook
/// can be checked before it is set up.
fn named_connectors(
    section: Option<&Node>,
    specs: BTreeMap<String, Arc<ConnectorSpec>>,
) -> BTreeMap<String, Arc<ConnectorSpec>> {
    let mut named = specs.clone();
    for (key, node) in section.and_then(Node::as_map).unwrap_or_default() {
        if let Some(spec) = node.get("use").and_then(Node::as_str).and_then(|used| specs.get(used)) {
            named.insert(key.name.clone(), Arc::clone(spec));
        }
    }
    named
}

/// The names that a section of the settings gives.
fn names_in(section: &Node) -> BTreeSet<String> {
    section.as_map().unwrap_or_default().iter().map(|(key, _)| key.name.clone()).collect()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Vec<Diagnostic> {
    let file: Arc<str> = Arc::from(path.display().to_string());
    vec![
        Diagnostic::error(
            "unreadable",
            &file,
            Place::of("", 0, 0),
            format!("{} cannot be read: {error}", path.display()),
        )
        .help("mend the path in the settings"),
    ]
}

/// The YAML files of a directory, with their texts.
fn yaml_files(dir: Option<&Path>, mistakes: &mut Vec<Diagnostic>) -> Vec<(String, String)> {
    let Some(dir) = dir else {
        return Vec::new();
    };
    match files_in(dir) {
        Ok(texts) => {
            mistakes.extend(texts.mistakes);
            texts.files
        }
        Err(error) => {
            mistakes.extend(unreadable(dir, &error));
            Vec::new()
        }
    }
}

fn connector_specs(
    settings: &Settings,
    mistakes: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Arc<ConnectorSpec>> {
    let own = yaml_files(settings.connector_specs.as_deref(), mistakes);
    let shipped = CONNECTORS.iter().map(|(name, text)| (format!("shipped/{name}.yaml"), (*text).to_owned()));
    read_all(shipped.chain(own), mistakes, |file, text| {
        ConnectorSpec::read(file, text).map(|spec| (spec.name.clone(), Arc::new(spec)))
    })
}

/// The rules of a source: one of the settings by its name there, else a declared one
/// by its own. What else is wrong in the settings does not matter here.
///
/// # Errors
/// The names there are, when this is none of them.
pub fn source_rules(settings: &Settings, name: &str) -> Result<Arc<SourceSpec>, Vec<String>> {
    let mut mistakes = Vec::new();
    let specs = source_specs(settings, &mut mistakes);
    let configured = settings.sources.as_ref().map(|section| read_sources("", section, &specs, true).0);
    let mut configured = configured.unwrap_or_default();
    if let Some(source) = configured.remove(name) {
        return Ok(Arc::new(source.spec));
    }
    specs.get(name).cloned().ok_or_else(|| configured.into_keys().chain(specs.into_keys()).collect())
}

fn source_specs(settings: &Settings, mistakes: &mut Vec<Diagnostic>) -> BTreeMap<String, Arc<SourceSpec>> {
    let own = yaml_files(settings.source_specs.as_deref(), mistakes);
    let shipped = SOURCES.iter().map(|(name, text)| (format!("shipped/{name}.yaml"), (*text).to_owned()));
    read_all(shipped.chain(own), mistakes, |file, text| {
        SourceSpec::read(file, text).map(|spec| (spec.source.clone(), Arc::new(spec)))
    })
}

fn read_all<T>(
    files: impl Iterator<Item = (String, String)>,
    mistakes: &mut Vec<Diagnostic>,
    read: impl Fn(&str, &str) -> Result<(String, T), Vec<Diagnostic>>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    for (file, text) in files {
        match read(&file, &text) {
            Ok((name, spec)) => {
                found.insert(name, spec);
            }
            Err(wrong) => mistakes.extend(wrong),
        }
    }
    found
}

fn playbook_files(settings: &Settings, mistakes: &mut Vec<Diagnostic>) -> Vec<(String, String)> {
    match &settings.playbooks {
        Some(dir) => yaml_files(Some(dir), mistakes),
        None => PLAYBOOKS.iter().map(|(file, text)| (built_in(file), (*text).to_owned())).collect(),
    }
}

/// Templates by name, shipped ones replaced by those of the settings' directory.
fn load_templates(
    settings: &Settings,
    mistakes: &mut Vec<Diagnostic>,
) -> (BTreeMap<String, String>, Option<Templates>) {
    let mut own = Vec::new();
    if let Some(dir) = &settings.templates {
        match own_templates(dir, dir) {
            Ok(found) => own = found,
            Err(error) => mistakes.extend(unreadable(dir, &error)),
        }
    }
    match Templates::load(TEMPLATES, own.into_iter()) {
        Ok(templates) => (templates.sources().clone(), Some(templates)),
        Err(problems) => {
            for problem in problems {
                let file: Arc<str> = Arc::from(format!("templates/{}.hbs", problem.template));
                let message =
                    format!("line {}, column {}: {}", problem.line, problem.column, problem.message);
                let mistake = Diagnostic::error("template-wrong", &file, Place::of("", 0, 0), message);
                mistakes.push(mistake.help("texts are Handlebars: {{alert.title}}, {{#if …}}…{{/if}}"));
            }
            (BTreeMap::new(), None)
        }
    }
}

/// Every `.hbs` file under a directory; its name is its path without the ending.
fn own_templates(root: &Path, dir: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(own_templates(root, &path)?);
        } else if path.extension().is_some_and(|ending| ending == "hbs") {
            let name = path.strip_prefix(root).unwrap_or(&path).with_extension("");
            found.push((name.display().to_string(), std::fs::read_to_string(&path)?));
        }
    }
    Ok(found)
}

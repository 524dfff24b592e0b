//! `quell check`: every mistake in playbooks, templates, connectors, sources and settings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::load::load_all;
use crate::cli::exit::{CliError, Exit};
use crate::cli::hint::hint;
use crate::cli::screen::Screen;
use crate::connector::spec::ConnectorSpec;
use crate::intake::source::SourceSpec;
use crate::playbook::case::file::read_cases;
use crate::playbook::file::{Texts, text_of};
use crate::playbook::library::{Library, files_in, is_playbook, is_test, prepare, signature};
use crate::settings::Settings;
use crate::step::kind::Surroundings;
use crate::yaml::diagnostic::{Diagnostic, Severity};
use crate::yaml::node::Place;
use crate::yaml::reader::read;
use crate::yaml::render::to_json;

/// Checks files, directories, or what the settings name. `found` is what is wrong
/// in the settings themselves.
///
/// # Errors
/// Every mistake found.
pub fn check(
    paths: &[PathBuf],
    settings: &Settings,
    found: Vec<Diagnostic>,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let mut house = House::read(settings, found);
    let told = of_the_house(settings);
    let mut playbooks = Vec::new();
    for path in paths {
        let texts = files_of(path)?;
        if path.is_dir() && texts.files.is_empty() && texts.mistakes.is_empty() {
            house.nothing_in(path);
        }
        // The house's own playbooks were checked with it.
        let is_told = |file: &str| std::fs::canonicalize(file).is_ok_and(|path| told.contains(&path));
        house.mistakes.extend(texts.mistakes.into_iter().filter(|mistake| !is_told(&mistake.file)));
        for (file, text) in texts.files.into_iter().filter(|(file, _)| !is_told(file)) {
            house.checked.push(file.clone());
            match check_file(&file, &text, &house) {
                Some(found) => house.mistakes.extend(found),
                None => playbooks.push((file, text)),
            }
        }
    }
    for (file, _) in &playbooks {
        let dir = Path::new(file).parent().filter(|dir| !dir.as_os_str().is_empty());
        let beside = files_in(dir.unwrap_or_else(|| Path::new("."))).unwrap_or_default();
        let known = beside.files.iter().filter_map(|(file, text)| signature(file, text));
        house.around.playbooks.extend(known);
    }
    let (library, found) = Library::load(playbooks, &house.around);
    let House { mut mistakes, checked, .. } = house;
    mistakes.extend(found);
    mistakes.extend(library.playbooks.values().flat_map(|prepared| prepared.warnings.clone()));
    if mistakes.iter().any(|told| told.severity == Severity::Error) {
        return Err(CliError::mistakes(mistakes));
    }
    if screen.json() {
        screen.document(&serde_json::json!({ "checked": checked, "diagnostics": to_json(&mistakes) }));
    } else {
        screen.warnings(&mistakes);
        for file in &checked {
            screen.line(&format!("ok  {file}"));
        }
    }
    Ok(Exit::Done)
}

/// The files that a path names, with their texts or why they cannot be read.
fn files_of(path: &Path) -> Result<Texts, CliError> {
    if path.is_dir() {
        return files_in(path).map_err(|error| {
            CliError::new(Exit::Wrong, "unreadable", format!("{} cannot be read: {error}", path.display()))
        });
    }
    let mut texts = Texts::default();
    texts.add(path);
    Ok(texts)
}

/// The playbooks that are checked with the settings.
fn of_the_house(settings: &Settings) -> BTreeSet<PathBuf> {
    let entries = settings.playbooks.as_deref().and_then(|dir| std::fs::read_dir(dir).ok());
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| is_playbook(path)).filter_map(|path| std::fs::canonicalize(path).ok()).collect()
}

/// What stands around the files that are checked.
struct House {
    /// What playbooks may name by the settings.
    around: Surroundings,
    /// The house's playbooks.
    library: Library,
    /// What was found wrong, or is worth a look.
    mistakes: Vec<Diagnostic>,
    /// What was checked.
    checked: Vec<String>,
}

impl House {
    /// Reads what the settings name. What a mistake keeps from being read is left
    /// out, and the rest is checked all the same.
    fn read(settings: &Settings, mut mistakes: Vec<Diagnostic>) -> House {
        let (loaded, found) = load_all(settings);
        mistakes.extend(found);
        let Some(loaded) = loaded.or_else(|| load_all(&Settings::default()).0) else {
            let around = Surroundings {
                connectors: Default::default(),
                configured: None,
                templates: Default::default(),
                groups: None,
                playbooks: Default::default(),
            };
            return House { around, library: Library::default(), mistakes, checked: Vec::new() };
        };
        let playbooks = &loaded.library.playbooks;
        mistakes.extend(playbooks.values().flat_map(|prepared| prepared.warnings.clone()));
        let mut checked: Vec<String> = settings.file.iter().map(|file| file.to_string()).collect();
        checked.extend(playbooks.values().map(|prepared| prepared.file.clone()));
        let mut house = House { around: loaded.around, library: loaded.library, mistakes, checked };
        if let Some(dir) = &settings.playbooks
            && files_in(dir).is_ok_and(|texts| texts.files.is_empty() && texts.mistakes.is_empty())
        {
            house.nothing_in(dir);
        }
        house
    }

    /// A directory without playbooks is checked in no time, and that says nothing.
    fn nothing_in(&mut self, dir: &Path) {
        let shown = dir.display().to_string();
        let same = |told: &Diagnostic| {
            let known = std::fs::canonicalize(&*told.file).ok();
            told.code == NO_PLAYBOOK && known.is_some() && known == std::fs::canonicalize(dir).ok()
        };
        if !self.mistakes.iter().any(same) {
            let file: Arc<str> = Arc::from(shown.as_str());
            let message = format!("no playbook in {shown}");
            let warning = Diagnostic::warning(NO_PLAYBOOK, &file, Place::default(), message);
            let help = format!(
                "a playbook is a file there whose name ends in .yaml; {} writes a first one",
                hint("init DIR")
            );
            self.mistakes.push(warning.help(help));
        }
    }
}

/// A directory that holds no playbook.
const NO_PLAYBOOK: &str = "no-playbook";

/// Keys that only settings have.
const SETTINGS: &[&str] = &[
    "listen",
    "public_url",
    "data",
    "store",
    "access",
    "mail",
    "playbooks",
    "templates",
    "connector_specs",
    "source_specs",
    "connectors",
    "sources",
    "people",
    "guardrails",
];

/// Checks one file, whatever it is by its first keys; nothing for a playbook,
/// which is checked together with the others.
fn check_file(file: &str, text: &str, house: &House) -> Option<Vec<Diagnostic>> {
    let node = match read(file, text) {
        Ok(node) => node,
        // With what authors of playbooks are told beside it.
        Err(_) => return None,
    };
    let has = |key: &str| node.get(key).is_some();
    if is_test(Path::new(file)) {
        return Some(check_test(file, text, house));
    }
    if has("connector") && has("operations") {
        return Some(ConnectorSpec::read(file, text).err().unwrap_or_default());
    }
    if has("source") && has("fields") {
        return Some(SourceSpec::read(file, text).err().unwrap_or_default());
    }
    let is_settings = !has("playbook") && !has("steps") && SETTINGS.iter().any(|key| has(key));
    if !is_settings {
        return None;
    }
    let base = Path::new(file).parent().unwrap_or_else(|| Path::new(""));
    let (settings, mut found) = Settings::read_all(file, text.as_bytes(), base);
    found.extend(load_all(&settings).1);
    Some(found)
}

/// Checks a test file against its playbook: one of the house's, or the file
/// beside it.
fn check_test(file: &str, text: &str, house: &House) -> Vec<Diagnostic> {
    let known = |name: &str| Some(Arc::clone(&house.library.playbooks.get(name)?.plan));
    let stem = file.strip_suffix(".test.yaml").or_else(|| file.strip_suffix(".test.yml")).unwrap_or(file);
    let beside = ["yaml", "yml"].into_iter().find_map(|ending| {
        let path = format!("{stem}.{ending}");
        let text = text_of(Path::new(&path)).ok()?;
        prepare(&path, &text, &house.around).ok()
    });
    let plan_of = |name: &str| match &beside {
        Some(beside) if beside.plan.playbook.name == name => Some(Arc::clone(&beside.plan)),
        _ => known(name),
    };
    read_cases(file, text, &plan_of).err().unwrap_or_default()
}

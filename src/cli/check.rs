//! `quell check`: every mistake in playbooks, templates, connectors, sources and settings.

use std::path::{Path, PathBuf};

use crate::app::load::load_to_check;
use crate::cli::exit::{CliError, Exit};
use crate::cli::screen::Screen;
use crate::connector::spec::ConnectorSpec;
use crate::intake::source::SourceSpec;
use crate::playbook::library::{Library, files_in, is_test, signature};
use crate::settings::Settings;
use crate::step::kind::Surroundings;
use crate::yaml::diagnostic::{Diagnostic, Severity};
use crate::yaml::reader::read;
use crate::yaml::render::to_json;

/// Checks files, directories, or what the settings name.
///
/// # Errors
/// Every mistake found.
pub fn check(paths: &[PathBuf], settings: &Settings, screen: &Screen) -> Result<Exit, CliError> {
    let (mut around, mut mistakes, mut checked) = surroundings(settings);
    let known: Vec<PathBuf> = checked.iter().filter_map(|file| Path::new(file).canonicalize().ok()).collect();
    let mut playbooks = Vec::new();
    for path in paths {
        let files = if path.is_dir() {
            files_in(path)
        } else {
            std::fs::read_to_string(path).map(|text| vec![(path.display().to_string(), text)])
        };
        let files = files.map_err(|error| {
            CliError::new(Exit::Wrong, "unreadable", format!("{} cannot be read: {error}", path.display()))
        })?;
        for (file, text) in files {
            // What the settings name was checked with them.
            if Path::new(&file).canonicalize().is_ok_and(|path| known.contains(&path)) {
                continue;
            }
            checked.push(file.clone());
            match check_file(&file, &text) {
                Some(found) => mistakes.extend(found),
                None => playbooks.push((file, text)),
            }
        }
    }
    for (file, _) in &playbooks {
        let dir = Path::new(file).parent().filter(|dir| !dir.as_os_str().is_empty());
        let beside = files_in(dir.unwrap_or_else(|| Path::new("."))).unwrap_or_default();
        around.playbooks.extend(beside.iter().filter_map(|(file, text)| signature(file, text)));
    }
    let (library, found) = Library::load(playbooks, &around);
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

/// What playbooks may name by these settings, the mistakes in them, and what was checked.
fn surroundings(settings: &Settings) -> (Surroundings, Vec<Diagnostic>, Vec<String>) {
    match load_to_check(settings) {
        Ok((loaded, warnings)) => {
            let mut checked: Vec<String> = settings.file.iter().map(|file| file.to_string()).collect();
            checked.extend(loaded.library.playbooks.values().map(|prepared| prepared.file.clone()));
            (loaded.around, warnings, checked)
        }
        Err(mistakes) => {
            let around = load_to_check(&Settings::default()).map(|(loaded, _)| loaded.around);
            let empty = || Surroundings {
                connectors: Default::default(),
                templates: Default::default(),
                groups: None,
                playbooks: Default::default(),
            };
            (around.unwrap_or_else(|_| empty()), mistakes, Vec::new())
        }
    }
}

/// Checks one file, whatever it is by its keys; nothing for a playbook, which
/// is checked with all others.
fn check_file(file: &str, text: &str) -> Option<Vec<Diagnostic>> {
    let node = match read(file, text) {
        Ok(node) => node,
        // A playbook's own check knows what its authors get wrong.
        Err(mistakes) => return (!text.contains("playbook:")).then_some(mistakes),
    };
    let has = |key: &str| node.get(key).is_some();
    if is_test(Path::new(file)) {
        return Some(Vec::new());
    }
    if has("connector") && has("operations") {
        return Some(ConnectorSpec::read(file, text).err().unwrap_or_default());
    }
    if has("source") && has("fields") {
        return Some(SourceSpec::read(file, text).err().unwrap_or_default());
    }
    let settings = ["listen", "connectors", "sources", "people", "guardrails", "access", "store", "data"];
    if has("playbook") || has("steps") || !settings.iter().any(|key| has(key)) {
        return None;
    }
    let base = Path::new(file).parent().unwrap_or_else(|| Path::new(""));
    Some(match Settings::read(file, text.as_bytes(), base) {
        Ok(settings) => load_to_check(&settings).map_or_else(|found| found, |(_, warnings)| warnings),
        Err(mistakes) => mistakes,
    })
}

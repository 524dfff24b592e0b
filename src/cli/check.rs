//! `quell check`: every mistake in playbooks, templates, connectors, sources and settings.

use std::path::{Path, PathBuf};

use crate::app::load::load;
use crate::cli::exit::{CliError, Exit};
use crate::cli::screen::Screen;
use crate::connector::spec::ConnectorSpec;
use crate::intake::source::SourceSpec;
use crate::playbook::library::{files_in, is_test, prepare};
use crate::settings::Settings;
use crate::step::kind::Surroundings;
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::reader::read;

/// Checks files, directories, or what the settings name.
///
/// # Errors
/// Every mistake found.
pub fn check(paths: &[PathBuf], settings: &Settings, screen: &Screen) -> Result<Exit, CliError> {
    let (around, mut mistakes, mut checked) = surroundings(settings);
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
            mistakes.extend(check_file(&file, &text, &around));
            checked.push(file);
        }
    }
    if !mistakes.is_empty() {
        return Err(CliError::mistakes(mistakes));
    }
    if screen.json() {
        screen.document(&serde_json::json!({ "checked": checked, "diagnostics": [] }));
    } else {
        for file in &checked {
            screen.line(&format!("ok  {file}"));
        }
    }
    Ok(Exit::Done)
}

/// What playbooks may name by these settings, the mistakes in them, and what was checked.
fn surroundings(settings: &Settings) -> (Surroundings, Vec<Diagnostic>, Vec<String>) {
    match load(settings) {
        Ok(loaded) => {
            let mut checked: Vec<String> = settings.file.iter().map(|file| file.to_string()).collect();
            checked.extend(loaded.library.playbooks.values().map(|prepared| prepared.file.clone()));
            (loaded.around, Vec::new(), checked)
        }
        Err(mistakes) => {
            let around = load(&Settings::default()).map(|loaded| loaded.around);
            let empty = || Surroundings {
                connectors: Default::default(),
                templates: Default::default(),
                groups: None,
            };
            (around.unwrap_or_else(|_| empty()), mistakes, Vec::new())
        }
    }
}

/// Checks one file, whatever it is by its first key.
fn check_file(file: &str, text: &str, around: &Surroundings) -> Vec<Diagnostic> {
    let node = match read(file, text) {
        Ok(node) => node,
        Err(mistakes) => return mistakes,
    };
    let has = |key: &str| node.get(key).is_some();
    if is_test(Path::new(file)) {
        return Vec::new();
    }
    if has("connector") && has("operations") {
        return ConnectorSpec::read(file, text).err().unwrap_or_default();
    }
    if has("source") && has("fields") {
        return SourceSpec::read(file, text).err().unwrap_or_default();
    }
    if has("playbook") || has("steps") {
        return prepare(file, text, around).map_or_else(|mistakes| mistakes, |prepared| prepared.warnings);
    }
    let base = Path::new(file).parent().unwrap_or_else(|| Path::new(""));
    match Settings::read(file, text.as_bytes(), base) {
        Ok(settings) => load(&settings).err().unwrap_or_default(),
        Err(mistakes) => mistakes,
    }
}

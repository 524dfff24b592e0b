//! `quell test`: the playbooks' own tests, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::load::{Loaded, load_all};
use crate::cli::exit::{CliError, Exit};
use crate::cli::screen::{Screen, Style, visible};
use crate::domain::plan::Plan;
use crate::playbook::case::Cases;
use crate::playbook::case::file::read_cases;
use crate::playbook::file::text_of;
use crate::playbook::judge::{Reached, judge};
use crate::playbook::library::{Library, SHIPPED_TESTS, files_in, is_test, signature};
use crate::playbook::rehearse::play;
use crate::settings::Settings;
use crate::yaml::diagnostic::{Diagnostic, Severity};
use crate::yaml::reader::read;
use crate::yaml::render::render;

/// Runs the tests of files and directories, or of the settings' playbooks.
///
/// # Errors
/// Mistakes in files, or nothing to run.
pub fn test(
    paths: &[PathBuf],
    coverage: bool,
    settings: &Settings,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let (loaded, mut found) = load_all(settings);
    // Who names a file asks of that file: the other playbooks of the settings are not it.
    let other = |told: &Diagnostic| {
        let own = settings.playbooks.as_ref();
        !paths.is_empty() && own.is_some_and(|dir| Path::new(&*told.file).starts_with(dir))
    };
    found.retain(|told| !other(told));
    let loaded = match loaded {
        Some(loaded) if found.iter().all(|told| told.severity == Severity::Warning) => loaded,
        _ => return Err(CliError::mistakes(found)),
    };
    let files = files(paths, settings)?;
    if files.is_empty() {
        return Err(CliError::new(
            Exit::Wrong,
            "no-tests",
            "there is no `*.test.yaml` here; write one beside the playbook",
        ));
    }
    let (mut passed, mut failed) = (0, 0);
    let (beside, mistakes, named) = beside(paths, &loaded);
    for (file, text) in &files {
        let plan_of = |name: &str| {
            let found = beside.playbooks.get(name).or_else(|| loaded.library.playbooks.get(name));
            found.map(|prepared| Arc::clone(&prepared.plan))
        };
        // A playbook with a mistake is not there for its test: the mistake says more.
        // Mistakes of its neighbours say nothing about this test.
        let wrong = |found: Vec<_>| {
            let tested = read(file, text).ok();
            let tested = tested.as_ref().and_then(|node| node.get("test")).and_then(|name| name.as_str());
            let own = |mistake: &&Diagnostic| named.get(&*mistake.file).map(String::as_str) == tested;
            CliError::mistakes(mistakes.iter().filter(own).cloned().chain(found).collect())
        };
        let cases = read_cases(file, text, &plan_of).map_err(wrong)?;
        let Some(plan) = plan_of(&cases.playbook) else {
            return Err(CliError::new(
                Exit::Wrong,
                "playbook-unknown",
                format!("{file} tests the playbook `{}`, which is not there", cases.playbook),
            ));
        };
        let (good, bad) = run_file(&cases, text, &plan, &loaded, coverage, screen);
        passed += good;
        failed += bad;
    }
    if screen.json() {
        screen.document(&serde_json::json!({ "passed": passed, "failed": failed }));
    } else {
        screen.line(&format!("{passed} passed, {failed} failed"));
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

/// The playbooks beside the tests that are named, which a test may be of whatever
/// the settings' own are; the mistakes in them;
/// and the name of the playbook in each of the files.
fn beside(paths: &[PathBuf], loaded: &Loaded) -> (Library, Vec<Diagnostic>, BTreeMap<String, String>) {
    let dirs: BTreeSet<&Path> = paths
        .iter()
        .map(|path| if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(Path::new("")) })
        .map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
        .collect();
    let texts = dirs.into_iter().filter_map(|dir| files_in(dir).ok()).flat_map(|texts| texts.files);
    let texts: Vec<(String, String)> = texts.filter(|(file, text)| signature(file, text).is_some()).collect();
    let named = texts.iter().filter_map(|(file, text)| Some((file.clone(), signature(file, text)?.0)));
    let named = named.collect();
    let (library, mistakes) = Library::load(texts, &loaded.around);
    (library, mistakes, named)
}

fn run_file(
    cases: &Cases,
    text: &str,
    plan: &Arc<Plan>,
    loaded: &Loaded,
    coverage: bool,
    screen: &Screen,
) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    let mut reached = Reached::default();
    for case in &cases.cases {
        let played = play(case, plan, &loaded.templates);
        let failures = judge(&cases.file, case, &played);
        reached.add(&played);
        let name = format!("{}: {}", cases.playbook, case.name);
        if failures.is_empty() {
            passed += 1;
            if !screen.json() {
                screen.line(&format!("{}  {}", screen.paint(Style::Green, "ok  "), visible(&name)));
            }
            continue;
        }
        failed += 1;
        if screen.json() {
            screen.document(&serde_json::json!({ "failed": name, "diagnostics": crate::yaml::render::to_json(&failures) }));
        } else {
            screen.line(&format!("{}  {}", screen.paint(Style::Red, "FAIL"), visible(&name)));
            screen.lines(&render(&failures, &|_| Some(text.to_owned()), screen.color));
        }
    }
    let missing = reached.missing(&plan.playbook);
    if !screen.json() && !missing.is_empty() {
        screen.line(&format!(
            "      not reached by any case: {}",
            if coverage { String::new() } else { format!("{} (add --coverage to list them)", missing.len()) }
        ));
        if coverage {
            missing.iter().for_each(|line| screen.line(&format!("        {line}")));
        }
    }
    (passed, failed)
}

fn files(paths: &[PathBuf], settings: &Settings) -> Result<Vec<(String, String)>, CliError> {
    let unreadable = |path: &Path, error: std::io::Error| {
        CliError::new(Exit::Wrong, "unreadable", format!("{} cannot be read: {error}", path.display()))
    };
    if paths.is_empty() && settings.playbooks.is_none() {
        return Ok(SHIPPED_TESTS
            .iter()
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
            .collect());
    }
    let own = settings.playbooks.clone().into_iter().collect::<Vec<_>>();
    let mut found = Vec::new();
    for path in if paths.is_empty() { &own } else { paths } {
        let mut candidates = vec![path.clone()];
        if path.is_dir() {
            let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, error))?;
            candidates = entries.flatten().map(|entry| entry.path()).filter(|path| is_test(path)).collect();
            candidates.sort();
        } else if !is_test(path) {
            candidates = vec![path.with_extension("test.yaml")];
        }
        for candidate in candidates {
            let text = text_of(&candidate).map_err(CliError::mistakes)?;
            found.push((candidate.display().to_string(), text));
        }
    }
    Ok(found)
}

//! `quell init`: commented settings, a first playbook and its test.

use std::path::Path;

use crate::app::shell::shell_word;
use crate::cli::exit::{CliError, Exit};
use crate::cli::hint::hint_elsewhere;
use crate::cli::screen::Screen;

const SETTINGS: &str = include_str!("init/quell.yaml");
const PLAYBOOK: &str = include_str!("init/first.yaml");
const TEST: &str = include_str!("init/first.test.yaml");
const ALERT: &str = include_str!("init/alert.json");

/// Writes the files; one that is there already is never touched.
///
/// # Errors
/// When a file is there already, or cannot be written.
pub fn init(dir: &Path, screen: &Screen) -> Result<Exit, CliError> {
    let files = [
        ("quell.yaml", SETTINGS),
        ("playbooks/first.yaml", PLAYBOOK),
        ("playbooks/first.test.yaml", TEST),
        ("alert.json", ALERT),
    ];
    if let Some((name, _)) = files.iter().find(|(name, _)| dir.join(name).exists()) {
        let message = format!("{} is there already; nothing was written", dir.join(name).display());
        return Err(CliError::new(Exit::Refused, "exists", message));
    }
    let failed = |error: std::io::Error| {
        CliError::new(Exit::Own, "unwritable", format!("{} cannot be written: {error}", dir.display()))
    };
    std::fs::create_dir_all(dir.join("playbooks")).map_err(failed)?;
    for (name, text) in files {
        std::fs::write(dir.join(name), text).map_err(failed)?;
        screen.line(&format!("wrote {}", dir.join(name).display()));
    }
    next(dir, screen);
    Ok(Exit::Done)
}

/// What to do with them, each line to be copied.
fn next(dir: &Path, screen: &Screen) {
    screen.line("next:");
    let is_here = std::fs::canonicalize(dir).ok() == std::fs::canonicalize(".").ok();
    if !is_here {
        screen.line(&format!("  cd {}", shell_word(&dir.display().to_string())));
    }
    for words in ["check", "test", "run first --alert alert.json --wait", "serve"] {
        screen.line(&format!("  {}", hint_elsewhere(words)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::load::load;
    use crate::playbook::case::file::read_cases;
    use crate::playbook::judge::judge;
    use crate::playbook::rehearse::play;
    use crate::settings::Settings;

    #[test]
    fn what_init_writes_checks_clean_and_its_test_passes() {
        let dir = tempfile::tempdir().expect("there is room");
        let screen = Screen::new(crate::cli::args::Format::Json, crate::cli::args::Color::Never);
        assert!(matches!(init(dir.path(), &screen), Ok(Exit::Done)));
        assert!(init(dir.path(), &screen).is_err(), "nothing is written over");
        let settings = Settings::load(Some(&dir.path().join("quell.yaml"))).expect("the settings are right");
        let loaded = load(&settings).expect("everything checks clean");
        let plan_of = |name: &str| loaded.library.playbooks.get(name).map(|prepared| prepared.plan.clone());
        let cases = read_cases("first.test.yaml", TEST, &plan_of).expect("the test is right");
        let plan = plan_of(&cases.playbook).expect("it is there");
        for case in &cases.cases {
            let failures = judge(&cases.file, case, &play(case, &plan, &loaded.templates));
            assert!(failures.is_empty(), "{}: {failures:?}", case.name);
        }
    }
}

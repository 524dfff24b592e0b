//! Commands as a person may copy them to be run.
//!
//! A message says `quell undo …` in the words of the documentation. Where a hint
//! is there to be copied, it calls this very program, which may be on no PATH,
//! with the options that it was called with.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::app::shell::shell_word;
use crate::cli::args::{Cli, Command};
use crate::cli::lab::LAB_DATA;

/// What the documentation calls this program.
const NAME: &str = "quell";

/// Options that later commands need to meet the same server.
static OPTIONS: OnceLock<Vec<String>> = OnceLock::new();

/// Keeps the options of this call that a copied command needs. What comes from
/// the environment is there for the next command too.
pub fn remember(cli: &Cli) {
    // The lab reads no settings, and keeps its data in a place of its own.
    let is_lab = matches!(cli.command, Command::Lab(_));
    let config = cli.config.clone().filter(|_| !is_lab);
    let data = cli.data.clone().or_else(|| is_lab.then(|| PathBuf::from(LAB_DATA)));
    let mut options = Vec::new();
    for (option, variable, path) in [("--config", "QUELL_CONFIG", config), ("--data", "QUELL_DATA", data)] {
        if let Some(path) = path
            && env::var_os(variable).is_none_or(|set| set != path.as_os_str())
        {
            options.extend([option.to_owned(), shell_word(&path.display().to_string())]);
        }
    }
    let _ = OPTIONS.set(options);
}

/// A command with the options of this call: `quell --data data/lab undo ctn_…`.
pub fn hint(words: &str) -> String {
    with(OPTIONS.get().map(Vec::as_slice).unwrap_or_default(), words)
}

/// The same of a command that begins with `quell`.
pub fn hint_of(command: &str) -> String {
    command.strip_prefix("quell ").map_or_else(|| command.to_owned(), hint)
}

/// A command without them, for another directory than this one.
pub fn hint_elsewhere(words: &str) -> String {
    with(&[], words)
}

fn with(options: &[String], words: &str) -> String {
    let parts = std::iter::once(program()).chain(options.iter().cloned()).chain([words.to_owned()]);
    parts.collect::<Vec<_>>().join(" ")
}

/// How this program is called from anywhere.
fn program() -> String {
    let Ok(this) = env::current_exe() else { return NAME.to_owned() };
    called(&this, env::split_paths(&env::var_os("PATH").unwrap_or_default()))
}

/// `quell` where that is this program, else the path of this program.
fn called(this: &Path, mut path: impl Iterator<Item = PathBuf>) -> String {
    let file = |path: &Path| std::fs::canonicalize(path).ok().filter(|path| path.is_file());
    let found = path.find_map(|dir| file(&dir.join(NAME)));
    if found.is_some() && found == file(this) {
        return NAME.to_owned();
    }
    shell_word(&this.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_the_path_does_not_lead_to_is_called_by_where_it_is() {
        let (mine, other) = (tempfile::tempdir(), tempfile::tempdir());
        let (mine, other) = (mine.expect("there is room"), other.expect("there is room"));
        let this = mine.path().join(NAME);
        let of = |dirs: &[&Path]| called(&this, dirs.iter().map(|dir| dir.to_path_buf()));
        std::fs::write(&this, "").expect("it is written");
        assert_eq!(of(&[other.path(), mine.path()]), NAME);
        assert_eq!(of(&[other.path()]), this.display().to_string());
        // Another program of this name comes first.
        std::fs::write(other.path().join(NAME), "").expect("it is written");
        assert_eq!(of(&[other.path(), mine.path()]), this.display().to_string());
    }

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(shell_word("data/lab"), "data/lab");
        assert_eq!(shell_word("my data"), "'my data'");
        assert_eq!(shell_word("it's $HOME"), "'it'\\''s $HOME'");
    }
}

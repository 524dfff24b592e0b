//! The data directory: what lies in it names people, and is its owner's alone.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use crate::app::house::{REPORTS_DIR, TOKEN_FILE};
use crate::app::keys::LINK_KEY_FILE;
use crate::app::shelf::VIEWS_FILE;
use crate::app::shell::shell_word;
use crate::settings::{DEFAULT_FILE, Settings};

/// Only the owner may look inside.
const PRIVATE_DIR_MODE: u32 = 0o700;

/// Makes a directory that only its owner may look into: what lies in it names
/// people and what they said. One that is there already stays as its owner has it;
/// it lies in a directory that [`make_data_dir_private`] looks after.
///
/// # Errors
/// When it cannot be made.
pub fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIR_MODE).create(path)
}

/// What those who are not the owner may do with a file, as bits of its mode.
const OTHERS: u32 = 0o077;

/// What Quell and its lab put into a data directory.
const OURS: [&str; 10] = [
    "store",
    VIEWS_FILE,
    REPORTS_DIR,
    LINK_KEY_FILE,
    TOKEN_FILE,
    "address",
    "world",
    "secrets",
    DEFAULT_FILE,
    "lab",
];

/// Makes the data directory its owner's alone, with all that is in it, also when it
/// was there before, and so whatever this process writes from now on. Files that are
/// not of Quell are left as they are: then nothing is changed.
///
/// # Errors
/// When it cannot be made or changed, and when it is open to others and holds
/// something else; the message has the command that mends it.
pub fn make_data_dir_private(path: &Path) -> io::Result<()> {
    private_dir(path)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
    if path.symlink_metadata()?.mode() & OTHERS == 0 {
        return Ok(());
    }
    let mend = |why: String| {
        io::Error::other(format!(
            "others may look into it, and {why}. If everything in it is of Quell, run `chmod -R go= {}`; else name another directory as `data`",
            shell_word(&path.to_string_lossy())
        ))
    };
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !OURS.iter().any(|ours| name.trim_end_matches(".new") == *ours) {
            return Err(mend(format!("it holds `{}`, which is not of Quell", name.escape_debug())));
        }
    }
    take_from_others(path).map_err(|error| mend(error.to_string()))
}

/// The data directory, and a store that lies elsewhere, as [`make_data_dir_private`] does it.
///
/// # Errors
/// As [`make_data_dir_private`].
pub fn make_data_private(settings: &Settings) -> io::Result<()> {
    make_data_dir_private(&settings.data)?;
    match settings.store.as_deref().filter(|store| store.join("head").exists()) {
        Some(store) if store.symlink_metadata()?.mode() & OTHERS != 0 => take_from_others(store),
        _ => Ok(()),
    }
}

/// The directory first, so that nobody comes in while the rest follows.
fn take_from_others(path: &Path) -> io::Result<()> {
    let meta = path.symlink_metadata()?;
    if meta.is_symlink() {
        return Ok(());
    }
    if meta.mode() & OTHERS != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(meta.mode() & !OTHERS))?;
    }
    if meta.is_dir() {
        for entry in std::fs::read_dir(path)? {
            take_from_others(&entry?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().expect("it is there").mode() & 0o777
    }

    fn open_to_all(path: &Path) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn a_data_directory_that_others_could_read_becomes_its_owners_alone() {
        let dir = tempfile::tempdir().expect("there is room");
        let data = dir.path().join("data");
        let (reports, token, brief) =
            (data.join("reports"), data.join("token"), data.join("reports/brief.md"));
        std::fs::create_dir_all(&reports).expect("it is made");
        for file in [&token, &brief] {
            std::fs::write(file, "Dana").expect("it is written");
        }
        [&data, &reports, &token, &brief].into_iter().for_each(|path| open_to_all(path));
        make_data_dir_private(&data).expect("it is ours");
        assert_eq!([&data, &reports].map(|path| mode(path)), [0o700; 2]);
        assert_eq!([&token, &brief].map(|path| mode(path)), [0o600; 2]);
    }

    #[test]
    fn a_directory_that_holds_something_else_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().expect("there is room");
        let (data, notes, token) =
            (dir.path().join("it's"), dir.path().join("it's/notes"), dir.path().join("it's/token"));
        std::fs::create_dir(&data).expect("it is made");
        for file in [&notes, &token] {
            std::fs::write(file, "x").expect("it is written");
        }
        [&data, &notes, &token].into_iter().for_each(|path| open_to_all(path));
        let why = make_data_dir_private(&data).expect_err("it is refused").to_string();
        assert!(
            why.contains("`notes`") && why.contains("chmod -R go= '") && why.contains(r"it'\''s'"),
            "{why}"
        );
        assert_eq!([&data, &notes, &token].map(|path| mode(path)), [0o755, 0o644, 0o644]);
        // The command does what it says.
        let command = why.split('`').find(|part| part.starts_with("chmod")).expect("it is told").to_owned();
        assert!(std::process::Command::new("sh").args(["-c", &command]).status().expect("it runs").success());
        make_data_dir_private(&data).expect("it is its owner's alone now");
        assert_eq!(mode(&notes), 0o600);
    }

    #[test]
    fn a_store_that_lies_elsewhere_becomes_its_owners_alone_too() {
        let dir = tempfile::tempdir().expect("there is room");
        let (store, head) = (dir.path().join("store"), dir.path().join("store/head"));
        std::fs::create_dir(&store).expect("it is made");
        std::fs::write(&head, "x").expect("it is written");
        [&store, &head].into_iter().for_each(|path| open_to_all(path));
        let text = "data: data\nstore: { sled: { path: store } }\n";
        let settings = Settings::read("quell.yaml", text.as_bytes(), dir.path()).expect("they are right");
        make_data_private(&settings).expect("they are ours");
        assert_eq!([mode(&store), mode(&head), mode(&dir.path().join("data"))], [0o700, 0o600, 0o700]);
    }
}

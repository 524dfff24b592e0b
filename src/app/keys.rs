//! The server's own secrets, made once and kept in its data directory, readable
//! by its user alone.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::failpoint::pass;
use crate::settings::Settings;

/// The file of the key that signs links.
const LINK_KEY_FILE: &str = "link.key";

/// Only the owner may read it.
const SECRET_MODE: u32 = 0o600;

/// Only the owner may look inside.
const PRIVATE_DIR_MODE: u32 = 0o700;

/// Makes a directory that only its owner may look into: what lies in it names
/// people and what they said. One that is there already stays as its owner has it;
/// it lies in a directory that [`own_data_dir`] looks after.
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
    "views.redb",
    "reports",
    LINK_KEY_FILE,
    "token",
    "address",
    "world",
    "secrets",
    "quell.yaml",
    "lab",
];

/// Makes the data directory its owner's alone, with all that is in it, also when it
/// was there before, and so whatever this process writes from now on. Files that are
/// not of Quell are left as they are: then nothing is changed.
///
/// # Errors
/// When it cannot be made or changed, and when it is open to others and holds
/// something else; the message has the command that mends it.
pub fn own_data_dir(path: &Path) -> io::Result<()> {
    private_dir(path)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
    if path.symlink_metadata()?.mode() & OTHERS == 0 {
        return Ok(());
    }
    let mend = |why: String| {
        io::Error::other(format!(
            "others may look into it, and {why}. If everything in it is of Quell, run `chmod -R go= {}`; else name another directory as `data`",
            shell_word(path)
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

/// The same of a store that lies elsewhere, where one is.
///
/// # Errors
/// As [`own_data_dir`].
pub fn own_dirs(settings: &Settings) -> io::Result<()> {
    own_data_dir(&settings.data)?;
    let store = settings.store_dir();
    if store.join("head").exists() { take_from_others(&store) } else { Ok(()) }
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

/// A path as one word of a shell, to be copied.
fn shell_word(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}

/// 32 random bytes.
///
/// # Errors
/// When the system gives no randomness.
pub fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Writes a file that only its owner may read, replacing what was there. Whoever
/// reads it, and whenever the process ends, finds all of the old or all of the new.
///
/// # Errors
/// When it cannot be written.
pub fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(SECRET_MODE).open(&fresh)?;
    pass("secret.made");
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    pass("secret.written");
    std::fs::rename(&fresh, path)?;
    match path.parent() {
        // The parent of a bare name is the empty path: the current directory.
        Some(dir) if !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A secret of the data directory, made when it is not there: 64 hexadecimal
/// digits. An empty one counts as not there: an earlier version that was killed
/// while it made it has left such a file, and an empty token would let anybody in.
///
/// # Errors
/// When it cannot be read or made.
pub fn kept(data: &Path, name: &str) -> io::Result<String> {
    let path = data.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => {
            let text = hex::encode(random()?);
            write_secret(&path, &text)?;
            Ok(text)
        }
    }
}

/// The key that signs links to questions.
///
/// # Errors
/// When it cannot be read or made, or is not 64 hexadecimal digits.
pub fn link_key(data: &Path) -> io::Result<[u8; 32]> {
    let text = kept(data, LINK_KEY_FILE)?;
    let mut key = [0u8; 32];
    hex::decode_to_slice(&text, &mut key).map_err(|_| {
        io::Error::other(format!(
            "{} does not hold 64 hexadecimal digits",
            data.join(LINK_KEY_FILE).display()
        ))
    })?;
    Ok(key)
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
        own_data_dir(&data).expect("it is ours");
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
        let why = own_data_dir(&data).expect_err("it is refused").to_string();
        assert!(
            why.contains("`notes`") && why.contains("chmod -R go= '") && why.contains(r"it'\''s'"),
            "{why}"
        );
        assert_eq!([&data, &notes, &token].map(|path| mode(path)), [0o755, 0o644, 0o644]);
        // The command does what it says.
        let command = why.split('`').find(|part| part.starts_with("chmod")).expect("it is told").to_owned();
        assert!(std::process::Command::new("sh").args(["-c", &command]).status().expect("it runs").success());
        own_data_dir(&data).expect("it is its owner's alone now");
        assert_eq!(mode(&notes), 0o600);
    }
}

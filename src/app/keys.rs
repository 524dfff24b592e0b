//! The server's own secrets, made once and kept in its data directory, readable
//! by its user alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failpoint::pass;

/// The file of the key that signs links.
pub const LINK_KEY_FILE: &str = "link.key";

/// Only the owner may read it.
const SECRET_MODE: u32 = 0o600;

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

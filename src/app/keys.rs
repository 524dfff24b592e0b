//! The server's own secrets, made once and kept in its data directory, readable
//! by its user alone.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The file of the key that signs links.
const LINK_KEY_FILE: &str = "link.key";

/// Only the owner may read it.
const SECRET_MODE: u32 = 0o600;

/// Only the owner may look inside.
const PRIVATE_DIR_MODE: u32 = 0o700;

/// Makes a directory that only its owner may look into: what lies in it names
/// people and what they said. One that is there already stays as its owner has it.
///
/// # Errors
/// When it cannot be made.
pub fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIR_MODE).create(path)
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

/// Writes a file that only its owner may read, replacing what was there.
///
/// # Errors
/// When it cannot be written.
pub fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(SECRET_MODE).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A secret of the data directory, made when it is not there: 64 hexadecimal digits.
///
/// # Errors
/// When it cannot be read or made.
pub fn kept(data: &Path, name: &str) -> io::Result<String> {
    let path = data.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = hex::encode(random()?);
            write_secret(&path, &text)?;
            Ok(text)
        }
        Err(error) => Err(error),
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

//! Authored files from the disk, bounded before they are read.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::node::Place;
use crate::yaml::reader::{YAML_BYTES_MAX, not_utf8, too_large};

/// The text of a file: at most [`YAML_BYTES_MAX`] bytes, UTF-8.
///
/// # Errors
/// When it is no regular file, cannot be read, is too large or not UTF-8:
/// one mistake that says so.
pub fn text_of(path: &Path) -> Result<String, Vec<Diagnostic>> {
    let file: Arc<str> = Arc::from(path.display().to_string());
    let refused = |message: String, help: &str| {
        vec![Diagnostic::error("unreadable", &file, Place::default(), message).help(help)]
    };
    let failed = |error: std::io::Error| {
        let message = format!("{file} cannot be read: {error}");
        refused(message, "check the path, and who may read it")
    };
    // A device or a pipe could go on for ever.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        let message = format!("{file} is no file that could be read whole");
        return Err(refused(message, "name a file, or a directory of them"));
    }
    let most = YAML_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    File::open(path).and_then(|opened| opened.take(most).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() > YAML_BYTES_MAX {
        return Err(vec![too_large(&file, None)]);
    }
    String::from_utf8(bytes).map_err(|error| vec![not_utf8(&file, error.as_bytes(), error.utf8_error())])
}

/// Files with their texts, and the mistakes of those that cannot be read as text.
#[derive(Debug, Default)]
pub struct Texts {
    /// Names and texts.
    pub files: Vec<(String, String)>,
    /// Why the others cannot be read.
    pub mistakes: Vec<Diagnostic>,
}

impl Texts {
    /// Reads one more file.
    pub fn add(&mut self, path: &Path) {
        match text_of(path) {
            Ok(text) => self.files.push((path.display().to_string(), text)),
            Err(found) => self.mistakes.extend(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_small_text_file_is_refused_and_never_read_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).expect("it can be written");
            path
        };
        let refused = |path: &Path| text_of(path).expect_err("it is refused").remove(0);
        assert_eq!(text_of(&at("good.yaml", "a: é".as_bytes())), Ok("a: é".to_owned()));
        let latin = refused(&at("latin.yaml", b"a: b\nc: \xe9"));
        assert_eq!((latin.code, latin.place.line, latin.place.column), ("yaml-utf8", 2, 4));
        let large = refused(&at("large.yaml", &vec![b'#'; YAML_BYTES_MAX + 1]));
        assert_eq!(large.code, "yaml-too-large");
        assert_eq!(refused(dir.path()).code, "unreadable");
        assert_eq!(refused(&dir.path().join("gone")).code, "unreadable");
        let endless = dir.path().join("endless.yaml");
        if std::os::unix::fs::symlink("/dev/zero", &endless).is_ok() {
            assert_eq!(refused(&endless).code, "unreadable");
        }
    }
}

//! Files and pipes that a command is given.

use std::io::Read;
use std::path::Path;

use crate::cli::exit::{CliError, Exit};

/// All of a file, or of standard input for `-`, up to so many MiB; `what` is said
/// before its name.
///
/// # Errors
/// When it cannot be read or is larger: wrong usage, with this code.
pub fn read_input(path: &Path, mib_max: u64, code: &str, what: &str) -> Result<Vec<u8>, CliError> {
    let wrong = |why: String| {
        let says = format!("{what}{} cannot be read: {why}", path.display());
        CliError::new(Exit::Wrong, code, says)
    };
    let bytes_max = mib_max << 20;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(bytes_max + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > bytes_max {
        return Err(wrong(format!("it is larger than {mib_max} MiB")));
    }
    Ok(bytes)
}

//! References to secrets: `${env:NAME}` and `${file:PATH}`. Nothing else may
//! stand where a secret stands, so that none is ever written into a settings file.

use secrecy::SecretString;

/// The longest secret, in bytes: a private key with its certificate chain fits.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The code of a secret that is not there.
pub const SECRET_MISSING: &str = "secret-missing";

/// Why a secret could not be had. Names the reference, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is written out.
    #[error("a secret must be a reference: write ${{env:NAME}} or ${{file:PATH}} instead of the value")]
    NotAReference,
    /// The environment does not have it.
    #[error("the environment variable {0} is not set; set it, or change the reference")]
    NoVariable(String),
    /// It is there and holds nothing.
    #[error("the secret ${{{0}}} is empty; set it, or take the reference out")]
    Empty(String),
    /// The file is not there, is not readable or too large.
    #[error("the secret file {path} cannot be read: {why}")]
    NoFile {
        /// Which file.
        path: String,
        /// Why.
        why: String,
    },
}

impl SecretError {
    /// Whether it is only not there now: right on another machine, or once set.
    pub fn is_missing(&self) -> bool {
        !matches!(self, Self::NotAReference)
    }
}

/// What stands for a secret that is not there, so that everything else can be
/// checked without it. It goes nowhere: what was checked so is never started.
pub fn placeholder() -> SecretString {
    // As long as a real key, for those who refuse short ones.
    SecretString::from("missing-missing-missing-missing-")
}

/// The secret that a reference names.
///
/// # Errors
/// When it is no reference, or what it names is not there.
pub fn resolve(reference: &str) -> Result<SecretString, SecretError> {
    let inside = reference
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or(SecretError::NotAReference)?;
    let value = match inside.split_once(':') {
        Some(("env", name)) => {
            std::env::var(name.trim()).map_err(|_| SecretError::NoVariable(name.trim().to_owned()))?
        }
        Some(("file", path)) => read_file(path.trim())?,
        _ => return Err(SecretError::NotAReference),
    };
    if value.trim().is_empty() {
        return Err(SecretError::Empty(inside.to_owned()));
    }
    Ok(SecretString::from(value))
}

fn read_file(path: &str) -> Result<String, SecretError> {
    let refused = |why: String| SecretError::NoFile { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if size > SECRET_BYTES_MAX {
        return Err(refused(format!("it is larger than {SECRET_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_are_taken_and_errors_never_hold_the_value() {
        assert_eq!(resolve("hunter2").map(|_| ()), Err(SecretError::NotAReference));
        assert!(!resolve("hunter2").map(|_| ()).unwrap_err().to_string().contains("hunter2"));
        assert_eq!(
            resolve("${env:QUELL_SURELY_UNSET}").map(|_| ()),
            Err(SecretError::NoVariable("QUELL_SURELY_UNSET".to_owned()))
        );
        assert_eq!(
            resolve("${file:/dev/null}").map(|_| ()),
            Err(SecretError::Empty("file:/dev/null".to_owned()))
        );
        assert_eq!(resolve("${vault:x}").map(|_| ()), Err(SecretError::NotAReference));
        assert!(matches!(resolve("${file:/nowhere/at/all}").map(|_| ()), Err(SecretError::NoFile { .. })));
    }
}

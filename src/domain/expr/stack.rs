//! Where expressions are parsed and evaluated: on the caller's stack when they
//! are short and flat, as nearly all are, else on one they can't overflow.

use super::template;

/// The longest text parsed on the caller's stack: a chain of operators of this
/// length takes 0.5 MiB unoptimized.
pub(super) const PLAIN_BYTES_MAX: usize = 512;

/// How many brackets and choices may be open at once in a text parsed on the
/// caller's stack: each takes up to 350 KiB unoptimized, 12 KiB as released.
const PLAIN_LEVELS_MAX: usize = 3;

/// The stack for parsing any text of [`super::SOURCE_BYTES_MAX`], which takes up to
/// 32 MiB unoptimized and 2 MiB as released, and for evaluating what nests
/// [`super::DEPTH_MAX`] deep. Only the part that is used takes memory.
const DEEP_STACK_BYTES: usize = 64 * 1024 * 1024;

/// Whether a text is so short and flat that parsing it on the caller's stack
/// is safe. When in doubt it is not.
pub(super) fn is_plain(source: &str) -> bool {
    if source.len() > PLAIN_BYTES_MAX || source.contains("//") {
        return false;
    }
    let bytes = source.as_bytes();
    let (mut open, mut choices, mut at) = (0_usize, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'?' if at == 0 || bytes[at - 1] != b'.' => choices += 1,
            b'"' | b'\'' => match template::after_literal(bytes, 0, at) {
                Some(last) => at = last,
                None => return false,
            },
            _ => {}
        }
        if open + choices > PLAIN_LEVELS_MAX {
            return false;
        }
        at += 1;
    }
    true
}

/// What is said of a panic in the expression library.
pub(super) const PANICKED: &str = "it can't be read or worked out";

/// Runs `work` on a stack that no expression can overflow. A panic in it, or
/// no memory for the stack, is an error in words.
pub(super) fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|threads| {
        let thread = std::thread::Builder::new().stack_size(DEEP_STACK_BYTES);
        let thread = thread
            .spawn_scoped(threads, work)
            .map_err(|error| format!("there is no memory to work on it: {error}"))?;
        thread.join().map_err(|_| PANICKED.to_owned())
    })
}

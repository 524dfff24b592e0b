//! Named points at which a test ends this process as `kill -9` would.
//!
//! Compiled in by the cargo feature `failpoints` alone; in every other build a
//! point is nothing. Two variables of the environment steer it:
//!
//! ```text
//!   QUELL_POINTS=FILE   every point that is passed is appended to this file
//!   QUELL_DIE_AT=7      the process dies at the 7th point that it passes
//!   QUELL_DIE_AT=@FILE  it dies at the first point that is a line of this file
//!   QUELL_DIE_AT=7@FILE whichever comes first
//! ```
//! A name says where the process is, then what it is at, such as
//! `append.synced:attempt_started.act`.

use crate::domain::event::{Entry, Event};

/// Passes a point.
#[inline]
pub fn pass(place: &'static str) {
    pass_with(place, String::new);
}

/// Passes a point of which `what` says more; not asked for unless a test is watching.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn pass_with(_place: &'static str, _what: impl FnOnce() -> String) {}

/// Passes a point of which `what` says more.
#[cfg(feature = "failpoints")]
pub fn pass_with(place: &'static str, what: impl FnOnce() -> String) {
    armed::pass(place, what);
}

/// What a record is about: the kind of its first entry, with the phase of an attempt.
pub fn record(entries: &[Entry]) -> String {
    let Some(first) = entries.first() else { return String::new() };
    let kind = match serde_json::to_value(&first.event) {
        Ok(serde_json::Value::Object(map)) => map.keys().next().cloned().unwrap_or_default(),
        Ok(serde_json::Value::String(kind)) => kind,
        _ => String::new(),
    };
    match &first.event {
        Event::AttemptStarted { phase, .. }
        | Event::AttemptBegan { phase, .. }
        | Event::AttemptEnded { phase, .. }
        | Event::AttemptLost { phase, .. }
        | Event::AttemptDue { phase, .. } => format!("{kind}.{phase}"),
        _ => kind,
    }
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::collections::HashSet;
    use std::fs::File;
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    struct Armed {
        trace: Option<File>,
        names: HashSet<String>,
        left: AtomicI64,
    }

    fn armed() -> Option<&'static Armed> {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        ARMED.get_or_init(read).as_ref()
    }

    fn read() -> Option<Armed> {
        let trace = std::env::var_os("QUELL_POINTS");
        let die = std::env::var("QUELL_DIE_AT").ok();
        if trace.is_none() && die.is_none() {
            return None;
        }
        let trace = trace.and_then(|path| File::options().create(true).append(true).open(path).ok());
        let die = die.unwrap_or_default();
        let (nth, path) = die.split_once('@').unwrap_or((&die, ""));
        let names = match path {
            "" => String::new(),
            path => std::fs::read_to_string(path).unwrap_or_default(),
        };
        let names = names.lines().map(str::to_owned).collect();
        // From below zero it never comes down to nothing.
        Some(Armed { trace, names, left: AtomicI64::new(nth.parse().unwrap_or(-1)) })
    }

    pub fn pass(place: &'static str, what: impl FnOnce() -> String) {
        let Some(armed) = armed() else { return };
        let what = what();
        let name = if what.is_empty() { place.to_owned() } else { format!("{place}:{what}") };
        let dies = armed.left.fetch_sub(1, Ordering::SeqCst) == 1 || armed.names.contains(&name);
        if let Some(mut trace) = armed.trace.as_ref() {
            let mark = if dies { "† " } else { "" };
            let _ = trace.write_all(format!("{mark}{name}\n").as_bytes());
        }
        if dies {
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                // Nothing of this thread happens any more.
                std::thread::park();
            }
        }
    }
}

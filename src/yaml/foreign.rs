//! What authors bring along from other tools: their words for keys, and characters
//! that editors and chats put in place of the ones that were typed.

/// Keys of other tools, the key of ours that is meant, and how it is written.
const WORDS: &[(&str, &str, &str)] = &[
    ("if", "when", "write `when: ${ … }`: the step runs only when it holds"),
    ("run_if", "when", "write `when: ${ … }`: the step runs only when it holds"),
    ("only_if", "when", "write `when: ${ … }`: the step runs only when it holds"),
    ("condition", "when", "write `when: ${ … }`: the step runs only when it holds"),
    ("depends_on", "needs", "write `needs: [a, b]`: the step waits for those"),
    ("dependsOn", "needs", "write `needs: [a, b]`: the step waits for those"),
    ("depends", "needs", "write `needs: [a, b]`: the step waits for those"),
    ("requires", "needs", "write `needs: [a, b]`: the step waits for those"),
    ("continue-on-error", "on_error", "write `on_error: continue`"),
    ("continue_on_error", "on_error", "write `on_error: continue`"),
    ("ignore_errors", "on_error", "write `on_error: continue`"),
    ("allow_failure", "on_error", "write `on_error: continue`"),
    ("with_items", "for_each", "write `for_each: ${ … }`: the step runs once for each item of a list"),
    ("loop", "for_each", "write `for_each: ${ … }`: the step runs once for each item of a list"),
    ("foreach", "for_each", "write `for_each: ${ … }`: the step runs once for each item of a list"),
    ("for-each", "for_each", "write `for_each: ${ … }`: the step runs once for each item of a list"),
    ("matrix", "for_each", "write `for_each: ${ … }`: the step runs once for each item of a list"),
    ("concurrency", "at_once", "write `at_once: 5`: so many items run at the same time"),
    ("parallel", "at_once", "write `at_once: 5`: so many items run at the same time"),
    ("max-parallel", "at_once", "write `at_once: 5`: so many items run at the same time"),
    (
        "timeout-minutes",
        "timeout",
        "write `timeout: 20s` for one attempt, or `within: 5m` for the whole step",
    ),
    (
        "timeout_seconds",
        "timeout",
        "write `timeout: 20s` for one attempt, or `within: 5m` for the whole step",
    ),
    ("retries", "retry", "write `retry: { times: 3 }`"),
    ("max_retries", "retry", "write `retry: { times: 3 }`"),
    ("max_attempts", "retry", "write `retry: { times: 3 }`"),
    ("args", "with", "write `with: { name: value }`: what the operation is given"),
    ("params", "with", "write `with: { name: value }`: what the operation is given"),
    ("parameters", "with", "write `with: { name: value }`: what the operation is given"),
    ("arguments", "with", "write `with: { name: value }`: what the operation is given"),
    ("duration", "for", "write `for: 24h`: the containment is lifted then"),
    ("ttl", "for", "write `for: 24h`: the containment is lifted then"),
    ("name", "playbook", "write `playbook: NAME`; what people read is the `title:`"),
    ("name", "id", "write `id: NAME`: expressions name the step by it"),
    ("trigger", "on", "write `on:` with `- alert: ${ … }` or `- schedule: { cron: … }`"),
    ("triggers", "on", "write `on:` with `- alert: ${ … }` or `- schedule: { cron: … }`"),
    ("jobs", "steps", "write `steps:`, a list of steps"),
    ("tasks", "steps", "write `steps:`, a list of steps"),
    ("actions", "steps", "write `steps:`, a list of steps"),
    ("vars", "inputs", "write `inputs:` for what a run is given, or a step `set:` for what is worked out"),
    (
        "variables",
        "inputs",
        "write `inputs:` for what a run is given, or a step `set:` for what is worked out",
    ),
    ("approvers", "by", "write `by: [\"group:NAME\"]`"),
    ("reviewers", "by", "write `by: [\"group:NAME\"]`"),
];

/// How other tools name what a step does.
const KINDS: &[&str] = &["uses", "run", "action", "task", "module", "command", "script", "type", "do"];

/// What is meant by a key of another tool, where one of `known` does the same.
pub(super) fn meant(key: &str, known: &[&str]) -> Option<&'static str> {
    let word = WORDS.iter().find(|(foreign, ours, _)| *foreign == key && known.contains(ours));
    word.map(|(_, _, help)| *help)
}

/// Whether other tools use this key for something that a step of ours has.
pub fn is_foreign(key: &str) -> bool {
    WORDS.iter().any(|(foreign, ..)| *foreign == key)
}

/// Whether other tools say with this key what a step does.
pub fn is_foreign_kind(key: &str) -> bool {
    KINDS.contains(&key)
}

/// The first character that looks like one that was meant and is another, in
/// words: `a no-break space (U+00A0)`.
pub fn look_alike(text: &str) -> Option<String> {
    text.chars().find_map(|c| {
        let what = match c {
            '\u{a0}' | '\u{2007}' | '\u{202f}' => "a no-break space",
            '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => "a wide or thin space",
            '\u{200b}'..='\u{200d}' | '\u{2060}' => "an invisible character",
            '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => "a curly quote",
            '\u{2010}'..='\u{2015}' | '\u{2212}' => "a dash that is not `-`",
            _ => return None,
        };
        Some(format!("{what} (U+{:04X})", c as u32))
    })
}

/// What to do about a [`look_alike`].
pub(crate) fn type_it_anew(what: &str) -> String {
    format!("this holds {what}, which an editor or a chat put there: type it anew as a plain space, \" or -")
}

/// Whether a value without quotes that ends at byte `end` was cut by a comment: what
/// follows a space and `#` is not read.
pub fn is_cut_by_comment(source: &str, end: usize) -> bool {
    let rest = source.get(end..).unwrap_or_default();
    let rest = rest.split('\n').next().unwrap_or_default();
    rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#')
}

/// What to do about a value that a comment cut.
pub const CUT_BY_COMMENT: &str =
    "a space and `#` begin a comment in YAML, so the value ends there: put the whole value in quotes";

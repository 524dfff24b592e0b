//! The house tests its own shape: who imports whom, what the pure rooms may not
//! touch, how large files and functions are, and that every kind is listed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Room → rooms it may import (docs/architecture.md).
const TABLE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("yaml", &[]),
    ("lab", &[]),
    ("authored", &["domain", "yaml"]),
    ("projection", &["domain"]),
    ("encoding", &[]),
    ("failpoint", &["domain"]),
    ("store", &["failpoint", "domain"]),
    ("settings", &["yaml"]),
    ("intake", &["encoding", "domain", "yaml", "authored"]),
    ("connector", &["encoding", "failpoint", "domain", "yaml", "authored"]),
    ("guard", &["domain", "yaml"]),
    ("report", &["projection", "domain"]),
    ("step", &["connector", "guard", "report", "projection", "authored", "domain", "yaml"]),
    ("playbook", &["step", "guard", "report", "projection", "authored", "domain", "yaml"]),
    ("scheduler", &["step", "store", "failpoint", "domain"]),
    (
        "service",
        &[
            "scheduler",
            "playbook",
            "intake",
            "guard",
            "projection",
            "report",
            "step",
            "store",
            "encoding",
            "domain",
        ],
    ),
    ("web", &["service", "projection", "store", "intake", "encoding", "domain"]),
    (
        "app",
        &[
            "web",
            "service",
            "scheduler",
            "playbook",
            "intake",
            "connector",
            "guard",
            "projection",
            "report",
            "step",
            "store",
            "settings",
            "authored",
            "encoding",
            "failpoint",
            "domain",
            "yaml",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "web",
            "service",
            "playbook",
            "intake",
            "connector",
            "report",
            "step",
            "lab",
            "settings",
            "domain",
            "yaml",
        ],
    ),
];

/// The longest file, in lines; most are under 400.
const FILE_LINES_MAX: usize = 500;

/// The longest function, in lines.
const FUNCTION_LINES_MAX: usize = 70;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(dir).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source is text");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

fn room(path: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(src).expect("it is in src").components().next().expect("it has a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The code of a file: without tests at its end, without comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name == "tests.rs"
        || name.ends_with("_tests.rs")
        || path.components().any(|part| part.as_os_str() == "tests")
}

#[test]
fn every_room_imports_only_what_the_table_allows() {
    let mut wrong = BTreeSet::new();
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        let room = room(path);
        if room == "main" || room == "lib" {
            continue;
        }
        let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == room) else {
            wrong.insert(format!("{room} stands in no row of the table"));
            continue;
        };
        let code = code(text);
        for (at, _) in code.match_indices("crate::") {
            let word: String =
                code[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let known = TABLE.iter().any(|(name, _)| *name == word);
            if known && word != room && !allowed.contains(&word.as_str()) {
                wrong.insert(format!("{} imports {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_pure_rooms_touch_no_clock_chance_file_socket_or_log() {
    const BANNED: &[&str] = &[
        "tokio",
        "std::fs",
        "std::net",
        "std::env",
        "SystemTime",
        "Instant::now",
        "Utc::now",
        "Local::now",
        "tracing::",
        "getrandom",
        "println!",
        "eprintln!",
        "async fn",
        "Ulid::new()",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room(&path);
        if !matches!(room.as_str(), "domain" | "yaml" | "projection" | "authored" | "encoding")
            || is_test(&path)
        {
            continue;
        }
        let code = code(&text);
        for word in BANNED.iter().filter(|word| code.contains(**word)) {
            wrong.push(format!("{} uses `{word}`", path.display()));
        }
        // Deep expressions are worked out on a stack of their own; nothing else starts threads.
        let on_a_stack = path.ends_with("expr/stack.rs");
        if code.contains("thread::") && !on_a_stack {
            wrong.push(format!("{} starts threads", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_and_functions_stay_readable() {
    let mut wrong = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{}: {lines} lines", path.display()));
        }
        let tested = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines: Vec<&str> = tested.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let start = line.trim_start();
            let indent = line.len() - start.len();
            let is_fn = [
                "fn ",
                "pub fn ",
                "async fn ",
                "pub async fn ",
                "pub(super) fn ",
                "pub(super) async fn ",
                "pub(crate) fn ",
            ]
            .iter()
            .any(|word| start.starts_with(word));
            if !is_fn || line.trim_end().ends_with(';') {
                continue;
            }
            let end = lines[at..].iter().position(|end| {
                end.len() > indent && end[indent..] == *"}" && end[..indent].trim().is_empty()
            });
            if let Some(length) = end.filter(|length| *length > FUNCTION_LINES_MAX) {
                wrong.push(format!("{}:{}: a function of {length} lines", path.display(), at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for word in ["todo!", "unimplemented!", "FIXME", "XXX", "dbg!("] {
            if code(&text).contains(word) {
                wrong.push(format!("{}: `{word}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_step_kind_is_listed_once_and_has_docs() {
    let names: Vec<&str> = quell::step::kind::KINDS.iter().map(|kind| kind.name()).collect();
    let unique: BTreeSet<&&str> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    for promised in [
        "enrich", "call", "contain", "undo", "ask", "notify", "report", "incident", "set", "wait", "finish",
        "steps",
    ] {
        assert!(names.contains(&promised), "{promised}");
    }
    assert!(quell::step::kind::KINDS.iter().all(|kind| kind.docs().len() > 10));
}

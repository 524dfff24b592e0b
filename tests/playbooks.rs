//! Broken playbooks and what their authors are told.
//!
//! Each `tests/diagnostics/NAME.yaml` is a playbook with a mistake that a
//! responder might make; `NAME.txt` beside it is what `quell check` prints.
//! `UPDATE_EXPECT=1 cargo test --test playbooks` writes what it prints now:
//! read the difference before keeping it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quell::connector::shipped::SHIPPED as CONNECTORS;
use quell::connector::spec::ConnectorSpec;
use quell::domain::plan::Plan;
use quell::playbook::case::file::read_cases;
use quell::playbook::check::check;
use quell::playbook::judge::judge;
use quell::playbook::library::{Library, files_in, is_test};
use quell::playbook::rehearse::play;
use quell::report::templates::{TEMPLATES, Templates};
use quell::step::kind::Surroundings;
use quell::yaml::diagnostic::Diagnostic;
use quell::yaml::render::render;

/// What a file that means harm may take before it counts as a hang. A limit refuses
/// each in some tens of milliseconds; the bound is far above, so that a busy
/// machine never fails it, and far below what any of them takes without a limit.
const REFUSED_WITHIN: Duration = Duration::from_secs(20);

fn around() -> Surroundings {
    let connectors = CONNECTORS.iter().map(|(name, text)| {
        let spec = ConnectorSpec::read(name, text).expect("a shipped connector has no mistakes");
        ((*name).to_owned(), Arc::new(spec))
    });
    let templates = TEMPLATES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let groups = ["hr", "ir-leads", "legal", "managers"];
    Surroundings {
        connectors: connectors.collect(),
        configured: None,
        templates: templates.collect(),
        groups: Some(groups.map(str::to_owned).to_vec()),
        playbooks: BTreeMap::new(),
    }
}

fn shown(file: &str, text: &str, diagnostics: &[Diagnostic]) -> String {
    render(diagnostics, &|asked| (asked == file).then(|| text.to_owned()), false)
}

/// How long this thread has worked, where the system tells: a machine busy
/// with other things does not make a file slow to refuse.
fn time_at_work() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The files of `tests/diagnostics` with this ending.
fn files(ending: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let entries = std::fs::read_dir(dir).expect("tests/diagnostics is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut found: Vec<PathBuf> = paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    found
}

/// Compares what is told about each file with what is written beside it.
fn compare(paths: Vec<PathBuf>, told: impl Fn(&str, &str) -> Vec<Diagnostic>) {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut different = String::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let diagnostics = told(&name, &text);
        assert!(!diagnostics.is_empty(), "{name} has no mistake any more");
        for told in &diagnostics {
            assert!(told.help.as_ref().is_some_and(|help| !help.is_empty()), "{name}: no help in {told:?}");
            assert!(
                text.get(told.place.start..told.place.end).is_some(),
                "{name}: {told:?} is no place in it"
            );
        }
        let now = shown(&name, &text, &diagnostics);
        let beside = path.with_extension("txt");
        if update {
            std::fs::write(&beside, &now).expect("it can be written");
            continue;
        }
        let before = std::fs::read_to_string(&beside).unwrap_or_default();
        if before != now {
            let _ = writeln!(different, "--- {name}, expected\n{before}\n--- {name}, now\n{now}");
        }
    }
    assert!(different.is_empty(), "UPDATE_EXPECT=1 writes these anew\n{different}");
}

#[test]
fn authors_are_told_every_mistake_at_its_place_with_help() {
    let around = around();
    let playbooks: Vec<PathBuf> = files(".yaml").into_iter().filter(|path| !is_test(path)).collect();
    assert!(playbooks.len() >= 40);
    compare(playbooks, |name, text| check(name, text, &around).err().unwrap_or_default());
}

/// The shipped playbooks, which have no mistake.
fn shipped() -> Library {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks");
    let texts = files_in(&dir).expect("playbooks/ can be read");
    assert_eq!(texts.mistakes, []);
    let (library, mistakes) = Library::load(texts.files, &around());
    let told: Vec<&str> = mistakes.iter().map(|mistake| mistake.message.as_str()).collect();
    assert!(told.is_empty(), "{told:#?}");
    library
}

#[test]
fn shipped_playbooks_have_no_mistake_and_no_warning() {
    let library = shipped();
    assert!(!library.playbooks.is_empty());
    for (name, prepared) in &library.playbooks {
        let warnings: Vec<&str> = prepared.warnings.iter().map(|warning| warning.message.as_str()).collect();
        assert!(warnings.is_empty(), "{name}: {warnings:#?}");
    }
}

#[test]
fn a_plan_reads_back_as_it_was_stored() {
    for prepared in shipped().playbooks.values() {
        let plan: Plan = serde_json::from_slice(&prepared.plan_bytes).expect("a stored plan reads back");
        assert_eq!(serde_json::to_vec(&plan).expect("it can be stored"), prepared.plan_bytes.to_vec());
        assert!(!plan.connectors.is_empty(), "what it runs on is frozen with it");
    }
}

#[test]
fn tests_of_shipped_playbooks_have_no_mistake() {
    let library = shipped();
    let plan_of = |name: &str| library.playbooks.get(name).map(|prepared| Arc::clone(&prepared.plan));
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks");
    let mut tested: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("playbooks/ can be read") {
        let path = entry.expect("it can be listed").path();
        if !is_test(&path) {
            continue;
        }
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let cases = read_cases(&name, &text, &plan_of)
            .unwrap_or_else(|mistakes| panic!("{}", shown(&name, &text, &mistakes)));
        tested.insert(cases.playbook, cases.cases.len());
    }
    for name in library.playbooks.keys() {
        assert!(tested.get(name).is_some_and(|cases| *cases >= 6), "{name} has fewer than six cases");
    }
}

#[test]
fn authors_of_tests_are_told_every_mistake() {
    let library = shipped();
    let plan_of = |name: &str| library.playbooks.get(name).map(|prepared| Arc::clone(&prepared.plan));
    let tests = files(".test.yaml");
    assert!(!tests.is_empty());
    let templates = Templates::load(TEMPLATES, std::iter::empty()).expect("the shipped ones are right");
    compare(tests, |name, text| match read_cases(name, text, &plan_of) {
        Err(mistakes) => mistakes,
        Ok(cases) => {
            let plan = plan_of(&cases.playbook).expect("it is shipped");
            let played = cases.cases.iter().map(|case| (case, play(case, &plan, &templates)));
            played.flat_map(|(case, played)| judge(&cases.file, case, &played)).collect()
        }
    });
}

#[test]
fn files_that_mean_harm_are_refused_fast_and_by_a_named_limit() {
    let around = around();
    let laughs: String =
        (0..9).map(|n| format!("a{}: &a{} [*a{n}, *a{n}, *a{n}, *a{n}]\n", n + 1, n + 1)).collect();
    let steps: String = (0..600).map(|n| format!("  - id: s{n}\n    wait: 1s\n")).collect();
    let header = "playbook: harm\nversion: 1\ntitle: Harm\nposture: overt\n";
    let long =
        format!("{header}steps:\n  - id: a\n    when: ${{ {}true }}\n    wait: 1s\n", "true && ".repeat(600));
    let nested = format!(
        "{header}steps:\n  - id: a\n    when: ${{ {}true{} }}\n    wait: 1s\n",
        "(".repeat(1500),
        ")".repeat(1500)
    );
    let sets = |value: &str| (0..2000).map(|n| format!("      k{n}: {value}\n")).collect::<String>();
    let names = format!("{header}steps:\n  - id: a\n    set:\n{}", sets("${ stepz.b.c + x.y }"));
    let broken = format!("{header}steps:\n  - id: a\n    set:\n{}", sets("${ ( }"));
    let each_step: String = (0..200)
        .map(|n| {
            format!("  - id: s{n}\n    set: {{ a: \"${{ 1 + }}\", b: \"${{ ( }}\", c: \"${{ x y }}\" }}\n")
        })
        .collect();
    let spread = format!("{header}steps:\n{each_step}");
    let bombs = [
        ("broken expressions everywhere", spread, "more-mistakes"),
        ("unknown names", names, "unknown-name"),
        ("broken expressions", broken, "expression-wrong"),
        ("aliases", format!("a0: &a0 ha\n{laughs}"), "yaml-anchor"),
        ("deep", "[".repeat(10_000), "yaml-too-deep"),
        ("deep maps", "{a: ".repeat(10_000), "yaml-too-deep"),
        ("large", "#".repeat(1_000_000), "yaml-too-large"),
        ("many values", format!("playbook: [{}]", "1,".repeat(100_000)), "yaml-too-many"),
        ("many steps", format!("{header}steps:\n{steps}"), "too-many-steps"),
        ("long expression", long, "expression-wrong"),
        ("nested expression", nested, "expression-wrong"),
    ];
    // What is made once (tables of functions, patterns) is not the file's cost.
    let _ = check(
        "warm",
        &format!("{header}steps:\n  - id: a\n    when: ${{ alert.severity > 1 }}\n    wait: 1s\n"),
        &around,
    );
    for (name, text, code) in bombs {
        let mut took = Duration::MAX;
        let mut mistakes = Vec::new();
        // The fastest of three: other tests run beside this one.
        for _ in 0..3 {
            let (begun, worked) = (Instant::now(), time_at_work());
            mistakes = check(name, &text, &around).expect_err("it is refused");
            let at_work = time_at_work().zip(worked).map(|(now, before)| now.saturating_sub(before));
            took = took.min(at_work.unwrap_or_else(|| begun.elapsed()));
        }
        assert!(took < REFUSED_WITHIN, "{name} took {took:?}");
        assert!(mistakes.iter().any(|mistake| mistake.code == code), "{name}: {:#?}", mistakes.first());
    }
}

/// The YAML blocks of a page of documentation, with the lines they begin at.
fn blocks(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (&mut open, line.trim_end()) {
            (None, "```yaml") => open = Some((number + 1, String::new())),
            (Some(_), "```") => found.extend(open.take()),
            (Some((_, block)), _) => {
                let _ = writeln!(block, "{line}");
            }
            (None, _) => {}
        }
    }
    found
}

#[test]
fn playbooks_in_the_documentation_have_no_mistake_and_no_warning() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).expect("docs/ can be read");
    let mut pages: Vec<PathBuf> = docs.map(|entry| entry.expect("it can be listed").path()).collect();
    pages.push(root.join("README.md"));
    let mut checked = 0;
    for path in pages.iter().filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let page = std::fs::read_to_string(path).expect("it can be read");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (whole, parts): (Vec<_>, Vec<_>) =
            blocks(&page).into_iter().partition(|(_, block)| block.starts_with("playbook:"));
        // The page of the language shows nothing that is not checked.
        let first = parts.first().filter(|_| name == "playbooks.md");
        assert!(first.is_none(), "{name}:{} is no whole playbook", first.map_or(0, |(line, _)| *line));
        checked += whole.len();
        // Those of one page may run one another.
        let files: Vec<(String, String)> =
            whole.into_iter().map(|(line, block)| (format!("{name}:{line}"), block)).collect();
        let texts: BTreeMap<String, String> = files.iter().cloned().collect();
        let (library, mut told) = Library::load(files, &around());
        told.extend(library.playbooks.values().flat_map(|prepared| prepared.warnings.clone()));
        assert!(told.is_empty(), "{}", render(&told, &|file| texts.get(file).cloned(), false));
    }
    assert!(checked >= 7, "{checked} playbooks");
}

#[test]
fn a_broken_file_is_reported_and_the_others_are_kept() {
    let good = |name: &str| {
        format!("playbook: {name}\nversion: 1\ntitle: T\nposture: overt\nsteps:\n  - id: a\n    wait: 1s\n")
    };
    let files = [
        ("a.yaml".to_owned(), good("first")),
        ("b.yaml".to_owned(), "playbook: [".to_owned()),
        ("c.yaml".to_owned(), good("first")),
        ("d.yaml".to_owned(), good("second")),
    ];
    let (library, mistakes) = Library::load(files, &around());
    assert_eq!(library.playbooks.keys().collect::<Vec<_>>(), ["first", "second"]);
    let told: Vec<(&str, &str)> = mistakes.iter().map(|mistake| (&*mistake.file, mistake.code)).collect();
    assert!(told.iter().any(|(file, _)| *file == "b.yaml"), "{told:?}");
    assert!(told.contains(&("c.yaml", "duplicate-playbook")), "{told:?}");
}

/// The reader of authored files tells places and has budgets; on what it takes it
/// must say the same as the YAML library that everybody else uses.
#[test]
fn what_authors_write_is_read_as_other_programs_read_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dirs = ["playbooks", "tests/flow", "src/connector/shipped", "src/intake/shipped"];
    let mut compared = 0;
    for dir in dirs {
        for entry in std::fs::read_dir(root.join(dir)).expect("it is there") {
            let path = entry.expect("it can be listed").path();
            let text = std::fs::read_to_string(&path).expect("it can be read");
            let ours = quell::yaml::reader::read("file", &text).expect("it has no mistake").to_json();
            let theirs: serde_json::Value = serde_yaml::from_str(&text).expect("it is YAML");
            assert_eq!(ours, theirs, "{}", path.display());
            compared += 1;
        }
    }
    assert!(compared > 10, "only {compared} files were compared");
}

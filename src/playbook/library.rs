//! The playbooks that can be run, each with its frozen plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::plan::{Callee, Plan};
use crate::domain::playbook::InputSpec;
use crate::domain::value::{Digest, Value, digest};
use crate::playbook::check::{Checked, check};
use crate::playbook::file::Texts;
use crate::playbook::wanting::Wanting;
use crate::step::ask::read_fields;
use crate::step::kind::{Called, Surroundings};
use crate::yaml::diagnostic::{Diagnostic, did_you_mean, quoted};
use crate::yaml::node::Place;
use crate::yaml::reader::read;
use crate::yaml::render::to_json;
use crate::yaml::shape::Reader;

/// The playbooks that come with Quell. Adding one costs a file and a line.
pub const SHIPPED: &[(&str, &str)] = &[(
    "playbooks/departing-employee-exfiltration.yaml",
    include_str!("../../playbooks/departing-employee-exfiltration.yaml"),
)];

/// What stands behind the name of a file that is in this program and on no disk.
const BUILT_IN: &str = " (built in)";

/// What a shipped playbook's file is called in messages.
pub fn built_in(file: &str) -> String {
    format!("{file}{BUILT_IN}")
}

/// The text of a shipped playbook by what its file is called in messages.
pub fn built_in_text(file: &str) -> Option<&'static str> {
    let name = file.strip_suffix(BUILT_IN)?;
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
}

/// Their tests.
pub const SHIPPED_TESTS: &[(&str, &str)] = &[(
    "playbooks/departing-employee-exfiltration.test.yaml",
    include_str!("../../playbooks/departing-employee-exfiltration.test.yaml"),
)];

/// A checked playbook with its plan.
#[derive(Debug)]
pub struct Prepared {
    /// What a run of it freezes.
    pub plan: Arc<Plan>,
    /// Names the plan.
    pub plan_digest: Digest,
    /// The plan as it is stored.
    pub plan_bytes: Arc<[u8]>,
    /// The plans of the playbooks that its steps run, and of theirs.
    pub callees: Vec<(Digest, Arc<[u8]>)>,
    /// Whether it asks anywhere for whom an alert is about.
    pub needs_subject: bool,
    /// Where it was read from.
    pub file: String,
    /// Its text.
    pub text: String,
    /// What is no mistake, and still worth a look.
    pub warnings: Vec<Diagnostic>,
}

/// Playbooks by name.
#[derive(Debug, Default)]
pub struct Library {
    /// Those that can be run.
    pub playbooks: BTreeMap<String, Arc<Prepared>>,
    /// Which of them want an alert.
    pub wanting: Wanting,
}

impl Library {
    /// Checks playbooks and keeps those without mistakes; the others do not
    /// stop them. Gives every mistake. Playbooks that others run are found
    /// among these, and among those that stand around them.
    pub fn load(
        files: impl IntoIterator<Item = (String, String)>,
        around: &Surroundings,
    ) -> (Library, Vec<Diagnostic>) {
        let files: Vec<(String, String)> = files.into_iter().collect();
        let mut playbooks = around.playbooks.clone();
        playbooks.extend(files.iter().filter_map(|(file, text)| signature(file, text)));
        let mut mistakes = Vec::new();
        let mut drafts: BTreeMap<String, Draft> = BTreeMap::new();
        for (file, text) in files {
            let checked = match check(&file, &text, around) {
                Ok(checked) => checked,
                Err(found) => {
                    mistakes.extend(found);
                    continue;
                }
            };
            let name = checked.playbook.name.clone();
            if let Some(first) = drafts.get(&name) {
                mistakes.push(same_name(&file, &text, &name, &first.file));
                continue;
            }
            let wrong = wrong_calls(&file, &checked, &playbooks);
            if wrong.is_empty() {
                drafts.insert(name, Draft { file, text, checked });
            } else {
                mistakes.extend(wrong);
            }
        }
        let mut freezing = Freezing { drafts: &drafts, around, done: BTreeMap::new(), mistakes };
        for name in drafts.keys() {
            freezing.freeze(name, &mut Vec::new());
        }
        let done = freezing.done.into_iter();
        let playbooks: BTreeMap<_, _> = done.filter_map(|(name, made)| Some((name, made?))).collect();
        (Library { wanting: Wanting::of(&playbooks), playbooks }, freezing.mistakes)
    }

    /// What each playbook takes, by name.
    pub fn signatures(&self) -> BTreeMap<String, Vec<InputSpec>> {
        self.playbooks.iter().map(|(name, of)| (name.clone(), of.plan.playbook.inputs.clone())).collect()
    }
}

impl Prepared {
    /// Everything that a run of it needs stored, by digest: its plan, and those
    /// of the playbooks that its steps run.
    pub fn blobs(&self) -> Vec<(Digest, Vec<u8>)> {
        let own = (self.plan_digest, self.plan_bytes.to_vec());
        let others = self.callees.iter().map(|(digest, bytes)| (*digest, bytes.to_vec()));
        std::iter::once(own).chain(others).collect()
    }
}

/// A playbook that was checked and not frozen yet.
struct Draft {
    file: String,
    text: String,
    checked: Checked,
}

/// Name and inputs of a playbook, mistakes or not.
pub fn signature(file: &str, text: &str) -> Option<(String, Vec<InputSpec>)> {
    let node = read(file, text).ok()?;
    let name = node.get("playbook")?.as_str()?.to_owned();
    let reader = Reader::new(file);
    let map = reader.root("a playbook", &node).map()?;
    let inputs = map.optional("inputs").map(read_fields).unwrap_or_default();
    Some((name, inputs))
}

/// The mistake of a second playbook with a name, at that name.
pub fn same_name(file: &str, text: &str, name: &str, first: &str) -> Diagnostic {
    let node = read(file, text).ok();
    let place =
        node.as_ref().and_then(|node| node.get("playbook")).map_or_else(Place::default, |name| name.place);
    let message = format!("the playbook `{name}` is in {first} already");
    Diagnostic::error("duplicate-playbook", &Arc::from(file), place, message)
        .label("used again")
        .help("give one of them another name")
}

/// What is wrong with how a playbook's steps run others.
fn wrong_calls(file: &str, checked: &Checked, known: &BTreeMap<String, Vec<InputSpec>>) -> Vec<Diagnostic> {
    let file: Arc<str> = Arc::from(file);
    let mut wrong = Vec::new();
    for call in &checked.calls {
        let Some(inputs) = known.get(&call.playbook) else {
            let message = format!("there is no playbook {}", quoted(&call.playbook));
            let help = match did_you_mean(&call.playbook, known.keys()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "put its file beside this one, or mend the name".to_owned(),
            };
            wrong.push(Diagnostic::error("unknown-playbook", &file, call.place, message).help(help));
            continue;
        };
        for (name, place) in &call.given {
            if !inputs.iter().any(|input| input.name == *name) {
                let message = format!("`{}` has no input {}", call.playbook, quoted(name));
                let names: Vec<&String> = inputs.iter().map(|input| &input.name).collect();
                let help = match did_you_mean(name, &names) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("declare it under `inputs:` of `{}`", call.playbook),
                };
                wrong.push(Diagnostic::error("unknown-input", &file, *place, message).help(help));
            }
        }
        let missing = |input: &&InputSpec| {
            input.required
                && input.default.is_none()
                && !call.given.iter().any(|(name, _)| *name == input.name)
        };
        for input in inputs.iter().filter(missing) {
            let message = format!("`{}` needs the input `{}`", call.playbook, input.name);
            let help = format!("give it: with: {{ {}: … }}", input.name);
            wrong.push(Diagnostic::error("missing-input", &file, call.place, message).help(help));
        }
    }
    wrong
}

/// Makes plans, those of the playbooks that others run first.
struct Freezing<'a> {
    drafts: &'a BTreeMap<String, Draft>,
    around: &'a Surroundings,
    /// What was made; nothing for those that cannot be.
    done: BTreeMap<String, Option<Arc<Prepared>>>,
    mistakes: Vec<Diagnostic>,
}

impl Freezing<'_> {
    fn freeze(&mut self, name: &str, above: &mut Vec<String>) -> Option<Arc<Prepared>> {
        if let Some(made) = self.done.get(name) {
            return made.clone();
        }
        let draft = self.drafts.get(name)?;
        above.push(name.to_owned());
        let (mut playbooks, mut callees, mut whole) = (BTreeMap::new(), BTreeMap::new(), true);
        for call in &draft.checked.calls {
            if above.contains(&call.playbook) {
                whole = false;
                self.mistakes.push(circle(draft, call, above));
                continue;
            }
            let Some(callee) = self.freeze(&call.playbook, above) else {
                // What stops it is told of it.
                whole = false;
                continue;
            };
            let plan = &callee.plan.playbook;
            playbooks.insert(
                call.playbook.clone(),
                Callee { plan: callee.plan_digest, version: plan.version, inputs: plan.inputs.clone() },
            );
            callees.extend(callee.callees.iter().cloned());
            callees.insert(callee.plan_digest, Arc::clone(&callee.plan_bytes));
        }
        above.pop();
        let made = whole.then(|| prepared(draft, self.around, playbooks, callees.into_iter().collect()));
        let made = made.and_then(|made| match made {
            Ok(made) => Some(Arc::new(made)),
            Err(mistake) => {
                self.mistakes.push(*mistake);
                None
            }
        });
        self.done.insert(name.to_owned(), made.clone());
        made
    }
}

fn circle(draft: &Draft, call: &Called, above: &[String]) -> Diagnostic {
    let from = above.iter().position(|name| *name == call.playbook).unwrap_or(0);
    let way: Vec<&str> = above[from..].iter().chain([&call.playbook]).map(String::as_str).collect();
    let message = format!("these playbooks run one another without end: {}", way.join(" → "));
    Diagnostic::error("playbook-circle", &Arc::from(draft.file.as_str()), call.place, message)
        .label("closes the circle")
        .help("take one of these steps out; to do something again and again, use `repeat`")
}

fn prepared(
    draft: &Draft,
    around: &Surroundings,
    playbooks: BTreeMap<String, Callee>,
    callees: Vec<(Digest, Arc<[u8]>)>,
) -> Result<Prepared, Box<Diagnostic>> {
    let Draft { file, text, checked } = draft;
    let texts = checked.texts.iter();
    let used = checked.used.iter();
    let plan = Plan {
        playbook: checked.playbook.clone(),
        source: digest(text.as_bytes()),
        texts: texts.filter_map(|name| Some((name.clone(), around.templates.get(name)?.clone()))).collect(),
        connectors: used
            .filter_map(|name| Some((name.clone(), Value::from(around.connectors.get(name)?.text.as_str()))))
            .collect(),
        playbooks,
    };
    let bytes = serde_json::to_vec(&plan).map_err(|error| {
        let message = format!("the plan cannot be written down: {error}");
        Box::new(
            Diagnostic::error("plan-unstorable", &Arc::from(file.as_str()), Place::of(text, 0, 0), message)
                .help("make its texts and values smaller or simpler"),
        )
    })?;
    Ok(Prepared {
        needs_subject: asks_for_subject(&plan),
        plan: Arc::new(plan),
        plan_digest: digest(&bytes),
        plan_bytes: bytes.into(),
        callees,
        file: file.clone(),
        text: text.clone(),
        warnings: checked.warnings.clone(),
    })
}

/// Whether an expression of the playbook is over the subject.
fn asks_for_subject(plan: &Plan) -> bool {
    const SUBJECT: &str = "alert.user";
    let written = serde_json::to_string(&plan.playbook).unwrap_or_default();
    written.match_indices(SUBJECT).any(|(at, _)| !written[at + SUBJECT.len()..].starts_with('s'))
}

/// Checks one playbook alone and freezes its plan.
///
/// # Errors
/// Every mistake in it.
pub fn prepare(file: &str, text: &str, around: &Surroundings) -> Result<Arc<Prepared>, Vec<Diagnostic>> {
    let (library, mistakes) = Library::load([(file.to_owned(), text.to_owned())], around);
    library.playbooks.into_values().next().ok_or(mistakes)
}

/// Whether a playbook has no mistake, and everything worth a look in it, as the
/// list that programs read.
pub fn diagnosed(file: &str, text: &str, around: &Surroundings) -> (bool, Value) {
    let (library, mut found) = Library::load([(file.to_owned(), text.to_owned())], around);
    let sound = found.is_empty();
    found.extend(library.playbooks.into_values().flat_map(|prepared| prepared.warnings.clone()));
    (sound, to_json(&found))
}

/// The playbook files of a directory, `*.yaml` without the tests beside them,
/// and the mistakes of those that cannot be read as text.
///
/// # Errors
/// When the directory cannot be listed.
pub fn files_in(dir: &Path) -> std::io::Result<Texts> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    let mut texts = Texts::default();
    paths.iter().filter(|path| is_playbook(path)).for_each(|path| texts.add(path));
    Ok(texts)
}

/// Whether a path is a playbook's by its name.
pub fn is_playbook(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    (name.ends_with(".yaml") || name.ends_with(".yml")) && !is_test(path)
}

/// Whether a path is a playbook's test by its name.
pub fn is_test(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

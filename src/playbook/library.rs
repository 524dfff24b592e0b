//! The playbooks that can be run, each with its frozen plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::plan::Plan;
use crate::domain::value::{Digest, Value, digest};
use crate::playbook::check::{Checked, check};
use crate::step::kind::Surroundings;
use crate::yaml::diagnostic::Diagnostic;
use crate::yaml::node::Place;

/// The playbooks that come with Quell. Adding one costs a file and a line.
pub const SHIPPED: &[(&str, &str)] = &[(
    "playbooks/departing-employee-exfiltration.yaml",
    include_str!("../../playbooks/departing-employee-exfiltration.yaml"),
)];

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
}

impl Library {
    /// Checks playbooks and keeps those without mistakes; the others do not
    /// stop them. Gives every mistake.
    pub fn load(
        files: impl IntoIterator<Item = (String, String)>,
        around: &Surroundings,
    ) -> (Library, Vec<Diagnostic>) {
        let mut library = Library::default();
        let mut mistakes = Vec::new();
        for (file, text) in files {
            match prepare(&file, &text, around) {
                Ok(prepared) => {
                    let name = prepared.plan.playbook.name.clone();
                    match library.playbooks.get(&name) {
                        Some(first) => mistakes.push(
                            Diagnostic::error(
                                "duplicate-playbook",
                                &Arc::from(file.as_str()),
                                Place::of(&text, 0, 0),
                                format!("the playbook `{name}` is in {} already", first.file),
                            )
                            .help("give one of them another name"),
                        ),
                        None => {
                            library.playbooks.insert(name, Arc::new(prepared));
                        }
                    }
                }
                Err(found) => mistakes.extend(found),
            }
        }
        (library, mistakes)
    }
}

/// Checks one playbook and freezes its plan.
///
/// # Errors
/// Every mistake in it.
pub fn prepare(file: &str, text: &str, around: &Surroundings) -> Result<Prepared, Vec<Diagnostic>> {
    let Checked { playbook, texts, used, warnings } = check(file, text, around)?;
    let plan = Plan {
        playbook,
        source: digest(text.as_bytes()),
        texts: texts
            .iter()
            .filter_map(|name| Some((name.clone(), around.templates.get(name)?.clone())))
            .collect(),
        connectors: used
            .iter()
            .filter_map(|name| Some((name.clone(), Value::from(around.connectors.get(name)?.text.as_str()))))
            .collect(),
        playbooks: BTreeMap::new(),
    };
    let bytes = serde_json::to_vec(&plan).map_err(|error| {
        vec![Diagnostic::error(
            "plan-unstorable",
            &Arc::from(file),
            Place::of(text, 0, 0),
            format!("the plan cannot be written down: {error}"),
        )]
    })?;
    Ok(Prepared {
        plan: Arc::new(plan),
        plan_digest: digest(&bytes),
        plan_bytes: bytes.into(),
        file: file.to_owned(),
        text: text.to_owned(),
        warnings,
    })
}

/// The playbook files of a directory: `*.yaml`, without the tests beside them.
///
/// # Errors
/// When the directory or a file cannot be read.
pub fn files_in(dir: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    paths
        .into_iter()
        .filter(|path| is_playbook(path))
        .map(|path| Ok((path.display().to_string(), std::fs::read_to_string(&path)?)))
        .collect()
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

//! What a step kind is, and the list of all.
//!
//! Adding one costs a file beside this one and a line in [`KINDS`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::authored::expressions::examined;
use crate::connector::spec::ConnectorSpec;
use crate::domain::command::Phase;
use crate::domain::expr::References;
use crate::domain::expr::template::Template;
use crate::domain::playbook::{Body, InputSpec, Posture, StepIx};
use crate::step::ask::Ask;
use crate::step::call::CallOperation;
use crate::step::contain::Contain;
use crate::step::enrich::Enrich;
use crate::step::finish::Finish;
use crate::step::incident::Incident;
use crate::step::messages;
use crate::step::notify::Notify;
use crate::step::playbook::RunPlaybook;
use crate::step::report::Report;
use crate::step::set::Set;
use crate::step::steps::Steps;
use crate::step::undo::Undo;
use crate::step::wait::Wait;
use crate::step::world::{Call, Done, World};
use crate::yaml::diagnostic::{did_you_mean, quoted};
use crate::yaml::map::MapReader;
use crate::yaml::node::{Node, Place};
use crate::yaml::shape::Field;

/// One sort of step.
pub trait StepKind: Sync {
    /// The key that a playbook writes.
    fn name(&self) -> &'static str;

    /// What it does, for people.
    fn docs(&self) -> &'static str;

    /// Reads a step of this kind, collecting every mistake. `value` stands
    /// under the kind's key; `step` is the whole step.
    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body>;

    /// Whether an attempt begins when it has its turn at a connector; else it is at
    /// work before that.
    fn begins_at_connector(&self) -> bool {
        true
    }

    /// Carries out one attempt. Called only for bodies that perform.
    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done>;
}

/// Every kind there is.
pub const KINDS: &[&dyn StepKind] = &[
    &Enrich,
    &CallOperation,
    &Contain,
    &Undo,
    &Ask,
    &Notify,
    &Report,
    &Incident,
    &Set,
    &Wait,
    &RunPlaybook,
    &Steps,
    &Finish,
];

/// The kind of this name.
pub fn kind(name: &str) -> Option<&'static dyn StepKind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// Carries out one attempt of a step of this kind: telling people of an
/// approval, a question or an end that is near is the same for all.
pub async fn carry_out(kind: &dyn StepKind, call: &Call<'_>, world: &World) -> Done {
    match call.perform.phase {
        Phase::Announce => messages::announce(call, world).await,
        Phase::Remind => messages::remind(call, world).await,
        Phase::Warn => messages::warn(call, world).await,
        _ => kind.run(call, world).await,
    }
}

/// What stands around a playbook while it is checked: what it may name.
pub struct Surroundings {
    /// Connectors by the name that playbooks use.
    pub connectors: BTreeMap<String, Arc<ConnectorSpec>>,
    /// Those of them that are configured; none = not known here.
    pub configured: Option<BTreeSet<String>>,
    /// Templates by name, with their text.
    pub templates: BTreeMap<String, String>,
    /// Groups; none = not known here, any name is taken.
    pub groups: Option<Vec<String>>,
    /// Playbooks that steps may run, with what each takes.
    pub playbooks: BTreeMap<String, Vec<InputSpec>>,
}

/// Another playbook that a step runs.
#[derive(Debug, Clone)]
pub struct Called {
    /// Its name.
    pub playbook: String,
    /// Where the step names it.
    pub place: Place,
    /// The inputs it is given, and where.
    pub given: Vec<(String, Place)>,
}

/// Names that an expression uses, and where.
pub struct Named {
    /// Where it is written.
    pub node: Node,
    /// What it names.
    pub references: References,
    /// Whether it is asked after the step has run, and sees what it gave.
    pub after: bool,
}

/// What a kind may ask and gives while a step is checked.
pub struct Check<'a> {
    /// What the playbook may name.
    pub around: &'a Surroundings,
    /// The playbook's posture.
    pub posture: Posture,
    /// The file's text, for places inside expressions.
    pub source: &'a str,
    /// Steps by id, for kinds that name other steps.
    pub steps: &'a BTreeMap<String, StepIx>,
    /// Names that expressions of this step use; the playbook room checks them.
    pub named: Vec<Named>,
    /// Templates that the plan must freeze.
    pub texts: Vec<String>,
    /// Connectors that the plan must freeze.
    pub used: Vec<String>,
    /// The names in the step's output; none = not known.
    pub output: Option<Vec<String>>,
    /// How many different people its `approval`, or that of the blocks around
    /// it, demands.
    pub approvers: usize,
    /// The steps it lifts, with where it says so.
    pub undoes: Vec<(StepIx, Place)>,
    /// The playbooks it runs.
    pub calls: Vec<Called>,
}

impl Check<'_> {
    /// A value with expressions in it; its names are noted for the playbook room.
    pub fn template(&mut self, field: Field<'_>) -> Option<Template> {
        self.template_of(field, field.node())
    }

    /// Like [`Check::template`], for a part of a field.
    pub fn template_of(&mut self, field: Field<'_>, node: &Node) -> Option<Template> {
        let (references, template) = examined(field.reader(), node, self.source);
        self.named.push(Named { node: node.clone(), references, after: false });
        template
    }

    /// An entry that names people, `group:NAME` or an address; a whole
    /// expression is known only when it runs.
    pub fn people(&mut self, field: Field<'_>) -> Option<Template> {
        let entries: Vec<(&str, Field<'_>)> = field
            .one_or_many()
            .into_iter()
            .filter_map(|entry| Some((entry.node().as_str()?, entry)))
            .collect();
        if entries.is_empty() {
            field.mistake("nobody", "this names nobody", "write an address, group:NAME, or a list of them");
            return None;
        }
        for (entry, at) in entries {
            if !entry.contains("${") {
                check_entry(at, entry, self.around.groups.as_deref());
            }
            let subject = ["alert.user.email", "alert.users[0].email"];
            let computed = entry.trim_start().starts_with("${");
            if self.posture == Posture::Covert && computed && subject.iter().any(|name| entry.contains(name))
            {
                at.mistake(
                    "visible-in-covert",
                    "in `posture: covert` nothing may be sent to the person it is about",
                    "ask the owner of the system or the manager, or choose another posture",
                );
            }
        }
        self.template(field)
    }
}

/// An entry that names people must be an address or a group that there is.
pub fn check_entry(field: Field<'_>, entry: &str, groups: Option<&[String]>) {
    let Some(group) = entry.strip_prefix("group:") else {
        let at = entry.find('@');
        if at.is_none_or(|at| at == 0 || at + 1 == entry.len()) || entry.contains(char::is_whitespace) {
            field.mistake(
                "nobody",
                format!("{} is neither a mail address nor a group", quoted(entry)),
                format!("write name@example.com, or group:{}", entry.trim().replace(' ', "-")),
            );
        }
        return;
    };
    let Some(known) = groups else { return };
    if !known.iter().any(|name| name == group) {
        let help = match did_you_mean(group, known) {
            Some(meant) => format!("did you mean `group:{meant}`?"),
            None => {
                format!("add it under `people.groups` in the settings, or take one of: {}", known.join(", "))
            }
        };
        field.mistake("unknown-group", format!("there is no group {}", quoted(group)), help);
    }
}

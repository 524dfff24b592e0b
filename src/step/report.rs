//! `report`: writes summaries from the journal, keeps them, and sends them.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::domain::expr::template::Template;
use crate::domain::playbook::{ActionSpec, Body, Effect};
use crate::step::kind::{Check, StepKind};
use crate::step::messages;
use crate::step::world::{Call, Done, World};
use crate::yaml::diagnostic::did_you_mean;
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// The kind.
pub struct Report;

impl StepKind for Report {
    fn name(&self) -> &'static str {
        "report"
    }

    fn docs(&self) -> &'static str {
        "writes summaries from the journal, keeps them, and sends them"
    }

    /// Writing is the work; the mail comes after it.
    fn begins_at_connector(&self) -> bool {
        false
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let _ = step;
        let map = value.map()?;
        let template = map.required("template").and_then(|field| known_report(field, check));
        let audience = map.optional("audience").and_then(Field::non_empty).unwrap_or("responders");
        let formats: Vec<&str> = match map.optional("formats") {
            Some(field) => {
                if field.node().as_list().is_some_and(<[_]>::is_empty) {
                    let help = "write html, markdown or both, or take the key out for both";
                    field.mistake("empty", "a report is written in at least one format", help);
                }
                let formats = field.one_or_many().into_iter();
                formats.filter_map(|format| format.one_of(&["html", "markdown"])).collect()
            }
            None => vec!["html", "markdown"],
        };
        let mut to = None;
        if let Some(send) = map.optional("send").and_then(Field::map) {
            to = send.required("to").and_then(|field| check.people(field));
            send.finish();
        }
        map.finish();
        let input = json!({ "template": template?, "audience": audience, "formats": formats, "to": to.map(|to| to.source().clone()) });
        check.output = Some(vec!["reports".to_owned(), "sent_to".to_owned()]);
        let input = Template::parse(&input).ok()?;
        Some(Body::Perform(ActionSpec {
            operation: "report".to_owned(),
            input,
            effect: Effect::Once,
            containment: None,
            question: None,
            reconcile: None,
        }))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        messages::report(call, world).boxed()
    }
}

/// A report is a template under `reports/`, in one format or both.
fn known_report<'a>(field: Field<'a>, check: &Check<'_>) -> Option<&'a str> {
    let name = field.non_empty()?;
    let names: Vec<&str> = check
        .around
        .templates
        .keys()
        .filter_map(|known| known.strip_prefix("reports/")?.strip_suffix(".html"))
        .filter(|known| *known != "style")
        .collect();
    if !names.contains(&name) {
        let help = did_you_mean(name, &names).map_or_else(
            || format!("there are: {}", names.join(", ")),
            |meant| format!("did you mean `{meant}`?"),
        );
        field.mistake("unknown-template", format!("there is no report `{name}`"), help);
        return None;
    }
    Some(name)
}

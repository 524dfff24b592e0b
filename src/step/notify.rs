//! `notify`: sends a message to people.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::domain::expr::template::Template;
use crate::domain::playbook::{ActionSpec, Body, Effect};
use crate::step::ask::escaped;
use crate::step::kind::{Check, StepKind};
use crate::step::messages;
use crate::step::world::{Call, Done, World};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// The kind.
pub struct Notify;

impl StepKind for Notify {
    fn name(&self) -> &'static str {
        "notify"
    }

    fn docs(&self) -> &'static str {
        "sends a message to people"
    }

    fn check<'a>(&self, value: Field<'a>, step: &MapReader<'a>, check: &mut Check<'_>) -> Option<Body> {
        let _ = step;
        let map = value.map()?;
        let to = map.required("to").and_then(|field| check.people(field));
        let subject = map.optional("subject").and_then(|field| {
            field.non_empty()?;
            check.template(field)
        });
        let written = map.optional("text").or_else(|| map.optional("template"));
        if let (Some(_), Some(field)) = (map.optional("text"), map.optional("template")) {
            let message = "a notice has one text, and here are `text` and `template`";
            field.mistake("two-texts", message, "take one of them out");
        }
        if written.is_none() {
            value.mistake("missing-key", "a notice needs `text` or `template`", "add `text: …`");
        }
        let given = map.optional("with");
        let text = written.and_then(|field| check.text_or_template(field, given));
        let with = given.and_then(|field| check.template(field));
        if let Some(field) = map.optional("via") {
            field.mistake("not-yet", "this version sends notices by mail only", "take `via` out");
        }
        map.also_known(&["template"]);
        map.finish();
        let (key, text) = text?;
        let input = json!({
            "to": to?.source(), "subject": subject.map(|subject| subject.source().clone()),
            "with": with.map(|with| with.source().clone()), key: escaped(&text),
        });
        check.output = Some(vec!["sent_to".to_owned()]);
        let input = Template::parse(&input).ok()?;
        Some(Body::Perform(ActionSpec {
            operation: "notify".to_owned(),
            input,
            effect: Effect::Once,
            containment: None,
            question: None,
            reconcile: None,
        }))
    }

    fn run<'a>(&'a self, call: &'a Call<'a>, world: &'a World) -> BoxFuture<'a, Done> {
        messages::notify(call, world).boxed()
    }
}

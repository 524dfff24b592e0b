//! How a peer is asked whether an operation of effect N happened, from its file.

use std::time::Duration;

use crate::authored::expressions::{check_roots, expression};
use crate::connector::read::containment::CAPTURE_NAMES;
use crate::connector::read::request::{check_inputs, over};
use crate::connector::spec::{DriverKind, InputField, Reconcile, Request};
use crate::domain::expr::References;
use crate::domain::playbook::{Effect, IfAbsent, InputKind};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// How long a peer's no is not believed when a connector does not say: search
/// indexes of ticket systems lag by seconds, and now and then by a minute.
const WITHIN_DEFAULT: Duration = Duration::from_secs(2 * 60);

/// The operation that `marker:` and `reconcile:` belong to.
pub(super) struct Marked<'a> {
    pub(super) effect: Option<Effect>,
    pub(super) driver: DriverKind,
    pub(super) input: &'a [InputField],
    pub(super) names: &'a [String],
    pub(super) request: Option<&'a Request>,
}

/// Reads `marker:` and `reconcile:`.
pub(super) fn read_marker(
    map: &MapReader<'_>,
    text: &str,
    marked: &Marked<'_>,
) -> (Option<String>, Option<Reconcile>) {
    let field = map.optional("marker");
    let marker = field.and_then(|field| {
        let marker = field.non_empty()?;
        if !marked.names.iter().any(|name| name == marker) {
            field.mistake(
                "unknown-name",
                format!("`marker` names the input `{marker}`, which is not declared"),
                "name an input that the peer can be asked for",
            );
        }
        Some(marker.to_owned())
    });
    let reconcile = map.optional("reconcile").and_then(|reconcile| {
        check_belongs(map, reconcile, marked);
        match (field, &marker) {
            (Some(field), Some(marker)) => check_mark(field, marker, marked),
            _ => reconcile.mistake(
                "reconcile-without-marker",
                "nothing can be asked for that carries no mark",
                "add `marker:`, the input by which the peer finds it again",
            ),
        }
        read_reconcile(reconcile, text, marked.names)
    });
    (marker, reconcile)
}

fn check_belongs(map: &MapReader<'_>, field: Field<'_>, marked: &Marked<'_>) {
    if marked.driver == DriverKind::Smtp {
        field.mistake(
            "mail-that-is-asked-for",
            "a mail server cannot be asked whether it took a mail",
            "remove `reconcile:`; a person says whether it came",
        );
    } else if marked.effect.is_some_and(|effect| effect != Effect::Once) {
        field.mistake(
            "reconcile-and-effect",
            "only an operation of effect N needs to be asked for: the others may be done again",
            "remove `reconcile:`, or declare `effect: N`",
        );
    }
    if map.optional("containment").is_some() {
        field.mistake(
            "reconcile-that-contains",
            "a containment is looked at by `verify:`",
            "remove `reconcile:`",
        );
    }
}

/// The mark is a text, differs from use to use, and is sent.
fn check_mark(field: Field<'_>, marker: &str, marked: &Marked<'_>) {
    let Some(input) = marked.input.iter().find(|input| input.name == marker) else {
        return;
    };
    if !matches!(input.kind, None | Some(InputKind::String)) || input.default.is_some() {
        field.mistake(
            "marker-unusable",
            format!("`{marker}` must be a text without a default: it tells one use from all others"),
            format!("declare `{marker}: {{ type: string }}`"),
        );
    }
    if marked.request.is_some_and(|request| !sends(request, marker)) {
        field.mistake(
            "marker-not-sent",
            format!("`input.{marker}` does not stand in `request`, so the peer never hears of it"),
            format!("write `${{ input.{marker} }}` where the peer keeps it"),
        );
    }
}

fn sends(request: &Request, marker: &str) -> bool {
    let pairs = request.query.iter().chain(&request.headers).chain(&request.form);
    let mut templates = request.path.iter().chain(pairs.map(|(_, value)| value)).chain(&request.body);
    templates.any(|template| names_input(template.references(), marker))
}

/// Whether `input.<name>`, or `input` as a whole, is named.
pub(super) fn names_input(references: &References, name: &str) -> bool {
    references.paths.iter().any(|path| match path.as_slice() {
        [root] => root == "input",
        [root, input, ..] => root == "input" && input == name,
        [] => false,
    })
}

fn read_reconcile(field: Field<'_>, text: &str, inputs: &[String]) -> Option<Reconcile> {
    let map = field.map()?;
    let with = map.required("with").and_then(Field::non_empty);
    let input = map.optional("input").and_then(|field| over(field, text, &["input"], inputs));
    let happened = map.optional("happened").and_then(|field| {
        let expr = expression(field, text)?;
        check_roots(field.reader(), field.place(), expr.references(), CAPTURE_NAMES);
        check_inputs(field, &expr.references().paths, inputs);
        Some(expr)
    });
    let mut output_names = None;
    let output = map.optional("output").and_then(|field| {
        let names = field.node().as_map().unwrap_or_default().iter().map(|(key, _)| key.name.clone());
        output_names = Some(names.collect());
        over(field, text, CAPTURE_NAMES, inputs)
    });
    let within = map.optional("within").and_then(Field::duration).unwrap_or(WITHIN_DEFAULT);
    let absent = match map.optional("absent").and_then(|field| field.one_of(&["uncertain", "resend"])) {
        Some("resend") => IfAbsent::Resend,
        _ => IfAbsent::Uncertain,
    };
    map.finish();
    Some(Reconcile { with: with?.to_owned(), input, happened, output, output_names, within, absent })
}

//! How an operation contains, from its file.

use std::time::Duration;

use crate::authored::expressions::{check_roots, expression};
use crate::connector::read::request::{REQUEST_NAMES, over};
use crate::connector::spec::{Capture, Containment, Verify};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// Names an expression over an output may use.
const OUTPUT_NAMES: &[&str] = &["input", "captured", "output"];
/// The same before anything was captured.
pub(super) const CAPTURE_NAMES: &[&str] = &["input", "output"];

/// How long reading back may take when a connector does not say.
const VERIFY_WITHIN_DEFAULT: Duration = Duration::from_secs(60);

/// Reads `containment:` and what belongs to it, from the operation's map.
pub(super) fn read_containment(map: &MapReader<'_>, text: &str, inputs: &[String]) -> Option<Containment> {
    let parts = ["capture", "verify", "undo", "irreversible", "pair"].map(|key| map.optional(key));
    let Some(field) = map.optional("containment") else {
        for part in parts.into_iter().flatten() {
            part.mistake(
                "no-containment",
                "this belongs to a containment, and the operation is none",
                "add `containment: { tier: …, visible_to_subject: … }`, or remove it",
            );
        }
        return None;
    };
    let [capture, verify, undo, irreversible, pair] = parts;
    let irreversible = irreversible.and_then(Field::bool).unwrap_or(false);
    let spec = field.map()?;
    let tier =
        spec.required("tier").and_then(|field| field.int(0..=4)).and_then(|tier| u8::try_from(tier).ok());
    let visible = spec.required("visible_to_subject").and_then(Field::bool);
    spec.finish();
    if capture.is_none() {
        field.mistake(
            "containment-without-capture",
            "a containment must say how its target is found and read before it is touched",
            "add `capture: { with: …, id: …, label: …, keep: […] }`",
        );
    }
    if !irreversible && (verify.is_none() || undo.is_none()) {
        field.mistake(
            "containment-without-way-back",
            "a containment must be verified by reading back and have a way back",
            "add `verify:` and `undo:`, or say `irreversible: true`",
        );
    }
    if let (true, Some(undo)) = (irreversible, &undo) {
        undo.mistake(
            "irreversible-with-undo",
            "the operation says both that it cannot be undone and how",
            "remove `undo:` or `irreversible:`",
        );
    }
    let verify = verify.and_then(|field| read_verify(field, text, inputs));
    let undo = undo.and_then(Field::non_empty).map(str::to_owned);
    let pair = pair.and_then(Field::texts).unwrap_or_default().into_iter().map(str::to_owned).collect();
    let capture = read_capture(capture?, text, inputs)?;
    Some(Containment { tier: tier?, visible: visible?, capture, verify, undo, irreversible, pair })
}

fn read_capture(field: Field<'_>, text: &str, inputs: &[String]) -> Option<Capture> {
    let map = field.map()?;
    let with = map.required("with").and_then(Field::non_empty);
    let matches = map.optional("matches").and_then(|field| {
        let expr = expression(field, text)?;
        check_roots(field.reader(), field.place(), expr.references(), CAPTURE_NAMES);
        Some(expr)
    });
    let id = map.required("id").and_then(|field| over(field, text, CAPTURE_NAMES, inputs));
    let label = map.required("label").and_then(|field| over(field, text, CAPTURE_NAMES, inputs));
    let keep = map
        .required("keep")
        .and_then(Field::texts)
        .map(|names| names.into_iter().map(str::to_owned).collect());
    let attributes = map.optional("attributes").and_then(|field| over(field, text, CAPTURE_NAMES, inputs));
    map.finish();
    Some(Capture { with: with?.to_owned(), matches, id: id?, label: label?, keep: keep?, attributes })
}

fn read_verify(field: Field<'_>, text: &str, inputs: &[String]) -> Option<Verify> {
    let map = field.map()?;
    let with = map.required("with").and_then(Field::non_empty);
    let input = map.optional("input").and_then(|field| over(field, text, REQUEST_NAMES, inputs));
    let holds = map.required("holds").and_then(|field| {
        let expr = expression(field, text)?;
        check_roots(field.reader(), field.place(), expr.references(), OUTPUT_NAMES);
        Some(expr)
    });
    let within = map.required("within").and_then(Field::duration);
    map.finish();
    Some(Verify {
        with: with?.to_owned(),
        input,
        holds: holds?,
        within: within.unwrap_or(VERIFY_WITHIN_DEFAULT),
    })
}

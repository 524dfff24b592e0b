//! What the reader of connectors takes and what it tells.

use crate::connector::shipped::SHIPPED;
use crate::connector::spec::ConnectorSpec;

#[test]
fn every_shipped_connector_reads_clean() {
    for (name, text) in SHIPPED {
        match ConnectorSpec::read(name, text) {
            Ok(spec) => assert_eq!(spec.name, *name),
            Err(mistakes) => panic!("{name}: {mistakes:#?}"),
        }
    }
}

fn codes_of(text: &str) -> Vec<&'static str> {
    match ConnectorSpec::read("x.yaml", text) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(|mistake| mistake.code).collect(),
    }
}

#[test]
fn all_mistakes_of_a_connector_are_told_at_once() {
    let text = "connector: x\ntitle: X\nproven: maybe\noperations:\n  stop:\n    effect: I\n    containment: { tier: 9, visible_to_subject: true }\n    request: { method: GET, path: \"/a/${input.user}\" }\n    success: ${ statu == 200 }\n  look: { effect: R, request: { method: POST, path: /x } }\n  other: { effect: R, request: { method: GET, path: x } }\n";
    let codes = codes_of(text);
    for code in [
        "not-one-of",
        "out-of-range",
        "unknown-name",
        "containment-without-capture",
        "containment-without-way-back",
        "bad-path",
        "read-that-writes",
    ] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
    let undeclared = codes.iter().filter(|code| **code == "unknown-name").count();
    assert_eq!(undeclared, 2, "each is told once: {codes:?}");
}

/// A connector that is right; each case below breaks one thing of it.
const RIGHT: &str = r#"connector: x
title: X
auth: { header: Authorization, value: "Bearer ${ secret.token }" }
limits: { per_minute: 60, at_once: 2, timeout: 10s, body: 64KB }
proven: simulated
operations:
  look:
    effect: R
    input: { user: { type: string, required: true } }
    request: { method: GET, path: "/u/${ input.user }" }
    success: ${ status == 200 }
    output: { id: "${ body.id }", on: "${ body.on }" }
  stop:
    effect: I
    input: { user: { type: string, required: true }, why: { type: string, default: none } }
    containment: { tier: 2, visible_to_subject: false }
    capture: { with: look, id: "${ output.id }", label: "${ output.id }", keep: [on] }
    request: { method: POST, path: "/u/${ captured.id }/stop", form: { why: "${ input.why }" } }
    verify: { with: look, holds: "${ output.on == false }", within: 1m }
    undo: start
    pair: [look]
  start:
    effect: I
    request: { method: POST, path: "/u/${ captured.id }/start", body: { on: "${ captured.state.on }" } }
  tell:
    effect: K
    request: { method: POST, path: /tell, idempotency_header: Idempotency-Key }
"#;

#[test]
fn a_mistake_that_would_show_in_an_incident_shows_when_checking() {
    assert_eq!(codes_of(RIGHT), Vec::<&str>::new());
    for (from, to, code) in [
        ("with: look, id", "with: lok, id", "unknown-operation"),
        ("with: look, id", "with: start, id", "look-that-writes"),
        ("with: look, holds", "with: tell, holds", "look-that-writes"),
        ("undo: start", "undo: begin", "unknown-operation"),
        ("pair: [look]", "pair: [others]", "unknown-operation"),
        ("keep: [on]", "keep: [active]", "unknown-name"),
        ("output.on == false", "output.off == false", "unknown-name"),
        ("id: \"${ output.id }\"", "id: \"${ output.uid }\"", "unknown-name"),
        ("id: \"${ output.id }\"", "id: \"${ captured.id }\"", "unknown-name"),
        ("captured.id }/stop", "captured.uid }/stop", "unknown-name"),
        ("captured.state.on", "captured.state.off", "unknown-name"),
        ("/u/${ input.user }", "/u/${ captured.id }", "unknown-name"),
        ("/u/${ input.user }", "/u/${ secret.token }", "unknown-name"),
        ("/u/${ input.user }", "/u/${ input.user + '/' }", "bad-path"),
        ("path: /tell", "path: /tell?x=1", "bad-path"),
        ("path: /tell", "path: /../tell", "bad-path"),
        ("path: /tell", "path: //evil.example/tell", ""),
        ("secret.token", "input.token", "unknown-name"),
        ("Bearer ${ secret.token }", "Bearer abc", "secret-written-out"),
        ("header: Authorization", "header: Host", "bad-header"),
        ("header: Authorization", "header: \"a b\"", "bad-header"),
        (", idempotency_header: Idempotency-Key", "", "key-and-effect"),
        (", idempotency_header: Idempotency-Key", ", idempotency_header: Content-Length", "bad-header"),
        ("effect: K", "effect: N", "key-and-effect"),
        ("form: {", "body: x, form: {", "two-bodies"),
        ("    undo: start\n", "", "containment-without-way-back"),
        ("    undo: start\n", "    undo: start\n    irreversible: true\n", "irreversible-with-undo"),
        ("    containment: { tier: 2, visible_to_subject: false }\n", "", "no-containment"),
        ("  start:\n", "  Start:\n", "bad-id"),
        ("limits: {", "limit: {", "unknown-key"),
        ("proven: simulated", "proven: simulated\ndriver: smtp", "unknown-operation"),
    ] {
        let text = RIGHT.replacen(from, to, 1);
        assert_ne!(text, RIGHT, "{from} is there");
        let codes = codes_of(&text);
        assert!(
            if code.is_empty() { codes.is_empty() } else { codes.contains(&code) },
            "{from} → {to}: {code} in {codes:?}"
        );
    }
}

#[test]
fn what_a_connector_needs_is_given_by_who_uses_it() {
    let text = RIGHT.replace(
        "  start:\n    effect: I\n",
        "  start:\n    effect: I\n    input: { reason: { type: string, required: true } }\n",
    );
    assert_eq!(codes_of(&text), ["unknown-name"]);
    let text = text.replace(
        "required: true } }\n    request: { method: POST, path: \"/u/${ captured.id }/start",
        "required: true, default: over } }\n    request: { method: POST, path: \"/u/${ captured.id }/start",
    );
    assert_eq!(codes_of(&text), Vec::<&str>::new());
}

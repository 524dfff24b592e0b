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

/// The same for an operation that the peer can be asked for.
const ASKED_FOR: &str = r#"connector: x
title: X
proven: simulated
operations:
  find:
    effect: R
    input: { mark: { type: string, required: true } }
    request: { method: GET, path: /tickets, query: { mark: "${ input.mark }" } }
    matches: ${ size(body.found) }
    output: { number: "${ body.found[0].number }" }
  open:
    effect: N
    input: { title: { type: string, required: true }, external_id: { type: string } }
    request: { method: POST, path: /tickets, body: { title: "${ input.title }", mark: "${ input.external_id }" } }
    output: { number: "${ body.number }" }
    marker: external_id
    reconcile:
      with: find
      input: { mark: "${ input.external_id }" }
      happened: "${ output.number != null }"
      output: { number: "${ output.number }" }
      within: 30s
      absent: resend
"#;

#[test]
fn how_a_peer_is_asked_for_what_may_have_happened_is_checked() {
    assert_eq!(codes_of(ASKED_FOR), Vec::<&str>::new());
    let happened = "      happened: \"${ output.number != null }\"\n";
    for (from, to, code) in [
        ("with: find", "with: fnd", "unknown-operation"),
        ("with: find", "with: open", "look-that-writes"),
        ("effect: N", "effect: I", "reconcile-and-effect"),
        ("    marker: external_id\n", "", "reconcile-without-marker"),
        ("marker: external_id", "marker: external", "unknown-name"),
        ("mark: \"${ input.external_id }\" } }", "mark: x } }", "marker-not-sent"),
        ("external_id: { type: string }", "external_id: { type: integer }", "marker-unusable"),
        ("external_id: { type: string }", "external_id: { type: string, default: x }", "marker-unusable"),
        (
            "input: { mark: \"${ input.external_id }\" }\n",
            "input: { mark: \"${ input.title }\" }\n",
            "marker-not-asked",
        ),
        (
            "input: { mark: \"${ input.external_id }\" }\n",
            "input: { name: \"${ input.external_id }\" }\n",
            "unknown-name",
        ),
        ("      input: { mark: \"${ input.external_id }\" }\n", "", "unknown-name"),
        ("output.number != null", "output.count > 0", "unknown-name"),
        ("output.number != null", "captured.id != null", "unknown-name"),
        (
            "output: { number: \"${ output.number }\" }",
            "output: { no: \"${ output.number }\" }",
            "unknown-name",
        ),
        ("absent: resend", "absent: again", "not-one-of"),
        ("within: 30s", "wihtin: 30s", "unknown-key"),
        ("connector: x\n", "connector: x\ndriver: smtp\n", "mail-that-is-asked-for"),
        (happened, "", ""),
        (
            "    marker: external_id\n",
            "    marker: external_id\n    containment: { tier: 1, visible_to_subject: false }\n",
            "reconcile-that-contains",
        ),
    ] {
        let text = ASKED_FOR.replacen(from, to, 1);
        assert_ne!(text, ASKED_FOR, "{from} is there");
        let codes = codes_of(&text);
        assert!(
            if code.is_empty() { codes.is_empty() } else { codes.contains(&code) },
            "{from} → {to}: {code} in {codes:?}"
        );
    }
    let text = ASKED_FOR.replace(happened, "").replace("    matches: ${ size(body.found) }\n", "");
    assert_eq!(codes_of(&text), ["reconcile-without-no"]);
}

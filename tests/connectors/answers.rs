//! Answers are read as their sender labels them, decide and are written back as
//! they are, and prove no more than they say.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use quell::domain::outcome::FailureClass::{self, Permanent, Transient, Unknown};
use quell::domain::value::Value;
use serde_json::json;

use crate::peer::{Act, peer, response};
use crate::setup::{CANARY, Part, failure, output, setup};

const TIMEOUT: Duration = Duration::from_secs(20);

const SPEC: &str = r#"connector: peer
title: A peer
auth: { basic: { user: "${ secret.user }", password: "${ secret.password }" } }
proven: simulated
operations:
  read:
    effect: R
    input: { name: { type: string } }
    request: { method: GET, path: /thing }
    success: ${ status == 200 }
    absent: ${ status == 410 }
    output: { role: "${ body.role }", is_admin: "${ body.role == 'admin' }", note: "${ body.?note.orValue(null) }", count: "${ 1 }" }
  headers:
    effect: R
    request: { method: GET, path: /thing }
    output: { all: "${ headers }" }
  put:
    effect: I
    request: { method: PUT, path: /thing }
    success: ${ status == 200 }
    refused: ${ status == 202 && body.ok == false }
  keyed:
    effect: K
    request: { method: POST, path: /thing, idempotency_header: Idempotency-Key }
    success: ${ status == 200 }
  once:
    effect: N
    request: { method: POST, path: /thing }
    success: ${ status == 200 }
    output: { note: "${ body.?note.orValue(null) }" }
  demote:
    effect: I
    input: { name: { type: string, required: true } }
    containment: { tier: 1, visible_to_subject: false }
    capture: { with: read, id: "${ input.name }", label: "${ input.name }", keep: [role, note] }
    request: { method: PUT, path: "/things/${captured.id}", body: { role: none } }
    verify: { with: read, holds: "${ output.role == 'none' }", within: 1s }
    undo: promote
  promote:
    effect: I
    input: { name: { type: string, required: true } }
    request: { method: PUT, path: "/things/${captured.id}", body: { role: "${ captured.state.role }", note: "${ captured.state.note }" } }
"#;

/// What a peer says, and what follows for what reads, converges, has a key, is done once.
type Row = (u16, [(FailureClass, &'static str); 4]);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    (201, [(Permanent, "answer-unlisted"), (Unknown, "answer-unlisted"), (Unknown, "answer-unlisted"), (Unknown, "answer-unlisted")]),
    (202, [(Permanent, "answer-unlisted"), (Unknown, "answer-unlisted"), (Unknown, "answer-unlisted"), (Unknown, "answer-unlisted")]),
    (204, [(Permanent, "answer-unlisted"), (Unknown, "answer-unlisted"), (Unknown, "answer-unlisted"), (Unknown, "answer-unlisted")]),
    (303, [(Permanent, "redirected"), (Unknown, "redirected"), (Unknown, "redirected"), (Unknown, "redirected")]),
    (304, [(Permanent, "redirected"), (Unknown, "redirected"), (Unknown, "redirected"), (Unknown, "redirected")]),
    (307, [(Permanent, "redirected"), (Unknown, "redirected"), (Unknown, "redirected"), (Unknown, "redirected")]),
    (400, [(Permanent, "refused"); 4]),
    (401, [(Permanent, "not-allowed"); 4]),
    (404, [(Permanent, "not-found"); 4]),
    (406, [(Permanent, "refused"), (Unknown, "outcome-unsaid"), (Unknown, "outcome-unsaid"), (Unknown, "outcome-unsaid")]),
    (408, [(Unknown, "server-error"); 4]),
    (409, [(Permanent, "refused"), (Permanent, "refused"), (Unknown, "outcome-unsaid"), (Permanent, "refused")]),
    (422, [(Permanent, "refused"); 4]),
    (425, [(Transient, "too-many-requests"); 4]),
    (429, [(Transient, "too-many-requests"); 4]),
    (451, [(Permanent, "refused"); 4]),
    (499, [(Permanent, "refused"), (Unknown, "outcome-unsaid"), (Unknown, "outcome-unsaid"), (Unknown, "outcome-unsaid")]),
    (500, [(Unknown, "server-error"); 4]),
    (501, [(Unknown, "server-error"); 4]),
    (503, [(Unknown, "server-error"); 4]),
];

/// An answer with these headers and bytes, as it goes over the line.
fn raw(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Act {
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    Act::SayAndClose([format!("{head}\r\n").as_bytes(), body].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_refusal_proves_that_a_call_was_not_done() {
    for (status, row) in ROWS {
        // These two have no content (RFC 9112 §6.3).
        let body = if matches!(status, 204 | 304) { "" } else { "{\"detail\":\"hm\"}" };
        let text = response(*status, &[], body);
        let text = if body.is_empty() { text.replace("content-length: 0\r\n", "") } else { text };
        let peer = peer(Act::Say(text)).await;
        let setup = setup(SPEC, &peer.url, &["user", "password"], CANARY);
        for (operation, (class, code)) in ["read", "put", "keyed", "once"].iter().zip(row) {
            let failure = failure(setup.perform("peer", operation, json!({}), TIMEOUT).await);
            let told = format!("{status} to {operation}: {failure:?}");
            assert_eq!((failure.class, failure.code.as_str()), (*class, *code), "{told}");
            assert!(failure.message.contains(&format!("was answered {status}")), "{told}");
            let unsaid = failure.message.contains("does not say whether it was done");
            assert_eq!(unsaid, *class == Unknown && *operation != "read", "{told}");
        }
    }
}

#[tokio::test]
async fn a_no_in_the_words_that_are_declared_for_it_is_a_refusal() {
    for (body, class, code) in [
        ("{\"ok\":false}", Permanent, "refused"),
        ("{\"ok\":true}", Unknown, "answer-unlisted"),
        ("no", Unknown, "answer-unlisted"),
    ] {
        let peer = peer(Act::Say(response(202, &[], body))).await;
        let setup = setup(SPEC, &peer.url, &["user", "password"], CANARY);
        let failure = failure(setup.perform("peer", "put", json!({}), TIMEOUT).await);
        assert_eq!((failure.class, failure.code.as_str()), (class, code), "{body}: {failure:?}");
    }
}

#[tokio::test]
async fn a_user_name_decides_and_is_written_back_as_it_is() {
    let peer = peer(Act::Say(response(200, &[], "{\"role\":\"admin\",\"note\":\"of admin\"}"))).await;
    let setup = setup(SPEC, &peer.url, &["user", "password"], "admin");
    // The password is the same word here: short, and an ordinary one.
    let read = output(setup.perform("peer", "read", json!({}), TIMEOUT).await);
    assert_eq!(read, json!({ "role": "admin", "is_admin": true, "note": "of admin", "count": 1 }));
    let input = json!({ "name": "dana" });
    let captured = output(setup.part(Part::Capture, "peer", "demote", &input, None, TIMEOUT).await);
    assert_eq!(captured["state"], json!({ "role": "admin", "note": "of admin" }));
    output(setup.part(Part::Undo, "peer", "demote", &input, Some(&captured), TIMEOUT).await);
    let written = peer.requests.lock().last().cloned().unwrap_or_default();
    assert!(written.ends_with("{\"note\":\"of admin\",\"role\":\"admin\"}"), "{written}");
}

#[tokio::test]
async fn what_repeats_a_secret_is_refused_and_never_captured_or_cut() {
    let half = CANARY.len() / 2;
    let (one, other) = CANARY.split_at(half);
    for body in [
        json!({ "role": "admin", "note": format!("by {CANARY}") }),
        json!({ "role": one, "note": other }),
        json!({ "role": "admin", "note": ["x", { CANARY: 1 }] }),
    ] {
        let peer = peer(Act::Say(response(200, &[], &body.to_string()))).await;
        let setup = setup(SPEC, &peer.url, &["user", "password"], CANARY);
        let input = json!({ "name": "dana" });
        let answer = setup.part(Part::Capture, "peer", "demote", &input, None, TIMEOUT).await;
        let kept = String::from_utf8_lossy(&answer.body).into_owned();
        let read = failure(answer);
        assert_eq!((read.class, read.code.as_str()), (Permanent, "answer-holds-secret"), "{body}");
        assert!(!read.message.contains(other) && !kept.contains(one) && !kept.contains(other), "{kept}");
        // It was done; only what it said of it is not kept.
        let done = setup.perform("peer", "once", json!({}), TIMEOUT).await;
        if body["note"].to_string().contains("canary") {
            assert_eq!(failure(done).class, Unknown, "{body}");
        }
        assert!(peer.requests.lock().iter().all(|request| !request.starts_with("PUT")));
    }
}

#[tokio::test]
async fn a_secret_in_two_pieces_of_an_answer_is_in_no_record() {
    let half = CANARY.len() / 2;
    let (one, other) = CANARY.split_at(half);
    // Cut by chunks, by lines, by fields, and by an answer that breaks off in it.
    let chunked = format!(
        "HTTP/1.1 400 X\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{other}\r\n0\r\n\r\n",
        one.len(),
        other.len()
    );
    for act in [
        Act::Say(chunked),
        Act::Say(response(400, &[], &format!("you sent {one}\r\n{other}"))),
        Act::Say(response(500, &[], &json!({ "a": other, "b": one }).to_string())),
        Act::SayAndClose(response(400, &[], CANARY).as_bytes()[..50].to_vec()),
    ] {
        let peer = peer(act.clone()).await;
        let setup = setup(SPEC, &peer.url, &["user", "password"], CANARY);
        let answer = setup.perform("peer", "read", json!({}), TIMEOUT).await;
        let shown = format!("{:?} {}", answer.outcome, String::from_utf8_lossy(&answer.body));
        assert!(!shown.contains("canary") && !shown.contains("secret\""), "{act:?}: {shown}");
    }
}

fn packed(how: &str, bytes: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match how {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
        "zlib" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
        _ => {
            let mut encoder = DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
    }
    .expect("it is packed")
}

/// `{"role":"ok"}` as brotli 1.0.9 packs it.
const BROTLI: &[u8] =
    &[0x0b, 0x06, 0x80, 0x7b, 0x22, 0x72, 0x6f, 0x6c, 0x65, 0x22, 0x3a, 0x22, 0x6f, 0x6b, 0x22, 0x7d, 0x03];

#[tokio::test]
async fn an_answer_is_read_as_it_is_labelled() {
    let plain = "{\"role\":\"Größe\"}".as_bytes();
    let utf16: Vec<u8> = [0xfeff_u16]
        .into_iter()
        .chain("{\"role\":\"Größe\"}".encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    for (headers, body, role) in [
        (&[][..], plain.to_vec(), "Größe"),
        (&[("content-encoding", "gzip")], packed("gzip", plain), "Größe"),
        (&[("content-encoding", "deflate")], packed("zlib", plain), "Größe"),
        (&[("content-encoding", "deflate")], packed("raw", plain), "Größe"),
        (&[("content-encoding", "br")], BROTLI.to_vec(), "ok"),
        (
            &[("content-encoding", "deflate"), ("content-encoding", "gzip")],
            packed("gzip", &packed("zlib", plain)),
            "Größe",
        ),
        (
            &[("content-type", "application/json; charset=iso-8859-1")],
            b"{\"role\":\"Gr\xf6\xdfe\"}".to_vec(),
            "Größe",
        ),
        (&[("content-type", "application/json")], [b"\xef\xbb\xbf", plain].concat(), "Größe"),
        (&[("content-type", "application/json")], utf16, "Größe"),
    ] {
        let peer = peer(raw(200, headers, &body)).await;
        let setup = setup(SPEC, &peer.url, &["user", "password"], CANARY);
        let answer = setup.perform("peer", "read", json!({}), TIMEOUT).await;
        assert_eq!(output(answer)["role"], json!(role), "{headers:?}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_says_by_which_label() {
    let bomb = packed("gzip", &vec![b' '; 40_000_000]);
    for (headers, body, says) in [
        (
            &[("content-encoding", "zstd")][..],
            b"{\"role\":\"x\"}".to_vec(),
            "Content-Encoding `zstd` is not known",
        ),
        (&[("content-encoding", "gzip")], b"{\"role\":\"x\"}".to_vec(), "labelled `Content-Encoding: gzip`"),
        (&[("content-encoding", "gzip")], bomb, "unpacked it is larger than 2097152 bytes"),
        (
            &[("content-type", "application/json; charset=utf-7")],
            b"{\"role\":\"x\"}".to_vec(),
            "charset `utf-7`",
        ),
        (
            &[("content-type", "application/json")],
            b"{\"role\":\"Gr\xf6\xdfe\"}".to_vec(),
            "not UTF-8, as which it must be read: byte 12",
        ),
    ] {
        let peer = peer(raw(200, headers, &body)).await;
        let setup = setup(SPEC, &peer.url, &["user", "password"], CANARY);
        let read = failure(setup.perform("peer", "read", json!({}), TIMEOUT).await);
        assert_eq!(read.code, "answer-unreadable", "{headers:?}: {read:?}");
        assert!(read.message.contains(says), "{headers:?}: {read:?}");
        // Where only the status is asked for, the text does not matter.
        assert_eq!(output(setup.perform("peer", "put", json!({}), TIMEOUT).await), json!({}));
    }
    // What only goes into a message is shown, with the bytes that are not text.
    let peer = peer(raw(400, &[], b"Gr\xf6\xdfe \xff")).await;
    let setup = setup(SPEC, &peer.url, &["user", "password"], CANARY);
    let refused = failure(setup.perform("peer", "put", json!({}), TIMEOUT).await);
    assert_eq!((refused.class, refused.code.as_str()), (Permanent, "refused"));
    assert!(refused.message.contains("Gr\\xf6\\xdfe \\xff"), "{refused:?}");
    assert!(!refused.message.contains('\u{fffd}'), "{refused:?}");
}

#[tokio::test]
async fn header_fields_of_one_name_are_one_text_and_cookies_a_list() {
    let headers = [
        ("x-role", "a"),
        ("X-Role", "b, c"),
        ("set-cookie", "k=1; expires=Mon, 01 Jan 2029"),
        ("set-cookie", "l=2"),
        ("x-one", "only"),
    ];
    let peer = peer(raw(200, &headers, b"{}")).await;
    let setup = setup(SPEC, &peer.url, &["user", "password"], CANARY);
    let all: Value = output(setup.perform("peer", "headers", json!({}), TIMEOUT).await)["all"].clone();
    assert_eq!(all["x-role"], json!("a, b, c"));
    assert_eq!(all["x-one"], json!("only"));
    assert_eq!(all["set-cookie"], json!(["k=1; expires=Mon, 01 Jan 2029", "l=2"]));
}

//! Nothing from the world changes where a call goes or what it asks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use quell::connector::spec::ConnectorSpec;
use serde_json::json;

use crate::peer::{Act, peer, response};
use crate::setup::{failure, output, setup, with_specs};

const TIMEOUT: Duration = Duration::from_secs(20);

const SPEC: &str = r#"connector: echo
title: Echo
proven: simulated
operations:
  everything:
    effect: K
    input: { value: { type: string, required: true } }
    request:
      method: PUT
      path: "/fixed/${ input.value }/x-${ input.value }"
      query: { q: "${ input.value }", filter: "userName eq ${ json(input.value) }" }
      body: { value: "${ input.value }" }
      idempotency_header: Idempotency-Key
  header:
    effect: I
    input: { value: { type: string, required: true } }
    request: { method: POST, path: /h, headers: { x-value: "${ input.value }" } }
  form:
    effect: I
    input: { value: { type: string, required: true } }
    request: { method: POST, path: /f, form: { value: "${ input.value }", b: "2" } }
"#;

const HOSTILE: &[&str] = &[
    "dana.whitfield@example.com",
    "../../admin",
    "..%2fadmin",
    "%2e%2e/",
    "a\"b",
    "a\" or active eq true or userName eq \"",
    "a\\",
    "a\nb",
    "a\r\nHost: evil",
    "a\tb",
    ".\t.",
    "a/b",
    "a\\b",
    "a?b=c",
    "a#b",
    "a&b=c",
    "a;b=c",
    "a+b",
    "a b",
    "%00",
    "😀",
    "ü@example.com",
    "//evil.example/",
    "http://evil.example/",
    "@evil.example",
    ":80",
    "${ secret.token }",
    "${env:HOME}",
    "{{x}}",
    "<script>",
    "-",
    "~",
    "*",
];

#[tokio::test]
async fn values_stay_data_in_path_query_body_and_form() {
    let peer = peer(Act::Say(response(200, &[], "{}"))).await;
    let setup = setup(SPEC, &format!("{}/base/", peer.url), &[], "");
    for value in HOSTILE {
        peer.requests.lock().clear();
        output(setup.perform("peer", "everything", json!({ "value": value }), TIMEOUT).await);
        let sent = peer.requests.lock()[0].clone();
        let (head, body) = sent.split_once("\r\n\r\n").expect("a head and a body");
        let line = head.lines().next().expect("a line");
        let target = line
            .strip_prefix("PUT ")
            .and_then(|rest| rest.strip_suffix(" HTTP/1.1"))
            .unwrap_or_else(|| panic!("{value:?}: {line}"));
        let (path, query) = target.split_once('?').expect("a query");
        let segments: Vec<String> = path[1..].split('/').map(decoded).collect();
        assert_eq!(segments, ["base", "fixed", value, &format!("x-{value}")], "{target}");
        let query: Vec<(String, String)> = reqwest::Url::parse(&format!("http://h/?{query}"))
            .expect("a query")
            .query_pairs()
            .into_owned()
            .collect();
        let filter = query[1].1.strip_prefix("userName eq ").expect("the filter's own text");
        assert_eq!(serde_json::from_str::<String>(filter).expect("one JSON string"), *value);
        assert_eq!(query[0], ("q".to_owned(), (*value).to_owned()));
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).expect("JSON"), json!({ "value": value }));
        let hosts: Vec<&str> = head.lines().filter(|line| line.to_lowercase().starts_with("host:")).collect();
        assert_eq!(hosts, [format!("host: {}", &peer.url[7..])]);
        assert!(head.contains("idempotency-key: run/step/0/act"), "{head}");

        peer.requests.lock().clear();
        output(setup.perform("peer", "form", json!({ "value": value }), TIMEOUT).await);
        let sent = peer.requests.lock()[0].clone();
        let (head, body) = sent.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
        let form: Vec<(String, String)> = reqwest::Url::parse(&format!("http://h/?{body}"))
            .expect("a form")
            .query_pairs()
            .into_owned()
            .collect();
        assert_eq!(form, [("value".to_owned(), (*value).to_owned()), ("b".to_owned(), "2".to_owned())]);
    }
    assert_eq!(peer.connections.load(Ordering::SeqCst), 1, "one connection carries all of it");
}

/// Percent-decoded, by rules of its own: not by those that encoded it.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            plain.push(u8::from_str_radix(&text[at + 1..at + 3], 16).expect("two digits"));
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(plain).expect("text")
}

#[tokio::test]
async fn a_value_that_cannot_be_sent_as_it_is_is_not_sent() {
    let peer = peer(Act::Say(response(200, &[], "{}"))).await;
    let setup = setup(SPEC, &peer.url, &[], "");
    for (operation, value, code) in [
        ("header", json!("a\r\nx-evil: 1"), "input-unusable"),
        ("header", json!("a\nb"), "input-unusable"),
        ("header", json!("a\0b"), "input-unusable"),
        ("everything", json!(".."), "input-unusable"),
        ("everything", json!("."), "input-unusable"),
        ("everything", json!(""), "input-wrong"),
        ("everything", json!("  "), "input-wrong"),
        ("everything", json!(null), "input-wrong"),
        ("everything", json!(7), "input-wrong"),
        ("everything", json!(["a"]), "input-wrong"),
        ("everything", json!({ "$ne": "" }), "input-wrong"),
    ] {
        let failure = failure(setup.perform("peer", operation, json!({ "value": value }), TIMEOUT).await);
        assert_eq!(failure.code, code, "{operation} {value}: {failure:?}");
        assert!(failure.message.contains("nothing was sent"), "{failure:?}");
    }
    assert_eq!(peer.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn addresses_of_metadata_services_are_refused_in_every_spelling() {
    let spec = || ConnectorSpec::read("test.yaml", SPEC).expect("it reads");
    let mut spellings: Vec<String> = Vec::new();
    // 169.254.169.254 in the forms that the URL standard reads as IPv4.
    for address in [
        [169_u32, 254, 169, 254],
        [169, 254, 170, 2],
        [0, 0, 0, 0],
        [100, 100, 100, 200],
        [168, 63, 129, 16],
        [255, 255, 255, 255],
    ] {
        let [a, b, c, d] = address;
        let whole = (a << 24) | (b << 16) | (c << 8) | d;
        spellings.extend([
            format!("{a}.{b}.{c}.{d}"),
            format!("{a}.{b}.{c}.{d}."),
            format!("{whole}"),
            format!("{whole:#x}"),
            format!("{whole:#X}").replace("0X", "0x"),
            format!("0{whole:o}"),
            format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
            format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            format!("{a}.{b}.{}", (c << 8) | d),
            format!("{a}.{}", (b << 16) | (c << 8) | d),
            format!("{a}.{b:#x}.0{c:o}.{d}"),
            format!("[::ffff:{a}.{b}.{c}.{d}]"),
            format!("[::ffff:{:x}:{:x}]", (a << 8) | b, (c << 8) | d),
            format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
            format!("[2002:{:x}:{:x}::1]", (a << 8) | b, (c << 8) | d),
        ]);
    }
    spellings.extend(
        [
            "[fe80::1]",
            "[FE80::A9FE:A9FE]",
            "[::]",
            "[0:0:0:0:0:0:0:0]",
            "[fd00:ec2::254]",
            "[ff02::1]",
            "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
            "169。254。169。254",
            "%31%36%39.254.169.254",
        ]
        .map(str::to_owned),
    );
    let mut urls: Vec<String> = spellings
        .iter()
        .flat_map(|host| [format!("http://{host}/"), format!("https://{host}:8443/api")])
        .collect();
    urls.extend(
        [
            "http://a@127.0.0.1/",
            "http://127.0.0.1@evil.example/",
            "http://:pw@h/",
            "file:///etc/passwd",
            "ftp://h/",
            "gopher://h/",
            "unix:/var/run/docker.sock",
            "data:,x",
            "//h/",
            "/x",
            "h",
            "",
            "http://",
            "http://h:x/",
            "http://h/?q",
            "http://h/#f",
            "http://[::1",
            "http://h:99999/",
            "javascript:1",
            "smtp://h",
        ]
        .map(str::to_owned),
    );
    assert!(urls.len() >= 150, "{}", urls.len());
    for url in &urls {
        let refused = with_specs([spec()], &[("peer", "", url, &[], "")]).err();
        assert!(refused.is_some(), "{url} was taken");
    }
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let canary = peer(Act::Say(response(200, &[], "{}"))).await;
    for status in [301, 302, 303, 307, 308] {
        let peer = peer(Act::Say(response(status, &[("location", &canary.url)], ""))).await;
        let setup = setup(SPEC, &peer.url, &[], "");
        let failure = failure(setup.perform("peer", "form", json!({ "value": "x" }), TIMEOUT).await);
        assert_eq!(failure.code, "redirected");
        assert!(failure.message.contains(&canary.url), "it says where to: {failure:?}");
    }
    assert_eq!(canary.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn secrets_are_given_as_references_and_exactly_those_that_are_needed() {
    let text = SPEC.replace(
        "title: Echo",
        "title: Echo\nauth: { basic: { user: \"${ secret.user }\", password: \"${ secret.password }\" } }",
    );
    let spec = || ConnectorSpec::read("test.yaml", &text).expect("it reads");
    let tried = |auth: &[&str], secret: &str| {
        with_specs([spec()], &[("peer", "", "http://127.0.0.1:1", auth, secret)]).err()
    };
    assert_eq!(tried(&["user", "password"], "x"), None);
    for (auth, secret, told) in [
        (&["user"] as &[&str], "x", "needs"),
        (&[], "x", "needs"),
        (&["user", "password", "token"], "x", "`token` is given"),
        (&["user", "password"], "", "empty"),
    ] {
        let why = tried(auth, secret).unwrap_or_default();
        assert!(why.contains(told), "{auth:?}: {why}");
    }
}

#[tokio::test]
async fn user_and_password_go_as_basic_authentication() {
    let text = SPEC.replace(
        "title: Echo",
        "title: Echo\nauth: { basic: { user: \"${ secret.user }\", password: \"${ secret.password }\" } }",
    );
    let peer = peer(Act::Echo(400)).await;
    let setup = setup(&text, &peer.url, &["user", "password"], "same-word");
    let failure = failure(setup.perform("peer", "form", json!({ "value": "x" }), TIMEOUT).await);
    // base64("same-word:same-word"), RFC 7617 §2.
    let sent = "Basic c2FtZS13b3JkOnNhbWUtd29yZA==";
    assert!(peer.requests.lock()[0].contains(sent));
    assert!(!failure.message.contains("c2FtZS13b3Jk"), "{failure:?}");
}

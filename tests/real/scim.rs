//! The shipped SCIM connector against `scim2-server`.

use std::time::Duration;

use quell::connector::spec::ConnectorSpec;
use quell::domain::value::Value;
use serde_json::json;

use crate::servers::{Server, free_port, start, tool};
use crate::setup::{Part, Setup, failure, output, shipped, with_specs};

const TIMEOUT: Duration = Duration::from_secs(10);
const TOKEN: &str = "t0ken-of-the-test";

/// What makes users for the test: nothing that Quell ships creates any.
const SEEDER: &str = r#"connector: seeder
title: Seeder
auth: { header: Authorization, value: "Bearer ${ secret.token }" }
proven: real-server
operations:
  create:
    effect: N
    input: { user: { type: string, required: true }, active: { type: boolean, default: true } }
    request:
      method: POST
      path: /Users
      content_type: application/scim+json
      body: { schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"], userName: "${ input.user }", displayName: Somebody, active: "${ input.active }" }
    success: ${ status == 201 }
    output: { id: "${ body.id }" }
"#;

struct Scim {
    _server: Server,
    setup: Setup,
}

async fn scim(users: &[(&str, bool)]) -> Option<Scim> {
    let program = tool("scim2-server")?;
    let port = free_port();
    let server = start(
        &program,
        &["--hostname", "127.0.0.1", "--port", &port.to_string(), "--bearer-token", TOKEN],
        port,
    );
    let url = format!("http://127.0.0.1:{}", server.port);
    let seeder =
        ConnectorSpec::read("seeder.yaml", SEEDER).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let seeder = with_specs([seeder], &[("seeder", "", &url, &["token"], TOKEN)]).expect("it is right");
    for (user, active) in users {
        output(seeder.perform("seeder", "create", json!({ "user": user, "active": active }), TIMEOUT).await);
    }
    Some(Scim { _server: server, setup: shipped(&[("scim", &url, &["token"], TOKEN)]) })
}

impl Scim {
    async fn part(&self, part: Part, user: &str, captured: Option<&Value>) -> Value {
        output(
            self.setup.part(part, "scim", "suspend_user", &json!({ "user": user }), captured, TIMEOUT).await,
        )
    }
}

#[tokio::test]
async fn a_user_is_found_suspended_read_back_and_restored() {
    let user = "jdoe@corp.example";
    let Some(scim) = scim(&[(user, true), ("other@corp.example", true)]).await else {
        return;
    };
    let captured = scim.part(Part::Capture, user, None).await;
    assert_eq!(
        (&captured["already"], &captured["state"]["active"]),
        (&json!(false), &json!(true)),
        "{captured}"
    );
    let held = Some(&captured);
    scim.part(Part::Perform, user, held).await;
    assert_eq!(scim.part(Part::Verify, user, held).await["holds"], true);
    assert_eq!(scim.part(Part::UndoCheck, user, held).await["state"], "as_left");
    let other = scim.part(Part::Capture, "other@corp.example", None).await;
    assert_eq!(other["already"], false, "nobody else was touched");
    // Converges: twice is the same as once.
    scim.part(Part::Perform, user, held).await;
    assert_eq!(scim.part(Part::Capture, user, None).await["already"], true);
    scim.part(Part::Undo, user, held).await;
    assert_eq!(scim.part(Part::UndoVerify, user, held).await["holds"], true);
    assert_eq!(scim.part(Part::UndoCheck, user, held).await["state"], "restored");
}

#[tokio::test]
async fn a_name_that_looks_like_a_filter_is_only_a_name() {
    let strange = [
        "a\"b@corp.example",
        "a\\b@corp.example",
        "x\" or userName pr or userName eq \"y",
        "ü😀@corp.example",
        "a/../b",
        "a%2fb",
    ];
    let users: Vec<(&str, bool)> =
        strange.iter().map(|user| (*user, true)).chain([("jdoe@corp.example", true)]).collect();
    let Some(scim) = scim(&users).await else {
        return;
    };
    for user in strange {
        let found = output(scim.setup.perform("scim", "find_user", json!({ "user": user }), TIMEOUT).await);
        assert_eq!((&found["count"], &found["user"]), (&json!(1), &json!(user)));
    }
    for user in ["nobody@corp.example", "\" or userName pr or userName eq \""] {
        let refused = failure(
            scim.setup
                .part(Part::Capture, "scim", "suspend_user", &json!({ "user": user }), None, TIMEOUT)
                .await,
        );
        assert_eq!(refused.code, "target-not-found", "{refused:?}");
    }
}

#[tokio::test]
async fn an_unknown_id_and_a_wrong_token_are_told_apart() {
    let Some(scim) = scim(&[]).await else { return };
    let unknown =
        failure(scim.setup.perform("scim", "get_user", json!({ "id": "../../Users" }), TIMEOUT).await);
    assert_eq!(unknown.code, "not-found", "{unknown:?}");
    let url = format!("http://127.0.0.1:{}", scim._server.port);
    let setup = shipped(&[("scim", &url, &["token"], "another-token")]);
    let refused = failure(setup.perform("scim", "get_user", json!({ "id": "x" }), TIMEOUT).await);
    assert_eq!(refused.code, "not-allowed", "{refused:?}");
    assert!(!format!("{refused:?}").contains("another-token"));
}

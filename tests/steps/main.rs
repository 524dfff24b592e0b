//! Steps that act, against the practice range: real SCIM, real SMTP.

mod house;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use house::{DANA, House, failed, succeeded};
use quell::domain::command::Phase;
use quell::domain::kept::{FieldState, fields_of, with_leave, with_left};
use quell::domain::outcome::FailureClass;
use quell::domain::playbook::{IfSilent, Posture};
use quell::guard::contained::Contained;
use quell::step::{messages, operations};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_is_captured_verified_and_restored() {
    let house = House::open().await;
    let step = house.contain("scim.suspend_user", json!({ "user": DANA }));
    let captured = succeeded(operations::contain(&step.call(Phase::Capture, None), &house.world).await);
    assert!(captured["target"].as_str().is_some_and(|label| label.contains(DANA)), "{captured}");
    assert_eq!((&captured["already"], &captured["state"]["active"]), (&json!(false), &json!(true)));
    let at = |phase| step.call(phase, Some(&captured));

    let done = operations::contain(&at(Phase::Act), &house.world).await;
    let evidence = house::evidence(&done).expect("the exchange is kept");
    assert_eq!(evidence.source, "scim.suspend_user");
    assert!(done.blobs.iter().all(|(digest, _)| *digest == evidence.sha256));
    succeeded(done);
    assert_eq!(succeeded(operations::contain(&at(Phase::Verify), &house.world).await)["holds"], json!(true));
    let again = succeeded(operations::contain(&step.call(Phase::Capture, None), &house.world).await);
    assert_eq!(again["already"], json!(true), "what is so already is not done again");

    assert_eq!(
        succeeded(operations::contain(&at(Phase::UndoCheck), &house.world).await)["state"],
        json!("as_left")
    );
    succeeded(operations::contain(&at(Phase::Undo), &house.world).await);
    assert_eq!(
        succeeded(operations::contain(&at(Phase::UndoVerify), &house.world).await)["holds"],
        json!(true)
    );
    assert_eq!(
        succeeded(operations::contain(&at(Phase::UndoCheck), &house.world).await)["state"],
        json!("restored")
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_alone_is_written_as_it_is_and_lifting_twice_is_lifting_once() {
    let house = House::open().await;
    let step = house.contain("scim.suspend_user", json!({ "user": DANA }));
    let captured = succeeded(operations::contain(&step.call(Phase::Capture, None), &house.world).await);
    succeeded(operations::contain(&step.call(Phase::Act, Some(&captured)), &house.world).await);
    let seen = succeeded(operations::contain(&step.call(Phase::Verify, Some(&captured)), &house.world).await);
    let left = with_left(&captured, Some(&seen["read"]));
    let check = succeeded(operations::contain(&step.call(Phase::UndoCheck, Some(&left)), &house.world).await);
    let field = &check["fields"][0];
    assert_eq!(
        (&check["state"], &field["name"], &field["state"]),
        (&json!("as_left"), &json!("active"), &json!("as_left"))
    );
    assert_eq!(
        (&field["before"], &field["left"], &field["now"]),
        (&json!(true), &json!(false), &json!(false))
    );

    // Had somebody else changed it since, their value would be written back to them.
    let mut theirs = fields_of(&check);
    theirs[0].state = FieldState::Changed;
    let leaving = with_leave(&captured, &theirs);
    let at = |phase, captured: &Value| step.call(phase, Some(captured));
    succeeded(operations::contain(&at(Phase::Undo, &leaving), &house.world).await);
    assert_eq!(
        succeeded(operations::contain(&at(Phase::UndoVerify, &leaving), &house.world).await)["holds"],
        json!(true)
    );
    assert_eq!(
        succeeded(operations::contain(&at(Phase::Verify, &captured), &house.world).await)["holds"],
        json!(true),
        "still suspended"
    );

    // A crash after the write, and the write again.
    succeeded(operations::contain(&at(Phase::Undo, &captured), &house.world).await);
    succeeded(operations::contain(&at(Phase::Undo, &captured), &house.world).await);
    assert_eq!(
        succeeded(operations::contain(&at(Phase::UndoVerify, &captured), &house.world).await)["holds"],
        json!(true)
    );
    assert_eq!(
        succeeded(operations::contain(&at(Phase::UndoCheck, &left), &house.world).await)["state"],
        json!("restored")
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_touched_when_the_target_is_unknown_protected_or_unlooked_at() {
    let house = House::open().await;
    for (user, code) in [
        ("nobody@meridian.example", "target-not-found"),
        ("breakglass@meridian.example", "target-protected"),
        ("svc-backup@meridian.example", "target-protected"),
    ] {
        let user = house.address_like(user);
        let step = house.contain("scim.suspend_user", json!({ "user": user }));
        let failure = failed(operations::contain(&step.call(Phase::Capture, None), &house.world).await);
        assert_eq!(
            (failure.code.as_str(), failure.class),
            (code, FailureClass::Permanent),
            "{user}: {}",
            failure.message
        );
        assert!(failure.message.contains("nobody was touched"), "{}", failure.message);
        // What was captured elsewhere does not help: it is asked again before the act.
        let forged = json!({ "target": "x", "id": "x", "already": false, "state": {}, "attributes": {} });
        if code == "target-protected" {
            let failure =
                failed(operations::contain(&step.call(Phase::Act, Some(&forged)), &house.world).await);
            assert_eq!(failure.code, code);
        }
    }
    let step = house.contain("scim.suspend_user", json!({ "user": DANA }));
    assert_eq!(
        failed(operations::contain(&step.call(Phase::Act, None), &house.world).await).code,
        "not-captured"
    );
    let step = house.contain("okta.suspend_user", json!({ "user": DANA }));
    assert_eq!(
        failed(operations::contain(&step.call(Phase::Capture, None), &house.world).await).code,
        "connector-unknown"
    );
    assert!(house.lab.writes().is_empty());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_journal_shows_counts_and_the_same_target_counts_once() {
    let house = House::open().await;
    let step = house.contain("scim.suspend_user", json!({ "user": DANA }));
    let others =
        |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    house.shows(Contained { run: others(&["a", "b", "c"]), ..Contained::default() });
    assert_eq!(
        failed(operations::contain(&step.call(Phase::Capture, None), &house.world).await).code,
        "cap-reached"
    );
    house.shows(Contained::default());
    let captured = succeeded(operations::contain(&step.call(Phase::Capture, None), &house.world).await);
    let label = captured["target"].as_str().unwrap_or_default().to_lowercase();
    house.shows(Contained { run: others(&["a", "b", &label]), ..Contained::default() });
    succeeded(operations::contain(&step.call(Phase::Act, Some(&captured)), &house.world).await);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_person_asked_gets_a_link_of_their_own() {
    let house = House::open().await;
    let step = house.ask(json!({ "who": ["group:leads", "lee@example.com"], "with": null, "text": "Was {{alert.title}} expected?" }));
    let output = succeeded(messages::ask(&step.call(Phase::Act, None), &house.world).await);
    assert_eq!(output["asked"], json!(["ana@example.com", "sam@example.com", "lee@example.com"]));
    assert_eq!(output["text"], json!("Was Copied <b>files</b> expected?"));
    let mails = house.mails(3).await;
    for (index, mail) in mails.iter().enumerate() {
        assert_eq!((mail.to.len(), mail.subject.as_str()), (1, "A question from the security team"));
        let token =
            mail.text.split("/q/").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a link");
        let (_, person) = house.world.links.open(token).expect("it is ours");
        assert_eq!(usize::from(person), index);
        assert_eq!(output["asked"][index], json!(mail.to[0]), "the link belongs to whom it was sent");
        assert!(
            mail.html.as_deref().is_some_and(|html| !html.contains("<b>files")),
            "the alert's text is data"
        );
    }
    assert_eq!(mails.iter().map(|mail| mail.message_id.clone()).collect::<BTreeSet<_>>().len(), 3);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_person_it_is_about_learns_nothing() {
    let mut house = House::open().await;
    house.posture = Posture::Covert;
    for (input, ask) in [
        (json!({ "who": [DANA], "text": "?" }), true),
        (json!({ "to": ["ana@example.com", DANA.to_uppercase()], "text": "!" }), false),
    ] {
        let step = if ask { house.ask(input) } else { house.notify(input) };
        let call = step.call(Phase::Act, None);
        let done = if ask {
            messages::ask(&call, &house.world).await
        } else {
            messages::notify(&call, &house.world).await
        };
        assert_eq!(failed(done).code, "asks-subject");
    }
    // A group that they are in loses them.
    let step = house.notify(json!({ "to": ["group:all"], "text": "!" }));
    let told = succeeded(messages::notify(&step.call(Phase::Act, None), &house.world).await);
    assert_eq!(told["sent_to"], json!(["sam@example.com"]));
    // An approver can be the subject: the others are told, this one is not.
    let step = house.contain("scim.suspend_user", json!({ "user": DANA }));
    let approval = house.approval(&["group:leads", DANA], false);
    let told = succeeded(messages::announce(&step.announcing(&approval), &house.world).await);
    assert_eq!(told["sent_to"], json!(["ana@example.com", "sam@example.com"]));
    let approval = house.approval(&[DANA], false);
    assert_eq!(
        failed(messages::announce(&step.announcing(&approval), &house.world).await).code,
        "nobody-to-ask"
    );
    assert!(house.mails(1).await.iter().all(|mail| !mail.to.contains(&DANA.to_owned())));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_world_wrote_is_no_link_in_a_mail() {
    let house = House::open().await;
    let with = json!({ "file": "https://evil.example/login", "to": "drive.evil.example" });
    let text = "{{with.file}} went to {{with.to}}; see https://wiki.example/leavers";
    let step = house.notify(json!({ "to": ["ana@example.com"], "with": with, "text": text, "subject": "About https://evil.example" }));
    succeeded(messages::notify(&step.call(Phase::Act, None), &house.world).await);
    let mails = house.mails(1).await;
    assert_eq!(mails[0].subject, "About hxxps://evil[.]example");
    let wanted =
        "hxxps://evil[.]example/login went to drive[.]evil[.]example; see https://wiki.example/leavers";
    assert_eq!(mails[0].text.trim(), wanted, "the author's own link stays");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_of_one_step_are_never_taken_for_one_another() {
    let house = House::open().await;
    let step = house.notify(
        json!({ "to": ["ana@example.com"], "subject": "Case\r\nBcc: all@example.com", "text": "done" }),
    );
    let first = house.approval(&["ana@example.com"], false);
    let again = house.approval(&["ana@example.com"], true);
    assert_eq!(first.if_silent, IfSilent::Escalate);
    succeeded(messages::announce(&step.announcing(&first), &house.world).await);
    succeeded(messages::announce(&step.announcing(&again), &house.world).await);
    let done = messages::notify(&step.call(Phase::Act, None), &house.world).await;
    assert!(house::evidence(&done).is_some_and(|evidence| evidence.source == "mail.send"));
    succeeded(done);
    let mails = house.mails(3).await;
    let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(ids.iter().all(|id| id.contains("@example.com")), "{ids:?}");
    assert_eq!(mails[2].subject, "Case Bcc: all@example.com");
    assert!(mails[0].text.contains("quell approve apr_") && mails[0].text.contains("/approvals/apr_"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_connector_nothing_is_sent_and_the_words_say_what_to_do() {
    let mut house = House::open().await;
    house.world.mail = None;
    let step = house.notify(json!({ "to": ["ana@example.com"], "text": "x" }));
    let failure = failed(messages::notify(&step.call(Phase::Act, None), &house.world).await);
    assert_eq!((failure.code.as_str(), failure.class), ("no-mail", FailureClass::Permanent));
    assert!(failure.message.contains("mail:"));
    for (to, says) in
        [(json!(["group:leadz"]), "did you mean `leads`"), (json!([]), "nobody"), (Value::Null, "nobody")]
    {
        let step = house.notify(json!({ "to": to, "text": "x" }));
        let failure = failed(messages::notify(&step.call(Phase::Act, None), &house.world).await);
        assert!(failure.message.contains(says), "{}", failure.message);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_summary_is_kept_under_a_name_of_its_own_and_sent() {
    let house = House::open().await;
    let input = json!({ "template": "executive", "audience": "managers", "formats": ["html", "markdown"], "to": ["group:leads"] });
    let mut named = BTreeSet::new();
    for id in ["first", "second"] {
        let step = house.report(id, input.clone());
        let output = succeeded(messages::report(&step.call(Phase::Act, None), &house.world).await);
        assert_eq!(output["sent_to"], json!(["ana@example.com", "sam@example.com"]));
        for report in output["reports"].as_array().expect("a list") {
            let kept = house.kept();
            let (_, bytes) = kept.iter().find(|(name, _)| report["file"] == json!(name)).expect("it is kept");
            assert_eq!(
                report["sha256"],
                json!(quell::domain::value::digest(bytes)),
                "the record proves the file"
            );
            named.insert(report["file"].to_string());
        }
    }
    assert_eq!(named.len(), 4, "no report is written over another: {named:?}");
    assert!(
        named
            .iter()
            .all(|name| name.starts_with("\"inc_") && !name.contains(['/', ' ']) && !name.contains("..")),
        "{named:?}"
    );
    let mails = house.mails(2).await;
    assert!(mails[0].subject.starts_with("Summary for inc_") && mails[0].html.is_some());
    let failure = failed(
        messages::report(
            &house.report("x", json!({ "template": "gossip", "formats": ["html"] })).call(Phase::Act, None),
            &house.world,
        )
        .await,
    );
    assert!(failure.message.contains("gossip"), "{}", failure.message);
    house.close().await;
}

//! The shipped mail connector against `aiosmtpd`.

use std::time::Duration;

use serde_json::json;

use crate::servers::{free_port, start, tool};
use crate::setup::{failure, output, shipped};

const TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_mail_is_taken_and_kept_as_it_was_written() {
    let Some(program) = tool("aiosmtpd") else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let port = free_port();
    let mailbox = dir.path().join("mail");
    let address = format!("127.0.0.1:{port}");
    let kept = mailbox.display().to_string();
    let _server = start(&program, &["-n", "-l", &address, "-c", "aiosmtpd.handlers.Mailbox", &kept], port);
    let setup = shipped(&[("smtp", &format!("smtp://{address}"), &[], "")]);
    let mail = json!({
        "to": ["Dana Whitfield <dana@example.com>", "lee@example.com"], "from": "Quell <quell@example.com>", "subject": "Prüfung 🔒",
        "text": "Zeile eins\n.\n..zwei\n", "html": "<p>Zeile</p>", "message_id": "<abc@quell>",
    });
    let sent = output(setup.perform("smtp", "send", mail, TIMEOUT).await);
    assert_eq!(sent["message_id"], "<abc@quell>");

    let files: Vec<_> = std::fs::read_dir(mailbox.join("new"))
        .expect("a mailbox")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(files.len(), 1);
    let bytes = std::fs::read(&files[0]).expect("a mail");
    let mail = mail_parser::MessageParser::default().parse(&bytes).expect("a mail");
    assert_eq!((mail.message_id(), mail.subject()), (Some("abc@quell"), Some("Prüfung 🔒")));
    assert_eq!(
        mail.body_text(0).map(|text| text.replace("\r\n", "\n").trim_end().to_owned()).as_deref(),
        Some("Zeile eins\n.\n..zwei")
    );
    assert_eq!(mail.body_html(0).map(|text| text.trim_end().to_owned()).as_deref(), Some("<p>Zeile</p>"));
    let to: Vec<_> = mail.to().expect("recipients").iter().filter_map(|address| address.address()).collect();
    assert_eq!(to, ["dana@example.com", "lee@example.com"]);

    let nobody = json!({ "to": ["dana"], "from": "quell@example.com", "subject": "s", "text": "t" });
    assert_eq!(failure(setup.perform("smtp", "send", nobody, TIMEOUT).await).code, "mail-wrong");
}

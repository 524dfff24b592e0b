//! What the mail transport writes, and whom it speaks to.

use super::*;
use serde_json::json;

#[test]
fn values_cannot_add_headers_or_recipients() {
    for (to, subject) in [
        ("a@b\r\nRCPT TO:<x@y>", "s"),
        ("a@example.com", "s\r\nBcc: x@y"),
        ("a@example.com", "s\0"),
        ("", "s"),
        ("a@example.com, b@example.com", "s"),
        ("a@example.com>\nBcc: <x@y", "s"),
    ] {
        let input = json!({ "to": [to], "subject": subject, "text": "t", "from": "q@example.com" });
        assert!(message(&input).is_err(), "{to:?} {subject:?}");
    }
    let input = json!({ "to": ["a@example.com"], "subject": "s", "text": "t", "html": "<p>t</p>", "from": "q@example.com", "message_id": "<x@quell>" });
    assert!(
        message(&json!({ "to": ["a@example.com", 5], "subject": "s", "text": "t", "from": "q@example.com" }))
            .is_err()
    );
    assert!(
        message(
            &json!({ "to": vec!["a@example.com"; 101], "subject": "s", "text": "t", "from": "q@example.com" })
        )
        .is_err()
    );
    let written = String::from_utf8(message(&input).expect("it is right").formatted()).expect("it is text");
    assert!(written.contains("Message-ID: <x@quell>") && written.contains("multipart/alternative"));
}
#[test]
fn a_mail_server_elsewhere_is_never_spoken_to_in_the_clear() {
    let none = BTreeMap::new();
    for (address, plain) in [
        ("smtp://127.0.0.1:25", true),
        ("smtp://localhost:25", true),
        ("smtp://[::1]:25", true),
        ("smtp://mail.example", false),
        ("smtps://127.0.0.1", false),
    ] {
        let driver = SmtpDriver::new(address, &none).unwrap_or_else(|why| panic!("{address}: {why}"));
        assert_eq!(matches!(driver.security, Security::Plain), plain, "{address}");
    }
    for address in [
        "http://mail.example",
        "smtp://u:p@mail.example",
        "smtp://mail.example/x",
        "smtp://169.254.169.254",
        "mail.example",
        "smtp://",
    ] {
        assert!(SmtpDriver::new(address, &none).is_err(), "{address}");
    }
    let half = BTreeMap::from([("user".to_owned(), SecretString::from("u".to_owned()))]);
    assert!(SmtpDriver::new("smtps://mail.example", &half).is_err());
}

#[test]
fn a_mail_leaves_in_one_piece_with_its_dots_doubled_and_its_end() {
    for (mail, goes) in [
        ("Subject: x\r\n\r\ntext\r\n", "Subject: x\r\n\r\ntext\r\n\r\n.\r\n"),
        ("a\r\n.\r\n.b\r\nc.\r\n", "a\r\n..\r\n..b\r\nc.\r\n\r\n.\r\n"),
        (".a", "..a\r\n.\r\n"),
    ] {
        assert_eq!(Ended(mail).to_string(), goes, "{mail:?}");
    }
}

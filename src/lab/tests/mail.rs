//! The mail server as a mail client, and a rude one, meet it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Dir, get, lab, send_mail};
use crate::lab::range::Lab;
use crate::lab::smtp::MAIL_BYTES_MAX;

#[tokio::test]
async fn mail_that_was_sent_can_be_read_and_twice_sent_is_there_twice() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let text = "First line\r\n.a line with a dot\r\n..and two\r\nGrüße\r\n";
    for _ in 0..2 {
        send_mail(&lab, &["noor.haddad@example.com", "jo.lindqvist@example.com"], "summary", text).await;
    }
    let list = get(&format!("{}/mail?to=NOOR.haddad@example.com", lab.mail_url), "").await.body;
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    let mail = &list[0];
    assert_eq!((&mail["subject"], &mail["message_id"]), (&"summary".into(), &"summary@test".into()));
    // The client ends a mail that ends in a line with one more.
    let kept = mail["text"].as_str().map(|kept| kept.replace("\r\n", "\n"));
    assert_eq!(kept, Some(text.replace("\r\n", "\n") + "\n"));
    assert_eq!(mail["from"], "quell@example.com");
    assert_ne!(list[0]["id"], list[1]["id"]);
    let one = get(&format!("{}/mail/{}", lab.mail_url, mail["id"].as_str().expect("an id")), "").await;
    assert_eq!((one.status, &one.body["subject"]), (200, &"summary".into()));
    assert_eq!(get(&format!("{}/mail/m-9", lab.mail_url), "").await.status, 404);
    lab.stop().await;
}

/// Sends all of it at once and reads until the server is done.
async fn converse(lab: &Lab, said: &[u8]) -> Vec<String> {
    let mut stream = TcpStream::connect(lab.smtp_addr).await.expect("a connection");
    stream.write_all(said).await.expect("sent");
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.expect("heard");
    heard
        .lines()
        .filter(|line| line.as_bytes().get(3) == Some(&b' '))
        .map(|line| line[..3].to_owned())
        .collect()
}

#[tokio::test]
async fn every_command_gets_its_answer_even_when_all_come_at_once() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    for (said, codes) in [
        (
            "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n",
            "220 250 250 250 354 250 221",
        ),
        ("NOOP\r\nMAIL FROM:<a@b>\r\nQUIT\r\n", "220 250 503 221"),
        ("HELO a\r\nRCPT TO:<c@d>\r\nDATA\r\nQUIT\r\n", "220 250 503 503 221"),
        (
            "HELO a\r\nMAIL FROM:<a@b>\r\nRSET\r\nRCPT TO:<c@d>\r\nFLY\r\nQUIT\r\n",
            "220 250 250 250 503 500 221",
        ),
        (
            "HELO a\r\nMAIL FROM:<a@b> SIZE=9000000\r\nMAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:nobody\r\nQUIT\r\n",
            "220 250 552 250 501 221",
        ),
    ] {
        assert_eq!(converse(&lab, said.as_bytes()).await.join(" "), codes, "{said:?}");
    }
    assert_eq!(lab.mails().len(), 1);
    lab.stop().await;
}

#[tokio::test]
async fn a_mail_ends_only_at_a_whole_line_with_a_dot_and_has_a_size() {
    let dir = Dir::new();
    let lab = lab(&dir).await;
    let envelope = "HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    // A dot after a lone LF does not end the mail (nor start another in it).
    let smuggled = format!("{envelope}Subject: x\r\n\r\none\n.\nMAIL FROM:<evil@b>\r\n.\r\nQUIT\r\n");
    assert_eq!(converse(&lab, smuggled.as_bytes()).await.join(" "), "220 250 250 250 354 250 221");
    assert!(lab.mails()[0].text.contains("MAIL FROM:<evil@b>"));
    // One line as long as the limit, and a byte more.
    let long = format!("{envelope}{}\r\n.\r\nQUIT\r\n", "x".repeat(MAIL_BYTES_MAX - 1));
    assert_eq!(converse(&lab, long.as_bytes()).await.join(" "), "220 250 250 250 354 552 221");
    // Dots are undone where a line starts, however the line was cut into pieces.
    let pieces = format!("{envelope}\r\n{}\r\n..end\r\n.\r\nQUIT\r\n", "y".repeat(8 * 1024 - 1));
    assert_eq!(converse(&lab, pieces.as_bytes()).await.join(" "), "220 250 250 250 354 250 221");
    assert!(lab.mails()[1].text.trim_end().ends_with("y\r\n.end"));
    lab.stop().await;
}

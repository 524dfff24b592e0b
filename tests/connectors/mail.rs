//! A mail is called sent, not sent, or uncertain as it truly is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quell::domain::outcome::FailureClass;
use quell::domain::value::Value;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::setup::{Setup, failure, output, shipped};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A stage of RFC 5321 §3, and what the server says there instead of yes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Greeting,
    Ehlo,
    From,
    Recipient,
    Data,
    Text,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    Says(&'static str),
    Hangs,
    Cuts,
}

struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
    texts: Arc<Mutex<Vec<String>>>,
}

async fn server(trouble: Option<(Stage, Does)>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("smtp://{}", listener.local_addr().expect("an address"));
    let (connections, texts) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (counted, kept) = (Arc::clone(&connections), Arc::clone(&texts));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, trouble, Arc::clone(&kept)));
        }
    });
    Server { url, connections, texts }
}

async fn serve(
    stream: TcpStream,
    trouble: Option<(Stage, Does)>,
    texts: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    say(&mut stream, trouble, Stage::Greeting, "220 lab").await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let word = line.split([' ', '\r', ':']).next().unwrap_or_default().to_uppercase();
        match word.as_str() {
            "EHLO" => say(&mut stream, trouble, Stage::Ehlo, "250 lab").await?,
            "MAIL" => say(&mut stream, trouble, Stage::From, "250 ok").await?,
            "RCPT" => say(&mut stream, trouble, Stage::Recipient, "250 ok").await?,
            "DATA" => {
                say(&mut stream, trouble, Stage::Data, "354 go on").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut text).await.ok()? == 0 {
                        return None;
                    }
                }
                texts.lock().push(text);
                say(&mut stream, trouble, Stage::Text, "250 2.0.0 queued as 17").await?;
            }
            "NOOP" => say(&mut stream, None, Stage::Ehlo, "250 ok").await?,
            _ => say(&mut stream, None, Stage::Ehlo, "221 bye").await?,
        }
    }
}

/// The usual words, or the trouble of this stage. None ends the connection.
async fn say(
    stream: &mut BufReader<TcpStream>,
    trouble: Option<(Stage, Does)>,
    stage: Stage,
    usual: &str,
) -> Option<()> {
    let words = match trouble {
        Some((at, Does::Cuts)) if at == stage => return None,
        Some((at, Does::Hangs)) if at == stage => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return None;
        }
        Some((at, Does::Says(words))) if at == stage => words,
        _ => usual,
    };
    stream.write_all(format!("{words}\r\n").as_bytes()).await.ok()
}

fn setup(server: &Server) -> Setup {
    shipped(&[("smtp", &server.url, &[], "")])
}

fn mail(subject: &str) -> Value {
    json!({
        "to": ["Dana Whitfield <dana@example.com>", "lee@example.com"], "from": "Quell <quell@example.com>", "subject": subject,
        "text": "Grüße\n.\nLine after a dot\n", "html": "<p>Grüße</p>", "message_id": "<k1@quell>", "in_reply_to": "<k0@quell>",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn only_after_the_text_began_may_a_mail_be_uncertain() {
    use FailureClass::{Permanent, Transient, Unknown};
    use Stage::{Data, Ehlo, From, Greeting, Recipient, Text};
    let cases = [
        (Greeting, Does::Says("421 4.3.2 too busy"), Transient),
        (Greeting, Does::Says("554 no"), Permanent),
        (Greeting, Does::Hangs, Transient),
        (Greeting, Does::Cuts, Transient),
        (Greeting, Does::Says("SSH-2.0-OpenSSH"), Transient),
        (Ehlo, Does::Cuts, Transient),
        (From, Does::Says("452 4.2.2 full"), Transient),
        (From, Does::Says("553 5.1.8 no such sender"), Permanent),
        (From, Does::Cuts, Transient),
        (Recipient, Does::Says("450 4.2.0 greylisted"), Transient),
        (Recipient, Does::Says("550 5.1.1 unknown"), Permanent),
        (Recipient, Does::Hangs, Transient),
        (Data, Does::Says("451 4.3.0 later"), Transient),
        (Data, Does::Says("554 5.5.1 no"), Permanent),
        (Data, Does::Cuts, Transient),
        (Text, Does::Says("452 4.3.1 no room"), Transient),
        (Text, Does::Says("554 5.7.1 spam\u{1b}[2J"), Permanent),
        (Text, Does::Cuts, Unknown),
        (Text, Does::Hangs, Unknown),
        (Text, Does::Says("what?"), Unknown),
        // Replies that fit somewhere else.
        (From, Does::Says("354 go on"), Transient),
        (Recipient, Does::Says("354 go on"), Transient),
        (Data, Does::Says("250 ok"), Transient),
        (Data, Does::Says("334 VXNlcm5hbWU6"), Transient),
        (Text, Does::Says("354 go on"), Unknown),
        (Text, Does::Says("334 go on"), Unknown),
        (Text, Does::Says("421 4.3.2 shutting down"), Transient),
    ];
    let mut ready = Vec::new();
    for case in cases {
        let server = server(Some((case.0, case.1))).await;
        ready.push((case, setup(&server), server));
    }
    let calls = ready.iter().map(|((stage, does, class), setup, server)| async move {
        let timeout = if matches!(does, Does::Hangs) { Duration::from_millis(1500) } else { TIMEOUT };
        let began = Instant::now();
        let failure = failure(setup.perform("smtp", "send", mail("Hello"), timeout).await);
        let told = format!("{stage:?} {does:?}: {failure:?}");
        assert_eq!(failure.class, *class, "{told}");
        assert!(began.elapsed() < timeout + Duration::from_millis(1500), "{told}");
        assert!(!failure.message.chars().any(char::is_control), "{told}");
        assert_eq!(server.texts.lock().len(), usize::from(*stage == Text), "{told}");
    });
    futures_util::future::join_all(calls).await;
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written_and_the_connection_is_kept() {
    let server = server(None).await;
    let setup = setup(&server);
    for subject in ["Überprüfung: 1", "2", "3"] {
        let sent = output(setup.perform("smtp", "send", mail(subject), TIMEOUT).await);
        assert_eq!(sent, json!({ "message_id": "<k1@quell>", "response": "250 2.0.0 queued as 17" }));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let texts = server.texts.lock();
    let text = &texts[0];
    for part in [
        "Message-ID: <k1@quell>",
        "In-Reply-To: <k0@quell>",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "dana@example.com",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_was_sent_nothing() {
    let address = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    for url in
        [format!("smtp://{address}"), format!("smtps://{address}"), "smtp://no-such-host.invalid".to_owned()]
    {
        let setup = shipped(&[("smtp", &url, &[], "")]);
        let failure = failure(setup.perform("smtp", "send", mail("Hello"), TIMEOUT).await);
        assert_eq!(
            (failure.class, failure.code.as_str()),
            (FailureClass::Transient, "mail-unreachable"),
            "{url}: {failure:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_speaks_in_the_clear_gets_neither_mail_nor_password() {
    let server = server(None).await;
    // TLS is asked of a server that has none: it sees no mail.
    let url = server.url.replace("smtp:", "smtps:");
    let setup = shipped(&[("smtp", &url, &["user", "password"], "hunter22")]);
    let failure = failure(setup.perform("smtp", "send", mail("Hello"), TIMEOUT).await);
    assert_eq!(failure.class, FailureClass::Transient, "{failure:?}");
    assert!(server.texts.lock().is_empty());
    assert!(!format!("{failure:?}").contains("hunter22"));
}

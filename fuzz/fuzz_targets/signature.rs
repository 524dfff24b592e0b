//! Any headers and body at every kind of door. What is let in must be proven: this
//! signs half of the deliveries itself, changes some of them, and works out on its
//! own whether what arrived still proves its sender.
//!
//! `[door][flags][clock: 2][changes: n x 3][rest]`: the rest is headers and body.
#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use libfuzzer_sys::fuzz_target;
use quell::domain::time::Timestamp;
use quell::intake::signature::{Door, DoorConfig, Encoding, Header, Stamp};
use sha2::Sha256;

const KEYS: [&str; 2] = ["first-secret-of-the-door-0123456789", "second-secret-of-the-door-012345678"];
const PRINT: &str = "5f8e2a1c9b3d4e6f7081a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7";
const NOW: i64 = 1_800_000_000;

/// A door, where its proof and its time stand, and how both are written.
struct Way {
    door: Door,
    proof: &'static str,
    time: Option<&'static str>,
    prefix: &'static str,
    base64: bool,
    sort: Sort,
}

#[derive(Clone, Copy, PartialEq)]
enum Sort {
    Standard,
    /// What stands before the time, and between time and body.
    Signed(&'static str, &'static str),
    Secret,
    Certificate,
}

fn ways() -> Vec<Way> {
    let secrets = || KEYS.map(|key| key.to_owned().into()).into();
    let way = |config, proof, time, prefix, base64, sort| Way {
        door: Door::new(config).expect("a door"),
        proof,
        time,
        prefix,
        base64,
        sort,
    };
    let own = |header: &str, stamp: Option<Stamp>| DoorConfig::HmacSha256 {
        secrets: secrets(),
        header: header.to_owned(),
        prefix: "t1=".to_owned(),
        encoding: Encoding::Base64,
        stamp,
    };
    let stamp = Stamp { header: "x-time".to_owned(), layout: "{timestamp}.{body}".to_owned() };
    let certificate = DoorConfig::Certificate {
        header: "x-cert".to_owned(),
        fingerprints: vec![PRINT.to_owned()],
        subjects: vec!["CN=sensor".to_owned()],
        from: vec!["10.0.0.0/8".to_owned()],
    };
    let okta = DoorConfig::Okta { secrets: secrets(), header: "authorization".to_owned() };
    vec![
        way(
            DoorConfig::StandardWebhooks { secrets: secrets() },
            "webhook-signature",
            Some("webhook-timestamp"),
            "v1,",
            true,
            Sort::Standard,
        ),
        way(
            DoorConfig::Slack { secrets: secrets() },
            "x-slack-signature",
            Some("x-slack-request-timestamp"),
            "v0=",
            false,
            Sort::Signed("v0:", ":"),
        ),
        way(
            DoorConfig::GitHub { secrets: secrets() },
            "x-hub-signature-256",
            None,
            "sha256=",
            false,
            Sort::Signed("", ""),
        ),
        way(own("x-sig", None), "x-sig", None, "t1=", true, Sort::Signed("", "")),
        way(own("x-sig", Some(stamp)), "x-sig", Some("x-time"), "t1=", true, Sort::Signed("", ".")),
        way(DoorConfig::Bearer { secrets: secrets() }, "authorization", None, "Bearer ", false, Sort::Secret),
        way(okta, "authorization", None, "", false, Sort::Secret),
        way(certificate, "x-cert", None, "", false, Sort::Certificate),
    ]
}

static WAYS: LazyLock<Vec<Way>> = LazyLock::new(ways);

fn mac(key: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut signed = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key");
    parts.iter().for_each(|part| signed.update(part));
    signed.finalize().into_bytes().to_vec()
}

type Owned = Vec<(String, Vec<u8>)>;

impl Way {
    fn signature(&self, key: &str, id: &[u8], time: &[u8], body: &[u8]) -> Vec<u8> {
        match self.sort {
            Sort::Standard => mac(key, &[id, b".", time, b".", body]),
            Sort::Signed(before, between) => mac(key, &[before.as_bytes(), time, between.as_bytes(), body]),
            Sort::Secret | Sort::Certificate => Vec::new(),
        }
    }

    /// What a genuine sender shows.
    fn sign(&self, key: &str, time: &str, body: &[u8]) -> Owned {
        let shown = match self.sort {
            Sort::Secret => format!("{}{key}", self.prefix),
            Sort::Certificate => PRINT.to_owned(),
            _ => {
                let time = self.time.map_or("", |_| time);
                let signature = self.signature(key, b"msg_1", time.as_bytes(), body);
                let written = if self.base64 { STANDARD.encode(signature) } else { hex::encode(signature) };
                format!("{}{written}", self.prefix)
            }
        };
        let mut headers = vec![(self.proof.to_owned(), shown.into_bytes())];
        headers.extend(self.time.map(|name| (name.to_owned(), time.as_bytes().to_vec())));
        if self.sort == Sort::Standard {
            headers.push(("webhook-id".to_owned(), b"msg_1".to_vec()));
        }
        headers
    }

    /// Whether these headers prove this body, worked out another way.
    fn proves(&self, headers: &Owned, body: &[u8], peer: IpAddr) -> bool {
        let one = |name: &str| {
            let mut found = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            let value = found.next().map(|(_, value)| value.as_slice());
            value.filter(|_| found.next().is_none()).and_then(|value| std::str::from_utf8(value).ok())
        };
        let Some(shown) = one(self.proof).map(str::trim) else { return false };
        match self.sort {
            Sort::Secret if self.prefix.is_empty() => KEYS.contains(&shown),
            Sort::Secret => {
                let bearer = shown.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("bearer "));
                bearer && KEYS.contains(&shown[7..].trim())
            }
            Sort::Certificate => {
                let plain = shown.replace(':', "").to_ascii_lowercase();
                let inside = matches!(peer, IpAddr::V4(four) if four.octets()[0] == 10);
                inside && (plain == PRINT || shown == "CN=sensor")
            }
            _ => {
                let time = self.time.map_or(Some(""), |name| one(name).map(str::trim));
                let id = if self.sort == Sort::Standard { one("webhook-id").map(str::trim) } else { Some("") };
                let (Some(time), Some(id)) = (time, id) else { return false };
                let right = |key: &&str| {
                    let wanted = self.signature(key, id.as_bytes(), time.as_bytes(), body);
                    shown.split_ascii_whitespace().any(|one| {
                        let written = one.strip_prefix(self.prefix).unwrap_or_default();
                        let bytes = if self.base64 { STANDARD.decode(written).ok() } else { hex::decode(written).ok() };
                        bytes.is_some_and(|bytes| bytes == wanted)
                    })
                };
                let near = |millis: i64| (millis / 1000 - NOW).abs() <= 301;
                let number: Option<i64> = time.parse().ok();
                let timely = self.time.is_none() || number.is_some_and(|n| near(n) || near(n.saturating_mul(1000)));
                timely && KEYS.iter().any(|key| right(&key))
            }
        }
    }
}

/// Any headers: each line is one.
fn any_headers(text: &[u8]) -> Owned {
    let header = |line: &[u8]| {
        let at = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let name = String::from_utf8_lossy(&line[..at]).into_owned();
        (name, line.get(at + 1..).unwrap_or_default().to_vec())
    };
    text.split(|b| *b == b'\n').map(header).collect()
}

/// Changes one byte, drops or repeats a header, or changes the body or the peer.
fn change(headers: &mut Owned, body: &mut Vec<u8>, peer: &mut IpAddr, [what, at, with]: [u8; 3]) {
    let at = usize::from(at);
    let count = headers.len();
    match what % 6 {
        _ if count == 0 => {}
        0 => {
            let value = &mut headers[at % count].1;
            if !value.is_empty() {
                let place = usize::from(with) % value.len();
                value[place] ^= 1 << (at % 8);
            }
        }
        1 => drop(headers.remove(at % count)),
        2 => headers.push(headers[at % count].clone()),
        3 => headers[at % count].1.truncate(usize::from(with)),
        4 if !body.is_empty() => {
            let place = at % body.len();
            body[place] = with;
        }
        4 => body.push(with),
        _ => *peer = IpAddr::from([with, 0, 0, 1]),
    }
}

fuzz_target!(|data: &[u8]| {
    let [way, flags, ahead, behind, rest @ ..] = data else { return };
    let way = &WAYS[usize::from(*way) % WAYS.len()];
    let time = (NOW + i64::from(*ahead) * 3 - i64::from(*behind) * 3).to_string();
    let mut peer = IpAddr::from([10, 0, 0, 1]);
    let changes = usize::from(flags >> 5).min(rest.len() / 3);
    let (said, rest) = rest.split_at(changes * 3);
    let (mut headers, mut body);
    if flags & 1 == 0 {
        let middle = rest.windows(2).position(|two| two == b"\n\n").unwrap_or(rest.len());
        headers = any_headers(&rest[..middle]);
        body = rest.get(middle + 2..).unwrap_or_default().to_vec();
    } else {
        body = rest.to_vec();
        headers = way.sign(KEYS[usize::from(flags >> 1 & 1)], &time, &body);
    }
    for one in said.chunks_exact(3) {
        change(&mut headers, &mut body, &mut peer, [one[0], one[1], one[2]]);
    }
    let listed: Vec<Header<'_>> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let now = Timestamp::from_millis(NOW * 1000);
    let judged = way.door.verify(&listed, &body, Some(peer), now);
    if judged.is_ok() {
        assert!(way.proves(&headers, &body, peer), "let in without proof");
        let _ = way.door.slack_asks(&body);
    }
    if let Ok(Some(value)) = way.door.okta_asks(&listed) {
        assert!(value.len() <= 256 && value.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'"'));
    }
    let near = (i64::from(*ahead) - i64::from(*behind)).abs() * 3 <= 300;
    if flags & 1 == 1 && changes == 0 && (near || way.time.is_none()) {
        assert!(judged.is_ok(), "rightly signed and refused: {judged:?}");
    }
});

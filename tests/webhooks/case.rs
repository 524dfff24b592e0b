//! A case of the corpus: how a delivery is made, and what must come back.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

use crate::house::{FINGERPRINT, SECRETS};
use crate::wire::{Framing, Request};

/// A file of the corpus.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub cases: Vec<Case>,
}

/// One case for each door that it names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is wrong with it, in words.
    pub case: String,
    /// The sources that it goes to.
    #[serde(default)]
    pub to: Vec<String>,
    /// Where it goes instead.
    pub path: Option<String>,
    #[serde(default = "post")]
    pub method: String,
    /// The body that is signed: text, bytes in hex, or a text many times over.
    pub body: Option<String>,
    pub hex: Option<String>,
    pub many: Option<Many>,
    /// The body that is sent in its place.
    pub sends: Option<String>,
    /// By which secret it is signed: `first`, `second`, `other`, or not: `never`.
    #[serde(default = "first")]
    pub signed: String,
    /// The door as whose delivery it is signed.
    pub like: Option<String>,
    /// Seconds since it was signed, and since when it says so.
    #[serde(default)]
    pub age: i64,
    pub says_age: Option<i64>,
    /// The delivery's id.
    pub id: Option<String>,
    /// Headers in place of what would be sent; `$PROOF`, `$TIME` and `$ID` are the
    /// door's own, in names and in values. `hex:` starts bytes.
    #[serde(default)]
    pub set: BTreeMap<String, Vec<String>>,
    /// Characters cut off the end of the proof, and text put there.
    #[serde(default)]
    pub cut: usize,
    #[serde(default)]
    pub add: String,
    /// Whether one character in the middle of the proof is another.
    #[serde(default)]
    pub flip: bool,
    /// Whether the proof is in capitals.
    #[serde(default)]
    pub upper: bool,
    pub framing: Option<String>,
    pub said: Option<u64>,
    /// The address that it comes from.
    pub from: Option<String>,
    /// What must come back.
    pub status: u16,
    #[serde(default)]
    pub code: String,
    /// The whole answer, word by word.
    pub says: Option<String>,
    /// Sent once it was taken: each of them must be known, or refused.
    #[serde(default)]
    pub again: Vec<Case>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Many {
    #[serde(default)]
    pub before: String,
    pub text: String,
    pub times: usize,
    #[serde(default)]
    pub after: String,
}

fn post() -> String {
    "POST".to_owned()
}

fn first() -> String {
    "first".to_owned()
}

/// The headers of a door: the proof, the time, the id.
struct Names {
    proof: &'static str,
    time: &'static str,
    id: &'static str,
}

fn names(door: &str) -> Names {
    let (proof, time) = match door {
        "standard" | "rare" => ("webhook-signature", "webhook-timestamp"),
        "slack" => ("x-slack-signature", "x-slack-request-timestamp"),
        "github" => ("x-hub-signature-256", ""),
        "hmac" => ("x-signature-256", ""),
        "timed" => ("x-acme-signature", "x-acme-time"),
        "key" => ("x-api-key", ""),
        "certificate" => ("x-client-certificate", ""),
        _ => ("authorization", ""),
    };
    Names { proof, time, id: if time == "webhook-timestamp" { "webhook-id" } else { "" } }
}

fn mac(secret: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut signed = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    parts.iter().for_each(|part| signed.update(part));
    signed.finalize().into_bytes().to_vec()
}

/// What a genuine sender shows at this door.
fn proof(door: &str, secret: &str, id: &str, time: &str, body: &[u8]) -> String {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match door {
        "standard" | "rare" => {
            let signed = mac(secret, &[id.as_bytes(), b".", time.as_bytes(), b".", body]);
            format!("v1,{}", STANDARD.encode(signed))
        }
        "slack" => format!("v0={}", hex(mac(secret, &[b"v0:", time.as_bytes(), b":", body]))),
        "github" => format!("sha256={}", hex(mac(secret, &[body]))),
        "hmac" => hex(mac(secret, &[body])),
        "timed" => {
            let signed = mac(secret, &[b"acme.", time.as_bytes(), b".", body]);
            format!("t1={}", STANDARD.encode(signed))
        }
        "key" | "okta" => secret.to_owned(),
        "certificate" if secret == SECRETS[2] => FINGERPRINT.replace("5f", "5e"),
        "certificate" if secret == SECRETS[1] => "CN=sensor,O=Acme".to_owned(),
        "certificate" => FINGERPRINT.to_owned(),
        _ => format!("Bearer {secret}"),
    }
}

impl Case {
    fn signed_body(&self) -> Vec<u8> {
        if let Some(hex) = &self.hex {
            return bytes(hex);
        }
        if let Some(many) = &self.many {
            return format!("{}{}{}", many.before, many.text.repeat(many.times), many.after).into_bytes();
        }
        self.body.clone().unwrap_or_else(|| r#"{"title":"A file left"}"#.to_owned()).into_bytes()
    }

    /// The request to this door, signed at `now`.
    pub fn request(&self, door: &str, now: i64) -> Request {
        let like = self.like.as_deref().unwrap_or(door);
        let names = names(like);
        let signed = self.signed_body();
        let secret = match self.signed.as_str() {
            "second" => SECRETS[1],
            "other" => SECRETS[2],
            _ => SECRETS[0],
        };
        let id = self.id.as_deref().unwrap_or("msg_of_a_case");
        let time = (now - self.age).to_string();
        let mut proof = proof(like, secret, id, &time, &signed);
        let right = proof.clone();
        if self.flip {
            let at = proof.len() / 2;
            let other = if proof.as_bytes()[at] == b'7' { "8" } else { "7" };
            proof.replace_range(at..=at, other);
        }
        if self.upper {
            proof.make_ascii_uppercase();
        }
        proof.truncate(proof.len().saturating_sub(self.cut));
        proof.push_str(&self.add);
        let time = self.says_age.map_or(time, |age| (now - age).to_string());
        let mut headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
        if self.signed != "never" {
            for (name, value) in [(names.proof, &proof), (names.time, &time), (names.id, &id.to_owned())] {
                if !name.is_empty() {
                    headers.push((name.to_owned(), value.clone().into_bytes()));
                }
            }
        }
        let filled = |text: &str| {
            text.replace("$HEADER", names.proof)
                .replace("$PROOF", &right)
                .replace("$TIME", &time)
                .replace("$ID", id)
        };
        for (name, values) in &self.set {
            let name = match name.as_str() {
                "$PROOF" => names.proof,
                "$TIME" => names.time,
                "$ID" => names.id,
                other => other,
            };
            headers.retain(|(known, _)| known != name);
            let value =
                |value: &String| value.strip_prefix("hex:").map_or_else(|| filled(value).into_bytes(), bytes);
            headers.extend(values.iter().map(|text| (name.to_owned(), value(text))));
        }
        let framing = match (self.framing.as_deref(), self.said) {
            (_, Some(said)) => Framing::Said(said),
            (Some("chunked"), _) => Framing::Chunked,
            (Some("endless"), _) => Framing::Endless,
            (Some("stalls"), _) => Framing::Stalls,
            (Some("hangs-up"), _) => Framing::HangsUp,
            (None, _) => Framing::Length,
            (Some(other), _) => panic!("{}: there is no framing {other}", self.case),
        };
        let from = self.from.as_deref().unwrap_or("127.0.0.1");
        let from: std::net::Ipv4Addr = from.parse().expect("an address");
        Request {
            method: self.method.clone(),
            path: self.path.clone().unwrap_or_else(|| format!("/api/v1/alerts/{door}")),
            headers,
            body: self.sends.clone().map_or(signed, String::into_bytes),
            framing,
            from: from.octets(),
        }
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    digits.chunks(2).map(pair).collect()
}

//! `auth:` and `limits:` of a source in the settings.

use secrecy::SecretString;

use crate::connector::secret::{SECRET_MISSING, placeholder, resolve};
use crate::intake::signature::certificate::Network;
use crate::intake::signature::{DoorConfig, Encoding, Stamp};
use crate::service::gate::{BYTES_DEFAULT, DoorLimits};
use crate::yaml::map::MapReader;
use crate::yaml::shape::Field;

/// The ways that `auth:` takes, one of which stands there.
const WAYS: &[&str] =
    &["standard_webhooks", "slack", "github", "okta", "bearer", "api_key", "hmac_sha256", "certificate"];

/// The most that `limits` may ask for, a second and at once.
const OFTEN_MAX: i64 = 1_000_000;

/// `limits:` of a source.
pub fn read_limits(field: Field<'_>) -> DoorLimits {
    let mut limits = DoorLimits::default();
    let Some(map) = field.map() else { return limits };
    if let Some(field) = map.optional("bytes")
        && let Some(bytes) = field.size()
    {
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= BYTES_DEFAULT => limits.bytes = bytes,
            _ => field.mistake("out-of-range", "no delivery may be larger than 1MiB", "write 1MiB or less"),
        }
    }
    let often = |key| {
        let number = map.optional(key).and_then(|field: Field<'_>| field.int(1..=OFTEN_MAX));
        number.and_then(|number| u32::try_from(number).ok())
    };
    limits.per_second = often("per_second").unwrap_or(limits.per_second);
    // Who comes less often than is usual also comes with less at once.
    limits.burst = often("burst").unwrap_or_else(|| limits.burst.min(limits.per_second.saturating_mul(5)));
    if let Some(field) = map.optional("shared") {
        for entry in field.one_or_many() {
            match entry.non_empty().map(Network::read) {
                Some(Ok(network)) => limits.proxies.push(network),
                Some(Err(error)) => entry.mistake(
                    "source-network",
                    error.to_string(),
                    "name the proxies that senders come through",
                ),
                None => {}
            }
        }
    }
    map.finish();
    limits
}

/// `auth:` of a source: one way, with one secret, or two while they rotate.
pub fn read_door(field: Field<'_>) -> Option<DoorConfig> {
    let map = field.map()?;
    map.also_known(WAYS);
    let given: Vec<&str> = WAYS.iter().copied().filter(|way| map.key_place(way).is_some()).collect();
    let &[way] = given.as_slice() else {
        let found = if given.is_empty() { "none".to_owned() } else { given.join(" and ") };
        let message = format!("`auth` takes one way to prove a sender, and has {found}");
        field.mistake("source-auth", message, format!("it takes one of {}", WAYS.join(", ")));
        return None;
    };
    let config = match way {
        "certificate" => map.optional(way).and_then(read_certificate),
        _ => map.optional(way).map(secrets).and_then(|secrets| read_way(way, secrets, &map)),
    };
    map.finish();
    config
}

fn read_way(way: &str, secrets: Vec<SecretString>, map: &MapReader<'_>) -> Option<DoorConfig> {
    let text = |key, default: &str| {
        map.optional(key).and_then(|field: Field<'_>| field.text()).unwrap_or(default).to_owned()
    };
    Some(match way {
        "standard_webhooks" => DoorConfig::StandardWebhooks { secrets },
        "slack" => DoorConfig::Slack { secrets },
        "github" => DoorConfig::GitHub { secrets },
        "okta" => DoorConfig::Okta { secrets, header: text("header", "Authorization") },
        "bearer" => DoorConfig::Bearer { secrets },
        "api_key" => {
            DoorConfig::Header { secrets, header: text("header", "X-Api-Key"), prefix: text("prefix", "") }
        }
        _ => {
            let encoding = map.optional("encoding").and_then(|field| field.one_of(&["hex", "base64"]));
            let stamp = map.optional("timestamp").and_then(|field| field.non_empty());
            let layout = map.optional("signs");
            if let (None, Some(layout)) = (stamp, layout) {
                let message = "`signs` says how a time is signed, and no header with the time is named";
                layout.mistake("source-auth", message, "add `timestamp: X-Timestamp`, or take `signs` out");
                return None;
            }
            let layout = layout.and_then(|field| field.non_empty()).unwrap_or("{timestamp}.{body}");
            DoorConfig::HmacSha256 {
                secrets,
                header: text("header", "X-Signature-256"),
                prefix: text("prefix", ""),
                encoding: if encoding == Some("base64") { Encoding::Base64 } else { Encoding::Hex },
                stamp: stamp.map(|header| Stamp { header: header.to_owned(), layout: layout.to_owned() }),
            }
        }
    })
}

fn read_certificate(field: Field<'_>) -> Option<DoorConfig> {
    let map = field.map()?;
    let texts = |key| -> Vec<String> {
        let found = map.optional(key).and_then(|field: Field<'_>| field.texts());
        found.unwrap_or_default().into_iter().map(str::to_owned).collect()
    };
    let (fingerprints, subjects, from) = (texts("fingerprints"), texts("subjects"), texts("from"));
    let header = map.required("header").and_then(|field| field.non_empty()).map(str::to_owned);
    map.finish();
    Some(DoorConfig::Certificate { header: header?, fingerprints, subjects, from })
}

/// The secrets that references name. One that is not there is a warning, and a
/// placeholder stands for it.
fn secrets(field: Field<'_>) -> Vec<SecretString> {
    let mut found = Vec::new();
    for entry in field.one_or_many() {
        match entry.non_empty().map(resolve) {
            Some(Ok(secret)) => found.push(secret),
            Some(Err(error)) => {
                let help = "secrets are read when the server starts";
                if error.is_missing() {
                    entry.warning(SECRET_MISSING, error.to_string(), help);
                } else {
                    entry.mistake("secret", error.to_string(), help);
                }
                found.push(placeholder());
            }
            None => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::signature::Door;
    use crate::yaml::reader::read_bytes;
    use crate::yaml::shape::Reader;

    /// What comes of `auth:`: a door, or the words of what is wrong.
    fn door(text: &str) -> Result<String, String> {
        let node = read_bytes("quell.yaml", text.as_bytes()).expect("it is YAML");
        let reader = Reader::new("quell.yaml");
        let config = read_door(reader.root("`auth`", &node));
        let told = reader.into_diagnostics();
        if let Some(first) = told.iter().find(|told| told.code != SECRET_MISSING) {
            return Err(format!("{} {}", first.message, first.help.clone().unwrap_or_default()));
        }
        let door = Door::new(config.ok_or("nothing came of it, and nothing was said")?);
        door.map(|door| format!("{door:?}")).map_err(|error| error.to_string())
    }

    #[test]
    fn every_way_is_read() {
        for (text, is) in [
            (r#"{ standard_webhooks: "${env:QUELL_UNSET}" }"#, "Door(standard-webhooks)"),
            (r#"{ slack: ["${env:QUELL_UNSET}", "${env:QUELL_UNSET}"] }"#, "Door(signed)"),
            (r#"{ github: "${env:QUELL_UNSET}" }"#, "Door(signed)"),
            (r#"{ okta: "${env:QUELL_UNSET}", header: X-Okta }"#, "Door(header)"),
            (r#"{ bearer: "${env:QUELL_UNSET}" }"#, "Door(bearer)"),
            (r#"{ api_key: "${env:QUELL_UNSET}", header: X-Key, prefix: "Key " }"#, "Door(header)"),
            (
                r#"{ hmac_sha256: "${env:QUELL_UNSET}", header: X, timestamp: T, signs: "{body}|{timestamp}" }"#,
                "Door(signed)",
            ),
            (r#"{ certificate: { header: X, subjects: CN=a, from: 10.0.0.0/8 } }"#, "Door(certificate)"),
        ] {
            assert_eq!(door(text).as_deref(), Ok(is), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("{}", "has none"),
            (r#"{ bearer: "${env:A}", slack: "${env:A}" }"#, "slack and bearer"),
            (r#"{ beaer: "${env:A}" }"#, "has none"),
            (r#"{ bearer: "${env:A}", header: X }"#, "no key `header`"),
            (r#"{ slack: "${env:A}", prefix: "v1=" }"#, "no key `prefix`"),
            ("{ bearer: 0123456789abcdef }", "must be a reference"),
            ("{ bearer: [] }", "0 secrets are given"),
            (r#"{ hmac_sha256: "${env:A}", signs: "{timestamp}.{body}" }"#, "no header with the time"),
            (r#"{ hmac_sha256: "${env:A}", timestamp: T, signs: "{body}" }"#, "what is signed"),
            (r#"{ hmac_sha256: "${env:A}", header: "X Y" }"#, "cannot be the name of a header"),
            ("{ certificate: { header: X, subjects: CN=a } }", "no proxy is named"),
            ("{ certificate: { header: X, from: 127.0.0.1 } }", "no certificate is let in"),
            ("{ certificate: { header: X, fingerprints: abc, from: 127.0.0.1 } }", "no fingerprint"),
            ("{ certificate: { header: X, subjects: CN=a, from: 0.0.0.0/0 } }", "everybody"),
        ] {
            let wrong = door(text).expect_err("it is wrong");
            assert!(wrong.contains(says), "{text}: `{says}` in {wrong}");
        }
    }

    #[test]
    fn limits_have_defaults_and_an_end() {
        let read = |text: &str| {
            let node = read_bytes("quell.yaml", text.as_bytes()).expect("it is YAML");
            let reader = Reader::new("quell.yaml");
            let limits = read_limits(reader.root("`limits`", &node));
            (limits.bytes, limits.per_second, limits.burst, limits.proxies.len(), reader.has_errors())
        };
        assert_eq!(read("{}"), (1024 * 1024, 20_000, 100_000, 0, false));
        assert_eq!(read("{ bytes: 256KiB, per_second: 200 }"), (256 * 1024, 200, 1000, 0, false));
        assert_eq!(read("{ per_second: 5, burst: 7, shared: [10.0.0.0/8] }"), (1024 * 1024, 5, 7, 1, false));
        for wrong in [
            "{ bytes: 2MiB }",
            "{ per_second: 0 }",
            "{ burst: -1 }",
            "{ shared: 0.0.0.0/0 }",
            "{ byts: 1KiB }",
        ] {
            assert!(read(wrong).4, "{wrong}");
        }
    }
}

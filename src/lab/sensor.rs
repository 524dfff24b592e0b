//! The data-loss sensor: one alert, in the field names that Proofpoint
//! Insider Threat Management sends, and its delivery as a signed webhook
//! (Standard Webhooks 1.0). All values are invented.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{SecondsFormat, Utc};
use hmac::{Hmac, Mac};
use reqwest::Client;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::lab::chance::Chance;
use crate::lab::systems::laptop_of;
use crate::lab::world::World;

/// How long the sensor tries while the receiver is not there.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two tries.
pub const PAUSE: Duration = Duration::from_secs(1);
/// How long one request may take.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(15);
/// Characters of a refusal that are repeated in the error.
const REFUSAL_CHARS_MAX: usize = 500;

/// Mail address of the person the alert is about.
pub const SUBJECT: &str = "dana.whitfield@example.com";

/// Why an alert was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the webhook secret is not base64 after whsec_; take it from the receiver's settings")]
    Secret,
    #[error("{url} did not answer: {source}; is the receiver running?")]
    NotReached { url: String, source: reqwest::Error },
    #[error("{url} refused the alert with {status}: {body}")]
    Refused { url: String, status: u16, body: String },
}

/// The departing engineer copies a ledger export to a cloud drive of her own.
/// One world always raises the same alert, observed now.
pub fn alert(world: &World) -> Value {
    let state = world.state();
    let mut chance = Chance::new(state.seed, &format!("alert {}", state.started_at.to_rfc3339()));
    let (id, endpoint, session, collector) = (chance.uuid(), chance.uuid(), chance.uuid(), chance.uuid());
    // As large as the vendor's: below 2^40, so exact in every JSON reader.
    let activity = chance.below(1 << 40);
    let now = world.now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let (login, host) =
        world.person_at(SUBJECT).map(|dana| (dana.email.clone(), laptop_of(dana))).unwrap_or_default();
    let upper = str::to_uppercase;
    json!({
        "_time": now,
        "id": upper(&id),
        "createdAt": now,
        "observedAt": now,
        "userActivityObservedAt": now,
        "userActivityEventId": activity,
        "sessionId": upper(&session),
        "sessionUrl": format!("https://itm.example.com/sessions/{session}"),
        "playbackUrl": format!("https://itm.example.com/playback/{session}"),
        "eventPlaybackUrl": format!("https://itm.example.com/playback/{session}?event={activity}"),
        "collectorId": upper(&collector),
        "collectorUrl": "https://collector.itm.example.com/",
        "risingValue": now,
        "detailsUrl": format!("https://itm.example.com/alerts/{id}"),
        "ruleName": "Bulk export of payment records to personal cloud storage",
        "ruleDesc": "A file with payment records left a managed device for a cloud drive that the company does not run",
        "ruleCategoryName": "Data Exfiltration",
        "severity": "Critical",
        "operationKind": "Upload",
        "details": "1 archive of 48,211 ledger rows uploaded by browser to a personal drive",
        "loginName": login,
        "domainName": "example.com",
        "secondaryLoginName": "n/a",
        "secondaryDomainName": "n/a",
        "endpointId": upper(&endpoint),
        "endpointName": host,
        "host": format!("{}.example.com", host.to_lowercase()),
        "remoteAddress": format!("203.0.113.{}", 1 + chance.below(254)),
        "remoteHostName": "n/a",
        "os": "Windows",
        "applicationName": "Web browser",
        "processExecutable": "browser.exe",
        "windowTitle": "My files - Upload",
        "accessedSiteName": "Personal cloud drive",
        "accessedUrl": "https://drive.personal-cloud.example/upload",
        "originFileName": "ledger-export-2026-q3.csv.zip",
        "originSiteName": "payments-ledger",
        "targetFileName": "ledger-export-2026-q3.csv.zip",
        "targetSiteName": "drive.personal-cloud.example",
        "timezoneOffset": "0",
    })
}

/// The `webhook-signature` of a body: `v1,` and base64 of the HMAC-SHA256 over
/// `id.timestamp.body`. A `whsec_` secret is base64, any other is its bytes.
pub fn signature(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Result<String, SendError> {
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| SendError::Secret)?,
        None => secret.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| SendError::Secret)?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// Delivers an alert. Tries again while nobody listens or the receiver is in
/// trouble, always under the same `webhook-id`, so that it counts once.
pub async fn send(client: &Client, url: &str, secret: &str, alert: &Value) -> Result<(), SendError> {
    let body = alert.to_string();
    let id = format!("msg_{}", alert["id"].as_str().unwrap_or("unnamed"));
    let started = Instant::now();
    loop {
        // The real time, not the lab's: receivers refuse what was signed long ago.
        let timestamp = Utc::now().timestamp();
        let request = client
            .post(url)
            .timeout(REQUEST_TIME_MAX)
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signature(secret, &id, timestamp, body.as_bytes())?)
            .body(body.clone());
        let late = started.elapsed() >= PATIENCE;
        match request.send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => {
                let status = response.status();
                if late || !(status.is_server_error() || status.as_u16() == 429) {
                    let body = response.text().await.unwrap_or_default();
                    let body = body.chars().take(REFUSAL_CHARS_MAX).collect();
                    return Err(SendError::Refused { url: url.to_owned(), status: status.as_u16(), body });
                }
            }
            // A request that could not be made at all will not get better.
            Err(source) if late || source.is_builder() => {
                return Err(SendError::NotReached { url: url.to_owned(), source });
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_an_independent_implementation() {
        // The worked example of the Standard Webhooks libraries.
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed.expect("a good secret"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_only_looks_encoded_is_refused() {
        assert!(matches!(signature("whsec_%", "a", 1, b""), Err(SendError::Secret)));
    }
}

//! The body of a delivery: read up to a limit and within a time, or not at all.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt as _;

use crate::service::error::{ServiceError, Sort};
use crate::service::gate::too_large;
use crate::web::problem::Problem;

/// How long a body may take from its first byte to its last. A megabyte needs
/// 100 KB a second; who trickles holds a connection for no longer.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// What a body is said to be long, in bytes.
pub fn said_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The whole body.
///
/// # Errors
/// When it is longer than `most`, breaks off or takes too long. What is left of
/// it is never read: the connection ends with the answer.
pub async fn whole(body: Body, headers: &HeaderMap, most: usize) -> Result<Vec<u8>, Problem> {
    if said_length(headers).is_some_and(|said| said > most as u64) {
        return Err(too_large(most).into());
    }
    match tokio::time::timeout(BODY_TIME_MAX, read(body, most)).await {
        Ok(read) => read.map_err(Problem::from),
        Err(_) => Err(Problem::new(
            Sort::TooSlow,
            "body-slow",
            "the delivery did not come to its end within 10 seconds; nothing of it was stored. Send it again",
        )),
    }
}

async fn read(body: Body, most: usize) -> Result<Vec<u8>, ServiceError> {
    let mut stream = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| {
            ServiceError::new(
                Sort::Wrong,
                "body-unread",
                "the delivery broke off before its end; nothing of it was stored. Send it again",
            )
        })?;
        if whole.len() + chunk.len() > most {
            return Err(too_large(most));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

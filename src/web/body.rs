//! The body of a delivery: read up to a limit and within a time, or not at all.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::service::error::{ServiceError, Sort};
use crate::service::gate::too_large;
use crate::web::problem::Problem;

/// How long a body may take from its first byte to its last. A megabyte needs
/// 100 KB a second; who trickles holds a connection for no longer.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes of bodies that are held at the same time while nobody knows who sent them:
/// 64 of the largest.
const UNPROVEN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The room for them; one for all listeners of this process.
pub static UNPROVEN: Semaphore = Semaphore::const_new(UNPROVEN_BYTES_MAX);

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
    in_time(body, headers, most, None).await.map(|(whole, _)| whole)
}

/// The whole body of somebody who has proven nothing yet, and the room that it
/// takes until the second is dropped.
///
/// # Errors
/// As [`whole`], and when there is no room for it.
pub async fn unproven<'a>(
    body: Body,
    headers: &HeaderMap,
    most: usize,
    room: &'a Semaphore,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'a>>), Problem> {
    in_time(body, headers, most, Some(room)).await
}

async fn in_time<'a>(
    body: Body,
    headers: &HeaderMap,
    most: usize,
    room: Option<&'a Semaphore>,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'a>>), Problem> {
    if said_length(headers).is_some_and(|said| said > most as u64) {
        return Err(too_large(most).into());
    }
    match tokio::time::timeout(BODY_TIME_MAX, read(body, most, room)).await {
        Ok(read) => read.map_err(Problem::from),
        Err(_) => Err(Problem::new(
            Sort::TooSlow,
            "body-slow",
            "the delivery did not come to its end within 10 seconds; nothing of it was stored. Send it again",
        )),
    }
}

async fn read<'a>(
    body: Body,
    most: usize,
    room: Option<&'a Semaphore>,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'a>>), ServiceError> {
    let mut stream = body.into_data_stream();
    let mut whole = Vec::new();
    let mut held: Option<SemaphorePermit<'a>> = None;
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
        if let Some(room) = room {
            // Whoever waited for room would keep what it has of it from the others.
            let bytes = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            let more = room.try_acquire_many(bytes).map_err(|_| no_room())?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
        }
        whole.extend_from_slice(&chunk);
    }
    Ok((whole, held))
}

fn no_room() -> ServiceError {
    ServiceError::new(
        Sort::Busy,
        "bodies-full",
        "too many deliveries come at once whose senders are not proven yet; nothing of this one was stored. Send it again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_of_the_unproven_have_room_up_to_a_bound_and_give_it_back() {
        let room = Semaphore::new(10);
        let headers = HeaderMap::new();
        let read = |body: &'static str| unproven(Body::from(body), &headers, 100, &room);
        let (body, first) = read("eight...").await.unwrap_or_else(|_| panic!("there is room"));
        assert_eq!((body, room.available_permits()), (b"eight...".to_vec(), 2));
        let refused = read("three").await.map(drop).expect_err("there is none");
        assert_eq!((refused.0.sort, refused.0.code.as_str()), (Sort::Busy, "bodies-full"));
        assert!(read("ab").await.is_ok());
        drop(first);
        assert_eq!(room.available_permits(), 10);
        assert!(read("0123456789").await.is_ok());
        assert!(whole(Body::from("more than there is"), &headers, 100).await.is_ok());
    }

    #[tokio::test]
    async fn what_breaks_off_gives_its_room_back() {
        let room = Semaphore::new(100);
        let chunks = [Ok("begun"), Err(std::io::Error::other("it broke off"))];
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        assert!(unproven(body, &HeaderMap::new(), 100, &room).await.is_err());
        assert_eq!(room.available_permits(), 100);
    }
}

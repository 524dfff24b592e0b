//! Bodies: read up to a limit and within a time, or not at all.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Sleep, sleep};

use crate::service::error::{ServiceError, Sort};
use crate::service::gate::too_large;
use crate::web::problem::Problem;

/// How long a body may take from the end of its head to its own. A megabyte needs
/// 100 KB a second; who trickles holds a connection for no longer.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// The largest body of a call: an alert may be 1 MiB, and nothing else is larger.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The largest form of a page: some fields of 2,000 characters. Who sends it has
/// proven nothing yet.
pub const FORM_BYTES_MAX: usize = 64 * 1024;

/// Bytes of bodies that are held at the same time while nobody knows who sent them:
/// 64 of the largest.
const UNPROVEN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The room for them; one for all listeners of this process.
pub static UNPROVEN: Semaphore = Semaphore::const_new(UNPROVEN_BYTES_MAX);

/// Bytes of all other bodies that are held at the same time.
const KNOWN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The room for them.
pub static KNOWN: Semaphore = Semaphore::const_new(KNOWN_BYTES_MAX);

/// What a body is said to be long, in bytes.
pub fn said_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that ends with an error when its time is over.
pub struct BodyInTime {
    body: Body,
    over: Pin<Box<Sleep>>,
}

/// The body, which must come to its end within so long from now.
pub fn in_time(body: Body, most: Duration) -> BodyInTime {
    BodyInTime { body, over: Box::pin(sleep(most)) }
}

#[derive(Debug, thiserror::Error)]
#[error("the body did not come to its end in time")]
struct BodyTooSlow;

impl HttpBody for BodyInTime {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        self.over.as_mut().poll(context).map(|()| Some(Err(axum::Error::new(BodyTooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a body ended because its time was over.
fn is_too_slow(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<BodyTooSlow>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The whole body of a call, and the room that it takes until the second is dropped.
///
/// # Errors
/// When it is longer than `most`, breaks off, takes too long, or there is no room for
/// it. What is left of it is never read: the connection ends with the answer.
pub async fn within<'a>(
    body: Body,
    headers: &HeaderMap,
    most: usize,
    room: &'a Semaphore,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'a>>), Problem> {
    let too_large = || {
        let most = if most == BODY_BYTES_MAX { "1 MiB".to_owned() } else { format!("{most} bytes") };
        let message = format!("the body is larger than {most}; nothing was done");
        ServiceError::new(Sort::TooLarge, "body-too-large", message)
    };
    Ok(read(body, headers, (most, &too_large), Some(room)).await?)
}

/// The whole body of a delivery.
///
/// # Errors
/// As [`within`].
pub async fn whole(body: Body, headers: &HeaderMap, most: usize) -> Result<Vec<u8>, Problem> {
    Ok(read(body, headers, (most, &|| too_large(most)), None).await?.0)
}

/// The whole body of a delivery of somebody who has proven nothing yet, and the room
/// that it takes until the second is dropped.
///
/// # Errors
/// As [`within`].
pub async fn unproven<'a>(
    body: Body,
    headers: &HeaderMap,
    most: usize,
    room: &'a Semaphore,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'a>>), Problem> {
    Ok(read(body, headers, (most, &|| too_large(most)), Some(room)).await?)
}

async fn read<'a>(
    body: Body,
    headers: &HeaderMap,
    (most, too_large): (usize, &(dyn Fn() -> ServiceError + Sync)),
    room: Option<&'a Semaphore>,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'a>>), ServiceError> {
    if said_length(headers).is_some_and(|said| said > most as u64) {
        return Err(too_large());
    }
    let mut stream = body.into_data_stream();
    let mut whole = Vec::new();
    let mut held: Option<SemaphorePermit<'a>> = None;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| unread(&error))?;
        if whole.len() + chunk.len() > most {
            return Err(too_large());
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

fn unread(error: &axum::Error) -> ServiceError {
    if is_too_slow(error) {
        return ServiceError::new(
            Sort::TooSlow,
            "body-slow",
            "the body did not come to its end within 10 seconds; nothing was done. Send it again",
        );
    }
    ServiceError::new(
        Sort::Malformed,
        "body-unread",
        "the body broke off before its end; nothing was done. Send it again",
    )
}

fn no_room() -> ServiceError {
    ServiceError::new(
        Sort::Busy,
        "bodies-full",
        "too many bodies come at once; nothing of this one was kept. Send it again",
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

    #[tokio::test]
    async fn a_body_that_trickles_ends_when_its_time_is_over() {
        let bytes = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, std::io::Error>("x"), ()))
        });
        let body = Body::new(in_time(Body::from_stream(bytes), Duration::from_millis(100)));
        let refused = within(body, &HeaderMap::new(), BODY_BYTES_MAX, &KNOWN)
            .await
            .map(drop)
            .expect_err("it never ends");
        assert_eq!((refused.0.sort, refused.0.code.as_str()), (Sort::TooSlow, "body-slow"));
    }
}

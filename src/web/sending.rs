//! A connection whose other side must go on reading: who takes nothing of an answer
//! for a while is cut off.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection, and since when its other side has taken nothing.
pub struct SendingStream<T> {
    stream: T,
    most: Duration,
    until: Option<Pin<Box<Sleep>>>,
}

impl<T> SendingStream<T> {
    /// A connection whose other side may take nothing for at most so long.
    pub fn new(stream: T, most: Duration) -> Self {
        Self { stream, most, until: None }
    }

    /// An attempt to write, as it went; an error when none went on for too long.
    fn judged<R>(&mut self, tried: Poll<io::Result<R>>, context: &mut Context<'_>) -> Poll<io::Result<R>> {
        if tried.is_ready() {
            self.until = None;
            return tried;
        }
        let most = self.most;
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(most)));
        match until.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for SendingStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for SendingStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judged(tried, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.judged(tried, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_is_cut_off_and_who_takes_it_slowly_is_not() {
        let (near, mut far) = duplex(16);
        let most = Duration::from_millis(500);
        let slow = tokio::spawn(async move { SendingStream::new(near, most).write_all(&[7; 160]).await });
        let mut taken = [0; 16];
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            far.read_exact(&mut taken).await.expect("it goes on");
        }
        assert!(slow.await.expect("it ends").is_ok());

        let (near, _far) = duplex(16);
        let ended = SendingStream::new(near, most).write_all(&[7; 160]).await;
        assert_eq!(ended.expect_err("nobody takes it").kind(), io::ErrorKind::TimedOut);
    }
}

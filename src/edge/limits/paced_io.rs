//! A socket whose other side must take what is written: one that reads nothing, or a byte now and then, would hold what waits
//! to be sent to it for ever. It lies below TLS, which takes 64 KiB in before the first of them leaves.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    alarm::Alarm,
    pace::{Moved, Pace},
};

/// What a client must take of what waits for it in each span, unless that is all.
const LEAST_TAKEN: usize = 32 * 1024;

/// A stream whose writes fail when its other side does not take them.
#[derive(Debug)]
pub(in crate::edge) struct PacedIo<S> {
    stream: S,
    pace: Pace,
    /// Rings when the other side is too late.
    alarm: Alarm,
}

impl<S> PacedIo<S> {
    /// `stream`, whose other side must take what is written within `span`.
    pub(in crate::edge) fn new(stream: S, span: Duration) -> Self {
        Self { stream, pace: Pace::new(LEAST_TAKEN, span), alarm: Alarm::default() }
    }

    /// Notes what a write came to, of `len` bytes; fails where it has waited for too long.
    fn watch(
        &mut self,
        written: Poll<io::Result<usize>>,
        len: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = written {
            if let Ok(count) = result {
                self.pace.moved(count, if count == len { Moved::All } else { Moved::Part });
            }
            return Poll::Ready(result);
        }
        let late = self.pace.waits(Instant::now());
        self.alarm.poll(late, context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(written, bytes.len(), context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(written, len, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // A socket holds nothing back.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

//! A connection's bytes, with a client that must take them: one that reads nothing, or a byte now and then, would hold what
//! waits to be sent to it for ever.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    alarm::Alarm,
    framing::Framing,
    pace::{Moved, Pace},
};

/// What a client must take of what waits for it in each span, unless that is all.
const LEAST_TAKEN: usize = 32 * 1024;

/// A stream whose writes fail when its other side does not take them.
#[derive(Debug)]
pub(in crate::edge) struct WatchedIo<S> {
    stream: S,
    pace: Pace,
    /// Rings when the other side is too late.
    alarm: Alarm,
    framing: Framing,
    /// Bytes that were written, for whoever wants to know whether they still are.
    written: Arc<AtomicU64>,
}

impl<S> WatchedIo<S> {
    /// `stream`, whose other side must take what is written within `span`; counts in `written`.
    pub(in crate::edge) fn new(stream: S, span: Duration, framing: Framing, written: Arc<AtomicU64>) -> Self {
        Self { stream, pace: Pace::new(LEAST_TAKEN, span), alarm: Alarm::default(), framing, written }
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
                self.written.fetch_add(count as u64, Ordering::Relaxed);
                self.pace.moved(count, if count == len { Moved::All } else { Moved::Part });
            }
            return Poll::Ready(result);
        }
        let late = self.pace.waits(Instant::now());
        self.alarm.poll(late, context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.framing.read(&buffer.filled()[before..]);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedIo<S> {
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

    // What TLS holds back waits like anything else that is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context).map_ok(|()| 0);
        self.watch(flushed, usize::MAX, context).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(context).map_ok(|()| 0);
        self.watch(closed, usize::MAX, context).map_ok(|_| ())
    }
}

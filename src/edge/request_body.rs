//! A request's body on its way in. Of one whose length is known the first part is read before the origin is asked, so that a
//! client that sends it drop by drop takes no place there; of any other the first bytes, for it may be one side of a
//! conversation. It must go on coming.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures_util::future::poll_fn;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::limits::{
    alarm::Alarm,
    pace::{Moved, Pace},
};
use crate::coalesce::budget::{Budget, Reserved};

/// How much is read before the origin is asked.
const AHEAD_BYTES: usize = 64 * 1024;

/// What must come in each span of waiting, unless it is the end.
const LEAST_BYTES: usize = 16 * 1024;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Too little of it came.
    #[error("the request's body came too slowly (edge.body_timeout)")]
    TooSlow,
    /// The whole request took too long.
    #[error("the request took too long (edge.request_timeout)")]
    TooLong,
    /// The connection ended, or what came is no body.
    #[error("the request's body broke off: {0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

type Incoming = Pin<Box<dyn Body<Data = Bytes, Error = UploadError> + Send + Sync>>;

/// A body that a client sends.
pub struct Upload {
    incoming: Incoming,
    pace: Pace,
    /// Rings when the client is too late.
    alarm: Alarm,
    /// When the whole request must be through.
    until: Instant,
    /// What came before the origin was asked.
    ahead: BytesMut,
    trailers: Option<HeaderMap>,
    memory: Option<Reserved>,
    is_late: Happened,
    is_broken: Happened,
}

/// Whether something befell a body, for who waits for what it was sent for.
#[derive(Debug, Clone, Default)]
pub(super) struct Happened(Arc<AtomicBool>);

impl Happened {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Upload {
    /// `incoming`, of which something must come in each `span`, and all of it, and of its response, `until` then.
    #[must_use]
    pub fn new<B>(incoming: B, span: Duration, until: Instant) -> Self
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self {
            incoming: Box::pin(incoming.map_err(|error| UploadError::Broken(error.into()))),
            pace: Pace::new(LEAST_BYTES, span),
            alarm: Alarm::default(),
            until,
            ahead: BytesMut::new(),
            trailers: None,
            memory: None,
            is_late: Happened::default(),
            is_broken: Happened::default(),
        }
    }

    /// Whether it comes too slowly.
    pub(super) fn late(&self) -> Happened {
        self.is_late.clone()
    }

    /// Whether it breaks off, or what comes is no body.
    pub(super) fn broken(&self) -> Happened {
        self.is_broken.clone()
    }

    /// Reads the first part, or all of it if it is short, and of a body of unknown length what comes first. Where `site` may
    /// have no more of `memory`, less.
    ///
    /// # Errors
    /// [`UploadError`]
    pub(super) async fn begin(&mut self, memory: &Budget, site: &Arc<str>) -> Result<(), UploadError> {
        self.memory = memory.try_reserve(site, 0);
        let enough = if self.incoming.size_hint().exact().is_some() { AHEAD_BYTES } else { 1 };
        while self.ahead.len() < enough && self.has_memory() {
            let Some(frame) = poll_fn(|context| self.poll_incoming(context)).await else { break };
            match frame?.into_data() {
                Ok(bytes) => self.ahead.extend_from_slice(&bytes),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
        Ok(())
    }

    /// Whether what came so far may be held.
    fn has_memory(&mut self) -> bool {
        self.memory.as_mut().is_some_and(|held| held.try_grow(self.ahead.len() as u64))
    }

    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let now = Instant::now();
        if now >= self.until {
            return Poll::Ready(Some(Err(self.is_over(UploadError::TooLong))));
        }
        if let Poll::Ready(frame) = self.incoming.as_mut().poll_frame(context) {
            let len = frame.iter().flatten().filter_map(Frame::data_ref).map(Bytes::len).sum();
            if matches!(frame, Some(Err(_))) {
                self.is_broken.0.store(true, Ordering::Relaxed);
            }
            self.pace.moved(len, if frame.is_none() { Moved::All } else { Moved::Part });
            return Poll::Ready(frame);
        }
        let late = self.pace.waits(now);
        ready!(self.alarm.poll(late, context));
        Poll::Ready(Some(Err(self.is_over(UploadError::TooSlow))))
    }

    fn is_over(&self, error: UploadError) -> UploadError {
        self.is_late.0.store(true, Ordering::Relaxed);
        error
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if !self.ahead.is_empty() {
            self.memory = None;
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.ahead).freeze()))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        self.poll_incoming(context)
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.trailers.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, ahead) = (self.incoming.size_hint(), self.ahead.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower().saturating_add(ahead));
        if let Some(upper) = left.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream::{self, StreamExt as _};
    use http_body_util::{Full, StreamBody};

    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(20);

    fn later(span: Duration) -> Instant {
        Instant::now() + span
    }

    /// These pieces and then nothing, of a body that says how long it is.
    fn pieces(pieces: Vec<Vec<u8>>) -> Sized {
        Sized(Box::pin(stream::iter(pieces.into_iter().map(Bytes::from)).chain(stream::pending())))
    }

    struct Sized(Pin<Box<dyn stream::Stream<Item = Bytes> + Send + Sync>>);

    impl Body for Sized {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.as_mut().poll_next(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(900_000)
        }
    }

    #[tokio::test]
    async fn a_short_body_is_there_whole_before_it_is_sent_on() {
        let mut upload = Upload::new(Full::new(Bytes::from_static(b"short")), SHORT, later(LONG));
        upload.begin(&Budget::new(1 << 20), &"shop".into()).await.unwrap();
        assert_eq!(upload.size_hint().exact(), Some(5));
        assert!(upload.incoming.is_end_stream());
        assert_eq!(upload.collect().await.unwrap().to_bytes(), "short");
    }

    #[tokio::test]
    async fn of_a_long_one_only_the_beginning() {
        let mut upload = Upload::new(pieces(vec![vec![1; 40_000]; 3]), LONG, later(LONG));
        upload.begin(&Budget::new(1 << 20), &"shop".into()).await.unwrap();
        assert_eq!(upload.ahead.len(), 80_000);
    }

    #[tokio::test]
    async fn without_memory_no_more_is_read_than_came_at_once() {
        let memory = Budget::new(10_000);
        let mut upload = Upload::new(pieces(vec![vec![1; 20_000]; 3]), LONG, later(LONG));
        upload.begin(&memory, &"shop".into()).await.unwrap();
        assert_eq!(upload.ahead.len(), 20_000);
    }

    #[tokio::test]
    async fn what_is_held_is_given_back_when_it_is_sent_on() {
        let memory = Budget::new(100_000);
        let mut upload = Upload::new(pieces(vec![vec![1; 20_000]; 4]), LONG, later(LONG));
        upload.begin(&memory, &"shop".into()).await.unwrap();
        assert!(memory.in_use() >= 60_000, "{}", memory.in_use());
        let frame = upload.frame().await.unwrap().unwrap();
        assert_eq!((frame.into_data().unwrap().len(), memory.in_use()), (80_000, 0));
    }

    #[tokio::test]
    async fn one_that_stands_still_is_given_up() {
        let mut upload = Upload::new(pieces(vec![vec![1; 3]]), SHORT, later(LONG));
        let late = upload.late();
        let result = upload.begin(&Budget::new(1 << 20), &"shop".into()).await;
        assert!(matches!(result, Err(UploadError::TooSlow)) && late.is_set(), "{result:?}");
    }

    #[tokio::test]
    async fn one_that_comes_for_too_long_likewise() {
        let mut upload = Upload::new(pieces(Vec::new()), LONG, Instant::now());
        let result = upload.begin(&Budget::new(1 << 20), &"shop".into()).await;
        assert!(matches!(result, Err(UploadError::TooLong)), "{result:?}");
    }

    #[tokio::test]
    async fn of_one_without_a_length_what_comes_first_is_enough() {
        let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"hello")))]);
        let mut upload = Upload::new(StreamBody::new(first.chain(stream::pending())), LONG, later(LONG));
        upload.begin(&Budget::new(1 << 20), &"shop".into()).await.unwrap();
        assert_eq!(upload.ahead, "hello");
    }

    #[tokio::test]
    async fn drop_by_drop_buys_no_time() {
        let drops = stream::repeat(()).then(|()| tokio::time::sleep(SHORT / 10)).map(|()| Bytes::from_static(b"."));
        let mut upload = Upload::new(Sized(Box::pin(drops)), SHORT, later(LONG));
        let begun =
            tokio::time::timeout(Duration::from_secs(30), upload.begin(&Budget::new(1 << 20), &"shop".into())).await;
        assert!(matches!(begun, Ok(Err(UploadError::TooSlow))), "{begun:?}");
    }
}

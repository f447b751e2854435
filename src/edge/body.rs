//! Response bodies, and what is known when one is through: how many bytes the connection was given. A body is handed over in
//! pieces, and the connection never holds more than 64 KiB of them that it has not taken.

#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use http::{Method, StatusCode, uri::PathAndQuery};
use http_body::{Body, Frame, SizeHint};

use super::{
    piece::{Handover, PIECE_BYTES, Piece},
    sites::Site,
};
use crate::{
    cache::object::{StoredBody, StoredFile},
    coalesce::fill::FillReader,
    develop::variants::Stages,
    meter::SiteMeter,
    origin::{error::FetchError, fetch::OriginResponse},
    telemetry::{
        metrics::Metrics,
        outcome::{Delivered, Outcome},
    },
};

/// How much of a file is read at once. A client that takes none of it holds it in memory.
const READ_BYTES: u64 = PIECE_BYTES as u64;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The origin's did.
    #[error(transparent)]
    Origin(#[from] FetchError),
    /// The disk's did.
    #[error("cannot read the cache: {0}")]
    Disk(#[from] std::io::Error),
    /// Its visitor took it too slowly, or the origin gave it so.
    #[error("the request took too long (edge.request_timeout)")]
    TookTooLong,
}

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// A response's body.
pub struct EdgeBody {
    content: Content,
    /// What is handed over to; none for a body that is no longer than the connection may hold anyway.
    handover: Option<Arc<Handover>>,
    /// When all of it must have been taken.
    until: Option<Instant>,
    sent: u64,
    meter: Option<Arc<SiteMeter>>,
    report: Option<Report>,
}

enum Content {
    Whole(Bytes),
    /// Pieces as they come, the one that came last and is not handed over yet, and what is left where that is known.
    Pieces {
        pieces: Pieces,
        came: Bytes,
        left: Option<u64>,
    },
}

impl EdgeBody {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    /// Bytes in memory.
    #[must_use]
    pub const fn whole(bytes: Bytes) -> Self {
        Self::of(Content::Whole(bytes))
    }

    /// `len` bytes of a stored body from `first` on; they must lie inside it.
    #[must_use]
    pub fn stored(body: &StoredBody, first: u64, len: u64) -> Self {
        match body {
            StoredBody::Whole(bytes) => {
                let from = usize::try_from(first).unwrap_or(usize::MAX).min(bytes.len());
                let to = usize::try_from(first.saturating_add(len)).unwrap_or(usize::MAX).min(bytes.len());
                Self::whole(bytes.slice(from..to))
            }
            StoredBody::File(file) => Self::pieces(file_pieces(Arc::clone(file), first, len), Some(len)),
        }
    }

    /// An original on its way in, of `len` bytes where that is known.
    #[must_use]
    pub fn filling<F, H>(reader: FillReader<F, H>, len: Option<u64>) -> Self
    where
        F: Send + Sync + 'static,
        H: Send + Sync + 'static,
    {
        let pieces = unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            let piece = reader.next().await?;
            let failed = piece.is_err();
            Some((piece.map_err(BodyError::from), (!failed).then_some(reader)))
        });
        Self::pieces(Box::pin(pieces), len)
    }

    /// An origin's response, straight through.
    #[must_use]
    pub fn origin(response: OriginResponse) -> Self {
        let len = response.content_length();
        let pieces = unfold(Some(response), |response| async {
            let mut response = response?;
            let piece = response.chunk().await.transpose()?;
            let failed = piece.is_err();
            Some((piece.map_err(BodyError::from), (!failed).then_some(response)))
        });
        Self::pieces(Box::pin(pieces), len)
    }

    fn pieces(pieces: Pieces, left: Option<u64>) -> Self {
        Self::of(Content::Pieces { pieces, came: Bytes::new(), left })
    }

    const fn of(content: Content) -> Self {
        Self { content, handover: None, until: None, sent: 0, meter: None, report: None }
    }

    /// Counts what the connection takes as a site's egress (`billing.md` rule 1).
    #[must_use]
    pub fn metered(mut self, meter: Option<Arc<SiteMeter>>) -> Self {
        self.meter = meter;
        self
    }

    /// Breaks off then.
    #[must_use]
    pub const fn until(mut self, until: Instant) -> Self {
        self.until = Some(until);
        self
    }

    /// Reports when the body is through, or dropped before.
    #[must_use]
    pub fn reported(mut self, report: Report) -> Self {
        self.report = Some(report);
        self
    }
}

fn file_pieces(file: Arc<StoredFile>, first: u64, len: u64) -> Pieces {
    Box::pin(unfold((file, first, len), |(file, position, left)| async move {
        if left == 0 {
            return None;
        }
        let take = left.min(READ_BYTES);
        let piece = Arc::clone(&file).read(position, take).await.map_err(BodyError::from);
        let left = if piece.is_ok() { left - take } else { 0 };
        Some((piece, (file, position + take, left)))
    }))
}

impl EdgeBody {
    /// Waits until the connection may be given `len` bytes more.
    fn poll_room(&mut self, len: usize, context: &Context<'_>) -> Poll<()> {
        if self.handover.is_none() && !self.content.fits_in_one_piece() {
            self.handover = Some(Arc::default());
        }
        self.handover.as_ref().map_or(Poll::Ready(()), |handover| handover.poll_room(len, context))
    }

    /// What fits in one piece is handed over at once, and needs no look at the clock.
    fn is_too_late(&self) -> bool {
        self.handover.is_some() && self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn hand_over(&mut self, bytes: Bytes) -> Piece {
        self.sent += bytes.len() as u64;
        // The last piece needs nobody to leave the meter to.
        let meter = if self.is_end_stream() { self.meter.take() } else { self.meter.clone() };
        Piece::new(bytes, self.handover.clone(), meter)
    }
}

impl Content {
    /// Waits for something to hand over; how many bytes of it there are, at the most those of a piece. `None` at the end.
    fn poll_some(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<usize, BodyError>>> {
        let some = match self {
            Self::Whole(bytes) => bytes,
            Self::Pieces { pieces, came, .. } => {
                while came.is_empty() {
                    match ready!(pieces.as_mut().poll_next(context)) {
                        None => return Poll::Ready(None),
                        Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                        Some(Ok(piece)) => *came = piece,
                    }
                }
                came
            }
        };
        Poll::Ready((!some.is_empty()).then(|| Ok(some.len().min(PIECE_BYTES))))
    }

    /// Takes `len` bytes of what there is.
    fn take(&mut self, len: usize) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes.split_to(len),
            Self::Pieces { came, left, .. } => {
                if let Some(left) = left {
                    *left = left.saturating_sub(len as u64);
                }
                came.split_to(len)
            }
        }
    }

    /// Whether all that is left is known to be no more.
    const fn fits_in_one_piece(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.len() <= PIECE_BYTES,
            Self::Pieces { left: Some(left), .. } => *left <= PIECE_BYTES as u64,
            Self::Pieces { left: None, .. } => false,
        }
    }
}

impl Body for EdgeBody {
    type Data = Piece;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BodyError>>> {
        let len = match ready!(self.content.poll_some(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(len)) => len,
        };
        ready!(self.poll_room(len, context));
        if self.is_too_late() {
            return Poll::Ready(Some(Err(BodyError::TookTooLong)));
        }
        let bytes = self.content.take(len);
        Poll::Ready(Some(Ok(Frame::data(self.hand_over(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Pieces { left, .. } => *left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Pieces { left: Some(left), .. } => SizeHint::with_exact(*left),
            Content::Pieces { left: None, .. } => SizeHint::default(),
        }
    }
}

impl Drop for EdgeBody {
    fn drop(&mut self) {
        if let Some(report) = self.report.take() {
            report.finish(self.sent);
        }
    }
}

/// What is told of a request when its response is through.
pub struct Report {
    /// The site, if one was found.
    pub site: Option<Arc<Site>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whether it is logged.
    pub logged: bool,
    /// The client's address.
    pub client: IpAddr,
    /// The request's method.
    pub method: Method,
    /// What was asked for.
    pub path: Option<PathAndQuery>,
    /// When its head had come.
    pub started: Instant,
    /// From then to the response's head.
    pub to_head: Duration,
    /// The status.
    pub status: StatusCode,
    /// How it was answered.
    pub told: Told,
}

/// How a request was answered.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// The outcome.
    pub outcome: Outcome,
    /// What was delivered.
    pub delivered: Delivered,
    /// The original's bytes, where known.
    pub source_len: Option<u64>,
    /// What a whole variant saves; counted when it was handed over whole.
    pub saves: u64,
    /// The body's bytes, where known.
    pub content_len: Option<u64>,
    /// What the origin and the codecs took, where they were asked.
    pub origin_ms: Option<f64>,
    /// The codecs' stages.
    pub stages: Option<Stages>,
    /// Whether the site pays for it: what is sent of it is counted (`billing.md` rule 1).
    pub is_metered: bool,
}

impl Told {
    /// With nothing but the outcome known.
    #[must_use]
    pub const fn new(outcome: Outcome, delivered: Delivered) -> Self {
        Self {
            outcome,
            delivered,
            source_len: None,
            saves: 0,
            content_len: None,
            origin_ms: None,
            stages: None,
            is_metered: false,
        }
    }
}

impl Report {
    fn finish(self, sent: u64) {
        let Told { outcome, delivered, saves, content_len, .. } = self.told;
        if let Some(site) = &self.site {
            let saved = if content_len == Some(sent) { saves } else { 0 };
            site.metrics.observe(outcome, delivered, sent, saved);
            if let Some(meter) = &site.meter {
                meter.count_request(saved);
            }
        }
        self.metrics.observe_request(outcome, self.to_head);
        if self.logged {
            self.log(sent);
        }
    }

    fn log(&self, sent: u64) {
        let Told { outcome, delivered, source_len, origin_ms, stages, .. } = self.told;
        tracing::info!(
            target: "access",
            site = self.site.as_ref().map(|site| &*site.id),
            client = %self.client,
            method = self.method.as_str(),
            path = self.path.as_ref().map(PathAndQuery::as_str),
            status = self.status.as_u16(),
            outcome = outcome.name(),
            format = delivered.format(),
            detail = delivered.detail(),
            bytes_in = source_len,
            bytes_out = sent,
            head_ms = milliseconds(self.to_head),
            total_ms = milliseconds(self.started.elapsed()),
            origin_ms = origin_ms.map(rounded),
            decode_ms = stages.map(|stages| rounded(stages.decode_ms)),
            resize_ms = stages.map(|stages| rounded(stages.resize_ms)),
            encode_ms = stages.map(|stages| rounded(stages.encode_ms)),
            "request"
        );
    }
}

fn milliseconds(span: Duration) -> f64 {
    rounded(span.as_secs_f64() * 1e3)
}

/// To whole microseconds.
fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 1e3).round() / 1e3
}

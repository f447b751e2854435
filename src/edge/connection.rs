//! One connection, from its first byte to its last: HTTP/1.1 or HTTP/2 over whatever carries bytes, bounded in what it may
//! send and how long it may take.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Request, Response, Version};
use hyper::{
    body::{Body as _, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::timeout,
};

use super::{
    body::EdgeBody,
    handler::{Edge, RequestBody, handle},
    limits::{
        framing::{Framing, Requests},
        paced_io::PacedIo,
        streams::{StreamTimes, Streams},
        watched_io::WatchedIo,
    },
    peer::Peer,
    problem::Problem,
    request_body::Upload,
};
use crate::{
    config::{self, Networks},
    http::{check::BadRequest, forwarded::claimed_client},
    telemetry::refusals::Refused,
};

/// The most that is read of a request before its head must be whole.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Requests of one HTTP/2 connection under way at once, and what each may have waiting to be sent.
const MAX_STREAMS: u32 = 128;
const STREAM_BUFFER_BYTES: usize = 128 * 1024;

/// What a client may send on an HTTP/2 connection, and on one stream of it, before it is taken.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// Streams that a client opened and took back before they were looked at (CVE-2023-44487), and such as it made us reset
/// (CVE-2025-8671): one more and the connection ends with `ENHANCE_YOUR_CALM`.
const MAX_STREAMS_TAKEN_BACK: usize = 32;
const MAX_STREAMS_RESET: usize = 1024;

/// How long a client has to answer a ping on HTTP/2. The ping stands behind some 150 KB that are on their way already: of a
/// slow client that takes all of `edge.write_timeout` for its 32 KiB, that is long.
const PING_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an idle connection has to close once it was told to.
const GOODBYE: Duration = Duration::from_secs(5);

/// All connections.
#[derive(Debug)]
pub(super) struct Connections {
    rules: Arc<Rules>,
    /// Every connection holds a receiver: they are counted by them, and drained when it says so.
    drain: watch::Sender<bool>,
}

/// How they are served.
#[derive(Debug)]
struct Rules {
    edge: Arc<Edge>,
    trusted_proxies: Networks,
    header_timeout: Duration,
    body_timeout: Duration,
    write_timeout: Duration,
    stream_times: StreamTimes,
}

/// One of them, open and not served yet.
#[derive(Debug)]
pub(super) struct Connection {
    rules: Arc<Rules>,
    drain: watch::Receiver<bool>,
}

impl Connections {
    pub(super) fn new(edge: Arc<Edge>, limits: &config::Edge) -> Self {
        let still = limits.write_timeout.0 + edge.origins.limits().idle_timeout.0;
        let rules = Arc::new(Rules {
            trusted_proxies: limits.trusted_proxies.clone(),
            header_timeout: limits.header_timeout.0,
            body_timeout: limits.body_timeout.0,
            write_timeout: limits.write_timeout.0,
            stream_times: StreamTimes { still, whole: limits.request_timeout.0 },
            edge,
        });
        Self { rules, drain: watch::channel(false).0 }
    }

    /// One more.
    pub(super) fn open(&self) -> Connection {
        Connection { rules: Arc::clone(&self.rules), drain: self.drain.subscribe() }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.drain.receiver_count()
    }

    /// Lets each finish what it is at.
    pub(super) async fn drain(self) {
        self.drain.send_replace(true);
        self.drain.closed().await;
    }
}

impl Connection {
    /// Its socket, whose client must take what is written.
    pub(super) fn paced<S>(&self, socket: S) -> PacedIo<S> {
        PacedIo::new(socket, self.rules.write_timeout)
    }

    /// Answers what `peer` asks on `stream`, until either side closes it.
    pub(super) async fn serve<S>(self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { rules, mut drain } = self;
        let client = peer.address;
        let (framing, requests) = Framing::new();
        let written = Arc::new(AtomicU64::new(0));
        let stream = WatchedIo::new(stream, framing, Arc::clone(&written));
        let stalled = rules.edge.metrics.refusals.of(Refused::StalledStream).clone();
        let streams = Streams::new(rules.stream_times, stalled, written);
        let visitor = Arc::new(Visitor::new(Arc::clone(&rules), peer, requests));
        let service = service_fn({
            let visitor = Arc::clone(&visitor);
            move |request| {
                let visitor = Arc::clone(&visitor);
                async move { Ok::<_, Infallible>(visitor.answer(request).await) }
            }
        });
        let builder = rules.builder(streams.clone());
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = drains(&mut drain) => {
                connection.as_mut().graceful_shutdown();
                Some(connection.await)
            }
            () = visitor.is_idle(&streams, rules.header_timeout) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => Some(ended),
                    () = visitor.is_idle(&streams, GOODBYE.min(rules.header_timeout)) => None,
                }
            }
        };
        match ended {
            Some(Err(error)) => tracing::debug!(%client, error = &*error, "a connection ended early"),
            Some(Ok(())) => {}
            None => tracing::debug!(%client, "an idle connection was closed"),
        }
    }
}

/// Waits until connections are to end.
async fn drains(drain: &mut watch::Receiver<bool>) {
    // Gone or true: either way it is over.
    let _ = drain.wait_for(|drains| *drains).await;
}

impl Rules {
    fn builder(&self, streams: Streams) -> auto::Builder<Streams> {
        let mut builder = auto::Builder::new(streams);
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.header_timeout).max_buf_size(MAX_HEAD_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.header_timeout)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams(MAX_STREAMS)
            .max_send_buf_size(STREAM_BUFFER_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .max_pending_accept_reset_streams(MAX_STREAMS_TAKEN_BACK)
            .max_local_error_reset_streams(MAX_STREAMS_RESET)
            .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
        builder
    }

    /// How often a request is looked after that waits for something. On HTTP/2 this counts as going on, so it is well
    /// more often than a stream may stand still.
    fn round(&self) -> Duration {
        (self.stream_times.still / 4).min(self.stream_times.whole)
    }
}

/// Who asks on a connection, and how far it got.
struct Visitor {
    rules: Arc<Rules>,
    peer: Peer,
    /// Whether it is believed in what it says of its clients.
    is_proxy: bool,
    requests: Arc<Requests>,
    /// From the first request on; before, HTTP/1 is not told from HTTP/2.
    speaks_http1: AtomicBool,
}

impl Visitor {
    fn new(rules: Arc<Rules>, peer: Peer, requests: Arc<Requests>) -> Self {
        let is_proxy = rules.trusted_proxies.contain(peer.ip());
        Self { rules, peer, is_proxy, requests, speaks_http1: AtomicBool::new(false) }
    }

    /// Ends when nothing was asked for `span`, twice that at the most. HTTP/1 has its own timer for this, which runs from the
    /// first byte on.
    async fn is_idle(&self, streams: &Streams, span: Duration) {
        streams.are_idle_for(span).await;
        if self.speaks_http1.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<EdgeBody> {
        if request.version() != Version::HTTP_2 {
            self.speaks_http1.store(true, Ordering::Relaxed);
            if self.requests.next_has_two_framings() {
                return Problem::from(BadRequest::TwoFramings).into_response();
            }
        }
        let claimed = self.claimed_client(&request);
        let (edge, request) = (Arc::clone(&self.rules.edge), self.with_body(request));
        // Pinned where it is made: a future that moves has two places in the one that holds it, and this one is large.
        self.in_time(pin!(handle(edge, request, claimed.as_ref().unwrap_or(&self.peer)))).await
    }

    /// The client that this one speaks for, if it is a proxy that is believed.
    fn claimed_client(&self, request: &Request<Incoming>) -> Option<Peer> {
        if !self.is_proxy {
            return None;
        }
        let trusted = &self.rules.trusted_proxies;
        let claim = claimed_client(request.headers(), self.peer.ip(), |address| trusted.contain(address))?;
        Some(self.peer.speaking_for(claim))
    }

    fn with_body(&self, request: Request<Incoming>) -> Request<RequestBody> {
        let Rules { edge, body_timeout, .. } = &*self.rules;
        request.map(|body| {
            let until = Instant::now() + edge.limits.request_timeout;
            (!body.is_end_stream()).then(|| Upload::new(body, *body_timeout, until))
        })
    }

    /// Waits for the head of a response as long as a request may take.
    async fn in_time(&self, mut answer: Pin<&mut impl Future<Output = Response<EdgeBody>>>) -> Response<EdgeBody> {
        let (rules, started) = (&self.rules, Instant::now());
        loop {
            match timeout(rules.round(), answer.as_mut()).await {
                Ok(response) => return response,
                Err(_) if started.elapsed() < rules.stream_times.whole => {}
                Err(_) => {
                    rules.edge.metrics.refusals.of(Refused::LongRequest).inc();
                    return Problem::TookTooLong.into_response();
                }
            }
        }
    }
}

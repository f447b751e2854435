//! One connection, from its first byte to its last: HTTP/1.1 or HTTP/2 over whatever carries bytes, bounded in what it may
//! send and how long it may take.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Request;
use hyper::{
    body::{Body as _, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_io_timeout::TimeoutStream;

use super::{
    handler::{Edge, handle},
    peer::Peer,
};
use crate::config;

/// The most that is read of a request before its head must be whole.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Requests of one HTTP/2 connection under way at once, and what each may have waiting to be sent.
const MAX_STREAMS: u32 = 128;
const STREAM_BUFFER_BYTES: usize = 128 * 1024;

/// All connections.
#[derive(Debug)]
pub(super) struct Connections {
    rules: Arc<Rules>,
    graceful: GracefulShutdown,
}

/// How they are served.
#[derive(Debug)]
struct Rules {
    edge: Arc<Edge>,
    builder: auto::Builder<TokioExecutor>,
    write_timeout: Duration,
    first_request_timeout: Duration,
}

/// One of them, open and not served yet.
#[derive(Debug)]
pub(super) struct Connection {
    rules: Arc<Rules>,
    watcher: Watcher,
}

impl Connections {
    pub(super) fn new(edge: Arc<Edge>, limits: &config::Edge) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout.0)
            .max_buf_size(MAX_HEAD_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.header_timeout.0)
            .max_concurrent_streams(MAX_STREAMS)
            .max_send_buf_size(STREAM_BUFFER_BYTES)
            .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
        let (write_timeout, first_request_timeout) = (limits.write_timeout.0, limits.header_timeout.0);
        let rules = Arc::new(Rules { edge, builder, write_timeout, first_request_timeout });
        Self { rules, graceful: GracefulShutdown::new() }
    }

    /// One more.
    pub(super) fn open(&self) -> Connection {
        Connection { rules: Arc::clone(&self.rules), watcher: self.graceful.watcher() }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.graceful.count()
    }

    /// Lets each finish what it is at.
    pub(super) async fn drain(self) {
        self.graceful.shutdown().await;
    }
}

impl Connection {
    /// Answers what `peer` asks on `stream`, until either side closes it.
    pub(super) async fn serve<S>(self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let Self { rules, watcher } = self;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(rules.write_timeout));
        let edge = Arc::clone(&rules.edge);
        let peer = Arc::new(peer);
        let client = peer.address;
        let spoken = Arc::new(AtomicBool::new(false));
        let speaks = Arc::clone(&spoken);
        let service = service_fn(move |request: Request<Incoming>| {
            let (edge, peer) = (Arc::clone(&edge), Arc::clone(&peer));
            speaks.store(true, Ordering::Relaxed);
            let request = request.map(|body| (!body.is_end_stream()).then(|| reqwest::Body::wrap(body)));
            async move { Ok::<_, Infallible>(handle(edge, request, &peer).await) }
        });
        let connection = rules.builder.serve_connection(TokioIo::new(Box::pin(stream)), service).into_owned();
        let watched = watcher.watch(connection);
        tokio::select! {
            ended = watched => if let Err(error) = ended {
                tracing::debug!(%client, error = &*error, "a connection ended early");
            },
            // Before its first bytes have told HTTP/1 from HTTP/2, no other timer runs.
            () = stays_silent(rules.first_request_timeout, &spoken) => tracing::debug!(%client, "a connection stayed silent"),
        }
    }
}

/// Ends if no request has come within `timeout`.
async fn stays_silent(timeout: Duration, spoken: &AtomicBool) {
    tokio::time::sleep(timeout).await;
    if spoken.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

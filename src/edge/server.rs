//! Connections: accepted up to a limit, each bounded in what it may send and how long it may take, and let finish its work
//! when the server stops.

use std::{
    convert::Infallible,
    net::SocketAddr,
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
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_io_timeout::TimeoutStream;

use super::handler::{Edge, handle};
use crate::config;

/// The most that is read of a request before its head must be whole.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Requests of one HTTP/2 connection under way at once, and what each may have waiting to be sent.
const MAX_STREAMS: u32 = 128;
const STREAM_BUFFER_BYTES: usize = 128 * 1024;

/// How long accepting pauses when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections from any number of listeners, bounded together.
#[derive(Debug)]
pub struct Server {
    edge: Arc<Edge>,
    connections: auto::Builder<TokioExecutor>,
    permits: Arc<Semaphore>,
    write_timeout: Duration,
    first_request_timeout: Duration,
    graceful: GracefulShutdown,
    stop: watch::Receiver<bool>,
}

impl Server {
    /// A server that accepts until `stop` becomes true.
    #[must_use]
    pub fn new(edge: Arc<Edge>, limits: &config::Edge, stop: watch::Receiver<bool>) -> Self {
        let mut connections = auto::Builder::new(TokioExecutor::new());
        connections
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout.0)
            .max_buf_size(MAX_HEAD_BYTES);
        connections
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.header_timeout.0)
            .max_concurrent_streams(MAX_STREAMS)
            .max_send_buf_size(STREAM_BUFFER_BYTES)
            .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
        Self {
            edge,
            connections,
            permits: Arc::new(Semaphore::new(limits.max_connections)),
            write_timeout: limits.write_timeout.0,
            first_request_timeout: limits.header_timeout.0,
            graceful: GracefulShutdown::new(),
            stop,
        }
    }

    /// Accepts on `listeners` until told to stop, then lets the connections finish for `drain_timeout` at the most.
    pub async fn run(self, listeners: Vec<TcpListener>, drain_timeout: Duration) {
        let accepting = listeners.iter().map(|listener| self.accept_all(listener));
        let mut stop = self.stop.clone();
        tokio::select! {
            _ = futures_util::future::join_all(accepting) => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
        // Closed first: who comes now is refused at once and can go elsewhere.
        drop(listeners);
        let open = self.graceful.count();
        tracing::info!(connections = open, "draining");
        if tokio::time::timeout(drain_timeout, self.graceful.shutdown()).await.is_err() {
            tracing::warn!("connections were cut off that did not finish in time");
        }
    }

    async fn accept_all(&self, listener: &TcpListener) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, client)) => self.serve(stream, client, permit),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, client: SocketAddr, permit: OwnedSemaphorePermit) {
        // Heads and bodies are written together: waiting for more to send would only delay the last piece.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.write_timeout));
        let edge = Arc::clone(&self.edge);
        let spoken = Arc::new(AtomicBool::new(false));
        let speaks = Arc::clone(&spoken);
        let service = service_fn(move |request: Request<Incoming>| {
            let edge = Arc::clone(&edge);
            speaks.store(true, Ordering::Relaxed);
            let request = request.map(|body| (!body.is_end_stream()).then(|| reqwest::Body::wrap(body)));
            async move { Ok::<_, Infallible>(handle(edge, request, client).await) }
        });
        let connection = self.connections.serve_connection(TokioIo::new(Box::pin(stream)), service).into_owned();
        let watched = self.graceful.watch(connection);
        let open = self.edge.metrics.connections.clone();
        open.inc();
        let first_request_timeout = self.first_request_timeout;
        tokio::spawn(async move {
            tokio::select! {
                ended = watched => if let Err(error) = ended {
                    tracing::debug!(%client, error = &*error, "a connection ended early");
                },
                // Before its first bytes have told HTTP/1 from HTTP/2, no other timer runs.
                () = stays_silent(first_request_timeout, &spoken) => tracing::debug!(%client, "a connection stayed silent"),
            }
            open.dec();
            drop(permit);
        });
    }
}

/// Ends if no request has come within `timeout`.
async fn stays_silent(timeout: Duration, spoken: &AtomicBool) {
    tokio::time::sleep(timeout).await;
    if spoken.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

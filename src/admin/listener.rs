//! The operator's connections, bounded like the visitors': how many, how long a head, a request and its answer may take, how
//! large a head is. Bodies are bounded by who reads them (`input`).

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, Request, StatusCode, header::CONNECTION},
    response::{IntoResponse as _, Response},
};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;

use super::problem::Problem;

/// Connections open at once; further ones wait in the listen queue.
const MAX_CONNECTIONS: usize = 128;

/// The longest head.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Longest wait for a head, an idle keep-alive connection included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// From a head to the answer's, the body included that comes along.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest wait for a client to take a piece of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a token that is not known is left without an answer, after which its connection is closed: with
/// [`MAX_CONNECTIONS`] no more than 256 can be tried in a second, by however many.
const REFUSAL_PAUSE: Duration = Duration::from_millis(500);

/// How long accepting pauses when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves as long as it is polled.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let router = TowerToHyperService::new(router);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve_connection(stream, router.clone(), place));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an operator's connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, router: TowerToHyperService<Router>, _place: OwnedSemaphorePermit) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let service = service_fn(move |request| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(answer(&router, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an operator's connection ended early");
    }
}

async fn answer(router: &TowerToHyperService<Router>, request: Request<Incoming>) -> Response {
    let answered = timeout(REQUEST_TIMEOUT, router.call(request)).await;
    let Ok(Ok(mut response)) = answered else {
        let seconds = REQUEST_TIMEOUT.as_secs();
        return Problem::new(StatusCode::REQUEST_TIMEOUT, format!("not done within {seconds} s")).into_response();
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        sleep(REFUSAL_PAUSE).await;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

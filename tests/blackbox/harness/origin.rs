//! A real origin: an HTTP server on loopback whose answers a test sets path by path, that remembers what it was asked, and
//! that can be stopped and started again on its port.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use reqwest::{StatusCode, header::HeaderMap};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::{Reply, ports::free_address, reply::Content, until_some};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    /// A field's value, empty where there is none; of several, all in one list.
    pub(crate) fn field(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(", ")
    }
}

#[derive(Default)]
struct State {
    replies: Mutex<HashMap<String, Reply>>,
    asked: Mutex<Vec<Asked>>,
    /// `Date` where a test sets it; the system's time otherwise.
    date: Mutex<Option<String>>,
}

/// An origin.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    serving: Option<JoinHandle<()>>,
}

impl Origin {
    /// Starts with no answers: 404 everywhere.
    pub(crate) async fn start() -> Self {
        Self::start_at(free_address()).await
    }

    /// Likewise, at an address.
    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let mut origin = Self { address, state: Arc::default(), serving: None };
        origin.resume().await;
        origin
    }

    /// Starts with one answer.
    pub(crate) async fn with(path: &str, reply: Reply) -> Self {
        let origin = Self::start().await;
        origin.set(path, reply);
        origin
    }

    /// Its URL, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How it answers on `path`, given with its query or without.
    pub(crate) fn set(&self, path: &str, reply: Reply) {
        self.state.replies.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// What its `Date` says from now on, where the reply does not say it itself.
    pub(crate) fn set_date(&self, date: String) {
        *self.state.date.lock().unwrap() = Some(date);
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// How often it was asked for `path`, whatever the query.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| path_of(&asked.target) == path).count()
    }

    /// The last request for `path`.
    pub(crate) fn last(&self, path: &str) -> Asked {
        self.asked().into_iter().rfind(|asked| path_of(&asked.target) == path).expect("it was not asked for it")
    }

    /// Closes the port and all connections, at once.
    pub(crate) async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Serves again, on the same port.
    pub(crate) async fn resume(&mut self) {
        let address = self.address;
        let listener = until_some("the origin's port is free", async || TcpListener::bind(address).await.ok()).await;
        self.serving = Some(tokio::spawn(serve(listener, Arc::clone(&self.state))));
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// Ends, with all connections, when its task is aborted.
async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve_connection(stream, Arc::clone(&state)));
        }
    }
}

async fn serve_connection(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(&state, request).await) }
    });
    // It ends with an error where a reply breaks off, as it should.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(state: &State, request: hyper::Request<Incoming>) -> hyper::Response<Body> {
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let reply = {
        let replies = state.replies.lock().unwrap();
        replies.get(&target).or_else(|| replies.get(path_of(&target))).cloned()
    };
    let asked = Asked { method: request.method().to_string(), target, headers: request.headers().clone() };
    state.asked.lock().unwrap().push(asked.clone());
    let reply = match reply {
        Some(Reply { refused: Some((field, status)), .. }) if asked.headers.contains_key(field) => {
            Reply::status(status.as_u16(), "not with that field")
        }
        reply => reply.unwrap_or_else(|| Reply::status(404, "nothing here")),
    };
    if let Some(gate) = &reply.gate {
        gate.passed().await;
    }
    let mut response = hyper::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    if let Some(date) = state.date.lock().unwrap().as_ref().filter(|_| !reply.has("date")) {
        response = response.header("date", date);
    }
    if is_held(&asked, &reply) {
        return response.status(StatusCode::NOT_MODIFIED).body(whole(Bytes::new())).unwrap();
    }
    if let Some(len) = declared_len(&reply.content) {
        response = response.header("content-length", len);
    }
    response.body(body_of(reply.content, &asked, request.into_body())).unwrap()
}

/// Whether the client has what would be sent: its tag, or if it names none, its date.
fn is_held(asked: &Asked, reply: &Reply) -> bool {
    let (condition, validator) = match asked.field("if-none-match") {
        none if none.is_empty() => (asked.field("if-modified-since"), "last-modified"),
        tags => (tags, "etag"),
    };
    reply.status.is_success() && reply.headers.iter().any(|(name, value)| name == validator && condition == *value)
}

fn declared_len(content: &Content) -> Option<u64> {
    match content {
        Content::Whole(bytes) => Some(bytes.len() as u64),
        Content::Gated(first, _, second) => Some((first.len() + second.len()) as u64),
        Content::Cut(_, len) | Content::Stalled(_, len) => Some(*len),
        Content::Chunked(_) | Content::GatedChunks(..) | Content::Endless(_) | Content::Echo | Content::Field(_) => {
            None
        }
    }
}

fn body_of(content: Content, asked: &Asked, incoming: Incoming) -> Body {
    match content {
        Content::Field(name) => whole(asked.field(name).into()),
        Content::Whole(bytes) => whole(bytes),
        Content::Chunked(pieces) => streamed(stream::iter(pieces.into_iter().map(Ok))),
        Content::Gated(first, gate, second) | Content::GatedChunks(first, gate, second) => {
            let later = stream::once(async move {
                gate.passed().await;
                Ok(second)
            });
            streamed(stream::iter([Ok(first)]).chain(later))
        }
        Content::Cut(bytes, _) => streamed(stream::iter([Ok(bytes), Err(io::Error::other("cut off"))])),
        Content::Stalled(bytes, _) => streamed(stream::iter([Ok(bytes)]).chain(stream::pending())),
        Content::Endless(bytes) => streamed(stream::repeat_with(move || Ok(bytes.clone()))),
        Content::Echo => incoming.map_err(io::Error::other).boxed_unsync(),
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn streamed(pieces: impl stream::Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

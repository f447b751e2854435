//! How the origin of a test answers on one path, and the gates that a test holds an answer back with.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::StatusCode;
use tokio::sync::watch;

use super::pictures;

/// The ends of two paths, for something that is passed through and something that is developed: the rules are the same.
pub(crate) const BOTH: [&str; 2] = [".html", ".jpg"];

/// Names and values of header fields.
pub(crate) type Fields = Vec<(String, String)>;

/// Holds something back until the test opens it.
#[derive(Clone)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn passed(&self) {
        let mut state = self.0.subscribe();
        let _ = state.wait_for(|open| *open).await;
    }
}

/// An answer.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content: Content,
    /// The head waits for it.
    pub(crate) gate: Option<Gate>,
    /// A field, and the status that requests are refused with that have it.
    pub(crate) refused: Option<(&'static str, StatusCode)>,
}

/// A body.
#[derive(Clone)]
pub(crate) enum Content {
    /// With its length.
    Whole(Bytes),
    /// In pieces, without a length.
    Chunked(Vec<Bytes>),
    /// The first part at once, the second when the gate opens; with the length of both.
    Gated(Bytes, Gate, Bytes),
    /// Likewise, without a length.
    GatedChunks(Bytes, Gate, Bytes),
    /// These bytes and then no more, though the length says so: the connection breaks.
    Cut(Bytes, u64),
    /// These bytes and then nothing, though the length says so and the connection stays.
    Stalled(Bytes, u64),
    /// These bytes again and again, without a length, until nobody reads any more.
    Endless(Bytes),
    /// What the request brought.
    Echo,
    /// The request's value of this field.
    Field(&'static str),
}

impl Reply {
    fn new(content: Content) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), content, gate: None, refused: None }
    }

    /// 200 with a type.
    pub(crate) fn ok(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::new(Content::Whole(body.into())).header("content-type", content_type)
    }

    pub(crate) fn jpeg(body: impl Into<Bytes>) -> Self {
        Self::ok("image/jpeg", body)
    }

    pub(crate) fn png(body: impl Into<Bytes>) -> Self {
        Self::ok("image/png", body)
    }

    pub(crate) fn of(content: Content) -> Self {
        Self::new(content)
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        let mut reply = Self::ok("text/plain", body.to_owned());
        reply.status = StatusCode::from_u16(status).unwrap();
        reply
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::status(302, "").header("location", location)
    }

    /// A page that says `text`.
    pub(crate) fn page(text: &str) -> Self {
        Self::ok("text/html", text.to_owned())
    }

    /// What a path's name promises: a small picture, or a page.
    pub(crate) fn fit_for(path: &str) -> Self {
        if path.ends_with(".jpg") { Self::jpeg(pictures::small_jpeg(1)) } else { Self::page(path) }
    }

    pub(crate) fn fields(self, fields: &[(String, String)]) -> Self {
        fields.iter().fold(self, |reply, (name, value)| reply.header(name, value))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(given, _)| given == name)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Of an origin that has no clock: the only time is that which the test lets pass.
    pub(crate) fn timeless(self) -> Self {
        self.header("date", "none")
    }

    pub(crate) fn max_age(self, seconds: u64) -> Self {
        self.control(&format!("max-age={seconds}"))
    }

    /// With `Cache-Control`.
    pub(crate) fn control(self, directives: &str) -> Self {
        self.header("cache-control", directives)
    }

    /// Refuses requests that have this field, as what it cannot read.
    pub(crate) fn refusing(mut self, field: &'static str, status: u16) -> Self {
        self.refused = Some((field, StatusCode::from_u16(status).unwrap()));
        self
    }

    /// The head comes when the gate opens; a gate that is never opened hangs.
    pub(crate) fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }
}

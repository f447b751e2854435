//! An ordinary client: requests as browsers send them, and responses with the questions that tests ask of them.

use std::{future::IntoFuture, pin::Pin, sync::Once};

use bytes::Bytes;
use reqwest::{
    Client, ClientBuilder, Method, StatusCode,
    header::{ACCEPT, HOST, HeaderMap},
};

use super::{
    decode::{Seen, decode},
    setup::TOKEN,
};

/// What Chromium asks for in an `<img>`.
pub(crate) const CHROMIUM: &str = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";
/// What Safari 15 asks for.
pub(crate) const SAFARI_15: &str = "image/webp,image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5";
/// What curl asks for.
pub(crate) const CURL: &str = "*/*";

/// A client that does nothing by itself: no redirects, no proxy, no decompression.
pub(crate) fn new_client() -> Client {
    builder().build().unwrap()
}

/// Likewise; it speaks HTTP/2 without asking first.
pub(crate) fn new_client_h2() -> Client {
    builder().http2_prior_knowledge().build().unwrap()
}

pub(super) fn builder() -> ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
    Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy()
}

/// A request; awaiting it sends it and reads the response to its end.
pub(crate) struct Request {
    builder: reqwest::RequestBuilder,
    headers: HeaderMap,
}

impl Request {
    pub(crate) fn new(client: &Client, method: Method, url: &str) -> Self {
        Self { builder: client.request(method, url), headers: HeaderMap::new() }
    }

    /// For another host than that of the URL.
    pub(crate) fn host(self, host: &str) -> Self {
        self.header(HOST.as_str(), host)
    }

    pub(crate) fn accept(self, accept: &str) -> Self {
        self.header(ACCEPT.as_str(), accept)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = reqwest::header::HeaderName::try_from(name).unwrap();
        self.headers.insert(name, value.try_into().unwrap());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.builder = self.builder.body(body);
        self
    }

    /// With the operator's token.
    pub(crate) fn authorized(self) -> Self {
        self.bearer(TOKEN)
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Sends it and waits for the head only.
    pub(crate) async fn head(self) -> reqwest::Response {
        self.builder.headers(self.headers).send().await.unwrap()
    }

    /// Sends it; `None` where the connection broke before the response was whole.
    pub(crate) async fn attempt(self) -> Option<Answer> {
        let response = self.builder.headers(self.headers).send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        Some(Answer { status, headers, body: response.bytes().await.ok()? })
    }
}

impl IntoFuture for Request {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { self.attempt().await.expect("the response broke off") })
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A field's value, empty where there is none; of several, all in one list.
    pub(crate) fn field(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    pub(crate) fn content_type(&self) -> String {
        self.field("content-type")
    }

    pub(crate) fn etag(&self) -> String {
        let etag = self.field("etag");
        assert!(etag.starts_with('"') && etag.len() > 2, "{etag:?} is no strong entity tag");
        etag
    }

    /// Whether it came from the cache.
    pub(crate) fn is_hit(&self) -> bool {
        self.field("cache-status").starts_with("lightmeter; hit")
    }

    /// Whether the origin was not asked for it: it came from the cache, or of a fetch that is only being stored yet.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_hit() || self.field("cache-status").contains("; collapsed")
    }

    /// `detail` of the last member of `Cache-Status`.
    pub(crate) fn detail(&self) -> String {
        let status = self.field("cache-status");
        status.rsplit_once("; detail=").map(|(_, detail)| detail.to_owned()).unwrap_or_default()
    }

    /// `max-age` of `Cache-Control`.
    pub(crate) fn max_age(&self) -> Option<u64> {
        let control = self.field("cache-control");
        control.split(',').find_map(|directive| directive.trim().strip_prefix("max-age=")?.parse().ok())
    }

    /// The body as a picture; the response must be a 200 with one.
    pub(crate) fn picture(&self) -> Seen {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        decode(&self.body)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The body as JSON; the response must be a success.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert!(self.status.is_success(), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The `detail` of a problem document, which it must be.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.content_type(), "application/problem+json", "{self:?}");
        let document: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(document["status"], self.status.as_u16());
        document["detail"].as_str().unwrap().to_owned()
    }
}

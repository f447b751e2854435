//! Errors that a visitor sees: a status, and problem+json (RFC 9457) that says what was wrong.

use std::time::Duration;

use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER},
};

use super::{body::EdgeBody, request_body::UploadError, sites::BadSource};
use crate::{
    http::check::BadRequest,
    origin::error::FetchError,
    request::{OptionsRefused, signature::UrlRefused},
};

/// An error.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// The request is malformed.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    /// The options are.
    #[error(transparent)]
    BadOption(#[from] OptionsRefused),
    /// Its signature is, or it has none.
    #[error(transparent)]
    BadSignature(#[from] UrlRefused),
    /// The source's name is.
    #[error(transparent)]
    BadSource(#[from] BadSource),
    /// No site has this host (RFC 9110, 15.5.20).
    #[error("no site is served under the host {0:?}")]
    UnknownHost(String),
    /// The connection was secured for another host (RFC 9110, 15.5.20).
    #[error("this connection was secured for another host than {0:?}")]
    OtherHost(String),
    /// The request has been here before.
    #[error("the request came back to this server: its origin leads here")]
    Loop,
    /// Only GET and HEAD are for images.
    #[error("only GET and HEAD are allowed here")]
    Method,
    /// Too many different sizes of one image were asked for (RFC 6585, 4).
    #[error("too many different sizes of this image were asked for today (images.max_sizes)")]
    TooManySizes,
    /// Too many requests in too short a time (RFC 6585, 4).
    #[error("too many requests in a short time")]
    TooManyRequests {
        /// When to come again.
        wait: Duration,
    },
    /// The request's body does not come as it should.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// It took too long.
    #[error("the request took too long (edge.request_timeout)")]
    TookTooLong,
    /// The client wants it from the cache or not at all (RFC 9111, 5.2.1.7).
    #[error("it is not in the cache, and the request says only-if-cached")]
    NotCached,
    /// The origin gave nothing.
    #[error("the origin gave no answer: {0}")]
    Origin(#[from] FetchError),
}

impl Problem {
    /// The status.
    #[must_use]
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::BadSignature(_) | Self::BadOption(OptionsRefused::PresetsOnly { .. }) => StatusCode::FORBIDDEN,
            Self::BadRequest(_) | Self::BadOption(_) | Self::BadSource(_) => StatusCode::BAD_REQUEST,
            Self::UnknownHost(_) | Self::OtherHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManySizes | Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Upload(UploadError::Broken(_)) => StatusCode::BAD_REQUEST,
            Self::Upload(UploadError::TooSlow | UploadError::TooLong) => StatusCode::REQUEST_TIMEOUT,
            Self::NotCached | Self::TookTooLong => StatusCode::GATEWAY_TIMEOUT,
            Self::Origin(error) => error.status(),
        }
    }

    /// The response.
    #[must_use]
    pub(super) fn into_response(self) -> Response<EdgeBody> {
        let status = self.status();
        let document = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": self.to_string(),
        });
        let mut response = Response::new(EdgeBody::whole(document.to_string().into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            // What follows may be part of it (RFC 9112, 6.3).
            Self::BadRequest(BadRequest::TwoFramings) => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Self::TooManySizes => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("3600"));
            }
            Self::TooManyRequests { wait } => {
                // Whole seconds, and never 0: what comes back at once comes too early.
                headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            }
            Self::Origin(FetchError::Busy) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

//! Why an origin gave no answer.

use std::time::Duration;

use http::StatusCode;

use super::{address::RefusedAddress, url_guard::RefusedUrl};

/// Why a fetch gave nothing. Cheap to clone: all that waited for one fetch get the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The URL may not be asked for.
    #[error("refused: {0}")]
    RefusedUrl(RefusedUrl),
    /// The name resolves to addresses that may not be connected to.
    #[error("refused: {0}")]
    RefusedAddress(RefusedAddress),
    /// No connection.
    #[error("cannot connect: {cause}")]
    CannotConnect {
        /// What the network said.
        cause: String,
    },
    /// Nothing came in time.
    #[error("timed out after {} ms", after.as_millis())]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("the response broke off: {cause}")]
    Broken {
        /// What was wrong.
        cause: String,
    },
    /// The origin failed.
    #[error("the origin answered {status}")]
    OriginFailed {
        /// Its status, 500 or above.
        status: StatusCode,
    },
    /// More redirects than are followed.
    #[error("more than {limit} redirects")]
    TooManyRedirects {
        /// How many are followed.
        limit: usize,
    },
    /// What is stored may not be used without the origin's word, and that could not be had.
    #[error("what is cached must be validated, and cannot be: {cause}")]
    NotValidated {
        /// Why not.
        cause: String,
    },
    /// As many requests to origins are under way as may be.
    #[error("too many requests to origins are under way")]
    Busy,
}

impl FetchError {
    /// The work that was to fetch it ended without an answer.
    #[must_use]
    pub fn ended_early() -> Self {
        Self::Broken { cause: "the fetch ended early".to_owned() }
    }

    /// The same, where it was to validate what is stored and must not be used otherwise (RFC 9111, 5.2.2.2: 504).
    #[must_use]
    pub fn while_validating(self) -> Self {
        match self {
            Self::CannotConnect { .. } | Self::TimedOut { .. } | Self::Broken { .. } => {
                Self::NotValidated { cause: self.to_string() }
            }
            other => other,
        }
    }

    /// The status that a visitor gets where nothing stored can stand in (RFC 9110, 15.6).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::RefusedUrl(_) => StatusCode::FORBIDDEN,
            Self::TimedOut { .. } | Self::NotValidated { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::OriginFailed { status } => *status,
            Self::RefusedAddress(_)
            | Self::CannotConnect { .. }
            | Self::Broken { .. }
            | Self::TooManyRedirects { .. } => StatusCode::BAD_GATEWAY,
        }
    }

    /// A short name for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::RefusedUrl(_) | Self::RefusedAddress(_) => "refused",
            Self::CannotConnect { .. } => "no-connection",
            Self::TimedOut { .. } => "timeout",
            Self::Broken { .. } => "broken",
            Self::NotValidated { .. } => "not-validated",
            Self::OriginFailed { .. } => "5xx",
            Self::TooManyRedirects { .. } => "redirects",
            Self::Busy => "busy",
        }
    }
}

//! A response that may not be kept: it belongs to one visitor, the first who takes it. Who comes second asks for himself.

use http::StatusCode;

use crate::{
    coalesce::handoff::Handoff,
    http::storability::{Credentials, NotStorable, storable_image},
    image::why_original::WhyOriginal,
    origin::fetch::OriginResponse,
};

const fn may_differ_by_user(why: WhyOriginal) -> bool {
    matches!(why, WhyOriginal::Private | WhyOriginal::NoStore | WhyOriginal::Vary | WhyOriginal::Redirect)
}

/// Why a response that somebody fetched for himself is passed through: what it says itself, else what was true of the one
/// before it.
#[must_use]
pub fn why_direct(response: &OriginResponse, before: WhyOriginal) -> WhyOriginal {
    match response.status {
        StatusCode::OK => {
            storable_image(&response.headers, Credentials::None).map_or_else(NotStorable::why_original, |()| before)
        }
        status if status.is_redirection() => WhyOriginal::Redirect,
        _ => WhyOriginal::Status,
    }
}

/// A response for one taker.
#[derive(Debug, Clone)]
pub struct DirectResponse {
    response: Handoff<OriginResponse>,
    /// Why it is passed through.
    pub why: WhyOriginal,
    /// Whether the origin may answer another way to one whom it knows.
    pub may_differ_by_user: bool,
}

impl DirectResponse {
    /// Puts a response up to be taken, if there is a place for who takes it.
    #[must_use]
    pub fn new(response: OriginResponse, why: WhyOriginal) -> Self {
        let is_refusal = matches!(response.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let may_differ_by_user = is_refusal || may_differ_by_user(why);
        Self { response: Handoff::to_a_visitor(response), why, may_differ_by_user }
    }

    /// One that nobody can take: each asks for himself.
    #[must_use]
    pub fn none(why: WhyOriginal) -> Self {
        Self { response: Handoff::default(), why, may_differ_by_user: may_differ_by_user(why) }
    }

    /// Takes it; `None` where there is none left.
    #[must_use]
    pub fn take(&self) -> Option<OriginResponse> {
        self.response.take()
    }
}

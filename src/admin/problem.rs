//! Errors of the API: a status and problem+json (RFC 9457) that says what was wrong.

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::shapes;
use crate::{
    billing::{Kind, Microcredits},
    config::{Cause, Refusal},
    directory::DirectoryError,
    store::LedgerError,
};

/// An error.
#[derive(Debug)]
pub(super) struct Problem(Box<Document>);

/// What went wrong (RFC 9457). Which members there are beside the first four depends on the status.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind_of_problem: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16, minimum = 400, maximum = 599)]
    status: StatusCode,
    /// What was wrong, for people.
    detail: String,
    /// 400, 409: the field or parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// 409, more is to be allocated than is free: of which kind of credits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::KindName)]
    kind: Option<Kind>,
    /// 409, more is to be allocated than is free: what could be allocated at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Credits)]
    free: Option<Microcredits>,
    /// 402: what would be needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Credits)]
    needed: Option<Microcredits>,
    /// 402: what there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Credits)]
    available: Option<Microcredits>,
    /// 402: the difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Credits)]
    shortfall: Option<Microcredits>,
}

fn as_number<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Document {
            kind_of_problem: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            field: None,
            kind: None,
            free: None,
            needed: None,
            available: None,
            shortfall: None,
        }))
    }

    /// 400: a field of the body, or a parameter, is not what it must be.
    pub(super) fn field(name: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        let name = name.into();
        let mut document = Self::new(StatusCode::BAD_REQUEST, format!("{name}: {problem}"));
        document.0.field = Some(name);
        document
    }

    /// 400: the request as a whole is not what it must be.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401.
    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403: it may be seen, but only the operator may do this.
    pub(super) fn operator_only() -> Self {
        Self::new(StatusCode::FORBIDDEN, "only the operator's token may do this")
    }

    /// 404.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 503: it may be done later.
    pub(super) fn unavailable(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }

    #[cfg(test)]
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        let detail = error.to_string();
        match error {
            LedgerError::NoSuchAccount(_) | LedgerError::NoSuchSite(_) | LedgerError::NoSuchKey(_) => {
                Self::not_found(detail)
            }
            LedgerError::NoSuchPlan(_) => Self::field("plan", detail),
            LedgerError::AccountExists(_) | LedgerError::SiteExists(_) | LedgerError::OfFile(_) => {
                Self::conflict(detail)
            }
            LedgerError::KeyReused => Self::conflict(detail),
            // Amounts in requests were looked at before: this is a sum that would not fit beside what is there.
            LedgerError::Amount(_) => Self::conflict(detail),
            LedgerError::NotFree(refused) => {
                let mut problem = Self::conflict(detail);
                (problem.0.kind, problem.0.free) = (Some(refused.kind), Some(refused.free));
                problem
            }
            LedgerError::Insufficient(shortfall) => {
                let mut problem = Self::new(StatusCode::PAYMENT_REQUIRED, detail);
                problem.0.needed = Some(shortfall.needed);
                problem.0.available = Some(shortfall.available);
                problem.0.shortfall = Some(shortfall.missing);
                problem
            }
            LedgerError::Unavailable(cause) => {
                tracing::warn!(%cause, "the ledger cannot be used");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the ledger cannot be used now; try again")
            }
            LedgerError::Damaged(what) => {
                tracing::error!(what, "the ledger is damaged");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the ledger is damaged; the log says where")
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let mut problem = Self::field(refusal.key, refusal.problem);
        if refusal.cause == Cause::Taken {
            problem.0.status = StatusCode::CONFLICT;
            problem.0.title = "Conflict";
        }
        problem
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Refused(refusal) => refusal.into(),
            DirectoryError::Ledger(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.0.status;
        // Numbers, short texts and nothing else: it has a JSON form.
        let text = serde_json::to_string(&self.0).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// The answer to a path that leads nowhere.
pub(super) async fn no_such_path() -> Problem {
    Problem::not_found("nothing is served under this path; /api/v1/openapi.json describes the API")
}

/// The answer to a method that a path does not have; `Allow` is set by the router.
pub(super) async fn no_such_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not have this method")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::{AmountError, NotFree, Shortfall};

    #[test]
    fn what_the_ledger_refuses_has_its_own_status() {
        let shop = || "shop".parse().unwrap();
        let credits = Microcredits::CREDIT;
        for (error, status) in [
            (LedgerError::NoSuchAccount("x".into()), 404),
            (LedgerError::NoSuchSite("x".into()), 404),
            (LedgerError::NoSuchKey("x".into()), 404),
            (LedgerError::NoSuchPlan("x".into()), 400),
            (LedgerError::SiteExists(shop()), 409),
            (LedgerError::OfFile(shop()), 409),
            (LedgerError::KeyReused, 409),
            (LedgerError::Amount(AmountError::TooLarge), 409),
            (LedgerError::NotFree(NotFree { kind: Kind::Monthly, wanted: credits, free: Microcredits::ZERO }), 409),
            (Shortfall { needed: credits, available: Microcredits::ZERO, missing: credits }.into(), 402),
            (LedgerError::Unavailable(sqlx::Error::PoolTimedOut), 503),
            (LedgerError::Damaged("x".into()), 500),
        ] {
            let text = error.to_string();
            assert_eq!(Problem::from(error).status().as_u16(), status, "{text}");
        }
    }

    #[test]
    fn a_shortfall_is_told_in_credits() {
        let (needed, available) = (Microcredits::new(2_500_000), Microcredits::new(500_000));
        let shortfall = Shortfall { needed, available, missing: Microcredits::new(2_000_000) };
        let document = serde_json::to_value(&Problem::from(LedgerError::from(shortfall)).0).unwrap();
        assert_eq!(
            document,
            serde_json::json!({
                "type": "about:blank", "title": "Payment Required", "status": 402,
                "detail": "2 credits short: 2.5 are needed, 0.5 are there",
                "needed": "2.5", "available": "0.5", "shortfall": "2",
            })
        );
    }

    #[test]
    fn a_host_that_another_site_has_is_a_conflict() {
        let refusal = |cause| Refusal { key: "hosts".into(), problem: "x".into(), cause };
        assert_eq!(Problem::from(refusal(Cause::Taken)).status(), StatusCode::CONFLICT);
        assert_eq!(Problem::from(refusal(Cause::Invalid)).status(), StatusCode::BAD_REQUEST);
    }
}

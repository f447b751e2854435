//! Whether a response may be kept and shown to others (RFC 9111, 3), and whether keeping it is of use.

use http::{
    HeaderMap, StatusCode,
    header::{ETAG, LAST_MODIFIED, SET_COOKIE, VARY},
};

use super::{
    cache_control::CacheControl,
    freshness::{Freshness, Lifetimes, explicit_lifetime},
    list::members,
    request_directives::RequestDirectives,
    time::UnixSeconds,
    vary::Vary,
};
use crate::image::why_original::WhyOriginal;

/// Why a response is not kept for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStorable {
    /// The origin says `no-store`.
    NoStore,
    /// The request says `no-store`.
    Request,
    /// `private`, a cookie, or an answer to credentials that is not marked as public.
    Private,
    /// `Vary` names what the cache's key does not hold.
    Vary,
    /// Its status: it is not final, a part, an answer to a condition, not known where it must be, or not to be kept unless
    /// the origin says for how long.
    Status,
    /// It is stale as it comes, there is nothing to validate it by, and the origin does not permit its use when stale. It
    /// could stand in for the origin on some day, as anything could: but then every answer ever given would be kept.
    Useless,
}

impl NotStorable {
    /// Why the original is passed through.
    #[must_use]
    pub const fn why_original(self) -> WhyOriginal {
        match self {
            Self::NoStore | Self::Request => WhyOriginal::NoStore,
            Self::Private => WhyOriginal::Private,
            Self::Vary => WhyOriginal::Vary,
            Self::Status | Self::Useless => WhyOriginal::Status,
        }
    }
}

/// What of the client's own stood in the request that a response answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Nothing: it was asked for the cache.
    #[default]
    None,
    /// Cookies.
    Cookie,
    /// `Authorization`.
    Authorization,
}

/// A response to a GET, and what of the request bears on keeping it.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The response's status.
    pub status: StatusCode,
    /// What the request says of caching.
    pub request: &'a RequestDirectives,
    /// Who asked.
    pub credentials: Credentials,
    /// The response's fields.
    pub headers: &'a HeaderMap,
    /// When it came.
    pub received_at: UnixSeconds,
}

/// Whether a response may be kept and shown to others (RFC 9111, 3 and 3.5), and whether it is of use: fresh for a while, or
/// to be validated, or permitted to be used stale.
///
/// # Errors
/// [`NotStorable`], the first reason found.
pub fn storable(exchange: &Exchange<'_>, lifetimes: &Lifetimes) -> Result<(), NotStorable> {
    let Exchange { status, request, credentials, headers, received_at } = *exchange;
    let (control, source) = CacheControl::for_us(headers);
    check_status(status, &control)?;
    if request.no_store {
        return Err(NotStorable::Request);
    }
    // Whoever knows the status need not heed a `no-store` meant for those who do not (5.2.2.3).
    if control.no_store && !control.must_understand {
        return Err(NotStorable::NoStore);
    }
    let explicit = explicit_lifetime(headers, (&control, source), received_at);
    let explicitly_fresh = explicit.is_some_and(|seconds| seconds > 0) && !control.no_cache;
    if !may_be_shared(&control, credentials, explicitly_fresh, headers) {
        return Err(NotStorable::Private);
    }
    if Vary::of(headers) == Vary::Anything {
        return Err(NotStorable::Vary);
    }
    if explicit.is_none() && !control.public && !is_heuristically_cacheable(status) {
        return Err(NotStorable::Status);
    }
    if is_useful(exchange, &control, lifetimes) { Ok(()) } else { Err(NotStorable::Useless) }
}

fn check_status(status: StatusCode, control: &CacheControl) -> Result<(), NotStorable> {
    let is_final = status.as_u16() >= 200;
    let is_whole = !matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED);
    let is_known = status.canonical_reason().is_some();
    if is_final && is_whole && (is_known || !control.must_understand) { Ok(()) } else { Err(NotStorable::Status) }
}

/// Whether it is meant for all: what answers somebody's credentials, or comes with a cookie, only where the origin says so.
/// With cookies a lifetime will do: half of all requests carry some, for whatever else lives on the host.
fn may_be_shared(
    control: &CacheControl,
    credentials: Credentials,
    explicitly_fresh: bool,
    headers: &HeaderMap,
) -> bool {
    let shared_on_purpose = control.public || control.s_maxage.is_some();
    let allowed = match credentials {
        Credentials::None => true,
        Credentials::Cookie => shared_on_purpose || explicitly_fresh,
        Credentials::Authorization => shared_on_purpose || control.must_revalidate,
    };
    allowed && !control.private && (shared_on_purpose || !headers.contains_key(SET_COOKIE))
}

fn is_useful(exchange: &Exchange<'_>, control: &CacheControl, lifetimes: &Lifetimes) -> bool {
    let headers = exchange.headers;
    let may_be_validated = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    let freshness = Freshness::of(exchange.status, headers, exchange.received_at, lifetimes);
    let windows = control.stale_while_revalidate.max(control.stale_if_error);
    let may_be_used_stale = !freshness.must_revalidate && windows.is_some_and(|seconds| seconds > 0);
    may_be_validated || freshness.lifetime > 0 || may_be_used_stale
}

/// Statuses that may be kept although the origin gives no lifetime (RFC 9110, 15.1).
pub(super) const fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Errors that may pass: all but those that tell of the request or of what is there.
pub(super) const fn is_passing_error(status: StatusCode) -> bool {
    status.as_u16() >= 400 && !matches!(status.as_u16(), 404 | 405 | 410 | 414 | 451 | 501)
}

/// Whether an original may be kept and shown to others. It is asked for in the cache's own name, with the same `Accept`
/// each time, unless a visitor's `credentials` stood in the request.
///
/// # Errors
/// [`NotStorable`], the first reason found.
pub fn storable_image(headers: &HeaderMap, credentials: Credentials) -> Result<(), NotStorable> {
    let (control, _) = CacheControl::for_us(headers);
    if control.no_store && !control.must_understand {
        return Err(NotStorable::NoStore);
    }
    let explicitly_fresh = control.max_age.is_some_and(|seconds| seconds > 0);
    if !may_be_shared(&control, credentials, explicitly_fresh, headers) {
        return Err(NotStorable::Private);
    }
    if varies(headers) {
        return Err(NotStorable::Vary);
    }
    Ok(())
}

/// Whether the origin looks at `Accept`. Asked by the cache it is always sent the same, but not where visitors ask too.
#[must_use]
pub fn varies_by_accept(headers: &HeaderMap) -> bool {
    varied(headers).any(|name| name.eq_ignore_ascii_case(b"accept"))
}

/// Whether `Vary` names a field that the cache does not always send with the same value.
fn varies(headers: &HeaderMap) -> bool {
    let is_constant = |name: &[u8]| {
        name.is_empty()
            || [&b"accept"[..], b"accept-encoding", b"origin"].iter().any(|own| name.eq_ignore_ascii_case(own))
    };
    varied(headers).any(|name| !is_constant(name))
}

fn varied(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(VARY).iter().flat_map(|field| members(field.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use std::time::Duration;

    const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
    const FUTURE: &str = "Tue, 14 Nov 2028 22:13:20 GMT";
    const PAST: &str = "Tue, 14 Nov 2018 22:13:20 GMT";

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
        };
        fields.iter().map(pair).collect()
    }

    fn answer(status: u16, credentials: Credentials, fields: &[(&str, &str)]) -> Result<(), NotStorable> {
        let exchange = Exchange {
            status: StatusCode::from_u16(status).unwrap(),
            request: &RequestDirectives::default(),
            credentials,
            headers: &headers(fields),
            received_at: NOW,
        };
        storable(&exchange, &Lifetimes::default())
    }

    fn plain(status: u16, fields: &[(&str, &str)]) -> Result<(), NotStorable> {
        answer(status, Credentials::None, fields)
    }

    #[test]
    fn what_the_origin_or_the_visitor_forbids_is_not_stored() {
        assert_eq!(plain(200, &[("cache-control", "max-age=60")]), Ok(()));
        assert_eq!(plain(200, &[("cache-control", "max-age=60, no-store")]), Err(NotStorable::NoStore));
        assert_eq!(plain(200, &[("cache-control", "max-age=60, private")]), Err(NotStorable::Private));
        let fields = headers(&[("cache-control", "max-age=60")]);
        let request = RequestDirectives { no_store: true, ..RequestDirectives::default() };
        let (status, credentials) = (StatusCode::OK, Credentials::None);
        let exchange = Exchange { status, request: &request, credentials, headers: &fields, received_at: NOW };
        assert_eq!(storable(&exchange, &Lifetimes::default()), Err(NotStorable::Request));
    }

    #[test]
    fn a_status_that_is_a_part_or_not_final_is_not_stored() {
        for status in [100, 101, 103, 206, 304] {
            assert_eq!(plain(status, &[("cache-control", "public, max-age=60")]), Err(NotStorable::Status), "{status}");
        }
    }

    #[test]
    fn a_status_that_is_not_cacheable_by_default_needs_the_origins_word() {
        let etag = ("etag", "\"x\"");
        for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
            assert_eq!(plain(status, &[etag]), Ok(()), "{status}");
        }
        for status in [201, 202, 299, 302, 303, 307, 400, 401, 403, 499, 500, 503, 599] {
            assert_eq!(plain(status, &[etag]), Err(NotStorable::Status), "{status}");
            for words in ["max-age=60", "s-maxage=60", "public"] {
                assert_eq!(plain(status, &[etag, ("cache-control", words)]), Ok(()), "{status} {words}");
            }
            assert_eq!(plain(status, &[("expires", FUTURE)]), Ok(()), "{status}");
        }
    }

    #[test]
    fn must_understand_goes_by_the_status() {
        let fields = [("cache-control", "max-age=60, must-understand, no-store")];
        assert_eq!(plain(200, &fields), Ok(()));
        assert_eq!(plain(599, &fields), Err(NotStorable::Status));
        assert_eq!(plain(599, &[("cache-control", "max-age=60, must-understand")]), Err(NotStorable::Status));
    }

    #[test]
    fn what_is_meant_for_one_user_is_not_stored() {
        use Credentials::{Authorization, Cookie, None};
        let table = [
            (&[("etag", "\"x\"")][..], None, true),
            (&[("etag", "\"x\"")], Cookie, false),
            (&[("cache-control", "max-age=60")], Cookie, true),
            (&[("cache-control", "max-age=0"), ("etag", "\"x\"")], Cookie, false),
            (&[("cache-control", "no-cache, max-age=60"), ("etag", "\"x\"")], Cookie, false),
            (&[("expires", FUTURE)], Cookie, true),
            (&[("expires", PAST), ("etag", "\"x\"")], Cookie, false),
            (&[("cache-control", "max-age=60")], Authorization, false),
            (&[("expires", FUTURE)], Authorization, false),
            (&[("cache-control", "public, max-age=60")], Authorization, true),
            (&[("cache-control", "s-maxage=60")], Authorization, true),
            (&[("cache-control", "must-revalidate, max-age=60")], Authorization, true),
            (&[("cache-control", "private, must-revalidate, max-age=60")], Authorization, false),
            (&[("cache-control", "max-age=60"), ("set-cookie", "a=b")], None, false),
            (&[("cache-control", "s-maxage=60"), ("set-cookie", "a=b")], None, true),
            (&[("cache-control", "public, max-age=60"), ("set-cookie", "a=b")], None, true),
        ];
        for (fields, credentials, stored) in table {
            let expected = if stored { Ok(()) } else { Err(NotStorable::Private) };
            assert_eq!(answer(200, credentials, fields), expected, "{fields:?} {credentials:?}");
        }
    }

    #[test]
    fn what_varies_by_anything_is_not_stored() {
        for vary in ["*", "accept, *", "a b"] {
            let fields = [("cache-control", "max-age=60"), ("vary", vary)];
            assert_eq!(plain(200, &fields), Err(NotStorable::Vary), "{vary}");
        }
        assert_eq!(plain(200, &[("cache-control", "max-age=60"), ("vary", "user-agent")]), Ok(()));
    }

    #[test]
    fn what_is_of_no_use_is_not_stored() {
        for fields in [
            &[][..],
            &[("cache-control", "no-cache")],
            &[("cache-control", "max-age=0")],
            &[("expires", "0")],
            &[("cache-control", "must-revalidate, max-age=0, stale-if-error=60")],
        ] {
            assert_eq!(plain(200, fields), Err(NotStorable::Useless), "{fields:?}");
        }
        for fields in [
            &[("cache-control", "no-cache"), ("etag", "\"x\"")][..],
            &[("last-modified", PAST)],
            &[("cache-control", "max-age=0, stale-if-error=60")],
            &[("cache-control", "max-age=0, stale-while-revalidate=60")],
            &[("expires", FUTURE), ("date", "foo")],
        ] {
            assert_eq!(plain(200, fields), Ok(()), "{fields:?}");
        }
        let guessing = Lifetimes { heuristic_percent: 10, default: Duration::from_secs(5), ..Lifetimes::default() };
        let (status, credentials) = (StatusCode::OK, Credentials::None);
        let (request, headers) = (&RequestDirectives::default(), &HeaderMap::new());
        let exchange = Exchange { status, request, credentials, headers, received_at: NOW };
        assert_eq!(storable(&exchange, &guessing), Ok(()));
    }

    #[test]
    fn what_is_targeted_at_this_cache_decides() {
        let fields = [("cache-control", "no-store, private"), ("cdn-cache-control", "max-age=60")];
        assert_eq!(plain(200, &fields), Ok(()));
        let fields = [("cache-control", "public, max-age=60"), ("cdn-cache-control", "no-store")];
        assert_eq!(plain(200, &fields), Err(NotStorable::NoStore));
        assert_eq!(storable_image(&headers(&fields), Credentials::None), Err(NotStorable::NoStore));
    }

    #[test]
    fn an_original_that_is_meant_for_one_user_is_not_stored() {
        let cc = |text: &str| headers(&[("cache-control", text)]);
        let none = headers(&[]);
        let cookie = headers(&[("set-cookie", "a=b")]);
        let table = [
            (&none, Credentials::None, Ok(())),
            (&cc("no-store"), Credentials::None, Err(NotStorable::NoStore)),
            (&cc("private"), Credentials::None, Err(NotStorable::Private)),
            (&cookie, Credentials::None, Err(NotStorable::Private)),
            (&none, Credentials::Cookie, Err(NotStorable::Private)),
            (&cc("max-age=60"), Credentials::Cookie, Ok(())),
            (&cc("max-age=60"), Credentials::Authorization, Err(NotStorable::Private)),
            (&cc("public"), Credentials::Authorization, Ok(())),
            (&cc("s-maxage=5"), Credentials::Authorization, Ok(())),
        ];
        for (headers, credentials, expected) in table {
            assert_eq!(storable_image(headers, credentials), expected, "{headers:?} {credentials:?}");
        }
    }

    #[test]
    fn an_original_that_varies_by_what_the_key_does_not_hold_is_not_stored() {
        for (vary, stored) in [("Accept", true), ("accept-encoding, Origin", true), ("User-Agent", false), ("*", false)]
        {
            let answer = storable_image(&headers(&[("vary", vary)]), Credentials::None);
            assert_eq!(answer.is_ok(), stored, "{vary}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_stored_against_a_no_store_or_private_however_it_is_said(
            before in "[ -~]{0,20}", forbidden in prop::sample::select(vec!["no-store", "private", "No-Store=1"]),
            status in 200u16..600,
        ) {
            prop_assume!(!before.contains('"') && !before.contains("must-understand"));
            let value = format!("{before}, {forbidden}, public, max-age=60");
            prop_assert!(plain(status, &[("cache-control", &value)]).is_err());
        }
    }
}

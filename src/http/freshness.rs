//! How long a stored response may be used (RFC 9111, 3 and 4.2), as far as explicit expiry goes: no heuristics, a site's
//! default lifetime where the origin says nothing.

use std::time::Duration;

use http::{
    HeaderMap,
    header::{AGE, DATE, EXPIRES, SET_COOKIE, VARY},
};
use serde::{Deserialize, Serialize};

use crate::image::why_original::WhyOriginal;

use super::{
    cache_control::{CacheControl, MAX_DELTA_SECONDS},
    time::UnixSeconds,
};

/// Why a response may not be kept for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStorable {
    /// `no-store`
    NoStore,
    /// `private`, a cookie, or an answer to credentials that is not marked as public.
    Private,
    /// `Vary` names what the cache's key does not hold.
    Vary,
}

impl NotStorable {
    /// Why the original is passed through.
    #[must_use]
    pub const fn why_original(self) -> WhyOriginal {
        match self {
            Self::NoStore => WhyOriginal::NoStore,
            Self::Private => WhyOriginal::Private,
            Self::Vary => WhyOriginal::Vary,
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

/// Whether a 200 may be kept and shown to others (RFC 9111, 3 and 3.5).
///
/// # Errors
/// [`NotStorable`], the first reason found.
pub fn storable(headers: &HeaderMap, credentials: Credentials) -> Result<(), NotStorable> {
    let control = CacheControl::of(headers);
    let shared_on_purpose = control.public || control.s_maxage.is_some();
    let allowed = match credentials {
        Credentials::None => true,
        Credentials::Cookie => shared_on_purpose || control.max_age.is_some_and(|seconds| seconds > 0),
        Credentials::Authorization => shared_on_purpose || control.must_revalidate,
    };
    if control.no_store {
        return Err(NotStorable::NoStore);
    }
    if control.private || !allowed || (headers.contains_key(SET_COOKIE) && !shared_on_purpose) {
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
    headers.get_all(VARY).iter().any(|field| {
        field.as_bytes().split(|byte| *byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(b"accept"))
    })
}

/// Whether `Vary` names a field that the cache does not always send with the same value.
fn varies(headers: &HeaderMap) -> bool {
    headers.get_all(VARY).iter().any(|field| {
        field.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|name| {
            !(name.is_empty()
                || name.eq_ignore_ascii_case(b"accept")
                || name.eq_ignore_ascii_case(b"accept-encoding")
                || name.eq_ignore_ascii_case(b"origin"))
        })
    })
}

/// When a stored response was made, and how long it is fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// When it came from the origin, or was last validated.
    pub received_at: UnixSeconds,
    /// How old it was then, in seconds (`Age`, or what `Date` shows).
    pub initial_age: u64,
    /// How many seconds after its making it is fresh.
    pub lifetime: u64,
    /// Once stale, it may not stand in for an origin that fails.
    pub must_revalidate: bool,
}

impl Freshness {
    /// Reads the lifetime of a response received at `received_at`: `s-maxage`, else `max-age`, else `Expires` − `Date`, else
    /// `default_ttl`; 0 with `no-cache`.
    #[must_use]
    pub fn of(headers: &HeaderMap, received_at: UnixSeconds, default_ttl: Duration) -> Self {
        let control = CacheControl::of(headers);
        let date = date_field(headers, &DATE);
        let lifetime = if control.no_cache {
            0
        } else if let Some(seconds) = control.s_maxage.or(control.max_age) {
            seconds
        } else if headers.contains_key(EXPIRES) {
            // An `Expires` that is no date has expired (5.3); of several, the first to expire counts.
            let expires = headers.get_all(EXPIRES).iter().map(|value| parse_date(value.as_bytes())).min().flatten();
            expires.map_or(0, |expires| expires.since(date.unwrap_or(received_at)))
        } else {
            default_ttl.as_secs()
        };
        let age_value = headers.get(AGE).map_or(0, |value| first_seconds(value.as_bytes()));
        let apparent_age = date.map_or(0, |date| received_at.since(date));
        Self {
            received_at,
            initial_age: age_value.max(apparent_age),
            lifetime: lifetime.min(MAX_DELTA_SECONDS),
            must_revalidate: control.must_revalidate || control.no_cache || control.s_maxage.is_some(),
        }
    }

    /// The current age in seconds (RFC 9111, 4.2.3).
    #[must_use]
    pub const fn age(&self, now: UnixSeconds) -> u64 {
        self.initial_age.saturating_add(now.since(self.received_at))
    }

    /// Whether it may be used without asking the origin.
    #[must_use]
    pub const fn is_fresh(&self, now: UnixSeconds) -> bool {
        self.age(now) < self.lifetime
    }

    /// Seconds until it is stale, negative once it is.
    #[must_use]
    pub fn remaining(&self, now: UnixSeconds) -> i64 {
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        signed(self.lifetime).saturating_sub(signed(self.age(now)))
    }
}

fn date_field(headers: &HeaderMap, name: &http::HeaderName) -> Option<UnixSeconds> {
    headers.get(name).and_then(|value| parse_date(value.as_bytes()))
}

fn parse_date(value: &[u8]) -> Option<UnixSeconds> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok().map(UnixSeconds::from)
}

/// The first member of an `Age` list (5.1); what is no number counts as 0.
fn first_seconds(value: &[u8]) -> u64 {
    let first = value.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if first.is_empty() || !first.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    first.iter().fold(0, |seconds: u64, digit| (seconds * 10 + u64::from(digit - b'0')).min(MAX_DELTA_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
    const DEFAULT: Duration = Duration::from_secs(600);

    fn headers(fields: &[(&str, String)]) -> HeaderMap {
        let pair = |(name, value): &(&str, String)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(value.as_str()).unwrap())
        };
        fields.iter().map(pair).collect()
    }

    fn http_date(at: UnixSeconds) -> String {
        httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(at.0))
    }

    fn lifetime(fields: &[(&str, String)]) -> u64 {
        Freshness::of(&headers(fields), NOW, DEFAULT).lifetime
    }

    #[test]
    fn the_lifetime_is_s_maxage_then_max_age_then_expires_then_the_sites_default() {
        let cc = |text: &str| ("cache-control", text.to_owned());
        let expires = ("expires", http_date(UnixSeconds(NOW.0 + 100)));
        assert_eq!(lifetime(&[cc("max-age=60, s-maxage=30"), expires.clone()]), 30);
        assert_eq!(lifetime(&[cc("max-age=60"), expires.clone()]), 60);
        assert_eq!(lifetime(std::slice::from_ref(&expires)), 100);
        assert_eq!(lifetime(&[expires.clone(), ("date", http_date(UnixSeconds(NOW.0 - 50)))]), 150);
        assert_eq!(lifetime(&[("expires", "0".to_owned())]), 0);
        assert_eq!(lifetime(&[]), 600);
        assert_eq!(lifetime(&[cc("no-cache, max-age=60")]), 0);
    }

    #[test]
    fn age_counts_what_upstream_caches_added() {
        let fields = [("age", "100, 5".to_owned()), ("cache-control", "max-age=150".to_owned())];
        let freshness = Freshness::of(&headers(&fields), NOW, DEFAULT);
        assert_eq!(freshness.age(UnixSeconds(NOW.0 + 20)), 120);
        assert!(freshness.is_fresh(UnixSeconds(NOW.0 + 49)));
        assert!(!freshness.is_fresh(UnixSeconds(NOW.0 + 50)));
        assert_eq!(freshness.remaining(UnixSeconds(NOW.0 + 60)), -10);
    }

    #[test]
    fn an_old_date_is_an_age() {
        let fields = [("date", http_date(UnixSeconds(NOW.0 - 70)))];
        assert_eq!(Freshness::of(&headers(&fields), NOW, DEFAULT).age(NOW), 70);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_overflow() {
        let freshness = Freshness::of(&headers(&[]), NOW, DEFAULT);
        assert_eq!(freshness.age(UnixSeconds(0)), 0);
    }

    #[test]
    fn what_is_meant_for_one_user_is_not_stored() {
        let cc = |text: &str| headers(&[("cache-control", text.to_owned())]);
        let none = headers(&[]);
        let cookie = headers(&[("set-cookie", "a=b".to_owned())]);
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
            assert_eq!(storable(headers, credentials), expected, "{headers:?} {credentials:?}");
        }
    }

    #[test]
    fn vary_on_what_the_key_does_not_hold_is_not_stored() {
        for (vary, stored) in [("Accept", true), ("accept-encoding, Origin", true), ("User-Agent", false), ("*", false)]
        {
            let answer = storable(&headers(&[("vary", vary.to_owned())]), Credentials::None);
            assert_eq!(answer.is_ok(), stored, "{vary}");
        }
    }
}

//! Response heads: variants and originals with their validators, age and cache status; conditions and ranges (RFC 9110, 13
//! and 14).

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
        EXPIRES, LOCATION, SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};

use url::Url;

use super::{
    body::{EdgeBody, Told},
    sites::Site,
    vary::Varies,
};
use crate::{
    cache::object::{SourceFacts, SourceHead, StoredBody, Variant},
    coalesce::fill::FillReader,
    develop::{SourceFill, remembered::Absent, variants::Stages},
    http::{
        cache_status::{CacheStatus, Handling},
        conditional,
        freshness::Freshness,
        range::{self, Selection},
        targeted::CDN_CACHE_CONTROL,
        time::UnixSeconds,
    },
    image::{format::OutputFormat, why_original::WhyOriginal},
    origin::fetch::OriginResponse,
    telemetry::outcome::{Delivered, Outcome},
};

pub(super) const CACHE_STATUS: http::HeaderName = http::HeaderName::from_static("cache-status");
pub(super) const SERVER_TIMING: http::HeaderName = http::HeaderName::from_static("server-timing");
/// How long an original that is served in essential mode may be kept: recovery is seen soon (`billing.md` rule 15).
const ESSENTIAL_TTL_SECONDS: u64 = 60;

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// What a response needs to know of its request.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// The request's method.
    pub(super) method: &'a Method,
    /// The request's fields.
    pub(super) headers: &'a HeaderMap,
    /// The site.
    pub(super) site: &'a Site,
    /// This cache's name.
    pub(super) cache_name: &'a str,
    /// The clock.
    pub(super) now: UnixSeconds,
    /// What of the request has a say.
    pub(super) varies: Varies,
}

/// How the answer was come by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    /// In the words of `Cache-Status`.
    pub(super) handling: Handling,
    /// In the words of log and metrics.
    pub(super) outcome: Outcome,
    /// Whether another's fetch was waited for.
    pub(super) collapsed: bool,
    /// Milliseconds that the origin took, where it was asked.
    pub(super) origin_ms: Option<f64>,
    /// The codecs' stages, where there were any.
    pub(super) stages: Option<Stages>,
}

impl Way {
    /// From the cache.
    pub(super) const HIT: Self =
        Self { handling: Handling::Hit, outcome: Outcome::Hit, collapsed: false, origin_ms: None, stages: None };
    /// From the cache, stale, while the origin is asked.
    pub(super) const HIT_WHILE_VALIDATED: Self = Self { outcome: Outcome::Stale, ..Self::HIT };
}

/// A head and body, and what is told of them.
pub(super) type Answer = (Response<EdgeBody>, Told);

/// A variant.
pub(super) fn variant(context: Context<'_>, variant: &Variant, head: &SourceHead, way: Way) -> Answer {
    let format = variant.facts.format;
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(ETAG, variant.etag.clone());
    let freshness = &head.facts.freshness;
    insert_cache_control(&mut headers, &head.facts, context.site, way, None);
    headers.insert(AGE, freshness.age(context.now).into());
    headers.insert(CACHE_STATUS, cache_status(context, way, Some(freshness), format.name()));
    headers.insert(SERVER_TIMING, server_timing(way, Delivered::Variant(format)));
    let told = Told {
        source_len: Some(variant.facts.source_len),
        saves: variant.facts.source_len.saturating_sub(variant.body.len()),
        ..told(way, way.outcome, Delivered::Variant(format))
    };
    representation(context, headers, &variant.body, told)
}

/// A stored original.
pub(super) fn original(
    context: Context<'_>,
    head: &SourceHead,
    body: &StoredBody,
    why: WhyOriginal,
    way: Way,
) -> Answer {
    let mut headers = original_headers(context, &head.facts, why, way);
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", head.version)) {
        headers.insert(ETAG, etag);
    }
    let told = Told { source_len: Some(head.len), ..told(way, original_outcome(way), Delivered::Original(why)) };
    representation(context, headers, body, told)
}

/// Sends the visitor to the origin for an original in essential mode.
pub(super) fn redirected(context: Context<'_>, url: &Url) -> Answer {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(LOCATION, text(url.as_str().to_owned()));
    headers.insert(CACHE_CONTROL, max_age(ESSENTIAL_TTL_SECONDS));
    let why = WhyOriginal::Essential;
    let way = Way { handling: Handling::Bypass, outcome: Outcome::Original, ..Way::HIT };
    headers.insert(CACHE_STATUS, cache_status(context, way, None, why.name()));
    headers.insert(CONTENT_LENGTH, 0.into());
    (response(StatusCode::FOUND, headers, EdgeBody::empty()), told(way, Outcome::Original, Delivered::Original(why)))
}

/// An original on its way in: it is sent as it comes, whole.
pub(super) fn filling(
    context: Context<'_>,
    fill: &SourceFill,
    reader: FillReader<SourceFacts, SourceHead>,
    why: WhyOriginal,
    way: Way,
) -> Answer {
    let mut headers = original_headers(context, &fill.facts, why, way);
    let told = Told { source_len: fill.announced_len, ..told(way, Outcome::Original, Delivered::Original(why)) };
    if let Some(len) = fill.announced_len {
        headers.insert(CONTENT_LENGTH, len.into());
    }
    let body = match *context.method {
        Method::HEAD => EdgeBody::empty(),
        _ => EdgeBody::filling(reader, fill.announced_len),
    };
    (response(StatusCode::OK, headers, body), told)
}

/// An origin's response as it is, for the one who asked.
pub(super) fn direct(context: Context<'_>, origin: OriginResponse, why: Option<WhyOriginal>, way: Way) -> Answer {
    let status = origin.status;
    let mut headers = origin.headers.clone();
    if let Some(location) = origin.location().and_then(|location| HeaderValue::try_from(location.as_str()).ok())
        && why == Some(WhyOriginal::Redirect)
    {
        // What was asked for under our own path was fetched under another: a relative location would lead elsewhere.
        headers.insert(LOCATION, location);
    }
    if why.is_some() {
        add_vary(&mut headers, context.varies);
    }
    if why == Some(WhyOriginal::Busy) {
        let lifetime = Freshness::of(status, &headers, context.now, &context.site.lifetimes).lifetime;
        for name in [EXPIRES, AGE, CDN_CACHE_CONTROL] {
            headers.remove(name);
        }
        headers.insert(CACHE_CONTROL, passing_cache_control(context.site, lifetime));
    }
    if !context.site.rules.allowed.is_own(&origin.url) {
        disarm(&mut headers);
    } else {
        shield(&mut headers);
    }
    headers.append(CACHE_STATUS, cache_status(context, way, None, why.map_or("", WhyOriginal::name)));
    let delivered = why.filter(|_| status == StatusCode::OK).map_or(Delivered::Other, Delivered::Original);
    headers.append(SERVER_TIMING, server_timing(way, delivered));
    let outcome = if delivered == Delivered::Other { Outcome::Passthrough } else { Outcome::Original };
    let told = Told { source_len: origin.content_length(), ..told(way, outcome, delivered) };
    let body = if *context.method == Method::HEAD { EdgeBody::empty() } else { EdgeBody::origin(origin) };
    (response(status, headers, body), told)
}

/// A remembered 404 or 410.
pub(super) fn absent(context: Context<'_>, absent: &Absent, way: Way) -> Answer {
    let mut headers = HeaderMap::with_capacity(8);
    if let Some(content_type) = &absent.content_type {
        headers.insert(CONTENT_TYPE, content_type.clone());
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if let Some(fields) = context.varies.fields() {
        headers.insert(VARY, fields);
    }
    let remembered_for = absent.until.map(|until| until.since(context.now));
    headers.insert(
        CACHE_CONTROL,
        remembered_for.map_or(HeaderValue::from_static("no-store"), |left| passing_cache_control(context.site, left)),
    );
    if !context.site.rules.allowed.is_own(&absent.url) {
        disarm(&mut headers);
    }
    headers.insert(CACHE_STATUS, cache_status(context, way, None, WhyOriginal::Status.name()));
    headers.insert(CONTENT_LENGTH, absent.body.len().into());
    let body = match *context.method {
        Method::HEAD => Bytes::new(),
        _ => absent.body.clone(),
    };
    (response(absent.status, headers, EdgeBody::whole(body)), told(way, Outcome::Error, Delivered::Other))
}

/// Answers conditions and ranges on something whose bytes are all there.
fn representation(context: Context<'_>, mut headers: HeaderMap, body: &StoredBody, told: Told) -> Answer {
    if let Some(fields) = context.varies.fields() {
        headers.insert(VARY, fields);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    let etag = headers.get(ETAG);
    if etag.is_some_and(|etag| conditional::not_modified(context.headers, etag)) {
        headers.remove(CONTENT_TYPE);
        return (response(StatusCode::NOT_MODIFIED, headers, EdgeBody::empty()), told);
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let selection = match headers.get(ETAG) {
        Some(etag) if *context.method == Method::GET && conditional::range_holds(context.headers, etag) => {
            range::select(context.headers, body.len())
        }
        _ => Selection::Whole,
    };
    selected(context, headers, body, selection, told)
}

/// What is selected of something whose bytes are all there.
pub(super) fn selected(
    context: Context<'_>,
    mut headers: HeaderMap,
    body: &StoredBody,
    selection: Selection,
    told: Told,
) -> Answer {
    let len = body.len();
    let (status, first, take) = match selection {
        Selection::Whole => (StatusCode::OK, 0, len),
        Selection::Part { first, last } => {
            headers.insert(CONTENT_RANGE, text(format!("bytes {first}-{last}/{len}")));
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Selection::Unsatisfiable => {
            headers.insert(CONTENT_RANGE, text(format!("bytes */{len}")));
            headers.remove(CONTENT_TYPE);
            (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0)
        }
    };
    headers.insert(CONTENT_LENGTH, take.into());
    let body = match *context.method {
        Method::HEAD => EdgeBody::empty(),
        _ => EdgeBody::stored(body, first, take),
    };
    (response(status, headers, body), Told { content_len: Some(len), ..told })
}

/// A span as `Server-Timing` and the log have it.
pub(super) fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

fn original_headers(context: Context<'_>, facts: &SourceFacts, why: WhyOriginal, way: Way) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(facts.input.media_type()));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if let Some(fields) = context.varies.fields() {
        headers.insert(VARY, fields);
    }
    insert_cache_control(&mut headers, facts, context.site, way, Some(why));
    // The short lifetime of a stand-in counts from now: an age would use it up before it begins.
    if !why.is_passing() {
        headers.insert(AGE, facts.freshness.age(context.now).into());
    }
    headers.insert(CACHE_STATUS, cache_status(context, way, Some(&facts.freshness), why.name()));
    headers.insert(SERVER_TIMING, server_timing(way, Delivered::Original(why)));
    headers
}

fn original_outcome(way: Way) -> Outcome {
    if way.outcome == Outcome::Stale { Outcome::Stale } else { Outcome::Original }
}

pub(super) fn told(way: Way, outcome: Outcome, delivered: Delivered) -> Told {
    Told { origin_ms: way.origin_ms, stages: way.stages, ..Told::new(outcome, delivered) }
}

/// What the origin said; a short lifetime for what the next view may get better, or what stands in for an origin that failed.
fn insert_cache_control(headers: &mut HeaderMap, facts: &SourceFacts, site: &Site, way: Way, why: Option<WhyOriginal>) {
    if let Some(ours) = own_cache_control(facts, site, way, why) {
        headers.insert(CACHE_CONTROL, ours);
        return;
    }
    let said = HeaderValue::from_str(&facts.cache_control);
    headers.insert(CACHE_CONTROL, said.unwrap_or_else(|_| HeaderValue::from_static("no-cache")));
    // Other caches that work in the origin's name may stand before this one (RFC 9213, 3).
    if let Some(said) = facts.cdn_cache_control.as_ref().and_then(|said| HeaderValue::from_str(said).ok()) {
        headers.insert(CDN_CACHE_CONTROL, said);
    }
}

/// What goes in place of the origin's word.
fn own_cache_control(facts: &SourceFacts, site: &Site, way: Way, why: Option<WhyOriginal>) -> Option<HeaderValue> {
    if why == Some(WhyOriginal::Essential) {
        return Some(max_age(ESSENTIAL_TTL_SECONDS.min(facts.freshness.lifetime)));
    }
    // Another client may not forbid what this one did.
    let is_clients_wish = why == Some(WhyOriginal::NoTransform) && !facts.no_transform;
    let stands_in = way.outcome == Outcome::Stale && way.handling != Handling::Hit;
    if is_clients_wish || why.is_some_and(WhyOriginal::is_passing) || stands_in {
        return Some(passing_cache_control(site, facts.freshness.lifetime));
    }
    None
}

fn passing_cache_control(site: &Site, lifetime: u64) -> HeaderValue {
    max_age(site.fallback_ttl.as_secs().min(lifetime))
}

fn max_age(seconds: u64) -> HeaderValue {
    text(format!("public, max-age={seconds}"))
}

pub(super) fn cache_status(context: Context<'_>, way: Way, freshness: Option<&Freshness>, detail: &str) -> HeaderValue {
    let stored = matches!(way.handling, Handling::Hit | Handling::Stale);
    CacheStatus {
        ttl: freshness.filter(|_| stored).map(|freshness| freshness.remaining(context.now)),
        collapsed: way.collapsed,
        detail,
        ..CacheStatus::new(context.cache_name, way.handling)
    }
    .to_value()
}

/// `Server-Timing`: where the answer came from and what was delivered, and on a miss the milliseconds that it took.
pub(super) fn server_timing(way: Way, delivered: Delivered) -> HeaderValue {
    if way.outcome == Outcome::Hit
        && let Delivered::Variant(format) = delivered
    {
        return HeaderValue::from_static(match format {
            OutputFormat::Avif => "cache;desc=hit, format;desc=avif",
            OutputFormat::WebP => "cache;desc=hit, format;desc=webp",
            OutputFormat::Jpeg => "cache;desc=hit, format;desc=jpeg",
            OutputFormat::Png => "cache;desc=hit, format;desc=png",
        });
    }
    let mut timing = String::with_capacity(128);
    // Writing to a String does not fail.
    let _ = write!(timing, "cache;desc={}, format;desc={}", way.outcome.name(), delivered.format());
    if let Some(origin_ms) = way.origin_ms {
        let _ = write!(timing, ", origin;dur={origin_ms:.1}");
    }
    if let Some(Stages { decode_ms, resize_ms, encode_ms }) = way.stages {
        let _ = write!(timing, ", decode;dur={decode_ms:.1}, resize;dur={resize_ms:.1}, encode;dur={encode_ms:.1}");
    }
    text(timing)
}

/// What another host than the site's own sent must not act as the site: no scripts, no cookies (`Content-Security-Policy`,
/// `sandbox`). Pictures, SVG among them, still show.
fn disarm(headers: &mut HeaderMap) {
    headers.remove(SET_COOKIE);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
}

/// An SVG is a document that can run scripts in the site's name when it is opened by itself: it may style itself and show what
/// it carries, and no more. A policy that the origin gives holds beside it.
const SVG_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; sandbox");

/// Adds the policy to an SVG.
pub(super) fn shield(headers: &mut HeaderMap) {
    if is_svg(headers) {
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        headers.append(CONTENT_SECURITY_POLICY, SVG_POLICY);
    }
}

fn is_svg(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(b"image/svg+xml")
    })
}

/// Adds what ours varies by to what the origin's does.
fn add_vary(headers: &mut HeaderMap, varies: Varies) {
    let names = |headers: &HeaderMap, name: &str| {
        headers.get_all(VARY).iter().any(|field| {
            field.as_bytes().split(|byte| *byte == b',').any(|named| {
                let named = named.trim_ascii();
                named == b"*" || named.eq_ignore_ascii_case(name.as_bytes())
            })
        })
    };
    for name in varies.names() {
        if !names(headers, name) {
            headers.append(VARY, HeaderValue::from_static(name));
        }
    }
}

/// A field value of our own making: plain ASCII by construction.
pub(super) fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

pub(super) fn response(status: StatusCode, headers: HeaderMap, body: EdgeBody) -> Response<EdgeBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_host_sends_cannot_act_as_the_site() {
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("text/html")),
            (SET_COOKIE, HeaderValue::from_static("session=theirs")),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static("script-src *")),
        ]);
        disarm(&mut headers);
        assert!(!headers.contains_key(SET_COOKIE));
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'none'; sandbox");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}

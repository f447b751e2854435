//! Heads of what passes through the cache: as the origin gave them, with age and cache status; conditions and ranges are
//! answered from complete responses (RFC 9111, 4.3.2; RFC 9110, 13 and 14).

use http::{
    HeaderMap, Method, StatusCode,
    header::{
        ACCEPT_RANGES, AGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE,
        ETAG, LAST_MODIFIED,
    },
};

use super::{
    body::{EdgeBody, Told},
    respond::{Answer, CACHE_STATUS, Context, SERVER_TIMING, Way, response, selected, server_timing, shield, told},
};
use crate::{
    cache::{object::StoredBody, response::ResponseHead},
    coalesce::fill::FillReader,
    http::{
        cache_status::{CacheStatus, Handling},
        conditional::{self, Known, Outcome as Condition},
        date,
        freshness::Freshness,
        range::{self, Selection},
    },
    image::why_original::WhyOriginal,
    relay::{Draft, RelayFill},
    telemetry::outcome::Delivered,
};

/// What describes a body: a 304 has none (RFC 9110, 15.4.5).
const DESCRIBES_BODY: [http::HeaderName; 6] =
    [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_RANGE, ACCEPT_RANGES];

/// A stored response.
pub(super) fn stored(context: Context<'_>, head: &ResponseHead, body: &StoredBody, way: Way) -> Answer {
    let delivered = delivered(head.why_original);
    let mut headers = fields(context, &head.fields, &head.freshness, way, (delivered, Storing::Done));
    let told = told(way, way.outcome, delivered);
    if head.status != StatusCode::OK {
        return whole(context, head.status, headers, body, told);
    }
    if is_not_modified(context, &headers) {
        return not_modified(headers, told);
    }
    headers.insert(ACCEPT_RANGES, http::HeaderValue::from_static("bytes"));
    let selection = match *context.method {
        Method::GET if conditional::range_holds_for(context.headers, known(&headers)) => {
            range::select(context.headers, head.len)
        }
        _ => Selection::Whole,
    };
    selected(context, headers, body, selection, told)
}

/// A response on its way in: it is sent as it comes, whole.
pub(super) fn filling(
    context: Context<'_>,
    fill: &RelayFill,
    reader: FillReader<Draft, ResponseHead>,
    way: Way,
) -> Answer {
    let Draft { status, fields: stored, freshness, why_original, .. } = &fill.facts;
    let delivered = delivered(*why_original);
    let mut headers = fields(context, stored, freshness, way, (delivered, Storing::Now));
    let told = told(way, way.outcome, delivered);
    if *status == StatusCode::OK && is_not_modified(context, &headers) {
        return not_modified(headers, told);
    }
    if let Some(len) = fill.announced_len.filter(|_| *status != StatusCode::NO_CONTENT) {
        headers.insert(CONTENT_LENGTH, len.into());
    }
    (response(*status, headers, EdgeBody::filling(reader, fill.announced_len)), told)
}

fn whole(context: Context<'_>, status: StatusCode, mut headers: HeaderMap, body: &StoredBody, told: Told) -> Answer {
    let has_none = *context.method == Method::HEAD || status == StatusCode::NO_CONTENT;
    if status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    } else {
        headers.insert(CONTENT_LENGTH, body.len().into());
    }
    let body = if has_none { EdgeBody::empty() } else { EdgeBody::stored(body, 0, body.len()) };
    (response(status, headers, body), told)
}

fn is_not_modified(context: Context<'_>, headers: &HeaderMap) -> bool {
    let Known { etag, last_modified, date } = known(headers);
    conditional::evaluate(context.method, context.headers, etag, last_modified, date) == Condition::NotModified
}

/// What the client may know it by.
fn known(headers: &HeaderMap) -> Known<'_> {
    let date_of = |name| date::single(headers, &name);
    Known { etag: headers.get(ETAG), last_modified: date_of(LAST_MODIFIED), date: date_of(DATE) }
}

fn not_modified(mut headers: HeaderMap, told: Told) -> Answer {
    for name in DESCRIBES_BODY {
        headers.remove(name);
    }
    (response(StatusCode::NOT_MODIFIED, headers, EdgeBody::empty()), told)
}

const fn delivered(why_original: Option<WhyOriginal>) -> Delivered {
    match why_original {
        Some(why) => Delivered::Original(why),
        None => Delivered::Other,
    }
}

/// Whether what is sent is in the cache, or on its way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storing {
    Done,
    Now,
}

fn fields(
    context: Context<'_>,
    stored: &HeaderMap,
    freshness: &Freshness,
    way: Way,
    (delivered, storing): (Delivered, Storing),
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(stored.len() + 6);
    headers.extend(stored.iter().map(|(name, value)| (name.clone(), value.clone())));
    headers.insert(AGE, freshness.age(context.now).into());
    let status = CacheStatus {
        ttl: (storing == Storing::Done).then(|| freshness.remaining(context.now)),
        stored: storing == Storing::Now && way.handling != Handling::Hit,
        collapsed: way.collapsed,
        detail: if delivered == Delivered::Other { "" } else { delivered.detail() },
        ..CacheStatus::new(context.cache_name, way.handling)
    };
    headers.append(CACHE_STATUS, status.to_value());
    headers.append(SERVER_TIMING, server_timing(way, delivered));
    shield(&mut headers);
    headers
}

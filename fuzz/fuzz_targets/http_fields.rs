//! The rules of HTTP on fields that anybody may have written, of a request and a response at once: one `name: value` a line.
//! Nothing panics, and what is promised of any input holds.
#![no_main]

use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use libfuzzer_sys::{Corpus, fuzz_target};
use lightmeter_fuzz::{
    fields,
    http::{
        cache_control::CacheControl,
        cache_status::{CacheStatus, Handling},
        conditional::{self, Known},
        date, forwarding,
        freshness::{Freshness, Lifetimes},
        invalidation::invalidated,
        range::{self, Selection},
        request_directives::RequestDirectives,
        save_data,
        storability::{Credentials, Exchange, storable, storable_image},
        time::UnixSeconds,
        update::{freshen, storable_fields},
        vary::{self, Vary},
    },
    request::negotiate::negotiate,
};
use lightmeter_image::options::FormatChoice;
use sfv::{List, Parser};
use url::Url;

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
const SITE: Lifetimes = Lifetimes {
    default: Duration::from_secs(600),
    min: Duration::from_secs(5),
    max: Duration::from_secs(90_000),
    heuristic_percent: 10,
    stale_if_error: Duration::from_secs(1_000),
};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some(fields) = fields(bytes.split(|byte| *byte == b'\n')) else { return Corpus::Reject };
    lifetimes(&fields);
    selection(&fields);
    conditions(&fields);
    stored(&fields);
    told(&fields);
    Corpus::Keep
});

fn lifetimes(fields: &HeaderMap) {
    let (control, _) = CacheControl::for_us(fields);
    let request = RequestDirectives::of(fields);
    for status in [200, 206, 302, 404, 503, 599].map(|status| StatusCode::from_u16(status).unwrap()) {
        let freshness = Freshness::of(status, fields, NOW, &SITE);
        assert!(freshness.lifetime <= SITE.max.as_secs());
        assert!(!control.no_cache || freshness.lifetime == 0);
        for later in [0, 1, 600, 90_000, u64::MAX].map(|seconds| UnixSeconds(NOW.0.saturating_add(seconds))) {
            let may_be_used_stale = freshness.may_stand_in(later) || freshness.may_serve_while_revalidating(later);
            assert!(!may_be_used_stale || !(freshness.is_fresh(later) || freshness.must_revalidate));
            assert!(!freshness.expired_at(later).is_fresh(later));
            assert_eq!(freshness.remaining(later) > 0, freshness.is_fresh(later));
        }
        for credentials in [Credentials::None, Credentials::Cookie, Credentials::Authorization] {
            let exchange = Exchange { status, request: &request, credentials, headers: fields, received_at: NOW };
            let is_stored = storable(&exchange, &SITE).is_ok();
            let is_forbidden = control.private || request.no_store || (control.no_store && !control.must_understand);
            assert!(!(is_stored && is_forbidden));
        }
    }
    let _ = storable_image(fields, Credentials::None);
}

fn selection(fields: &HeaderMap) {
    let names = match Vary::of(fields) {
        Vary::Fields(names) => names,
        Vary::Nothing | Vary::Anything => vec![header::ACCEPT_ENCODING, header::ACCEPT_LANGUAGE],
    };
    assert!(names.len() <= vary::MAX_FIELDS);
    let selecting = vary::selecting(&names, fields);
    assert!(selecting.as_ref().is_none_or(|key| key.len() <= vary::MAX_SELECTING_BYTES));
    // Several lines select what one line of them selects.
    let mut joined = fields.clone();
    for name in &names {
        let lines: Vec<&[u8]> = fields.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        if let (false, Ok(line)) = (lines.is_empty(), HeaderValue::from_bytes(&lines.join(&b", "[..]))) {
            joined.insert(name.clone(), line);
        }
    }
    if let (Some(apart), Some(joined)) = (selecting, vary::selecting(&names, &joined)) {
        let is_quoted = names.iter().flat_map(|name| fields.get_all(name)).any(|value| value.as_bytes().contains(&b'"'));
        assert!(is_quoted || apart == joined);
    }
    let accept = fields.get_all(header::ACCEPT).iter().map(HeaderValue::as_bytes);
    assert!(!negotiate(accept, FormatChoice::Auto).as_slice().is_empty());
    let _ = save_data::is_on(fields);
}

fn conditions(fields: &HeaderMap) {
    for len in [0, 1, 1_000, u64::MAX] {
        if let Selection::Part { first, last } = range::select(fields, len) {
            assert!(first <= last && last < len);
        }
    }
    let etag = fields.get(header::ETAG);
    let last_modified = date::single(fields, &header::LAST_MODIFIED);
    let date = date::single(fields, &header::DATE);
    for method in [Method::GET, Method::HEAD, Method::POST] {
        let _ = conditional::evaluate(&method, fields, etag, last_modified, date);
    }
    let _ = conditional::range_holds_for(fields, Known { etag, last_modified, date });
}

fn stored(fields: &HeaderMap) {
    let stored = storable_fields(fields);
    assert!(!stored.contains_key(header::SET_COOKIE) && !stored.contains_key(header::CONNECTION));
    let mut freshened = stored.clone();
    freshen(&mut freshened, fields);
    for name in [header::ETAG, header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::CONTENT_RANGE] {
        assert!(freshened.get_all(&name).iter().eq(stored.get_all(&name).iter()));
    }
    let target = Url::parse("https://shop.example/a/b?c").unwrap();
    for url in invalidated(&Method::POST, &target, StatusCode::OK, fields) {
        assert_eq!(url.origin(), target.origin());
    }
    let _ = forwarding::has_looped(fields, "lightmeter");
}

fn told(fields: &HeaderMap) {
    let detail = fields.values().next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let told = CacheStatus { detail, ..CacheStatus::new("lightmeter", Handling::Hit) }.to_value();
    let members: List = Parser::new(told.as_bytes()).parse().expect("it is a list of structured fields");
    assert_eq!(members.len(), 1);
}

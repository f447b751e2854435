//! What a response says of an original, as it is stored beside it: freshness, validators, what goes to caches behind us.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, ETAG, EXPIRES, LAST_MODIFIED},
};

use crate::{
    cache::{
        object::{SourceFacts, SourceHead},
        purge::Generation,
    },
    http::{
        cache_control::{CacheControl, Source},
        freshness::{Freshness, Lifetimes},
        surrogate::SURROGATE_CONTROL,
        targeted::CDN_CACHE_CONTROL,
        time::UnixSeconds,
    },
    image::format::InputFormat,
    origin::fetch::{OriginResponse, Validators},
};

/// The longest field value that is kept. Longer validators are as none, which only costs a fetch in full.
const MAX_FIELD_BYTES: usize = 4 * 1024;

/// When the origin was asked for what came just `now`: it may have been made then, and counts as that old (RFC 9111, 4.2.3).
pub(super) const fn asked_at(response: &OriginResponse, now: UnixSeconds) -> UnixSeconds {
    now.minus(response.waited)
}

/// What the fields of a 200 say, asked for at `now`.
pub(super) fn facts_of(
    input: InputFormat,
    headers: &HeaderMap,
    now: UnixSeconds,
    lifetimes: &Lifetimes,
) -> SourceFacts {
    let freshness = Freshness::of(StatusCode::OK, headers, now, lifetimes);
    SourceFacts {
        input,
        freshness,
        etag: text(headers, &ETAG),
        last_modified: text(headers, &LAST_MODIFIED),
        cache_control: downstream_cache_control(headers, &freshness, lifetimes),
        cdn_cache_control: joined(headers, &CDN_CACHE_CONTROL),
        no_transform: CacheControl::of(headers).no_transform || CacheControl::for_us(headers).0.no_transform,
    }
}

/// A head after the origin, asked at `birth`, said that it still holds (RFC 9111, 4.3.4).
pub(super) fn freshened(
    head: &SourceHead,
    birth: Generation,
    headers: &HeaderMap,
    now: UnixSeconds,
    lifetimes: &Lifetimes,
) -> SourceHead {
    let mut fresh = facts_of(head.facts.input, headers, now, lifetimes);
    fresh.etag = fresh.etag.or_else(|| head.facts.etag.clone());
    fresh.last_modified = fresh.last_modified.or_else(|| head.facts.last_modified.clone());
    let says_nothing =
        [CACHE_CONTROL, EXPIRES, CDN_CACHE_CONTROL, SURROGATE_CONTROL].iter().all(|name| !headers.contains_key(name));
    if says_nothing {
        fresh.cache_control.clone_from(&head.facts.cache_control);
        fresh.cdn_cache_control.clone_from(&head.facts.cdn_cache_control);
        fresh.no_transform = head.facts.no_transform;
        let Freshness { received_at, initial_age, .. } = fresh.freshness;
        fresh.freshness = Freshness { received_at, initial_age, ..head.facts.freshness };
    }
    let stamp = head.stamp.validated(birth, headers);
    SourceHead { facts: fresh, stamp, purged_at: None, ..head.clone() }
}

/// What the origin is asked with, whether a stored original still holds.
pub(super) fn validators_of(head: &SourceHead) -> Validators {
    let value = |text: &Option<String>| text.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
    Validators { etag: value(&head.facts.etag), last_modified: value(&head.facts.last_modified) }
}

/// What goes to caches behind us: what the origin said, else the lifetime that we use ourselves, but none that was given to
/// caches like this one only.
fn downstream_cache_control(headers: &HeaderMap, freshness: &Freshness, lifetimes: &Lifetimes) -> String {
    let ours = || match CacheControl::for_us(headers).1 {
        Source::CacheControl => freshness.lifetime,
        Source::Targeted => freshness.lifetime.min(lifetimes.default.as_secs()),
    };
    joined(headers, &CACHE_CONTROL).unwrap_or_else(|| format!("public, max-age={}", ours()))
}

/// All lines of a field as one; `None` where there are none, or they are too long to be kept.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let said: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    let said = said.join(", ");
    (!said.is_empty() && said.len() <= MAX_FIELD_BYTES).then_some(said)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (value.len() <= MAX_FIELD_BYTES).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::purge::Stamp, request::key::SourceVersion};
    use std::time::Duration;

    const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
    const SITE: Lifetimes = Lifetimes {
        default: Duration::from_secs(60),
        min: Duration::ZERO,
        max: Duration::from_secs(86_400),
        heuristic_percent: 0,
        stale_if_error: Duration::from_secs(600),
    };

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(pair).collect()
    }

    fn head(fields: &[(&'static str, &'static str)]) -> SourceHead {
        let facts = facts_of(InputFormat::Jpeg, &headers(fields), NOW, &SITE);
        let stamp = Stamp::of(Generation(1), &headers(fields));
        SourceHead { facts, version: SourceVersion::of(b"x"), len: 1, verdict: None, stamp, purged_at: None }
    }

    #[test]
    fn a_304_keeps_what_it_does_not_say_and_replaces_what_it_does() {
        let stored = head(&[("cache-control", "max-age=5, no-transform"), ("etag", "\"a\""), ("last-modified", "b")]);
        let later = UnixSeconds(NOW.0 + 100);
        let silent = freshened(&stored, Generation(2), &headers(&[]), later, &SITE);
        assert_eq!((silent.facts.freshness.lifetime, silent.facts.no_transform), (5, true));
        assert!(silent.facts.freshness.is_fresh(UnixSeconds(later.0 + 4)));
        assert_eq!((silent.facts.etag.as_deref(), silent.facts.last_modified.as_deref()), (Some("\"a\""), Some("b")));
        let said = headers(&[("cache-control", "max-age=9"), ("etag", "\"c\"")]);
        let new = freshened(&stored, Generation(2), &said, later, &SITE);
        assert_eq!((new.facts.freshness.lifetime, new.facts.no_transform), (9, false));
        assert_eq!((new.facts.cache_control.as_str(), new.facts.etag.as_deref()), ("max-age=9", Some("\"c\"")));
    }

    #[test]
    fn what_was_purged_softly_and_still_holds_is_as_fresh_as_before() {
        let purged = SourceHead { purged_at: Some(NOW), ..head(&[("cache-control", "max-age=5")]) };
        assert!(!purged.freshness().is_fresh(NOW));
        let validated = freshened(&purged, Generation(2), &headers(&[]), NOW, &SITE);
        assert_eq!((validated.freshness().lifetime, validated.stamp.birth), (5, Generation(2)));
    }

    #[test]
    fn where_the_origin_says_nothing_caches_behind_us_get_our_own_lifetime() {
        assert_eq!(head(&[]).facts.cache_control, "public, max-age=60");
    }

    #[test]
    fn what_is_told_to_caches_like_this_one_is_passed_on_and_no_lifetime_for_others() {
        let long = head(&[("cdn-cache-control", "max-age=900")]).facts;
        assert_eq!((long.freshness.lifetime, long.cache_control.as_str()), (900, "public, max-age=60"));
        assert_eq!(long.cdn_cache_control.as_deref(), Some("max-age=900"));
        let short = head(&[("cdn-cache-control", "max-age=9"), ("cdn-cache-control", "no-transform")]).facts;
        assert_eq!((short.cache_control.as_str(), short.no_transform), ("public, max-age=9", true));
        let both = [("cdn-cache-control", "max-age=900"), ("cache-control", "no-store, no-transform")];
        let both = head(&both).facts;
        assert_eq!((both.cache_control.as_str(), both.no_transform), ("no-store, no-transform", true));
    }
}

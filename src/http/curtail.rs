//! Cuts short how long a response may be called fresh, where its URL is good for a limited time only: caches and browsers must
//! not serve under the URL what the URL no longer gives.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AGE, CACHE_CONTROL, EXPIRES},
};

use super::{
    cache_control::{delta_seconds, digits_seconds},
    date,
    list::{members, name_and_value},
    surrogate::SURROGATE_CONTROL,
    targeted::CDN_CACHE_CONTROL,
    time::UnixSeconds,
};

/// Leaves no field of a response that calls it fresh, or lets it be used stale, at `until` or later. What gives no lifetime
/// gets one of 0 rather than being guessed at.
pub fn curtail(headers: &mut HeaderMap, until: UnixSeconds, now: UnixSeconds) {
    let age = headers.get(AGE).and_then(|age| digits_seconds(age.as_bytes())).unwrap_or(0);
    // Lifetimes count from when the response came to be, and it is so old already.
    let most = age.saturating_add(until.since(now));
    let expires = date::single(headers, &EXPIRES).map(|expires| age.saturating_add(expires.since(now)));
    headers.remove(EXPIRES);
    let otherwise = expires.unwrap_or(0);
    let said = curtailed(headers, &CACHE_CONTROL, most, otherwise);
    headers.insert(CACHE_CONTROL, said);
    for name in [CDN_CACHE_CONTROL, SURROGATE_CONTROL] {
        if headers.contains_key(&name) {
            let said = curtailed(headers, &name, most, 0);
            headers.insert(name, said);
        }
    }
}

/// A field's directives, none of which gives more than `most` seconds; a lifetime of `otherwise` where none is given.
fn curtailed(headers: &HeaderMap, name: &HeaderName, most: u64, otherwise: u64) -> HeaderValue {
    let mut said: Vec<Vec<u8>> = Vec::new();
    let mut has_lifetime = false;
    for directive in headers.get_all(name).iter().flat_map(|field| members(field.as_bytes())) {
        let (word, value) = name_and_value(directive);
        match word.to_ascii_lowercase().as_slice() {
            b"" | b"stale-while-revalidate" | b"stale-if-error" | b"immutable" => {}
            word @ (b"max-age" | b"s-maxage") => {
                has_lifetime |= word == b"max-age";
                said.push(with_seconds(word, delta_seconds(value).min(most)));
            }
            _ => said.push(directive.to_vec()),
        }
    }
    if !has_lifetime {
        said.push(with_seconds(b"max-age", otherwise.min(most)));
    }
    HeaderValue::from_bytes(&said.join(&b", "[..])).unwrap_or_else(|_| HeaderValue::from_static("no-store"))
}

fn with_seconds(word: &[u8], seconds: u64) -> Vec<u8> {
    [word, b"=", seconds.to_string().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{
        cache_control::CacheControl,
        freshness::{Freshness, Lifetimes},
    };
    use http::StatusCode;
    use proptest::prelude::*;
    use std::time::Duration;

    const NOW: UnixSeconds = UnixSeconds(1_700_000_000);

    fn curtailed_to(left: u64, fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        curtail(&mut headers, UnixSeconds(NOW.0 + left), NOW);
        headers
    }

    #[test]
    fn nothing_is_fresh_for_longer_than_is_left() {
        for (said, curtailed) in [
            ("public, max-age=3600", "public, max-age=60"),
            ("public, max-age=30", "public, max-age=30"),
            ("max-age=3600, s-maxage=7200, immutable", "max-age=60, s-maxage=60"),
            ("Max-Age=\"3600\", stale-while-revalidate=600, stale-if-error=600", "max-age=60"),
            ("max-age=soon, private=\"a, b\"", "max-age=0, private=\"a, b\""),
            ("s-maxage=90", "s-maxage=60, max-age=0"),
            ("no-store", "no-store, max-age=0"),
            ("", "max-age=0"),
        ] {
            assert_eq!(curtailed_to(60, &[(CACHE_CONTROL, said)])[CACHE_CONTROL], curtailed, "{said}");
        }
        assert_eq!(curtailed_to(60, &[])[CACHE_CONTROL], "max-age=0");
    }

    #[test]
    fn what_has_an_age_has_used_up_that_much_of_its_lifetime() {
        let headers = curtailed_to(60, &[(CACHE_CONTROL, "max-age=3600"), (AGE, "600")]);
        assert_eq!(headers[CACHE_CONTROL], "max-age=660");
        let headers = curtailed_to(60, &[(CACHE_CONTROL, "max-age=610"), (AGE, "600")]);
        assert_eq!(headers[CACHE_CONTROL], "max-age=610");
    }

    #[test]
    fn other_fields_that_give_lifetimes_are_cut_short_too() {
        let fields = [
            (EXPIRES, "Tue, 14 Nov 2023 22:13:50 GMT"),
            (CDN_CACHE_CONTROL, "max-age=600"),
            (SURROGATE_CONTROL, "max-age=600+60, content=\"ESI/1.0\""),
        ];
        let headers = curtailed_to(60, &fields);
        assert_eq!(headers[CACHE_CONTROL], "max-age=30", "as Expires says");
        assert!(!headers.contains_key(EXPIRES));
        assert_eq!(headers[CDN_CACHE_CONTROL], "max-age=60");
        assert_eq!(headers[SURROGATE_CONTROL], "max-age=0, content=\"ESI/1.0\"");
        assert_eq!(curtailed_to(10, &fields)[CACHE_CONTROL], "max-age=10");
    }

    proptest! {
        #[test]
        fn whoever_reads_it_finds_nothing_fresh_at_the_end(
            directives in prop::collection::vec("(max-age|s-maxage|public|stale-while-revalidate|stale-if-error|x)(=[0-9]{0,9})?", 0..5),
            age in 0_u64..10_000,
            left in 0_u64..10_000,
        ) {
            let said = directives.join(", ");
            let headers = curtailed_to(left, &[(CACHE_CONTROL, &said), (AGE, &age.to_string())]);
            let lifetimes = Lifetimes {
                default: Duration::from_secs(1 << 30),
                min: Duration::ZERO,
                max: Duration::from_secs(1 << 30),
                heuristic_percent: 100,
                stale_if_error: Duration::ZERO,
            };
            let freshness = Freshness::of(StatusCode::OK, &headers, NOW, &lifetimes);
            prop_assert!(!freshness.is_fresh(UnixSeconds(NOW.0 + left)));
            let control = CacheControl::of(&headers);
            prop_assert!(control.max_age.is_some_and(|seconds| seconds <= age + left));
            prop_assert_eq!((control.stale_while_revalidate, control.stale_if_error), (None, None));
        }
    }
}

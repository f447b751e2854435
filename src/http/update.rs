//! What of a response's fields is stored (RFC 9111, 3.1), and how those of a 304 change it (3.2).

use http::{
    HeaderMap, HeaderName,
    header::{AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, SET_COOKIE},
};

use super::forwarding::remove_hop_by_hop;

/// What stays as it was stored when a 304 comes: it tells of the bytes that are stored, and a 304 brings none.
const OF_THE_BODY: [HeaderName; 5] =
    [CONTENT_ENCODING, CONTENT_LENGTH, HeaderName::from_static("content-md5"), CONTENT_RANGE, ETAG];

/// Beside what belongs to one connection: what a proxy says of its own (3.1), one visitor's cookies, and `Age`, which is
/// kept with the freshness and given anew with each answer. `Cache-Status` and `Via` stay, as those of the caches and
/// gateways that the response came through.
const NOT_STORED: [HeaderName; 3] = [AGE, HeaderName::from_static("proxy-authentication-info"), SET_COOKIE];

/// The fields of a response that are stored with it. `Set-Cookie2` is not treated like `Set-Cookie`: no client heeds it any
/// more, and fields that mean nothing are to be stored.
#[must_use]
pub fn storable_fields(headers: &HeaderMap) -> HeaderMap {
    let mut stored = headers.clone();
    remove_hop_by_hop(&mut stored);
    for name in &NOT_STORED {
        stored.remove(name);
    }
    stored
}

/// Brings stored fields up to date with a 304's: each field that it has takes the place of all stored ones of its name.
/// Where it has no `Date`, the stored one goes: it would make what was just validated look old.
pub fn freshen(stored: &mut HeaderMap, not_modified: &HeaderMap) {
    let mut news = storable_fields(not_modified);
    for name in &OF_THE_BODY {
        news.remove(name);
    }
    for name in news.keys().chain([&DATE]) {
        stored.remove(name);
    }
    for (name, value) in &news {
        stored.append(name, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(pair).collect()
    }

    #[test]
    fn what_belongs_to_one_connection_one_proxy_or_one_visitor_is_not_stored() {
        let response = map(&[
            ("connection", "A, b"),
            ("a", "1"),
            ("b", "2"),
            ("keep-alive", "x"),
            ("proxy-authenticate", "x"),
            ("proxy-authentication-info", "x"),
            ("proxy-authorization", "x"),
            ("proxy-connection", "x"),
            ("te", "x"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "x"),
            ("set-cookie", "a=b"),
            ("age", "5"),
            ("c", "3"),
            ("cache-status", "other; hit"),
            ("content-length", "5"),
            ("set-cookie2", "a=b"),
        ]);
        let kept = map(&[("c", "3"), ("cache-status", "other; hit"), ("content-length", "5"), ("set-cookie2", "a=b")]);
        assert_eq!(storable_fields(&response), kept);
    }

    #[test]
    fn a_304_replaces_what_it_names_and_leaves_the_rest() {
        let mut stored = map(&[
            ("cache-control", "max-age=1"),
            ("x", "1"),
            ("x", "2"),
            ("test-header", "a"),
            ("content-type", "text/plain"),
            ("date", "then"),
        ]);
        let answer =
            [("cache-control", "max-age=9"), ("x", "3"), ("content-type", "text/html"), ("y", "4"), ("date", "now")];
        freshen(&mut stored, &map(&answer));
        let mut expected = map(&answer);
        expected.insert("test-header", HeaderValue::from_static("a"));
        assert_eq!(stored, expected);
    }

    #[test]
    fn what_tells_of_the_stored_bytes_stays() {
        let fields = [
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("content-range", "bytes 0-4/5"),
            ("content-md5", "x"),
            ("etag", "\"a\""),
        ];
        let mut stored = map(&fields);
        freshen(&mut stored, &map(&fields.map(|(name, _)| (name, "other"))));
        assert_eq!(stored, map(&fields));
        freshen(&mut stored, &map(&[("set-cookie", "a=b"), ("connection", "x"), ("x", "1"), ("age", "7")]));
        assert_eq!(stored, map(&fields));
    }

    #[test]
    fn a_304_without_a_date_leaves_none() {
        let mut stored = map(&[("date", "then"), ("x", "1")]);
        freshen(&mut stored, &map(&[]));
        assert_eq!(stored, map(&[("x", "1")]));
    }

    const NAMES: [&str; 12] = [
        "content-encoding",
        "content-length",
        "content-md5",
        "content-range",
        "etag",
        "set-cookie",
        "connection",
        "age",
        "cache-control",
        "content-type",
        "date",
        "x",
    ];

    fn any_fields() -> impl Strategy<Value = HeaderMap> {
        let field = (prop::sample::select(&NAMES[..]), prop::sample::select(vec!["x", "etag", "1", "close, date"]));
        prop::collection::vec(field, 0..12).prop_map(|fields| map(&fields))
    }

    proptest! {
        #[test]
        fn no_304_changes_what_it_must_not(stored in any_fields(), not_modified in any_fields()) {
            let stored = storable_fields(&stored);
            let mut freshened = stored.clone();
            freshen(&mut freshened, &not_modified);
            for name in &OF_THE_BODY {
                let values = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
                prop_assert_eq!(values(&freshened), values(&stored));
            }
            prop_assert_eq!(storable_fields(&freshened), freshened.clone());
            for name in stored.keys().filter(|name| **name != DATE) {
                prop_assert!(freshened.contains_key(name));
            }
        }
    }
}

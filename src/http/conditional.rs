//! Conditional requests (RFC 9110, 13): whether the client already holds what would be sent.

use http::{
    HeaderMap, HeaderValue,
    header::{IF_NONE_MATCH, IF_RANGE, RANGE},
};

/// Whether `If-None-Match` names `etag`, by weak comparison (8.8.3.2, 13.1.2), or is `*`.
#[must_use]
pub fn not_modified(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|field| {
        let field = field.as_bytes().trim_ascii();
        field == b"*" || members(field).any(|member| opaque(member) == opaque(etag.as_bytes()))
    })
}

/// Whether a `Range` field holds: there is no `If-Range`, or it names `etag` by strong comparison (13.1.5). A date never
/// holds: variants carry none.
#[must_use]
pub fn range_holds(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.contains_key(RANGE)
        && headers.get(IF_RANGE).is_none_or(|wanted| wanted == etag && !wanted.as_bytes().starts_with(b"W/"))
}

/// Entity tags in a list. Commas inside the quotes belong to the tag.
fn members(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    field
        .split(move |byte| {
            quoted ^= *byte == b'"';
            *byte == b',' && !quoted
        })
        .map(<[u8]>::trim_ascii)
}

fn opaque(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: HeaderValue = HeaderValue::from_static("\"a,b\"");

    fn with(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value)), (RANGE, HeaderValue::from_static("bytes=0-1"))])
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (value, expected) in [
            ("\"a,b\"", true),
            ("W/\"a,b\"", true),
            ("\"x\", \"a,b\"", true),
            ("*", true),
            ("\"a\"", false),
            ("a,b", false),
            ("", false),
        ] {
            assert_eq!(not_modified(&with(IF_NONE_MATCH, value), &ETAG), expected, "{value}");
        }
        assert!(!not_modified(&HeaderMap::new(), &ETAG));
    }

    #[test]
    fn if_range_compares_strongly() {
        for (value, expected) in
            [("\"a,b\"", true), ("W/\"a,b\"", false), ("\"x\"", false), ("Sun, 06 Nov 1994 08:49:37 GMT", false)]
        {
            assert_eq!(range_holds(&with(IF_RANGE, value), &ETAG), expected, "{value}");
        }
        assert!(range_holds(&HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-1"))]), &ETAG));
        assert!(!range_holds(&HeaderMap::new(), &ETAG));
    }
}

//! Conditional requests (RFC 9110, 13): whether the client already holds what would be sent.

use http::{
    HeaderMap, HeaderValue, Method,
    header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE},
};

use super::{date, time::UnixSeconds};

/// What a stored response is known by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Its entity tag.
    pub etag: Option<&'a HeaderValue>,
    /// When it was changed last.
    pub last_modified: Option<UnixSeconds>,
    /// When it was made (`Date`).
    pub date: Option<UnixSeconds>,
}

/// What a request's conditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The response is sent.
    Proceed,
    /// The client has it: 304.
    NotModified,
}

/// Weighs the conditions that a cache weighs (RFC 9111, 4.3.2): `If-None-Match`, and only where there is none
/// `If-Modified-Since`. Without `Last-Modified` a response is as old as its `Date`. `If-Match` and `If-Unmodified-Since`
/// are for the origin.
#[must_use]
pub fn evaluate(
    method: &Method,
    request: &HeaderMap,
    etag: Option<&HeaderValue>,
    last_modified: Option<UnixSeconds>,
    date: Option<UnixSeconds>,
) -> Outcome {
    let holds = if !matches!(*method, Method::GET | Method::HEAD) {
        false
    } else if request.contains_key(IF_NONE_MATCH) {
        match etag {
            Some(etag) => not_modified(request, etag),
            None => is_any(request),
        }
    } else {
        let since = date::single(request, &IF_MODIFIED_SINCE);
        since.zip(last_modified.or(date)).is_some_and(|(since, changed_at)| changed_at <= since)
    };
    if holds { Outcome::NotModified } else { Outcome::Proceed }
}

/// Whether `If-None-Match` names `etag`, by weak comparison (8.8.3.2, 13.1.2), or is `*`.
#[must_use]
pub fn not_modified(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    is_any(headers)
        || headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .any(|field| members(field.as_bytes()).any(|member| opaque(member) == opaque(etag.as_bytes())))
}

fn is_any(headers: &HeaderMap) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|field| field.as_bytes().trim_ascii() == b"*")
}

/// Whether a `Range` field holds for something that only has an entity tag: there is no `If-Range`, or it names `etag` by
/// strong comparison (13.1.5). A date never holds: variants carry none.
#[must_use]
pub fn range_holds(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    range_holds_for(headers, Known { etag: Some(etag), ..Known::default() })
}

/// Whether a `Range` field holds: there is no `If-Range`, or it gives what the response is known by, and that is strong
/// (13.1.5): a tag that is not weak, or the very second of its last change, if it was made in a later one (8.8.2.2).
#[must_use]
pub fn range_holds_for(headers: &HeaderMap, known: Known<'_>) -> bool {
    if !headers.contains_key(RANGE) {
        return false;
    }
    let mut wanted = headers.get_all(IF_RANGE).iter();
    match (wanted.next(), wanted.next()) {
        (None, _) => true,
        (Some(wanted), None) if is_entity_tag(wanted) => known.etag == Some(wanted) && !is_weak(wanted),
        (Some(wanted), None) => {
            let is_settled = known.date.zip(known.last_modified).is_some_and(|(date, changed_at)| date > changed_at);
            is_settled && date::parse(wanted).is_some_and(|wanted| Some(wanted) == known.last_modified)
        }
        (Some(_), Some(_)) => false,
    }
}

fn is_entity_tag(value: &HeaderValue) -> bool {
    value.as_bytes().contains(&b'"')
}

fn is_weak(etag: &HeaderValue) -> bool {
    etag.as_bytes().starts_with(b"W/")
}

/// Entity tags in a list. Commas inside the quotes belong to the tag, and nothing escapes a quote (8.8.3).
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
    use proptest::prelude::*;

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

    const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const CHANGED_AT: UnixSeconds = UnixSeconds(784_111_777);

    fn since(text: &'static str, changed_at: Option<UnixSeconds>, date: Option<UnixSeconds>) -> Outcome {
        evaluate(&Method::GET, &with(IF_MODIFIED_SINCE, text), None, changed_at, date)
    }

    #[test]
    fn if_modified_since_goes_by_the_last_change_or_else_the_date() {
        let later = Some(UnixSeconds(CHANGED_AT.0 + 1));
        assert_eq!(since(CHANGED, Some(CHANGED_AT), later), Outcome::NotModified);
        assert_eq!(since("Sunday, 06-Nov-94 08:49:37 GMT", Some(CHANGED_AT), later), Outcome::NotModified);
        assert_eq!(since("Sun Nov  6 08:49:38 1994", Some(CHANGED_AT), later), Outcome::NotModified);
        assert_eq!(since(CHANGED, later, Some(CHANGED_AT)), Outcome::Proceed);
        assert_eq!(since(CHANGED, None, Some(CHANGED_AT)), Outcome::NotModified);
        assert_eq!(since(CHANGED, None, later), Outcome::Proceed);
        assert_eq!(since(CHANGED, None, None), Outcome::Proceed);
        assert_eq!(since("yesterday", Some(CHANGED_AT), None), Outcome::Proceed);
        let mut twice = with(IF_MODIFIED_SINCE, CHANGED);
        twice.append(IF_MODIFIED_SINCE, HeaderValue::from_static(CHANGED));
        assert_eq!(evaluate(&Method::GET, &twice, None, Some(CHANGED_AT), None), Outcome::Proceed);
    }

    #[test]
    fn if_none_match_goes_before_if_modified_since() {
        let both = |tag: &'static str, since: &'static str| {
            let mut request = with(IF_NONE_MATCH, tag);
            request.insert(IF_MODIFIED_SINCE, HeaderValue::from_static(since));
            evaluate(&Method::GET, &request, Some(&ETAG), Some(CHANGED_AT), None)
        };
        assert_eq!(both("\"a,b\"", "Sun, 06 Nov 1993 08:49:37 GMT"), Outcome::NotModified);
        assert_eq!(both("\"x\"", CHANGED), Outcome::Proceed);
        let tagless = |tag| evaluate(&Method::GET, &with(IF_NONE_MATCH, tag), None, Some(CHANGED_AT), None);
        assert_eq!((tagless("\"x\""), tagless("*")), (Outcome::Proceed, Outcome::NotModified));
    }

    #[test]
    fn only_reading_is_conditional_here() {
        let request = with(IF_NONE_MATCH, "*");
        for (method, expected) in
            [(Method::HEAD, Outcome::NotModified), (Method::POST, Outcome::Proceed), (Method::PUT, Outcome::Proceed)]
        {
            assert_eq!(evaluate(&method, &request, Some(&ETAG), None, None), expected, "{method}");
        }
    }

    #[test]
    fn if_range_takes_a_date_that_is_exact_and_settled() {
        let known = |date: u64| Known { etag: None, last_modified: Some(CHANGED_AT), date: Some(UnixSeconds(date)) };
        let holds = |text, known| range_holds_for(&with(IF_RANGE, text), known);
        assert!(holds(CHANGED, known(CHANGED_AT.0 + 1)));
        assert!(!holds(CHANGED, known(CHANGED_AT.0)));
        assert!(!holds("Sun, 06 Nov 1994 08:49:38 GMT", known(CHANGED_AT.0 + 60)));
        assert!(!holds("soon", known(CHANGED_AT.0 + 60)));
        assert!(!holds(CHANGED, Known { last_modified: Some(CHANGED_AT), ..Known::default() }));
        assert!(!holds("\"x\"", known(CHANGED_AT.0 + 60)));
        let mut twice = with(IF_RANGE, CHANGED);
        twice.append(IF_RANGE, HeaderValue::from_static(CHANGED));
        assert!(!range_holds_for(&twice, known(CHANGED_AT.0 + 60)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_condition(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE] {
                    let request = HeaderMap::from_iter([(RANGE, value.clone()), (name, value.clone())]);
                    let _ = evaluate(&Method::GET, &request, Some(&ETAG), Some(CHANGED_AT), None);
                    let _ = range_holds_for(&request, Known { etag: Some(&ETAG), ..Known::default() });
                }
            }
        }
    }
}

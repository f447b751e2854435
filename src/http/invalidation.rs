//! What a successful change makes invalid (RFC 9111, 4.4).

use http::{
    HeaderMap, HeaderName, Method, StatusCode,
    header::{CONTENT_LOCATION, LOCATION},
};
use url::Url;

/// The fields that name what else was changed.
const NAMING: [HeaderName; 2] = [LOCATION, CONTENT_LOCATION];

/// The most URLs that one response makes invalid.
const MAX_INVALIDATED: usize = 8;

/// Whether a method only reads (RFC 9110, 9.2.1). What is not known may change anything.
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// The URLs whose stored responses a response to a request for `target` makes invalid: none where the method only reads or
/// the response is an error; else the target, and what `Location` and `Content-Location` name on the same origin. What
/// they name elsewhere is not this response's to invalidate.
#[must_use]
pub fn invalidated(method: &Method, target: &Url, status: StatusCode, headers: &HeaderMap) -> Vec<Url> {
    if is_safe(method) || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let named = NAMING.iter().flat_map(|name| headers.get_all(name)).filter_map(|value| {
        let url = target.join(std::str::from_utf8(value.as_bytes()).ok()?).ok()?;
        (url.origin() == target.origin()).then_some(url)
    });
    let mut urls = Vec::new();
    for mut url in std::iter::once(target.clone()).chain(named) {
        url.set_fragment(None);
        if !urls.contains(&url) && urls.len() < MAX_INVALIDATED {
            urls.push(url);
        }
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn after(method: &str, status: u16, fields: &[(HeaderName, &'static str)]) -> Vec<String> {
        let target = Url::parse("https://shop.example/a/b?c#d").unwrap();
        let headers = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let (method, status) = (Method::from_bytes(method.as_bytes()).unwrap(), StatusCode::from_u16(status).unwrap());
        invalidated(&method, &target, status, &headers).into_iter().map(Into::into).collect()
    }

    const TARGET: &str = "https://shop.example/a/b?c";

    #[test]
    fn a_change_that_succeeded_makes_its_target_invalid() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"] {
            for status in [200, 201, 204, 303, 399] {
                assert_eq!(after(method, status, &[]), [TARGET], "{method} {status}");
            }
        }
    }

    #[test]
    fn reading_and_failing_make_nothing_invalid() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert!(after(method, 200, &[(LOCATION, "/x")]).is_empty(), "{method}");
        }
        for status in [100, 400, 404, 500, 599] {
            assert!(after("POST", status, &[(LOCATION, "/x")]).is_empty(), "{status}");
        }
    }

    #[test]
    fn what_the_response_names_on_the_same_origin_is_invalid_too() {
        let named = |value| after("POST", 200, &[(LOCATION, value)]);
        assert_eq!(named("/x"), [TARGET, "https://shop.example/x"]);
        assert_eq!(named("x?y#z"), [TARGET, "https://shop.example/a/x?y"]);
        assert_eq!(named("https://shop.example:443/x"), [TARGET, "https://shop.example/x"]);
        assert_eq!(named("?c"), [TARGET]);
        for elsewhere in
            ["http://shop.example/x", "https://shop.example:8443/x", "//evil.example/x", "data:x", "http://["]
        {
            assert_eq!(named(elsewhere), [TARGET], "{elsewhere}");
        }
        let both = after("PUT", 201, &[(LOCATION, "/x"), (CONTENT_LOCATION, "/y")]);
        assert_eq!(both, [TARGET, "https://shop.example/x", "https://shop.example/y"]);
    }

    #[test]
    fn no_response_makes_more_invalid_than_a_few() {
        let names: Vec<&'static str> = (0..100).map(|at| &*Box::leak(format!("/{at}").into_boxed_str())).collect();
        let fields: Vec<_> = names.into_iter().map(|name| (LOCATION, name)).collect();
        assert_eq!(after("POST", 200, &fields).len(), MAX_INVALIDATED);
    }
}

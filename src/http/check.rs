//! What a request must be before anything is done for it (RFC 9112, 3.2; RFC 9110, 7.2): one host, valid, and the same
//! wherever it is named; one framing.

use http::{
    HeaderMap, Method, Uri, Version,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    uri::Authority,
};

/// Why a request is refused with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// HTTP/1.1 needs a `Host` field.
    #[error("the request names no host")]
    NoHost,
    /// Two `Host` fields, or one that differs from the request's target.
    #[error("the request names two hosts")]
    TwoHosts,
    /// The authority has user information, characters that are not allowed, or a port that is none.
    #[error("the request's host is not valid")]
    InvalidHost,
    /// `Content-Length` and `Transfer-Encoding` together (RFC 9112, 6.3). Of HTTP/1 requests hyper takes the length away before:
    /// there the connection tells.
    #[error("the request's length is given in two ways")]
    TwoFramings,
    /// The target is no path (RFC 9112, 3.2): only CONNECT asks for an authority, only OPTIONS for `*`.
    #[error("the request's target is no path")]
    InvalidTarget,
}

/// Whether a target is of the form that a method has.
///
/// # Errors
/// [`BadRequest::InvalidTarget`]
pub fn requested_target(method: &Method, uri: &Uri) -> Result<(), BadRequest> {
    match uri.path() {
        "*" if *method == Method::OPTIONS => Ok(()),
        path if path.starts_with('/') => Ok(()),
        _ => Err(BadRequest::InvalidTarget),
    }
}

/// The host that a request is for: lower case, without port or trailing dot.
///
/// # Errors
/// [`BadRequest`]
pub fn requested_host(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<String, BadRequest> {
    if has_two_framings(headers) {
        return Err(BadRequest::TwoFramings);
    }
    let mut fields = headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(BadRequest::TwoHosts);
    }
    if field.is_none() && version == Version::HTTP_11 {
        return Err(BadRequest::NoHost);
    }
    let named = field.map(|value| host_of(&parse_authority(value.as_bytes())?)).transpose()?;
    let target = uri.authority().map(host_of).transpose()?;
    match (target, named) {
        // The target of the absolute form overrides the field (RFC 9112, 3.2.2); in HTTP/2 they must agree (RFC 9113, 8.3.1).
        (Some(target), Some(named)) if version == Version::HTTP_2 && target != named => Err(BadRequest::TwoHosts),
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err(BadRequest::NoHost),
    }
}

/// Chunks are chunks once, and a length is said once: nobody writes it in another way but who wants it to be read in two.
fn has_two_framings(headers: &HeaderMap) -> bool {
    let fields = |name| headers.get_all(name).iter().count();
    let is_chunked_otherwise =
        headers.get(TRANSFER_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    fields(CONTENT_LENGTH) + fields(TRANSFER_ENCODING) > 1 || is_chunked_otherwise
}

fn parse_authority(value: &[u8]) -> Result<Authority, BadRequest> {
    Authority::try_from(value).map_err(|_| BadRequest::InvalidHost)
}

fn host_of(authority: &Authority) -> Result<String, BadRequest> {
    let host = authority.host();
    let name = host.strip_suffix('.').unwrap_or(host);
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    if authority.as_str().contains('@') || name.is_empty() || !name.bytes().all(valid) || !has_valid_port(authority) {
        return Err(BadRequest::InvalidHost);
    }
    Ok(name.to_ascii_lowercase())
}

/// None, or digits that are a port; behind the colon there may be nothing (RFC 3986, 3.2.3).
fn has_valid_port(authority: &Authority) -> bool {
    let behind_host = &authority.as_str()[authority.host().len()..];
    match behind_host.strip_prefix(':') {
        None => behind_host.is_empty(),
        Some(port) => {
            port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn host(uri: &'static str, fields: &[&'static str], version: Version) -> Result<String, BadRequest> {
        let headers = fields.iter().map(|value| (HOST, HeaderValue::from_static(value))).collect();
        requested_host(&Uri::from_static(uri), &headers, version)
    }

    #[test]
    fn the_host_is_normalized() {
        for (given, expected) in [
            ("Shop.Example", "shop.example"),
            ("shop.example:8080", "shop.example"),
            ("shop.example.", "shop.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("shop.example:", "shop.example"),
        ] {
            assert_eq!(host("/", &[given], Version::HTTP_11).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn a_request_with_no_host_two_hosts_or_a_bad_host_is_refused() {
        use BadRequest::{InvalidHost, NoHost, TwoHosts};
        assert_eq!(host("/", &[], Version::HTTP_11), Err(NoHost));
        assert_eq!(host("/", &["a.example", "a.example"], Version::HTTP_11), Err(TwoHosts));
        let bad_ports = ["a.example:x", "a.example:65536", "a.example:+1", "[::1]80", "a.example:1:2"];
        for bad in ["user@a.example", "", "a b", "a/b", "a_*.example", "a%2eexample"].iter().chain(&bad_ports) {
            assert_eq!(host("/", &[bad], Version::HTTP_11), Err(InvalidHost), "{bad:?}");
            assert_eq!(host("http://a.example/", &[bad], Version::HTTP_11), Err(InvalidHost), "{bad:?}");
        }
    }

    #[test]
    fn the_absolute_form_names_the_host() {
        assert_eq!(host("http://a.example/x", &["b.example"], Version::HTTP_11).as_deref(), Ok("a.example"));
        assert_eq!(host("http://a.example/x", &["b.example"], Version::HTTP_2), Err(BadRequest::TwoHosts));
        assert_eq!(host("http://a.example/x", &[], Version::HTTP_2).as_deref(), Ok("a.example"));
    }

    #[test]
    fn two_framings_are_refused() {
        let checked = |framing: &[(HeaderName, &'static str)]| {
            let host = [(HOST, "a.example")];
            let fields = host.iter().chain(framing);
            let headers = fields.map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
            requested_host(&Uri::from_static("/"), &headers, Version::HTTP_11)
        };
        for one in [&[][..], &[(CONTENT_LENGTH, "5")], &[(TRANSFER_ENCODING, "Chunked")]] {
            assert!(checked(one).is_ok(), "{one:?}");
        }
        for two in [
            &[(CONTENT_LENGTH, "5"), (TRANSFER_ENCODING, "chunked")][..],
            &[(CONTENT_LENGTH, "5"), (CONTENT_LENGTH, "5")],
            &[(TRANSFER_ENCODING, "chunked"), (TRANSFER_ENCODING, "chunked")],
            &[(TRANSFER_ENCODING, "chunked, chunked")],
            &[(TRANSFER_ENCODING, "gzip, chunked")],
        ] {
            assert_eq!(checked(two), Err(BadRequest::TwoFramings), "{two:?}");
        }
    }

    #[test]
    fn a_target_is_a_path_but_where_the_method_says_otherwise() {
        for (method, target, is_fine) in [
            (Method::GET, "/", true),
            (Method::GET, "http://a.example", true),
            (Method::OPTIONS, "*", true),
            (Method::GET, "*", false),
            (Method::GET, "a.example:443", false),
            (Method::OPTIONS, "a.example", false),
        ] {
            assert_eq!(requested_target(&method, &Uri::from_static(target)).is_ok(), is_fine, "{method} {target}");
        }
    }
}

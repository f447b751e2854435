//! What changes when a message is forwarded: hop-by-hop fields go (RFC 9110, 7.6.1), `Via` and `CDN-Loop` (RFC 8586) come,
//! and a request that came round to itself is told.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{
        ALT_SVC, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE, VIA,
    },
};

use super::scheme::Scheme;

/// `CDN-Loop`
pub const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Takes out the fields that belong to one connection: the known ones and those that `Connection` names.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Takes out what an origin offers of itself elsewhere (`Alt-Svc`, RFC 7838): said here, it would be of this server, which a
/// browser would then look for by a protocol, or at a port, where it is not.
pub fn remove_other_services(headers: &mut HeaderMap) {
    headers.remove(ALT_SVC);
}

/// Settles how long a response is (RFC 9112, 6.3): where it has a transfer coding, such as chunks, a length counts for nothing.
pub fn settle_length(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
}

/// Takes out what a request says of a body that is not sent along: the origin would take the beginning of the next request on
/// the connection for it (RFC 9112, 11.2). That there is none may be said.
pub fn leave_body_behind(headers: &mut HeaderMap) {
    headers.remove(EXPECT);
    if headers.get_all(CONTENT_LENGTH).iter().any(|len| len != "0") {
        headers.remove(CONTENT_LENGTH);
    }
}

/// Whether a request has been here before: its `CDN-Loop` names this installation.
#[must_use]
pub fn has_looped(headers: &HeaderMap, name: &str) -> bool {
    headers.get_all(&CDN_LOOP).iter().any(|field| {
        field.as_bytes().split(|byte| *byte == b',').any(|member| {
            let id = member.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            id.eq_ignore_ascii_case(name.as_bytes())
        })
    })
}

/// Adds this installation to `Via` and `CDN-Loop`, behind what others wrote.
pub fn mark_forwarded(headers: &mut HeaderMap, name: &str, version: Version) {
    let protocol = match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    if let Ok(via) = HeaderValue::try_from(format!("{protocol} {name}")) {
        headers.append(VIA, via);
    }
    if let Ok(id) = HeaderValue::from_str(name) {
        headers.append(&CDN_LOOP, id);
    }
}

/// What only a proxy before us could know, and some origins believe: where the request came from, and what it asked for. So
/// it is with all that begins with [`FORWARDED`].
const CLAIMS: [&str; 17] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-url",
    "x-url-scheme",
];

const FORWARDED: &str = "x-forwarded-";

/// Fields that turn a request into one with another method.
const OTHER_METHODS: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// Tells the origin who asked, replacing whatever the client claimed: its address, and the host and scheme it used. A claim
/// that got through could change what is then stored for all.
pub fn set_forwarded_for(headers: &mut HeaderMap, client: IpAddr, host: &str, scheme: Scheme) {
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(FORWARDED) || CLAIMS.contains(&name.as_str()))
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
    let fields = [
        ("x-forwarded-for", client.to_canonical().to_string()),
        ("x-forwarded-host", host.to_owned()),
        ("x-forwarded-proto", scheme.name().to_owned()),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers.remove(HOST);
}

/// Takes out what would make something else of a request that is made for the cache.
pub fn keep_method(headers: &mut HeaderMap) {
    for name in OTHER_METHODS {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(pair).collect()
    }

    #[test]
    fn nothing_is_said_of_a_body_that_is_left_behind() {
        let mut headers = map(&[("content-length", "60"), ("expect", "100-continue"), ("content-type", "text/plain")]);
        leave_body_behind(&mut headers);
        assert_eq!(headers, map(&[("content-type", "text/plain")]));
        let mut nothing = map(&[("content-length", "0")]);
        leave_body_behind(&mut nothing);
        assert_eq!(nothing, map(&[("content-length", "0")]));
    }

    #[test]
    fn hop_by_hop_fields_do_not_pass() {
        let mut headers = map(&[
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic x"),
            ("accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("accept", "*/*")]));
    }

    #[test]
    fn a_loop_is_told_by_our_own_name_only() {
        for (field, looped) in [
            ("lightmeter", true),
            ("other; v=1, LightMeter ; x=2", true),
            ("lightmeter2, notlightmeter", false),
            ("", false),
        ] {
            assert_eq!(has_looped(&map(&[("cdn-loop", field)]), "lightmeter"), looped, "{field}");
        }
    }

    #[test]
    fn others_marks_are_kept() {
        let mut headers = map(&[("cdn-loop", "other"), ("via", "1.1 other")]);
        mark_forwarded(&mut headers, "lightmeter", Version::HTTP_11);
        assert!(has_looped(&headers, "other") && has_looped(&headers, "lightmeter"));
        assert_eq!(headers.get_all(VIA).iter().count(), 2);
    }

    #[test]
    fn chunks_count_before_a_length() {
        let mut chunked = map(&[("content-length", "3"), ("transfer-encoding", "chunked")]);
        settle_length(&mut chunked);
        assert!(!chunked.contains_key(CONTENT_LENGTH));
        let mut plain = map(&[("content-length", "3")]);
        settle_length(&mut plain);
        assert!(plain.contains_key(CONTENT_LENGTH));
    }

    #[test]
    fn the_client_cannot_say_where_it_comes_from() {
        let mut headers =
            map(&[("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6"), ("host", "evil.example")]);
        set_forwarded_for(&mut headers, [192, 0, 2, 1].into(), "img.shop.example", Scheme::Https);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(headers["x-forwarded-host"], "img.shop.example");
        assert!(!headers.contains_key("forwarded") && !headers.contains_key(HOST));
    }
}

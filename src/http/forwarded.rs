//! Who a request comes from, by what the proxies before us say: `Forwarded` (RFC 7239) or `X-Forwarded-For` with
//! `X-Forwarded-Proto`. Each proxy adds at the end, so they are read from there: an address counts only while the one
//! behind it belongs to a proxy that is trusted, and whatever stands before the first that does not is never looked at.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header::FORWARDED};

use super::{
    list::{members, name_and_value},
    scheme::Scheme,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What is claimed of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Its address.
    pub address: IpAddr,
    /// The scheme that it used, where that is said.
    pub scheme: Option<Scheme>,
}

/// One proxy's word: whom it was asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hop {
    /// `None` where the proxy keeps it to itself (RFC 7239, 6.2 and 6.3).
    address: Option<IpAddr>,
    scheme: Option<Scheme>,
}

/// A field cannot be read as far as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Malformed;

/// Who the client is by the word of `peer`, a proxy that is trusted, and of those before it that are. `None` where nothing is
/// said, where what must be read of it cannot be, and where both fields are there and name two clients or schemes: somebody
/// may have added one that the proxy does not know and passes on. Then the proxy itself is the client.
#[must_use]
pub fn claimed_client(headers: &HeaderMap, peer: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) -> Option<Claim> {
    let standard = headers.contains_key(FORWARDED).then(|| by_forwarded(headers, peer, &is_trusted));
    let usual = headers.contains_key(&X_FORWARDED_FOR).then(|| by_x_forwarded_for(headers, peer, &is_trusted));
    match (standard, usual) {
        (Some(Ok(one)), Some(Ok(other))) => both(one, other),
        (Some(Ok(claim)), None) | (None, Some(Ok(claim))) => Some(claim),
        (None, None) => scheme_alone(headers, peer),
        (Some(Err(Malformed)), _) | (_, Some(Err(Malformed))) => None,
    }
}

/// What two fields say together. A scheme that only one of them names is the client's; two that differ are nobody's.
fn both(one: Claim, other: Claim) -> Option<Claim> {
    let agree = match (one.scheme, other.scheme) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    (one.address == other.address && agree).then_some(Claim { scheme: one.scheme.or(other.scheme), ..one })
}

fn by_forwarded(headers: &HeaderMap, peer: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) -> Result<Claim, Malformed> {
    let fields: Vec<&[u8]> = headers.get_all(FORWARDED).iter().map(http::HeaderValue::as_bytes).collect();
    let hops = fields.iter().rev().flat_map(|field| {
        let elements: Vec<&[u8]> = members(field).filter(|element| !element.is_empty()).collect();
        elements.into_iter().rev().map(hop)
    });
    first_untrusted(hops, peer, is_trusted)
}

/// Lists that are as long as that of addresses go with it, one by one; of any other the last member is the last proxy's.
fn by_x_forwarded_for(
    headers: &HeaderMap,
    peer: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Claim, Malformed> {
    let addresses = all_members(headers, &X_FORWARDED_FOR);
    let schemes = all_members(headers, &X_FORWARDED_PROTO);
    let last = schemes.last().map(|scheme| parse_scheme(scheme)).transpose()?;
    let hops = addresses.iter().enumerate().rev().map(|(place, address)| {
        let own = if schemes.len() == addresses.len() { schemes.get(place) } else { None };
        let scheme = own.map_or(Ok(last), |scheme| parse_scheme(scheme).map(Some))?;
        Ok(Hop { address: Some(parse_address(address)?), scheme })
    });
    first_untrusted(hops, peer, is_trusted)
}

/// Some proxies say the scheme and nothing of the client.
fn scheme_alone(headers: &HeaderMap, peer: IpAddr) -> Option<Claim> {
    let schemes = all_members(headers, &X_FORWARDED_PROTO);
    let scheme = parse_scheme(schemes.last()?).ok()?;
    Some(Claim { address: peer, scheme: Some(scheme) })
}

/// Goes from the last hop to the first as far as those who speak are trusted.
fn first_untrusted(
    hops: impl Iterator<Item = Result<Hop, Malformed>>,
    peer: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Claim, Malformed> {
    let mut claim = Claim { address: peer, scheme: None };
    for hop in hops {
        let Hop { address, scheme } = hop?;
        claim.scheme = scheme.or(claim.scheme);
        // A proxy that does not tell is the last that is known.
        let Some(address) = address else { break };
        claim.address = address;
        if !is_trusted(address) {
            break;
        }
    }
    Ok(claim)
}

fn all_members<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h [u8]> {
    let fields = headers.get_all(name).iter();
    fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).collect()
}

/// A `forwarded-element` (RFC 7239, 4): pairs between semicolons, each name once.
fn hop(element: &[u8]) -> Result<Hop, Malformed> {
    let mut hop = Hop { address: None, scheme: None };
    let (mut has_for, mut has_proto) = (false, false);
    for pair in pairs(element) {
        let (name, Some(value)) = name_and_value(pair) else { return Err(Malformed) };
        let value = unquoted(value)?;
        if name.eq_ignore_ascii_case(b"for") {
            if std::mem::replace(&mut has_for, true) {
                return Err(Malformed);
            }
            hop.address = node(value)?;
        } else if name.eq_ignore_ascii_case(b"proto") {
            if std::mem::replace(&mut has_proto, true) {
                return Err(Malformed);
            }
            hop.scheme = Some(parse_scheme(value)?);
        }
    }
    Ok(hop)
}

/// Parts between semicolons that are in no quoted string.
fn pairs(element: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    element
        .split(move |byte| {
            quoted ^= *byte == b'"';
            *byte == b';' && !quoted
        })
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
}

/// A token, or what stands in a quoted string; nothing that is read here needs an escape.
fn unquoted(value: &[u8]) -> Result<&[u8], Malformed> {
    let inner = match value.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\"").ok_or(Malformed)?,
        None => value,
    };
    if inner.iter().any(|byte| matches!(byte, b'"' | b'\\')) { Err(Malformed) } else { Ok(inner) }
}

/// A `node` (RFC 7239, 6): an address with or without a port, or a name that says nothing.
fn node(value: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    let name = value.split(|byte| *byte == b':').next().unwrap_or_default();
    if name.eq_ignore_ascii_case(b"unknown") || name.starts_with(b"_") {
        return Ok(None);
    }
    parse_address(value).map(Some)
}

/// An address: bare, IPv6 in brackets or not, with or without a port.
fn parse_address(value: &[u8]) -> Result<IpAddr, Malformed> {
    let text = std::str::from_utf8(value).map_err(|_| Malformed)?;
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let address = text.parse::<IpAddr>().ok().or_else(bare);
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical()).ok_or(Malformed)
}

fn parse_scheme(value: &[u8]) -> Result<Scheme, Malformed> {
    Scheme::ALL.into_iter().find(|scheme| value.eq_ignore_ascii_case(scheme.name().as_bytes())).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    /// Proxies have addresses that begin with 10, or fd.
    fn is_trusted(address: IpAddr) -> bool {
        address.to_string().starts_with("10.") || address.to_string().starts_with("fd")
    }

    fn claimed(fields: &[(&'static str, &str)]) -> Option<Claim> {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        claimed_client(&fields.iter().map(pair).collect(), PEER, is_trusted)
    }

    fn claim(address: &str, scheme: impl Into<Option<Scheme>>) -> Option<Claim> {
        Some(Claim { address: address.parse().unwrap(), scheme: scheme.into() })
    }

    #[test]
    fn a_scheme_is_the_one_that_either_field_names_unless_they_disagree() {
        use Scheme::Https;
        let both = |forwarded: &str, proto: &str| {
            claimed(&[("forwarded", forwarded), ("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", proto)])
        };
        assert_eq!(both("for=192.0.2.1", "https"), claim("192.0.2.1", Https));
        assert_eq!(both("for=192.0.2.1;proto=https", "https"), claim("192.0.2.1", Https));
        assert_eq!(both("for=192.0.2.1;proto=https", "http"), None);
    }

    #[test]
    fn forwarded_is_read_from_its_end_to_the_first_address_not_trusted() {
        use Scheme::{Http, Https};
        for (field, expected) in [
            ("for=192.0.2.1", claim("192.0.2.1", None)),
            ("For=\"192.0.2.1:4711\"; PROTO=https;by=203.0.113.43", claim("192.0.2.1", Https)),
            ("for=\"[2001:db8:cafe::17]:4711\"", claim("2001:db8:cafe::17", None)),
            ("for=\"[2001:db8::1]\"", claim("2001:db8::1", None)),
            ("for=6.6.6.6, for=192.0.2.1;proto=https, for=10.0.0.2;proto=http", claim("192.0.2.1", Https)),
            ("for=192.0.2.1;proto=http,for=\"[fd00::2]\";proto=https", claim("192.0.2.1", Http)),
            // What the client may have sent is not looked at.
            ("for=nonsense\", , for=192.0.2.1", None),
            ("rubbish, for=192.0.2.1", claim("192.0.2.1", None)),
            ("for=10.0.0.3, for=10.0.0.2", claim("10.0.0.3", None)),
            // Who does not tell is the last that is known.
            ("for=unknown;proto=https", claim("10.0.0.1", Https)),
            ("for=192.0.2.1, for=_hidden, for=10.0.0.2", claim("10.0.0.2", None)),
            ("for=\"_gazonk\"", claim("10.0.0.1", None)),
            ("proto=https", claim("10.0.0.1", Https)),
            ("", claim("10.0.0.1", None)),
            ("host=\"a;b,c\";for=192.0.2.1", claim("192.0.2.1", None)),
        ] {
            assert_eq!(claimed(&[("forwarded", field)]), expected, "{field}");
        }
    }

    #[test]
    fn x_forwarded_for_likewise() {
        use Scheme::{Http, Https};
        for (addresses, schemes, expected) in [
            ("192.0.2.1", None, claim("192.0.2.1", None)),
            ("6.6.6.6, 192.0.2.1,10.0.0.2", Some("https"), claim("192.0.2.1", Https)),
            ("6.6.6.6, 192.0.2.1, 10.0.0.2", Some("http, https, http"), claim("192.0.2.1", Https)),
            ("192.0.2.1, 10.0.0.2", Some("HTTP, http, HTTPS"), claim("192.0.2.1", Https)),
            ("2001:db8::1", Some("http"), claim("2001:db8::1", Http)),
            ("[2001:db8::1]:80", None, claim("2001:db8::1", None)),
            ("::ffff:192.0.2.1", None, claim("192.0.2.1", None)),
            ("rubbish, 192.0.2.1:80", None, claim("192.0.2.1", None)),
        ] {
            let mut fields = vec![("x-forwarded-for", addresses)];
            fields.extend(schemes.map(|schemes| ("x-forwarded-proto", schemes)));
            assert_eq!(claimed(&fields), expected, "{addresses} {schemes:?}");
        }
        assert_eq!(claimed(&[("x-forwarded-proto", "https")]), claim("10.0.0.1", Https));
        assert_eq!(claimed(&[]), None);
    }

    #[test]
    fn fields_in_several_lines_are_one_list() {
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "10.0.0.2")];
        assert_eq!(claimed(&lines), claim("192.0.2.1", None));
        let lines = [("forwarded", "for=\"6.6.6.6"), ("forwarded", "for=192.0.2.1"), ("forwarded", "for=10.0.0.2")];
        assert_eq!(claimed(&lines), claim("192.0.2.1", None));
    }

    #[test]
    fn what_cannot_be_read_as_far_as_it_must_counts_for_nothing() {
        for field in [
            "for",
            "for=",
            "for=1.2.3",
            "for=192.0.2.1;for=192.0.2.2",
            "proto=ftp",
            "for=\"192.0.2.1",
            "for=192.0.2.1:99999",
            "for=2001:db8::1:x",
            "192.0.2.1",
        ] {
            assert_eq!(claimed(&[("forwarded", field)]), None, "{field}");
        }
        for (addresses, scheme) in [("", "https"), ("192.0.2.1,", "https"), ("nobody", "https"), ("192.0.2.1", "ftp")] {
            let fields = [("x-forwarded-for", addresses), ("x-forwarded-proto", scheme)];
            assert_eq!(claimed(&fields), None, "{addresses} {scheme}");
        }
    }

    #[test]
    fn two_fields_count_where_they_agree() {
        let both = |standard, usual| claimed(&[("forwarded", standard), ("x-forwarded-for", usual)]);
        assert_eq!(both("for=192.0.2.1;proto=https", "192.0.2.1"), claim("192.0.2.1", Scheme::Https));
        assert_eq!(both("for=6.6.6.6", "192.0.2.1"), None);
        assert_eq!(both("rubbish", "192.0.2.1"), None);
        assert_eq!(both("for=192.0.2.1", "rubbish"), None);
    }

    proptest! {
        #[test]
        fn nothing_that_a_client_sends_moves_what_the_proxy_adds(sent in "[ -~&&[^\"]]{0,60}") {
            let usual = format!("{sent}, 192.0.2.1");
            prop_assert_eq!(claimed(&[("x-forwarded-for", &usual)]), claim("192.0.2.1", None));
            let standard = format!("{sent}, for=192.0.2.1");
            prop_assert_eq!(claimed(&[("forwarded", &standard)]), claim("192.0.2.1", None));
        }

        #[test]
        fn any_field_is_survived_and_never_names_one_who_is_not_in_it(field in "[ -~]{0,80}") {
            for name in ["forwarded", "x-forwarded-for"] {
                if let Some(claim) = claimed(&[(name, &field)]) {
                    prop_assert!(claim.address == PEER || field.contains(&claim.address.to_string()) || field.contains(':'));
                }
            }
        }
    }
}

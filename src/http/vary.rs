//! Which stored response a request may get where the origin gives several for one URL (RFC 9111, 4.1): `Vary` names the
//! request's fields that select, and their values, brought to one form where they mean the same, become part of the key.

use http::{
    HeaderMap, HeaderName,
    header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_ENCODING, VARY},
};

use super::list::members;

/// The most fields that may select. What varies by more has so many versions that storing one would hardly ever serve again.
pub const MAX_FIELDS: usize = 16;

/// The most bytes of selecting values; a request with more passes by the cache.
pub const MAX_SELECTING_BYTES: usize = 4 * 1024;

/// What a response varies by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vary {
    /// Nothing: one response for all.
    Nothing,
    /// The values of these fields of the request, by name, each once.
    Fields(Vec<HeaderName>),
    /// Something that no cache can know: `*`, what cannot be read, or more fields than are looked at.
    Anything,
}

impl Vary {
    /// Reads all `Vary` fields of a response.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let names = headers.get_all(VARY).iter().flat_map(|field| members(field.as_bytes()));
        let mut fields = Vec::new();
        for name in names.filter(|name| !name.is_empty()) {
            // `*` is a token too, but no name that means one field.
            match HeaderName::from_bytes(name) {
                Ok(name) if name.as_str() != "*" => {
                    if let Err(position) =
                        fields.binary_search_by(|known: &HeaderName| known.as_str().cmp(name.as_str()))
                    {
                        fields.insert(position, name);
                    }
                }
                _ => return Self::Anything,
            }
            if fields.len() > MAX_FIELDS {
                return Self::Anything;
            }
        }
        if fields.is_empty() { Self::Nothing } else { Self::Fields(fields) }
    }
}

/// The values of `fields` in a request, for a key: two requests with the same ones may get the same response. A field that
/// is not there is another thing than an empty one. `None` where they are more than [`MAX_SELECTING_BYTES`].
#[must_use]
pub fn selecting(fields: &[HeaderName], request: &HeaderMap) -> Option<Vec<u8>> {
    let mut values = Vec::new();
    for name in fields {
        values.extend_from_slice(name.as_str().as_bytes());
        match combined(request, name)? {
            None => values.push(b'-'),
            Some(value) => {
                let value = normalized(name, &value);
                values.push(b'=');
                // The length first, so that no value can pass for a value and the next field.
                values.extend_from_slice(&u32::try_from(value.len()).ok()?.to_be_bytes());
                values.extend_from_slice(&value);
            }
        }
        if values.len() > MAX_SELECTING_BYTES {
            return None;
        }
    }
    Some(values)
}

/// A field's lines as one list without space around its members; no more than can count anyway.
#[expect(clippy::option_option, reason = "too long, not there, there")]
fn combined(request: &HeaderMap, name: &HeaderName) -> Option<Option<Vec<u8>>> {
    let mut lines = request.get_all(name).iter();
    let Some(first) = lines.next() else { return Some(None) };
    let mut joined = first.as_bytes().to_vec();
    for line in lines {
        joined.push(b',');
        joined.extend_from_slice(line.as_bytes());
        if joined.len() > MAX_SELECTING_BYTES {
            return None;
        }
    }
    Some(Some(members(&joined).collect::<Vec<_>>().join(&b","[..])))
}

/// A value in the one form for all that mean the same.
fn normalized(name: &HeaderName, value: &[u8]) -> Vec<u8> {
    let known = match *name {
        ACCEPT_LANGUAGE => languages(value),
        ACCEPT_ENCODING => codings(value),
        _ => None,
    };
    known.unwrap_or_else(|| value.to_vec())
}

/// A member of a list of preferences, in lower case, and its weight in thousandths (RFC 9110, 12.4.2). `None` where it has
/// other parameters, or a weight that is none: then the list is left as it is.
fn preference(member: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next()?.to_ascii_lowercase();
    let weight = match (parts.next(), parts.next()) {
        (None, _) => 1000,
        (Some(parameter), None) => thousandths(parameter)?,
        (Some(_), Some(_)) => return None,
    };
    Some((weight, name))
}

fn thousandths(parameter: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(parameter).ok()?;
    let number = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="))?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("1", 0) => Some(1000),
        ("0", decimals) => Some(decimals),
        _ => None,
    }
}

fn preferences(value: &[u8]) -> Option<Vec<(u16, Vec<u8>)>> {
    members(value).filter(|member| !member.is_empty()).map(preference).collect()
}

/// Languages with their weights, the best first; among equals the order says nothing (RFC 9110, 12.5.4).
fn languages(value: &[u8]) -> Option<Vec<u8>> {
    let mut languages = preferences(value)?;
    languages.sort_unstable_by(|(weight, name), (other_weight, other)| other_weight.cmp(weight).then(name.cmp(other)));
    languages.dedup();
    let text = |(weight, name): &(u16, Vec<u8>)| [name, &b";q="[..], weight.to_string().as_bytes()].concat();
    Some(languages.iter().map(text).collect::<Vec<_>>().join(&b","[..]))
}

/// Whether a response's content is packed in some way, for those only who take that (RFC 9110, 8.4).
#[must_use]
pub fn is_encoded(response: &HeaderMap) -> bool {
    response.get(CONTENT_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Codings that every origin knows. A client's `*` stands for those of them that it does not name.
const CODINGS: [&[u8]; 5] = [b"br", b"deflate", b"gzip", b"identity", b"zstd"];

/// Codings that may be sent, in alphabetical order: which one the client likes better is its wish, not its ability. Codings
/// that are not in [`CODINGS`] stay: a client that does not know them must not get what was encoded for one that does.
fn codings(value: &[u8]) -> Option<Vec<u8>> {
    let mut given = preferences(value)?;
    for (_, name) in &mut given {
        if let Some(name_today) = name.strip_prefix(b"x-").filter(|rest| *rest == b"gzip") {
            *name = name_today.to_vec();
        }
    }
    let weight_of = |wanted: &[u8]| given.iter().filter(|(_, name)| name == wanted).map(|(weight, _)| *weight).max();
    let others = weight_of(b"*");
    let is_acceptable = |coding: &[u8]| match weight_of(coding).or(others) {
        Some(weight) => weight > 0,
        None => coding == b"identity",
    };
    let mut acceptable: Vec<&[u8]> = CODINGS.into_iter().filter(|coding| is_acceptable(coding)).collect();
    acceptable.extend(given.iter().filter(|(weight, _)| *weight > 0).map(|(_, name)| name.as_slice()));
    acceptable.sort_unstable();
    acceptable.dedup();
    Some(acceptable.join(&b","[..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn vary(lines: &[&str]) -> Vary {
        let line = |line: &&str| (VARY, HeaderValue::from_str(line).unwrap());
        Vary::of(&lines.iter().map(line).collect())
    }

    fn fields(names: &[&'static str]) -> Vary {
        Vary::Fields(names.iter().copied().map(HeaderName::from_static).collect())
    }

    fn selected(name: &'static str, lines: &[&str]) -> Option<Vec<u8>> {
        let name = HeaderName::from_static(name);
        let line = |line: &&str| (name.clone(), HeaderValue::from_str(line).unwrap());
        selecting(std::slice::from_ref(&name), &lines.iter().map(line).collect())
    }

    #[test]
    fn only_identity_is_no_encoding() {
        let coded = |coding: &str| HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap())]);
        assert!(is_encoded(&coded("gzip")));
        assert!(!is_encoded(&coded("Identity")));
        assert!(!is_encoded(&HeaderMap::new()));
    }

    #[test]
    fn all_lines_count_and_each_name_once() {
        assert_eq!(vary(&[]), Vary::Nothing);
        assert_eq!(vary(&["", " , "]), Vary::Nothing);
        assert_eq!(vary(&["Foo, bar", "foo,Accept"]), fields(&["accept", "bar", "foo"]));
    }

    #[test]
    fn what_cannot_be_known_is_anything() {
        for lines in [
            &["*"][..],
            &["*, *"],
            &["*", "*"],
            &[", *"],
            &["", "*"],
            &["*, Foo"],
            &["Foo, *"],
            &["a b"],
            &["a;b"],
            &["\"foo\""],
        ] {
            assert_eq!(vary(lines), Vary::Anything, "{lines:?}");
        }
        let many = |count: usize| (0..count).map(|at| format!("x-{at}")).collect::<Vec<_>>().join(",");
        assert_ne!(vary(&[&many(MAX_FIELDS)]), Vary::Anything);
        assert_eq!(vary(&[&many(MAX_FIELDS + 1)]), Vary::Anything);
    }

    #[test]
    fn lines_and_space_make_no_difference_and_values_do() {
        let same = selected("foo", &["1, 2"]);
        for lines in [&["1,2"][..], &[" 1 ,  2 "], &["1", "2"]] {
            assert_eq!(selected("foo", lines), same, "{lines:?}");
        }
        for lines in [&[][..], &[""], &["2, 1"], &["1"], &["1, 2, "], &["12"], &["\"1, 2\""], &["1 , 2x"]] {
            assert_ne!(selected("foo", lines), same, "{lines:?}");
        }
        assert_ne!(selected("foo", &["a"]), selected("foo", &["A"]));
        assert_ne!(selected("foo", &[]), selected("foo", &[""]));
    }

    #[test]
    fn no_value_passes_for_another_field() {
        let names = ["a", "b"].map(HeaderName::from_static);
        let request = |fields: &[(&'static str, &'static str)]| -> HeaderMap {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            fields.iter().map(pair).collect()
        };
        let one = selecting(&names, &request(&[("a", "1"), ("b", "2")]));
        for other in [&[("a", "1")][..], &[("b", "2")], &[("a", "1b=2")], &[("a", "2"), ("b", "1")]] {
            assert_ne!(selecting(&names, &request(other)), one, "{other:?}");
        }
        assert_eq!(selecting(&names, &request(&[("b", "2"), ("c", "3"), ("a", "1")])), one);
    }

    #[test]
    fn languages_are_told_apart_by_weight_and_not_by_order_or_case() {
        let same = selected("accept-language", &["en, de"]);
        for lines in
            [&["de, en"][..], &["eN, De"], &[" en ,   de"], &["en;q=1.0, de;q=1"], &["de", "en"], &["de,en,de"]]
        {
            assert_eq!(selected("accept-language", lines), same, "{lines:?}");
        }
        for lines in [&["en"][..], &["en, de;q=0.5"], &["en, de;q=0"], &["en, fr"], &[""], &["en, de;x=1"]] {
            assert_ne!(selected("accept-language", lines), same, "{lines:?}");
        }
        assert_eq!(selected("accept-language", &["fr;q=0.5, de"]), selected("accept-language", &["de, fr; q=0.500"]));
        assert_ne!(selected("accept-language", &["de;q=2"]), selected("accept-language", &["de"]));
    }

    #[test]
    fn codings_are_told_apart_by_what_may_be_sent() {
        let same = selected("accept-encoding", &["gzip, deflate, br"]);
        for lines in [
            &["br;q=1.0, gzip;q=0.2, deflate"][..],
            &["BR", "Gzip, deflate"],
            &["br,x-gzip,deflate,identity"],
            &["br, deflate, gzip, zstd;q=0"],
        ] {
            assert_eq!(selected("accept-encoding", lines), same, "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["gzip"],
            &["gzip, deflate, br, zstd"],
            &["gzip, deflate, br, dcb"],
            &["*"],
            &["gzip, deflate, br, identity;q=0"],
            &["gzip, deflate, br;q=x"],
        ] {
            assert_ne!(selected("accept-encoding", lines), same, "{lines:?}");
        }
        assert_eq!(selected("accept-encoding", &[""]), selected("accept-encoding", &["gzip;q=0"]));
        assert_ne!(selected("accept-encoding", &["*;q=0"]), selected("accept-encoding", &["identity"]));
    }

    #[test]
    fn what_is_too_long_selects_nothing() {
        assert!(selected("foo", &[&"x".repeat(MAX_SELECTING_BYTES - 100)]).is_some());
        assert_eq!(selected("foo", &[&"x".repeat(MAX_SELECTING_BYTES)]), None);
        assert_eq!(selected("foo", &vec!["x"; MAX_SELECTING_BYTES]), None);
    }

    fn any_name() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["foo", "accept-language", "accept-encoding", "accept"])
    }

    proptest! {
        #[test]
        fn space_and_line_ends_select_nothing_else(
            name in any_name(),
            parts in prop::collection::vec("[a-z*]{0,5}(;q=0\\.[0-9])?", 1..6),
            space in prop::collection::vec("[ \t]{0,2}", 6), lines in prop::collection::vec(any::<bool>(), 6),
        ) {
            let mut spread = vec![String::new()];
            for (at, part) in parts.iter().enumerate() {
                if at > 0 && lines[at] {
                    spread.push(String::new());
                } else if at > 0 {
                    spread.last_mut().unwrap().push(',');
                }
                *spread.last_mut().unwrap() += &format!("{}{part}{}", space[at], space[5 - at]);
            }
            let spread: Vec<&str> = spread.iter().map(String::as_str).collect();
            prop_assert_eq!(selected(name, &spread), selected(name, &[&parts.join(",")]));
        }

        #[test]
        fn any_bytes_select_something_bounded(
            name in any_name(), bytes in prop::collection::vec(any::<u8>(), 0..5000),
        ) {
            let name = HeaderName::from_static(name);
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let request = HeaderMap::from_iter([(name.clone(), value)]);
                prop_assert!(selecting(&[name], &request).is_none_or(|key| key.len() <= MAX_SELECTING_BYTES));
            }
        }

        #[test]
        fn any_bytes_are_a_vary(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes)
                && let Vary::Fields(names) = Vary::of(&HeaderMap::from_iter([(VARY, value)]))
            {
                prop_assert!(names.len() <= MAX_FIELDS && names.is_sorted_by(|a, b| a.as_str() < b.as_str()));
            }
        }
    }
}

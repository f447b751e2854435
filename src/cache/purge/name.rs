//! How purges call what is cached. Spellings of a URL that an origin cannot tell apart are cached each by itself and purged
//! together: escapes that need not be, `/x/../`, and the origin's own URL for a path on it.

use std::borrow::Cow;

use url::Url;

use crate::request::key::SourceName;

/// A source as purges call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PurgeName<'a> {
    /// The site's id, whatever its origin was.
    pub(super) site: &'a str,
    /// Path and query below the site's origin, or an absolute URL elsewhere.
    pub(super) text: Cow<'a, str>,
}

impl<'a> From<SourceName<'a>> for PurgeName<'a> {
    fn from(name: SourceName<'a>) -> Self {
        let (site, origin) = name.scope.split_once(' ').unwrap_or((name.scope, ""));
        Self { site, text: canonical(origin, name.source) }
    }
}

/// The one spelling of a path with query on `origin`, or of an absolute URL. Most paths have it already; what cannot be read
/// as a URL stays as it is.
#[must_use]
pub fn canonical<'a>(origin: &str, source: &'a str) -> Cow<'a, str> {
    if is_plain_path(source) {
        return Cow::Borrowed(source);
    }
    let origin = origin.trim_end_matches('/');
    let url = if source.starts_with('/') { Url::parse(&format!("{origin}{source}")) } else { Url::parse(source) };
    let Ok(mut url) = url else { return Cow::Borrowed(source) };
    url.set_fragment(None);
    let text = unescaped(url.as_str());
    match text.strip_prefix(&unescaped(origin)).filter(|path| path.starts_with('/')) {
        Some(path) => Cow::Owned(path.to_owned()),
        None => Cow::Owned(text),
    }
}

/// Whether nothing in a path and its query is spelled in one of several ways.
fn is_plain_path(source: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&()*+,;=:@/?".contains(&byte);
    source.starts_with('/') && source.bytes().all(is_plain) && !source.contains("/.")
}

/// Takes back escapes of what need not be escaped (RFC 3986, 6.2.2), and writes the others in capital letters.
fn unescaped(url: &str) -> String {
    let mut text = String::with_capacity(url.len());
    let mut rest = url;
    while let Some((before, behind)) = rest.split_once('%') {
        text.push_str(before);
        rest = behind;
        let digits = behind.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let Some((digits, byte)) = digits.and_then(|digits| Some((digits, u8::from_str_radix(digits, 16).ok()?)))
        else {
            text.push('%');
            continue;
        };
        let plain = char::from(byte);
        if plain.is_ascii_alphanumeric() || "-._~".contains(plain) {
            text.push(plain);
        } else {
            text.push('%');
            text.push_str(&digits.to_ascii_uppercase());
        }
        rest = &behind[2..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: &str = "https://shop.example/base/";

    #[test]
    fn spellings_of_one_url_have_one_name() {
        let table = [
            ("/a.jpg", "/a.jpg"),
            ("/%61.jpg", "/a.jpg"),
            ("/x/../a.jpg", "/a.jpg"),
            ("/x/%2E%2e/a.jpg", "/a.jpg"),
            ("/./a.jpg", "/a.jpg"),
            ("https://shop.example/base/a.jpg", "/a.jpg"),
            ("https://SHOP.example:443/base/a.jpg", "/a.jpg"),
            ("https://shop.example/base/%61.jpg", "/a.jpg"),
            ("/a%2fb.jpg", "/a%2Fb.jpg"),
            ("/a b.jpg", "/a%20b.jpg"),
            ("/a.jpg?v=%31", "/a.jpg?v=1"),
            ("https://shop.example/basement/a.jpg", "https://shop.example/basement/a.jpg"),
            ("https://CDN.example/%7ea.jpg", "https://cdn.example/~a.jpg"),
            ("/a%", "/a%"),
            ("/a%4", "/a%4"),
            ("/a%zz", "/a%zz"),
        ];
        for (source, name) in table {
            assert_eq!(canonical(ORIGIN, source), name, "{source}");
        }
    }

    #[test]
    fn other_urls_have_other_names() {
        for (one, other) in [("/a.jpg", "/A.jpg"), ("/a.jpg", "/a.jpg?"), ("/a/b", "/a%2Fb"), ("/a//b", "/a/b")] {
            assert_ne!(canonical(ORIGIN, one), canonical(ORIGIN, other), "{one} {other}");
        }
    }

    #[test]
    fn a_site_is_called_by_its_id_whatever_its_origin_is() {
        let name = SourceName { scope: "shop https://shop.example/base/", source: "https://shop.example/base/a.jpg" };
        assert_eq!(PurgeName::from(name), PurgeName { site: "shop", text: "/a.jpg".into() });
        let moved = SourceName { scope: "shop https://new.example/", source: "/a.jpg" };
        assert_eq!(PurgeName::from(moved), PurgeName::from(name));
    }

    #[test]
    fn a_usual_path_is_not_copied() {
        assert!(matches!(canonical(ORIGIN, "/a/b-1_2.jpg?v=3&t=x"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn a_name_is_its_own_name(path in "/[ -~é%./?]{0,40}") {
            let once = canonical(ORIGIN, &path).into_owned();
            prop_assert_eq!(&canonical(ORIGIN, &once), &once);
        }

        #[test]
        fn what_is_plain_is_what_its_url_says(path in "/[a-z/.?=&~!$()*+,;:@-]{0,30}") {
            prop_assume!(is_plain_path(&path));
            let url = Url::parse(&format!("https://shop.example{path}")).unwrap();
            let parsed = url.as_str().strip_prefix("https://shop.example").unwrap();
            prop_assert_eq!(parsed, path.as_str());
        }
    }
}

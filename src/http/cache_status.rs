//! `Cache-Status` (RFC 9211): how this cache handled a request, in one list member after those of caches nearer the origin.

use std::fmt::Write as _;

use http::{HeaderValue, StatusCode};

/// How the cache answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// From what was stored, fresh or not.
    Hit,
    /// Forwarded: nothing was stored for this URL.
    Miss,
    /// Forwarded: something was stored for this URL, but not for what the request's fields select.
    VaryMiss,
    /// Forwarded: what was stored had expired.
    Stale,
    /// Forwarded: this request is not for the cache.
    Bypass,
    /// Forwarded: the method is not for the cache.
    Method,
    /// Forwarded: the request's own directives forbid using what is stored.
    Request,
    /// Forwarded: only a part of what is wanted is stored.
    Partial,
}

impl Handling {
    const fn parameter(self) -> &'static str {
        match self {
            Self::Hit => "; hit",
            Self::Miss => "; fwd=uri-miss",
            Self::VaryMiss => "; fwd=vary-miss",
            Self::Stale => "; fwd=stale",
            Self::Bypass => "; fwd=bypass",
            Self::Method => "; fwd=method",
            Self::Request => "; fwd=request",
            Self::Partial => "; fwd=partial",
        }
    }
}

/// The member for one response. Its `key` is not told: it would tell strangers what others' requests look like.
#[derive(Debug, Clone, Copy)]
pub struct CacheStatus<'a> {
    /// This cache's name.
    pub cache: &'a str,
    /// How it answered.
    pub handling: Handling,
    /// The status that the origin answered with, where it was asked and its answer is not what is sent.
    pub forward_status: Option<StatusCode>,
    /// Seconds of freshness left; negative once stale.
    pub ttl: Option<i64>,
    /// Whether the response is being stored.
    pub stored: bool,
    /// Whether others' requests were waited for.
    pub collapsed: bool,
    /// More about it, such as the variant's format, or why the original was served; empty for nothing.
    pub detail: &'a str,
}

impl<'a> CacheStatus<'a> {
    /// What `cache` did, and nothing more about it.
    #[must_use]
    pub const fn new(cache: &'a str, handling: Handling) -> Self {
        Self { cache, handling, forward_status: None, ttl: None, stored: false, collapsed: false, detail: "" }
    }

    /// The field value.
    #[must_use]
    pub fn to_value(self) -> HeaderValue {
        let mut text = String::with_capacity(64);
        push_name(&mut text, self.cache);
        text.push_str(self.handling.parameter());
        let is_forwarded = self.handling != Handling::Hit;
        // Writing to a String does not fail.
        if let Some(status) = self.forward_status.filter(|_| is_forwarded) {
            let _ = write!(text, "; fwd-status={}", status.as_u16());
        }
        if let Some(ttl) = self.ttl {
            let _ = write!(text, "; ttl={}", ttl.clamp(-LARGEST_INTEGER, LARGEST_INTEGER));
        }
        if self.stored && is_forwarded {
            text.push_str("; stored");
        }
        if self.collapsed && is_forwarded {
            text.push_str("; collapsed");
        }
        if !self.detail.is_empty() {
            text.push_str("; detail=");
            push_name(&mut text, self.detail);
        }
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("lightmeter"))
    }
}

/// The largest Integer of structured fields (RFC 9651, 3.3.1).
const LARGEST_INTEGER: i64 = 999_999_999_999_999;

/// Writes a Token where the text is one (RFC 9651, 3.3.4), else a String (3.3.3) of what it can hold.
fn push_name(text: &mut String, name: &str) {
    if is_token(name) {
        text.push_str(name);
        return;
    }
    text.push('"');
    for character in name.chars().filter(|character| matches!(character, ' '..='~')) {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}

fn is_token(name: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*') && name.bytes().all(in_token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sfv::{BareItem, List, ListEntry, Parser};

    #[test]
    fn a_member_says_what_happened() {
        let hit = CacheStatus { ttl: Some(60), detail: "avif", ..CacheStatus::new("lightmeter", Handling::Hit) };
        assert_eq!(hit.to_value(), "lightmeter; hit; ttl=60; detail=avif");
        let stale = CacheStatus { ttl: Some(-5), ..CacheStatus::new("lightmeter", Handling::Hit) };
        assert_eq!(stale.to_value(), "lightmeter; hit; ttl=-5");
        let miss = CacheStatus { handling: Handling::Miss, ttl: None, collapsed: true, detail: "deadline", ..hit };
        assert_eq!(miss.to_value(), "lightmeter; fwd=uri-miss; collapsed; detail=deadline");
        let validated = CacheStatus {
            forward_status: Some(StatusCode::NOT_MODIFIED),
            stored: true,
            ..CacheStatus::new("lightmeter", Handling::Stale)
        };
        assert_eq!(validated.to_value(), "lightmeter; fwd=stale; fwd-status=304; stored");
    }

    #[test]
    fn each_way_of_being_forwarded_has_its_name() {
        for (handling, name) in [
            (Handling::Miss, "uri-miss"),
            (Handling::VaryMiss, "vary-miss"),
            (Handling::Stale, "stale"),
            (Handling::Bypass, "bypass"),
            (Handling::Method, "method"),
            (Handling::Request, "request"),
            (Handling::Partial, "partial"),
        ] {
            assert_eq!(CacheStatus::new("a", handling).to_value(), format!("a; fwd={name}").as_str());
        }
    }

    #[test]
    fn what_was_not_forwarded_has_neither_status_nor_been_stored() {
        let hit = CacheStatus {
            forward_status: Some(StatusCode::OK),
            stored: true,
            collapsed: true,
            ..CacheStatus::new("a", Handling::Hit)
        };
        assert_eq!(hit.to_value(), "a; hit");
    }

    #[test]
    fn what_is_no_token_is_a_string() {
        let said = CacheStatus { detail: "of \"no\" use\r\n", ..CacheStatus::new("1st", Handling::Bypass) };
        assert_eq!(said.to_value(), r#""1st"; fwd=bypass; detail="of \"no\" use""#);
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_one_member_that_reads_back(cache in ".*", detail in ".*", ttl in any::<i64>()) {
            let said = CacheStatus { ttl: Some(ttl), detail: &detail, ..CacheStatus::new(&cache, Handling::Hit) };
            let list: List = Parser::new(said.to_value().as_bytes()).parse().unwrap();
            let [ListEntry::Item(member)] = list.as_slice() else { panic!("{list:?}") };
            prop_assert!(matches!(&member.bare_item, BareItem::String(_) | BareItem::Token(_)));
            prop_assert_eq!(member.params.get("hit"), Some(&BareItem::Boolean(true)));
        }
    }
}

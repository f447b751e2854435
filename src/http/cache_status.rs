//! `Cache-Status` (RFC 9211): how this cache handled a request, in one list member after those of caches nearer the origin.

use std::fmt::Write as _;

use http::HeaderValue;

/// How the cache answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// From what was stored.
    Hit,
    /// Forwarded: nothing was stored under this key.
    Miss,
    /// Forwarded: what was stored had expired.
    Stale,
    /// Forwarded: this request is not for the cache.
    Bypass,
    /// Forwarded: the method is not for the cache.
    Method,
}

/// The member for one response.
#[derive(Debug, Clone, Copy)]
pub struct CacheStatus<'a> {
    /// This cache's name.
    pub cache: &'a str,
    /// How it answered.
    pub handling: Handling,
    /// Seconds of freshness left; negative once stale.
    pub ttl: Option<i64>,
    /// Whether others' requests were waited for.
    pub collapsed: bool,
    /// The variant's format, or why the original was served; a token.
    pub detail: &'a str,
}

impl CacheStatus<'_> {
    /// The field value.
    #[must_use]
    pub fn to_value(self) -> HeaderValue {
        let mut text = String::with_capacity(64);
        text.push_str(self.cache);
        text.push_str(match self.handling {
            Handling::Hit => "; hit",
            Handling::Miss => "; fwd=uri-miss",
            Handling::Stale => "; fwd=stale",
            Handling::Bypass => "; fwd=bypass",
            Handling::Method => "; fwd=method",
        });
        if let Some(ttl) = self.ttl {
            // Writing to a String does not fail.
            let _ = write!(text, "; ttl={ttl}");
        }
        if self.collapsed {
            text.push_str("; collapsed");
        }
        if !self.detail.is_empty() {
            let _ = write!(text, "; detail={}", self.detail);
        }
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("lightmeter"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_says_what_happened() {
        let hit = CacheStatus {
            cache: "lightmeter",
            handling: Handling::Hit,
            ttl: Some(60),
            collapsed: false,
            detail: "avif",
        };
        assert_eq!(hit.to_value(), "lightmeter; hit; ttl=60; detail=avif");
        let miss = CacheStatus { handling: Handling::Miss, ttl: None, collapsed: true, detail: "deadline", ..hit };
        assert_eq!(miss.to_value(), "lightmeter; fwd=uri-miss; collapsed; detail=deadline");
        let bypass = CacheStatus { handling: Handling::Bypass, collapsed: false, detail: "", ..miss };
        assert_eq!(bypass.to_value(), "lightmeter; fwd=bypass");
    }
}

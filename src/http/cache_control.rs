//! `Cache-Control` of a response (RFC 9111, 5.2.2). Where directives stand twice or cannot be read, the most restrictive
//! reading holds; unknown directives do not count.

use http::{HeaderMap, header::CACHE_CONTROL};

/// The largest number of seconds kept; larger ones saturate (RFC 9111, 1.2.2).
pub const MAX_DELTA_SECONDS: u64 = 1 << 31;

/// What a response's `Cache-Control` fields say together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// May not be stored.
    pub no_store: bool,
    /// Is meant for one user; a shared cache may not store it.
    pub private: bool,
    /// May be stored, not reused unvalidated.
    pub no_cache: bool,
    /// Its content may not be changed (5.2.2.6).
    pub no_transform: bool,
    /// May be stored even where that is not usual.
    pub public: bool,
    /// Once stale, not to be used unvalidated.
    pub must_revalidate: bool,
    /// Lifetime in any cache, in seconds.
    pub max_age: Option<u64>,
    /// Lifetime in shared caches, in seconds; implies `proxy-revalidate`.
    pub s_maxage: Option<u64>,
}

impl CacheControl {
    /// Reads all `Cache-Control` fields of `headers`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for value in headers.get_all(CACHE_CONTROL) {
            for directive in Directives(value.as_bytes()) {
                found.take(directive);
            }
        }
        found
    }

    fn take(&mut self, directive: &[u8]) {
        let (name, value) = match directive.iter().position(|byte| *byte == b'=') {
            Some(at) => (directive[..at].trim_ascii(), Some(directive[at + 1..].trim_ascii())),
            None => (directive, None),
        };
        // `private="field"` and `no-cache="field"` restrict one field only; read as the whole, the stricter reading.
        match name.to_ascii_lowercase().as_slice() {
            b"no-store" => self.no_store = true,
            b"private" => self.private = true,
            b"no-cache" => self.no_cache = true,
            b"no-transform" => self.no_transform = true,
            b"public" => self.public = true,
            b"must-revalidate" | b"proxy-revalidate" => self.must_revalidate = true,
            b"max-age" => shorten(&mut self.max_age, delta_seconds(value)),
            b"s-maxage" => shorten(&mut self.s_maxage, delta_seconds(value)),
            _ => {}
        }
    }
}

fn shorten(lifetime: &mut Option<u64>, seconds: u64) {
    *lifetime = Some(lifetime.map_or(seconds, |known| known.min(seconds)));
}

/// Delta-seconds (1.2.2), quoted or not; what cannot be read counts as 0: already stale.
fn delta_seconds(value: Option<&[u8]>) -> u64 {
    let value = value.unwrap_or_default();
    let digits = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    digits.iter().fold(0, |seconds: u64, digit| (seconds * 10 + u64::from(digit - b'0')).min(MAX_DELTA_SECONDS))
}

/// Splits a list at its commas, leaving quoted strings whole.
struct Directives<'a>(&'a [u8]);

impl<'a> Iterator for Directives<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let mut quoted = false;
        let mut escaped = false;
        let end = self.0.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' => return !quoted,
                _ => {}
            }
            false
        });
        let (directive, rest) = match end {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0, &[][..]),
        };
        self.0 = rest;
        Some(directive.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(fields: &[&str]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(CACHE_CONTROL, HeaderValue::from_str(field).unwrap());
        }
        CacheControl::of(&headers)
    }

    #[test]
    fn directives_are_read_in_any_case_and_spread_over_fields() {
        let control = read(&["Public, MAX-AGE=60", "s-maxage=30 , no-transform"]);
        assert!(control.public && control.no_transform && !control.no_store);
        assert_eq!((control.max_age, control.s_maxage), (Some(60), Some(30)));
    }

    #[test]
    fn the_most_restrictive_reading_holds() {
        assert_eq!(read(&["max-age=60, max-age=10"]).max_age, Some(10));
        assert_eq!(read(&["max-age=1.5"]).max_age, Some(0));
        assert_eq!(read(&["max-age"]).max_age, Some(0));
        assert_eq!(read(&["max-age=-1"]).max_age, Some(0));
        assert_eq!(read(&["max-age=\"60\""]).max_age, Some(60));
        assert!(read(&["no-cache=\"set-cookie, x\", public"]).no_cache);
        assert!(read(&["private=\"x\""]).private);
    }

    #[test]
    fn too_many_seconds_saturate() {
        assert_eq!(read(&["max-age=99999999999999999999999999"]).max_age, Some(MAX_DELTA_SECONDS));
    }

    #[test]
    fn what_stands_in_quotes_is_not_a_directive() {
        assert!(!read(&["x=\"a, no-store, b\""]).no_store);
        assert!(!read(&["x=\"a\\\", no-store\""]).no_store);
    }
}

//! `Cache-Control` of a response (RFC 9111, 5.2.2; RFC 5861; RFC 8246), and what takes its place where an origin speaks to
//! caches like this one (RFC 9213). Where directives stand twice or cannot be read, the most restrictive reading holds;
//! unknown directives do not count.

use http::{HeaderMap, header::CACHE_CONTROL};

use super::{
    list::{members, name_and_value},
    surrogate, targeted,
};

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
    /// Once stale, not to be used unvalidated. `proxy-revalidate` means the same to a shared cache.
    pub must_revalidate: bool,
    /// May be stored only by caches that know what its status means, and by these in spite of `no-store` (5.2.2.3).
    pub must_understand: bool,
    /// Does not change while it is fresh (RFC 8246): whoever reloads need not ask.
    pub immutable: bool,
    /// Lifetime in any cache, in seconds.
    pub max_age: Option<u64>,
    /// Lifetime in shared caches, in seconds; implies `proxy-revalidate`.
    pub s_maxage: Option<u64>,
    /// For how many seconds it may be used stale while it is validated (RFC 5861, 3).
    pub stale_while_revalidate: Option<u64>,
    /// For how many seconds it may be used stale where the origin fails (RFC 5861, 4).
    pub stale_if_error: Option<u64>,
}

/// Which field a policy was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `Cache-Control`; `Expires` counts beside it.
    CacheControl,
    /// A field for caches like this one; neither `Cache-Control` nor `Expires` counts (RFC 9213, 2.2).
    Targeted,
}

impl CacheControl {
    /// Reads all `Cache-Control` fields of `headers`: what the origin says to everybody.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for value in headers.get_all(CACHE_CONTROL) {
            for directive in members(value.as_bytes()) {
                found.take(directive);
            }
        }
        found
    }

    /// What the origin says to this cache: in `CDN-Cache-Control` where that is valid and not empty, else in
    /// `Surrogate-Control` where something there is for it, else in `Cache-Control`.
    #[must_use]
    pub fn for_us(headers: &HeaderMap) -> (Self, Source) {
        match targeted::read(headers).or_else(|| surrogate::read(headers)) {
            Some(control) => (control, Source::Targeted),
            None => (Self::of(headers), Source::CacheControl),
        }
    }

    fn take(&mut self, directive: &[u8]) {
        let (name, value) = name_and_value(directive);
        let name = name.to_ascii_lowercase();
        // `private="field"` and `no-cache="field"` restrict one field only; read as the whole, the stricter reading.
        if let Some(flag) = self.flag(&name) {
            *flag = true;
        } else if let Some(seconds) = self.seconds(&name) {
            shorten(seconds, delta_seconds(value));
        }
    }

    /// The flag that a directive sets.
    pub(super) fn flag(&mut self, name: &[u8]) -> Option<&mut bool> {
        Some(match name {
            b"no-store" => &mut self.no_store,
            b"private" => &mut self.private,
            b"no-cache" => &mut self.no_cache,
            b"no-transform" => &mut self.no_transform,
            b"public" => &mut self.public,
            b"must-revalidate" | b"proxy-revalidate" => &mut self.must_revalidate,
            b"must-understand" => &mut self.must_understand,
            b"immutable" => &mut self.immutable,
            _ => return None,
        })
    }

    /// The seconds that a directive gives.
    pub(super) fn seconds(&mut self, name: &[u8]) -> Option<&mut Option<u64>> {
        Some(match name {
            b"max-age" => &mut self.max_age,
            b"s-maxage" => &mut self.s_maxage,
            b"stale-while-revalidate" => &mut self.stale_while_revalidate,
            b"stale-if-error" => &mut self.stale_if_error,
            _ => return None,
        })
    }
}

pub(super) fn shorten(lifetime: &mut Option<u64>, seconds: u64) {
    *lifetime = Some(lifetime.map_or(seconds, |known| known.min(seconds)));
}

/// Delta-seconds (1.2.2), quoted or not; what cannot be read counts as 0: already stale.
pub(super) fn delta_seconds(value: Option<&[u8]>) -> u64 {
    let value = value.unwrap_or_default();
    let digits = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    digits_seconds(digits).unwrap_or(0)
}

/// Delta-seconds that are digits and nothing else.
pub(super) fn digits_seconds(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |seconds: u64, digit: &u8| (seconds * 10 + u64::from(digit - b'0')).min(MAX_DELTA_SECONDS);
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::{prelude::*, sample::subsequence};

    fn read<S: AsRef<str>>(fields: &[S]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(CACHE_CONTROL, HeaderValue::from_str(field.as_ref()).unwrap());
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
        assert_eq!(read(&["max-age='60'"]).max_age, Some(0));
        assert_eq!(read(&["max-age=\"60\""]).max_age, Some(60));
        assert_eq!(read(&["stale-if-error=60, stale-if-error=x"]).stale_if_error, Some(0));
        assert!(read(&["no-cache=\"set-cookie, x\", public"]).no_cache);
        assert!(read(&["private=\"x\""]).private);
    }

    #[test]
    fn what_other_documents_add_is_read() {
        let control = read(&["max-age=1, immutable=yes, must-understand, stale-while-revalidate=5, stale-if-error=7"]);
        assert!(control.immutable && control.must_understand);
        assert_eq!((control.stale_while_revalidate, control.stale_if_error), (Some(5), Some(7)));
        assert!(read(&["proxy-revalidate"]).must_revalidate);
    }

    #[test]
    fn too_many_seconds_saturate() {
        assert_eq!(read(&["max-age=99999999999999999999999999"]).max_age, Some(MAX_DELTA_SECONDS));
        assert_eq!(read(&["max-age=003600"]).max_age, Some(3600));
    }

    #[test]
    fn what_stands_in_quotes_is_not_a_directive() {
        assert!(!read(&["x=\"a, no-store, b\""]).no_store);
        assert!(!read(&["x=\"a\\\", no-store\""]).no_store);
    }

    const DIRECTIVES: [&str; 16] = [
        "no-store",
        "private",
        "no-cache",
        "public",
        "must-revalidate",
        "must-understand",
        "immutable",
        "max-age=60",
        "max-age=5",
        "max-age=x",
        "s-maxage=9",
        "s-maxage=\"700\"",
        "stale-if-error=8",
        "stale-while-revalidate=3",
        "x=\"no-store, max-age=1\"",
        "y",
    ];

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = CacheControl::for_us(&HeaderMap::from_iter([(CACHE_CONTROL, value)]));
            }
        }

        #[test]
        fn neither_order_nor_repetition_nor_lines_change_what_is_said(
            chosen in subsequence(&DIRECTIVES[..], 0..=DIRECTIVES.len()).prop_shuffle(),
            again in any::<prop::sample::Index>(),
        ) {
            let joined = read(&[chosen.join(",")]);
            let mut sorted = chosen.clone();
            sorted.sort_unstable();
            if !sorted.is_empty() {
                sorted.push(sorted[again.index(sorted.len())]);
            }
            prop_assert_eq!(read(&sorted), joined);
        }
    }
}

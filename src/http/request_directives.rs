//! `Cache-Control` of a request (RFC 9111, 5.2.1), and which of it this cache heeds.
//!
//! Heeded: `no-store` (the response is not stored; what is stored already may be used), `no-transform` (the original is
//! served), `only-if-cached` (504 where nothing stored may be used).
//!
//! Not heeded, as 5.2.1 leaves to caches: `no-cache`, `max-age` and `min-fresh`, and `Pragma` with them. The origin decides
//! how fresh its responses are; a visitor who could have each of them fetched anew could bring the origin down, which is
//! what the cache stands before it for. Nor `max-stale`: it permits what need not be done.

use http::{HeaderMap, header::CACHE_CONTROL};

use super::{
    cache_control::{delta_seconds, shorten},
    list::{members, name_and_value},
};

/// What a request's `Cache-Control` fields say together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// The response is not to be stored.
    pub no_store: bool,
    /// Nothing stored is to be used unvalidated. Not heeded.
    pub no_cache: bool,
    /// The content is not to be changed.
    pub no_transform: bool,
    /// Only something stored is wanted.
    pub only_if_cached: bool,
    /// The largest age wanted, in seconds. Not heeded.
    pub max_age: Option<u64>,
    /// How many seconds it is to be fresh yet. Not heeded.
    pub min_fresh: Option<u64>,
    /// How stale it may be. Not heeded.
    pub max_stale: Option<MaxStale>,
}

/// How stale a response may be for the one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxStale {
    /// Any amount.
    Any,
    /// So many seconds.
    Seconds(u64),
}

impl RequestDirectives {
    /// Reads all `Cache-Control` fields of `headers`.
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

    fn take(&mut self, directive: &[u8]) {
        let (name, value) = name_and_value(directive);
        match name.to_ascii_lowercase().as_slice() {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache = true,
            b"no-transform" => self.no_transform = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => shorten(&mut self.max_age, delta_seconds(value)),
            b"min-fresh" => self.min_fresh = self.min_fresh.max(Some(delta_seconds(value))),
            b"max-stale" => self.shorten_max_stale(value),
            _ => {}
        }
    }

    fn shorten_max_stale(&mut self, value: Option<&[u8]>) {
        let given = match value {
            None => MaxStale::Any,
            value => MaxStale::Seconds(delta_seconds(value)),
        };
        self.max_stale = Some(match (self.max_stale, given) {
            (Some(MaxStale::Seconds(known)), MaxStale::Seconds(given)) => MaxStale::Seconds(known.min(given)),
            (Some(known @ MaxStale::Seconds(_)), MaxStale::Any) => known,
            (_, given) => given,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn read(fields: &[&str]) -> RequestDirectives {
        let field = |field: &&str| (CACHE_CONTROL, HeaderValue::from_str(field).unwrap());
        RequestDirectives::of(&fields.iter().map(field).collect())
    }

    #[test]
    fn directives_are_read_in_any_case_and_spread_over_fields() {
        let read_all = read(&["No-Store, NO-CACHE", "no-transform,only-if-cached", "max-age=5, min-fresh=6"]);
        assert!(read_all.no_store && read_all.no_cache && read_all.no_transform && read_all.only_if_cached);
        assert_eq!((read_all.max_age, read_all.min_fresh), (Some(5), Some(6)));
        assert_eq!(read(&["x=\"no-store\", no-storehouse"]), RequestDirectives::default());
    }

    #[test]
    fn of_two_the_more_demanding_holds() {
        let twice = read(&["max-age=5, max-age=9, min-fresh=5, min-fresh=9, max-stale=5, max-stale=9, max-stale"]);
        assert_eq!((twice.max_age, twice.min_fresh), (Some(5), Some(9)));
        assert_eq!(twice.max_stale, Some(MaxStale::Seconds(5)));
        assert_eq!(read(&["max-stale"]).max_stale, Some(MaxStale::Any));
        assert_eq!(read(&["max-age=soon"]).max_age, Some(0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = RequestDirectives::of(&HeaderMap::from_iter([(CACHE_CONTROL, value)]));
            }
        }
    }
}

//! What an entry bears so that purges find it, or rather that it finds them: nobody looks for entries.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{
    generation::Generation,
    tags::{TagHash, bears_tags, tags_of},
};

/// When an entry was asked for, and its surrogate keys. It is stored with the entry. What bears none was stored before there
/// were purges: it counts as older than any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The newest purge when the origin was asked, read *before* it was: what a purge finds under way is older than it.
    pub birth: Generation,
    /// Its surrogate keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagHash>,
    /// Up to where it has been found valid.
    #[serde(skip)]
    seen: Seen,
}

impl Stamp {
    /// The stamp of a response to what was asked at `birth`.
    #[must_use]
    pub fn of(birth: Generation, headers: &HeaderMap) -> Self {
        Self { birth, tags: tags_of(headers), seen: Seen::default() }
    }

    /// The stamp of what the origin, asked at `birth`, says still holds: it keeps its keys where none are said.
    #[must_use]
    pub fn validated(&self, birth: Generation, headers: &HeaderMap) -> Self {
        let said = Self::of(birth, headers);
        if bears_tags(headers) { said } else { Self { tags: self.tags.clone(), ..said } }
    }

    /// Bytes that its keys take.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.tags.len() * size_of::<TagHash>()
    }

    /// Whether it has been found valid after the newest purge.
    pub(super) fn has_passed(&self, newest: Generation) -> bool {
        self.seen.0.load(Ordering::Relaxed) == newest.0
    }

    /// It was found valid after that purge.
    pub(super) fn passed(&self, newest: Generation) {
        self.seen.0.store(newest.0, Ordering::Relaxed);
    }
}

/// Spares hits from looking at purges that they have been held against. It is no part of what a stamp says, and a copy, which
/// may be changed, has seen none.
#[derive(Debug, Default)]
struct Seen(AtomicU64);

impl Clone for Seen {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Seen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Seen {}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_still_holds_keeps_its_keys_unless_it_is_given_others() {
        let fields =
            |keys| HeaderMap::from_iter([(http::HeaderName::from_static("cache-tag"), HeaderValue::from_static(keys))]);
        let stored = Stamp::of(Generation(7), &fields("a"));
        let kept = Stamp { birth: Generation(8), ..stored.clone() };
        assert_eq!(stored.validated(Generation(8), &HeaderMap::new()), kept);
        assert_eq!(stored.validated(Generation(8), &fields("b")), Stamp::of(Generation(8), &fields("b")));
        assert_eq!(stored.validated(Generation(8), &fields("")).tags, []);
    }

    #[test]
    fn what_is_stored_is_read_again_and_has_seen_no_purge() {
        let headers =
            HeaderMap::from_iter([(http::HeaderName::from_static("cache-tag"), HeaderValue::from_static("a,b"))]);
        let stamp = Stamp::of(Generation(7), &headers);
        stamp.passed(Generation(9));
        let again: Stamp = serde_json::from_str(&serde_json::to_string(&stamp).unwrap()).unwrap();
        assert_eq!(again, stamp);
        assert!(stamp.has_passed(Generation(9)));
        assert!(!again.has_passed(Generation(9)) && !stamp.clone().has_passed(Generation(9)));
        assert_eq!(serde_json::to_string(&Stamp::default()).unwrap(), r#"{"birth":0}"#);
    }
}

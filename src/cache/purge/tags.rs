//! Surrogate keys: names that an origin gives its responses, so that all that bear one can be purged at once. `Surrogate-Key`
//! has them separated by spaces, `Cache-Tag` by commas. Small and capital letters are the same.

use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use super::hash::hash_of;

const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// The most keys that are kept of a response. One that has more goes with a purge of any key of its site.
pub const MAX_TAGS: usize = 128;

/// The longest key; a longer one is none.
pub const MAX_TAG_BYTES: usize = 1_024;

/// A surrogate key, by its hash. Two keys that share one are purged together: too much, never too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TagHash(pub(super) u64);

impl TagHash {
    /// Stands for the keys of a response that has more than are kept.
    pub(super) const UNNAMED: Self = Self(0);

    /// The hash of a key; `None` for what is no key, being empty or too long.
    #[must_use]
    pub fn of(key: &[u8]) -> Option<Self> {
        let key = key.trim_ascii();
        (1..=MAX_TAG_BYTES).contains(&key.len()).then(|| Self(hash_of(&key.to_ascii_lowercase())))
    }
}

/// Whether a response says which keys it has, be it none.
pub(super) fn bears_tags(headers: &HeaderMap) -> bool {
    headers.contains_key(SURROGATE_KEY) || headers.contains_key(CACHE_TAG)
}

/// The surrogate keys of a response: at most [`MAX_TAGS`], each once, and one that stands for the rest if there are more.
#[must_use]
pub fn tags_of(headers: &HeaderMap) -> Vec<TagHash> {
    let by_spaces = headers
        .get_all(SURROGATE_KEY)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| matches!(byte, b' ' | b'\t')));
    let by_commas = headers.get_all(CACHE_TAG).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut tags = Vec::new();
    for tag in by_spaces.chain(by_commas).filter_map(TagHash::of) {
        if tags.contains(&tag) {
            continue;
        }
        if tags.len() == MAX_TAGS {
            tags.push(TagHash::UNNAMED);
            break;
        }
        tags.push(tag);
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn tags(fields: &[(HeaderName, &[u8])]) -> Vec<TagHash> {
        let pair = |(name, value): &(HeaderName, &[u8])| (name.clone(), HeaderValue::from_bytes(value).unwrap());
        tags_of(&fields.iter().map(pair).collect())
    }

    fn tag(key: &str) -> TagHash {
        TagHash::of(key.as_bytes()).unwrap()
    }

    #[test]
    fn spaces_separate_surrogate_keys_and_commas_separate_cache_tags() {
        let both = tags(&[(SURROGATE_KEY, b" a  b\tc"), (CACHE_TAG, b"d, e f,,a"), (CACHE_TAG, b"g")]);
        assert_eq!(both, ["a", "b", "c", "d", "e f", "g"].map(tag));
        assert_eq!(tags(&[]), []);
        assert_eq!(tags(&[(SURROGATE_KEY, b""), (CACHE_TAG, b" , ,")]), []);
    }

    #[test]
    fn a_key_is_the_same_in_small_and_capital_letters() {
        assert_eq!(tags(&[(SURROGATE_KEY, b"Product-1")]), [tag("product-1")]);
        assert_ne!(tag("product-1"), tag("product-2"));
    }

    #[test]
    fn a_key_that_is_too_long_is_none() {
        let long = vec![b'x'; MAX_TAG_BYTES + 1];
        assert_eq!(tags(&[(SURROGATE_KEY, &long)]), []);
        assert_eq!(tags(&[(SURROGATE_KEY, &long[1..])]).len(), 1);
    }

    #[test]
    fn what_has_more_keys_than_are_kept_bears_the_one_that_stands_for_the_rest() {
        let keys = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        let full = tags(&[(SURROGATE_KEY, keys(MAX_TAGS).as_bytes())]);
        assert!(full.len() == MAX_TAGS && !full.contains(&TagHash::UNNAMED));
        let more = tags(&[(SURROGATE_KEY, keys(MAX_TAGS + 5).as_bytes())]);
        assert!(more.len() == MAX_TAGS + 1 && more.contains(&TagHash::UNNAMED));
    }

    proptest! {
        #[test]
        fn no_field_gives_more_than_is_kept(value in prop::collection::vec(b' '..=b'~', 0..2_000)) {
            let fields = [(SURROGATE_KEY, &value[..]), (CACHE_TAG, &value[..])];
            prop_assert!(tags(&fields).len() <= MAX_TAGS + 1);
        }
    }
}

//! What is kept of what passes through: a response's head, its body beside it where it is small, and, for a URL whose
//! responses vary, by which request fields they are told apart.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::purge::Stamp;
use crate::{http::freshness::Freshness, image::why_original::WhyOriginal, request::key::SourceVersion};

/// Bodies up to this many bytes stand in one entry with their head, and are read with it in one call.
pub const INLINE_BYTES: u64 = 64 * 1024;

/// What is known of a stored response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// Its status.
    #[serde(with = "status")]
    pub status: StatusCode,
    /// Its fields, as far as they are stored (RFC 9111, 3.1).
    #[serde(with = "fields")]
    pub fields: HeaderMap,
    /// How long it may be used.
    pub freshness: Freshness,
    /// Which content its body is.
    pub version: SourceVersion,
    /// Its body's bytes.
    pub len: u64,
    /// Why it is not developed, where it is an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_original: Option<WhyOriginal>,
    /// A number that was drawn before it was asked for: changes since make it void.
    #[serde(default)]
    pub asked: u64,
    /// What purges find it by.
    #[serde(default)]
    pub stamp: Stamp,
}

/// A stored response.
#[derive(Debug, Clone)]
pub struct StoredResponse {
    /// What is known of it.
    pub head: ResponseHead,
    /// Its body; none where it is an entry of its own.
    pub body: Option<Bytes>,
}

/// By which request fields the responses of a URL are told apart (RFC 9111, 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selectors {
    /// Part of the responses' keys: what was stored under another one is out of reach.
    pub salt: u64,
    /// Names of fields, as `Vary` listed them, lower case; the list of the latest response first.
    pub lists: Vec<Vec<String>>,
}

/// What stands under a URL.
#[derive(Debug, Clone)]
pub enum Selected {
    /// Its response.
    Response(std::sync::Arc<StoredResponse>),
    /// Its responses vary.
    Varies(std::sync::Arc<Selectors>),
}

/// How many lists of one URL are kept: an origin's answers may name other fields at times.
const MAX_LISTS: usize = 4;

impl Selectors {
    /// The first list of a URL.
    #[must_use]
    pub fn new(salt: u64, list: Vec<String>) -> Self {
        Self { salt, lists: vec![list] }
    }

    /// With `list` as the latest.
    #[must_use]
    pub fn with(&self, list: &[String]) -> Self {
        let others = self.lists.iter().filter(|known| *known != list).cloned();
        Self { salt: self.salt, lists: std::iter::once(list.to_vec()).chain(others).take(MAX_LISTS).collect() }
    }
}

impl ResponseHead {
    /// Whether its body stands in one entry with it.
    #[must_use]
    pub const fn is_inline(&self) -> bool {
        self.len <= INLINE_BYTES
    }

    /// Bytes of its fields.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        fields + self.stamp.bytes()
    }
}

/// A status as its number.
mod status {
    use http::StatusCode;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
    pub(super) fn serialize<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(status.as_u16())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
        StatusCode::from_u16(u16::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Fields as pairs of name and value. A value may hold any byte but a few: each stands for the character of its number.
mod fields {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(fields: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect::<String>();
        serializer.collect_seq(fields.iter().map(|(name, value)| (name.as_str(), text(value))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderMap, D::Error> {
        let pairs = Vec::<(String, String)>::deserialize(deserializer)?;
        let mut fields = HeaderMap::with_capacity(pairs.len());
        for (name, text) in pairs {
            let name = HeaderName::try_from(name).map_err(D::Error::custom)?;
            let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
            let value = HeaderValue::from_bytes(&bytes.map_err(D::Error::custom)?).map_err(D::Error::custom)?;
            fields.append(name, value);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::purge::Generation;
    use crate::http::{freshness::Lifetimes, time::UnixSeconds};
    use http::HeaderValue;

    #[test]
    fn a_head_is_read_as_it_was_written_whatever_bytes_its_fields_hold() {
        let every_byte: Vec<u8> = (0x20..=0x7e).chain(0x80..=0xff).collect();
        let fields = HeaderMap::from_iter([
            ("x-bytes".parse().unwrap(), HeaderValue::from_bytes(&every_byte).unwrap()),
            ("link".parse().unwrap(), HeaderValue::from_static("</a>")),
        ]);
        let mut head = ResponseHead {
            status: StatusCode::from_u16(599).unwrap(),
            fields,
            freshness: Freshness::of(StatusCode::OK, &HeaderMap::new(), UnixSeconds(5), &Lifetimes::default()),
            version: SourceVersion::of(b"x"),
            len: 3,
            why_original: Some(WhyOriginal::Vary),
            asked: 8,
            stamp: Stamp::of(Generation(7), &HeaderMap::new()),
        };
        head.fields.append("link", HeaderValue::from_static("</b>"));
        let text = serde_json::to_string(&head).unwrap();
        assert_eq!(serde_json::from_str::<ResponseHead>(&text).unwrap(), head);
    }

    #[test]
    fn the_latest_list_is_looked_at_first_and_few_are_kept() {
        let list = |name: &str| vec![name.to_owned()];
        let mut selectors = Selectors::new(7, list("a"));
        for name in ["b", "c", "a", "d", "e"] {
            selectors = selectors.with(&list(name));
        }
        assert_eq!(selectors, Selectors { salt: 7, lists: vec![list("e"), list("d"), list("a"), list("c")] });
    }
}

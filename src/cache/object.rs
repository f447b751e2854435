//! What is cached: a source's head (what is known of it), a source version's bytes, and variants. Variants carry their
//! entity tag ready to send.

use std::{
    fs::File,
    sync::{Arc, atomic::AtomicU64},
};

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::{purge::Stamp, turns::PieceTurns};
use crate::{
    http::{freshness::Freshness, time::UnixSeconds},
    image::{
        format::{InputFormat, OutputFormat},
        why_original::WhyOriginal,
    },
    request::{
        key::SourceVersion,
        transform::{Animation, Transform},
    },
};

/// What the origin said of a source, before its bytes are all there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// What the first bytes say it is.
    pub input: InputFormat,
    /// How long it may be used.
    pub freshness: Freshness,
    /// The origin's `ETag`, for asking whether it still holds.
    pub etag: Option<String>,
    /// The origin's `Last-Modified`, likewise.
    pub last_modified: Option<String>,
    /// `Cache-Control` for what is made of it.
    pub cache_control: String,
    /// What the origin says to caches like this one, for others of them on the way to the visitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cdn_cache_control: Option<String>,
    /// The origin forbids changing it.
    pub no_transform: bool,
}

impl SourceFacts {
    /// Bytes of text that it holds.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.cache_control.len() + len(&self.cdn_cache_control) + len(&self.etag) + len(&self.last_modified)
    }
}

/// What is known of a source whose bytes have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceHead {
    /// What the origin said.
    pub facts: SourceFacts,
    /// Which content it is.
    pub version: SourceVersion,
    /// Its bytes.
    pub len: u64,
    /// That it cannot be developed, remembered for a while.
    pub verdict: Option<Verdict>,
    /// What purges know it by.
    #[serde(default)]
    pub stamp: Stamp,
    /// Since when a purge has made it stale, if one has. The cache says so whenever it is asked for the head.
    #[serde(skip)]
    pub purged_at: Option<UnixSeconds>,
}

/// That a source cannot be developed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Why.
    pub why: WhyOriginal,
    /// Until when it is not tried again.
    pub until: UnixSeconds,
}

impl SourceHead {
    /// How long it may be used, what has been purged taken into account.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        let freshness = self.facts.freshness;
        self.purged_at.map_or(freshness, |at| freshness.expired_at(at))
    }

    /// The same, as a visitor is to see it: what a purge has made stale is told to be.
    #[must_use]
    pub fn as_purged(self: &Arc<Self>) -> Arc<Self> {
        if self.purged_at.is_none() {
            return Arc::clone(self);
        }
        let facts = SourceFacts { freshness: self.freshness(), ..self.facts.clone() };
        Arc::new(Self { facts, ..(**self).clone() })
    }

    /// Why it is served as it is, if so, whatever the format.
    #[must_use]
    pub fn why_original(&self, transform: &Transform, now: UnixSeconds) -> Option<WhyOriginal> {
        if self.facts.no_transform {
            return Some(WhyOriginal::NoTransform);
        }
        let verdict = self.verdict.filter(|verdict| now < verdict.until)?;
        let first_frame_will_do = transform.animation == Animation::FirstFrame;
        (verdict.why != WhyOriginal::Animated || !first_frame_will_do).then_some(verdict.why)
    }
}

/// A body as it is stored.
#[derive(Debug, Clone)]
pub enum StoredBody {
    /// In memory.
    Whole(Bytes),
    /// On disk, verified, too large to hold.
    File(Arc<StoredFile>),
}

/// An open file that holds a body. It stays readable when the entry is evicted.
#[derive(Debug)]
pub struct StoredFile {
    /// The open file.
    pub file: File,
    /// Where the body begins.
    pub offset: u64,
    /// How long it is.
    pub len: u64,
    /// What is waited for before it is read.
    pub(super) turns: Arc<PieceTurns>,
}

impl StoredBody {
    /// Its bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::File(file) => file.len,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a variant was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Make {
    /// Quickly, for the first view.
    FirstView,
    /// With time; there is nothing better to come.
    Refined,
}

/// What is stored with a variant's bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantFacts {
    /// Its format.
    pub format: OutputFormat,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// How it was made.
    pub make: Make,
    /// The original's bytes: what it saves is the difference.
    pub source_len: u64,
    /// The strong entity tag, quotes included.
    pub etag: String,
    /// What was measured of it, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Scored>,
}

/// What a variant was found to look like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// SSIMULACRA2 against the picture that was encoded.
    pub score: f32,
    /// The encoder's setting, in its own unit; `None` where nothing was lost.
    pub setting: Option<f32>,
}

/// A variant: image size × output format.
#[derive(Debug)]
pub struct Variant {
    /// What is known of it.
    pub facts: VariantFacts,
    /// `ETag`, ready to send.
    pub etag: HeaderValue,
    /// Its bytes.
    pub body: StoredBody,
    /// Until when, in Unix seconds, all that its delivery costs is known to be charged; 0 where that is not known. Only in
    /// memory: it spares hits from asking.
    pub charged_until: AtomicU64,
}

/// What is stored under a variant key.
#[derive(Debug, Clone)]
pub enum StoredVariant {
    /// The variant.
    Made(Arc<Variant>),
    /// There is none, and making it again would not help: the original is served.
    Original(WhyOriginal),
}

impl Variant {
    /// A variant just made; its tag is a hash of its bytes.
    #[must_use]
    pub fn made(
        bytes: Bytes,
        format: OutputFormat,
        size: (u32, u32),
        (make, measured): (Make, Option<Scored>),
        source_len: u64,
    ) -> Self {
        let etag = format!("\"{}\"", SourceVersion::of(&bytes));
        let facts = VariantFacts { format, width: size.0, height: size.1, make, source_len, etag, measured };
        Self::stored(facts, StoredBody::Whole(bytes))
    }

    /// A variant as it was stored.
    #[must_use]
    pub fn stored(facts: VariantFacts, body: StoredBody) -> Self {
        let etag = HeaderValue::from_str(&facts.etag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Self { facts, etag, body, charged_until: AtomicU64::new(0) }
    }
}

impl StoredFile {
    /// Reads likewise, off the threads that serve.
    ///
    /// # Errors
    /// As [`Self::read_at`], and where the disk takes too long.
    pub async fn read(self: Arc<Self>, position: u64, len: u64) -> std::io::Result<Bytes> {
        let turns = Arc::clone(&self.turns);
        turns.read(move || self.read_at(position, len)).await
    }

    /// Reads `len` bytes of the body from `position` on, blocking.
    ///
    /// # Errors
    /// What the system says; fewer bytes than asked for is an error too.
    pub fn read_at(&self, position: u64, len: u64) -> std::io::Result<Bytes> {
        use std::os::unix::fs::FileExt as _;
        let len = usize::try_from(len.min(self.len.saturating_sub(position))).map_err(std::io::Error::other)?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, self.offset + position)?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_before_scores_were_kept_is_still_read() {
        let stored = r#"{"format":"avif","width":4,"height":3,"make":"refined","source_len":9,"etag":"\"x\""}"#;
        let mut facts: VariantFacts = serde_json::from_str(stored).unwrap();
        assert_eq!(facts.measured, None);
        facts.measured = Some(Scored { score: 71.5, setting: None });
        let again: VariantFacts = serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
        assert_eq!(again, facts);
    }
}

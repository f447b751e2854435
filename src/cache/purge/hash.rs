//! Short hashes of what purges name. Where two names share one, both are purged: too much, never too little.

/// The first 64 bits of BLAKE3: the same from one version of the program to the next, since files hold them.
pub(super) fn hash_of(text: &[u8]) -> u64 {
    let hash = blake3::hash(text);
    hash.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// A site, by the hash of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SiteHash(pub(super) u64);

impl SiteHash {
    pub(super) fn of(site: &str) -> Self {
        Self(hash_of(site.as_bytes()))
    }
}

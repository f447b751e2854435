//! Short names for what is cached: 128 bits of BLAKE3, for tables in memory and file names on disk. No user text gets into
//! either.

use std::{
    fmt::{self, Write as _},
    hash::{Hash, Hasher},
};

/// Room for the parts of most keys; longer ones grow it.
const USUAL_KEY_BYTES: usize = 256;

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A key of the cache.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey([u8; Self::BYTES]);

/// Makes a key of its parts, in their order. Each part is hashed behind its length: `ab`, `c` and `a`, `bc` are two keys.
#[derive(Debug)]
pub struct KeyHasher {
    /// The parts are collected and hashed at once: for these few bytes it is quicker than to hash piece by piece.
    parts: Vec<u8>,
}

impl CacheKey {
    /// How long a key is.
    pub const BYTES: usize = 16;

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The key that has these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// What [`fmt::Display`] writes.
    #[must_use]
    pub fn hex(&self) -> [u8; 2 * Self::BYTES] {
        let mut digits = [0; 2 * Self::BYTES];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair[0] = HEX_DIGITS[usize::from(byte >> 4)];
            pair[1] = HEX_DIGITS[usize::from(byte & 15)];
        }
        digits
    }

    /// Reads what [`fmt::Display`] writes, 32 lower-case hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 2 * Self::BYTES {
            return None;
        }
        let mut bytes = [0; Self::BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_value(pair[0])? << 4 | hex_value(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// Its first eight bytes: as good a hash as any, since the whole is one.
    pub(super) fn first_half(&self) -> u64 {
        self.0[..8].iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
    }
}

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.first_half());
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hex().iter().try_for_each(|digit| f.write_char(char::from(*digit)))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Default for KeyHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyHasher {
    /// No parts yet.
    #[must_use]
    pub fn new() -> Self {
        Self { parts: Vec::with_capacity(USUAL_KEY_BYTES) }
    }

    /// Adds a part.
    #[must_use]
    pub fn text(self, part: &str) -> Self {
        self.bytes(part.as_bytes())
    }

    /// Adds a part.
    #[must_use]
    pub fn bytes(mut self, part: &[u8]) -> Self {
        self.parts.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.parts.extend_from_slice(part);
        self
    }

    /// The key of the parts.
    #[must_use]
    pub fn finish(self) -> CacheKey {
        let mut key = [0; CacheKey::BYTES];
        key.copy_from_slice(&blake3::hash(&self.parts).as_bytes()[..CacheKey::BYTES]);
        CacheKey(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key_of(parts: &[Vec<u8>]) -> CacheKey {
        parts.iter().fold(KeyHasher::new(), |hasher, part| hasher.bytes(part)).finish()
    }

    #[test]
    fn a_key_stays_the_same_from_one_version_of_the_program_to_the_next() {
        let key = KeyHasher::new().text("source").text("shop").text("/a.jpg").finish();
        assert_eq!(key.to_string(), "2332c7be2c4fd698866ec0e6b498b93d");
    }

    #[test]
    fn only_its_own_spelling_is_read_as_a_key() {
        let key = KeyHasher::new().text("a").finish();
        let hex = key.to_string();
        assert_eq!(CacheKey::from_hex(&hex), Some(key));
        for other in
            [&hex[1..], &format!("{hex}0"), &hex.to_uppercase(), &hex.replacen(&hex[..2], "g0", 1), "", "../../x"]
        {
            assert_eq!(CacheKey::from_hex(other), None, "{other}");
        }
    }

    #[test]
    fn a_long_part_counts_to_its_last_byte() {
        let long = "x".repeat(10_000);
        assert_ne!(KeyHasher::new().text(&long).finish(), KeyHasher::new().text(&long[1..]).finish());
        assert_ne!(
            KeyHasher::new().text(&format!("{long}a")).finish(),
            KeyHasher::new().text(&format!("{long}b")).finish()
        );
    }

    proptest! {
        #[test]
        fn other_parts_make_another_key(
            a in prop::collection::vec(prop::collection::vec(0_u8..2, 0..4), 0..4),
            b in prop::collection::vec(prop::collection::vec(0_u8..2, 0..4), 0..4),
        ) {
            prop_assert_eq!(key_of(&a) == key_of(&b), a == b);
        }

        #[test]
        fn the_hexadecimal_form_is_read_back(part in ".*") {
            let key = KeyHasher::new().text(&part).finish();
            prop_assert_eq!(CacheKey::from_hex(&key.to_string()), Some(key));
        }
    }
}

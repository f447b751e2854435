//! The format of an entry's file: a header of fixed length, the full key, what was stored beside the body, the body. Two
//! checksums (BLAKE3, 128 bits) stand in the header. One covers the cache key, the header itself, the full key and the meta,
//! the other the body; together with the lengths, which must add up to the file's, no byte of the file goes unchecked, and
//! a file that was moved to another entry's place fails like one that was altered.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use bytes::Bytes;

use super::WHOLE_BODY_BYTES;
use crate::cache::key::CacheKey;

const MAGIC: [u8; 4] = *b"LMCE";

/// Goes up with each change of the format: what another version wrote is a miss.
const FORMAT_VERSION: u32 = 1;

const HEADER_BYTES: usize = 56;

/// The full key and the meta may be so long each. They are read into memory before they can be verified.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// Files up to so many bytes are read whole, at one go: those of bodies that are held, but for those with long keys or metas.
const WHOLE_FILE_BYTES: u64 = WHOLE_BODY_BYTES + FIRST_BYTES;

/// What is read of a larger one first: all before the body, as a rule.
const FIRST_BYTES: u64 = 64 * 1024;

/// How much of a large body is read at a time to verify it.
const PIECE_BYTES: usize = 256 * 1024;

type Checksum = [u8; 16];

/// What a file holds, verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// What was stored beside the body.
    pub(super) meta: Vec<u8>,
    /// The body, if it is not too large to hold.
    pub(super) whole: Option<Bytes>,
    /// Where the body begins.
    pub(super) body_offset: u64,
    /// Its bytes.
    pub(super) body_len: u64,
}

/// Why a file is not the entry that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not whole, not unaltered, not in its place, of another version, or the disk fails to read it.
    Damaged,
    /// It is whole, but was stored for another full key.
    OtherFullKey,
}

struct Header {
    full_key_len: usize,
    meta_len: usize,
    body_len: u64,
    body_checksum: Checksum,
}

/// What goes before `body` in its file.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] where the full key or the meta is too long.
pub(super) fn head(key: CacheKey, full_key: &str, meta: &[u8], body: &[u8]) -> io::Result<Vec<u8>> {
    if full_key.len().max(meta.len()) > MAX_TEXT_BYTES {
        let problem = format!("a full key or meta of more than {MAX_TEXT_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    let header = Header {
        full_key_len: full_key.len(),
        meta_len: meta.len(),
        body_len: body.len() as u64,
        body_checksum: checksum(&[body]),
    };
    let mut head = Vec::with_capacity(HEADER_BYTES + full_key.len() + meta.len());
    head.extend_from_slice(&header.unsealed());
    head.extend_from_slice(&header.seal(key, full_key.as_bytes(), meta));
    head.extend_from_slice(full_key.as_bytes());
    head.extend_from_slice(meta);
    Ok(head)
}

impl Entry {
    /// Reads and verifies a file of `file_len` bytes. One that is not large is read at one go.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub(super) fn read(file: &File, file_len: u64, key: CacheKey, full_key: &str) -> Result<Self, Unreadable> {
        let first_len = if file_len <= WHOLE_FILE_BYTES { file_len } else { FIRST_BYTES };
        let mut bytes = read_at(file, 0, first_len)?;
        let (header, seal) = bytes.first_chunk().and_then(Header::parse).ok_or(Unreadable::Damaged)?;
        let body_offset = HEADER_BYTES + header.full_key_len + header.meta_len;
        if (body_offset as u64).checked_add(header.body_len) != Some(file_len) {
            return Err(Unreadable::Damaged);
        }
        if let Some(missing) = body_offset.checked_sub(bytes.len()) {
            let rest = read_at(file, bytes.len() as u64, missing as u64)?;
            bytes.extend_from_slice(&rest);
        }
        let (stored_key, meta) = bytes[HEADER_BYTES..body_offset].split_at(header.full_key_len);
        if header.seal(key, stored_key, meta) != seal {
            return Err(Unreadable::Damaged);
        }
        if stored_key != full_key.as_bytes() {
            return Err(Unreadable::OtherFullKey);
        }
        let meta = meta.to_vec();
        let whole = header.verified_body(file, bytes, body_offset)?;
        Ok(Self { meta, whole, body_offset: body_offset as u64, body_len: header.body_len })
    }
}

fn read_at(file: &File, position: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, position)?;
    Ok(bytes)
}

impl Header {
    /// Verifies the body, of which some may be among the `bytes` that were read; all of it where it is not too large to hold.
    fn verified_body(&self, file: &File, bytes: Vec<u8>, offset: usize) -> Result<Option<Bytes>, Unreadable> {
        if self.body_len > WHOLE_BODY_BYTES {
            return self.verify_in_pieces(file, offset as u64).map(|()| None);
        }
        let is_read = bytes.len() as u64 == offset as u64 + self.body_len;
        let body = if is_read {
            Bytes::from(bytes).slice(offset..)
        } else {
            read_at(file, offset as u64, self.body_len)?.into()
        };
        if checksum(&[&body]) == self.body_checksum { Ok(Some(body)) } else { Err(Unreadable::Damaged) }
    }

    fn verify_in_pieces(&self, file: &File, offset: u64) -> Result<(), Unreadable> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; PIECE_BYTES];
        let mut done = 0;
        while done < self.body_len {
            let piece_len = (self.body_len - done).min(PIECE_BYTES as u64);
            let piece = &mut buffer[..piece_len as usize];
            file.read_exact_at(piece, offset + done)?;
            hasher.update(piece);
            done += piece_len;
        }
        if first_half(&hasher.finalize()) == self.body_checksum { Ok(()) } else { Err(Unreadable::Damaged) }
    }
}

impl Header {
    /// The header up to its own checksum. Numbers are little-endian.
    fn unsealed(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.full_key_len as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.meta_len as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.body_len.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.body_checksum);
        bytes
    }

    /// The checksum that ends the header.
    fn seal(&self, key: CacheKey, full_key: &[u8], meta: &[u8]) -> Checksum {
        checksum(&[key.as_bytes(), &self.unsealed(), full_key, meta])
    }

    /// Reads a header of this version, and its checksum.
    fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<(Self, Checksum)> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (full_key_len, rest) = rest.split_first_chunk()?;
        let (meta_len, rest) = rest.split_first_chunk()?;
        let (body_len, rest) = rest.split_first_chunk()?;
        let (body_checksum, rest) = rest.split_first_chunk()?;
        let seal = rest.first_chunk()?;
        let header = Self {
            full_key_len: u32::from_le_bytes(*full_key_len) as usize,
            meta_len: u32::from_le_bytes(*meta_len) as usize,
            body_len: u64::from_le_bytes(*body_len),
            body_checksum: *body_checksum,
        };
        let readable = *magic == MAGIC
            && u32::from_le_bytes(*version) == FORMAT_VERSION
            && header.full_key_len.max(header.meta_len) <= MAX_TEXT_BYTES;
        readable.then_some((header, *seal))
    }
}

impl From<io::Error> for Unreadable {
    fn from(_: io::Error) -> Self {
        Self::Damaged
    }
}

fn checksum(parts: &[&[u8]]) -> Checksum {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    first_half(&hasher.finalize())
}

fn first_half(hash: &blake3::Hash) -> Checksum {
    let mut half = Checksum::default();
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::KeyHasher;
    use std::io::Write as _;

    const FULL_KEY: &str = "variant\nshop\n/a.jpg";

    fn key() -> CacheKey {
        KeyHasher::new().text(FULL_KEY).finish()
    }

    fn entry(body: &[u8]) -> Vec<u8> {
        let mut bytes = head(key(), FULL_KEY, b"meta", body).unwrap();
        bytes.extend_from_slice(body);
        bytes
    }

    fn read(bytes: &[u8], key: CacheKey, full_key: &str) -> Result<(Vec<u8>, Option<Bytes>), Unreadable> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let entry = Entry::read(&file, bytes.len() as u64, key, full_key)?;
        assert_eq!(entry.body_offset + entry.body_len, bytes.len() as u64);
        Ok((entry.meta, entry.whole))
    }

    #[test]
    fn what_is_written_is_read() {
        for body in [&b""[..], b"x", &[7; 100_000]] {
            let found = read(&entry(body), key(), FULL_KEY).unwrap();
            assert_eq!(found, (b"meta".to_vec(), Some(Bytes::copy_from_slice(body))));
        }
        assert!(read(&head(key(), "", b"", b"").unwrap(), key(), "").is_ok());
    }

    #[test]
    fn a_long_full_key_or_meta_is_read_whatever_the_body_is() {
        let long = "x".repeat(MAX_TEXT_BYTES);
        for body_len in [10, WHOLE_BODY_BYTES as usize, WHOLE_BODY_BYTES as usize + 1] {
            let body = vec![7; body_len];
            let mut bytes = head(key(), &long, long.as_bytes(), &body).unwrap();
            bytes.extend_from_slice(&body);
            let (meta, whole) = read(&bytes, key(), &long).unwrap();
            assert_eq!(meta, long.as_bytes());
            assert_eq!(whole.is_some(), body_len as u64 <= WHOLE_BODY_BYTES);
            assert!(whole.is_none_or(|whole| whole == body));
        }
    }

    #[test]
    fn each_bit_counts() {
        let good = entry(b"body");
        for position in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[position] ^= 1 << bit;
                assert_eq!(read(&bad, key(), FULL_KEY).unwrap_err(), Unreadable::Damaged, "byte {position} bit {bit}");
            }
        }
    }

    #[test]
    fn a_file_of_another_length_is_damaged() {
        let good = entry(b"body");
        for len in 0..good.len() {
            assert_eq!(read(&good[..len], key(), FULL_KEY).unwrap_err(), Unreadable::Damaged, "{len}");
        }
        let longer = [&good[..], b"x"].concat();
        assert_eq!(read(&longer, key(), FULL_KEY).unwrap_err(), Unreadable::Damaged);
        // As a file system may leave it after a power cut.
        assert_eq!(read(&vec![0; good.len()], key(), FULL_KEY).unwrap_err(), Unreadable::Damaged);
    }

    #[test]
    fn lengths_that_cannot_be_are_not_believed() {
        for field in [8..12, 12..16, 16..24] {
            let mut bad = entry(b"body");
            bad[field].fill(0xff);
            assert_eq!(read(&bad, key(), FULL_KEY).unwrap_err(), Unreadable::Damaged);
        }
        // Even where all else is right.
        let text = vec![b'x'; MAX_TEXT_BYTES + 1];
        let header = Header { full_key_len: text.len(), meta_len: 0, body_len: 0, body_checksum: checksum(&[]) };
        let bad = [&header.unsealed()[..], &header.seal(key(), &text, b""), &text].concat();
        assert_eq!(read(&bad, key(), FULL_KEY).unwrap_err(), Unreadable::Damaged);
    }

    #[test]
    fn a_file_in_another_place_is_damaged() {
        let other = KeyHasher::new().text("other").finish();
        assert_eq!(read(&entry(b"body"), other, FULL_KEY).unwrap_err(), Unreadable::Damaged);
    }

    #[test]
    fn the_full_key_is_compared() {
        assert_eq!(read(&entry(b"body"), key(), "another").unwrap_err(), Unreadable::OtherFullKey);
    }

    #[test]
    fn a_large_body_is_verified_to_its_last_byte() {
        let body = vec![7; WHOLE_BODY_BYTES as usize + 3];
        let mut bytes = entry(&body);
        assert_eq!(read(&bytes, key(), FULL_KEY), Ok((b"meta".to_vec(), None)));
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(read(&bytes, key(), FULL_KEY).unwrap_err(), Unreadable::Damaged);
    }

    #[test]
    fn a_full_key_or_meta_beyond_the_limit_is_refused() {
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        assert!(head(key(), &long, b"", b"").is_err() && head(key(), "", long.as_bytes(), b"").is_err());
        let longest = &long[1..];
        assert!(read(&head(key(), longest, b"", b"").unwrap(), key(), longest).is_ok());
    }
}

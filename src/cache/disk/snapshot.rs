//! The index as a file, so that a start knows a million entries without looking at each. It is a shortcut past the reading of
//! the directory, never a truth of its own: entries stand leaf by leaf, each leaf with the modification time that its
//! directory had, and a leaf whose directory has another one now is read. A snapshot that is old, damaged or of another version
//! costs the reading that it would have spared.
//!
//! Numbers are little-endian: magic, version, number of entries; for each leaf its stamp and number of entries; the entries,
//! sorted by key and so by leaf; a checksum of all that.

use std::io::{self, Write};

use super::{
    directory::{LEAVES, LeafStamp, leaf_of},
    index::{MAX_ENTRIES, Slot},
};
use crate::cache::key::CacheKey;

const MAGIC: [u8; 4] = *b"LMCI";
const FORMAT_VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const LEAF_BYTES: usize = 16;
const ENTRY_BYTES: usize = 24;
const CHECKSUM_BYTES: usize = 32;
const ENTRIES_AT: usize = HEADER_BYTES + LEAVES as usize * LEAF_BYTES;

/// More bytes are not read.
pub(super) const MAX_BYTES: u64 = (ENTRIES_AT + MAX_ENTRIES * ENTRY_BYTES + CHECKSUM_BYTES) as u64;

/// A snapshot that was read, its checksum verified.
#[derive(Debug)]
pub(super) struct Snapshot {
    bytes: Vec<u8>,
    /// Where each leaf's entries begin, and where the last one's end.
    starts: Vec<usize>,
}

/// Writes a snapshot. `stamps` is one for each leaf, taken before the slots were.
///
/// # Errors
/// What `out` says.
pub(super) fn write(mut slots: Vec<Slot>, stamps: &[LeafStamp], out: impl Write) -> io::Result<()> {
    slots.sort_unstable_by_key(|slot| slot.key);
    // One that was moved while it was copied stands there twice.
    slots.dedup_by_key(|slot| slot.key);
    let mut counts = vec![0_u32; stamps.len()];
    for slot in &slots {
        counts[usize::from(leaf_of(slot.key))] += 1;
    }
    let mut out = Summed { out: io::BufWriter::with_capacity(1 << 16, out), hasher: blake3::Hasher::new() };
    out.put(&MAGIC)?;
    out.put(&FORMAT_VERSION.to_le_bytes())?;
    out.put(&(slots.len() as u64).to_le_bytes())?;
    for (stamp, count) in stamps.iter().zip(counts) {
        out.put(&stamp.seconds.to_le_bytes())?;
        out.put(&stamp.nanoseconds.to_le_bytes())?;
        out.put(&count.to_le_bytes())?;
    }
    for slot in &slots {
        let mut entry = [0; ENTRY_BYTES];
        entry[..16].copy_from_slice(slot.key.as_bytes());
        entry[16..20].copy_from_slice(&slot.blocks.to_le_bytes());
        entry[20..].copy_from_slice(&slot.last_used.to_le_bytes());
        out.put(&entry)?;
    }
    let checksum = out.hasher.finalize();
    out.out.write_all(checksum.as_bytes())?;
    out.out.flush()
}

struct Summed<W: Write> {
    out: io::BufWriter<W>,
    hasher: blake3::Hasher,
}

impl<W: Write> Summed<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }
}

impl Snapshot {
    /// Reads what [`write`] wrote; `None` for anything else.
    pub(super) fn parse(bytes: Vec<u8>) -> Option<Self> {
        let (summed, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        let header = summed.get(..HEADER_BYTES)?;
        let count = usize::try_from(u64::from_le_bytes(*header.last_chunk()?)).ok().filter(|n| *n <= MAX_ENTRIES)?;
        let is_whole = header[..4] == MAGIC
            && header[4..8] == FORMAT_VERSION.to_le_bytes()
            && summed.len() == ENTRIES_AT + count * ENTRY_BYTES
            && blake3::hash(summed) == blake3::Hash::from_bytes(*checksum);
        if !is_whole {
            return None;
        }
        let mut starts = vec![0];
        for leaf in summed[HEADER_BYTES..ENTRIES_AT].chunks_exact(LEAF_BYTES) {
            let count = u32::from_le_bytes(*leaf.last_chunk()?) as usize;
            starts.push(starts.last()? + count);
        }
        let adds_up = starts.last() == Some(&count);
        adds_up.then_some(Self { bytes, starts })
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// When a leaf was modified, as it was seen then.
    pub(super) fn stamp(&self, leaf: u16) -> LeafStamp {
        let at = HEADER_BYTES + usize::from(leaf) * LEAF_BYTES;
        let mut fields = ([0; 8], [0; 4]);
        fields.0.copy_from_slice(&self.bytes[at..at + 8]);
        fields.1.copy_from_slice(&self.bytes[at + 8..at + 12]);
        LeafStamp { seconds: i64::from_le_bytes(fields.0), nanoseconds: u32::from_le_bytes(fields.1) }
    }

    /// A leaf's entries.
    pub(super) fn entries(&self, leaf: u16) -> impl Iterator<Item = Slot> {
        self.raw_entries(leaf).iter().map(slot)
    }

    /// An entry as it was then, if it was there.
    pub(super) fn find(&self, key: CacheKey) -> Option<Slot> {
        let entries = self.raw_entries(leaf_of(key));
        let place = entries.binary_search_by(|entry| entry[..CacheKey::BYTES].cmp(key.as_bytes())).ok()?;
        Some(slot(&entries[place]))
    }

    fn raw_entries(&self, leaf: u16) -> &[[u8; ENTRY_BYTES]] {
        let leaf = usize::from(leaf);
        let (entries, _) = self.bytes[ENTRIES_AT..self.bytes.len() - CHECKSUM_BYTES].as_chunks();
        &entries[self.starts[leaf]..self.starts[leaf + 1]]
    }
}

fn slot(entry: &[u8; ENTRY_BYTES]) -> Slot {
    let (mut key, mut blocks, mut last_used) = ([0; CacheKey::BYTES], [0; 4], [0; 4]);
    key.copy_from_slice(&entry[..16]);
    blocks.copy_from_slice(&entry[16..20]);
    last_used.copy_from_slice(&entry[20..]);
    Slot {
        key: CacheKey::from_bytes(key),
        blocks: u32::from_le_bytes(blocks),
        last_used: u32::from_le_bytes(last_used),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::KeyHasher;

    fn slots(count: u32) -> Vec<Slot> {
        let key = |number: u32| KeyHasher::new().bytes(&number.to_le_bytes()).finish();
        (0..count).map(|number| Slot { key: key(number), blocks: number + 1, last_used: number + 1_000 }).collect()
    }

    fn stamps() -> Vec<LeafStamp> {
        (0..LEAVES).map(|leaf| LeafStamp { seconds: leaf as i64 - 7, nanoseconds: leaf as u32 }).collect()
    }

    fn written(slots: Vec<Slot>) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(slots, &stamps(), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        for count in [0, 1, 10_000] {
            let snapshot = Snapshot::parse(written(slots(count))).unwrap();
            assert_eq!(snapshot.len(), count as usize);
            for slot in slots(count) {
                assert_eq!(snapshot.find(slot.key), Some(slot.clone()));
                assert!(snapshot.entries(leaf_of(slot.key)).any(|found| found == slot));
            }
            let all = (0..LEAVES as u16).map(|leaf| snapshot.entries(leaf).count()).sum::<usize>();
            assert_eq!(all, count as usize);
            assert!((0..LEAVES as u16).all(|leaf| snapshot.stamp(leaf) == stamps()[usize::from(leaf)]));
            assert_eq!(snapshot.find(KeyHasher::new().finish()), None);
        }
    }

    #[test]
    fn an_entry_that_was_copied_twice_is_written_once() {
        let twice = [slots(3), slots(2)].concat();
        assert_eq!(Snapshot::parse(written(twice)).unwrap().len(), 3);
    }

    #[test]
    fn a_snapshot_that_is_not_whole_is_none() {
        let good = written(slots(20));
        assert!(Snapshot::parse(good.clone()).is_some());
        for len in [0, 1, HEADER_BYTES, ENTRIES_AT, good.len() - 24, good.len() - 1] {
            assert!(Snapshot::parse(good[..len].to_vec()).is_none(), "{len}");
        }
        assert!(Snapshot::parse([&good[..], b"x"].concat()).is_none());
        assert!(Snapshot::parse(vec![0; good.len()]).is_none());
        for position in (0..good.len()).step_by(61).chain(0..HEADER_BYTES + LEAF_BYTES) {
            let mut bad = good.clone();
            bad[position] ^= 1 << (position % 8);
            assert!(Snapshot::parse(bad).is_none(), "{position}");
        }
    }

    #[test]
    fn numbers_that_cannot_be_are_not_believed_whatever_the_checksum_says() {
        let good = written(slots(20));
        for at in [8, HEADER_BYTES + 12] {
            let mut bad = good[..good.len() - CHECKSUM_BYTES].to_vec();
            bad[at..at + 4].fill(0xff);
            let checksum = *blake3::hash(&bad).as_bytes();
            assert!(Snapshot::parse([&bad[..], &checksum].concat()).is_none(), "{at}");
        }
    }
}

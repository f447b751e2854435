//! The file of purges: a header, and behind it a frame a purge, all of one length. Numbers are little-endian, and no text of
//! a user's is in it.
//!
//! | bytes | header | frame |
//! | --- | --- | --- |
//! | 0-8 | `LMPURGE1` | site |
//! | 8-16 | floor | hash of what is purged |
//! | 16-24 | newest generation | generation |
//! | 24-32 | 0 | time |
//! | 32-40 | 0 | length of a prefix (4), kind (1), mode (1), 0 (2) |
//! | 40-47 | checksum | checksum |
//! | 47 | end mark | end mark |
//!
//! A write that broke off ends in nothing, or in the zeros that a file system had ready. Only there are frames missing that
//! nobody was told of; anything else that cannot be read is damage.

use super::{
    generation::Generation,
    hash::SiteHash,
    table::{Mode, Purge, Target},
    tags::TagHash,
};
use crate::http::time::UnixSeconds;

/// The length of a frame, and of the header.
pub(super) const FRAME_BYTES: usize = 48;

const MAGIC: u64 = u64::from_le_bytes(*b"LMPURGE1");
const CHECKED_BYTES: usize = 40;
const END: u8 = 0xa5;

type Frame = [u8; FRAME_BYTES];

/// What a file of purges says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) floor: Generation,
    pub(super) newest: Generation,
    pub(super) purges: Vec<Purge>,
    /// How far the file can be read; what is behind it was never finished.
    pub(super) len: u64,
}

/// A file that says what it was never told to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged {
    /// The newest generation that can be read in it.
    pub(super) newest: Generation,
}

/// The header.
pub(super) fn header(floor: Generation, newest: Generation) -> Frame {
    sealed([MAGIC, floor.0, newest.0, 0, 0])
}

/// A purge's frame.
pub(super) fn frame(purge: &Purge) -> Frame {
    let (kind, len, hash): (u64, u32, u64) = match purge.target {
        Target::Everything => (0, 0, 0),
        Target::Url(hash) => (1, 0, hash),
        Target::Prefix { len, hash } => (2, len, hash),
        Target::Tag(tag) => (3, 0, tag.0),
    };
    let mode = match purge.mode {
        Mode::Soft => 0,
        Mode::Hard => 1,
    };
    sealed([purge.site.0, hash, purge.generation.0, purge.at.0, u64::from(len) | kind << 32 | mode << 40])
}

/// Reads a file.
///
/// # Errors
/// [`Damaged`]
pub(super) fn read(file: &[u8]) -> Result<Contents, Damaged> {
    let (header, frames) = file.split_at_checked(FRAME_BYTES).unwrap_or_default();
    let Some([MAGIC, floor, newest, 0, 0]) = unsealed(header) else { return Err(damaged(frames)) };
    let mut purges = Vec::with_capacity(frames.len() / FRAME_BYTES);
    for at in frames.chunks(FRAME_BYTES) {
        let Some(purge) = unsealed(at).and_then(purge_of) else { break };
        purges.push(purge);
    }
    let read = purges.len() * FRAME_BYTES;
    if !broke_off(&frames[read..]) {
        return Err(damaged(file));
    }
    let len = (FRAME_BYTES + read) as u64;
    Ok(Contents { floor: Generation(floor), newest: Generation(newest), purges, len })
}

/// Whether there is less than a frame, but for zeros.
fn broke_off(rest: &[u8]) -> bool {
    let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    written < FRAME_BYTES
}

fn damaged(file: &[u8]) -> Damaged {
    let generation =
        |frame| unsealed(frame).map_or(Generation::default(), |[_, _, generation, ..]| Generation(generation));
    Damaged { newest: file.chunks(FRAME_BYTES).map(generation).max().unwrap_or_default() }
}

fn purge_of([site, hash, generation, at, rest]: [u64; 5]) -> Option<Purge> {
    let len = rest as u32;
    let target = match rest >> 32 & 0xff {
        0 => Target::Everything,
        1 => Target::Url(hash),
        2 => Target::Prefix { len, hash },
        3 => Target::Tag(TagHash(hash)),
        _ => return None,
    };
    let mode = match rest >> 40 {
        0 => Mode::Soft,
        1 => Mode::Hard,
        _ => return None,
    };
    let (site, generation, at) = (SiteHash(site), Generation(generation), UnixSeconds(at));
    Some(Purge { site, target, mode, generation, at })
}

fn sealed(fields: [u64; 5]) -> Frame {
    let mut frame = [0; FRAME_BYTES];
    for (place, field) in frame.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_le_bytes());
    }
    let checksum = checksum(&frame[..CHECKED_BYTES]);
    frame[CHECKED_BYTES..FRAME_BYTES - 1].copy_from_slice(&checksum);
    frame[FRAME_BYTES - 1] = END;
    frame
}

fn unsealed(frame: &[u8]) -> Option<[u64; 5]> {
    let frame: &Frame = frame.try_into().ok()?;
    let (fields, seal) = frame.split_at(CHECKED_BYTES);
    let (END, stored) = seal.split_last().map(|(end, stored)| (*end, stored))? else { return None };
    if stored != checksum(fields) {
        return None;
    }
    let mut read = [0; 5];
    for (field, place) in read.iter_mut().zip(fields.chunks_exact(8)) {
        *field = u64::from_le_bytes(place.try_into().ok()?);
    }
    Some(read)
}

fn checksum(fields: &[u8]) -> [u8; FRAME_BYTES - CHECKED_BYTES - 1] {
    let mut checksum = [0; FRAME_BYTES - CHECKED_BYTES - 1];
    let len = checksum.len();
    checksum.copy_from_slice(&blake3::hash(fields).as_bytes()[..len]);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn purge(generation: u64) -> Purge {
        Purge {
            site: SiteHash(1),
            target: Target::Prefix { len: 9, hash: 2 },
            mode: Mode::Hard,
            generation: Generation(generation),
            at: UnixSeconds(4),
        }
    }

    fn file(purges: &[Purge]) -> Vec<u8> {
        let mut file = header(Generation(3), Generation(5)).to_vec();
        purges.iter().for_each(|purge| file.extend_from_slice(&frame(purge)));
        file
    }

    fn contents(purges: &[Purge]) -> Contents {
        let len = (FRAME_BYTES * (1 + purges.len())) as u64;
        Contents { floor: Generation(3), newest: Generation(5), purges: purges.to_vec(), len }
    }

    #[test]
    fn each_bit_counts_even_in_the_last_frame() {
        let good = file(&[purge(6), purge(7)]);
        assert_eq!(read(&good), Ok(contents(&[purge(6), purge(7)])));
        for position in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[position] ^= 1 << bit;
                assert!(read(&bad).is_err(), "byte {position} bit {bit}");
            }
        }
    }

    #[test]
    fn what_was_never_finished_is_left_out() {
        let good = file(&[purge(6)]);
        let more = file(&[purge(6), purge(7), purge(8)]);
        for len in good.len()..good.len() + FRAME_BYTES {
            for zeros in [0, 1, 200, 4_096] {
                let mut torn = more[..len].to_vec();
                torn.resize(len + zeros, 0);
                assert_eq!(read(&torn), Ok(contents(&[purge(6)])), "{len} bytes and {zeros} zeros");
            }
        }
    }

    #[test]
    fn damage_before_what_can_be_read_is_damage() {
        let mut bad = file(&[purge(6), purge(7), purge(8)]);
        bad[FRAME_BYTES * 2..FRAME_BYTES * 3].fill(0);
        assert_eq!(read(&bad), Err(Damaged { newest: Generation(8) }));
        let shifted = &file(&[purge(6), purge(7)])[FRAME_BYTES..];
        assert_eq!(read(shifted), Err(Damaged { newest: Generation(7) }));
        for len in 0..FRAME_BYTES {
            assert!(read(&file(&[])[..len]).is_err(), "{len}");
        }
    }

    fn purges() -> impl Strategy<Value = Vec<Purge>> {
        let target = prop_oneof![
            Just(Target::Everything),
            any::<u64>().prop_map(Target::Url),
            any::<(u32, u64)>().prop_map(|(len, hash)| Target::Prefix { len, hash }),
            any::<u64>().prop_map(|hash| Target::Tag(TagHash(hash))),
        ];
        let mode = prop_oneof![Just(Mode::Soft), Just(Mode::Hard)];
        let purge =
            (any::<u64>(), target, mode, any::<u64>(), any::<u64>()).prop_map(|(site, target, mode, number, at)| {
                Purge { site: SiteHash(site), target, mode, generation: Generation(number), at: UnixSeconds(at) }
            });
        prop::collection::vec(purge, 0..9)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(purges in purges()) {
            prop_assert_eq!(read(&file(&purges)), Ok(contents(&purges)));
        }

        #[test]
        fn no_file_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }
    }
}

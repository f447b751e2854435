//! What stands where in the file: a page of header, then segments of slots, one slot a site. Numbers are in the machine's own
//! byte order, for that is how the counts are added to: a file from a machine of the other order has no version known here.
//!
//! ```text
//! header   0 magic · 8 version · 16 node id · 32 check of it · 40 slots made
//! slot     0 length of the site's id · 1 the id · 64 egress bytes · 72 requests · 80 saved bytes · 88 bytes in hand · 96 check of the id
//! ```
//!
//! The checks are hashes: a bit that flips in a node id or a site's would have everything counted charged again, to whomever.
//! A slot lies within a disk's sector, so that a power cut leaves all of it or nothing, which is zeroes.

use crate::billing::{MAX_ID_BYTES, SiteId};

/// A page, of which little is used.
pub(super) const HEADER_BYTES: usize = 4096;
/// What of the header is read.
pub(super) const HEAD_BYTES: usize = 48;
/// Where the number of slots made stands.
pub(super) const COUNT_OFFSET: u64 = 40;

/// A slot: a cache line of id, and one of counts.
pub(super) const SLOT_BYTES: usize = 128;
/// Where its counts begin.
pub(super) const COUNTS_OFFSET: usize = 64;
const SLOT_CHECK_OFFSET: usize = 96;

/// By so many slots does the file grow: 64 KiB.
pub(super) const SEGMENT_SLOTS: usize = 512;
/// Their bytes.
pub(super) const SEGMENT_BYTES: usize = SEGMENT_SLOTS * SLOT_BYTES;

const MAGIC: [u8; 8] = *b"LMCOUNTS";
const VERSION: u32 = 1;
const NODE_BYTES: usize = 16;
const CHECK_BYTES: usize = 8;

const _: () = assert!(MAX_ID_BYTES < COUNTS_OFFSET);

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("it does not begin as one")]
    Magic,
    #[error("its version, {0}, is not known here")]
    Version(u32),
    #[error("its node id is not what was written")]
    Node,
    #[error("it ends before its {slots} slots do")]
    Short { slots: u64 },
    #[error("it cannot have {0} slots")]
    Count(u64),
    #[error("slot {0} has an impossible site")]
    Site(usize),
    #[error("slot {slot} has the site {site}, as another has")]
    Twice { slot: usize, site: SiteId },
}

/// Whose counts they are: a random number, made with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node([u8; NODE_BYTES]);

impl Node {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut id = [0; NODE_BYTES];
        getrandom::fill(&mut id)?;
        Ok(Self(id))
    }

    pub(super) fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A header, with no slots made.
pub(super) fn header(node: Node) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_ne_bytes());
    bytes[16..32].copy_from_slice(&node.0);
    bytes[32..40].copy_from_slice(&check(&[&node.0]));
    bytes
}

/// The node id, and the number of slots made.
pub(super) fn read_header(bytes: &[u8; HEAD_BYTES]) -> Result<(Node, u64), Damage> {
    if bytes[..8] != MAGIC {
        return Err(Damage::Magic);
    }
    let version = u32::from_ne_bytes(array(&bytes[8..12]));
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    let node = Node(array(&bytes[16..32]));
    if bytes[32..40] != check(&[&node.0]) {
        return Err(Damage::Node);
    }
    Ok((node, u64::from_ne_bytes(array(&bytes[40..48]))))
}

/// A slot with nothing counted.
pub(super) fn slot(node: Node, site: &SiteId) -> [u8; SLOT_BYTES] {
    let id = site.as_str().as_bytes();
    let mut bytes = [0; SLOT_BYTES];
    bytes[0] = u8::try_from(id.len()).unwrap_or(u8::MAX);
    bytes[1..=id.len()].copy_from_slice(id);
    let check = check(&[&node.0, &bytes[..COUNTS_OFFSET]]);
    bytes[SLOT_CHECK_OFFSET..SLOT_CHECK_OFFSET + CHECK_BYTES].copy_from_slice(&check);
    bytes
}

/// The site of slot `index`; `None` where a power cut took back that it was made.
pub(super) fn read_slot(node: Node, index: usize, bytes: &[u8; SLOT_BYTES]) -> Result<Option<SiteId>, Damage> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let check = check(&[&node.0, &bytes[..COUNTS_OFFSET]]);
    let len = usize::from(bytes[0]);
    if bytes[SLOT_CHECK_OFFSET..SLOT_CHECK_OFFSET + CHECK_BYTES] != check || len > MAX_ID_BYTES {
        return Err(Damage::Site(index));
    }
    let id = std::str::from_utf8(&bytes[1..=len]).ok().and_then(|id| id.parse().ok());
    id.map(Some).ok_or(Damage::Site(index))
}

fn check(parts: &[&[u8]]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    array(&hasher.finalize().as_bytes()[..CHECK_BYTES])
}

/// The first `N` bytes, of which there must be so many.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    std::array::from_fn(|at| bytes[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(header: &[u8; HEADER_BYTES]) -> [u8; HEAD_BYTES] {
        array(header)
    }

    #[test]
    fn what_is_written_reads_back() {
        let node = Node::new().unwrap();
        assert_eq!(read_header(&head(&header(node))), Ok((node, 0)));
        for id in ["a", "shop-1.example", &"x".repeat(MAX_ID_BYTES)] {
            let site: SiteId = id.parse().unwrap();
            assert_eq!(read_slot(node, 0, &slot(node, &site)), Ok(Some(site)));
        }
        assert_eq!(read_slot(node, 0, &[0; SLOT_BYTES]), Ok(None));
        assert_eq!(node.to_hex().len(), 32);
    }

    #[test]
    fn every_flipped_bit_that_matters_is_seen() {
        let node = Node(*b"0123456789abcdef");
        let header = header(node);
        for bit in (0..96).chain(128..320) {
            let mut damaged = head(&header);
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read_header(&damaged).is_err(), "bit {bit} of the header");
        }
        let slot = slot(node, &"shop".parse().unwrap());
        let check_bits = SLOT_CHECK_OFFSET * 8..(SLOT_CHECK_OFFSET + CHECK_BYTES) * 8;
        for bit in (0..COUNTS_OFFSET * 8).chain(check_bits) {
            let mut damaged = slot;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_slot(node, 7, &damaged), Err(Damage::Site(7)), "bit {bit} of a slot");
        }
    }

    #[test]
    fn another_nodes_slot_is_not_this_ones() {
        let slot = slot(Node(*b"0123456789abcdef"), &"shop".parse().unwrap());
        assert_eq!(read_slot(Node(*b"fedcba9876543210"), 0, &slot), Err(Damage::Site(0)));
    }
}

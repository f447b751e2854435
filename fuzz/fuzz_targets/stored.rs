//! The files that are read at a start: the disk cache's entries and index, the journal of purges, the counters. The first byte
//! says which, the rest is the file; where a checksum stands at its end, once as it is and once put right. Nothing panics,
//! nothing is read that is not there, and what is read is what would be written.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

// The formats as they are, without the program around them, and what they stand on where they look for it.
#[allow(unused_imports)]
use lightmeter_fuzz::{http, image, request};

#[allow(dead_code)]
#[path = "../../src/billing"]
mod billing {
    mod id;
    pub use id::{MAX_ID_BYTES, SiteId};
}

#[allow(dead_code, unused_imports)]
#[path = "../../src/cache"]
mod cache {
    pub use lightmeter_fuzz::cache::key;

    pub mod disk {
        use std::io::Write as _;

        use super::key::CacheKey;

        const WHOLE_BODY_BYTES: u64 = 1 << 20;

        mod entry;

        /// Written with these parts, it reads as them; with a byte changed, or as it is, it does not, and nothing worse.
        pub fn entry(bytes: &[u8]) {
            let key = CacheKey::from_bytes([7; CacheKey::BYTES]);
            let read = |bytes: &[u8]| {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(bytes).unwrap();
                entry::Entry::read(&file, bytes.len() as u64, key, "text")
            };
            assert!(read(bytes).is_err(), "a checksum was guessed");
            let (meta, body) = bytes.split_at(bytes.len() / 3);
            let mut file = entry::head(key, "text", meta, body).unwrap();
            file.extend_from_slice(body);
            let found = read(&file).unwrap();
            assert_eq!((found.meta.as_slice(), found.whole.as_deref()), (meta, Some(body)));
            let (at, len) = (bytes.first().copied().map_or(0, usize::from), file.len());
            file[at % len] ^= 1;
            assert!(read(&file).is_err(), "a changed byte went unseen");
        }
    }

    pub mod purge {
        mod generation {
            pub use lightmeter_fuzz::cache::purge::Generation;
        }
        mod format;
        mod hash;
        mod name;
        mod table;
        mod tags;
        pub use generation::Generation;

        /// What can be read of a journal, written anew, reads the same.
        pub fn journal(bytes: &[u8]) {
            let mut sealed = format::header(Default::default(), Default::default()).to_vec();
            sealed.extend_from_slice(bytes);
            for file in [bytes, &sealed] {
                let Ok(contents) = format::read(file) else { continue };
                assert!(contents.len <= file.len() as u64);
                let mut again = format::header(contents.floor, contents.newest).to_vec();
                contents.purges.iter().for_each(|purge| again.extend_from_slice(&format::frame(purge)));
                assert_eq!(format::read(&again).as_ref(), Ok(&contents));
            }
        }
    }
}

#[allow(dead_code)]
#[path = "../../src/meter"]
mod meter {
    pub mod counters {
        mod format;

        use format::{HEAD_BYTES, SLOT_BYTES, read_header, read_slot};

        /// A header and a slot: the slot of another site or node is refused.
        pub fn counters(bytes: &[u8]) {
            let mut header = [0; HEAD_BYTES];
            header.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            let _ = read_header(&header);
            let written = format::header(format::Node::new().unwrap());
            let (node, slots) = read_header(written.first_chunk().unwrap()).unwrap();
            assert_eq!(slots, 0);
            let mut slot = [0; SLOT_BYTES];
            slot.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            assert!(matches!(read_slot(node, 3, &slot), Ok(None) | Err(_)), "a check was guessed");
            if let Some(site) = std::str::from_utf8(bytes).ok().and_then(|id| id.parse().ok()) {
                assert_eq!(read_slot(node, 3, &format::slot(node, &site)), Ok(Some(site)));
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some((which, file)) = bytes.split_first() else { return Corpus::Reject };
    match which % 3 {
        0 => cache::disk::entry(file),
        1 => cache::purge::journal(file),
        _ => meter::counters::counters(file),
    }
    Corpus::Keep
});

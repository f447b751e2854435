//! What of HTTP/1 is read beside hyper: which request of a connection gives its length in two ways. Nothing panics, and how the
//! bytes are cut into pieces on their way has no say.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/edge"]
mod edge {
    pub mod limits {
        mod framing;

        /// Of as many requests as there can be in a stream, which are refused.
        pub fn refused<'a>(stream: &[u8], pieces: impl Iterator<Item = &'a [u8]>) -> Vec<bool> {
            let (mut framing, requests) = framing::Framing::new();
            pieces.for_each(|piece| framing.read(piece));
            let lines = stream.iter().filter(|byte| **byte == b'\n').count();
            (0..=lines).map(|_| requests.next_has_two_framings()).collect()
        }
    }
}

use edge::limits::refused;

/// Bytes that say where the stream behind them is cut, over and over.
const CUTS: usize = 8;

fn cut<'a>(mut stream: &'a [u8], cuts: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    cuts.iter().cycle().map_while(move |cut| {
        let (piece, rest) = stream.split_at(stream.len().min(1 + usize::from(*cut)));
        stream = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cuts, stream)) = bytes.split_at_checked(CUTS) else { return };
    let whole = refused(stream, [stream].into_iter());
    assert_eq!(refused(stream, cut(stream, cuts)), whole);
    assert_eq!(refused(stream, stream.chunks(1)), whole);
    // Once one is refused, all that follow are.
    assert!(whole.is_sorted());
});

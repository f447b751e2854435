//! Pieces of a body, and how they are handed to a connection: no further one while what the connection holds and has not
//! taken would exceed [`PIECE_BYTES`]. A connection asks for more before it has written what it has, and what it holds when
//! the process is killed counts and may never have got to anybody: so it holds little.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;

use crate::meter::SiteMeter;

/// The most that a connection is given and has not taken; the longest piece, too.
pub(super) const PIECE_BYTES: usize = 64 * 1024;

/// Bytes handed to a connection. They are taken as it reads them; when it has read all, or lets go of them, what it took
/// of them is counted.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    /// The bytes that it had.
    len: usize,
    /// Who waits for it to be taken.
    handover: Option<Arc<Handover>>,
    meter: Option<Arc<SiteMeter>>,
}

impl Piece {
    /// One that `handover` waits for, if it does; what is taken of it is counted by `meter` (`billing.md` rule 1).
    pub(super) fn new(bytes: Bytes, handover: Option<Arc<Handover>>, meter: Option<Arc<SiteMeter>>) -> Self {
        let len = bytes.len();
        if let Some(handover) = &handover {
            handover.held.fetch_add(len, Ordering::AcqRel);
        }
        if let Some(meter) = &meter {
            meter.hand_over(len as u64);
        }
        Self { bytes, len, handover, meter }
    }

    /// The connection is done with it.
    fn end(&mut self) {
        if let Some(meter) = self.meter.take() {
            meter.count_egress(self.len as u64, (self.len - self.bytes.len()) as u64);
        }
        if let Some(handover) = self.handover.take() {
            handover.taken(self.len);
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if self.bytes.is_empty() {
            self.end();
        } else if let Some(handover) = &self.handover {
            // Frame by frame: a stream of HTTP/2 among many is seen to go on before a whole piece is through.
            handover.body.wake();
        }
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        let bytes = self.bytes.copy_to_bytes(len);
        if self.bytes.is_empty() {
            self.end();
        }
        bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.end();
    }
}

/// Between one body and its connection.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Bytes of pieces that are not taken.
    held: AtomicUsize,
    body: AtomicWaker,
}

impl Handover {
    /// Waits until a piece of `len` bytes may be handed over.
    pub(super) fn poll_room(&self, len: usize, context: &Context<'_>) -> Poll<()> {
        if self.has_room(len) { Poll::Ready(()) } else { self.wait_for_room(len, context) }
    }

    fn wait_for_room(&self, len: usize, context: &Context<'_>) -> Poll<()> {
        self.body.register(context.waker());
        // What was taken before that has woken nobody: only looking again tells.
        if self.has_room(len) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn has_room(&self, len: usize) -> bool {
        self.held.load(Ordering::Acquire) + len <= PIECE_BYTES
    }

    fn taken(&self, len: usize) {
        self.held.fetch_sub(len, Ordering::AcqRel);
        self.body.wake();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker_ref;

    use super::*;

    #[test]
    fn a_piece_taken_just_before_its_taking_was_waited_for_is_not_waited_for() {
        let (handover, context) = (Arc::new(Handover::default()), Context::from_waker(noop_waker_ref()));
        let bytes = Bytes::from_static(&[7; PIECE_BYTES]);
        let piece = Piece::new(bytes, Some(Arc::clone(&handover)), None);
        assert!(!handover.has_room(1));
        // From here on, in another thread.
        drop(piece);
        assert!(handover.wait_for_room(1, &context).is_ready());
    }
}

//! Pieces of a body, and how they are handed to a connection: no further one while what the connection holds and has not
//! taken would exceed [`PIECE_BYTES`]. A connection asks for more before it has written what it has, and what it holds when
//! it breaks was counted and never got to anybody: so it holds little.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;

/// The most that a connection is given and has not taken; the longest piece, too.
pub(super) const PIECE_BYTES: usize = 64 * 1024;

/// Bytes handed to a connection. They are taken when it has read them to the end, or lets go of them.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    /// Who waits for it to be taken, and the bytes that it had.
    held: Option<(Arc<Handover>, usize)>,
}

impl Piece {
    /// One that nobody waits for.
    pub(super) const fn unwatched(bytes: Bytes) -> Self {
        Self { bytes, held: None }
    }

    fn taken(&mut self) {
        if let Some((handover, len)) = self.held.take() {
            handover.taken(len);
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
            self.taken();
        } else if let Some((handover, _)) = &self.held {
            // Frame by frame: a stream of HTTP/2 among many is seen to go on before a whole piece is through.
            handover.body.wake();
        }
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        let bytes = self.bytes.copy_to_bytes(len);
        if self.bytes.is_empty() {
            self.taken();
        }
        bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.taken();
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

    /// A piece that is held until it is taken.
    pub(super) fn hand_over(self: &Arc<Self>, bytes: Bytes) -> Piece {
        let len = bytes.len();
        self.held.fetch_add(len, Ordering::AcqRel);
        Piece { bytes, held: Some((Arc::clone(self), len)) }
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
        let piece = handover.hand_over(Bytes::from_static(&[7; PIECE_BYTES]));
        assert!(!handover.has_room(1));
        // From here on, in another thread.
        drop(piece);
        assert!(handover.wait_for_room(1, &context).is_ready());
    }
}

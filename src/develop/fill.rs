//! An original on its way in: written once by the fetch, read from its beginning by any number of visitors while it comes,
//! and whole at the end for the codecs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::{
    cache::object::{SourceFacts, SourceHead},
    origin::error::FetchError,
};

/// The most that a reader takes at once.
const PIECE_BYTES: usize = 64 * 1024;

/// An original on its way in.
#[derive(Debug)]
pub struct Fill {
    /// What the origin said of it.
    pub facts: SourceFacts,
    /// How many bytes it will be.
    pub len: u64,
    buffer: Mutex<BytesMut>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Clone)]
struct Progress {
    end: Option<Result<WholeSource, FetchError>>,
}

/// An original that is all there, and its place in the budget of originals under way.
#[derive(Debug, Clone)]
pub struct WholeSource {
    /// What is known of it.
    pub head: Arc<SourceHead>,
    /// Its bytes.
    pub bytes: Bytes,
    /// Given back when the last holder lets go.
    pub reserved: Arc<OwnedSemaphorePermit>,
}

impl Fill {
    /// Begins an original of `len` bytes.
    #[must_use]
    pub fn begin(facts: SourceFacts, len: u64) -> Self {
        let capacity = usize::try_from(len).unwrap_or(0);
        let (progress, _) = watch::channel(Progress { end: None });
        Self { facts, len, buffer: Mutex::new(BytesMut::with_capacity(capacity)), progress }
    }

    /// Adds what came.
    pub fn push(&self, piece: &[u8]) {
        self.lock().extend_from_slice(piece);
        self.progress.send_modify(|_| {});
    }

    /// Takes all that came out of the buffer, to end with. Readers that have not caught up wait for [`Self::end`] and
    /// read on in what it is given.
    #[must_use]
    pub fn take_whole(&self) -> Bytes {
        std::mem::take(&mut *self.lock()).freeze()
    }

    /// Ends it, well or not.
    pub fn end(&self, end: Result<WholeSource, FetchError>) {
        self.progress.send_modify(|progress| progress.end = Some(end));
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// What the fetch ended with.
    pub async fn whole(&self) -> Result<WholeSource, FetchError> {
        let mut progress = self.progress.subscribe();
        let ended = progress.wait_for(|progress| progress.end.is_some()).await;
        match ended.ok().and_then(|progress| progress.end.clone()) {
            Some(end) => end,
            None => Err(FetchError::Broken { cause: "the fetch ended early".to_owned() }),
        }
    }

    /// Reads it from the beginning, as it comes.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> FillReader {
        FillReader { progress: self.progress.subscribe(), fill: Arc::clone(self), position: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, BytesMut> {
        // A buffer is whole after each push: a panic elsewhere does not spoil it.
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One visitor's place in a [`Fill`].
#[derive(Debug)]
pub struct FillReader {
    fill: Arc<Fill>,
    progress: watch::Receiver<Progress>,
    position: usize,
}

impl FillReader {
    /// The next piece, at most 64 KiB; `None` at the end.
    ///
    /// # Errors
    /// What the fetch ended with, once all that came before is read.
    pub async fn next(&mut self) -> Option<Result<Bytes, FetchError>> {
        loop {
            let end = self.progress.borrow_and_update().end.clone();
            if let Some(piece) = self.available(end.as_ref()) {
                self.position += piece.len();
                return Some(Ok(piece));
            }
            match end {
                Some(Ok(_)) => return None,
                Some(Err(error)) => return Some(Err(error)),
                None => {}
            }
            if self.progress.changed().await.is_err() {
                return Some(Err(FetchError::Broken { cause: "the fetch ended early".to_owned() }));
            }
        }
    }

    fn available(&self, end: Option<&Result<WholeSource, FetchError>>) -> Option<Bytes> {
        if let Some(Ok(whole)) = end {
            let to = whole.bytes.len().min(self.position + PIECE_BYTES);
            return (self.position < to).then(|| whole.bytes.slice(self.position..to));
        }
        let buffer = self.fill.lock();
        let to = buffer.len().min(self.position + PIECE_BYTES);
        (self.position < to).then(|| Bytes::copy_from_slice(&buffer[self.position..to]))
    }
}

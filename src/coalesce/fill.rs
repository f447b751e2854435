//! A body on its way in: written once by the fetch, read from its beginning by any number of visitors while it comes, and
//! whole at the end for the codecs. Its place in the budget is given back as soon as nobody needs it in memory: readers go
//! on from the disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use super::budget::Reserved;
use crate::{
    cache::object::StoredBody,
    image::why_original::WhyOriginal,
    origin::{error::FetchError, fetch::OriginResponse},
};

/// The most that a reader takes at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A body on its way in. `F` is what the origin said of it, `H` what is known when it is all there.
#[derive(Debug)]
pub struct Fill<F, H> {
    /// What the origin said of it.
    pub facts: F,
    /// How many bytes it will be, where the origin said so.
    pub announced_len: Option<u64>,
    buffer: Mutex<BytesMut>,
    rest: Mutex<Option<Rest>>,
    end: watch::Sender<Option<End<H>>>,
}

/// How it ended.
#[derive(Debug)]
pub enum End<H> {
    /// It is all there, in memory.
    Whole(Whole<H>),
    /// It is all there, in the cache.
    Stored(Arc<H>, StoredBody),
    /// It cannot be held, being too large or memory being short: one reader goes on with the response itself.
    NotHeld(WhyOriginal),
    /// It broke off.
    Failed(FetchError),
}

impl<H> Clone for End<H> {
    fn clone(&self) -> Self {
        match self {
            Self::Whole(whole) => Self::Whole(whole.clone()),
            Self::Stored(head, body) => Self::Stored(Arc::clone(head), body.clone()),
            Self::NotHeld(why) => Self::NotHeld(*why),
            Self::Failed(error) => Self::Failed(error.clone()),
        }
    }
}

/// A body that is all there, and its place in the budget of those under way.
#[derive(Debug)]
pub struct Whole<H> {
    /// What is known of it.
    pub head: Arc<H>,
    /// Its bytes.
    pub bytes: Bytes,
    /// Given back when the last holder lets go.
    pub reserved: Arc<Reserved>,
}

impl<H> Clone for Whole<H> {
    fn clone(&self) -> Self {
        let Self { head, bytes, reserved } = self;
        Self { head: Arc::clone(head), bytes: bytes.clone(), reserved: Arc::clone(reserved) }
    }
}

/// What comes behind the part that is held, and that part's place in the budget.
#[derive(Debug)]
struct Rest {
    response: Option<OriginResponse>,
    _reserved: Reserved,
}

impl<F, H> Fill<F, H> {
    /// Begins one.
    #[must_use]
    pub fn begin(facts: F, announced_len: Option<u64>) -> Self {
        let capacity = announced_len.and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
        let (end, _) = watch::channel(None);
        let buffer = Mutex::new(BytesMut::with_capacity(capacity));
        Self { facts, announced_len, buffer, rest: Mutex::default(), end }
    }

    /// Adds what came.
    pub fn push(&self, piece: &[u8]) {
        locked(&self.buffer).extend_from_slice(piece);
        self.end.send_modify(|_| {});
    }

    /// Bytes that the buffer takes.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        locked(&self.buffer).capacity() as u64
    }

    /// Takes all that came out of the buffer, to end with. Readers that have not caught up wait for the end and read on in
    /// what it is given.
    #[must_use]
    pub fn take_whole(&self) -> Bytes {
        std::mem::take(&mut *locked(&self.buffer)).freeze()
    }

    /// Ends it. [`End::Whole`] may be followed by [`End::Stored`].
    pub fn end(&self, end: End<H>) {
        self.end.send_replace(Some(end));
    }

    /// Ends it because it cannot be held: the first reader who gets there goes on with `response`.
    pub fn overflow(&self, mut response: OriginResponse, reserved: Reserved, why: WhyOriginal) {
        // In the midst of it, it goes on with whatever place it has.
        let _ = response.unhurried();
        *locked(&self.rest) = Some(Rest { response: Some(response), _reserved: reserved });
        self.end(End::NotHeld(why));
    }

    /// Makes room for `len` bytes in all.
    pub fn make_room(&self, len: u64) {
        let mut buffer = locked(&self.buffer);
        let missing = usize::try_from(len).unwrap_or(0).saturating_sub(buffer.len());
        buffer.reserve(missing);
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// Waits for the end.
    pub async fn ended(&self) -> End<H> {
        let mut end = self.end.subscribe();
        let ended = end.wait_for(Option::is_some).await;
        ended.ok().and_then(|end| end.clone()).unwrap_or_else(|| End::Failed(FetchError::ended_early()))
    }

    /// Whether it is only the leader's. One whose length is not known may prove too large to be held: that is waited for.
    pub async fn is_the_leaders(&self) -> bool {
        self.announced_len.is_none() && matches!(self.ended().await, End::NotHeld(_))
    }

    /// Reads it from the beginning, as it comes. `None` where it is not held and somebody else reads its end.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Option<FillReader<F, H>> {
        let is_held = !matches!(*self.end.borrow(), Some(End::NotHeld(_)));
        let rest = if is_held { None } else { Some(self.take_rest()?) };
        Some(FillReader { place: Place::Fill(Arc::clone(self), self.end.subscribe()), rest, position: 0 })
    }

    fn available(&self, position: usize) -> Option<Bytes> {
        let buffer = locked(&self.buffer);
        let to = buffer.len().min(position + PIECE_BYTES);
        (position < to).then(|| Bytes::copy_from_slice(&buffer[position..to]))
    }

    fn is_whole_at(&self, position: usize) -> bool {
        self.announced_len == Some(position as u64)
    }

    fn take_rest(&self) -> Option<OriginResponse> {
        locked(&self.rest).as_mut().and_then(|rest| rest.response.take())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is inside is whole after each change: a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One visitor's place in a [`Fill`].
#[derive(Debug)]
pub struct FillReader<F, H> {
    place: Place<F, H>,
    /// What comes behind what is held, where this reader has claimed it.
    rest: Option<OriginResponse>,
    position: usize,
}

#[derive(Debug)]
enum Place<F, H> {
    Fill(Arc<Fill<F, H>>, watch::Receiver<Option<End<H>>>),
    Stored(StoredBody),
    Response(Box<OriginResponse>),
}

impl<F, H> FillReader<F, H> {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// What the fetch ended with, once all that came before is read.
    pub async fn next(&mut self) -> Option<Result<Bytes, FetchError>> {
        loop {
            let next_place = match &mut self.place {
                Place::Stored(body) => {
                    let piece = stored_piece(body, self.position).await;
                    return self.moved(piece.transpose());
                }
                Place::Response(response) => return response.chunk().await.transpose(),
                Place::Fill(fill, end) => {
                    let ended = end.borrow_and_update().clone();
                    match ended {
                        Some(End::Whole(whole)) => {
                            let piece = slice(&whole.bytes, self.position).map(Ok);
                            return self.moved(piece);
                        }
                        Some(End::Stored(_, body)) => Place::Stored(body),
                        None | Some(End::NotHeld(_) | End::Failed(_)) => {
                            // The last piece waits for the end: who has it whole finds it stored.
                            let is_last = |piece: &Bytes| fill.is_whole_at(self.position + piece.len());
                            let piece = fill.available(self.position);
                            if let Some(piece) = piece.filter(|piece| ended.is_some() || !is_last(piece)) {
                                return self.moved(Some(Ok(piece)));
                            }
                            match ended {
                                Some(End::Failed(error)) => return Some(Err(error)),
                                Some(_) => match self.rest.take().or_else(|| fill.take_rest()) {
                                    Some(response) => Place::Response(Box::new(response)),
                                    None => return Some(Err(FetchError::ended_early())),
                                },
                                None if end.changed().await.is_err() => return Some(Err(FetchError::ended_early())),
                                None => continue,
                            }
                        }
                    }
                }
            };
            self.place = next_place;
        }
    }

    fn moved(&mut self, piece: Option<Result<Bytes, FetchError>>) -> Option<Result<Bytes, FetchError>> {
        if let Some(Ok(piece)) = &piece {
            self.position += piece.len();
        }
        piece
    }
}

fn slice(bytes: &Bytes, position: usize) -> Option<Bytes> {
    let to = bytes.len().min(position + PIECE_BYTES);
    (position < to).then(|| bytes.slice(position..to))
}

async fn stored_piece(body: &StoredBody, position: usize) -> Result<Option<Bytes>, FetchError> {
    match body {
        StoredBody::Whole(bytes) => Ok(slice(bytes, position)),
        StoredBody::File(file) if position as u64 >= file.len => Ok(None),
        StoredBody::File(file) => {
            let piece = Arc::clone(file).read(position as u64, PIECE_BYTES as u64).await;
            piece.map(Some).map_err(|error| FetchError::Broken { cause: error.to_string() })
        }
    }
}

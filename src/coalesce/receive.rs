//! Taking a body in, piece by piece, as far as memory was reserved for it: a length that was not announced grows its
//! reservation as it comes.

use std::sync::Arc;

use super::{
    budget::Reserved,
    fill::{End, Fill},
};
use crate::{
    image::why_original::WhyOriginal,
    origin::{error::FetchError, fetch::OriginResponse},
    request::key::SourceVersion,
};

/// What is reserved for a body whose length is not announced, to begin with; it is doubled as it comes.
pub const FIRST_BYTES: u64 = 256 * 1024;

/// How reading a body ended.
#[derive(Debug)]
pub enum Received {
    /// It is all there.
    Whole(SourceVersion),
    /// It is larger than what is held, or memory is short.
    NotHeld(WhyOriginal),
    /// It broke off.
    Failed(FetchError),
}

/// Ends a fill whose task dies before it could: nobody may wait for it for ever.
#[derive(Debug)]
pub struct EndedAnyhow<F, H>(pub Arc<Fill<F, H>>);

impl<F, H> Drop for EndedAnyhow<F, H> {
    fn drop(&mut self) {
        if !self.0.has_ended() {
            self.0.end(End::Failed(FetchError::ended_early()));
        }
    }
}

/// The bytes to reserve before a response is taken in.
#[must_use]
pub fn first_reservation(response: &OriginResponse, largest: u64) -> u64 {
    response.content_length().unwrap_or(FIRST_BYTES.min(largest))
}

/// Reads `response` into `fill`, at the most `largest` bytes, for which `reserved` grows as they come. What was read beyond what
/// can be held is given back to the response.
pub async fn receive<F, H>(
    fill: &Fill<F, H>,
    response: &mut OriginResponse,
    reserved: &mut Reserved,
    largest: u64,
) -> Received {
    let mut hasher = blake3::Hasher::new();
    let mut received: u64 = 0;
    let mut limit = first_reservation(response, largest);
    loop {
        let piece = match response.chunk().await {
            Ok(Some(piece)) => piece,
            Ok(None) => return Received::Whole(SourceVersion::from_hash(hasher.finalize())),
            Err(error) => return Received::Failed(error),
        };
        received += piece.len() as u64;
        if received > limit {
            // Only a length that was not announced can be passed: the transport holds the other to its word.
            let wanted = [limit * 2, limit + FIRST_BYTES].map(|len| len.max(received).min(largest));
            let grown = wanted.into_iter().find(|len| reserved.try_grow(*len));
            let why = if received > largest { WhyOriginal::TooLarge } else { WhyOriginal::Busy };
            let Some(grown) = grown.filter(|len| received <= *len) else {
                response.unread(vec![piece]);
                return Received::NotHeld(why);
            };
            limit = grown;
            fill.make_room(limit);
        }
        hasher.update(&piece);
        fill.push(&piece);
    }
}

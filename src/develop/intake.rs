//! Taking an original in: is it an image that may be kept, is there memory for it, and then its bytes, which visitors read
//! while they come.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    direct::DirectResponse,
    facts::{asked_at, facts_of},
    sources::{FetchCost, Obtained, SourceFill, SourceSpec, Sources, UrlKind, WholeSource},
};
use crate::{
    cache::{
        object::{SourceFacts, SourceHead},
        purge::Stamp,
    },
    coalesce::{
        budget::Reserved,
        fill::{End, Fill},
        flights::Landing,
        receive::{EndedAnyhow, Received, first_reservation, receive},
    },
    http::{
        storability::{Credentials, NotStorable, storable_image, varies_by_accept},
        vary,
    },
    image::{
        format::{InputFormat, SNIFF_BYTES},
        why_original::WhyOriginal,
    },
    origin::{error::FetchError, fetch::OriginResponse},
    request::key::{SourceVersion, body_key},
};

/// An original that may come in.
pub(super) struct Admitted {
    facts: SourceFacts,
    reserved: Reserved,
}

impl Sources {
    /// Decides whether a 200 is an image that may be kept, and reserves memory to take it in.
    ///
    /// # Errors
    /// Why it goes straight to the one who asked.
    pub(super) async fn sort(
        &self,
        spec: &SourceSpec,
        response: &OriginResponse,
        head: &[u8],
    ) -> Result<Admitted, WhyOriginal> {
        let input =
            InputFormat::sniff(head).filter(|_| !vary::is_encoded(&response.headers)).ok_or(WhyOriginal::NotImage)?;
        storable_image(&response.headers, Credentials::None).map_err(NotStorable::why_original)?;
        if spec.url_kind == UrlKind::Any && varies_by_accept(&response.headers) {
            return Err(WhyOriginal::Vary);
        }
        let needed = first_reservation(response, self.max_body_bytes);
        if needed > self.max_body_bytes {
            return Err(WhyOriginal::TooLarge);
        }
        let reserved = self.buffers.reserve(&spec.site, needed).await;
        let reserved = reserved.ok_or(WhyOriginal::Busy)?;
        let asked_at = asked_at(response, self.clock.now());
        Ok(Admitted { facts: facts_of(input, &response.headers, asked_at, &spec.lifetimes), reserved })
    }
}

/// Reads until the format can be told, or ruled out, and gives what was read back to the response.
///
/// # Errors
/// [`FetchError`]
pub async fn read_head(response: &mut OriginResponse) -> Result<Bytes, FetchError> {
    let mut pieces = Vec::new();
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    while head.len() < SNIFF_BYTES && InputFormat::may_begin(&head) {
        let Some(piece) = response.chunk().await? else { break };
        head.extend_from_slice(&piece[..piece.len().min(SNIFF_BYTES)]);
        pieces.push(piece);
    }
    response.unread(pieces);
    Ok(head.into())
}

/// One original coming in.
pub(super) struct Intake<'a> {
    pub(super) sources: &'a Sources,
    pub(super) spec: &'a SourceSpec,
    /// What was stored of it before.
    pub(super) known: Option<&'a Arc<SourceHead>>,
    /// What purges will know it by.
    pub(super) stamp: Stamp,
    pub(super) landing: Landing<Obtained>,
}

impl Intake<'_> {
    /// Takes it in; it is landed at once, to be read while it comes.
    pub(super) async fn run(mut self, mut response: OriginResponse, admitted: Admitted) {
        let Admitted { facts, mut reserved } = admitted;
        let cost = FetchCost { waited: response.waited };
        let fill: Arc<SourceFill> = Arc::new(Fill::begin(facts, response.content_length()));
        let _ended = EndedAnyhow(Arc::clone(&fill));
        self.landing.land(Obtained::Filling(Arc::clone(&fill), cost));
        match receive(&fill, &mut response, &mut reserved, self.sources.max_body_bytes).await {
            Received::Whole(version) => {
                // Its place among the requests to origins is free, however long the disk takes.
                drop(response);
                self.keep(&fill, version, reserved).await;
            }
            Received::NotHeld(why) => {
                if why == WhyOriginal::TooLarge {
                    self.sources.remember_not_kept(self.spec, self.stamp.birth, why);
                    self.sources.cache.remove(self.spec.key).await;
                }
                fill.overflow(response, reserved, why);
                self.landing.land(Obtained::Direct(DirectResponse::none(why)));
            }
            Received::Failed(error) => {
                fill.end(End::Failed(error.clone()));
                self.landing.land(self.sources.failed(self.spec, self.stamp.birth, self.known, error));
            }
        }
    }

    /// Shows it to all, then stores it, then lets go of its memory.
    async fn keep(self, fill: &Arc<SourceFill>, version: SourceVersion, mut reserved: Reserved) {
        let Self { sources, spec, known, stamp, landing } = self;
        reserved.shrink(fill.capacity());
        let bytes = fill.take_whole();
        let version = version.after(sources.cache.purges().last_hard(spec.name(), &stamp));
        // That the same content could not be developed is still true.
        let verdict = known.filter(|head| head.version == version).and_then(|head| head.verdict);
        let (facts, len) = (fill.facts.clone(), bytes.len() as u64);
        let head = Arc::new(SourceHead { facts, version, len, verdict, stamp, purged_at: None });
        let is_outdated = !landing.may_keep() || sources.is_outdated(spec, &head.stamp);
        if !is_outdated {
            sources.remembered.forget(spec.key);
            sources.cache.show_head(spec.key, Arc::clone(&head));
        }
        let whole = WholeSource { head: Arc::clone(&head), bytes: bytes.clone(), reserved: Arc::new(reserved) };
        fill.end(End::Whole(whole));
        if is_outdated {
            return;
        }
        // Who comes while it is written joins, unless he must validate it himself.
        let landing = Some(landing).filter(|_| head.freshness().is_fresh(sources.clock.now()));
        sources.cache.put_body(body_key(spec.key, version), spec.name().body_text(version), bytes).await;
        sources.cache.save_head(spec.key, spec.name().text(), Arc::clone(&head)).await;
        if landing.as_ref().is_some_and(|landing| !landing.may_keep()) {
            // It was changed while it was written.
            sources.cache.remove(spec.key).await;
            return;
        }
        if let Some(body) = sources.stored_body(spec, version).await {
            fill.end(End::Stored(head, body));
        }
    }
}

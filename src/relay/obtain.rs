//! Between the cache and the origin: a stored response while it may be used, else one fetch for all who want it.

use std::{sync::Arc, time::Duration};

use super::{
    Errand, Relay,
    fetch::Arrival,
    intake::RelayFill,
    lookup::{Found, Known},
};
use crate::{
    cache::{
        key::{CacheKey, KeyHasher},
        object::StoredBody,
        response::StoredResponse,
    },
    coalesce::{
        flights::{Joined, Waiting},
        handoff::Handoff,
    },
    http::storability::Credentials,
    image::why_original::WhyOriginal,
    origin::{error::FetchError, fetch::OriginResponse},
};

/// How often one asks anew: after one who led was lost, or where what he brought is not for all.
const ATTEMPTS: usize = 3;

/// What came of an errand.
#[derive(Debug)]
pub enum Relayed {
    /// A response out of the cache, and its body.
    Stored(Arc<StoredResponse>, StoredBody, How),
    /// A response on its way in.
    Filling(Arc<RelayFill>, Forwarded),
    /// The response is an image: whoever takes it has it, but it is better developed.
    Image(Handoff<OriginResponse>),
    /// The response is for one taker. Where it is an image, why it is not developed.
    Direct(Handoff<OriginResponse>, Forwarded, Option<WhyOriginal>),
    /// Everybody asks for himself.
    Alone,
    /// It is not in the cache, and the client wants it from nowhere else (RFC 9111, 5.2.1.7).
    NotCached,
    /// The origin gave nothing, and nothing may stand in.
    Failed(FetchError),
}

/// How a stored response came to be the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It was fresh.
    Fresh,
    /// It is stale, and is being validated while it is used (RFC 5861, 3).
    WhileRevalidating,
    /// The origin said that it still holds.
    Validated(Forwarded),
    /// The origin failed (RFC 5861, 4).
    InsteadOfError,
}

/// What is told of a request that was forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarded {
    /// From asking to the response's head.
    pub waited: Duration,
    /// Whether somebody else's fetch was waited for.
    pub collapsed: bool,
    /// Why it was forwarded.
    pub because: Because,
}

/// Why a request was forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Nothing is stored under the URL.
    UriMiss,
    /// What is stored was selected by other fields.
    VaryMiss,
    /// What is stored is stale.
    Stale,
}

impl Relay {
    /// Gets hold of a response. At most one fetch is begun for all who ask at once.
    pub async fn obtain(self: &Arc<Self>, errand: &Errand) -> Relayed {
        let mut collapsed = false;
        for _ in 0..ATTEMPTS {
            let now = self.clock.now();
            let found = self.find(errand).await;
            let (flight, known, because) = match found {
                Found::Untold => return Relayed::Alone,
                Found::Nothing { flight, varies } => {
                    (flight, None, if varies { Because::VaryMiss } else { Because::UriMiss })
                }
                Found::Response(known) => {
                    if known.response.head.freshness.is_fresh(now) {
                        if let Some(stored) = self.stored(errand, &known, How::Fresh).await {
                            return stored;
                        }
                        self.lose(&known).await;
                        continue;
                    }
                    // In his own name nobody has something validated for all.
                    if errand.credentials != Credentials::Authorization
                        && known.response.head.freshness.may_serve_while_revalidating(now)
                        && let Some(stored) = self.stored(errand, &known, How::WhileRevalidating).await
                    {
                        self.revalidate(errand, known);
                        return stored;
                    }
                    (known.place.key, Some(known), Because::Stale)
                }
            };
            if errand.directives.only_if_cached {
                return Relayed::NotCached;
            }
            if errand.directives.no_store || known.is_none() && errand.asks_for_less() {
                return Relayed::Alone;
            }
            let waiting = match self.begin(errand, self.flight_of(errand, flight), known.as_ref()) {
                Begun::Waiting(waiting) => waiting,
                Begun::Alone => return Relayed::Alone,
            };
            collapsed |= waiting.collapsed;
            let is_own = !waiting.collapsed;
            match waiting.result().await {
                // Who led was lost: somebody takes over.
                None => {}
                Some(arrival) => {
                    if let Some(relayed) = self.relayed(errand, arrival, is_own, collapsed, because).await {
                        return relayed;
                    }
                }
            }
        }
        Relayed::Alone
    }

    /// Gets hold of what a HEAD asks for, if it is stored: HEAD is forwarded as such, and nothing is stored of its answer.
    pub async fn obtain_head(self: &Arc<Self>, errand: &Errand) -> Relayed {
        if let Found::Response(known) = self.find(errand).await
            && known.response.head.freshness.is_fresh(self.clock.now())
            && let Some(stored) = self.stored(errand, &known, How::Fresh).await
        {
            return stored;
        }
        if errand.directives.only_if_cached { Relayed::NotCached } else { Relayed::Alone }
    }

    /// Makes something of what came; `None` where it is not for this request, and there may be another by now.
    async fn relayed(
        &self,
        errand: &Errand,
        arrival: Arrival,
        is_own: bool,
        collapsed: bool,
        because: Because,
    ) -> Option<Relayed> {
        let forwarded = |waited| Forwarded { waited, collapsed, because };
        match arrival {
            Arrival::Filling(fill, waited) => {
                let may_have_it = !fill.has_ended() || fill.facts.freshness.is_fresh(self.clock.now());
                (is_own || may_have_it && fill.facts.is_for(errand)).then(|| Relayed::Filling(fill, forwarded(waited)))
            }
            Arrival::Validated(known, waited) => {
                let is_for = is_own || self.is_for(errand, &known).await;
                if !is_for {
                    return None;
                }
                self.stored(errand, &known, How::Validated(forwarded(waited))).await
            }
            Arrival::Failed(error, standing_in) => Some(match standing_in {
                Some(known) => match self.stored(errand, &known, How::InsteadOfError).await {
                    Some(stored) => stored,
                    None => Relayed::Failed(error),
                },
                None => Relayed::Failed(error),
            }),
            Arrival::Image(response) => Some(Relayed::Image(response)),
            Arrival::Apart(response, waited, why) => Some(Relayed::Direct(response, forwarded(waited), why)),
        }
    }

    /// Whether a response is the one that is selected by what `errand` says.
    async fn is_for(&self, errand: &Errand, known: &Known) -> bool {
        matches!(self.find(errand).await, Found::Response(found) if found.place.key == known.place.key)
    }

    async fn stored(&self, errand: &Errand, known: &Known, how: How) -> Option<Relayed> {
        let body = self.body(errand, &known.response).await?;
        Some(Relayed::Stored(Arc::clone(&known.response), body, how))
    }

    /// Forgets a response whose body is gone.
    async fn lose(&self, known: &Known) {
        self.cache.remove(known.place.key).await;
    }

    /// What is known by credentials may be answered in another way: nobody else waits for it.
    fn flight_of(&self, errand: &Errand, shared: CacheKey) -> CacheKey {
        match errand.credentials {
            Credentials::Authorization => {
                KeyHasher::new().text("own").bytes(&self.next_number().to_le_bytes()).finish()
            }
            // Who comes after a purge does not join what was begun before it.
            Credentials::None | Credentials::Cookie => self.cache.purges().key_of_work(errand.purge_name(), shared),
        }
    }

    /// Has a stale response validated, once, while it is used.
    fn revalidate(self: &Arc<Self>, errand: &Errand, known: Known) {
        let flight = self.flight_of(errand, known.place.key);
        // Where somebody is at it, or it failed a moment ago, nothing is to be done.
        let _ = self.begin(errand, flight, Some(&known));
    }

    fn begin(self: &Arc<Self>, errand: &Errand, flight: CacheKey, known: Option<&Known>) -> Begun {
        match self.flights.join(flight, self.clock.now()) {
            Joined::UnderWay(waiting) | Joined::Resting(Some(waiting)) => Begun::Waiting(waiting),
            Joined::Apart | Joined::Resting(None) => Begun::Alone,
            Joined::First(landing, waiting) => {
                let relay = Arc::clone(self);
                let (errand, known) = (errand.clone(), known.cloned());
                tokio::spawn(async move { relay.bring(&errand, known, landing).await });
                Begun::Waiting(waiting)
            }
        }
    }
}

enum Begun {
    Waiting(Waiting<Arrival>),
    Alone,
}

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
    http::{request_directives::RequestDirectives, storability::Credentials},
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
                Found::Untold if errand.directives.only_if_cached => return Relayed::NotCached,
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
                        self.revalidate(errand, &known);
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
            let way = (collapsed, because);
            let relayed = match (waiting.collapsed, waiting.result().await) {
                // Who led was lost: somebody takes over.
                (_, None) => None,
                (false, Some(arrival)) => self.own(errand, arrival, known, way).await,
                (true, Some(arrival)) => self.shared(errand, arrival, known, way).await,
            };
            if let Some(relayed) = relayed {
                return relayed;
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

    /// What came for the one who led; `None` where it has been lost again.
    async fn own(
        &self,
        errand: &Errand,
        arrival: Arrival,
        known: Option<Known>,
        (collapsed, because): (bool, Because),
    ) -> Option<Relayed> {
        let forwarded = |waited| Forwarded { waited, collapsed, because };
        match arrival {
            Arrival::Found(known) => self.stored(errand, &known, How::Fresh).await,
            Arrival::Filling(fill, waited) => Some(Relayed::Filling(fill, forwarded(waited))),
            Arrival::Validated(known, waited) => {
                let stored = self.stored(errand, &known, How::Validated(forwarded(waited))).await;
                if stored.is_none() {
                    self.lose(&known).await;
                }
                stored
            }
            Arrival::Failed(error) => Some(self.instead_of(error, errand, known).await),
            Arrival::Image(response) => Some(Relayed::Image(response)),
            Arrival::Apart(response, waited, why) => Some(Relayed::Direct(response, forwarded(waited), why)),
        }
    }

    /// What came for those who waited. Only what may be used for all without asking again is theirs (RFC 9111, 4): what came
    /// was asked for in the leader's name. `None` where there may be another by now.
    async fn shared(
        &self,
        errand: &Errand,
        arrival: Arrival,
        known: Option<Known>,
        way: (bool, Because),
    ) -> Option<Relayed> {
        let now = self.clock.now();
        match arrival {
            // It is for who led; the others look for themselves.
            Arrival::Found(_) => None,
            Arrival::Filling(ref fill, _) => {
                if !fill.facts.freshness.is_fresh(now) {
                    return Some(Relayed::Alone);
                }
                if !fill.facts.is_for(errand) {
                    return None;
                }
                if fill.is_the_leaders().await {
                    return Some(Relayed::Alone);
                }
                self.own(errand, arrival, known, way).await
            }
            Arrival::Validated(ref validated, _) => {
                if !validated.response.head.freshness.is_fresh(now) {
                    return Some(Relayed::Alone);
                }
                if !self.is_for(errand, validated).await {
                    return None;
                }
                self.own(errand, arrival, known, way).await
            }
            Arrival::Failed(error) => Some(self.instead_of(error, errand, known).await),
            Arrival::Image(_) => Some(Relayed::Image(Handoff::default())),
            Arrival::Apart(..) => Some(Relayed::Alone),
        }
    }

    /// What is stored, if it may be used although the origin gave no answer (RFC 9111, 4.2.4; RFC 5861, 4).
    async fn instead_of(&self, error: FetchError, errand: &Errand, known: Option<Known>) -> Relayed {
        let Some(known) = known else { return Relayed::Failed(error) };
        let freshness = known.response.head.freshness;
        if freshness.may_stand_in(self.clock.now())
            && let Some(stored) = self.stored(errand, &known, How::InsteadOfError).await
        {
            return stored;
        }
        Relayed::Failed(if freshness.must_revalidate { error.while_validating() } else { error })
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
    pub(super) fn flight_of(&self, errand: &Errand, shared: CacheKey) -> CacheKey {
        match errand.credentials {
            Credentials::Authorization => {
                KeyHasher::new().text("own").bytes(&self.changes.draw().to_le_bytes()).finish()
            }
            // Who comes after a purge or a change does not join what was begun before it.
            Credentials::None | Credentials::Cookie => {
                let work = self.cache.purges().key_of_work(errand.purge_name(), shared);
                self.changes.key_of_work(errand.key, work)
            }
        }
    }

    /// Has a stale response validated, once, while it is used.
    fn revalidate(self: &Arc<Self>, errand: &Errand, known: &Known) {
        let flight = self.flight_of(errand, known.place.key);
        // It is done for all, whatever this visitor asks of caches.
        let errand = Errand { directives: RequestDirectives::default(), ..errand.clone() };
        // Where somebody is at it, or it failed a moment ago, nothing is to be done.
        let _ = self.begin(&errand, flight, Some(known));
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

//! Originals: from the cache while they are fresh, else from the origin, once for all who want one at the same time. What
//! may not be kept is handed straight to the one who asked; what failed is remembered for a moment.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use url::Url;

use super::{
    direct::DirectResponse,
    facts::{asked_at, freshened, validators_of},
    intake::{Intake, read_head},
    remembered::{Absent, Recalled, Remembered, read_absent},
};
use crate::{
    cache::{
        key::CacheKey,
        object::{SourceFacts, SourceHead, StoredBody},
        purge::{Generation, Stamp, Standing},
        tiers::Cache,
    },
    clock::Clock,
    coalesce::{
        budget::{Budget, Reserved},
        fill::{End, Fill, Whole},
        flights::{Flights, Joined, Landing},
    },
    http::{
        freshness::Lifetimes,
        storability::{Credentials, storable_image},
        time::UnixSeconds,
    },
    image::why_original::WhyOriginal,
    origin::{
        error::FetchError,
        fetch::{OriginResponse, OriginRules, Origins},
    },
    request::key::{SourceName, SourceVersion, body_key},
};

/// How often somebody takes over from one who was lost over a fetch.
const HANDOVERS: usize = 1;

/// Which original is wanted, of which site.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// The site's id.
    pub site: Arc<str>,
    /// What the site's entries are named after.
    pub scope: Arc<str>,
    /// What names it within the site.
    pub source: Arc<str>,
    /// The key of both.
    pub key: CacheKey,
    /// Where it is asked for.
    pub url: Url,
    /// What its URL stands for.
    pub url_kind: UrlKind,
    /// What may be reached.
    pub rules: Arc<OriginRules>,
    /// What the site says of lifetimes.
    pub lifetimes: Lifetimes,
}

/// What a URL stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlKind {
    /// An image: it is only ever asked for as one.
    Image,
    /// Anything: an origin that looks at `Accept` may answer with a page the next time.
    Any,
}

impl SourceSpec {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> SourceName<'_> {
        SourceName { scope: &self.scope, source: &self.source }
    }
}

/// An original on its way in.
pub type SourceFill = Fill<SourceFacts, SourceHead>;

/// An original that is all there, in memory.
pub type WholeSource = Whole<SourceHead>;

impl SourceFill {
    /// Waits for the end, and says which content it is; `None` where it did not come whole.
    pub async fn version(&self) -> Option<SourceVersion> {
        match self.ended().await {
            End::Whole(Whole { head, .. }) | End::Stored(head, _) => Some(head.version),
            End::NotHeld(_) | End::Failed(_) => None,
        }
    }
}

/// What came of asking for an original.
#[derive(Debug, Clone)]
pub enum Obtained {
    /// The cache has it.
    Stored(StoredSource),
    /// It is on its way in.
    Filling(Arc<SourceFill>, FetchCost),
    /// It is not there (404 or 410).
    Absent(Arc<Absent>),
    /// It may not be kept: the response is for one taker; who comes second asks for himself.
    Direct(DirectResponse),
    /// The origin gave nothing, and nothing stored may stand in.
    Failed(FetchError),
}

/// An original in the cache.
#[derive(Debug, Clone)]
pub struct StoredSource {
    /// What is known of it.
    pub head: Arc<SourceHead>,
    /// The origin failed, and this stands in for its answer although it is stale.
    pub standing_in: Option<FetchError>,
    /// What asking the origin cost, if it was asked.
    pub cost: FetchCost,
}

/// What a fetch cost the one who waited for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct FetchCost {
    /// From asking to the response's head; zero where the origin was not asked.
    pub waited: Duration,
}

/// The originals of all sites.
#[derive(Debug)]
pub struct Sources {
    pub(super) cache: Arc<Cache>,
    pub(super) buffers: Budget,
    pub(super) max_body_bytes: u64,
    pub(super) remembered: Remembered,
    pub(super) clock: Clock,
    origins: Arc<Origins>,
    flights: Arc<Flights<Obtained>>,
    too_large_ttl: Duration,
}

impl Sources {
    /// Originals fetched through `origins` and kept in `cache`; those on their way in take at most `buffer_bytes` together.
    /// That one is too large is remembered for `too_large_ttl`.
    #[must_use]
    pub fn new(
        cache: Arc<Cache>,
        origins: Arc<Origins>,
        buffer_bytes: u64,
        too_large_ttl: Duration,
        clock: Clock,
    ) -> Self {
        let buffers = Budget::new(buffer_bytes);
        let max_body_bytes = origins.limits().max_body_bytes.0.min(buffers.largest());
        Self {
            cache,
            buffers,
            max_body_bytes,
            remembered: Remembered::new(),
            clock,
            origins,
            flights: Arc::default(),
            too_large_ttl,
        }
    }

    /// Gets hold of an original: fresh from the cache, or from the origin. Begins at most one fetch for all who ask at once,
    /// and another one for those who ask after a purge. Says too whether somebody else had begun it.
    pub async fn obtain(self: &Arc<Self>, spec: &SourceSpec) -> (Option<Obtained>, bool) {
        let mut collapsed = false;
        for _ in 0..=HANDOVERS {
            let key = self.cache.purges().key_of_work(spec.name(), spec.key);
            let waiting = match self.flights.join(key, self.clock.now()) {
                Joined::UnderWay(waiting) => waiting,
                Joined::First(landing, waiting) => {
                    let sources = Arc::clone(self);
                    let spec = spec.clone();
                    tokio::spawn(async move { sources.bring(&spec, landing).await });
                    waiting
                }
                Joined::Apart | Joined::Resting(_) => break,
            };
            collapsed |= waiting.collapsed;
            if let Some(obtained) = waiting.result().await {
                return (Some(obtained), collapsed);
            }
        }
        (None, collapsed)
    }

    /// Has an original that is used stale validated meanwhile (RFC 5861, 3), unless somebody is at it. Nobody waits for it.
    pub fn revalidate(self: &Arc<Self>, spec: SourceSpec) {
        let key = self.cache.purges().key_of_work(spec.name(), spec.key);
        if let Joined::First(landing, _) = self.flights.join(key, self.clock.now()) {
            let sources = Arc::clone(self);
            tokio::spawn(async move { sources.bring(&spec, landing).await });
        }
    }

    /// A stored original's bytes.
    pub async fn stored_body(&self, spec: &SourceSpec, version: SourceVersion) -> Option<StoredBody> {
        self.cache.body(body_key(spec.key, version), || spec.name().body_text(version)).await
    }

    /// What is stored, to stand in for an answer that broke off (RFC 9111, 4.2.4).
    pub async fn stand_in_for(&self, spec: &SourceSpec, error: FetchError) -> Obtained {
        let known = self.cache.head(spec.key, spec.name()).await;
        self.stand_in(known.filter(|head| self.has_body(spec, head)).as_ref(), error)
    }

    /// Forgets a source, so that it is fetched anew.
    pub async fn forget(&self, spec: &SourceSpec) {
        self.cache.remove(spec.key).await;
    }

    /// Forgets a source that was changed, and what is remembered of it; what is on its way is not kept.
    pub async fn invalidate(&self, name: SourceName<'_>) {
        let key = name.key();
        self.flights.purge(self.cache.purges().key_of_work(name, key));
        self.remembered.forget(key);
        self.cache.remove(key).await;
    }

    /// Reserves memory for a site's stored original that is read for a codec.
    #[must_use]
    pub fn try_reserve(&self, site: &Arc<str>, bytes: u64) -> Option<Reserved> {
        self.buffers.try_reserve(site, bytes)
    }

    /// Bytes of originals on their way in.
    #[must_use]
    pub fn buffers_in_use(&self) -> u64 {
        self.buffers.in_use()
    }

    /// Whether nothing is on its way in or being stored.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.flights.is_empty()
    }

    /// The one fetch. The landing is dropped when all is stored, so that who comes later finds it in the cache.
    async fn bring(&self, spec: &SourceSpec, mut landing: Landing<Obtained>) {
        let now = self.clock.now();
        // Before anything is looked at: what a purge comes over from here on must not be kept as if it came after.
        let birth = self.cache.purges().now();
        let known = self.cache.head(spec.key, spec.name()).await.filter(|head| self.has_body(spec, head));
        if let Some(head) = &known
            && head.freshness().is_fresh(now)
        {
            landing.land(stored(head, None, FetchCost::default()));
            return;
        }
        match self.remembered.recall(spec.key, self.cache.purges().last(spec.name()), now) {
            Some(Recalled::Answer(answer)) => landing.land(answer),
            Some(Recalled::Failed(error)) => landing.land(self.stand_in(known.as_ref(), error)),
            None => self.ask_origin(spec, birth, known, landing).await,
        }
    }

    async fn ask_origin(
        &self,
        spec: &SourceSpec,
        birth: Generation,
        known: Option<Arc<SourceHead>>,
        mut landing: Landing<Obtained>,
    ) {
        let validators = known.as_deref().map(validators_of).unwrap_or_default();
        let response = match self.origins.fetch_image(&spec.rules, spec.url.clone(), &validators).await {
            Ok(response) => response,
            Err(error) => return landing.land(self.failed(spec, birth, known.as_ref(), error)),
        };
        let now = self.clock.now();
        match (response.status, known) {
            (StatusCode::NOT_MODIFIED, Some(head)) => {
                let head =
                    Arc::new(freshened(&head, birth, &response.headers, asked_at(&response, now), &spec.lifetimes));
                let may_be_kept = storable_image(&response.headers, Credentials::None).is_ok();
                let is_outdated = !may_be_kept || !landing.may_keep() || self.is_outdated(spec, &head.stamp);
                if !may_be_kept {
                    self.cache.remove(spec.key).await;
                }
                if !is_outdated {
                    self.cache.show_head(spec.key, Arc::clone(&head));
                }
                landing.land(stored(&head, None, FetchCost { waited: response.waited }));
                if is_outdated {
                    return;
                }
                // Who comes while it is written asks for himself: the answer may be one that each must validate.
                drop(landing);
                if self.cache.hot_head(spec.key).is_some() {
                    self.cache.save_head(spec.key, spec.name().text(), head).await;
                }
            }
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
                self.cache.remove(spec.key).await;
                landing.land(self.absent(spec, birth, response, now).await);
            }
            (StatusCode::OK, known) => self.take_in(spec, birth, response, known, landing).await,
            (status, _) => {
                let why = if status.is_redirection() { WhyOriginal::Redirect } else { WhyOriginal::Status };
                if !is_passing(status) {
                    self.not_kept(spec, birth, why).await;
                }
                landing.land(Obtained::Direct(DirectResponse::new(response, why)));
            }
        }
    }

    async fn take_in(
        &self,
        spec: &SourceSpec,
        birth: Generation,
        mut response: OriginResponse,
        known: Option<Arc<SourceHead>>,
        mut landing: Landing<Obtained>,
    ) {
        let head = match read_head(&mut response).await {
            Ok(head) => head,
            Err(error) => return landing.land(self.failed(spec, birth, known.as_ref(), error)),
        };
        match self.sort(spec, &response, &head).await {
            Ok(admitted) => {
                let stamp = Stamp::of(birth, &response.headers);
                let intake = Intake { sources: self, spec, known: known.as_ref(), stamp, landing };
                intake.run(response, admitted).await;
            }
            Err(why) => {
                // What is stored is not what the URL gives any more, unless only memory was lacking.
                if why != WhyOriginal::Busy {
                    self.not_kept(spec, birth, why).await;
                }
                landing.land(Obtained::Direct(DirectResponse::new(response, why)));
            }
        }
    }

    /// Remembers a failure for a moment; a stale original stands in where it may (RFC 9111, 4.2.4).
    pub(super) fn failed(
        &self,
        spec: &SourceSpec,
        birth: Generation,
        known: Option<&Arc<SourceHead>>,
        error: FetchError,
    ) -> Obtained {
        tracing::warn!(site = &*spec.site, url = %spec.url, %error, "an origin gave no answer");
        // A busy edge is not the origin's failure.
        let rest = self.origins.limits().failure_ttl.0;
        if error != FetchError::Busy && !rest.is_zero() {
            self.remembered.failed(spec.key, birth, error.clone(), self.clock.now(), rest);
        }
        self.stand_in(known, error)
    }

    /// What is stored, if it may be used although the origin gave no answer (RFC 9111, 4.2.4; RFC 5861, 4).
    fn stand_in(&self, known: Option<&Arc<SourceHead>>, error: FetchError) -> Obtained {
        let now = self.clock.now();
        let Some(head) = known else { return Obtained::Failed(error) };
        let freshness = head.freshness();
        if freshness.is_fresh(now) || freshness.may_stand_in(now) {
            return stored(&head.as_purged(), Some(error), FetchCost::default());
        }
        Obtained::Failed(if freshness.must_revalidate { error.while_validating() } else { error })
    }

    /// The largest original that can come in.
    #[must_use]
    pub const fn max_body_bytes(&self) -> u64 {
        self.max_body_bytes
    }

    /// What the URL gives is not kept: what was stored of it does not stand in any more. Where the visitor's own answer
    /// showed an image, it is not asked for again in the cache's name for a moment.
    async fn not_kept(&self, spec: &SourceSpec, birth: Generation, why: WhyOriginal) {
        self.cache.remove(spec.key).await;
        // What each visitor gets for himself is asked for by all at once: nobody waits for an answer that is another's.
        let is_each_visitors = matches!(why, WhyOriginal::Private | WhyOriginal::NoStore | WhyOriginal::Vary);
        if spec.url_kind == UrlKind::Any || is_each_visitors {
            self.remember_not_kept(spec, birth, why);
        }
    }

    /// Remembers that an original is not kept.
    pub(super) fn remember_not_kept(&self, spec: &SourceSpec, birth: Generation, why: WhyOriginal) {
        let ttl = if why == WhyOriginal::TooLarge { self.too_large_ttl } else { self.origins.limits().not_found_ttl.0 };
        self.remembered.not_kept(spec.key, birth, why, self.clock.now().plus(ttl));
    }

    async fn absent(
        &self,
        spec: &SourceSpec,
        birth: Generation,
        response: OriginResponse,
        now: UnixSeconds,
    ) -> Obtained {
        let (absent, rest) = read_absent(response, now, self.origins.limits().not_found_ttl.0).await;
        let absent = Arc::new(absent);
        self.remembered.absent(spec.key, birth, &absent);
        match rest {
            Some(response) => Obtained::Direct(DirectResponse::new(response, WhyOriginal::Status)),
            None => Obtained::Absent(absent),
        }
    }

    /// Whether what came from the origin must not be stored: it was purged meanwhile, or somebody who asked after another
    /// purge has been quicker.
    pub(super) fn is_outdated(&self, spec: &SourceSpec, stamp: &Stamp) -> bool {
        self.cache.purges().standing(spec.name(), stamp) == Standing::Gone
            || self.cache.hot_head(spec.key).is_some_and(|head| stamp.birth < head.stamp.birth)
    }

    fn has_body(&self, spec: &SourceSpec, head: &SourceHead) -> bool {
        !self.cache.rules_out(body_key(spec.key, head.version))
    }
}

/// Whether a status says nothing about the original itself.
const fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429)
}

fn stored(head: &Arc<SourceHead>, standing_in: Option<FetchError>, cost: FetchCost) -> Obtained {
    Obtained::Stored(StoredSource { head: Arc::clone(head), standing_in, cost })
}

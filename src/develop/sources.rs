//! Originals: from the cache while they are fresh, else from the origin, once for all who want one at the same time. What
//! may not be kept is handed straight to the one who asked; what failed is remembered for a moment.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, LAST_MODIFIED},
};
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use super::{
    direct::DirectResponse,
    fill::{Fill, WholeSource},
    flights::{Flights, Joined, Landing, Waiting},
    pool::Budget,
};
use crate::{
    cache::{
        key::CacheKey,
        object::{SourceFacts, SourceHead, StoredBody},
        tiers::Cache,
    },
    http::{
        cache_control::CacheControl,
        freshness::{Credentials, Freshness, NotStorable, storable},
        time::UnixSeconds,
    },
    image::{
        format::{InputFormat, SNIFF_BYTES},
        why_original::WhyOriginal,
    },
    origin::{
        error::FetchError,
        fetch::{OriginResponse, OriginRules, Origins, Validators},
    },
    request::key::{SourceName, SourceVersion, body_key},
};

/// The largest body kept with a remembered 404.
const ABSENT_BODY_BYTES: usize = 16 * 1024;

/// How many failures and absences are remembered.
const REMEMBERED_ANSWERS: u64 = 10_000;

/// The longest that an absence is remembered, whatever the origin says.
const MAX_ABSENT_TTL: Duration = Duration::from_secs(300);

/// Which original is wanted, of which site.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// The site's id.
    pub site: Arc<str>,
    /// What names it within the site.
    pub source: Arc<str>,
    /// The key of both.
    pub key: CacheKey,
    /// Where it is asked for.
    pub url: Url,
    /// What may be reached.
    pub rules: Arc<OriginRules>,
    /// Freshness where the origin says nothing.
    pub default_ttl: Duration,
}

impl SourceSpec {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> SourceName<'_> {
        SourceName { site: &self.site, source: &self.source }
    }
}

/// What came of asking for an original.
#[derive(Debug, Clone)]
pub enum Obtained {
    /// The cache has it.
    Stored(StoredSource),
    /// It is on its way in.
    Filling(Arc<Fill>, FetchCost),
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

/// A remembered 404 or 410.
#[derive(Debug)]
pub struct Absent {
    /// The status.
    pub status: StatusCode,
    /// Its `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// Its body.
    pub body: Bytes,
    until: UnixSeconds,
}

#[derive(Debug, Clone)]
enum Remembered {
    Absent(Arc<Absent>),
    Failed { error: FetchError, until: UnixSeconds },
}

/// The originals of all sites.
#[derive(Debug)]
pub struct Sources {
    cache: Arc<Cache>,
    origins: Arc<Origins>,
    flights: Arc<Flights<Obtained>>,
    remembered: moka::sync::Cache<CacheKey, Remembered>,
    buffers: Budget,
    max_body_bytes: u64,
}

/// What a response that could be an original turns out to be.
enum Sorted {
    Image(SourceFacts, u64, OwnedSemaphorePermit),
    Not(WhyOriginal),
}

impl Sources {
    /// Originals fetched through `origins` and kept in `cache`; those on their way in take at most `buffer_bytes` together.
    #[must_use]
    pub fn new(cache: Arc<Cache>, origins: Arc<Origins>, buffer_bytes: u64) -> Self {
        let max_body_bytes = origins.limits().max_body_bytes.0.min(buffer_bytes);
        Self {
            cache,
            origins,
            flights: Arc::default(),
            remembered: moka::sync::Cache::new(REMEMBERED_ANSWERS),
            buffers: Budget::new(buffer_bytes),
            max_body_bytes,
        }
    }

    /// Gets hold of an original: fresh from the cache, or from the origin. Begins at most one fetch for all who ask at once.
    pub async fn obtain(self: &Arc<Self>, spec: &SourceSpec) -> (Option<Obtained>, bool) {
        let waiting = match self.flights.join(spec.key) {
            Joined::UnderWay(waiting) => waiting,
            Joined::First(landing, waiting) => {
                let sources = Arc::clone(self);
                let spec = spec.clone();
                tokio::spawn(async move { sources.bring(&spec, landing).await });
                waiting
            }
        };
        let collapsed = waiting.collapsed;
        (waiting.result().await, collapsed)
    }

    /// Takes in a response that somebody got from the origin for himself and that begins like an image. `Err` gives the
    /// response back with the reason that it is not kept; `Ok` is the original, perhaps brought by another meanwhile.
    ///
    /// # Errors
    /// The response itself, unread but for what [`OriginResponse`] has been given back.
    pub fn adopt(
        self: &Arc<Self>,
        spec: &SourceSpec,
        response: OriginResponse,
        head: &[u8],
        credentials: Credentials,
    ) -> Result<Waiting<Obtained>, (Box<OriginResponse>, WhyOriginal)> {
        let (facts, len, reserved) = match self.sort(spec, &response, head, credentials) {
            Sorted::Image(facts, len, reserved) => (facts, len, reserved),
            Sorted::Not(why) => return Err((Box::new(response), why)),
        };
        match self.flights.join(spec.key) {
            Joined::UnderWay(waiting) => Ok(waiting),
            Joined::First(landing, waiting) => {
                let sources = Arc::clone(self);
                let spec = spec.clone();
                tokio::spawn(async move { sources.fill(&spec, response, (facts, len, reserved), &landing).await });
                Ok(waiting)
            }
        }
    }

    /// A stored original's bytes.
    pub async fn stored_body(&self, spec: &SourceSpec, version: SourceVersion) -> Option<StoredBody> {
        self.cache.body(body_key(spec.key, version), || spec.name().body_text(version)).await
    }

    /// Forgets a source, so that it is fetched anew.
    pub async fn forget(&self, spec: &SourceSpec) {
        self.cache.remove(spec.key).await;
    }

    /// Reserves memory for a stored original that is read for a codec.
    #[must_use]
    pub fn try_reserve(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        self.buffers.try_reserve(bytes)
    }

    /// Bytes of originals on their way in.
    #[must_use]
    pub fn buffers_in_use(&self) -> u64 {
        self.buffers.in_use()
    }

    /// The one fetch. The landing is dropped when all is stored, so that who comes later finds it in the cache.
    async fn bring(self: &Arc<Self>, spec: &SourceSpec, landing: Landing<Obtained>) {
        let now = UnixSeconds::now();
        let known = self.cache.head(spec.key, || spec.name().text()).await;
        if let Some(head) = &known
            && head.facts.freshness.is_fresh(now)
            && self.has_body(spec, head)
        {
            landing.land(stored(head, None, FetchCost::default()));
            return;
        }
        if let Some(answer) = self.remembered_answer(spec, known.as_ref(), now) {
            landing.land(answer);
            return;
        }
        let validators = known.as_ref().filter(|head| self.has_body(spec, head)).map(validators_of).unwrap_or_default();
        let response = match self.origins.fetch_image(&spec.rules, spec.url.clone(), &validators).await {
            Ok(response) => response,
            Err(error) => {
                landing.land(self.failed(spec, known.as_ref(), error));
                return;
            }
        };
        self.take_response(spec, response, known, &landing).await;
    }

    async fn take_response(
        self: &Arc<Self>,
        spec: &SourceSpec,
        mut response: OriginResponse,
        known: Option<Arc<SourceHead>>,
        landing: &Landing<Obtained>,
    ) {
        let now = UnixSeconds::now();
        match (response.status, known) {
            (StatusCode::NOT_MODIFIED, Some(head)) => {
                let head = Arc::new(freshened(&head, &response.headers, now, spec.default_ttl));
                let cost = FetchCost { waited: response.waited };
                landing.land(stored(&head, None, cost));
                self.cache.put_head(spec.key, spec.name().text(), head).await;
            }
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
                let answer = self.absent(spec, response, now).await;
                landing.land(answer);
                self.cache.remove(spec.key).await;
            }
            (StatusCode::OK, known) => {
                let head = match read_head(&mut response).await {
                    Ok(head) => head,
                    Err(error) => {
                        landing.land(self.failed(spec, known.as_ref(), error));
                        return;
                    }
                };
                match self.sort(spec, &response, &head, Credentials::None) {
                    Sorted::Image(facts, len, reserved) => {
                        self.fill(spec, response, (facts, len, reserved), landing).await;
                    }
                    Sorted::Not(why) => landing.land(Obtained::Direct(DirectResponse::new(response, why))),
                }
            }
            (status, _) => {
                let why = if status.is_redirection() { WhyOriginal::Redirect } else { WhyOriginal::Status };
                landing.land(Obtained::Direct(DirectResponse::new(response, why)));
            }
        }
    }

    /// Decides whether a 200 is an image that may be kept, and reserves the memory to take it in.
    fn sort(&self, spec: &SourceSpec, response: &OriginResponse, head: &[u8], credentials: Credentials) -> Sorted {
        let Some(input) = InputFormat::sniff(head).filter(|_| !is_encoded(&response.headers)) else {
            return Sorted::Not(WhyOriginal::NotImage);
        };
        if let Err(refused) = storable(&response.headers, credentials) {
            return Sorted::Not(match refused {
                NotStorable::NoStore => WhyOriginal::NoStore,
                NotStorable::Private => WhyOriginal::Private,
                NotStorable::Vary => WhyOriginal::Vary,
            });
        }
        // A length that is not announced is bounded by the largest body there may be.
        let len = response.content_length().unwrap_or(self.max_body_bytes);
        if len > self.max_body_bytes {
            return Sorted::Not(WhyOriginal::TooLarge);
        }
        let Some(reserved) = self.buffers.try_reserve(len) else { return Sorted::Not(WhyOriginal::Busy) };
        Sorted::Image(facts_of(input, &response.headers, UnixSeconds::now(), spec.default_ttl), len, reserved)
    }

    /// Takes an original in. One whose length was announced is landed at once, to be read while it comes; else it is landed
    /// when it is all there, because until then it may prove too large to keep.
    async fn fill(
        self: &Arc<Self>,
        spec: &SourceSpec,
        mut response: OriginResponse,
        (facts, len, reserved): (SourceFacts, u64, OwnedSemaphorePermit),
        landing: &Landing<Obtained>,
    ) {
        let cost = FetchCost { waited: response.waited };
        let announced = response.content_length().is_some();
        let fill = Arc::new(Fill::begin(facts, if announced { len } else { 0 }));
        if announced {
            landing.land(Obtained::Filling(Arc::clone(&fill), cost));
        }
        let mut hasher = blake3::Hasher::new();
        let mut received: u64 = 0;
        loop {
            match response.chunk().await {
                Ok(Some(piece)) => {
                    received += piece.len() as u64;
                    if received > len {
                        let mut so_far = vec![fill.take_whole(), piece];
                        so_far.retain(|piece| !piece.is_empty());
                        response.unread(so_far);
                        landing.land(Obtained::Direct(DirectResponse::new(response, WhyOriginal::TooLarge)));
                        return;
                    }
                    hasher.update(&piece);
                    fill.push(&piece);
                }
                Ok(None) => break,
                Err(error) => {
                    fill.end(Err(error.clone()));
                    landing.land(self.failed(spec, None, error));
                    return;
                }
            }
        }
        let version = version_of(&hasher);
        let bytes = fill.take_whole();
        let head = Arc::new(SourceHead { facts: fill.facts.clone(), version, len: received, verdict: None });
        fill.end(Ok(WholeSource { head: Arc::clone(&head), bytes: bytes.clone(), reserved: Arc::new(reserved) }));
        landing.land(Obtained::Filling(fill, cost));
        self.remembered.invalidate(&spec.key);
        self.cache.put_body(body_key(spec.key, version), spec.name().body_text(version), bytes).await;
        self.cache.put_head(spec.key, spec.name().text(), head).await;
    }

    fn has_body(&self, spec: &SourceSpec, head: &SourceHead) -> bool {
        !self.cache.rules_out(body_key(spec.key, head.version))
    }

    fn remembered_answer(
        &self,
        spec: &SourceSpec,
        known: Option<&Arc<SourceHead>>,
        now: UnixSeconds,
    ) -> Option<Obtained> {
        match self.remembered.get(&spec.key)? {
            Remembered::Absent(absent) if now < absent.until => Some(Obtained::Absent(absent)),
            Remembered::Failed { error, until } if now < until => Some(stand_in(known, error)),
            Remembered::Absent(_) | Remembered::Failed { .. } => None,
        }
    }

    /// Remembers a failure for a moment; a stale original stands in where it may (RFC 9111, 4.2.4).
    fn failed(&self, spec: &SourceSpec, known: Option<&Arc<SourceHead>>, error: FetchError) -> Obtained {
        tracing::warn!(site = &*spec.site, url = %spec.url, %error, "an origin gave no answer");
        // A busy edge is not the origin's failure.
        if error != FetchError::Busy {
            let until = UnixSeconds::now().plus(self.origins.limits().failure_ttl.0);
            self.remembered.insert(spec.key, Remembered::Failed { error: error.clone(), until });
        }
        stand_in(known, error)
    }

    async fn absent(&self, spec: &SourceSpec, mut response: OriginResponse, now: UnixSeconds) -> Obtained {
        let status = response.status;
        let mut body = Vec::new();
        while let Ok(Some(piece)) = response.chunk().await {
            body.extend_from_slice(&piece);
            if body.len() > ABSENT_BODY_BYTES {
                response.unread(vec![body.into()]);
                return Obtained::Direct(DirectResponse::new(response, WhyOriginal::Status));
            }
        }
        let explicit = Freshness::of(&response.headers, now, self.origins.limits().not_found_ttl.0);
        let ttl = Duration::from_secs(explicit.lifetime).min(MAX_ABSENT_TTL);
        let absent = Arc::new(Absent {
            status,
            content_type: response.headers.get(CONTENT_TYPE).cloned(),
            body: body.into(),
            until: now.plus(ttl),
        });
        if storable(&response.headers, Credentials::None).is_ok() {
            self.remembered.insert(spec.key, Remembered::Absent(Arc::clone(&absent)));
        }
        Obtained::Absent(absent)
    }
}

fn stored(head: &Arc<SourceHead>, standing_in: Option<FetchError>, cost: FetchCost) -> Obtained {
    Obtained::Stored(StoredSource { head: Arc::clone(head), standing_in, cost })
}

fn stand_in(known: Option<&Arc<SourceHead>>, error: FetchError) -> Obtained {
    match known.filter(|head| !head.facts.freshness.must_revalidate) {
        Some(head) => stored(head, Some(error), FetchCost::default()),
        None => Obtained::Failed(error),
    }
}

fn version_of(hasher: &blake3::Hasher) -> SourceVersion {
    let mut version = [0; 16];
    version.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    SourceVersion(version)
}

/// Reads until the format can be told, and gives what was read back to the response.
pub async fn read_head(response: &mut OriginResponse) -> Result<Bytes, FetchError> {
    let mut pieces = Vec::new();
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    while head.len() < SNIFF_BYTES {
        let Some(piece) = response.chunk().await? else { break };
        head.extend_from_slice(&piece[..piece.len().min(SNIFF_BYTES)]);
        pieces.push(piece);
    }
    response.unread(pieces);
    Ok(head.into())
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn facts_of(input: InputFormat, headers: &HeaderMap, now: UnixSeconds, default_ttl: Duration) -> SourceFacts {
    let freshness = Freshness::of(headers, now, default_ttl);
    SourceFacts {
        input,
        freshness,
        etag: text(headers.get(ETAG)),
        last_modified: text(headers.get(LAST_MODIFIED)),
        cache_control: downstream_cache_control(headers, &freshness),
        no_transform: CacheControl::of(headers).no_transform,
    }
}

/// What goes to caches behind us: what the origin said, else the lifetime that we use ourselves.
fn downstream_cache_control(headers: &HeaderMap, freshness: &Freshness) -> String {
    let said: Vec<&str> = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()).collect();
    if said.is_empty() { format!("public, max-age={}", freshness.lifetime) } else { said.join(", ") }
}

/// A head after the origin said that it still holds (RFC 9111, 4.3.4).
fn freshened(head: &SourceHead, headers: &HeaderMap, now: UnixSeconds, default_ttl: Duration) -> SourceHead {
    let mut fresh = facts_of(head.facts.input, headers, now, default_ttl);
    fresh.etag = fresh.etag.or_else(|| head.facts.etag.clone());
    fresh.last_modified = fresh.last_modified.or_else(|| head.facts.last_modified.clone());
    let says_nothing = !headers.contains_key(CACHE_CONTROL) && !headers.contains_key(http::header::EXPIRES);
    if says_nothing {
        fresh.cache_control.clone_from(&head.facts.cache_control);
        fresh.no_transform = head.facts.no_transform;
        fresh.freshness.lifetime = head.facts.freshness.lifetime;
        fresh.freshness.must_revalidate = head.facts.freshness.must_revalidate;
    }
    SourceHead { facts: fresh, ..head.clone() }
}

fn validators_of(head: &Arc<SourceHead>) -> Validators {
    let value = |text: &Option<String>| text.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
    Validators { etag: value(&head.facts.etag), last_modified: value(&head.facts.last_modified) }
}

fn text(value: Option<&HeaderValue>) -> Option<String> {
    value.and_then(|value| value.to_str().ok()).map(str::to_owned)
}

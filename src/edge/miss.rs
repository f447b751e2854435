//! Step 7 of the request's way: what is wanted is not in the cache. Get the original, have it developed, and serve the
//! variant if it is ready in the time that the site's `first_view` gives, else the original.

use std::{sync::Arc, time::Duration};

use url::Url;

use super::{
    deliver,
    handler::{Edge, Visit},
    lookup::{Found, Wanted, find_made},
    passthrough::{self, credentials},
    problem::Problem,
    respond::{self, Answer, Context, Way, milliseconds},
    sites::Site,
};
use crate::{
    billing::Entitlement,
    cache::object::{SourceHead, Variant},
    config::FirstView,
    develop::{
        Developed, Job, Obtained, Origination, SourceFill, SourceSpec, StoredSource,
        direct::{DirectResponse, why_direct},
        sources::{FetchCost, UrlKind},
    },
    http::{cache_status::Handling, storability::Credentials},
    image::why_original::WhyOriginal,
    origin::{error::FetchError, fetch::Validators},
    request::{
        SourceRef,
        key::{SourceName, SourceVersion, body_key},
    },
    telemetry::outcome::Outcome,
};

/// A request that the cache could not answer.
pub(super) struct Miss<'a> {
    pub(super) edge: &'a Arc<Edge>,
    pub(super) visit: &'a Visit<'a>,
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) context: Context<'a>,
    pub(super) url: Url,
    pub(super) url_kind: UrlKind,
}

/// How often an original is obtained anew where what the cache had of it proved damaged or gone.
const ATTEMPTS: usize = 2;

impl Miss<'_> {
    pub(super) async fn get(&self) -> Result<Answer, Problem> {
        if !self.edge.sizes.admits(self.wanted.key, self.wanted.asked) {
            return Err(Problem::TooManySizes);
        }
        self.watermark()?;
        let spec = self.spec();
        if self.wanted.directives.no_store {
            return self.unstored(&spec).await;
        }
        for _ in 0..ATTEMPTS {
            let (obtained, collapsed) = self.edge.sources.obtain(&spec).await;
            if let Some(answer) = self.answer(&spec, obtained, collapsed).await? {
                return Ok(answer);
            }
            self.edge.sources.forget(&spec).await;
        }
        Err(FetchError::Broken { cause: "the stored original could not be read".to_owned() }.into())
    }

    /// The visitor wants nothing of this stored (RFC 9111, 5.2.1.5): he gets the original, asked for once for him alone.
    async fn unstored(&self, spec: &SourceSpec) -> Result<Answer, Problem> {
        if self.url_kind == UrlKind::Any && self.visit.site.is_on_origin(&spec.url) {
            return passthrough::forward_for_user(self.edge, self.visit, spec.url.clone(), WhyOriginal::NoStore).await;
        }
        let mut response = self.edge.origins.fetch_image(&spec.rules, spec.url.clone(), &Validators::default()).await?;
        response.unhurried()?;
        let origin_ms = Some(milliseconds(response.waited));
        let way = Way { handling: Handling::Bypass, origin_ms, ..FORWARDED };
        let why = why_direct(&response, WhyOriginal::NoStore);
        Ok(respond::direct(self.context, response, Some(why), way))
    }

    /// Answers with what came of asking for the original; `None` where the cache turned out not to have it.
    pub(super) async fn answer(
        &self,
        spec: &SourceSpec,
        obtained: Option<Obtained>,
        collapsed: bool,
    ) -> Result<Option<Answer>, Problem> {
        let way = Way { collapsed, ..FORWARDED };
        if self.url_kind == UrlKind::Any && self.visit.site.is_on_origin(&spec.url) {
            // No image now: what else is there, the origin may give to each in his own way.
            let why = match &obtained {
                Some(Obtained::Direct(direct)) => Some(direct.why),
                Some(Obtained::Absent(_)) => Some(WhyOriginal::Status),
                _ => None,
            };
            if let Some(why) = why {
                return passthrough::forward_for_user(self.edge, self.visit, spec.url.clone(), why).await.map(Some);
            }
        }
        match obtained {
            None => Err(FetchError::ended_early().into()),
            Some(Obtained::Failed(error)) => Err(error.into()),
            Some(Obtained::Absent(absent)) => Ok(Some(respond::absent(self.context, &absent, way))),
            Some(Obtained::Direct(direct)) => self.direct(spec, &direct).await.map(Some),
            Some(Obtained::Stored(stored)) => self.serve_stored(spec, stored, collapsed).await,
            Some(Obtained::Filling(fill, cost)) => {
                self.serve_filling(spec, &fill, Way { origin_ms: Some(milliseconds(cost.waited)), ..way }).await
            }
        }
    }

    pub(super) fn spec(&self) -> SourceSpec {
        spec(self.visit.site, self.wanted, self.url.clone(), self.url_kind)
    }

    /// What may not be kept goes straight to the first who takes it; the others ask for themselves, and those whom the
    /// origin may know in their own name.
    async fn direct(&self, spec: &SourceSpec, direct: &DirectResponse) -> Result<Answer, Problem> {
        let is_own = self.visit.site.is_on_origin(&spec.url);
        if direct.may_differ_by_user && is_own && credentials(self.visit.headers) != Credentials::None {
            return passthrough::forward_for_user(self.edge, self.visit, spec.url.clone(), direct.why).await;
        }
        let (response, why) = match direct.take() {
            Some(response) => (response, direct.why),
            None => {
                let mut own =
                    self.edge.origins.fetch_image(&spec.rules, spec.url.clone(), &Validators::default()).await?;
                own.unhurried()?;
                let why = why_direct(&own, direct.why);
                (own, why)
            }
        };
        let origin_ms = Some(milliseconds(response.waited));
        Ok(respond::direct(self.context, response, Some(why), Way { origin_ms, ..FORWARDED }))
    }

    async fn serve_stored(
        &self,
        spec: &SourceSpec,
        stored: StoredSource,
        collapsed: bool,
    ) -> Result<Option<Answer>, Problem> {
        let StoredSource { head, standing_in, cost } = stored;
        let way = Way { collapsed, ..way_from_stored(standing_in.is_some(), cost) };
        match find_made(&self.edge.cache, self.wanted, Arc::clone(&head), self.visit.now).await {
            Found::Variant(variant, head) => return self.deliver_stored(&variant, &head, way).await,
            Found::Original(why, head) => return Ok(self.original(&head, why, way).await),
            Found::Source | Found::Nothing => {}
        }
        match self.develop(spec, Origination::Stored(Arc::clone(&head))).await {
            Developed::Variant(variant, head, stages) => {
                self.deliver_stored(&variant, &head, Way { stages: Some(stages), ..way }).await
            }
            Developed::Original(why) => Ok(self.original(&head, why, way).await),
            // Work that was joined waited for a fetch that broke off; the original is here.
            Developed::Failed(_) => Ok(self.original(&head, WhyOriginal::Busy, way).await),
        }
    }

    /// Delivers a variant whose original is stored, or that original.
    async fn deliver_stored(&self, variant: &Variant, head: &SourceHead, way: Way) -> Result<Option<Answer>, Problem> {
        match self.deliver(variant, head, way).await {
            Ok(answer) => Ok(Some(answer)),
            Err(why) => Ok(self.original(head, why, way).await),
        }
    }

    async fn deliver(&self, variant: &Variant, head: &SourceHead, way: Way) -> Result<Answer, WhyOriginal> {
        deliver::variant(self.edge, self.visit, self.wanted, self.context, variant, head, way).await
    }

    async fn original(&self, head: &SourceHead, why: WhyOriginal, way: Way) -> Option<Answer> {
        stored_original(self.edge, self.wanted, self.context, head, why, way).await
    }

    async fn serve_filling(
        &self,
        spec: &SourceSpec,
        fill: &Arc<SourceFill>,
        way: Way,
    ) -> Result<Option<Answer>, Problem> {
        let no_transform = fill.facts.no_transform.then_some(WhyOriginal::NoTransform);
        if let Some(why) = self.wanted.only_original.or(no_transform) {
            return self.stream(spec, fill, why, way).await.map(Some);
        }
        match self.develop(spec, Origination::Filling(Arc::clone(fill))).await {
            Developed::Variant(variant, head, stages) => {
                match self.deliver(&variant, &head, Way { stages: Some(stages), ..way }).await {
                    Ok(answer) => Ok(Some(answer)),
                    Err(why) => self.stream(spec, fill, why, way).await.map(Some),
                }
            }
            Developed::Original(why) => self.stream(spec, fill, why, way).await.map(Some),
            // It broke off before anything was sent: what is stored of it may still do.
            Developed::Failed(error) => match self.edge.sources.stand_in_for(spec, error).await {
                Obtained::Stored(stored) => self.serve_stored(spec, stored, way.collapsed).await,
                Obtained::Failed(error) => Err(error.into()),
                _ => Ok(None),
            },
        }
    }

    /// Streams an original on its way in; where it is not held and somebody else reads its end, asks for it anew.
    async fn stream(
        &self,
        spec: &SourceSpec,
        fill: &Arc<SourceFill>,
        why: WhyOriginal,
        way: Way,
    ) -> Result<Answer, Problem> {
        let is_anothers = way.collapsed && fill.is_the_leaders().await;
        let reader = if is_anothers { None } else { fill.reader() };
        match reader {
            Some(reader) => Ok(respond::filling(self.context, fill, reader, why, way)),
            None => self.direct(spec, &DirectResponse::none(why)).await,
        }
    }

    /// Has the variant made, and waits for it as long as the site's `first_view` says, counted from the request's arrival.
    async fn develop(&self, spec: &SourceSpec, origination: Origination) -> Developed {
        if self.wanted.entitlement == Entitlement::Essential {
            // What is already made is served; nothing new is made (`billing.md` rule 15, `local`).
            return Developed::Original(WhyOriginal::Essential);
        }
        let developing = self.make(spec, origination);
        let patience = match self.visit.site.first_view {
            FirstView::Always => return developing.await,
            FirstView::Original => Duration::ZERO,
            FirstView::Within(span) => span.saturating_sub(self.visit.started.elapsed()),
        };
        // The first poll begins the work; from then on it goes on by itself.
        tokio::time::timeout(patience, developing).await.unwrap_or(Developed::Original(WhyOriginal::Deadline))
    }

    /// The file of the watermark, if one is asked for.
    ///
    /// # Errors
    /// That the site does not allow it to come from there.
    fn watermark(&self) -> Result<Option<SourceSpec>, Problem> {
        let Some(watermark) = &self.wanted.transform.watermark else { return Ok(None) };
        let site = self.visit.site;
        let text = watermark.source.as_str();
        let source =
            if text.starts_with('/') { SourceRef::OwnPath(text.into()) } else { SourceRef::Absolute(text.into()) };
        let name = SourceName { scope: &site.scope, source: text };
        let url = site.source_url(&source)?;
        Ok(Some(SourceSpec { source: text.into(), key: name.key(), url, url_kind: UrlKind::Image, ..self.spec() }))
    }

    async fn make(&self, spec: &SourceSpec, origination: Origination) -> Developed {
        // A request with one that is not allowed has been refused.
        let Ok(watermark) = self.watermark() else { return Developed::Original(WhyOriginal::Watermark) };
        let begin = |version| {
            let job = Job {
                spec: spec.clone(),
                transform: self.wanted.transform.clone(),
                candidates: self.wanted.candidates,
                watermark: watermark.clone(),
            };
            self.edge.developer.begin(job, origination.clone(), version)
        };
        let Some(developing) = begin(None) else { return Developed::Original(WhyOriginal::Busy) };
        let joined = developing.collapsed;
        let developed = developing.result().await.unwrap_or(Developed::Original(WhyOriginal::Broken));
        if joined
            && let Some(version) = origination.version().await
            && !self.is_about(version, &developed).await
        {
            // What was joined was at work on content that has been replaced since.
            let Some(developing) = begin(Some(version)) else { return Developed::Original(WhyOriginal::Busy) };
            return developing.result().await.unwrap_or(Developed::Original(WhyOriginal::Broken));
        }
        developed
    }

    /// Whether what came of joined work holds for this version of the source.
    async fn is_about(&self, version: SourceVersion, developed: &Developed) -> bool {
        match developed {
            Developed::Variant(_, head, _) => head.version == version,
            Developed::Original(WhyOriginal::Busy | WhyOriginal::Deadline) => true,
            // That nothing is to be made of it is known of this version too, or it was said of another.
            Developed::Original(_) => {
                let cache = &self.edge.cache;
                let head = cache.head(self.wanted.key, self.wanted.name).await;
                match head.filter(|head| head.version == version) {
                    Some(head) => {
                        matches!(find_made(cache, self.wanted, head, self.visit.now).await, Found::Original(..))
                    }
                    None => false,
                }
            }
            // This one came whole: it was another fetch that failed.
            Developed::Failed(_) => false,
        }
    }
}

const FORWARDED: Way =
    Way { handling: Handling::Miss, outcome: Outcome::Miss, collapsed: false, origin_ms: None, stages: None };

/// Which original is wanted.
pub(super) fn spec(site: &Site, wanted: &Wanted<'_>, url: Url, url_kind: UrlKind) -> SourceSpec {
    SourceSpec {
        site: Arc::clone(&site.id),
        scope: Arc::clone(&site.scope),
        source: wanted.name.source.into(),
        key: wanted.key,
        url,
        url_kind,
        rules: Arc::clone(&site.rules),
        lifetimes: site.lifetimes,
    }
}

/// An original out of the cache; `None` where the cache does not have its bytes.
pub(super) async fn stored_original(
    edge: &Edge,
    wanted: &Wanted<'_>,
    context: Context<'_>,
    head: &SourceHead,
    why: WhyOriginal,
    way: Way,
) -> Option<Answer> {
    let key = body_key(wanted.key, head.version);
    let body = edge.cache.body(key, || wanted.name.body_text(head.version)).await?;
    Some(respond::original(context, head, &body, why, way))
}

fn way_from_stored(standing_in: bool, cost: FetchCost) -> Way {
    let asked = !cost.waited.is_zero();
    match (standing_in, asked) {
        (true, _) => Way { handling: Handling::Stale, outcome: Outcome::Stale, ..FORWARDED },
        (false, true) => Way { handling: Handling::Stale, origin_ms: Some(milliseconds(cost.waited)), ..FORWARDED },
        (false, false) => FORWARDED,
    }
}

//! Step 7 of the request's way: what is wanted is not in the cache. Get the original, have it developed, and serve the
//! variant if it is ready in the time that the site's `first_view` gives, else the original.

use std::{sync::Arc, time::Instant};

use url::Url;

use super::{
    handler::{Edge, Visit},
    lookup::{Found, Wanted, find_made},
    problem::Problem,
    respond::{self, Answer, Context, Way},
};
use crate::{
    cache::object::SourceHead,
    config::FirstView,
    develop::{
        Developed, Job, Obtained, Origination, SourceSpec, StoredSource, direct::DirectResponse, fill::Fill,
        sources::FetchCost, variants::Stages,
    },
    http::cache_status::Handling,
    image::why_original::WhyOriginal,
    origin::{error::FetchError, fetch::Validators},
    request::key::body_key,
    telemetry::outcome::Outcome,
};

/// A request that the cache could not answer.
#[derive(Clone)]
pub(super) struct Miss<'a> {
    pub(super) edge: &'a Arc<Edge>,
    pub(super) visit: &'a Visit<'a>,
    pub(super) wanted: Wanted<'a>,
    pub(super) context: Context<'a>,
    pub(super) url: Url,
}

/// How often an original is obtained anew where what the cache had of it proved damaged or gone.
const ATTEMPTS: usize = 2;

impl Miss<'_> {
    pub(super) async fn get(&self) -> Result<Answer, Problem> {
        let spec = self.spec();
        for _ in 0..ATTEMPTS {
            let (obtained, collapsed) = self.edge.sources.obtain(&spec).await;
            if let Some(answer) = self.answer(&spec, obtained, collapsed).await? {
                return Ok(answer);
            }
            self.edge.sources.forget(&spec).await;
        }
        Err(FetchError::Broken { cause: "the stored original could not be read".to_owned() }.into())
    }

    /// Answers with what came of asking for the original; `None` where the cache turned out not to have it.
    pub(super) async fn answer(
        &self,
        spec: &SourceSpec,
        obtained: Option<Obtained>,
        collapsed: bool,
    ) -> Result<Option<Answer>, Problem> {
        let way = Way { collapsed, ..FORWARDED };
        match obtained {
            None => Err(FetchError::Broken { cause: "the fetch ended early".to_owned() }.into()),
            Some(Obtained::Failed(error)) => Err(error.into()),
            Some(Obtained::Absent(absent)) => Ok(Some(respond::absent(self.context, &absent, way))),
            Some(Obtained::Direct(direct)) => self.direct(spec, &direct).await.map(Some),
            Some(Obtained::Stored(stored)) => self.serve_stored(spec, stored, collapsed).await,
            Some(Obtained::Filling(fill, cost)) => {
                self.serve_filling(spec, &fill, Way { origin_ms: Some(milliseconds(cost)), ..way }).await.map(Some)
            }
        }
    }

    pub(super) fn spec(&self) -> SourceSpec {
        let site = self.visit.site;
        SourceSpec {
            site: Arc::clone(&site.id),
            source: self.wanted.name.source.into(),
            key: self.wanted.key,
            url: self.url.clone(),
            rules: Arc::clone(&site.rules),
            default_ttl: site.default_ttl,
        }
    }

    /// What may not be kept goes straight to the first who takes it; the others ask for themselves.
    async fn direct(&self, spec: &SourceSpec, direct: &DirectResponse) -> Result<Answer, Problem> {
        let response = match direct.take() {
            Some(response) => response,
            None => self.edge.origins.fetch_image(&spec.rules, spec.url.clone(), &Validators::default()).await?,
        };
        let origin_ms = Some(response.waited.as_secs_f64() * 1e3);
        Ok(respond::direct(self.context, response, Some(direct.why), Way { origin_ms, ..FORWARDED }))
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
            Found::Variant(variant, head) => {
                return Ok(Some(respond::variant(self.context, &variant, &head, way)));
            }
            Found::Original(why, head) => return Ok(self.original(&head, why, way).await),
            Found::Source | Found::Nothing => {}
        }
        match self.develop(spec, Origination::Stored(Arc::clone(&head))).await {
            Developed::Variant(variant, head, stages) => {
                let way = with_stages(way, stages);
                Ok(Some(respond::variant(self.context, &variant, &head, way)))
            }
            Developed::Original(why) => Ok(self.original(&head, why, way).await),
            Developed::Failed(error) => Err(error.into()),
        }
    }

    async fn original(&self, head: &SourceHead, why: WhyOriginal, way: Way) -> Option<Answer> {
        stored_original(self.edge, self.wanted, self.context, head, why, way).await
    }

    async fn serve_filling(&self, spec: &SourceSpec, fill: &Arc<Fill>, way: Way) -> Result<Answer, Problem> {
        if fill.facts.no_transform {
            return Ok(respond::filling(self.context, fill, WhyOriginal::NoTransform, way));
        }
        match self.develop(spec, Origination::Filling(Arc::clone(fill))).await {
            Developed::Variant(variant, head, stages) => {
                Ok(respond::variant(self.context, &variant, &head, with_stages(way, stages)))
            }
            Developed::Original(why) => Ok(respond::filling(self.context, fill, why, way)),
            Developed::Failed(error) => Err(error.into()),
        }
    }

    /// Has the variant made, and waits for it as long as the site's `first_view` says, counted from the request's arrival.
    async fn develop(&self, spec: &SourceSpec, origination: Origination) -> Developed {
        if !self.edge.developer.has_room() {
            return Developed::Original(WhyOriginal::Busy);
        }
        let job =
            Job { spec: spec.clone(), transform: self.wanted.transform.clone(), candidates: self.wanted.candidates };
        let developing = self.edge.developer.begin(job, origination);
        let patience = match self.visit.site.first_view {
            FirstView::Original => return Developed::Original(WhyOriginal::Deadline),
            FirstView::Always => None,
            FirstView::Within(span) => Some(self.visit.started + span),
        };
        let developed = match patience {
            None => developing.result().await,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                match tokio::time::timeout(left, developing.result()).await {
                    Ok(developed) => developed,
                    Err(_) => return Developed::Original(WhyOriginal::Deadline),
                }
            }
        };
        developed.unwrap_or(Developed::Original(WhyOriginal::Broken))
    }
}

const FORWARDED: Way =
    Way { handling: Handling::Miss, outcome: Outcome::Miss, collapsed: false, origin_ms: None, stages: None };

/// An original out of the cache; `None` where the cache does not have its bytes.
pub(super) async fn stored_original(
    edge: &Edge,
    wanted: Wanted<'_>,
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
        (false, true) => Way { handling: Handling::Stale, origin_ms: Some(milliseconds(cost)), ..FORWARDED },
        (false, false) => FORWARDED,
    }
}

fn with_stages(way: Way, stages: Stages) -> Way {
    Way { stages: Some(stages), ..way }
}

fn milliseconds(cost: FetchCost) -> f64 {
    cost.waited.as_secs_f64() * 1e3
}

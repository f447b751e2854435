//! The request's way, from its head to its response. [`serve`] is the function to read first: each line is one step, and
//! the step's module is where to read on.

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use http::{HeaderMap, Method, Request, Response, Uri};

use super::{
    body::{EdgeBody, Report, Told},
    deliver,
    limits::{self, Limits},
    lookup::{Found, Wanted, find},
    miss::{self, Miss},
    passthrough,
    peer::Peer,
    problem::Problem,
    request_body::Upload,
    respond::{Answer, Context, Way},
    secure,
    signed::{self, Admitted},
    sites::{Site, SiteTable},
    vary::Varies,
};
use crate::{
    acme::issuer::Issuer,
    cache::{object::SourceHead, tiers::Cache},
    clock::Clock,
    develop::{Developer, Sources, sizes::Sizes, sources::UrlKind},
    http::{check, curtail::curtail, forwarding, time::UnixSeconds},
    meter::Meter,
    origin::fetch::Origins,
    relay::Relay,
    request::{self, ImageRequest, Target, key::SourceName, target::plain_image},
    telemetry::{
        metrics::Metrics,
        outcome::{Delivered, Outcome},
    },
    tls::challenge::Challenges,
};

/// What requests are served with.
#[derive(Debug)]
pub struct Edge {
    /// The sites, swapped whole.
    pub sites: ArcSwap<SiteTable>,
    /// What is stored.
    pub cache: Arc<Cache>,
    /// The connections to origins.
    pub origins: Arc<Origins>,
    /// Originals.
    pub sources: Arc<Sources>,
    /// What passes through.
    pub relay: Arc<Relay>,
    /// Makes variants.
    pub developer: Arc<Developer>,
    /// How many sizes of a source are made.
    pub sizes: Sizes,
    /// What certificate authorities are answered.
    pub challenges: Arc<Challenges>,
    /// What issues certificates on demand, and knows what other nodes answer.
    pub issuer: Option<Arc<Issuer>>,
    /// The port of https that visitors are sent to.
    pub https_port: u16,
    /// What clients may take.
    pub limits: Limits,
    /// What usage is counted with and paid by.
    pub meter: Arc<Meter>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Tells the time.
    pub clock: Clock,
    /// This installation's name.
    pub name: String,
    /// Whether requests are logged.
    pub access_log: bool,
}

/// A request, as far as its steps have come.
pub(super) struct Visit<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) peer: &'a Peer,
    pub(super) host: &'a str,
    pub(super) site: &'a Arc<Site>,
    pub(super) started: Instant,
    pub(super) now: UnixSeconds,
}

impl Visit<'_> {
    pub(super) fn context<'c>(&'c self, edge: &'c Edge, varies: Varies) -> Context<'c> {
        Context {
            method: self.method,
            headers: self.headers,
            site: self.site,
            cache_name: &edge.name,
            now: self.now,
            varies,
        }
    }
}

/// A request's body, if it has one: only what is forwarded is ever read.
pub type RequestBody = Option<Upload>;

/// Answers one request and sees to it that it is counted and logged.
pub async fn handle(edge: Arc<Edge>, request: Request<RequestBody>, peer: &Peer) -> Response<EdgeBody> {
    let started = Instant::now();
    let method = request.method().clone();
    let path = if edge.access_log { request.uri().path_and_query().cloned() } else { None };
    let mut found_site = None;
    let (mut response, told) = match serve(&edge, request, peer, started, &mut found_site).await {
        Ok(answer) => answer,
        Err(problem) => (problem.into_response(), Told::new(Outcome::Error, Delivered::Other)),
    };
    if let Some(site) = &found_site {
        secure::keep_promise(&mut response, site, peer.scheme());
    }
    let meter = found_site.as_ref().and_then(|site| site.meter.clone()).filter(|_| told.is_metered);
    let report = Report {
        site: found_site,
        metrics: Arc::clone(&edge.metrics),
        logged: edge.access_log,
        client: peer.ip(),
        method,
        path,
        started,
        to_head: started.elapsed(),
        status: response.status(),
        told,
    };
    response.map(|body| body.metered(meter).until(started + edge.limits.request_timeout).reported(report))
}

async fn serve(
    edge: &Arc<Edge>,
    request: Request<RequestBody>,
    peer: &Peer,
    started: Instant,
    found_site: &mut Option<Arc<Site>>,
) -> Result<Answer, Problem> {
    let (head, body) = request.into_parts();
    limits::admit_client(edge, peer, started)?;
    let host = check::requested_host(&head.uri, &head.headers, head.version)?;
    refuse_loops(edge, &head.headers, &head.method)?;
    check::requested_target(&head.method, &head.uri)?;
    if let Some(answer) = secure::challenge(edge, &head.method, &head.uri).await {
        return Ok(answer);
    }
    secure::refuse_other_host(peer, &host)?;
    let site = route(edge, &host)?;
    limits::admit_to_site(edge, &site, started)?;
    *found_site = Some(Arc::clone(&site));
    let visit = Visit {
        method: &head.method,
        uri: &head.uri,
        headers: &head.headers,
        peer,
        host: &host,
        site: &site,
        started,
        now: edge.clock.now(),
    };
    if let Some(answer) = secure::redirect(edge, &visit) {
        return Ok(answer);
    }
    let Admitted { uri, expires } = signed::admit(&visit)?;
    let visit = Visit { uri: &uri, ..visit };
    let (mut response, told) = match image_wanted(&visit)? {
        Asked::Image(image) => serve_image(edge, &visit, &image).await,
        Asked::Perhaps(image) if is_known(edge, &visit, &image) => serve_image(edge, &visit, &image).await,
        Asked::Perhaps(image) => passthrough::forward(edge, &visit, body, Some(image)).await,
        Asked::Other => passthrough::forward(edge, &visit, body, None).await,
    }?;
    if let Some(expires) = expires {
        curtail(response.headers_mut(), expires, visit.now);
    }
    Ok((response, told))
}

fn refuse_loops(edge: &Edge, headers: &HeaderMap, method: &Method) -> Result<(), Problem> {
    if forwarding::has_looped(headers, &edge.name) {
        return Err(Problem::Loop);
    }
    // CONNECT asks for a tunnel, and TRACE would show what was added on the way.
    if *method == Method::CONNECT || *method == Method::TRACE {
        return Err(Problem::Method);
    }
    Ok(())
}

fn route(edge: &Edge, host: &str) -> Result<Arc<Site>, Problem> {
    edge.sites.load().find(host).cloned().ok_or_else(|| Problem::UnknownHost(host.to_owned()))
}

/// What a request asks for, as far as its path and method tell.
enum Asked<'a> {
    /// An image.
    Image(ImageRequest<'a>),
    /// Something that may turn out to be one: its bytes decide.
    Perhaps(ImageRequest<'a>),
    /// Something of the origin's own.
    Other,
}

fn image_wanted<'a>(visit: &Visit<'a>) -> Result<Asked<'a>, Problem> {
    let (path, query) = (visit.uri.path(), visit.uri.query());
    if !is_readable(visit.method) {
        return if path.starts_with(request::target::PREFIX) { Err(Problem::Method) } else { Ok(Asked::Other) };
    }
    Ok(match request::parse(path, query, &visit.site.presets)? {
        Target::Image(image) => Asked::Image(image),
        Target::Other => Asked::Perhaps(plain_image(path, query)),
    })
}

fn is_readable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether something that does not look like an image has turned out to be one before.
fn is_known(edge: &Edge, visit: &Visit<'_>, image: &ImageRequest<'_>) -> bool {
    let key = SourceName { scope: &visit.site.scope, source: image.source.as_str() }.key();
    edge.cache.surely_holds(key)
}

/// Steps 4 to 8 for an image.
async fn serve_image(edge: &Arc<Edge>, visit: &Visit<'_>, image: &ImageRequest<'_>) -> Result<Answer, Problem> {
    let entitlement = visit.site.entitlement();
    let mut wanted = Wanted::new(visit.site, image, visit.headers, entitlement);
    let context = visit.context(edge, Varies::by(visit.site, image));
    if let Some(answer) = deliver::redirect(visit, &wanted, context, &image.source)? {
        return Ok(answer);
    }
    match find(&edge.cache, &wanted, visit.now).await {
        Found::Variant(variant, head) => {
            let way = way_of_hit(edge, visit, &wanted, image, &head);
            match deliver::variant(edge, visit, &wanted, context, &variant, &head, way).await {
                Ok(answer) => return Ok(answer),
                Err(why) => wanted.only_original = Some(why),
            }
        }
        Found::Original(why, head) => {
            let way = way_of_hit(edge, visit, &wanted, image, &head);
            if let Some(answer) = miss::stored_original(edge, &wanted, context, &head, why, way).await {
                return Ok(answer);
            }
        }
        Found::Source | Found::Nothing => {}
    }
    if wanted.directives.only_if_cached {
        return Err(Problem::NotCached);
    }
    let url = visit.site.source_url(&image.source)?;
    Miss { edge, visit, wanted: &wanted, context, url, url_kind: url_kind(image) }.get().await
}

/// Whoever asks for it: under a name that is not an image's, others may get a page from the origin.
fn url_kind(image: &ImageRequest<'_>) -> UrlKind {
    if image.source.is_image_by_name() { UrlKind::Image } else { UrlKind::Any }
}

/// How something out of the cache was come by. What is stale and may be used while it is validated is: nobody waits for
/// that.
fn way_of_hit(
    edge: &Arc<Edge>,
    visit: &Visit<'_>,
    wanted: &Wanted<'_>,
    image: &ImageRequest<'_>,
    head: &SourceHead,
) -> Way {
    if head.freshness().is_fresh(visit.now) {
        return Way::HIT;
    }
    if let Ok(url) = visit.site.source_url(&image.source) {
        edge.sources.revalidate(miss::spec(visit.site, wanted, url, url_kind(image)));
    }
    Way::HIT_WHILE_VALIDATED
}

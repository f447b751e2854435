//! What is not asked for as an image is forwarded to the origin as it is, and its response streamed back. Where the bytes
//! turn out to be an image that may be kept, it is developed like any other.

use std::{collections::HashSet, sync::Arc};

use http::{
    HeaderMap, Method,
    header::{AUTHORIZATION, COOKIE, IF_RANGE, RANGE},
};
use url::Url;

use super::{
    handler::{Edge, RequestBody, Visit},
    lookup::Wanted,
    miss::Miss,
    problem::Problem,
    relaying::Relaying,
    request_body::UploadError,
    respond::{self, Answer, Way},
    vary::Varies,
};
use crate::{
    config::Passthrough,
    develop::{Obtained, read_head, sources::UrlKind},
    http::{
        cache_status::Handling,
        forwarding,
        invalidation::invalidated,
        scheme::Scheme,
        storability::{Credentials, storable_image, varies_by_accept},
    },
    image::{format::InputFormat, why_original::WhyOriginal},
    origin::{fetch::OriginResponse, places::Reader},
    request::{
        ImageRequest, SourceRef,
        key::{ResponseName, SourceName},
    },
    telemetry::{outcome::Outcome, refusals::Refused},
};

/// Answers a request for something that is not known as an image: out of the cache where the site lets it be cached, else by
/// forwarding it. `image` is what it asks for if it turns out to be an image.
pub(super) async fn forward(
    edge: &Arc<Edge>,
    visit: &Visit<'_>,
    body: RequestBody,
    image: Option<ImageRequest<'_>>,
) -> Result<Answer, Problem> {
    let path = visit.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = visit.site.source_url(&SourceRef::OwnPath(path.into()))?;
    if let Some(image) = &image
        && body.is_none()
        && visit.site.passthrough == Passthrough::Cache
    {
        return Relaying { edge, visit, image, url }.get().await;
    }
    let response = send(edge, visit, body, url.clone()).await?;
    invalidate(edge, visit, &url, &response).await;
    own(edge, visit, response, image.as_ref(), url).await
}

/// A response that came to one visitor for his own request.
pub(super) async fn own(
    edge: &Arc<Edge>,
    visit: &Visit<'_>,
    response: OriginResponse,
    image: Option<&ImageRequest<'_>>,
    url: Url,
) -> Result<Answer, Problem> {
    match image {
        Some(image) if *visit.method == Method::GET && may_be_image(visit.headers, &response) => {
            looked_at(edge, visit, response, image, url).await
        }
        _ => Ok(straight(edge, visit, response, None)),
    }
}

/// What a method changed is not served as it was before (RFC 9111, 4.4).
async fn invalidate(edge: &Edge, visit: &Visit<'_>, url: &Url, response: &OriginResponse) {
    let (site, scope) = (visit.site, &visit.site.scope);
    // The origin is told by which name it was asked, and may use that one or its own.
    let path = visit.uri.path_and_query().map_or("/", |path| path.as_str());
    let public = Url::parse(&format!("{}://{}{path}", visit.peer.scheme().name(), visit.host)).ok();
    let of = |target: &Url| invalidated(visit.method, target, response.status, &response.headers);
    let own = of(url).into_iter().filter(|changed| site.is_on_origin(changed));
    let named = public.iter().flat_map(of).filter_map(|changed| {
        let path = &changed[url::Position::BeforePath..];
        site.source_url(&SourceRef::OwnPath(path.into())).ok()
    });
    for changed in own.chain(named).collect::<HashSet<_>>() {
        let target = site.name_of(changed.as_str());
        for scheme in Scheme::ALL {
            edge.relay.invalidate(ResponseName { scope, host: visit.host, scheme, target }).await;
        }
        edge.sources.invalidate(SourceName { scope, source: target }).await;
    }
}

/// Forwards a request for an image that the origin gives only to those whom it knows.
pub(super) async fn forward_for_user(
    edge: &Edge,
    visit: &Visit<'_>,
    url: Url,
    why: WhyOriginal,
) -> Result<Answer, Problem> {
    let response = send(edge, visit, None, url).await?;
    Ok(straight(edge, visit, response, Some(why)))
}

/// Forwards a request as the visitor's own. Its body has begun to come before the origin is asked.
pub(super) async fn send(
    edge: &Edge,
    visit: &Visit<'_>,
    body: RequestBody,
    url: Url,
) -> Result<OriginResponse, Problem> {
    let headers = forwarded_fields(visit);
    let forward = |body| {
        let (rules, method) = (&visit.site.rules, visit.method.clone());
        edge.origins.forward(rules, method, url, headers, body, Reader::Visitor)
    };
    let Some(mut upload) = body else { return Ok(forward(None).await?) };
    let (late, broken) = (upload.late(), upload.broken());
    let sent = match upload.begin(&edge.limits.uploads, &visit.site.id).await {
        Ok(()) => forward(Some(reqwest::Body::wrap(upload))).await.map_err(Problem::from),
        Err(error) => Err(error.into()),
    };
    // What the origin then says, if anything, is that it was left alone.
    if sent.is_err() && late.is_set() {
        edge.metrics.refusals.of(Refused::SlowBody).inc();
        return Err(UploadError::TooSlow.into());
    }
    match sent {
        Err(Problem::Origin(error)) if broken.is_set() => Err(UploadError::Broken(error.into()).into()),
        sent => sent,
    }
}

/// The visitor's fields, and where he comes from.
pub(super) fn forwarded_fields(visit: &Visit<'_>) -> HeaderMap {
    let mut headers = visit.headers.clone();
    // First: what the visitor names in `Connection` must not take out what is said of him, nor count for what was not sent.
    forwarding::remove_hop_by_hop(&mut headers);
    forwarding::set_forwarded_for(&mut headers, visit.peer.ip(), visit.host, visit.peer.scheme());
    headers
}

/// Whether a response's bytes are worth a look: it is whole, and no stream of events that may begin in an hour.
fn may_be_image(request: &HeaderMap, response: &OriginResponse) -> bool {
    let is_part = request.contains_key(RANGE) || request.contains_key(IF_RANGE);
    !is_part && response.is_worth_a_look()
}

async fn looked_at(
    edge: &Arc<Edge>,
    visit: &Visit<'_>,
    mut response: OriginResponse,
    image: &ImageRequest<'_>,
    url: Url,
) -> Result<Answer, Problem> {
    let head = read_head(&mut response).await?;
    if InputFormat::sniff(&head).is_none() {
        return Ok(straight(edge, visit, response, None));
    }
    match why_not_shared(edge, visit, &response) {
        Some(why) => Ok(straight(edge, visit, response, Some(why))),
        None => image_found(edge, visit, Some(response), image, url).await,
    }
}

/// An image that came to one visitor may be his alone: if it may be shared at all, it is asked for again in the cache's own
/// name, once for all. Only where that gives an image too is it developed; else he gets the response that came to him.
pub(super) async fn image_found(
    edge: &Arc<Edge>,
    visit: &Visit<'_>,
    own: Option<OriginResponse>,
    image: &ImageRequest<'_>,
    url: Url,
) -> Result<Answer, Problem> {
    let wanted = Wanted::new(visit.site, image, visit.headers, visit.site.entitlement());
    let context = visit.context(edge, Varies::by(visit.site, image));
    let miss = Miss { edge, visit, wanted: &wanted, context, url: url.clone(), url_kind: UrlKind::Any };
    let spec = miss.spec();
    let (obtained, collapsed) = edge.sources.obtain(&spec).await;
    let why = match obtained {
        Some(obtained @ (Obtained::Stored(_) | Obtained::Filling(..))) => {
            match miss.answer(&spec, Some(obtained), collapsed).await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) | Err(_) => WhyOriginal::Busy,
            }
        }
        Some(Obtained::Direct(direct)) => direct.why,
        // The cache does not get it where the visitor does.
        Some(Obtained::Absent(_)) => WhyOriginal::Private,
        Some(Obtained::Failed(_)) | None => WhyOriginal::Busy,
    };
    let response = match own {
        Some(mut response) => {
            response.unhurried()?;
            response
        }
        None => send(edge, visit, None, url).await?,
    };
    Ok(straight(edge, visit, response, Some(why)))
}

/// Why an image that came to one visitor cannot be shared, as far as its head tells.
fn why_not_shared(edge: &Edge, visit: &Visit<'_>, response: &OriginResponse) -> Option<WhyOriginal> {
    if let Err(refused) = storable_image(&response.headers, credentials(visit.headers)) {
        return Some(refused.why_original());
    }
    let is_too_large = response.content_length().is_some_and(|len| len > edge.sources.max_body_bytes());
    match (varies_by_accept(&response.headers), is_too_large) {
        (true, _) => Some(WhyOriginal::Vary),
        (_, true) => Some(WhyOriginal::TooLarge),
        (false, false) => None,
    }
}

/// What of his own a visitor sends along.
pub(super) fn credentials(headers: &HeaderMap) -> Credentials {
    if headers.contains_key(AUTHORIZATION) {
        Credentials::Authorization
    } else if headers.contains_key(COOKIE) {
        Credentials::Cookie
    } else {
        Credentials::None
    }
}

/// A response as it is, for the one who asked.
pub(super) fn straight(edge: &Edge, visit: &Visit<'_>, response: OriginResponse, why: Option<WhyOriginal>) -> Answer {
    let handling = match *visit.method {
        Method::GET | Method::HEAD => Handling::Bypass,
        _ => Handling::Method,
    };
    let origin_ms = Some(respond::milliseconds(response.waited));
    let way = Way { handling, outcome: Outcome::Passthrough, collapsed: false, origin_ms, stages: None };
    respond::direct(visit.context(edge, Varies::BY_FORMAT), response, why, way)
}

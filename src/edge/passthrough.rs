//! What is not asked for as an image is forwarded to the origin as it is, and its response streamed back. Where the bytes
//! turn out to be an image that may be kept, it is developed like any other.

use std::sync::Arc;

use http::{
    HeaderMap, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, IF_RANGE, RANGE},
};
use url::Url;

use super::{
    handler::{Edge, RequestBody, Visit},
    lookup::Wanted,
    miss::Miss,
    problem::Problem,
    respond::{self, Answer, Way},
    vary::Varies,
};
use crate::{
    develop::{Obtained, read_head, sources::UrlKind},
    http::{
        cache_status::Handling,
        forwarding,
        storability::{Credentials, storable_image, varies_by_accept},
    },
    image::{format::InputFormat, why_original::WhyOriginal},
    origin::{error::FetchError, fetch::OriginResponse},
    request::{ImageRequest, SourceRef},
    telemetry::outcome::Outcome,
};

/// Forwards a request. `image` is what it asks for if it turns out to be an image.
pub(super) async fn forward(
    edge: &Arc<Edge>,
    visit: &Visit<'_>,
    body: RequestBody,
    image: Option<ImageRequest<'_>>,
) -> Result<Answer, Problem> {
    let path = visit.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = visit.site.source_url(&SourceRef::OwnPath(path.into()))?;
    let response = send(edge, visit, body, url.clone()).await?;
    match image {
        Some(image) if *visit.method == Method::GET && may_be_image(visit.headers, &response) => {
            sniffed(edge, visit, response, image, url).await
        }
        _ => Ok(straight(edge, visit, response, None)),
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

async fn send(edge: &Edge, visit: &Visit<'_>, body: RequestBody, url: Url) -> Result<OriginResponse, FetchError> {
    let mut headers = visit.headers.clone();
    forwarding::set_forwarded_for(&mut headers, visit.client, visit.host);
    edge.origins.forward(&visit.site.rules, visit.method.clone(), url, headers, body).await
}

/// Whether a response's bytes are worth a look: it is whole, and no stream of events that may begin in an hour.
fn may_be_image(request: &HeaderMap, response: &OriginResponse) -> bool {
    let is_part = request.contains_key(RANGE) || request.contains_key(IF_RANGE);
    let is_event_stream = response
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"));
    response.status == StatusCode::OK && !is_part && !is_event_stream
}

/// An image that came to one visitor may be his alone: if it may be shared at all, it is asked for again in the cache's own
/// name, once for all. Only where that gives an image too is it developed.
async fn sniffed(
    edge: &Arc<Edge>,
    visit: &Visit<'_>,
    mut response: OriginResponse,
    image: ImageRequest<'_>,
    url: Url,
) -> Result<Answer, Problem> {
    let head = read_head(&mut response).await?;
    if InputFormat::sniff(&head).is_none() {
        return Ok(straight(edge, visit, response, None));
    }
    if let Some(why) = why_not_shared(edge, visit, &response) {
        return Ok(straight(edge, visit, response, Some(why)));
    }
    let wanted = Wanted::new(visit.site, &image, visit.headers, visit.site.entitlement());
    let context = visit.context(edge, Varies::by(visit.site, &image));
    let miss = Miss { edge, visit, wanted: &wanted, context, url, url_kind: UrlKind::Any };
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

fn straight(edge: &Edge, visit: &Visit<'_>, response: OriginResponse, why: Option<WhyOriginal>) -> Answer {
    let handling = match *visit.method {
        Method::GET | Method::HEAD => Handling::Bypass,
        _ => Handling::Method,
    };
    let origin_ms = Some(response.waited.as_secs_f64() * 1e3);
    let way = Way { handling, outcome: Outcome::Passthrough, collapsed: false, origin_ms, stages: None };
    respond::direct(visit.context(edge, Varies::BY_FORMAT), response, why, way)
}

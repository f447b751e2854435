//! What is not asked for as an image is forwarded to the origin as it is, and its response streamed back. Where the bytes
//! turn out to be an image that may be kept, it is developed like any other.

use std::sync::Arc;

use http::{
    HeaderMap, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, IF_RANGE, RANGE},
};

use super::{
    handler::{Edge, RequestBody, Visit},
    lookup::Wanted,
    miss::Miss,
    problem::Problem,
    respond::{self, Answer, Way},
};
use crate::{
    develop::sources::read_head,
    http::{cache_status::Handling, forwarding, freshness::Credentials},
    image::{format::InputFormat, why_original::WhyOriginal},
    origin::fetch::OriginResponse,
    request::{self, FormatChoice, ImageRequest, SourceRef, key::SourceName},
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
    let mut headers = visit.headers.clone();
    forwarding::set_forwarded_for(&mut headers, visit.client, visit.host);
    let response = edge.origins.forward(&visit.site.rules, visit.method.clone(), url.clone(), headers, body).await?;
    match image {
        Some(image) if *visit.method == Method::GET && may_be_image(visit.headers, &response) => {
            sniffed(edge, visit, response, image, url).await
        }
        _ => Ok(straight(edge, visit, response, None)),
    }
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

async fn sniffed(
    edge: &Arc<Edge>,
    visit: &Visit<'_>,
    mut response: OriginResponse,
    image: ImageRequest<'_>,
    url: url::Url,
) -> Result<Answer, Problem> {
    let head = read_head(&mut response).await?;
    if InputFormat::sniff(&head).is_none() {
        return Ok(straight(edge, visit, response, None));
    }
    let accept = visit.headers.get_all(http::header::ACCEPT).iter().map(http::HeaderValue::as_bytes);
    let mut transform = image.transform.clone();
    transform.quality.get_or_insert(visit.site.quality);
    let name = SourceName { site: &visit.site.id, source: image.source.as_str() };
    let candidates = request::negotiate(accept, image.format);
    let wanted = Wanted { name, key: name.key(), transform: &transform, candidates };
    let miss = Miss { edge, visit, wanted, context: visit.context(edge, image.format), url };
    let spec = miss.spec();
    match edge.sources.adopt(&spec, response, &head, credentials(visit.headers)) {
        Err((response, why)) => Ok(straight(edge, visit, *response, Some(why))),
        Ok(waiting) => {
            let collapsed = waiting.collapsed;
            match miss.answer(&spec, waiting.result().await, collapsed).await? {
                Some(answer) => Ok(answer),
                None => miss.get().await,
            }
        }
    }
}

fn credentials(headers: &HeaderMap) -> Credentials {
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
    respond::direct(visit.context(edge, FormatChoice::Auto), response, why, way)
}

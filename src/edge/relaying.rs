//! What is not known as an image, out of the cache: a stored response while it may be used, else the origin's, which others
//! read while it comes.

use std::sync::Arc;

use http::Method;
use url::Url;

use super::{
    handler::{Edge, Visit},
    passthrough::{self, credentials},
    problem::Problem,
    respond::{Answer, Way, milliseconds},
    respond_relayed as respond,
    vary::Varies,
};
use crate::{
    http::{cache_status::Handling, request_directives::RequestDirectives},
    image::why_original::WhyOriginal,
    origin::fetch::OriginResponse,
    relay::{Because, Errand, Forwarded, How, Relayed},
    request::{ImageRequest, key::ResponseName},
    telemetry::outcome::Outcome,
};

/// A GET or HEAD that may be answered from the cache.
pub(super) struct Relaying<'a> {
    pub(super) edge: &'a Arc<Edge>,
    pub(super) visit: &'a Visit<'a>,
    /// What it asks for if it turns out to be an image.
    pub(super) image: &'a ImageRequest<'a>,
    pub(super) url: Url,
}

impl Relaying<'_> {
    pub(super) async fn get(self) -> Result<Answer, Problem> {
        let Self { edge, visit, .. } = self;
        let errand = self.errand();
        let relayed = match *visit.method {
            Method::HEAD => edge.relay.obtain_head(&errand).await,
            _ => edge.relay.obtain(&errand).await,
        };
        let context = visit.context(edge, Varies::BY_FORMAT);
        match relayed {
            Relayed::Stored(response, body, how) => Ok(respond::stored(context, &response.head, &body, way_of(how))),
            Relayed::Filling(fill, forwarded) => match fill.reader() {
                Some(reader) => Ok(respond::filling(context, &fill, reader, way_forwarded(forwarded))),
                None => self.alone().await,
            },
            Relayed::Image(response) => {
                passthrough::image_found(edge, visit, response.take(), self.image, self.url).await
            }
            Relayed::Direct(response, forwarded, why) => match response.take() {
                Some(response) => Ok(self.direct(response, why, way_forwarded(forwarded))),
                None => self.alone().await,
            },
            Relayed::Alone => self.alone().await,
            Relayed::NotCached => Err(Problem::NotCached),
            Relayed::Failed(error) => Err(error.into()),
        }
    }

    fn errand(&self) -> Errand {
        let site = self.visit.site;
        let (host, scheme) = (self.visit.host, self.visit.peer.scheme());
        let target = site.name_of(self.url.as_str());
        Errand {
            key: ResponseName { scope: &site.scope, host, scheme, target }.key(),
            site: Arc::clone(&site.id),
            scope: Arc::clone(&site.scope),
            host: host.into(),
            scheme,
            target: target.into(),
            url: self.url.clone(),
            rules: Arc::clone(&site.rules),
            lifetimes: site.passthrough_lifetimes,
            headers: passthrough::forwarded_fields(self.visit),
            directives: RequestDirectives::of(self.visit.headers),
            credentials: credentials(self.visit.headers),
        }
    }

    /// Forwards the request for this visitor only.
    async fn alone(self) -> Result<Answer, Problem> {
        let response = passthrough::send(self.edge, self.visit, None, self.url.clone()).await?;
        passthrough::own(self.edge, self.visit, response, Some(self.image), self.url).await
    }

    fn direct(&self, response: OriginResponse, why: Option<WhyOriginal>, way: Way) -> Answer {
        super::respond::direct(self.visit.context(self.edge, Varies::BY_FORMAT), response, why, way)
    }
}

fn way_of(how: How) -> Way {
    match how {
        How::Fresh => Way::HIT,
        How::WhileRevalidating => Way::HIT_WHILE_VALIDATED,
        How::InsteadOfError => Way { handling: Handling::Stale, outcome: Outcome::Stale, ..Way::HIT },
        How::Validated(forwarded) => way_forwarded(forwarded),
    }
}

fn way_forwarded(Forwarded { waited, collapsed, because }: Forwarded) -> Way {
    let handling = match because {
        Because::UriMiss => Handling::Miss,
        Because::VaryMiss => Handling::VaryMiss,
        Because::Stale => Handling::Stale,
    };
    Way { handling, outcome: Outcome::Passthrough, collapsed, origin_ms: Some(milliseconds(waited)), stages: None }
}

//! Requests to origins: one hop at a time, each vetted before a connection is made, each wait bounded. Redirects of image
//! fetches are followed here; everything else is forwarded as it is.

use std::{
    collections::VecDeque,
    error::Error,
    io::{self, ErrorKind},
    iter,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{
        ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, IF_MODIFIED_SINCE, IF_NONE_MATCH, LOCATION, SET_COOKIE, USER_AGENT,
    },
};
use url::Url;

use super::{
    address::{AddressPolicy, RefusedAddress},
    client,
    error::FetchError,
    lookups::Lookups,
    own::OwnListeners,
    places::{Held, Places, Reader},
    resolve::{Purpose, VettingResolver, connecting_for},
    upload,
    url_guard::{AllowedHosts, RefusedUrl, literal_of, vet_url},
};
use crate::{
    config,
    http::{forwarding, surrogate},
    telemetry::metrics::Metrics,
};

/// What a site allows its fetches to reach.
#[derive(Debug, Clone)]
pub struct OriginRules {
    /// Whose they are: its lookups of names have a bound of their own.
    pub site: Arc<str>,
    /// Hosts and ports that URLs may name.
    pub allowed: AllowedHosts,
    /// Which addresses may be connected to.
    pub policy: AddressPolicy,
    /// The part of all requests under way that may be this site's: an origin that is slow must not starve the others'.
    pub share: Places,
}

/// What is known of a stored original, to ask whether it still holds (RFC 9110, 13.1).
#[derive(Debug, Clone, Default)]
pub struct Validators {
    /// The origin's `ETag`.
    pub etag: Option<HeaderValue>,
    /// The origin's `Last-Modified`.
    pub last_modified: Option<HeaderValue>,
}

/// The connections to all origins.
#[derive(Debug)]
pub struct Origins {
    public: reqwest::Client,
    private: reqwest::Client,
    own: OwnListeners,
    places: Places,
    limits: config::Origin,
    name: String,
    metrics: Arc<Metrics>,
}

/// A response whose head has come, and whose body is taken piece by piece.
#[derive(Debug)]
pub struct OriginResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, hop-by-hop ones taken out.
    pub headers: HeaderMap,
    /// Where it came from, after redirects.
    pub url: Url,
    /// From sending the request to the head, redirects included.
    pub waited: Duration,
    content_length: Option<u64>,
    unread: VecDeque<Bytes>,
    inner: reqwest::Response,
    pace: Pace,
    idle_timeout: Duration,
    /// Its places among the requests under way. Apart: a response is moved often, and these seldom looked at.
    held: Box<Held>,
}

/// How long the body may take.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// All of it until then.
    Until(Instant),
    /// Each piece this long after the one before.
    Idle(Duration),
}

/// What an image fetch sends beside the protocol's own: no compression on top, and the formats that make the best
/// originals, so that an origin which negotiates does not hand out its own small variants.
const IMAGE_ACCEPT: &str = "image/jpeg,image/png,image/gif,image/*;q=0.9,*/*;q=0.8";

impl Origins {
    /// Sets up the connections; nothing is connected yet.
    ///
    /// # Errors
    /// What the TLS library says, such as that the system has no root certificates.
    pub fn new(limits: config::Origin, name: &str, metrics: Arc<Metrics>) -> Result<Self, reqwest::Error> {
        let (lookups, own) = (Lookups::by_system(), OwnListeners::default());
        let client = |policy| {
            let resolver = VettingResolver::new(policy, own.clone(), limits.connect_timeout.0, lookups.clone());
            client::builder(resolver, limits.connect_timeout.0, client::IDLE_TIMEOUT).build()
        };
        Ok(Self {
            public: client(AddressPolicy::PublicOnly)?,
            private: client(AddressPolicy::PrivateAllowed)?,
            own,
            places: Places::new(limits.max_requests),
            limits,
            name: name.to_owned(),
            metrics,
        })
    }

    /// The edge's own listeners, which are no origins.
    #[must_use]
    pub const fn own_listeners(&self) -> &OwnListeners {
        &self.own
    }

    /// The limits towards origins.
    #[must_use]
    pub const fn limits(&self) -> &config::Origin {
        &self.limits
    }

    /// Fetches an original, following redirects that stay within the site's rules. A redirect that leaves them comes
    /// back as it is: it is the visitor's to follow.
    ///
    /// # Errors
    /// [`FetchError`]; a status of 500 or above is one too.
    pub async fn fetch_image(
        &self,
        rules: &OriginRules,
        url: Url,
        validators: &Validators,
    ) -> Result<OriginResponse, FetchError> {
        let started = Instant::now();
        let deadline = started + self.limits.total_timeout.0;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(IMAGE_ACCEPT));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("lightmeter/", env!("CARGO_PKG_VERSION"))));
        if let Some(etag) = &validators.etag {
            headers.insert(IF_NONE_MATCH, etag.clone());
        }
        if let Some(date) = &validators.last_modified {
            headers.insert(IF_MODIFIED_SINCE, date.clone());
        }
        forwarding::mark_forwarded(&mut headers, &self.name, Version::HTTP_11);
        surrogate::tell_capability(&mut headers);

        let mut url = url;
        for _ in 0..=self.limits.max_redirects {
            let request = Outgoing {
                method: Method::GET,
                url: url.clone(),
                headers: headers.clone(),
                body: None,
                pace: Pace::Until(deadline),
                reader: Reader::Cache,
                started,
            };
            let mut response = self.send(rules, request).await?;
            // It was asked for nobody in particular: a session that it opens is nobody's.
            response.headers.remove(SET_COOKIE);
            match redirect_target(&response) {
                None if response.status.is_server_error() => {
                    return Err(FetchError::OriginFailed { status: response.status });
                }
                None => return Ok(response),
                Some(next) => match vet_hop(rules, &url, &next) {
                    Hop::Follow => url = next,
                    Hop::Leave => return Ok(response),
                    Hop::Refuse(refused) => return Err(FetchError::RefusedUrl(refused)),
                },
            }
        }
        Err(FetchError::TooManyRedirects { limit: self.limits.max_redirects })
    }

    /// Forwards a request to the origin as it is, but for what belongs to the connection. The body streams.
    ///
    /// # Errors
    /// [`FetchError`]
    pub async fn forward(
        &self,
        rules: &OriginRules,
        method: Method,
        url: Url,
        mut headers: HeaderMap,
        body: Option<reqwest::Body>,
        reader: Reader,
    ) -> Result<OriginResponse, FetchError> {
        forwarding::remove_hop_by_hop(&mut headers);
        if body.is_none() {
            forwarding::leave_body_behind(&mut headers);
        }
        forwarding::mark_forwarded(&mut headers, &self.name, Version::HTTP_11);
        surrogate::tell_capability(&mut headers);
        let pace = Pace::Idle(self.limits.idle_timeout.0);
        self.send(rules, Outgoing { method, url, headers, body, pace, reader, started: Instant::now() }).await
    }

    async fn send(&self, rules: &OriginRules, request: Outgoing) -> Result<OriginResponse, FetchError> {
        let started = request.started;
        let answer = self.send_vetted(rules, request).await;
        let result = answer.as_ref().map_or_else(FetchError::label, |response| status_class(response.status));
        self.metrics.observe_fetch(result, started.elapsed());
        answer
    }

    async fn send_vetted(&self, rules: &OriginRules, request: Outgoing) -> Result<OriginResponse, FetchError> {
        let Outgoing { method, url, headers, body, pace, reader, started } = request;
        let purpose = self.vet(rules, &url).map_err(FetchError::RefusedUrl)?;
        let held = Box::new(Held::take(&rules.share, &self.places, reader)?);
        let client = match rules.policy {
            AddressPolicy::PublicOnly => &self.public,
            AddressPolicy::PrivateAllowed => &self.private,
        };
        let is_safe = method.is_safe();
        let builder = client.request(method, url.clone()).headers(headers);
        let inner = match body {
            None => connecting_for(purpose, self.ask(builder, is_safe, pace)).await?,
            // An upload may take as long as it goes on.
            Some(body) => {
                let (body, progress) = upload::watched(body);
                let sent = connecting_for(purpose, builder.body(body).send());
                upload::while_it_goes_on(sent, &progress, self.limits.idle_timeout.0).await?
            }
        }
        .map_err(|error| classify(&error))?;
        let mut headers = inner.headers().clone();
        forwarding::settle_length(&mut headers);
        forwarding::remove_hop_by_hop(&mut headers);
        forwarding::remove_other_services(&mut headers);
        Ok(OriginResponse {
            status: inner.status(),
            headers,
            url,
            waited: started.elapsed(),
            content_length: inner.content_length(),
            unread: VecDeque::new(),
            inner,
            pace,
            idle_timeout: self.limits.idle_timeout.0,
            held,
        })
    }

    /// Passes a URL that may be asked for; what it resolves to is vetted when there is a connection to be made.
    fn vet(&self, rules: &OriginRules, url: &Url) -> Result<Purpose, RefusedUrl> {
        vet_url(url, &rules.allowed, rules.policy)?;
        let port = url.port_or_known_default().unwrap_or_default();
        if let Some(address) = literal_of(url) {
            self.own.vet(SocketAddr::new(address, port)).map_err(RefusedUrl::Address)?;
        }
        Ok(Purpose { site: Arc::clone(&rules.site), port })
    }

    /// Sends what has no body. Where the connection ended before an answer began, which happens to those that stood idle for
    /// long, once more, if asking twice does no harm (RFC 9110, 9.2.2).
    async fn ask(
        &self,
        request: reqwest::RequestBuilder,
        is_safe: bool,
        pace: Pace,
    ) -> Result<reqwest::Result<reqwest::Response>, FetchError> {
        let again = request.try_clone().filter(|_| is_safe);
        let answer = within(self.first_byte(pace), request.send()).await?;
        match (answer, again) {
            (Err(error), Some(again)) if has_ended_unanswered(&error) => {
                within(self.first_byte(pace), again.send()).await
            }
            (answer, _) => Ok(answer),
        }
    }

    fn first_byte(&self, pace: Pace) -> Duration {
        let limit = self.limits.first_byte_timeout.0;
        match pace {
            Pace::Until(deadline) => limit.min(deadline.saturating_duration_since(Instant::now())),
            Pace::Idle(_) => limit,
        }
    }
}

struct Outgoing {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<reqwest::Body>,
    pace: Pace,
    reader: Reader,
    /// When it was begun, redirects before it included.
    started: Instant,
}

impl OriginResponse {
    /// The next piece of the body, `None` at its end.
    ///
    /// # Errors
    /// [`FetchError::TimedOut`] or [`FetchError::Broken`], the latter also where fewer bytes came than were announced.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        if let Some(piece) = self.unread.pop_front() {
            return Ok(Some(piece));
        }
        let patience = match self.pace {
            Pace::Until(deadline) => deadline.saturating_duration_since(Instant::now()),
            Pace::Idle(limit) => limit,
        };
        within(patience, self.inner.chunk()).await?.map_err(|error| classify(&error))
    }

    /// Lets the body take as long as it takes, if only it goes on: for one who reads it himself, at his own pace.
    ///
    /// # Errors
    /// [`FetchError::Busy`] where visitors read as many as they may. It keeps the place that it had, if it is read all the same.
    pub fn unhurried(&mut self) -> Result<(), FetchError> {
        self.pace = Pace::Idle(self.idle_timeout);
        self.held.leave_to_a_visitor()
    }

    /// Gives back what was read to look at it, in its order: [`Self::chunk`] gives it again.
    pub fn unread(&mut self, pieces: Vec<Bytes>) {
        for piece in pieces.into_iter().rev() {
            self.unread.push_front(piece);
        }
    }

    /// The length that the origin announced, of the whole body.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether its bytes are worth a look: it is whole, and no stream of events that may begin in an hour.
    #[must_use]
    pub fn is_worth_a_look(&self) -> bool {
        let content_type = self.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        self.status == StatusCode::OK && !content_type.to_ascii_lowercase().starts_with(b"text/event-stream")
    }

    /// Where a redirect leads, absolute.
    #[must_use]
    pub fn location(&self) -> Option<Url> {
        redirect_target(self)
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Result<T, FetchError> {
    tokio::time::timeout(patience, work).await.map_err(|_| FetchError::TimedOut { after: patience })
}

const fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500..600 => "5xx",
        _ => "1xx",
    }
}

fn redirect_target(response: &OriginResponse) -> Option<Url> {
    let is_redirect = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers.get(LOCATION).filter(|_| is_redirect)?;
    let mut target = response.url.join(location.to_str().ok()?).ok()?;
    // A fragment is the visitor's business (RFC 9110, 10.2.2).
    target.set_fragment(None);
    Some(target)
}

#[derive(Debug, PartialEq, Eq)]
enum Hop {
    Follow,
    Leave,
    Refuse(RefusedUrl),
}

/// A redirect to a host that the site does not name is left to the visitor, as is one from https to http: the edge does
/// not lower what the origin promised. One that names an address or a form that is never asked for is refused.
fn vet_hop(rules: &OriginRules, from: &Url, to: &Url) -> Hop {
    match vet_url(to, &rules.allowed, rules.policy) {
        Ok(()) if from.scheme() == "https" && to.scheme() == "http" => Hop::Leave,
        Ok(()) => Hop::Follow,
        Err(refused) if refused.is_host_not_listed() => Hop::Leave,
        Err(refused) => Hop::Refuse(refused),
    }
}

/// Whether the connection was there and ended without a whole head.
fn has_ended_unanswered(error: &reqwest::Error) -> bool {
    let has_ended = |cause: &(dyn Error + 'static)| {
        let is_cut = cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
        let is_reset = cause.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe)
        });
        is_cut || is_reset
    };
    !error.is_connect() && causes(error).any(has_ended)
}

/// What is behind an error, the innermost at the end.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    iter::successors(error.source(), |&cause| cause.source())
}

fn classify(error: &reqwest::Error) -> FetchError {
    if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<RefusedAddress>()) {
        return FetchError::RefusedAddress(refused.clone());
    }
    let innermost = causes(error).last().map_or_else(|| error.to_string(), ToString::to_string);
    if error.is_connect() {
        FetchError::CannotConnect { cause: innermost }
    } else {
        FetchError::Broken { cause: innermost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a redirect, for a site whose origin is `from`.
    fn hop(from: &str, to: &str, policy: AddressPolicy) -> Hop {
        let (from, to) = (Url::parse(from).unwrap(), Url::parse(to).unwrap());
        let sources = ["cdn.example".to_owned(), "*.img.example".to_owned()];
        let allowed = AllowedHosts::new(&from, &sources);
        let rules = OriginRules { site: "shop".into(), allowed, policy, share: Places::new(1) };
        vet_hop(&rules, &from, &to)
    }

    #[test]
    fn a_redirect_is_followed_within_the_site_and_never_from_https_to_http() {
        const FROM: &str = "https://shop.example/a.jpg";
        for (from, to, becomes) in [
            (FROM, "https://shop.example/b.jpg", "Follow"),
            (FROM, "https://cdn.example/a.jpg", "Follow"),
            (FROM, "https://x.img.example/a.jpg", "Follow"),
            ("http://shop.example/a.jpg", "https://shop.example/a.jpg", "Follow"),
            ("http://shop.example/a.jpg", "http://shop.example/b.jpg", "Follow"),
            ("http://shop.example:8081/a.jpg", "http://cdn.example/a.jpg", "Follow"),
            // To http, on whichever host, however it is written.
            (FROM, "http://shop.example/a.jpg", "Leave"),
            (FROM, "http://shop.example/", "Leave"),
            (FROM, "HTTP://SHOP.example.:80/a.jpg", "Leave"),
            (FROM, "http://cdn.example/a.jpg", "Leave"),
            (FROM, "http://x.img.example/a.jpg", "Leave"),
            ("https://shop.example:8443/a.jpg", "http://cdn.example/a.jpg", "Leave"),
            // To hosts that are the visitor's to go to.
            (FROM, "https://other.example/a.jpg", "Leave"),
            (FROM, "http://other.example/a.jpg", "Leave"),
            // To what nobody is to ask for.
            (FROM, "http://shop.example:8080/a.jpg", "Refuse"),
            (FROM, "https://user@shop.example/a.jpg", "Refuse"),
            (FROM, "http://127.0.0.1/a.jpg", "Refuse"),
            (FROM, "http://169.254.169.254/a.jpg", "Refuse"),
            (FROM, "ftp://shop.example/a.jpg", "Refuse"),
        ] {
            let hop = hop(from, to, AddressPolicy::PublicOnly);
            assert!(format!("{hop:?}").starts_with(becomes), "{from} to {to}: {hop:?}");
        }
    }
}

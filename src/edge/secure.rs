//! What https asks of requests and responses: the host of the handshake, the way to https, and the promise to stay there; and
//! what certificate authorities ask in the clear.

use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Uri,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, STRICT_TRANSPORT_SECURITY},
};

use super::{
    body::{EdgeBody, Told},
    handler::{Edge, Visit},
    peer::Peer,
    problem::Problem,
    respond::{Answer, response, text},
    sites::Site,
};
use crate::{
    config::{HttpsUse, SiteConfig},
    http::scheme::Scheme,
    telemetry::outcome::{Delivered, Outcome},
    tls::challenge,
};

/// The port of https URLs that name none.
const HTTPS_PORT: u16 = 443;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The answer to a certificate authority that asks whether a name leads here (RFC 8555, 8.3), where it asks for something
/// that it was told. Whatever else stands in that place is the origin's.
pub(super) async fn challenge(edge: &Edge, method: &Method, uri: &Uri) -> Option<Answer> {
    let token = uri.path().strip_prefix(challenge::PATH_PREFIX)?;
    if *method != Method::GET && *method != Method::HEAD {
        return None;
    }
    let authorization = authorization(edge, token).await?;
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(CONTENT_LENGTH, authorization.len().into());
    let body = if *method == Method::HEAD { EdgeBody::empty() } else { EdgeBody::whole(authorization.into()) };
    Some(own(StatusCode::OK, headers, body))
}

/// What an order of this node answers, or of another one that shares its certificates.
async fn authorization(edge: &Edge, token: &str) -> Option<String> {
    if let Some(own) = edge.challenges.authorization(token) {
        return Some(own.into());
    }
    edge.issuer.as_ref()?.posted_answer(token).await
}

/// Whoever secured a connection for one host gets no other over it (RFC 9110, 7.4 and 15.5.20): who looks after the one may
/// have nothing to do with the other. A client that named nobody has nothing to disagree with.
pub(super) fn refuse_other_host(peer: &Peer, host: &str) -> Result<(), Problem> {
    let named = peer.tls.as_ref().and_then(|handshake| handshake.server_name.as_deref());
    match named {
        Some(name) if name != host => Err(Problem::OtherHost(host.to_owned())),
        _ => Ok(()),
    }
}

/// The way to https, where the site wants its visitors there and this one is not. 308 keeps method and body. Certificate
/// authorities are answered in the clear.
pub(super) fn redirect(edge: &Edge, visit: &Visit<'_>) -> Option<Answer> {
    let is_wanted = visit.site.https == HttpsUse::Redirect
        && visit.peer.scheme() == Scheme::Http
        && !visit.uri.path().starts_with(challenge::PATH_PREFIX);
    if !is_wanted {
        return None;
    }
    let port = match edge.https_port {
        HTTPS_PORT => String::new(),
        port => format!(":{port}"),
    };
    let path = visit.uri.path_and_query().map_or("/", |path| path.as_str());
    // `OPTIONS *` is about the server.
    let path = if path.starts_with('/') { path } else { "/" };
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(LOCATION, text(format!("https://{}{port}{path}", visit.host)));
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(CONTENT_LENGTH, 0.into());
    Some(own(StatusCode::PERMANENT_REDIRECT, headers, EdgeBody::empty()))
}

fn own(status: StatusCode, headers: HeaderMap, body: EdgeBody) -> Answer {
    (response(status, headers, body), Told::new(Outcome::Own, Delivered::Other))
}

/// What a site promises browsers of https: the value of `Strict-Transport-Security` (RFC 6797, 6.1).
pub(super) fn promise(site: &SiteConfig) -> Option<HeaderValue> {
    let seconds = site.hsts?.0.as_secs();
    let below = if site.hsts_include_subdomains { "; includeSubDomains" } else { "" };
    Some(text(format!("max-age={seconds}{below}")))
}

/// Puts the promise on a response over https. In the clear there must be none (RFC 6797, 7.2), whoever would make it.
pub(super) fn keep_promise(response: &mut Response<EdgeBody>, site: &Site, scheme: Scheme) {
    match (scheme, &site.hsts) {
        (Scheme::Http, _) => drop(response.headers_mut().remove(STRICT_TRANSPORT_SECURITY)),
        (Scheme::Https, Some(promise)) => {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, promise.clone());
        }
        (Scheme::Https, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_says_how_long_and_for_what() {
        let promise = |keys: &str| {
            let text = format!("id = 's'\nhosts = ['a.example']\norigin = 'https://a.example'\n{keys}");
            promise(&toml::from_str(&text).unwrap())
        };
        assert_eq!(promise(""), None);
        assert_eq!(promise("hsts = '180d'").unwrap(), "max-age=15552000");
        assert_eq!(promise("hsts = '0s'").unwrap(), "max-age=0");
        let below = promise("hsts = '1d'\nhsts_include_subdomains = true").unwrap();
        assert_eq!(below, "max-age=86400; includeSubDomains");
    }
}

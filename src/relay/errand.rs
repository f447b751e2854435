//! What a visitor asks of an origin, as far as it may be answered from the cache.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderName,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE},
};
use url::Url;

use crate::{
    cache::key::CacheKey,
    http::{
        forwarding, freshness::Lifetimes, request_directives::RequestDirectives, scheme::Scheme,
        storability::Credentials,
    },
    origin::fetch::OriginRules,
    request::key::{ResponseName, SourceName},
};

/// A GET on its way to an origin.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The site's id.
    pub site: Arc<str>,
    /// What the site's entries are named after.
    pub scope: Arc<str>,
    /// Which of the site's hosts was asked.
    pub host: Arc<str>,
    /// Path and query, as they are asked for.
    pub target: Arc<str>,
    /// The key of all that: what stands for the URL stands under it.
    pub key: CacheKey,
    /// By which scheme the visitor came.
    pub scheme: Scheme,
    /// Where it is asked for.
    pub url: Url,
    /// What may be reached.
    pub rules: Arc<OriginRules>,
    /// The site's lifetimes.
    pub lifetimes: Lifetimes,
    /// The visitor's fields, as they are forwarded.
    pub headers: HeaderMap,
    /// What he asks of caches.
    pub directives: RequestDirectives,
    /// What of his own he sends along.
    pub credentials: Credentials,
}

/// What asks for less than the whole, or for it only under a condition: the cache asks for all of it, and answers such
/// requests itself.
const ASKS_FOR_LESS: [HeaderName; 6] =
    [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];

impl Errand {
    pub(super) fn name(&self) -> ResponseName<'_> {
        ResponseName { scope: &self.scope, host: &self.host, scheme: self.scheme, target: &self.target }
    }

    /// What purges call it.
    pub(super) fn purge_name(&self) -> SourceName<'_> {
        SourceName { scope: &self.scope, source: &self.target }
    }

    /// Whether he asks for a part, or under a condition that only the origin can weigh.
    pub(super) fn asks_for_less(&self) -> bool {
        [RANGE, IF_MATCH, IF_UNMODIFIED_SINCE].iter().any(|name| self.headers.contains_key(name))
    }

    /// What the cache asks with, in its own name.
    pub(super) fn whole(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        for name in ASKS_FOR_LESS {
            headers.remove(name);
        }
        forwarding::keep_method(&mut headers);
        headers
    }
}

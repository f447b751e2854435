//! The sites and how a host finds its own: an immutable table, swapped whole when the configuration is read anew.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use http::HeaderValue;
use tokio::sync::Semaphore;
use url::Url;

use super::secure;
use crate::{
    billing::Entitlement,
    config::{Config, Essential, EssentialDelivery, FirstView, HttpsUse, Passthrough, Qualities, SiteConfig, Span},
    http::freshness::Lifetimes,
    meter::SiteMeter,
    origin::{address::AddressPolicy, fetch::OriginRules, url_guard::AllowedHosts},
    request::SourceRef,
    telemetry::metrics::{Metrics, SiteMetrics},
};

/// Of all requests to origins that may be under way, the part that one site may have.
const SITE_PART: usize = 4;

/// A site, ready to serve.
#[derive(Debug)]
pub struct Site {
    /// Its id.
    pub id: Arc<str>,
    /// What its cache entries are named after: id and origin, so that another origin is another site.
    pub scope: Arc<str>,
    /// Where its originals live, without a trailing slash.
    origin: String,
    /// What its fetches may reach.
    pub rules: Arc<OriginRules>,
    /// What the first view gets.
    pub first_view: FirstView,
    /// How long originals, and what is made of them, are fresh.
    pub lifetimes: Lifetimes,
    /// And what passes through.
    pub passthrough_lifetimes: Lifetimes,
    /// Whether what passes through is kept.
    pub passthrough: Passthrough,
    /// `max-age` of an original that stands in for a variant.
    pub fallback_ttl: Duration,
    /// Quality where a request names none.
    pub qualities: Qualities,
    /// What is served when the credits are gone.
    pub essential: Essential,
    /// How originals are served then.
    pub essential_delivery: EssentialDelivery,
    /// What its usage is counted with; none where nobody pays.
    pub meter: Option<Arc<SiteMeter>>,
    /// What becomes of visitors who come in the clear.
    pub https: HttpsUse,
    /// What browsers are told of https.
    pub hsts: Option<HeaderValue>,
    /// Its counters.
    pub metrics: SiteMetrics,
}

/// All sites, by host.
#[derive(Debug, Default)]
pub struct SiteTable {
    exact: HashMap<String, Arc<Site>>,
    /// By the part behind `*.`.
    wildcard: HashMap<String, Arc<Site>>,
    any: Option<Arc<Site>>,
}

/// A source that cannot be named as a URL of the site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no source: {1}")]
pub struct BadSource(String, String);

impl Site {
    fn new(site: &SiteConfig, config: &Config, metrics: &Metrics, meter: Option<Arc<SiteMeter>>) -> Self {
        let share = Arc::new(Semaphore::new((config.origin.max_requests / SITE_PART).max(1)));
        let policy = if site.allow_private_origin { AddressPolicy::PrivateAllowed } else { AddressPolicy::PublicOnly };
        Self {
            id: site.id.as_str().into(),
            scope: format!("{} {}", site.id, site.origin).into(),
            origin: site.origin.as_str().trim_end_matches('/').to_owned(),
            rules: Arc::new(OriginRules { allowed: AllowedHosts::new(&site.origin, &site.sources), policy, share }),
            first_view: site.first_view,
            lifetimes: lifetimes(site, site.default_ttl),
            passthrough_lifetimes: lifetimes(site, site.passthrough_ttl),
            passthrough: site.passthrough,
            fallback_ttl: site.fallback_ttl.0,
            qualities: Qualities::of(site, &config.images),
            essential: site.essential,
            essential_delivery: site.essential_delivery,
            meter,
            https: site.https,
            hsts: secure::promise(site),
            metrics: metrics.site(&site.id),
        }
    }

    /// Whether a URL lies on the site's origin: scheme, host, port and path. Only there may a visitor's own credentials go.
    #[must_use]
    pub fn is_on_origin(&self, url: &Url) -> bool {
        url.as_str().strip_prefix(&self.origin).is_some_and(|rest| rest.starts_with('/'))
    }

    /// What the site may do: one atomic read. A site that nobody pays for may do anything.
    #[must_use]
    pub fn entitlement(&self) -> Entitlement {
        self.meter.as_ref().map_or(Entitlement::Optimize, |meter| meter.entitlement())
    }

    /// What a source is called in charges: one on the site's own origin has the same name as its path has, however it was
    /// asked for.
    #[must_use]
    pub fn charged_name<'s>(&self, source: &'s str) -> &'s str {
        source.strip_prefix(&self.origin).filter(|path| path.starts_with('/')).unwrap_or(source)
    }

    /// The URL of a source. A path is appended to the origin's; it cannot climb out of it.
    ///
    /// # Errors
    /// [`BadSource`]
    pub fn source_url(&self, source: &SourceRef<'_>) -> Result<Url, BadSource> {
        let bad = |why: &str| BadSource(source.as_str().chars().take(200).collect(), why.to_owned());
        let mut url = match source {
            SourceRef::Absolute(url) => Url::parse(url).map_err(|error| bad(&error.to_string()))?,
            SourceRef::OwnPath(path) => {
                let url = Url::parse(&format!("{}{path}", self.origin)).map_err(|error| bad(&error.to_string()))?;
                if !self.is_on_origin(&url) {
                    return Err(bad("it leads out of the site's origin"));
                }
                url
            }
        };
        url.set_fragment(None);
        Ok(url)
    }
}

/// What a site says of lifetimes, with `default` where the origin says nothing.
fn lifetimes(site: &SiteConfig, default: Span) -> Lifetimes {
    Lifetimes {
        default: default.0,
        min: site.min_ttl.0,
        max: site.max_ttl.0,
        heuristic_percent: site.heuristic_percent,
        stale_if_error: site.stale_if_error.0,
    }
}

impl SiteTable {
    /// The table of `sites`; `meter` gives each the meter that its usage is counted with, if it has one.
    #[must_use]
    pub fn new<'c>(
        sites: impl IntoIterator<Item = &'c SiteConfig>,
        config: &Config,
        metrics: &Metrics,
        meter: impl Fn(&SiteConfig) -> Option<Arc<SiteMeter>>,
    ) -> Self {
        let mut table = Self::default();
        for site_config in sites {
            let site = Arc::new(Site::new(site_config, config, metrics, meter(site_config)));
            for host in &site_config.hosts {
                match host.strip_prefix("*.") {
                    Some(suffix) => {
                        table.wildcard.insert(suffix.to_owned(), Arc::clone(&site));
                    }
                    None if host == "*" => table.any = Some(Arc::clone(&site)),
                    None => {
                        table.exact.insert(host.clone(), Arc::clone(&site));
                    }
                }
            }
        }
        table
    }

    /// The site of a host (lower case, no port): exact, then the longest wildcard, then the site of any host.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&Arc<Site>> {
        if let Some(site) = self.exact.get(host) {
            return Some(site);
        }
        if !self.wildcard.is_empty() && host.parse::<IpAddr>().is_err() {
            let mut rest = host;
            while let Some((_, suffix)) = rest.split_once('.') {
                if let Some(site) = self.wildcard.get(suffix) {
                    return Some(site);
                }
                rest = suffix;
            }
        }
        self.any.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn table(text: &str) -> SiteTable {
        let config: Config = toml::from_str(text).unwrap();
        SiteTable::new(&config.sites, &config, &Metrics::new().unwrap(), |_| None)
    }

    fn site_text(id: &str, hosts: &str, origin: &str) -> String {
        format!("[[site]]\nid='{id}'\nhosts={hosts}\norigin='{origin}'\n")
    }

    #[test]
    fn an_exact_host_wins_over_a_wildcard_and_a_longer_wildcard_over_a_shorter() {
        let text = site_text("exact", "['img.shop.example']", "https://a.example")
            + &site_text("wild", "['*.shop.example']", "https://a.example")
            + &site_text("deep", "['*.eu.shop.example']", "https://a.example");
        let table = table(&text);
        let found = |host| table.find(host).map(|site| site.id.to_string());
        assert_eq!(found("img.shop.example").as_deref(), Some("exact"));
        assert_eq!(found("x.shop.example").as_deref(), Some("wild"));
        assert_eq!(found("a.b.shop.example").as_deref(), Some("wild"));
        assert_eq!(found("a.eu.shop.example").as_deref(), Some("deep"));
        assert_eq!(found("shop.example"), None);
        assert_eq!(found("evilshop.example"), None);
    }

    #[test]
    fn the_star_serves_what_nobody_else_does() {
        let table = table(&site_text("any", "['*']", "https://a.example"));
        assert!(table.find("whatever.example").is_some() && table.find("127.0.0.1").is_some());
    }

    #[test]
    fn a_source_on_the_own_origin_is_charged_under_its_path() {
        let table = table(&site_text("s", "['*']", "https://a.example/base/"));
        let site = table.find("x").unwrap();
        for (source, name) in [
            ("/a.jpg", "/a.jpg"),
            ("https://a.example/base/a.jpg", "/a.jpg"),
            ("https://a.example/basement/a.jpg", "https://a.example/basement/a.jpg"),
            ("https://b.example/a.jpg", "https://b.example/a.jpg"),
        ] {
            assert_eq!(site.charged_name(source), name);
        }
    }

    #[test]
    fn a_path_is_appended_to_the_origin_and_stays_below_it() {
        let table = table(&site_text("s", "['*']", "https://a.example/base/"));
        let site = table.find("x").unwrap();
        let url = |path: &'static str| site.source_url(&SourceRef::OwnPath(Cow::Borrowed(path)));
        assert_eq!(url("/a%20b.jpg?x=1").unwrap().as_str(), "https://a.example/base/a%20b.jpg?x=1");
        assert_eq!(url("/x/../a.jpg").unwrap().as_str(), "https://a.example/base/a.jpg");
        for climbing in ["/../a.jpg", "/%2e%2e/a.jpg", "/..\\a.jpg", "/../basement/a.jpg"] {
            assert!(url(climbing).is_err(), "{climbing}");
        }
    }
}

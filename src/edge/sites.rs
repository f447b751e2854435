//! The sites and how a host finds its own: an immutable table, swapped whole when the configuration is read anew.

use std::{borrow::Cow, collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use http::HeaderValue;
use tokio::sync::Semaphore;
use url::Url;

use super::{limits::buckets::Bucket, secure};
use crate::{
    billing::Entitlement,
    cache::purge::name::canonical,
    config::{Config, Essential, EssentialDelivery, FirstView, HttpsUse, Passthrough, Qualities, SiteConfig, Span},
    http::freshness::Lifetimes,
    meter::SiteMeter,
    origin::{address::AddressPolicy, fetch::OriginRules, url_guard::AllowedHosts},
    request::{
        Presets, SourceRef,
        signature::{Keys, Signing},
    },
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
    /// Which of its URLs must be signed.
    pub signing: Signing,
    /// What signed ones are verified with.
    pub keys: Keys,
    /// What its requests may call options.
    pub presets: Presets,
    /// What is served when the credits are gone.
    pub essential: Essential,
    /// How originals are served then.
    pub essential_delivery: EssentialDelivery,
    /// How often it may be asked; none for no bound.
    pub(super) requests: Option<Bucket>,
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
    /// A site. What it may still do is what `before` left it: whoever changes a site's settings gains nothing by that.
    fn new(
        site: &SiteConfig,
        config: &Config,
        metrics: &Metrics,
        meter: Option<Arc<SiteMeter>>,
        before: Option<&Self>,
    ) -> Self {
        let share = before.map_or_else(
            || Arc::new(Semaphore::new((config.origin.max_requests / SITE_PART).max(1))),
            |before| Arc::clone(&before.rules.share),
        );
        let policy = if site.allow_private_origin { AddressPolicy::PrivateAllowed } else { AddressPolicy::PublicOnly };
        let id: Arc<str> = site.id.as_str().into();
        let allowed = AllowedHosts::new(&site.origin, &site.sources);
        Self {
            id: Arc::clone(&id),
            scope: format!("{} {}", site.id, site.origin).into(),
            origin: site.origin.as_str().trim_end_matches('/').to_owned(),
            rules: Arc::new(OriginRules { site: id, allowed, policy, share }),
            first_view: site.first_view,
            lifetimes: lifetimes(site, site.default_ttl),
            passthrough_lifetimes: lifetimes(site, site.passthrough_ttl),
            passthrough: site.passthrough,
            fallback_ttl: site.fallback_ttl.0,
            qualities: Qualities::of(site, &config.images),
            signing: site.signing,
            keys: site.keys(),
            // Settings are checked before they get here; were they not, nothing could be asked for.
            presets: site.read_presets().unwrap_or_else(|_| Presets::nothing()),
            essential: site.essential,
            essential_delivery: site.essential_delivery,
            requests: Bucket::new(
                site.requests_per_second,
                site.burst,
                before.and_then(|before| before.requests.as_ref()),
            ),
            meter,
            https: site.https,
            hsts: secure::promise(site),
            metrics: metrics.site(&site.id),
        }
    }

    /// Whether a URL lies on the site's origin: scheme, host, port and path. Only there may a visitor's own credentials go.
    #[must_use]
    pub fn is_on_origin(&self, url: &Url) -> bool {
        self.path_of(url.as_str()).is_some()
    }

    fn path_of<'u>(&self, url: &'u str) -> Option<&'u str> {
        url.strip_prefix(&self.origin).filter(|path| path.starts_with('/'))
    }

    /// What the site may do: one atomic read. A site that nobody pays for may do anything.
    #[must_use]
    pub fn entitlement(&self) -> Entitlement {
        self.meter.as_ref().map_or(Entitlement::Optimize, |meter| meter.entitlement())
    }

    /// What a URL is called within the site: what lies on its origin has the same name as its path has.
    #[must_use]
    pub fn name_of<'u>(&self, url: &'u str) -> &'u str {
        self.path_of(url).unwrap_or(url)
    }

    /// What a source is called in charges: the same whichever of its spellings it was asked for by, so that it is paid for once
    /// (`billing.md` rule 4).
    #[must_use]
    pub fn charged_name<'s>(&self, source: &'s str) -> Cow<'s, str> {
        canonical(&self.origin, source)
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
    /// The table of `sites`, in the place of one before; `meter` gives each the meter that its usage is counted with, if it
    /// has one.
    #[must_use]
    pub fn new<'c>(
        sites: impl IntoIterator<Item = &'c SiteConfig>,
        config: &Config,
        metrics: &Metrics,
        before: &Self,
        meter: impl Fn(&SiteConfig) -> Option<Arc<SiteMeter>>,
    ) -> Self {
        let before: HashMap<&str, &Site> = before.all().map(|site| (&*site.id, &**site)).collect();
        let mut table = Self::default();
        for site_config in sites {
            let before = before.get(&*site_config.id).copied();
            let site = Arc::new(Site::new(site_config, config, metrics, meter(site_config), before));
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

    /// All sites, each as often as it has hosts.
    fn all(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.exact.values().chain(self.wildcard.values()).chain(&self.any)
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

    fn table(text: &str) -> SiteTable {
        let config: Config = toml::from_str(text).unwrap();
        SiteTable::new(&config.sites, &config, &Metrics::new().unwrap(), &SiteTable::default(), |_| None)
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
    fn a_site_that_is_changed_has_no_more_to_spend_than_before() {
        let config = |settings: &str| -> Config {
            toml::from_str(&(site_text("s", "['a.example', '*.a.example']", "https://a.example") + settings)).unwrap()
        };
        let metrics = Metrics::new().unwrap();
        let table =
            |config: &Config, before: &SiteTable| SiteTable::new(&config.sites, config, &metrics, before, |_| None);
        let before = table(&config("requests_per_second=1\nburst=1"), &SiteTable::default());
        let now = std::time::Instant::now();
        assert!(before.find("a.example").unwrap().requests.as_ref().unwrap().take(now).is_ok());
        let _asking = Arc::clone(&before.find("a.example").unwrap().rules.share).try_acquire_owned().unwrap();
        let after = table(&config("requests_per_second=1\nburst=1\nquality=60"), &before);
        let (old, new) = (before.find("a.example").unwrap(), after.find("x.a.example").unwrap());
        assert!(new.requests.as_ref().unwrap().take(now).is_err());
        assert_eq!(new.rules.share.available_permits(), old.rules.share.available_permits());
        assert!(Arc::ptr_eq(&new.rules.share, &old.rules.share));
    }

    #[test]
    fn the_star_serves_what_nobody_else_does() {
        let table = table(&site_text("any", "['*']", "https://a.example"));
        assert!(table.find("whatever.example").is_some() && table.find("127.0.0.1").is_some());
    }

    #[test]
    fn a_source_is_charged_under_one_name_however_it_is_spelled() {
        let table = table(&site_text("s", "['*']", "https://a.example/base/"));
        let site = table.find("x").unwrap();
        for (source, name) in [
            ("/a.jpg", "/a.jpg"),
            ("https://a.example/base/a.jpg", "/a.jpg"),
            ("https://a.example/basement/a.jpg", "https://a.example/basement/a.jpg"),
            ("https://b.example/a.jpg", "https://b.example/a.jpg"),
            ("https://A.example:443/base/x/../a.jpg", "/a.jpg"),
            ("https://a.example/base/%61.jpg#top", "/a.jpg"),
            ("/./a.jpg", "/a.jpg"),
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

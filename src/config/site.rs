//! What a site must be, whether the configuration file has it or it comes through the API.

use std::collections::HashSet;

use url::Host;

use super::{
    quality::TARGETS,
    schema::{SiteConfig, Tariff},
};
use crate::billing::SiteId;

/// The most bytes that a credit may be: what JSON numbers hold exactly everywhere.
pub const MAX_BYTES_PER_CREDIT: u64 = (1 << 53) - 1;

/// Why something in the configuration, or a site, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct Refusal {
    /// Which key: of a site its own name, such as `hosts`; of the configuration the full path.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub problem: String,
    /// Whether it would be right if others were not there.
    pub cause: Cause,
}

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It cannot be.
    Invalid,
    /// Another site has it.
    Taken,
}

/// The names that sites have.
#[derive(Debug, Default)]
pub struct Taken<'s> {
    ids: HashSet<&'s str>,
    hosts: HashSet<&'s str>,
}

impl<'s> Taken<'s> {
    /// Those of `sites`.
    pub fn by(sites: impl IntoIterator<Item = &'s SiteConfig>) -> Self {
        let mut taken = Self::default();
        sites.into_iter().for_each(|site| taken.take(site));
        taken
    }

    /// Those of one more.
    pub fn take(&mut self, site: &'s SiteConfig) {
        self.ids.insert(&site.id);
        self.hosts.extend(site.hosts.iter().map(String::as_str));
    }
}

/// Whether a site may be served beside those that have `taken` their names.
///
/// # Errors
/// [`Refusal`], with the site's own key.
pub fn check_site(site: &SiteConfig, taken: &Taken<'_>) -> Result<(), Refusal> {
    if let Err(bad) = site.id.parse::<SiteId>() {
        return refuse("id", bad.to_string());
    }
    if taken.ids.contains(site.id.as_str()) {
        return taken_by_another("id", format!("{:?} stands twice: ids must differ", site.id));
    }
    check_hosts(site, taken)?;
    for source in &site.sources {
        if source == "*" || !is_host_pattern(source) {
            return refuse("sources", format!("{source:?}: expected a host name or \"*.example.com\", without port"));
        }
    }
    let origin = &site.origin;
    let plain = origin.query().is_none()
        && origin.fragment().is_none()
        && origin.username().is_empty()
        && origin.password().is_none();
    if !matches!(origin.scheme(), "http" | "https") || origin.host().is_none() || !plain {
        return refuse("origin", format!("{origin}: expected an http or https URL without user, query or fragment"));
    }
    for (key, target) in [("quality_target", site.quality_target), ("save_data_target", site.save_data_target)] {
        if let Some(target) = target {
            check_target(key, target)?;
        }
    }
    if site.hsts.is_none() && site.hsts_include_subdomains {
        return refuse("hsts_include_subdomains", "only with hsts, such as hsts = \"180d\"");
    }
    check_lifetimes(site)?;
    match (site.bytes_per_credit, site.tariff) {
        (Some(_), Tariff::Variants) => refuse("bytes_per_credit", "only with tariff = \"egress\""),
        (Some(bytes), Tariff::Egress) if bytes.get() > MAX_BYTES_PER_CREDIT => {
            refuse("bytes_per_credit", format!("must be from 1 to {MAX_BYTES_PER_CREDIT}"))
        }
        _ => Ok(()),
    }
}

fn check_lifetimes(site: &SiteConfig) -> Result<(), Refusal> {
    if site.max_ttl.0 < site.min_ttl.0 {
        return refuse("max_ttl", format!("must not be less than min_ttl, which is {:?}", site.min_ttl.to_string()));
    }
    if site.heuristic_percent > 100 {
        return refuse("heuristic_percent", "must be from 0 to 100");
    }
    Ok(())
}

/// Whether a score can be aimed at.
pub(super) fn check_target(key: &str, target: u8) -> Result<(), Refusal> {
    if TARGETS.contains(&target) {
        return Ok(());
    }
    refuse(key, format!("must be from {} to {}", TARGETS.start(), TARGETS.end()))
}

fn check_hosts(site: &SiteConfig, taken: &Taken<'_>) -> Result<(), Refusal> {
    if site.hosts.is_empty() {
        return refuse("hosts", "needs at least one host, such as \"img.shop.example\" or \"*.shop.example\"");
    }
    let mut own = HashSet::new();
    for host in &site.hosts {
        if host != "*" && !is_host_pattern(host) {
            let problem =
                format!("{host:?}: expected a lower-case host name, \"*.example.com\" or \"*\", without port");
            return refuse("hosts", problem);
        }
        if !own.insert(host) {
            return refuse("hosts", format!("{host:?} stands twice"));
        }
        if taken.hosts.contains(host.as_str()) {
            return taken_by_another("hosts", format!("{host:?} belongs to another site already"));
        }
    }
    Ok(())
}

/// Refuses what cannot be.
pub(super) fn refuse<T>(key: impl Into<String>, problem: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { key: key.into(), problem: problem.into(), cause: Cause::Invalid })
}

fn taken_by_another<T>(key: &str, problem: String) -> Result<T, Refusal> {
    Err(Refusal { key: key.to_owned(), problem, cause: Cause::Taken })
}

/// A host name as URLs write it (lower case, an IPv6 address in brackets), perhaps with `*.` before it.
fn is_host_pattern(pattern: &str) -> bool {
    let name = pattern.strip_prefix("*.").unwrap_or(pattern);
    Host::parse(name).is_ok_and(|host| host.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(keys: &str) -> SiteConfig {
        toml::from_str(&format!("origin = 'https://shop.example'\n{keys}")).unwrap()
    }

    fn refused(keys: &str) -> Refusal {
        let others = [site("id = 'other'\nhosts = ['other.example']")];
        check_site(&site(keys), &Taken::by(&others)).unwrap_err()
    }

    #[test]
    fn a_name_that_another_site_has_is_a_conflict_and_not_a_mistake() {
        assert_eq!(refused("id = 'other'\nhosts = ['a.example']").cause, Cause::Taken);
        let refusal = refused("id = 'shop'\nhosts = ['a.example', 'other.example']");
        assert_eq!((refusal.key.as_str(), refusal.cause), ("hosts", Cause::Taken));
        let twice = refused("id = 'shop'\nhosts = ['a.example', 'a.example']");
        assert_eq!((twice.key.as_str(), twice.cause), ("hosts", Cause::Invalid));
    }

    #[test]
    fn an_id_that_the_ledger_cannot_hold_is_refused() {
        for id in ["", "a b", "a/b", "-a"] {
            let refusal = refused(&format!("id = '{id}'\nhosts = ['a.example']"));
            assert_eq!(refusal.key, "id", "{id:?}");
            assert!(refusal.problem.contains("letters, digits and -._"), "{refusal}");
        }
    }

    #[test]
    fn a_score_that_cannot_be_aimed_at_is_refused() {
        for key in ["quality_target", "save_data_target"] {
            assert_eq!(refused(&format!("id = 'shop'\nhosts = ['a.example']\n{key} = 96")).key, key);
            assert_eq!(refused(&format!("id = 'shop'\nhosts = ['a.example']\n{key} = 29")).key, key);
        }
        let aimed =
            site("id = 'shop'\nhosts = ['a.example']\nquality = 'auto'\nquality_target = 95\nsave_data_target = 30");
        assert_eq!(check_site(&aimed, &Taken::default()), Ok(()));
    }

    #[test]
    fn lifetimes_that_contradict_each_other_are_refused() {
        let keys = |keys: &str| format!("id = 'shop'\nhosts = ['a.example']\n{keys}");
        for (given, key) in
            [("min_ttl = '2h'\nmax_ttl = '1h'", "max_ttl"), ("heuristic_percent = 101", "heuristic_percent")]
        {
            assert_eq!(refused(&keys(given)).key, key, "{given}");
        }
        let bounded = site(&keys("min_ttl = '1h'\nmax_ttl = '1h'\nheuristic_percent = 100\npassthrough = 'forward'"));
        assert_eq!(check_site(&bounded, &Taken::default()), Ok(()));
    }

    #[test]
    fn names_below_are_secured_only_where_the_site_is() {
        let keys = |keys: &str| format!("id = 'shop'\nhosts = ['a.example']\nhsts_include_subdomains = true\n{keys}");
        assert_eq!(refused(&keys("https = 'redirect'")).key, "hsts_include_subdomains");
        assert_eq!(check_site(&site(&keys("hsts = '180d'")), &Taken::default()), Ok(()));
    }

    #[test]
    fn the_rate_of_egress_stands_only_where_egress_is_rated() {
        let rated = site("id = 'shop'\nhosts = ['a.example']\ntariff = 'egress'\nbytes_per_credit = 5_242_880");
        assert_eq!(check_site(&rated, &Taken::default()), Ok(()));
        assert_eq!(refused("id = 'shop'\nhosts = ['a.example']\nbytes_per_credit = 5").key, "bytes_per_credit");
        let beyond =
            format!("id = 'shop'\nhosts = ['a.example']\ntariff = 'egress'\nbytes_per_credit = {}", 1u64 << 53);
        assert_eq!(refused(&beyond).key, "bytes_per_credit");
    }
}

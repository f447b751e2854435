//! Which names certificates may be ordered for: only those that sites list. Whatever else handshakes name costs no order,
//! no question and no memory.

use std::{collections::HashSet, sync::Arc};

use super::name::DnsName;
use crate::config::SiteConfig;

/// The hosts of all sites.
#[derive(Debug, Default)]
pub struct Names {
    exact: HashSet<Box<str>>,
    /// The parts behind `*.`.
    below: HashSet<Box<str>>,
    /// Whether a site serves any host.
    any: bool,
}

/// Whether a certificate may be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eligibility {
    /// A site lists the name itself.
    Listed,
    /// A site serves it by a pattern: whether the name is meant has to be asked.
    ByPattern,
    /// Never.
    No,
}

impl Names {
    /// Those of `sites`.
    #[must_use]
    pub fn of(sites: &[Arc<SiteConfig>]) -> Self {
        let mut names = Self::default();
        for host in sites.iter().flat_map(|site| &site.hosts) {
            match host.strip_prefix("*.") {
                Some(parent) => names.below.insert(parent.into()),
                None if host == "*" => std::mem::replace(&mut names.any, true),
                None => names.exact.insert(host.as_str().into()),
            };
        }
        names
    }

    /// Whether a certificate may be ordered for a name.
    #[must_use]
    pub fn eligibility(&self, name: &DnsName) -> Eligibility {
        if self.exact.contains(name.as_str()) {
            return Eligibility::Listed;
        }
        let mut rest = name.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            if self.below.contains(parent) {
                return Eligibility::ByPattern;
            }
            rest = parent;
        }
        if self.any { Eligibility::ByPattern } else { Eligibility::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hosts: &[&str]) -> Names {
        let text = format!("id = 's'\nhosts = {hosts:?}\norigin = 'https://a.example'");
        Names::of(&[Arc::new(toml::from_str(&text).unwrap())])
    }

    fn eligibility(names: &Names, name: &str) -> Eligibility {
        names.eligibility(&DnsName::parse(name).unwrap())
    }

    #[test]
    fn a_name_that_a_site_lists_is_eligible_and_one_of_a_pattern_has_to_be_asked_for() {
        let names = names(&["img.shop.example", "*.tenants.example"]);
        for (name, eligible) in [
            ("img.shop.example", Eligibility::Listed),
            ("a.tenants.example", Eligibility::ByPattern),
            ("a.b.tenants.example", Eligibility::ByPattern),
            ("tenants.example", Eligibility::No),
            ("eviltenants.example", Eligibility::No),
            ("shop.example", Eligibility::No),
            ("a.img.shop.example", Eligibility::No),
        ] {
            assert_eq!(eligibility(&names, name), eligible, "{name}");
        }
    }

    #[test]
    fn a_site_of_any_host_lists_none() {
        let names = names(&["*", "img.shop.example"]);
        assert_eq!(eligibility(&names, "img.shop.example"), Eligibility::Listed);
        assert_eq!(eligibility(&names, "whatever.example"), Eligibility::ByPattern);
    }

    #[test]
    fn without_sites_nothing_is_eligible() {
        assert_eq!(eligibility(&Names::default(), "img.shop.example"), Eligibility::No);
    }
}

//! Configurations for the edge under test, and their text.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::Origin;

/// The host of the site that [`Setup::of`] sets up.
pub(crate) const HOST: &str = "shop.test";

/// The operator's token.
pub(crate) const TOKEN: &str = "the-operators-own-token";

/// A configuration: keys of sections, and sites, each value as TOML.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    keys: BTreeMap<String, BTreeMap<String, String>>,
    accounts: Vec<(String, String)>,
    /// Chains and keys.
    certificates: Vec<(PathBuf, PathBuf)>,
    sites: Vec<BTreeMap<String, String>>,
}

impl Setup {
    /// No site yet; first-view AVIFs stay as they are, so that the same request gives the same bytes.
    pub(crate) fn empty() -> Self {
        Self::default().set("images.refine", "false").set("log.format", "'json'")
    }

    /// One site, [`HOST`], in front of `origin`; its first views wait for their variant.
    pub(crate) fn of(origin: &Origin) -> Self {
        Self::empty().with_site("shop", &[HOST], &origin.url())
    }

    /// Like [`Self::of`], and the account `acme` on the free plan pays for it by `tariff`. The API takes [`TOKEN`].
    pub(crate) fn paid(origin: &Origin, tariff: &str) -> Self {
        Self::of(origin).account("acme", "free").site("account", "'acme'").site("tariff", &format!("'{tariff}'"))
    }

    /// Like [`Self::paid`], at a time that stands until a test sets another.
    pub(crate) fn paid_at_standing_time(origin: &Origin, tariff: &str) -> Self {
        Self::paid(origin, tariff).set("dev.test_clock", "true")
    }

    /// Like [`Self::of`], at a time that stands until a test lets it pass.
    pub(crate) fn at_standing_time(origin: &Origin) -> Self {
        Self::of(origin).set("dev.test_clock", "true").set("admin.token", &format!("'{TOKEN}'"))
    }

    /// An account.
    pub(crate) fn account(mut self, id: &str, plan: &str) -> Self {
        self.accounts.push((id.to_owned(), plan.to_owned()));
        self.set("admin.token", &format!("'{TOKEN}'"))
    }

    /// One more site, likewise.
    pub(crate) fn with_site(mut self, id: &str, hosts: &[&str], origin: &str) -> Self {
        self.sites.push(BTreeMap::new());
        self.site("id", &format!("'{id}'"))
            .site("hosts", &format!("{hosts:?}"))
            .site("origin", &format!("'{origin}'"))
            .site("allow_private_origin", "true")
            .site("first_view", "'always'")
    }

    /// Serves https too, with a certificate out of these files beside those that there are.
    pub(crate) fn certificate(mut self, chain: &Path, key: &Path) -> Self {
        self.certificates.push((chain.to_owned(), key.to_owned()));
        self
    }

    /// At this address, if at all.
    pub(crate) fn https_at(self, https: SocketAddr) -> Self {
        if self.certificates.is_empty() { self } else { self.set("edge.tls.https", &format!("'{https}'")) }
    }

    /// Sets `section.key`.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        let (section, name) = key.rsplit_once('.').unwrap();
        self.keys.entry(section.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a key of the site added last.
    pub(crate) fn site(mut self, key: &str, value: &str) -> Self {
        self.sites.last_mut().unwrap().insert(key.to_owned(), value.to_owned());
        self
    }

    /// The file's text, for these addresses and this directory.
    pub(crate) fn text(&self, http: SocketAddr, admin: SocketAddr, data_dir: &Path) -> String {
        let placed = self
            .clone()
            .set("edge.http", &format!("'{http}'"))
            .set("admin.listen", &format!("'{admin}'"))
            .set("storage.data_dir", &format!("'{}'", data_dir.display()));
        let mut text = String::new();
        for (section, keys) in &placed.keys {
            writeln!(text, "[{section}]").unwrap();
            write_keys(&mut text, keys);
        }
        for (chain, key) in &placed.certificates {
            let (chain, key) = (chain.display(), key.display());
            writeln!(text, "[[edge.tls.certificate]]\nchain = '{chain}'\nkey = '{key}'").unwrap();
        }
        for (id, plan) in &placed.accounts {
            writeln!(text, "[[account]]\nid = '{id}'\nplan = '{plan}'").unwrap();
        }
        for site in &placed.sites {
            writeln!(text, "[[site]]").unwrap();
            write_keys(&mut text, site);
        }
        text
    }
}

fn write_keys(text: &mut String, keys: &BTreeMap<String, String>) {
    for (key, value) in keys {
        writeln!(text, "{key} = {value}").unwrap();
    }
}

//! Taking a new configuration in while the old one runs.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::{
    admin::Api,
    config::Config,
    tls::files::{Files, Loaded},
};

/// Takes a new configuration in.
#[derive(Debug)]
pub struct Reloader {
    pub(super) api: Api,
    pub(super) certificates: Arc<Files>,
    pub(super) config: Arc<ArcSwap<Config>>,
    /// What the sections that need a restart were made of.
    pub(super) running: Arc<Config>,
}

impl Reloader {
    /// Swaps accounts, sites, plans and certificates. Requests under way go on with the site that they began with. Returns the
    /// sections that differ from what runs and need a restart.
    ///
    /// # Errors
    /// Where the plans or a certificate cannot be read or the ledger not be written: then what runs goes on.
    pub async fn reload(&self, config: Config) -> anyhow::Result<Vec<String>> {
        let catalogue = config.plans.catalogue()?;
        let loaded = Loaded::read(&config.edge.tls.certificates)?;
        let restart_needed = changed_sections(&self.running, &config);
        let before = self.config.swap(Arc::new(config.clone()));
        let plans_before = self.api.ledger.catalogue();
        // Before the accounts, which may be on a plan that is new.
        self.api.ledger.set_catalogue(catalogue);
        if let Err(error) = self.api.directory.reload(&config, self.api.clock.timestamp()).await {
            self.config.store(before);
            self.api.ledger.set_catalogue((*plans_before).clone());
            return Err(error.into());
        }
        self.certificates.show(loaded);
        Ok(restart_needed)
    }
}

fn changed_sections(running: &Config, new: &Config) -> Vec<String> {
    let mut running = running.clone();
    // They need none.
    running.edge.tls.certificates.clone_from(&new.edge.tls.certificates);
    let (Ok(running), Ok(new)) = (toml::Table::try_from(running), toml::Table::try_from(new)) else {
        return Vec::new();
    };
    new.iter()
        .filter(|(section, value)| {
            !matches!(section.as_str(), "site" | "account" | "plans") && running.get(section.as_str()) != Some(*value)
        })
        .map(|(section, _)| section.clone())
        .collect()
}

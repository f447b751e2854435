//! The sites that there are: those of the configuration file, and those made through the API, whose settings the ledger
//! keeps. A change is checked by the file's rules, then written to the ledger, then served; whoever asked for it is answered
//! when it is in effect.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::{
    billing::{AccountId, SiteId},
    config::{AccountConfig, Cause, Config, Refusal, SiteConfig, Taken, check_site},
    store::{Ledger, LedgerError, NewSite, Once, SiteView},
};

/// All sites, by id.
pub type Sites = Vec<Arc<SiteConfig>>;

/// Why a site was not made, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Its settings are not allowed, or a name is taken.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The ledger says no, or cannot.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The sites.
pub struct Directory {
    ledger: Arc<Ledger>,
    /// What the file has. Whoever changes anything holds it meanwhile, so that two changes cannot take the same host; those
    /// who read never wait for it.
    file: Mutex<FromFile>,
    sites: ArcSwap<Sites>,
    left_out: ArcSwap<Vec<LeftOut>>,
    on_change: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// What the configuration file has.
#[derive(Debug)]
struct FromFile {
    accounts: Vec<AccountConfig>,
    sites: Sites,
}

/// A site of the API's that is not served, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LeftOut {
    id: String,
    why: String,
}

impl FromFile {
    fn new(config: &Config) -> Self {
        let mut sites: Sites = config.sites.iter().cloned().map(Arc::new).collect();
        sites.sort_by(|a, b| a.id.cmp(&b.id));
        Self { accounts: config.accounts.clone(), sites }
    }

    /// Sites without an account are not in the ledger: it can neither refuse their names nor protect them.
    fn has_without_account(&self, id: &SiteId) -> bool {
        self.sites.iter().any(|site| site.id == id.as_str() && site.account.is_none())
    }
}

impl Directory {
    /// The sites of the configuration file; [`Self::load`] brings the others.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, config: &Config) -> Self {
        let file = FromFile::new(config);
        Self {
            ledger,
            sites: ArcSwap::from_pointee(file.sites.clone()),
            file: Mutex::new(file),
            left_out: ArcSwap::default(),
            on_change: OnceLock::new(),
        }
    }

    /// Names what is called after each change, when [`Self::sites`] has it already. Only the first one counts.
    pub fn set_on_change(&self, on_change: Box<dyn Fn() + Send + Sync>) {
        let _ = self.on_change.set(on_change);
    }

    /// All sites that are served, by id, as of now.
    #[must_use]
    pub fn sites(&self) -> Arc<Sites> {
        self.sites.load_full()
    }

    /// The site of this id, if it is served.
    #[must_use]
    pub fn site(&self, id: &str) -> Option<Arc<SiteConfig>> {
        let sites = self.sites.load();
        sites.binary_search_by(|site| site.id.as_str().cmp(id)).ok().map(|position| Arc::clone(&sites[position]))
    }

    /// Why a site that the ledger has is not served.
    #[must_use]
    pub fn why_left_out(&self, id: &str) -> Option<String> {
        self.left_out.load().iter().find(|left_out| left_out.id == id).map(|left_out| left_out.why.clone())
    }

    /// Takes the file's accounts and sites into the ledger and reads the API's sites from it.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub async fn load(&self, now: Timestamp) -> Result<(), DirectoryError> {
        let file = self.file.lock().await;
        self.declare(&file, now).await?;
        Ok(self.rebuild(&file, now).await?)
    }

    /// Takes another version of the file in. A site of the API's whose host it names is left out from then on.
    ///
    /// # Errors
    /// [`DirectoryError`], and then the version before stays in effect.
    pub async fn reload(&self, config: &Config, now: Timestamp) -> Result<(), DirectoryError> {
        let mut file = self.file.lock().await;
        let new = FromFile::new(config);
        self.declare(&new, now).await?;
        *file = new;
        Ok(self.rebuild(&file, now).await?)
    }

    /// Makes a site.
    ///
    /// # Errors
    /// [`DirectoryError::Refused`], and what [`Ledger::create_site`] gives
    pub async fn create(
        &self,
        once: Option<&Once>,
        site: &SiteConfig,
        now: Timestamp,
    ) -> Result<SiteView, DirectoryError> {
        let file = self.file.lock().await;
        let new = self.checked(site)?;
        if file.has_without_account(&new.id) {
            return Err(LedgerError::SiteExists(new.id).into());
        }
        let view = self.ledger.create_site(once, &new, now).await?;
        self.rebuild(&file, now).await?;
        Ok(view)
    }

    /// Changes a site that was made through the API.
    ///
    /// # Errors
    /// [`DirectoryError::Refused`], and what [`Ledger::change_site`] gives
    pub async fn change(
        &self,
        once: Option<&Once>,
        site: &SiteConfig,
        now: Timestamp,
    ) -> Result<SiteView, DirectoryError> {
        let file = self.file.lock().await;
        let new = self.checked(site)?;
        if file.has_without_account(&new.id) {
            return Err(LedgerError::OfFile(new.id).into());
        }
        let view = self.ledger.change_site(once, &new, now).await?;
        self.rebuild(&file, now).await?;
        Ok(view)
    }

    /// Removes a site that was made through the API.
    ///
    /// # Errors
    /// What [`Ledger::remove_site`] gives
    pub async fn remove(&self, id: &SiteId, now: Timestamp) -> Result<(), DirectoryError> {
        let file = self.file.lock().await;
        if file.has_without_account(id) {
            return Err(LedgerError::OfFile(id.clone()).into());
        }
        self.ledger.remove_site(id, now).await?;
        Ok(self.rebuild(&file, now).await?)
    }

    /// What the ledger is to keep of a site whose settings are allowed. That it has its own names already is no conflict.
    fn checked(&self, site: &SiteConfig) -> Result<NewSite, Refusal> {
        let sites = self.sites.load();
        let others = sites.iter().map(AsRef::as_ref).filter(|other| other.id != site.id);
        check_site(site, &Taken::by(others))?;
        let Some(account) = &site.account else { return Err(refusal("account", "needs the account that pays")) };
        if site.signing_keys.iter().any(|key| key.secret_file.is_some()) {
            return Err(refusal("signing_keys", "secret_file is for the configuration file: give the secret itself"));
        }
        let settings = site.to_keep().map_err(|error| refusal("settings", error))?;
        Ok(NewSite {
            id: site.id.parse().map_err(|bad| refusal("id", bad))?,
            account: account.parse().map_err(|bad| refusal("account", bad))?,
            tariff: site.billing_tariff(),
            settings,
        })
    }

    async fn declare(&self, file: &FromFile, now: Timestamp) -> Result<(), DirectoryError> {
        for account in &file.accounts {
            let id = account.id.parse().map_err(|bad| refusal("account.id", bad))?;
            self.ledger.declare_account(&id, &account.plan, now).await?;
        }
        let mut sites = Vec::new();
        for site in &file.sites {
            let Some(account) = &site.account else { continue };
            let id: SiteId = site.id.parse().map_err(|bad| refusal("site.id", bad))?;
            let account: AccountId = account.parse().map_err(|bad| refusal("site.account", bad))?;
            sites.push((id, account, site.billing_tariff()));
        }
        Ok(self.ledger.declare_sites(&sites, now).await?)
    }

    /// Reads the API's sites anew: what is served follows the ledger, whoever changed it and whatever was answered.
    async fn rebuild(&self, file: &FromFile, now: Timestamp) -> Result<(), LedgerError> {
        let kept = self.ledger.all_sites(now).await?;
        let kept = kept.iter().filter_map(|view| Some((view.id.as_str(), view.settings.as_deref()?)));
        let (sites, left_out) = combine(&file.sites, kept);
        let before = self.left_out.load();
        for LeftOut { id, why } in left_out.iter().filter(|left_out| !before.contains(left_out)) {
            tracing::error!(site = id, why, "a site that was made through the API is not served");
        }
        self.left_out.store(Arc::new(left_out));
        self.sites.store(Arc::new(sites));
        if let Some(on_change) = self.on_change.get() {
            on_change();
        }
        Ok(())
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("sites", &self.sites)
            .field("left_out", &self.left_out)
            .finish_non_exhaustive()
    }
}

/// The file's sites and those `kept` (id and settings) that may be served beside them; of two that want the same host the
/// first by id gets it.
fn combine<'a>(file: &Sites, kept: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Sites, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let mut read: Sites = Vec::new();
    for (id, settings) in kept {
        match serde_json::from_str::<SiteConfig>(settings) {
            Ok(site) => read.push(Arc::new(site)),
            Err(error) => left_out.push(LeftOut { id: id.to_owned(), why: format!("its settings: {error}") }),
        }
    }
    read.sort_by(|a, b| a.id.cmp(&b.id));
    let mut taken = Taken::by(file.iter().map(AsRef::as_ref));
    let mut sites = file.clone();
    for site in &read {
        match check_site(site, &taken) {
            Ok(()) => {
                taken.take(site);
                sites.push(Arc::clone(site));
            }
            Err(refusal) => left_out.push(LeftOut { id: site.id.clone(), why: refusal.to_string() }),
        }
    }
    sites.sort_by(|a, b| a.id.cmp(&b.id));
    (sites, left_out)
}

fn refusal(key: &str, problem: impl fmt::Display) -> Refusal {
    Refusal { key: key.to_owned(), problem: problem.to_string(), cause: Cause::Invalid }
}

#[cfg(test)]
mod tests;

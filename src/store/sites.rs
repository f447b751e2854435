//! Sites, as far as money is concerned.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::Row as _;

use super::{
    allocations::Assignment,
    books::Books,
    error::LedgerError,
    once::{Once, Request},
    open::Ledger,
    payer::{own_tariff, paying_site},
    periods::{close_if_over, parsed},
    views::{Page, SiteView, page_size, read_site, read_sites, site_query},
};
use crate::billing::{AccountId, BytesPerCredit, Catalogue, SiteId, Tariff};

/// A site to be made or changed through the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSite {
    /// Its name.
    pub id: SiteId,
    /// Who pays.
    pub account: AccountId,
    /// How it is rated.
    pub tariff: Tariff,
    /// All its settings, as JSON.
    pub settings: String,
}

impl Ledger {
    /// Takes in the sites of the configuration file: each is made, or brought to what the file says. One of them that
    /// was made through the API belongs to the file from now on; those that the file had and has no more are marked as
    /// removed. A site that goes to another account, or is removed, returns what is left of its allocation.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchAccount`], [`LedgerError::Unavailable`]
    pub async fn declare_sites(
        &self,
        sites: &[(SiteId, AccountId, Tariff)],
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let catalogue = self.catalogue();
        self.once(None, now, async |books, request| {
            let mut change = Change { books, catalogue: &catalogue, request, now };
            let mut gone = change.sites_of_file().await?;
            for (id, account, tariff) in sites {
                gone.remove(id);
                change.put(id, &Stored::new(account, *tariff, None)).await?;
            }
            for id in gone {
                change.remove(&id).await?;
            }
            Ok(())
        })
        .await
    }

    /// Makes a site. A name that was removed before may be made anew.
    ///
    /// # Errors
    /// [`LedgerError::SiteExists`], [`LedgerError::NoSuchAccount`], [`LedgerError::KeyReused`]
    pub async fn create_site(
        &self,
        once: Option<&Once>,
        site: &NewSite,
        now: Timestamp,
    ) -> Result<SiteView, LedgerError> {
        let catalogue = self.catalogue();
        self.once(once, now, async |books, request| {
            let mut change = Change { books, catalogue: &catalogue, request, now };
            if change.stored(&site.id).await?.is_some_and(|stored| !stored.is_removed) {
                return Err(LedgerError::SiteExists(site.id.clone()));
            }
            change.put(&site.id, &Stored::of_api(site)).await?;
            read_site(books.settled().await?, &catalogue, &site.id).await
        })
        .await
    }

    /// Changes a site that was made through the API.
    ///
    /// # Errors
    /// [`LedgerError::OfFile`], [`LedgerError::NoSuchSite`], [`LedgerError::NoSuchAccount`], [`LedgerError::KeyReused`]
    pub async fn change_site(
        &self,
        once: Option<&Once>,
        site: &NewSite,
        now: Timestamp,
    ) -> Result<SiteView, LedgerError> {
        let catalogue = self.catalogue();
        self.once(once, now, async |books, request| {
            let mut change = Change { books, catalogue: &catalogue, request, now };
            change.must_be_of_api(&site.id).await?;
            change.put(&site.id, &Stored::of_api(site)).await?;
            read_site(books.settled().await?, &catalogue, &site.id).await
        })
        .await
    }

    /// Removes a site that was made through the API; what is left of its allocation returns. Its usage and transfers
    /// stay.
    ///
    /// # Errors
    /// [`LedgerError::OfFile`], [`LedgerError::NoSuchSite`]
    pub async fn remove_site(&self, id: &SiteId, now: Timestamp) -> Result<(), LedgerError> {
        let catalogue = self.catalogue();
        self.once(None, now, async |books, request| {
            let mut change = Change { books, catalogue: &catalogue, request, now };
            change.must_be_of_api(id).await?;
            change.remove(id).await
        })
        .await
    }

    /// A site as it is at `now`: a period that is over is closed first. Removed ones are not found.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchSite`]
    pub async fn site(&self, id: &SiteId, now: Timestamp) -> Result<SiteView, LedgerError> {
        let mut db = self.readers.acquire().await?;
        let account = read_site(&mut db, &self.catalogue(), id).await?.account;
        drop(db);
        self.close_before_read(Some(&account), now).await;
        read_site(&mut *self.readers.acquire().await?, &self.catalogue(), id).await
    }

    /// Sites by name, those behind `after`; of one account if one is named.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn sites(
        &self,
        account: Option<&AccountId>,
        after: Option<&str>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Page<SiteView>, LedgerError> {
        self.close_before_read(account, now).await;
        let size = page_size(limit);
        let mut query = site_query();
        if let Some(account) = account {
            query.push(" AND site.account = ").push_bind(account.as_str());
        }
        query.push(" AND site.id > ").push_bind(after.unwrap_or_default());
        query.push(" ORDER BY site.id LIMIT ").push_bind(size + 1);
        let sites = read_sites(&mut *self.readers.acquire().await?, &self.catalogue(), query).await?;
        Ok(Page::cut(sites, size, |last| last.id.to_string()))
    }

    /// All sites that are not removed, for the nodes.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn all_sites(&self, now: Timestamp) -> Result<Vec<SiteView>, LedgerError> {
        self.close_before_read(None, now).await;
        let mut query = site_query();
        query.push(" ORDER BY site.id");
        read_sites(&mut *self.readers.acquire().await?, &self.catalogue(), query).await
    }
}

/// What is kept of a site, but for its credits.
#[derive(Debug, PartialEq, Eq)]
struct Stored {
    account: AccountId,
    tariff: Tariff,
    /// `None`: the configuration file has it.
    settings: Option<String>,
    is_removed: bool,
}

impl Stored {
    fn new(account: &AccountId, tariff: Tariff, settings: Option<&str>) -> Self {
        Self { account: account.clone(), tariff, settings: settings.map(str::to_owned), is_removed: false }
    }

    fn of_api(site: &NewSite) -> Self {
        Self::new(&site.account, site.tariff, Some(&site.settings))
    }

    /// The tariff in two columns.
    fn tariff_columns(&self) -> (&'static str, i64) {
        let (name, rate) = match self.tariff {
            Tariff::Variants => ("variants", BytesPerCredit::default()),
            Tariff::Egress { rate } => ("egress", rate),
        };
        (name, i64::try_from(rate.0.get()).unwrap_or(i64::MAX))
    }
}

/// A change of sites under way.
struct Change<'a, 'l> {
    books: &'a mut Books<'l>,
    catalogue: &'a Catalogue,
    request: &'a Request,
    now: Timestamp,
}

impl Change<'_, '_> {
    async fn sites_of_file(&mut self) -> Result<BTreeSet<SiteId>, LedgerError> {
        let rows = sqlx::query("SELECT id FROM site WHERE settings IS NULL AND removed = 0");
        let rows = rows.fetch_all(self.books.db()).await?;
        rows.iter().map(|row| parsed(row.try_get("id")?)).collect()
    }

    /// What is kept of a site, removed or not.
    async fn stored(&mut self, id: &SiteId) -> Result<Option<Stored>, LedgerError> {
        let row = sqlx::query("SELECT account, tariff, bytes_per_credit, settings, removed FROM site WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(self.books.db())
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Stored {
            account: parsed(row.try_get("account")?)?,
            tariff: own_tariff(&row)?,
            settings: row.try_get("settings")?,
            is_removed: row.try_get("removed")?,
        }))
    }

    async fn must_be_of_api(&mut self, id: &SiteId) -> Result<(), LedgerError> {
        match self.stored(id).await? {
            Some(Stored { is_removed: false, settings: Some(_), .. }) => Ok(()),
            Some(Stored { is_removed: false, settings: None, .. }) => Err(LedgerError::OfFile(id.clone())),
            _ => Err(LedgerError::NoSuchSite(id.to_string())),
        }
    }

    /// Makes a site, or brings it to what is `wanted`.
    async fn put(&mut self, id: &SiteId, wanted: &Stored) -> Result<(), LedgerError> {
        close_if_over(self.books, self.catalogue, &wanted.account, self.now).await?;
        let before = self.stored(id).await?;
        if before.as_ref() == Some(wanted) {
            return Ok(());
        }
        if before.is_some_and(|before| !before.is_removed && before.account != wanted.account) {
            self.return_allocation(id).await?;
        }
        // What it used of another account's credits does not count towards this one's, and what a refused charge would
        // have taken was reckoned by the tariff that it had.
        let (tariff, bytes_per_credit) = wanted.tariff_columns();
        sqlx::query(
            "INSERT INTO site (id, account, tariff, bytes_per_credit, settings) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET account = excluded.account, tariff = excluded.tariff, \
             bytes_per_credit = excluded.bytes_per_credit, settings = excluded.settings, removed = 0, \
             used_monthly = iif(account = excluded.account, used_monthly, 0), \
             needed = iif(account = excluded.account AND tariff = excluded.tariff \
             AND bytes_per_credit = excluded.bytes_per_credit, needed, 0)",
        )
        .bind(id.as_str())
        .bind(wanted.account.as_str())
        .bind(tariff)
        .bind(bytes_per_credit)
        .bind(wanted.settings.as_deref())
        .execute(self.books.db())
        .await?;
        self.books.raise();
        Ok(())
    }

    async fn remove(&mut self, id: &SiteId) -> Result<(), LedgerError> {
        self.return_allocation(id).await?;
        sqlx::query("UPDATE site SET removed = 1 WHERE id = ?").bind(id.as_str()).execute(self.books.db()).await?;
        self.books.raise();
        Ok(())
    }

    async fn return_allocation(&mut self, id: &SiteId) -> Result<(), LedgerError> {
        let site = paying_site(self.books, self.catalogue, id, self.now).await?;
        Assignment { books: self.books, site: &site, request: self.request, now: self.now }.take_back().await
    }
}

//! Who pays for a site's usage, and out of what (`billing.md` rules 9, 10).

use std::num::NonZeroU64;

use jiff::Timestamp;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    books::{Books, Owner},
    error::LedgerError,
    periods::close_if_over,
};
use crate::billing::{
    AccountId, Allocation, Balance, BytesPerCredit, Catalogue, Entitlement, Kind, LedgerAccount, Microcredits, Reason,
    SiteId, Tariff, Transfer,
};

/// A site as its row and its account's have it.
#[derive(Debug, Clone)]
pub(super) struct SiteRow {
    pub(super) id: SiteId,
    pub(super) account: AccountId,
    /// What the account's plan makes of the site's tariff.
    pub(super) tariff: Tariff,
    pub(super) allocation: Option<Allocation>,
    /// What it has used of allocations: monthly ones in this period, one-time ones since it has one.
    pub(super) used: Balance,
    pub(super) needed: Microcredits,
    pub(super) settings: Option<String>,
}

/// The columns that [`SiteRow::read`] reads, of `site` joined with its `account`.
pub(super) const SITE_COLUMNS: &str = "site.id, site.account, site.tariff, site.bytes_per_credit, \
    site.allocation_monthly, site.allocation_one_time, site.used_monthly, site.used_one_time, site.needed, \
    site.settings, account.plan";

impl SiteRow {
    /// Reads a row with [`SITE_COLUMNS`].
    pub(super) fn read(row: &SqliteRow, catalogue: &Catalogue) -> Result<Self, LedgerError> {
        let id: String = row.try_get("id")?;
        let account: String = row.try_get("account")?;
        let damaged = |what: &str| LedgerError::Damaged(format!("site {id:?}: {what}"));
        let amount = |column: &str| row.try_get::<i64, _>(column).map(Microcredits::new);
        let allocation = row.try_get::<Option<i64>, _>("allocation_monthly")?.is_some();
        let allocation = if allocation {
            Some(Allocation { monthly: amount("allocation_monthly")?, one_time: amount("allocation_one_time")? })
        } else {
            None
        };
        let own = own_tariff(row)?;
        // A plan that the catalogue has no more: what the site says holds.
        let tariff = catalogue.plan(row.try_get("plan")?).map_or(own, |plan| plan.tariff(own));
        Ok(Self {
            account: account.parse().map_err(|_| damaged("its account's name"))?,
            tariff,
            allocation,
            used: Balance { monthly: amount("used_monthly")?, one_time: amount("used_one_time")? },
            needed: amount("needed")?,
            settings: row.try_get("settings")?,
            id: id.parse().map_err(|_| damaged("its name"))?,
        })
    }

    /// The ledger account that credits of a kind come out of: the site's own where it has an allocation, else the
    /// account's.
    pub(super) fn purse(&self, kind: Kind) -> LedgerAccount {
        match self.allocation {
            Some(_) => LedgerAccount::Allocated(self.id.clone(), kind),
            None => LedgerAccount::Unallocated(self.account.clone(), kind),
        }
    }

    /// What it may draw on.
    pub(super) async fn drawable(&self, books: &mut Books<'_>) -> Result<Balance, LedgerError> {
        Ok(Balance {
            monthly: books.balance(&self.purse(Kind::Monthly)).await?,
            one_time: books.balance(&self.purse(Kind::OneTime)).await?,
        })
    }

    /// What it may do with `available`.
    pub(super) fn entitlement(&self, available: Balance) -> Result<Entitlement, LedgerError> {
        Ok(Entitlement::of(self.tariff, available.total()?, self.needed))
    }

    /// Moves what was drawn to what the site has spent. `key` names the payment; each kind is a transfer of its own.
    pub(super) async fn pay(
        &mut self,
        books: &mut Books<'_>,
        drawn: Balance,
        reason: Reason,
        reference: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        for kind in Kind::ALL {
            let transfer = Transfer {
                debit: self.purse(kind),
                credit: LedgerAccount::Spent(self.id.clone()),
                amount: drawn.of(kind),
                reason,
                reference: reference.to_owned(),
            };
            let owner = Owner { account: &self.account, site: Some(&self.id) };
            books.transfer(&transfer, &format!("{key}/{}", kind.name()), owner, now).await?;
        }
        if self.allocation.is_some() && drawn != Balance::default() {
            self.used.monthly = self.used.monthly.plus(drawn.monthly)?;
            self.used.one_time = self.used.one_time.plus(drawn.one_time)?;
            sqlx::query("UPDATE site SET used_monthly = ?, used_one_time = ? WHERE id = ?")
                .bind(self.used.monthly.get())
                .bind(self.used.one_time.get())
                .bind(self.id.as_str())
                .execute(books.db())
                .await?;
        }
        Ok(())
    }

    /// Remembers what a refused charge would have taken, or that there is no such.
    pub(super) async fn set_needed(&mut self, books: &mut Books<'_>, needed: Microcredits) -> Result<(), LedgerError> {
        if self.needed != needed {
            self.needed = needed;
            sqlx::query("UPDATE site SET needed = ? WHERE id = ?")
                .bind(needed.get())
                .bind(self.id.as_str())
                .execute(books.db())
                .await?;
        }
        Ok(())
    }
}

/// The tariff that a row of `site` says, whatever the account's plan makes of it.
pub(super) fn own_tariff(row: &SqliteRow) -> Result<Tariff, LedgerError> {
    let rate = u64::try_from(row.try_get::<i64, _>("bytes_per_credit")?).ok().and_then(NonZeroU64::new);
    let rate = BytesPerCredit(rate.ok_or_else(|| LedgerError::Damaged("a bytes_per_credit".to_owned()))?);
    Ok(match row.try_get("tariff")? {
        "egress" => Tariff::Egress { rate },
        _ => Tariff::Variants,
    })
}

/// A site that is not removed, its account's period closed if it is over.
///
/// # Errors
/// [`LedgerError::NoSuchSite`]
pub(super) async fn paying_site(
    books: &mut Books<'_>,
    catalogue: &Catalogue,
    id: &SiteId,
    now: Timestamp,
) -> Result<SiteRow, LedgerError> {
    let site = load_site(books, catalogue, id).await?;
    if close_if_over(books, catalogue, &site.account, now).await? {
        // What it used of its allocation was of the period that is closed now.
        return load_site(books, catalogue, id).await;
    }
    Ok(site)
}

async fn load_site(books: &mut Books<'_>, catalogue: &Catalogue, id: &SiteId) -> Result<SiteRow, LedgerError> {
    let row = sqlx::query(
        "SELECT site.id, site.account, site.tariff, site.bytes_per_credit, site.allocation_monthly, \
         site.allocation_one_time, site.used_monthly, site.used_one_time, site.needed, site.settings, account.plan \
         FROM site JOIN account ON account.id = site.account WHERE site.id = ? AND site.removed = 0",
    )
    .bind(id.as_str())
    .fetch_optional(books.db())
    .await?;
    SiteRow::read(&row.ok_or_else(|| LedgerError::NoSuchSite(id.to_string()))?, catalogue)
}

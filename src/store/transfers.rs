//! Lists of transfers.

use jiff::Timestamp;
use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use super::{
    error::LedgerError,
    open::Ledger,
    periods::{parsed, time},
    views::{Page, TransferView, page_size},
};
use crate::billing::{AccountId, Microcredits, Reason, SiteId};

/// Which transfers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferFilter {
    /// Of this account and its sites.
    pub account: Option<AccountId>,
    /// Of this site.
    pub site: Option<SiteId>,
    /// For this reason.
    pub reason: Option<Reason>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// Those that happened before the one of this number: a page's `next`.
    pub before: Option<i64>,
    /// How many at the most.
    pub limit: u32,
}

impl Ledger {
    /// Transfers, the latest first.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn transfers(&self, filter: &TransferFilter) -> Result<Page<TransferView>, LedgerError> {
        let size = page_size(filter.limit);
        let mut query = filter.query();
        query.push(" ORDER BY id DESC LIMIT ").push_bind(size + 1);
        let rows = query.build().fetch_all(&self.readers).await?;
        let transfers = rows.iter().map(view).collect::<Result<_, _>>()?;
        Ok(Page::cut(transfers, size, |last: &TransferView| last.id.to_string()))
    }
}

impl TransferFilter {
    fn query(&self) -> QueryBuilder<Sqlite> {
        let mut query =
            QueryBuilder::new("SELECT id, at, debit, credit, amount, reason, reference FROM transfer WHERE true");
        if let Some(account) = &self.account {
            query.push(" AND account = ").push_bind(account.as_str());
        }
        if let Some(site) = &self.site {
            query.push(" AND site = ").push_bind(site.as_str());
        }
        if let Some(reason) = self.reason {
            query.push(" AND reason = ").push_bind(reason.name());
        }
        if let Some(from) = self.from {
            query.push(" AND at >= ").push_bind(from.as_second());
        }
        if let Some(to) = self.to {
            query.push(" AND at < ").push_bind(to.as_second());
        }
        if let Some(before) = self.before {
            query.push(" AND id < ").push_bind(before);
        }
        query
    }
}

fn view(row: &SqliteRow) -> Result<TransferView, LedgerError> {
    let reason: &str = row.try_get("reason")?;
    Ok(TransferView {
        id: row.try_get("id")?,
        at: time(row.try_get("at")?)?,
        debit: parsed(row.try_get("debit")?)?,
        credit: parsed(row.try_get("credit")?)?,
        amount: Microcredits::new(row.try_get("amount")?),
        reason: Reason::named(reason).ok_or_else(|| LedgerError::Damaged(format!("{reason:?} is no reason")))?,
        reference: row.try_get("reference")?,
    })
}

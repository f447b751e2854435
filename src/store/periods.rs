//! Closing periods (`billing.md` rule 7): what is left of monthly credits expires, the plan's come, allocations are
//! filled.

use jiff::Timestamp;
use sqlx::Row as _;

use super::{
    books::{Books, Owner},
    error::LedgerError,
    open::Ledger,
};
use crate::billing::{AccountId, Catalogue, Kind, LedgerAccount, Microcredits, Period, Plan, Reason, SiteId, Transfer};

impl Ledger {
    /// Closes the period of each account whose period is over at `now`, and begins the one that `now` lies in; periods
    /// in between, which nobody lived through, are not issued. Returns the accounts.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn close_periods(&self, now: Timestamp) -> Result<Vec<AccountId>, LedgerError> {
        self.close_due(None, now).await
    }

    /// Closes, before it is read, what is over: of one account or of all. Where that cannot be done now, the ledger is
    /// read as it stands.
    pub(super) async fn close_before_read(&self, account: Option<&AccountId>, now: Timestamp) {
        if let Err(error) = self.close_due(account, now).await {
            tracing::warn!(%error, "periods that are over stay open");
        }
    }

    async fn close_due(&self, account: Option<&AccountId>, now: Timestamp) -> Result<Vec<AccountId>, LedgerError> {
        let is_due = "SELECT id FROM account WHERE period_end <= ?1 AND (?2 IS NULL OR id = ?2) ORDER BY id";
        let due = sqlx::query(is_due).bind(now.as_second()).bind(account.map(AccountId::as_str));
        let due = due.fetch_all(&self.readers).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let catalogue = self.catalogue();
        let mut books = self.begin().await?;
        let mut closed = Vec::new();
        for row in due {
            let account = parsed(row.try_get("id")?)?;
            if close_if_over(&mut books, &catalogue, &account, now).await? {
                closed.push(account);
            }
        }
        books.commit().await?;
        Ok(closed)
    }
}

/// Closes an account's period if it is over; whether it was.
///
/// # Errors
/// [`LedgerError::NoSuchAccount`]
pub(super) async fn close_if_over(
    books: &mut Books<'_>,
    catalogue: &Catalogue,
    account: &AccountId,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let row = sqlx::query("SELECT plan, anchor, period_start, period_end FROM account WHERE id = ?")
        .bind(account.as_str())
        .fetch_optional(books.db())
        .await?
        .ok_or_else(|| LedgerError::NoSuchAccount(account.to_string()))?;
    let over = Period { start: time(row.try_get("period_start")?)?, end: time(row.try_get("period_end")?)? };
    if !over.is_over(now) {
        return Ok(false);
    }
    let anchor = time(row.try_get("anchor")?)?;
    // A plan that the catalogue has no more gives nothing.
    let refill = catalogue.plan(row.try_get("plan")?).map_or(Microcredits::ZERO, Plan::refill);
    let mut closing = Closing { books, account, now };
    let ended = format!("{account}/{}", over.end.as_second());
    closing.expire(&ended).await?;
    closing.begin(Period::at(anchor, now), refill).await?;
    Ok(true)
}

/// Begins a period of an account: the plan's credits come, and each allocation gets its own.
pub(super) async fn begin_period(
    books: &mut Books<'_>,
    account: &AccountId,
    period: Period,
    refill: Microcredits,
    now: Timestamp,
) -> Result<(), LedgerError> {
    Closing { books, account, now }.begin(period, refill).await
}

struct Closing<'a, 'b, 'l> {
    books: &'a mut Books<'l>,
    account: &'b AccountId,
    now: Timestamp,
}

impl Closing<'_, '_, '_> {
    async fn expire(&mut self, ended: &str) -> Result<(), LedgerError> {
        let unallocated = LedgerAccount::Unallocated(self.account.clone(), Kind::Monthly);
        self.expire_from(unallocated, None, &format!("expiry/{ended}")).await?;
        for (site, _) in self.allocated_sites().await? {
            let allocated = LedgerAccount::Allocated(site.clone(), Kind::Monthly);
            self.expire_from(allocated, Some(&site), &format!("expiry/{ended}/{site}")).await?;
        }
        Ok(())
    }

    async fn expire_from(&mut self, from: LedgerAccount, site: Option<&SiteId>, key: &str) -> Result<(), LedgerError> {
        let amount = self.books.balance(&from).await?;
        let credit = LedgerAccount::Expired(self.account.clone());
        let expiry = Transfer { debit: from, credit, amount, reason: Reason::Expiry, reference: String::new() };
        self.books.transfer(&expiry, key, Owner { account: self.account, site }, self.now).await
    }

    async fn begin(&mut self, period: Period, refill: Microcredits) -> Result<(), LedgerError> {
        sqlx::query("UPDATE account SET period_start = ?, period_end = ?, refilled = ? WHERE id = ?")
            .bind(period.start.as_second())
            .bind(period.end.as_second())
            .bind(refill.get())
            .bind(self.account.as_str())
            .execute(self.books.db())
            .await?;
        sqlx::query("UPDATE site SET used_monthly = 0 WHERE account = ?")
            .bind(self.account.as_str())
            .execute(self.books.db())
            .await?;
        let began = format!("{}/{}", self.account, period.start.as_second());
        let unallocated = LedgerAccount::Unallocated(self.account.clone(), Kind::Monthly);
        let transfer = Transfer {
            debit: LedgerAccount::Issued,
            credit: unallocated.clone(),
            amount: refill,
            reason: Reason::Refill,
            reference: format!("{} to {}", period.start, period.end),
        };
        let owner = Owner { account: self.account, site: None };
        self.books.transfer(&transfer, &format!("refill/{began}"), owner, self.now).await?;
        for (site, wanted) in self.allocated_sites().await? {
            // A plan that became smaller may not reach for all: the first by name are served first.
            let amount = wanted.min(self.books.balance(&unallocated).await?);
            let transfer = Transfer {
                debit: unallocated.clone(),
                credit: LedgerAccount::Allocated(site.clone(), Kind::Monthly),
                amount,
                reason: Reason::Allocation,
                reference: String::new(),
            };
            let owner = Owner { account: self.account, site: Some(&site) };
            self.books.transfer(&transfer, &format!("allocation/{began}/{site}"), owner, self.now).await?;
        }
        self.books.raise();
        Ok(())
    }

    /// Sites with an allocation, by name, and its monthly credits.
    async fn allocated_sites(&mut self) -> Result<Vec<(SiteId, Microcredits)>, LedgerError> {
        let rows = sqlx::query(
            "SELECT id, allocation_monthly FROM site \
             WHERE account = ? AND allocation_monthly IS NOT NULL AND removed = 0 ORDER BY id",
        )
        .bind(self.account.as_str())
        .fetch_all(self.books.db())
        .await?;
        rows.into_iter()
            .map(|row| Ok((parsed(row.try_get("id")?)?, Microcredits::new(row.try_get("allocation_monthly")?))))
            .collect()
    }
}

/// A time out of the database.
pub(super) fn time(seconds: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_second(seconds).map_err(|error| LedgerError::Damaged(error.to_string()))
}

/// A name out of the database.
pub(super) fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, LedgerError> {
    text.parse().map_err(|_| LedgerError::Damaged(format!("{text:?} is no name")))
}

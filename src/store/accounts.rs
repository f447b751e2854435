//! Accounts: made, listed, moved to another plan (`billing.md` rules 7, 16).

use jiff::Timestamp;
use sqlx::Row as _;

use super::{
    books::{Books, Owner},
    error::LedgerError,
    once::{Once, Request},
    open::Ledger,
    periods::{begin_period, close_if_over, time},
    views::{AccountView, Page, account_query, page_size, read_account, read_accounts},
};
use crate::billing::{AccountId, Catalogue, Kind, LedgerAccount, Microcredits, Period, Plan, Reason, Transfer};

impl Ledger {
    /// Takes in an account of the configuration file: it is made if it is not there, with the first period's credits.
    /// Its plan is changed only where the file names another than it did the last time.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchPlan`], [`LedgerError::Unavailable`]
    pub async fn declare_account(&self, id: &AccountId, plan: &str, now: Timestamp) -> Result<(), LedgerError> {
        let catalogue = self.catalogue();
        let plan = named(&catalogue, plan)?;
        self.once(None, now, async |books, request| {
            let row = sqlx::query("SELECT declared_plan FROM account WHERE id = ?")
                .bind(id.as_str())
                .fetch_optional(books.db())
                .await?;
            match row {
                None => begin(books, id, plan, now).await?,
                Some(row) if row.try_get::<Option<&str>, _>("declared_plan")? == Some(&plan.id) => return Ok(()),
                Some(_) => move_to(books, &catalogue, id, plan, request, now).await?,
            }
            sqlx::query("UPDATE account SET declared_plan = ? WHERE id = ?")
                .bind(&plan.id)
                .bind(id.as_str())
                .execute(books.db())
                .await?;
            Ok(())
        })
        .await
    }

    /// Makes an account, with the first period's credits.
    ///
    /// # Errors
    /// [`LedgerError::AccountExists`], [`LedgerError::NoSuchPlan`], [`LedgerError::KeyReused`]
    pub async fn create_account(
        &self,
        once: Option<&Once>,
        id: &AccountId,
        plan: &str,
        now: Timestamp,
    ) -> Result<AccountView, LedgerError> {
        let catalogue = self.catalogue();
        self.once(once, now, async |books, _| {
            let plan = named(&catalogue, plan)?;
            let is_there = sqlx::query("SELECT 1 FROM account WHERE id = ?").bind(id.as_str());
            if is_there.fetch_optional(books.db()).await?.is_some() {
                return Err(LedgerError::AccountExists(id.clone()));
            }
            begin(books, id, plan, now).await?;
            read_account(books.settled().await?, id).await
        })
        .await
    }

    /// An account as it is at `now`: a period that is over is closed first.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchAccount`]
    pub async fn account(&self, id: &AccountId, now: Timestamp) -> Result<AccountView, LedgerError> {
        self.close_before_read(Some(id), now).await;
        let mut snapshot = self.readers.begin().await?;
        read_account(&mut snapshot, id).await
    }

    /// Accounts by name, those behind `after`.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn accounts(
        &self,
        after: Option<&str>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Page<AccountView>, LedgerError> {
        self.close_before_read(None, now).await;
        let size = page_size(limit);
        let mut query = account_query();
        query.push(" WHERE id > ").push_bind(after.unwrap_or_default());
        query.push(" ORDER BY id LIMIT ").push_bind(size + 1);
        let mut snapshot = self.readers.begin().await?;
        let accounts = read_accounts(&mut snapshot, query).await?;
        Ok(Page::cut(accounts, size, |last| last.id.to_string()))
    }

    /// Moves an account to another plan. A larger one gives the difference at once; a smaller one takes nothing back
    /// and holds from the next period on; going down and up again gives nothing twice (`account.refilled`).
    ///
    /// # Errors
    /// [`LedgerError::NoSuchAccount`], [`LedgerError::NoSuchPlan`], [`LedgerError::KeyReused`]
    pub async fn change_plan(
        &self,
        once: Option<&Once>,
        id: &AccountId,
        plan: &str,
        now: Timestamp,
    ) -> Result<AccountView, LedgerError> {
        let catalogue = self.catalogue();
        self.once(once, now, async |books, request| {
            move_to(books, &catalogue, id, named(&catalogue, plan)?, request, now).await?;
            read_account(books.settled().await?, id).await
        })
        .await
    }
}

fn named<'c>(catalogue: &'c Catalogue, plan: &str) -> Result<&'c Plan, LedgerError> {
    catalogue.plan(plan).ok_or_else(|| LedgerError::NoSuchPlan(plan.to_owned()))
}

/// Makes an account whose subscription starts at `now`.
async fn begin(books: &mut Books<'_>, id: &AccountId, plan: &Plan, now: Timestamp) -> Result<(), LedgerError> {
    // Kept in whole seconds: the periods that follow are reckoned from what is kept.
    let anchor = time(now.as_second())?;
    let first = Period::at(anchor, anchor);
    sqlx::query("INSERT INTO account (id, plan, anchor, period_start, period_end) VALUES (?, ?, ?, ?, ?)")
        .bind(id.as_str())
        .bind(&plan.id)
        .bind(anchor.as_second())
        .bind(first.start.as_second())
        .bind(first.end.as_second())
        .execute(books.db())
        .await?;
    begin_period(books, id, first, plan.refill(), now).await
}

async fn move_to(
    books: &mut Books<'_>,
    catalogue: &Catalogue,
    id: &AccountId,
    plan: &Plan,
    request: &Request,
    now: Timestamp,
) -> Result<(), LedgerError> {
    close_if_over(books, catalogue, id, now).await?;
    let row = sqlx::query("SELECT plan, refilled FROM account WHERE id = ?").bind(id.as_str());
    let row = row.fetch_one(books.db()).await?;
    let (left, refilled): (&str, _) = (row.try_get("plan")?, Microcredits::new(row.try_get("refilled")?));
    let difference = Transfer {
        debit: LedgerAccount::Issued,
        credit: LedgerAccount::Unallocated(id.clone(), Kind::Monthly),
        amount: plan.refill().less(refilled),
        reason: Reason::PlanChange,
        reference: format!("{left} to {}", plan.id),
    };
    books.transfer(&difference, &request.key("plan"), Owner { account: id, site: None }, now).await?;
    sqlx::query("UPDATE account SET plan = ?, refilled = ? WHERE id = ?")
        .bind(&plan.id)
        .bind(refilled.max(plan.refill()).get())
        .bind(id.as_str())
        .execute(books.db())
        .await?;
    // What a refused charge would have taken was reckoned by what the plan before made of the tariff.
    sqlx::query("UPDATE site SET needed = 0 WHERE account = ?").bind(id.as_str()).execute(books.db()).await?;
    books.raise();
    Ok(())
}

//! What is told of accounts, sites and transfers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::{
    error::LedgerError,
    payer::{SITE_COLUMNS, SiteRow},
    periods::{parsed, time},
};
use crate::billing::{
    AccountId, Allocation, Balance, Catalogue, Entitlement, LedgerAccount, Microcredits, Period, Reason, SiteId, Tariff,
};

/// The most that one part of a list has.
const MAX_PAGE: u32 = 1_000;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Its name.
    pub id: AccountId,
    /// Its plan.
    pub plan: String,
    /// The period under way.
    pub period: Period,
    /// What it has, what is assigned to its sites included.
    pub balance: Balance,
    /// What of that is not assigned.
    pub unallocated: Balance,
    /// Its sites, in order, removed ones left out.
    pub sites: Vec<SiteId>,
}

/// A site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteView {
    /// Its name.
    pub id: SiteId,
    /// Who pays.
    pub account: AccountId,
    /// How it is rated: what its configuration says, or what the account's plan makes of that.
    pub tariff: Tariff,
    /// What it may do now.
    pub entitlement: Entitlement,
    /// What is assigned to it, if anything is.
    pub allocation: Option<Allocation>,
    /// What it may draw on: what is left of its allocation, or what the account has unallocated.
    pub balance: Balance,
    /// All settings, as JSON, of a site made through the API; `None` where the configuration file has it.
    pub settings: Option<String>,
}

/// A transfer that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferView {
    /// Its number: they go up with time.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// The ledger account that gave.
    pub debit: LedgerAccount,
    /// The ledger account that got.
    pub credit: LedgerAccount,
    /// How much.
    pub amount: Microcredits,
    /// Why.
    pub reason: Reason,
    /// What it was for.
    pub reference: String,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// Where the next part begins; `None`: there is none.
    pub next: Option<String>,
}

/// How many entries a page gets that is to have `limit`.
pub(super) fn page_size(limit: u32) -> u32 {
    limit.clamp(1, MAX_PAGE)
}

impl<T> Page<T> {
    /// The page of `size` that `items` begin with: they are one more if there is another.
    pub(super) fn cut(mut items: Vec<T>, size: u32, name: impl FnOnce(&T) -> String) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let has_more = items.len() > size;
        items.truncate(size);
        let next = if has_more { items.last().map(name) } else { None };
        Self { items, next }
    }
}

/// An account as the books have it.
///
/// # Errors
/// [`LedgerError::NoSuchAccount`]
pub(super) async fn read_account(db: &mut SqliteConnection, id: &AccountId) -> Result<AccountView, LedgerError> {
    let mut query = account_query();
    query.push(" WHERE id = ").push_bind(id.as_str());
    let found = read_accounts(db, query).await?.pop();
    found.ok_or_else(|| LedgerError::NoSuchAccount(id.to_string()))
}

/// `SELECT … FROM account`, for [`read_accounts`].
pub(super) fn account_query() -> QueryBuilder<Sqlite> {
    QueryBuilder::new(
        "SELECT id, plan, period_start, period_end, \
         coalesce((SELECT balance FROM ledger_account WHERE id = 'account/' || account.id || '/monthly'), 0) \
         AS monthly, \
         coalesce((SELECT balance FROM ledger_account WHERE id = 'account/' || account.id || '/one_time'), 0) \
         AS one_time \
         FROM account",
    )
}

/// Accounts that lie next to each other, by name.
pub(super) async fn read_accounts(
    db: &mut SqliteConnection,
    mut query: QueryBuilder<Sqlite>,
) -> Result<Vec<AccountView>, LedgerError> {
    let rows = query.build().fetch_all(&mut *db).await?;
    let mut accounts = rows.iter().map(account_without_sites).collect::<Result<Vec<_>, _>>()?;
    let (Some(first), Some(last)) = (accounts.first(), accounts.last()) else { return Ok(accounts) };
    let sites = sqlx::query(
        "SELECT site.id, site.account, \
         coalesce((SELECT balance FROM ledger_account WHERE id = 'site/' || site.id || '/monthly'), 0) AS monthly, \
         coalesce((SELECT balance FROM ledger_account WHERE id = 'site/' || site.id || '/one_time'), 0) AS one_time \
         FROM site WHERE site.account BETWEEN ? AND ? AND site.removed = 0 ORDER BY site.id",
    )
    .bind(first.id.as_str().to_owned())
    .bind(last.id.as_str().to_owned())
    .fetch_all(db)
    .await?;
    for site in &sites {
        let of: &str = site.try_get("account")?;
        if let Ok(at) = accounts.binary_search_by(|account| account.id.as_str().cmp(of)) {
            let (account, allocated) = (&mut accounts[at], balance(site)?);
            account.balance.monthly = account.balance.monthly.plus(allocated.monthly)?;
            account.balance.one_time = account.balance.one_time.plus(allocated.one_time)?;
            account.sites.push(parsed(site.try_get("id")?)?);
        }
    }
    Ok(accounts)
}

fn account_without_sites(row: &SqliteRow) -> Result<AccountView, LedgerError> {
    let unallocated = balance(row)?;
    Ok(AccountView {
        id: parsed(row.try_get("id")?)?,
        plan: row.try_get("plan")?,
        period: Period { start: time(row.try_get("period_start")?)?, end: time(row.try_get("period_end")?)? },
        balance: unallocated,
        unallocated,
        sites: Vec::new(),
    })
}

/// A site as the books have it.
///
/// # Errors
/// [`LedgerError::NoSuchSite`]
pub(super) async fn read_site(
    db: &mut SqliteConnection,
    catalogue: &Catalogue,
    id: &SiteId,
) -> Result<SiteView, LedgerError> {
    let mut query = site_query();
    query.push(" AND site.id = ").push_bind(id.as_str());
    let found = read_sites(db, catalogue, query).await?.pop();
    found.ok_or_else(|| LedgerError::NoSuchSite(id.to_string()))
}

/// `SELECT … FROM site … WHERE` it is not removed, for [`read_sites`].
pub(super) fn site_query() -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(SITE_COLUMNS).push(
        // As `SiteRow::purse` has it.
        ", coalesce((SELECT balance FROM ledger_account WHERE id = \
         iif(allocation_monthly IS NULL, 'account/' || site.account, 'site/' || site.id) || '/monthly'), 0) \
         AS monthly, \
         coalesce((SELECT balance FROM ledger_account WHERE id = \
         iif(allocation_monthly IS NULL, 'account/' || site.account, 'site/' || site.id) || '/one_time'), 0) \
         AS one_time \
         FROM site JOIN account ON account.id = site.account WHERE site.removed = 0",
    );
    query
}

/// Sites in the order of `query`.
pub(super) async fn read_sites(
    db: &mut SqliteConnection,
    catalogue: &Catalogue,
    mut query: QueryBuilder<Sqlite>,
) -> Result<Vec<SiteView>, LedgerError> {
    let rows = query.build().fetch_all(db).await?;
    rows.iter().map(|row| site_view(row, catalogue)).collect()
}

fn site_view(row: &SqliteRow, catalogue: &Catalogue) -> Result<SiteView, LedgerError> {
    let (site, balance) = (SiteRow::read(row, catalogue)?, balance(row)?);
    let entitlement = site.entitlement(balance)?;
    Ok(SiteView {
        id: site.id,
        account: site.account,
        tariff: site.tariff,
        entitlement,
        allocation: site.allocation,
        balance,
        settings: site.settings,
    })
}

fn balance(row: &SqliteRow) -> Result<Balance, LedgerError> {
    let amount = |column: &str| row.try_get::<i64, _>(column).map(Microcredits::new);
    Ok(Balance { monthly: amount("monthly")?, one_time: amount("one_time")? })
}

//! The sites of a batch, read at once.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::{
    books::Books,
    error::LedgerError,
    payer::{SITE_COLUMNS, SiteRow},
    periods::{close_if_over, parsed},
};
use crate::billing::{AccountId, Catalogue, SiteId};

/// The sites of these names that are there and not removed.
///
/// # Errors
/// [`LedgerError::Unavailable`]
pub(super) async fn load_sites(
    db: &mut SqliteConnection,
    catalogue: &Catalogue,
    ids: impl Iterator<Item = &SiteId>,
) -> Result<HashMap<SiteId, SiteRow>, LedgerError> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT {SITE_COLUMNS} FROM (SELECT DISTINCT value FROM json_each(?)) AS named \
         CROSS JOIN site ON site.id = named.value AND site.removed = 0 JOIN account ON account.id = site.account",
    )))
    .bind(names(ids))
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let site = SiteRow::read(row, catalogue)?;
            Ok((site.id.clone(), site))
        })
        .collect()
}

/// As [`load_sites`], the period of each account closed if it is over.
///
/// # Errors
/// [`LedgerError::Unavailable`]
pub(super) async fn paying_sites(
    books: &mut Books<'_>,
    catalogue: &Catalogue,
    ids: impl Iterator<Item = &SiteId> + Clone,
    now: Timestamp,
) -> Result<HashMap<SiteId, SiteRow>, LedgerError> {
    let sites = load_sites(books.db(), catalogue, ids.clone()).await?;
    let over = sqlx::query(
        "SELECT DISTINCT account.id FROM json_each(?1) AS named CROSS JOIN account ON account.id = named.value \
         WHERE account.period_end <= ?2 ORDER BY account.id",
    )
    .bind(names(sites.values().map(|site| &site.account)))
    .bind(now.as_second())
    .fetch_all(books.db())
    .await?;
    if over.is_empty() {
        return Ok(sites);
    }
    for row in over {
        let account: AccountId = parsed(row.try_get("id")?)?;
        close_if_over(books, catalogue, &account, now).await?;
    }
    // What they used of their allocations was of the periods that are closed now.
    load_sites(books.db(), catalogue, ids).await
}

/// Names as a JSON array, for `json_each`.
pub(super) fn names<'n, N: ToString + 'n>(names: impl Iterator<Item = &'n N>) -> String {
    names.map(|name| json!(name.to_string())).collect::<Value>().to_string()
}

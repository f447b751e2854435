//! The audit: what was done through the API that is not a matter of credits, and by whom. What is done and that it is listed
//! are one: an answer is given when both are kept.

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use super::{
    books::Books,
    error::LedgerError,
    once::Once,
    open::Ledger,
    periods::{parsed, time},
    views::{Page, page_size},
};
use crate::billing::{AccountId, SiteId};

/// How many events are kept at the most.
pub const MAX_EVENTS: i64 = 100_000;

/// How long an event is kept at the most: a year.
pub const MAX_AGE: SignedDuration = SignedDuration::from_hours(365 * 24);

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// Who did it: `operator`, or `account/{id}/key/{key}`.
    pub actor: String,
    /// What it was, in a word.
    pub action: &'static str,
    /// What it was done to.
    pub site: Option<SiteId>,
    /// Whose that is.
    pub account: Option<AccountId>,
    /// What is particular to the action.
    pub detail: Value,
}

/// An event that is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditView {
    /// Its number: they go up with time.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What it was.
    pub action: String,
    /// What it was done to.
    pub site: Option<SiteId>,
    /// What is particular to the action.
    pub detail: Value,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of what is this account's.
    pub account: Option<AccountId>,
    /// Of this site.
    pub site: Option<SiteId>,
    /// Those before the one of this number: a page's `next`.
    pub before: Option<i64>,
    /// How many at the most.
    pub limit: u32,
}

impl Ledger {
    /// Does `work` and lists it as what it says that it was. A request that was made before is answered as it was then:
    /// nothing is done, and nothing listed.
    ///
    /// # Errors
    /// [`LedgerError::KeyReused`], and what `work` gives: then nothing is listed. [`LedgerError::Unavailable`], where it may
    /// have been done and is not listed: asked again, it is done again.
    pub async fn audited<T, E>(
        &self,
        once: Option<&Once>,
        now: Timestamp,
        work: impl AsyncFnOnce() -> Result<(T, AuditEvent), E>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<LedgerError>,
    {
        self.once(once, now, async |books, _| {
            let (answer, event) = work().await?;
            list(books, &event, now).await?;
            Ok(answer)
        })
        .await
    }

    /// Events, the latest first.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Page<AuditView>, LedgerError> {
        let size = page_size(filter.limit);
        let mut query = filter.query();
        query.push(" ORDER BY id DESC LIMIT ").push_bind(size + 1);
        let rows = query.build().fetch_all(&self.readers).await?;
        let events = rows.iter().map(view).collect::<Result<_, _>>()?;
        Ok(Page::cut(events, size, |last: &AuditView| last.id.to_string()))
    }
}

/// Lists an event, and drops what is too old or too much.
async fn list(books: &mut Books<'_>, event: &AuditEvent, now: Timestamp) -> Result<(), LedgerError> {
    let listed = sqlx::query(
        "INSERT INTO audit (at, actor, action, site, account, detail) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(now.as_second())
    .bind(&event.actor)
    .bind(event.action)
    .bind(event.site.as_ref().map(SiteId::as_str))
    .bind(event.account.as_ref().map(AccountId::as_str))
    .bind(event.detail.to_string())
    .fetch_one(books.db())
    .await?;
    let newest: i64 = listed.try_get("id")?;
    sqlx::query("DELETE FROM audit WHERE id <= ? OR at < ?")
        .bind(newest - MAX_EVENTS)
        .bind(now.as_second() - MAX_AGE.as_secs())
        .execute(books.db())
        .await?;
    Ok(())
}

impl AuditFilter {
    fn query(&self) -> QueryBuilder<Sqlite> {
        let mut query = QueryBuilder::new("SELECT id, at, actor, action, site, detail FROM audit WHERE true");
        if let Some(account) = &self.account {
            query.push(" AND account = ").push_bind(account.as_str());
        }
        if let Some(site) = &self.site {
            query.push(" AND site = ").push_bind(site.as_str());
        }
        if let Some(before) = self.before {
            query.push(" AND id < ").push_bind(before);
        }
        query
    }
}

fn view(row: &SqliteRow) -> Result<AuditView, LedgerError> {
    let damaged = |error| LedgerError::Damaged(format!("the detail of an audited event: {error}"));
    Ok(AuditView {
        id: row.try_get("id")?,
        at: time(row.try_get("at")?)?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        site: row.try_get::<Option<&str>, _>("site")?.map(parsed).transpose()?,
        detail: serde_json::from_str(row.try_get("detail")?).map_err(damaged)?,
    })
}

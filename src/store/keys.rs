//! API keys: hashed, of one account, revocable.

use jiff::Timestamp;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    error::LedgerError,
    open::Ledger,
    periods::{parsed, time},
};
use crate::billing::AccountId;

/// The BLAKE3 hash of a key. Keys are 256 random bits, so no slow hash is needed.
pub type KeyHash = [u8; 32];

/// A key, without what opens the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public name, random.
    pub id: String,
    /// Whose it is.
    pub account: AccountId,
    /// What it is called by its owner.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
}

impl Ledger {
    /// Keeps a key.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchAccount`]
    pub async fn add_key(&self, key: &ApiKey, hash: &KeyHash) -> Result<(), LedgerError> {
        let mut books = self.begin().await?;
        must_be_there(books.db(), &key.account).await?;
        sqlx::query("INSERT INTO api_key (id, account, name, hash, created, revoked) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(&key.id)
            .bind(key.account.as_str())
            .bind(&key.name)
            .bind(hash.as_slice())
            .bind(key.created.as_second())
            .bind(key.revoked.map(Timestamp::as_second))
            .execute(books.db())
            .await?;
        books.commit().await
    }

    /// An account's keys, revoked ones included, the oldest first.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchAccount`]
    pub async fn keys(&self, account: &AccountId) -> Result<Vec<ApiKey>, LedgerError> {
        let mut snapshot = self.readers.begin().await?;
        must_be_there(&mut snapshot, account).await?;
        let rows = sqlx::query(
            "SELECT id, account, name, created, revoked FROM api_key WHERE account = ? ORDER BY created, rowid",
        )
        .bind(account.as_str())
        .fetch_all(&mut *snapshot)
        .await?;
        rows.iter().map(key).collect()
    }

    /// Revokes a key; revoking it again changes nothing.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchKey`], also where it is another account's
    pub async fn revoke_key(&self, account: &AccountId, id: &str, now: Timestamp) -> Result<ApiKey, LedgerError> {
        let mut books = self.begin().await?;
        let row = sqlx::query(
            "UPDATE api_key SET revoked = coalesce(revoked, ?) WHERE account = ? AND id = ? \
             RETURNING id, account, name, created, revoked",
        )
        .bind(now.as_second())
        .bind(account.as_str())
        .bind(id)
        .fetch_optional(books.db())
        .await?;
        let revoked = key(&row.ok_or_else(|| LedgerError::NoSuchKey(id.to_owned()))?)?;
        books.commit().await?;
        Ok(revoked)
    }

    /// Whose key this is, and its public name, unless it was revoked.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn account_of_key(&self, hash: &KeyHash) -> Result<Option<(AccountId, String)>, LedgerError> {
        let row = sqlx::query("SELECT account, id FROM api_key WHERE hash = ? AND revoked IS NULL")
            .bind(hash.as_slice())
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| Ok((parsed(row.try_get("account")?)?, row.try_get("id")?))).transpose()
    }
}

async fn must_be_there(db: &mut SqliteConnection, account: &AccountId) -> Result<(), LedgerError> {
    let row = sqlx::query("SELECT 1 FROM account WHERE id = ?").bind(account.as_str()).fetch_optional(db).await?;
    row.map(|_| ()).ok_or_else(|| LedgerError::NoSuchAccount(account.to_string()))
}

fn key(row: &SqliteRow) -> Result<ApiKey, LedgerError> {
    Ok(ApiKey {
        id: row.try_get("id")?,
        account: parsed(row.try_get("account")?)?,
        name: row.try_get("name")?,
        created: time(row.try_get("created")?)?,
        revoked: row.try_get::<Option<i64>, _>("revoked")?.map(time).transpose()?,
    })
}

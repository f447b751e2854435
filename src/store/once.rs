//! Requests that happen once, however often they are sent (`Idempotency-Key`).

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::Row as _;

use super::{books::Books, error::LedgerError, open::Ledger};

/// What makes a request happen once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The key, with whose it is: two accounts may use the same.
    pub key: String,
    /// A hash of all that was asked: the same key for something else is refused.
    pub fingerprint: [u8; 32],
}

/// A request being done: it names the transfers that come of it.
#[derive(Debug)]
pub(super) struct Request {
    name: String,
}

impl Request {
    /// With a key it has the same name each time, without one a name that there never was. All names have one length,
    /// so that no key that a client makes up runs into another's parts.
    fn new(once: Option<&Once>) -> Result<Self, LedgerError> {
        let hash = match once {
            Some(once) => blake3::hash(once.key.as_bytes()),
            None => {
                let mut random = [0; blake3::OUT_LEN];
                getrandom::fill(&mut random).map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
                blake3::Hash::from_bytes(random)
            }
        };
        Ok(Self { name: format!("request/{}", hash.to_hex()) })
    }

    /// The key of one of its transfers.
    pub(super) fn key(&self, part: impl fmt::Display) -> String {
        format!("{}/{part}", self.name)
    }
}

impl Ledger {
    /// Does `work` in one transaction; a request that was made before is answered as it was then, and nothing is done.
    ///
    /// # Errors
    /// [`LedgerError::KeyReused`], and what `work` gives: then nothing is written, and the key is free.
    pub(super) async fn once<T, E>(
        &self,
        once: Option<&Once>,
        now: Timestamp,
        work: impl AsyncFnOnce(&mut Books<'_>, &Request) -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<LedgerError>,
    {
        let request = Request::new(once)?;
        // There is one writer: whoever comes second with a key finds the first one's answer.
        let mut books = self.begin().await?;
        if let Some(once) = once
            && let Some(answer) = answered(&mut books, once).await?
        {
            return Ok(answer);
        }
        let answer = work(&mut books, &request).await?;
        if let Some(once) = once {
            remember(&mut books, once, &answer, now).await?;
        }
        books.commit().await?;
        Ok(answer)
    }
}

/// What was answered to this request, if it was made before.
async fn answered<T: DeserializeOwned>(books: &mut Books<'_>, once: &Once) -> Result<Option<T>, LedgerError> {
    let row = sqlx::query("SELECT fingerprint, answer FROM request WHERE key = ?")
        .bind(&once.key)
        .fetch_optional(books.db())
        .await?;
    let Some(row) = row else { return Ok(None) };
    if row.try_get::<&[u8], _>("fingerprint")? != once.fingerprint {
        return Err(LedgerError::KeyReused);
    }
    let damaged = |error| LedgerError::Damaged(format!("the answer to request {:?}: {error}", once.key));
    serde_json::from_str(row.try_get("answer")?).map(Some).map_err(damaged)
}

async fn remember<T: Serialize>(
    books: &mut Books<'_>,
    once: &Once,
    answer: &T,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let answer = serde_json::to_string(answer).map_err(|error| LedgerError::Damaged(error.to_string()))?;
    sqlx::query("INSERT INTO request (key, fingerprint, at, answer) VALUES (?, ?, ?, ?)")
        .bind(&once.key)
        .bind(once.fingerprint.as_slice())
        .bind(now.as_second())
        .bind(answer)
        .execute(books.db())
        .await?;
    Ok(())
}

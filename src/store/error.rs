//! Why the ledger says no, or cannot.

use crate::billing::{AccountId, AmountError, NotFree, Shortfall, SiteId};

/// Why something was not done; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// No account has this name.
    #[error("there is no account {0:?}")]
    NoSuchAccount(String),
    /// No site has this name.
    #[error("there is no site {0:?}")]
    NoSuchSite(String),
    /// The catalogue has no such plan.
    #[error("there is no plan {0:?}")]
    NoSuchPlan(String),
    /// No API key has this id.
    #[error("there is no API key {0:?}")]
    NoSuchKey(String),
    /// The name is taken.
    #[error("there is an account {0} already")]
    AccountExists(AccountId),
    /// The name is taken.
    #[error("there is a site {0} already")]
    SiteExists(SiteId),
    /// The configuration file has it, and only there can it be changed.
    #[error("the site {0} stands in the configuration file: change it there")]
    OfFile(SiteId),
    /// An amount that cannot be, or a sum that 64 bits do not hold.
    #[error("amount: {0}")]
    Amount(#[from] AmountError),
    /// More is to be allocated than is free.
    #[error(transparent)]
    NotFree(#[from] NotFree),
    /// There are too few credits.
    #[error(transparent)]
    Insufficient(#[from] Shortfall),
    /// The idempotency key was used for something else.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// The database cannot be read or written now: disk full, locked, read-only.
    #[error("the ledger cannot be used: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// What is in the database cannot be.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
}

impl From<sqlx::Error> for LedgerError {
    /// What breaks a rule of the schema, or cannot be read out of it, does not pass by waiting.
    fn from(error: sqlx::Error) -> Self {
        let is_damage = match &error {
            sqlx::Error::Database(error) => !matches!(error.kind(), sqlx::error::ErrorKind::Other),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::RowNotFound => true,
            _ => false,
        };
        if is_damage { Self::Damaged(error.to_string()) } else { Self::Unavailable(error) }
    }
}

impl LedgerError {
    /// Whether trying again later may help.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

//! A change to the books under way: transfers are written down as they come, balances once at the end.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::{Row as _, Sqlite, SqliteConnection, Transaction};
use tokio::sync::watch;

use super::error::LedgerError;
use crate::billing::{AccountId, Balance, Kind, LedgerAccount, Microcredits, SiteId, Transfer};

/// Whose a transfer is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) account: &'a AccountId,
    pub(super) site: Option<&'a SiteId>,
}

/// A transaction.
pub(super) struct Books<'l> {
    transaction: Transaction<'l, Sqlite>,
    balances: HashMap<LedgerAccount, Entry>,
    changes: &'l watch::Sender<u64>,
    has_raised: bool,
}

#[derive(Clone, Copy)]
struct Entry {
    balance: Microcredits,
    is_changed: bool,
}

impl<'l> Books<'l> {
    pub(super) fn new(transaction: Transaction<'l, Sqlite>, changes: &'l watch::Sender<u64>) -> Self {
        Self { transaction, balances: HashMap::new(), changes, has_raised: false }
    }

    /// The transaction's connection.
    pub(super) fn db(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// A balance, with what this change has done to it so far.
    pub(super) async fn balance(&mut self, account: &LedgerAccount) -> Result<Microcredits, LedgerError> {
        if let Some(entry) = self.balances.get(account) {
            return Ok(entry.balance);
        }
        let row = sqlx::query("SELECT balance FROM ledger_account WHERE id = ?")
            .bind(account.to_string())
            .fetch_optional(&mut *self.transaction)
            .await?;
        let balance = Microcredits::new(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0));
        self.balances.insert(account.clone(), Entry { balance, is_changed: false });
        Ok(balance)
    }

    /// What an account has that is not assigned to a site.
    pub(super) async fn unallocated(&mut self, account: &AccountId) -> Result<Balance, LedgerError> {
        Ok(Balance {
            monthly: self.balance(&LedgerAccount::Unallocated(account.clone(), Kind::Monthly)).await?,
            one_time: self.balance(&LedgerAccount::Unallocated(account.clone(), Kind::OneTime)).await?,
        })
    }

    /// What is assigned to a site.
    pub(super) async fn allocated(&mut self, site: &SiteId) -> Result<Balance, LedgerError> {
        Ok(Balance {
            monthly: self.balance(&LedgerAccount::Allocated(site.clone(), Kind::Monthly)).await?,
            one_time: self.balance(&LedgerAccount::Allocated(site.clone(), Kind::OneTime)).await?,
        })
    }

    /// Moves credits. `key` names this transfer for ever: a second one of the same name is an error, so whoever can be
    /// asked twice looks first. A transfer of nothing is none.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] where the giving account has too little: the rules never let it come to that.
    pub(super) async fn transfer(
        &mut self,
        transfer: &Transfer,
        key: &str,
        owner: Owner<'_>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        if transfer.amount.is_zero() {
            return Ok(());
        }
        let given = self.balance(&transfer.debit).await?.minus(transfer.amount)?;
        let got = self.balance(&transfer.credit).await?.plus(transfer.amount)?;
        if transfer.amount < Microcredits::ZERO
            || (given < Microcredits::ZERO && transfer.debit != LedgerAccount::Issued)
        {
            return Err(LedgerError::Damaged(format!("{transfer:?} would leave {given} credits")));
        }
        sqlx::query(
            "INSERT INTO transfer (at, debit, credit, amount, reason, reference, key, account, site) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(now.as_second())
        .bind(transfer.debit.to_string())
        .bind(transfer.credit.to_string())
        .bind(transfer.amount.get())
        .bind(transfer.reason.name())
        .bind(&transfer.reference)
        .bind(key)
        .bind(owner.account.as_str())
        .bind(owner.site.map(SiteId::as_str))
        .execute(&mut *self.transaction)
        .await?;
        self.balances.insert(transfer.debit.clone(), Entry { balance: given, is_changed: true });
        self.balances.insert(transfer.credit.clone(), Entry { balance: got, is_changed: true });
        Ok(())
    }

    /// Notes that a site may be able to pay again after this, or is rated in another way: nodes are told.
    pub(super) fn raise(&mut self) {
        self.has_raised = true;
    }

    /// The transaction's connection, with all balances as this change has made them.
    pub(super) async fn settled(&mut self) -> Result<&mut SqliteConnection, LedgerError> {
        for (account, entry) in self.balances.iter_mut().filter(|(_, entry)| entry.is_changed) {
            sqlx::query(
                "INSERT INTO ledger_account (id, balance) VALUES (?1, ?2) \
                 ON CONFLICT (id) DO UPDATE SET balance = ?2",
            )
            .bind(account.to_string())
            .bind(entry.balance.get())
            .execute(&mut *self.transaction)
            .await?;
            entry.is_changed = false;
        }
        Ok(&mut self.transaction)
    }

    /// Makes the change happen. When this returns it is as durable as the ledger was opened to be.
    pub(super) async fn commit(mut self) -> Result<(), LedgerError> {
        self.settled().await?;
        if self.has_raised {
            sqlx::query("UPDATE state SET value = value + 1 WHERE name = 'credits'")
                .execute(&mut *self.transaction)
                .await?;
        }
        self.transaction.commit().await?;
        if self.has_raised {
            self.changes.send_modify(|count| *count += 1);
        }
        Ok(())
    }
}

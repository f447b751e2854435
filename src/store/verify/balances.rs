//! Balances against transfers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::TryStreamExt as _;
use sqlx::{Row as _, SqliteConnection};

use super::{Disagreement, amount, unless_equal};
use crate::{
    billing::{LedgerAccount, Microcredits, Reason},
    store::{error::LedgerError, periods::parsed},
};

/// The balances that are kept.
pub(super) struct Kept {
    pub(super) balances: BTreeMap<LedgerAccount, i128>,
}

impl Kept {
    pub(super) async fn read(db: &mut SqliteConnection) -> Result<Self, LedgerError> {
        let mut rows = sqlx::query("SELECT id, balance FROM ledger_account").fetch(db);
        let mut balances = BTreeMap::new();
        while let Some(row) = rows.try_next().await? {
            balances.insert(parsed(row.try_get("id")?)?, row.try_get::<i64, _>("balance")?.into());
        }
        Ok(Self { balances })
    }

    pub(super) fn exact_sum_of(&self, counts: impl Fn(&LedgerAccount) -> bool) -> i128 {
        self.balances.iter().filter(|(account, _)| counts(account)).map(|(_, balance)| balance).sum()
    }

    pub(super) fn sum_of(&self, counts: impl Fn(&LedgerAccount) -> bool) -> Microcredits {
        amount(self.exact_sum_of(counts))
    }
}

/// What the transfers come to, one by one: no sum of SQL's, which would end in an error where an amount was tampered
/// with.
#[derive(Default)]
pub(super) struct Moved {
    pub(super) transfers: u64,
    /// By the ledger account's name.
    balances: HashMap<String, i128>,
    /// What went to [`LedgerAccount::Spent`] of each site, for each reason.
    spent: HashMap<(String, String), i128>,
}

impl Moved {
    pub(super) async fn read(db: &mut SqliteConnection) -> Result<Self, LedgerError> {
        let mut rows = sqlx::query("SELECT debit, credit, amount, reason FROM transfer").fetch(db);
        let mut moved = Self::default();
        while let Some(row) = rows.try_next().await? {
            let amount = i128::from(row.try_get::<i64, _>("amount")?);
            moved.transfers += 1;
            *moved.balances.entry(row.try_get("debit")?).or_default() -= amount;
            let credit: String = row.try_get("credit")?;
            if credit.ends_with("/spent") {
                *moved.spent.entry((credit.clone(), row.try_get("reason")?)).or_default() += amount;
            }
            *moved.balances.entry(credit).or_default() += amount;
        }
        Ok(moved)
    }

    /// What a ledger account got less what it gave.
    pub(super) fn balance(&self, account: &LedgerAccount) -> i128 {
        self.balances.get(&account.to_string()).copied().unwrap_or_default()
    }

    /// What a site paid for a reason.
    pub(super) fn spent(&self, by: &LedgerAccount, reason: Reason) -> i128 {
        self.spent.get(&(by.to_string(), reason.name().to_owned())).copied().unwrap_or_default()
    }

    /// What all sites paid for a reason.
    pub(super) fn spent_by_all(&self, reason: Reason) -> i128 {
        self.spent.iter().filter(|((_, name), _)| name == reason.name()).map(|(_, amount)| amount).sum()
    }

    /// The ledger accounts of sites that paid anything.
    pub(super) fn payers(&self) -> Result<BTreeSet<LedgerAccount>, LedgerError> {
        self.spent.keys().map(|(name, _)| parsed(name)).collect()
    }
}

/// Kept balances that are not what the transfers make them, accounts that only one of both knows, negative balances.
pub(super) fn disagreements(kept: &Kept, moved: &Moved) -> Vec<Disagreement> {
    let mut found = Vec::new();
    for (account, &balance) in &kept.balances {
        found.extend(unless_equal(|| format!("balance of {account}"), balance, moved.balance(account)));
        if balance < 0 && *account != LedgerAccount::Issued {
            found.extend(unless_equal(|| format!("{account} is negative"), balance, 0));
        }
    }
    let kept: BTreeSet<String> = kept.balances.keys().map(LedgerAccount::to_string).collect();
    let mut missing: Vec<_> = moved.balances.iter().filter(|(name, _)| !kept.contains(*name)).collect();
    missing.sort();
    // Also one that comes to zero: each transfer writes both its balances down.
    found.extend(missing.into_iter().map(|(name, &computed)| Disagreement {
        what: format!("{name} has transfers and no balance"),
        kept: Microcredits::ZERO,
        computed: amount(computed),
    }));
    found
}

/// Credits of sites that have no allocation: nobody could use them.
pub(super) async fn stranded(db: &mut SqliteConnection) -> Result<Vec<Disagreement>, LedgerError> {
    let rows = sqlx::query(
        "SELECT ledger_account.id, balance FROM site JOIN ledger_account \
         ON ledger_account.id IN ('site/' || site.id || '/monthly', 'site/' || site.id || '/one_time') \
         WHERE (allocation_monthly IS NULL OR removed = 1) AND balance <> 0 ORDER BY ledger_account.id",
    )
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let what = format!("{} without an allocation", row.try_get::<&str, _>("id")?);
            let kept = Microcredits::new(row.try_get("balance")?);
            Ok(Disagreement { what, kept, computed: Microcredits::ZERO })
        })
        .collect()
}

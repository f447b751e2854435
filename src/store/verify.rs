//! The audit (`billing.md` rule 12): every balance computed anew from the transfers, and what is kept beside them
//! (usage, rated egress, charges of image sizes) held against them.

mod balances;
mod usage;

use std::fmt;

use super::{error::LedgerError, open::Ledger};
use crate::billing::{LedgerAccount, Microcredits};
use balances::{Kept, Moved};

/// What the audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How many transfers there are.
    pub transfers: u64,
    /// How many ledger accounts.
    pub accounts: u64,
    /// Σ of all balances: zero, or something is wrong.
    pub sum: Microcredits,
    /// Issued so far.
    pub issued: Microcredits,
    /// Of that, used by sites.
    pub spent: Microcredits,
    /// Of that, ended unused.
    pub expired: Microcredits,
    /// Of that, taken back.
    pub withdrawn: Microcredits,
    /// Of that, still there.
    pub left: Microcredits,
    /// What is wrong: a balance that is not what the transfers make it, a negative one, a charge without its transfer,
    /// usage that does not add up to what was charged.
    pub disagreements: Vec<Disagreement>,
}

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Of what, in words.
    pub what: String,
    /// What is kept.
    pub kept: Microcredits,
    /// What all else makes it.
    pub computed: Microcredits,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is kept, it should be {}", self.what, self.kept, self.computed)
    }
}

impl Verification {
    /// Whether everything agrees.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.sum.is_zero() && self.disagreements.is_empty()
    }
}

impl Ledger {
    /// Recomputes every balance, as of one moment.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    pub async fn verify(&self) -> Result<Verification, LedgerError> {
        let mut snapshot = self.readers.begin().await?;
        let kept = Kept::read(&mut snapshot).await?;
        let moved = Moved::read(&mut snapshot).await?;
        let mut disagreements = balances::disagreements(&kept, &moved);
        disagreements.extend(balances::stranded(&mut snapshot).await?);
        disagreements.extend(usage::of_sites(&mut snapshot, &moved).await?);
        disagreements.extend(usage::of_rates(&mut snapshot).await?);
        disagreements.extend(usage::of_windows(&mut snapshot, &moved).await?);
        Ok(Verification {
            transfers: moved.transfers,
            accounts: u64::try_from(kept.balances.len()).unwrap_or(u64::MAX),
            sum: kept.sum_of(|_| true),
            issued: amount(-kept.exact_sum_of(|account| matches!(account, LedgerAccount::Issued))),
            spent: kept.sum_of(|account| matches!(account, LedgerAccount::Spent(_))),
            expired: kept.sum_of(|account| matches!(account, LedgerAccount::Expired(_))),
            withdrawn: kept.sum_of(|account| matches!(account, LedgerAccount::Withdrawn(_))),
            left: kept
                .sum_of(|account| matches!(account, LedgerAccount::Unallocated(..) | LedgerAccount::Allocated(..))),
            disagreements,
        })
    }
}

/// What does not agree, if anything does not.
fn unless_equal(what: impl FnOnce() -> String, kept: i128, computed: i128) -> Option<Disagreement> {
    (kept != computed).then(|| Disagreement { what: what(), kept: amount(kept), computed: amount(computed) })
}

/// Sums are exact until they are told: what is wrong may be so by more than 64 bits hold.
fn amount(sum: i128) -> Microcredits {
    Microcredits::new(sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

//! The books (`billing.md` rules 8, 9, 12): every movement of credits is a transfer from one ledger account to another, so
//! that all of them together are always zero.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    amount::{AmountError, Microcredits},
    id::{AccountId, SiteId},
};

/// A kind of credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// They end with the period (rule 7).
    Monthly,
    /// They never end (rule 8).
    OneTime,
}

impl Kind {
    /// Both, in the order in which they are used (rule 9).
    pub const ALL: [Self; 2] = [Self::Monthly, Self::OneTime];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Monthly => "monthly",
            Self::OneTime => "one_time",
        }
    }
}

/// An account of the books. Its balance is what came in less what went out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerAccount {
    /// Where all credits come from: the only one with a negative balance.
    Issued,
    /// What an account has that is not assigned to a site.
    Unallocated(AccountId, Kind),
    /// What is assigned to a site.
    Allocated(SiteId, Kind),
    /// What a site has used.
    Spent(SiteId),
    /// Monthly credits of an account that ended unused.
    Expired(AccountId),
    /// Credits that the operator took back from an account.
    Withdrawn(AccountId),
}

/// That something names no ledger account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no ledger account")]
pub struct BadLedgerAccount(String);

impl fmt::Display for LedgerAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issued => f.write_str("issued"),
            Self::Unallocated(account, kind) => write!(f, "account/{account}/{}", kind.name()),
            Self::Allocated(site, kind) => write!(f, "site/{site}/{}", kind.name()),
            Self::Spent(site) => write!(f, "site/{site}/spent"),
            Self::Expired(account) => write!(f, "account/{account}/expired"),
            Self::Withdrawn(account) => write!(f, "account/{account}/withdrawn"),
        }
    }
}

impl FromStr for LedgerAccount {
    type Err = BadLedgerAccount;

    fn from_str(text: &str) -> Result<Self, BadLedgerAccount> {
        let bad = || BadLedgerAccount(text.chars().take(160).collect());
        let mut parts = text.split('/');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        let account = |id: &str| id.parse::<AccountId>().map_err(|_| bad());
        let site = |id: &str| id.parse::<SiteId>().map_err(|_| bad());
        match parts {
            (Some("issued"), None, ..) => Ok(Self::Issued),
            (Some("account"), Some(id), Some("monthly"), None) => Ok(Self::Unallocated(account(id)?, Kind::Monthly)),
            (Some("account"), Some(id), Some("one_time"), None) => Ok(Self::Unallocated(account(id)?, Kind::OneTime)),
            (Some("account"), Some(id), Some("expired"), None) => Ok(Self::Expired(account(id)?)),
            (Some("account"), Some(id), Some("withdrawn"), None) => Ok(Self::Withdrawn(account(id)?)),
            (Some("site"), Some(id), Some("monthly"), None) => Ok(Self::Allocated(site(id)?, Kind::Monthly)),
            (Some("site"), Some(id), Some("one_time"), None) => Ok(Self::Allocated(site(id)?, Kind::OneTime)),
            (Some("site"), Some(id), Some("spent"), None) => Ok(Self::Spent(site(id)?)),
            _ => Err(bad()),
        }
    }
}

/// Why credits moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The plan's credits of a period.
    Refill,
    /// What a larger plan gives for the period under way.
    PlanChange,
    /// Given by the operator: a pack bought, a gift.
    Grant,
    /// Taken back by the operator.
    Withdrawal,
    /// Assigned to a site.
    Allocation,
    /// Returned by a site.
    Deallocation,
    /// The period ended.
    Expiry,
    /// An image size optimized.
    Size,
    /// A size delivered as WebP.
    Webp,
    /// A size delivered as AVIF.
    Avif,
    /// Bytes of optimized images sent.
    Egress,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Refill,
        Self::PlanChange,
        Self::Grant,
        Self::Withdrawal,
        Self::Allocation,
        Self::Deallocation,
        Self::Expiry,
        Self::Size,
        Self::Webp,
        Self::Avif,
        Self::Egress,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refill => "refill",
            Self::PlanChange => "plan_change",
            Self::Grant => "grant",
            Self::Withdrawal => "withdrawal",
            Self::Allocation => "allocation",
            Self::Deallocation => "deallocation",
            Self::Expiry => "expiry",
            Self::Size => "size",
            Self::Webp => "webp",
            Self::Avif => "avif",
            Self::Egress => "egress",
        }
    }

    /// The reason of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// A movement of credits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The ledger account that gives.
    pub debit: LedgerAccount,
    /// The ledger account that gets.
    pub credit: LedgerAccount,
    /// How much, more than zero.
    pub amount: Microcredits,
    /// Why.
    pub reason: Reason,
    /// What it was for, in words of whoever asked for it, or the image's name; may be empty.
    pub reference: String,
}

/// Credits of both kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Balance {
    /// They end with the period.
    pub monthly: Microcredits,
    /// They never end.
    pub one_time: Microcredits,
}

/// That there are too few credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{missing} credits short: {needed} are needed, {available} are there")]
pub struct Shortfall {
    /// What is needed.
    pub needed: Microcredits,
    /// What is there.
    pub available: Microcredits,
    /// The difference.
    pub missing: Microcredits,
}

impl Balance {
    /// Of one kind.
    #[must_use]
    pub const fn of(self, kind: Kind) -> Microcredits {
        match kind {
            Kind::Monthly => self.monthly,
            Kind::OneTime => self.one_time,
        }
    }

    /// Of both kinds together.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`] where 64 bits do not hold it.
    pub fn total(self) -> Result<Microcredits, AmountError> {
        self.monthly.plus(self.one_time)
    }

    /// What is taken of each kind to pay `amount`: monthly before one-time (rule 9).
    ///
    /// # Errors
    /// [`Shortfall`] where both together are less.
    pub fn draw(self, amount: Microcredits) -> Result<Self, Shortfall> {
        let (drawn, missing) = self.draw_up_to(amount);
        if missing.is_zero() {
            return Ok(drawn);
        }
        Err(Shortfall { needed: amount, available: amount.less(missing), missing })
    }

    /// What is taken of each kind to pay as much of `amount` as there is, and what is then missing: it is written off, for
    /// no balance is ever negative (rule 12).
    #[must_use]
    pub fn draw_up_to(self, amount: Microcredits) -> (Self, Microcredits) {
        let monthly = amount.min(self.monthly);
        let rest = amount.less(monthly);
        let one_time = rest.min(self.one_time);
        (Self { monthly, one_time }, rest.less(one_time))
    }

    /// What is left when `drawn` is taken.
    #[must_use]
    pub fn without(self, drawn: Self) -> Self {
        Self { monthly: self.monthly.less(drawn.monthly), one_time: self.one_time.less(drawn.one_time) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn balance(monthly: i64, one_time: i64) -> Balance {
        Balance { monthly: Microcredits::new(monthly), one_time: Microcredits::new(one_time) }
    }

    #[test]
    fn monthly_credits_are_used_before_one_time_credits() {
        assert_eq!(balance(5, 5).draw(Microcredits::new(3)), Ok(balance(3, 0)));
        assert_eq!(balance(5, 5).draw(Microcredits::new(7)), Ok(balance(5, 2)));
        let shortfall = balance(5, 5).draw(Microcredits::new(12)).unwrap_err();
        assert_eq!((shortfall.available, shortfall.missing), (Microcredits::new(10), Microcredits::new(2)));
    }

    #[test]
    fn ledger_accounts_have_names_that_are_read_back() {
        let (acme, shop): (AccountId, SiteId) = ("acme".parse().unwrap(), "shop".parse().unwrap());
        for (account, name) in [
            (LedgerAccount::Issued, "issued"),
            (LedgerAccount::Unallocated(acme.clone(), Kind::Monthly), "account/acme/monthly"),
            (LedgerAccount::Unallocated(acme.clone(), Kind::OneTime), "account/acme/one_time"),
            (LedgerAccount::Expired(acme.clone()), "account/acme/expired"),
            (LedgerAccount::Withdrawn(acme), "account/acme/withdrawn"),
            (LedgerAccount::Allocated(shop.clone(), Kind::Monthly), "site/shop/monthly"),
            (LedgerAccount::Allocated(shop.clone(), Kind::OneTime), "site/shop/one_time"),
            (LedgerAccount::Spent(shop), "site/shop/spent"),
        ] {
            assert_eq!(account.to_string(), name);
            assert_eq!(name.parse(), Ok(account));
        }
        for bad in ["", "issued/x", "account/acme", "account//monthly", "site/shop/monthly/x", "site/shop/expired"] {
            assert!(bad.parse::<LedgerAccount>().is_err(), "{bad}");
        }
    }

    #[test]
    fn reasons_have_names_that_are_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::named(reason.name()), Some(reason));
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{}\"", reason.name()));
        }
    }

    proptest! {
        #[test]
        fn a_draw_takes_what_is_asked_for_or_all_there_is(
            monthly in 0i64..1_000,
            one_time in 0i64..1_000,
            amount in 0i64..3_000,
        ) {
            let (purse, amount) = (balance(monthly, one_time), Microcredits::new(amount));
            let (drawn, missing) = purse.draw_up_to(amount);
            prop_assert_eq!(drawn.total().unwrap().plus(missing).unwrap(), amount);
            prop_assert!(drawn.monthly <= purse.monthly && drawn.one_time <= purse.one_time);
            // Monthly first: one-time credits are touched only when no monthly ones are left.
            prop_assert!(drawn.one_time.is_zero() || drawn.monthly == purse.monthly);
            prop_assert!(missing.is_zero() || purse.without(drawn) == Balance::default());
        }
    }
}

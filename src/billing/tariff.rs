//! How usage becomes credits (`billing.md` rules 1 to 4).

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::amount::Microcredits;

/// How a site's usage is rated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Tariff {
    /// By image size and format, every 30 days (rules 3, 4).
    Variants,
    /// By body bytes of optimized images that were sent (rules 1, 2).
    Egress {
        /// How many bytes a credit is.
        rate: BytesPerCredit,
    },
}

/// How many bytes of egress one credit pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BytesPerCredit(pub NonZeroU64);

impl Default for BytesPerCredit {
    /// 5 MB of 10⁶ bytes.
    fn default() -> Self {
        const FIVE_MEGABYTES: NonZeroU64 = NonZeroU64::new(5_000_000).unwrap();
        Self(FIVE_MEGABYTES)
    }
}

impl BytesPerCredit {
    /// What `bytes` cost, counted from the beginning: ⌊bytes × 10⁶ / rate⌋ microcredits, so that rounding never adds up
    /// (rule 2). At the most what 64 bits hold.
    #[must_use]
    pub fn cost(self, bytes: u64) -> Microcredits {
        let microcredits =
            u128::from(bytes) * Microcredits::CREDIT.get().unsigned_abs() as u128 / u128::from(self.0.get());
        Microcredits::new(i64::try_from(microcredits).unwrap_or(i64::MAX))
    }

    /// How many bytes `amount` pays for whole.
    #[must_use]
    pub fn bytes(self, amount: Microcredits) -> u64 {
        let amount = u128::from(amount.get().max(0).unsigned_abs());
        let bytes = amount * u128::from(self.0.get()) / u128::from(Microcredits::CREDIT.get().unsigned_abs());
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// What an image size is charged for, each once a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// That it was optimized at all.
    Size,
    /// That it was delivered as WebP.
    Webp,
    /// That it was delivered as AVIF.
    Avif,
}

impl Component {
    /// What each costs.
    pub const PRICE: Microcredits = Microcredits::CREDIT;

    /// All of them.
    pub const ALL: [Self; 3] = [Self::Size, Self::Webp, Self::Avif];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Webp => "webp",
            Self::Avif => "avif",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_credit_is_five_million_bytes() {
        let rate = BytesPerCredit::default();
        assert_eq!(rate.cost(5_000_000), Microcredits::CREDIT);
        assert_eq!(rate.cost(35_000_000_000), Microcredits::new(7_000_000_000));
        assert_eq!(rate.cost(4), Microcredits::ZERO);
        assert_eq!(rate.cost(5), Microcredits::new(1));
        assert_eq!(rate.bytes(Microcredits::CREDIT), 5_000_000);
        assert_eq!(rate.cost(u64::MAX), Microcredits::new(3_689_348_814_741_910_323));
    }

    proptest! {
        #[test]
        fn what_an_amount_pays_for_costs_no_more(rate in 1u64.., amount in 0i64..) {
            let rate = BytesPerCredit(NonZeroU64::new(rate).unwrap());
            let amount = Microcredits::new(amount);
            prop_assert!(rate.cost(rate.bytes(amount)) <= amount);
        }

        #[test]
        fn it_does_not_matter_in_how_many_parts_bytes_are_rated(
            rate in 1u64..10_000_000,
            parts in proptest::collection::vec(0u64..50_000_000, 1..50),
        ) {
            let rate = BytesPerCredit(NonZeroU64::new(rate).unwrap());
            let (mut total, mut charged) = (0, Microcredits::ZERO);
            for part in parts {
                total += part;
                charged = charged.plus(rate.cost(total).minus(charged).unwrap()).unwrap();
            }
            prop_assert_eq!(charged, rate.cost(total));
        }
    }
}

//! Running out (`billing.md` rules 13 to 16): what a site may do with what is left.

use serde::{Deserialize, Serialize};

use super::{
    amount::Microcredits,
    tariff::{Component, Tariff},
};

/// The answer that the edge needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entitlement {
    /// Images are optimized, and charged.
    Optimize,
    /// The credits are gone: nothing new is made, nothing is charged.
    Essential,
}

impl Entitlement {
    /// Of a site that may draw on `available`. `needed` is what its last charge would have taken, if that was refused: it
    /// stays in essential mode until there is that much.
    #[must_use]
    pub fn of(tariff: Tariff, available: Microcredits, needed: Microcredits) -> Self {
        let least = match tariff {
            Tariff::Variants => Component::PRICE,
            Tariff::Egress { .. } => Microcredits::new(1),
        };
        if available >= least.max(needed) { Self::Optimize } else { Self::Essential }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Optimize => "optimize",
            Self::Essential => "essential",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::BytesPerCredit;

    #[test]
    fn a_site_is_essential_when_it_cannot_pay_for_the_least() {
        let egress = Tariff::Egress { rate: BytesPerCredit::default() };
        for (tariff, available, needed, wanted) in [
            (Tariff::Variants, 1_000_000, 0, Entitlement::Optimize),
            (Tariff::Variants, 999_999, 0, Entitlement::Essential),
            (Tariff::Variants, 1_000_000, 2_000_000, Entitlement::Essential),
            (Tariff::Variants, 2_000_000, 2_000_000, Entitlement::Optimize),
            (egress, 1, 0, Entitlement::Optimize),
            (egress, 0, 0, Entitlement::Essential),
        ] {
            let found = Entitlement::of(tariff, Microcredits::new(available), Microcredits::new(needed));
            assert_eq!(found, wanted, "{tariff:?} {available} {needed}");
        }
    }
}

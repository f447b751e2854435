//! The plan catalogue: what an account gets every period (`billing.md` rules 7 and 20), and the packs of one-time credits
//! (rule 8). `config/plans.toml` is compiled in; the operator may put another file in its place.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{
    amount::Microcredits,
    tariff::{BytesPerCredit, Tariff},
};

/// The plans and packs that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// What prices are in, such as `USD`.
    pub currency: String,
    /// The plans.
    #[serde(rename = "plan")]
    pub plans: Vec<Plan>,
    /// The packs.
    #[serde(rename = "pack", default)]
    pub packs: Vec<Pack>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its name in accounts.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What a month costs, a decimal number.
    pub price: String,
    /// Credits that come every period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_credits: Option<Microcredits>,
    /// In their place: variants cost nothing, and so many bytes of egress come every period (rule 20).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_quota_bytes: Option<u64>,
}

/// One-time credits to buy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Its name.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it costs, a decimal number.
    pub price: String,
    /// How many credits it has.
    pub credits: Microcredits,
}

/// Why a catalogue is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// It is not TOML, or has a key or value that is not allowed.
    #[error("{0}")]
    Syntax(String),
    /// An entry means nothing.
    #[error("{id:?}: {problem}")]
    Entry {
        /// Its id.
        id: String,
        /// What is wrong.
        problem: &'static str,
    },
}

const SHIPPED: &str = include_str!("../../config/plans.toml");

impl Catalogue {
    /// The one that is compiled in.
    ///
    /// # Errors
    /// None that a test has not seen.
    pub fn shipped() -> Result<Self, CatalogueError> {
        Self::parse(SHIPPED)
    }

    /// Reads one from TOML.
    ///
    /// # Errors
    /// [`CatalogueError`]
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        let catalogue: Self = toml::from_str(text).map_err(|error| CatalogueError::Syntax(error.to_string()))?;
        let mut ids = HashSet::new();
        for plan in &catalogue.plans {
            entry(&plan.id, &plan.price, &mut ids)?;
            plan.check()?;
        }
        for pack in &catalogue.packs {
            entry(&pack.id, &pack.price, &mut ids)?;
            pack.credits.positive().map_err(|_| refused(&pack.id, "credits must be more than zero"))?;
        }
        Ok(catalogue)
    }

    /// The plan of this name.
    #[must_use]
    pub fn plan(&self, id: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == id)
    }

    /// The pack of this name.
    #[must_use]
    pub fn pack(&self, id: &str) -> Option<&Pack> {
        self.packs.iter().find(|pack| pack.id == id)
    }
}

impl Plan {
    /// Monthly credits that each period begins with. A quota of egress is as many as rule 1 makes of it.
    #[must_use]
    pub fn refill(&self) -> Microcredits {
        match (self.monthly_credits, self.egress_quota_bytes) {
            (Some(credits), _) => credits,
            (None, Some(bytes)) => BytesPerCredit::default().cost(bytes),
            (None, None) => Microcredits::ZERO,
        }
    }

    /// How a site is rated on this plan. Where variants cost nothing, its egress uses up the quota, and then one-time credits
    /// at rule 1.
    #[must_use]
    pub fn tariff(&self, of_site: Tariff) -> Tariff {
        match (of_site, self.egress_quota_bytes) {
            (_, Some(_)) => Tariff::Egress { rate: BytesPerCredit::default() },
            (tariff, None) => tariff,
        }
    }

    fn check(&self) -> Result<(), CatalogueError> {
        if self.monthly_credits.is_some() == self.egress_quota_bytes.is_some() {
            return Err(refused(&self.id, "needs either monthly_credits or egress_quota_bytes"));
        }
        self.refill()
            .not_negative()
            .map_err(|_| refused(&self.id, "must not be negative or beyond a trillion credits"))?;
        Ok(())
    }
}

fn entry<'c>(id: &'c str, price: &str, ids: &mut HashSet<&'c str>) -> Result<(), CatalogueError> {
    if id.is_empty() || !ids.insert(id) {
        return Err(refused(id, "ids must not be empty and must differ"));
    }
    let is_price = price.split_once('.').is_some_and(|(units, cents)| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits(units) && digits(cents) && cents.len() == 2
    });
    if is_price {
        Ok(())
    } else {
        Err(refused(id, "price: expected a decimal number with two digits, such as \"4.99\""))
    }
}

fn refused(id: &str, problem: &'static str) -> CatalogueError {
    CatalogueError::Entry { id: id.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plans_that_ship_are_these() {
        let catalogue = Catalogue::shipped().unwrap();
        let plans: Vec<_> =
            catalogue.plans.iter().map(|p| (p.id.as_str(), p.price.as_str(), p.refill().to_string())).collect();
        let plans: Vec<_> = plans.iter().map(|(id, price, credits)| (*id, *price, credits.as_str())).collect();
        assert_eq!(
            plans[..6],
            [
                ("free", "0.00", "100"),
                ("starter", "4.99", "7000"),
                ("basic", "9.99", "16000"),
                ("plus", "29.99", "55000"),
                ("pro", "49.99", "100000"),
                ("max", "99.99", "220000"),
            ]
        );
        let unlimited = catalogue.plan("unlimited").unwrap();
        assert_eq!(unlimited.egress_quota_bytes, Some(500_000_000_000));
        assert!(!catalogue.packs.is_empty());
    }

    #[test]
    fn on_an_unlimited_plan_only_egress_counts() {
        let catalogue = Catalogue::shipped().unwrap();
        let egress = Tariff::Egress { rate: BytesPerCredit::default() };
        let unlimited = catalogue.plan("unlimited").unwrap();
        assert_eq!(unlimited.tariff(Tariff::Variants), egress);
        assert_eq!(unlimited.refill().to_string(), "100000");
        assert_eq!(catalogue.plan("free").unwrap().tariff(Tariff::Variants), Tariff::Variants);
    }

    #[test]
    fn a_catalogue_that_means_nothing_is_refused() {
        let plan = |keys: &str| Catalogue::parse(&format!("currency='EUR'\n[[plan]]\nid='a'\nname='A'\n{keys}"));
        assert!(plan("price='1.00'\nmonthly_credits=5").is_ok());
        for bad in [
            "price='1.00'",
            "price='1.00'\nmonthly_credits=5\negress_quota_bytes=5",
            "price='1'\nmonthly_credits=5",
            "price='1.00'\nmonthly_credits=-5",
            "price='1.00'\nmonthly_credits=5\ncolour='red'",
            "price='1.00'\nmonthly_credits=5\n[[plan]]\nid='a'\nname='A'\nprice='1.00'\nmonthly_credits=5",
            "price='1.00'\nmonthly_credits=5\n[[pack]]\nid='p'\nname='P'\nprice='1.00'\ncredits=0",
        ] {
            assert!(plan(bad).is_err(), "{bad}");
        }
    }
}

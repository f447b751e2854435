//! Leases: what a node may use up before it asks the ledger again. All leases on the same credits together are never more than
//! these, so sites enter essential mode no later than one lease behind exhaustion, and leave no credits lying about for long.

use jiff::SignedDuration;

use super::amount::Microcredits;

/// How long a lease holds; it is set anew well before.
pub const TERM: SignedDuration = SignedDuration::from_secs(10);

/// Of what is available, the part that a site gets that used nothing lately.
const IDLE_PART: i64 = 8;

/// How many times what was used lately, within about a term, is set aside.
const RECENT_TIMES: i64 = 4;

/// How much is leased to a site that may draw on `available` credits of which others have leased `held`, and that used
/// `recent` lately.
#[must_use]
pub fn lease(available: Microcredits, held: Microcredits, recent: Microcredits) -> Microcredits {
    let free = available.less(held);
    let idle = available.get() / IDLE_PART;
    let busy =
        if recent.is_zero() { 0 } else { recent.get().saturating_mul(RECENT_TIMES).max(Microcredits::CREDIT.get()) };
    free.min(Microcredits::new(idle.max(busy)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn micro(n: i64) -> Microcredits {
        Microcredits::new(n)
    }

    #[test]
    fn an_idle_site_sets_an_eighth_aside_and_a_busy_one_what_it_needs() {
        let credits = |n: i64| micro(n * 1_000_000);
        assert_eq!(lease(credits(80), credits(0), credits(0)), credits(10));
        assert_eq!(lease(credits(80), credits(0), credits(5)), credits(20));
        assert_eq!(lease(credits(80), credits(75), credits(5)), credits(5));
        assert_eq!(lease(credits(2), credits(0), micro(1)), credits(1));
        assert_eq!(lease(micro(500_000), credits(0), micro(1)), micro(500_000));
        assert_eq!(lease(credits(0), credits(0), credits(5)), credits(0));
    }

    proptest! {
        #[test]
        fn leases_together_are_never_more_than_there_is(
            available in 0i64..1_000_000_000,
            uses in proptest::collection::vec(0i64..1_000_000_000, 1..20),
        ) {
            let mut held = Microcredits::ZERO;
            for recent in uses {
                held = held.plus(lease(micro(available), held, micro(recent))).unwrap();
                prop_assert!(held <= micro(available));
            }
        }
    }
}

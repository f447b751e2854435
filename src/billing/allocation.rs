//! Allocations (`billing.md` rules 10, 11): so many monthly credits of each period for one site, and one-time credits moved
//! to it. A site without one draws on what is unallocated.

use serde::{Deserialize, Serialize};

use super::{
    amount::Microcredits,
    ledger::{Balance, Kind},
};

/// What is assigned to a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Allocation {
    /// Monthly credits a period: a cap.
    pub monthly: Microcredits,
    /// One-time credits, those that it has used included.
    pub one_time: Microcredits,
}

/// What moves between an account and one of its sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moves {
    /// To the site.
    pub given: Balance,
    /// Back to the account.
    pub returned: Balance,
}

/// That more is to be allocated than is free (rule 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} {} credits are more than the {free} that are free", kind.name())]
pub struct NotFree {
    /// Of which kind.
    pub kind: Kind,
    /// What is to be allocated.
    pub wanted: Microcredits,
    /// What this site could be allocated at the most: what is unallocated, and what the site has or has used.
    pub free: Microcredits,
}

/// What has to move so that a site has the allocation that is wanted. `used` is what it has used of allocations: of monthly
/// credits in this period, of one-time credits since it has an allocation; that counts towards the new one, so that taking
/// an allocation back and giving it again is no way around the cap. `left` is what it has; `unallocated` what the account
/// has beside.
///
/// # Errors
/// [`NotFree`], and then nothing moves.
pub fn reallocate(wanted: Allocation, used: Balance, left: Balance, unallocated: Balance) -> Result<Moves, NotFree> {
    let monthly = moves(Kind::Monthly, wanted.monthly, used, left, unallocated)?;
    let one_time = moves(Kind::OneTime, wanted.one_time, used, left, unallocated)?;
    Ok(Moves {
        given: Balance { monthly: monthly.0, one_time: one_time.0 },
        returned: Balance { monthly: monthly.1, one_time: one_time.1 },
    })
}

/// What is given and what comes back, of one kind.
fn moves(
    kind: Kind,
    wanted: Microcredits,
    used: Balance,
    left: Balance,
    unallocated: Balance,
) -> Result<(Microcredits, Microcredits), NotFree> {
    let (used, left, unallocated) = (used.of(kind), left.of(kind), unallocated.of(kind));
    let to_have = wanted.less(used);
    let given = to_have.less(left);
    if given > unallocated {
        let free = [used, left, unallocated].into_iter().try_fold(Microcredits::ZERO, Microcredits::plus);
        return Err(NotFree { kind, wanted, free: free.unwrap_or(Microcredits::MAX) });
    }
    Ok((given, left.less(to_have)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn balance(monthly: i64, one_time: i64) -> Balance {
        Balance { monthly: Microcredits::new(monthly), one_time: Microcredits::new(one_time) }
    }

    fn allocation(monthly: i64, one_time: i64) -> Allocation {
        Allocation { monthly: Microcredits::new(monthly), one_time: Microcredits::new(one_time) }
    }

    #[test]
    fn a_first_allocation_comes_out_of_what_is_unallocated() {
        let moves = reallocate(allocation(40, 5), balance(0, 0), balance(0, 0), balance(100, 5)).unwrap();
        assert_eq!(moves, Moves { given: balance(40, 5), returned: balance(0, 0) });
    }

    #[test]
    fn more_than_is_free_is_refused_naming_what_is_free() {
        let refused = reallocate(allocation(90, 0), balance(10, 0), balance(30, 0), balance(40, 0)).unwrap_err();
        assert_eq!((refused.kind, refused.free), (Kind::Monthly, Microcredits::new(80)));
        let refused = reallocate(allocation(0, 1), balance(0, 0), balance(0, 0), balance(40, 0)).unwrap_err();
        assert_eq!((refused.kind, refused.free), (Kind::OneTime, Microcredits::ZERO));
    }

    #[test]
    fn taking_an_allocation_back_returns_what_is_unused() {
        let moves = reallocate(allocation(0, 0), balance(10, 2), balance(30, 3), balance(0, 0)).unwrap();
        assert_eq!(moves, Moves { given: balance(0, 0), returned: balance(30, 3) });
        let moves = reallocate(allocation(25, 4), balance(10, 2), balance(30, 3), balance(0, 0)).unwrap();
        assert_eq!(moves, Moves { given: balance(0, 0), returned: balance(15, 1) });
    }

    #[test]
    fn what_was_used_counts_towards_the_next_allocation() {
        let moves = reallocate(allocation(10, 0), balance(10, 0), balance(0, 0), balance(90, 0)).unwrap();
        assert_eq!(moves, Moves::default());
    }

    proptest! {
        #[test]
        fn a_site_ends_up_with_its_allocation_less_what_it_used(
            wanted in 0i64..200, used in 0i64..200, left in 0i64..200, unallocated in 0i64..200,
        ) {
            let all = |n| balance(n, n);
            match reallocate(allocation(wanted, wanted), all(used), all(left), all(unallocated)) {
                Ok(moves) => {
                    let has = left + moves.given.monthly.get() - moves.returned.monthly.get();
                    prop_assert_eq!(has, (wanted - used).max(0));
                    prop_assert!(moves.given.monthly.get() <= unallocated && moves.returned.monthly.get() <= left);
                    prop_assert!(moves.given.monthly.is_zero() || moves.returned.monthly.is_zero());
                }
                Err(refused) => prop_assert!(wanted > refused.free.get()),
            }
        }
    }
}

//! Random histories: after each step the books agree, no allocation is exceeded, and a restart changes nothing
//! (`billing.md` invariants A, B, G, H).

use jiff::ToSpan as _;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Wait { hours: i64 },
    Grant { account: usize, kind: Kind, amount: i64 },
    Withdraw { account: usize, kind: Kind, amount: i64 },
    Move { account: usize, plan: usize },
    Allocate { site: usize, allocation: Option<(i64, i64)> },
    Spend { site: usize, amount: i64 },
    Declare { owners: Vec<Option<usize>> },
    Restart,
}

const ACCOUNTS: [&str; 2] = ["acme", "beta"];
const SITES: [&str; 3] = ["blog", "docs", "shop"];
const PLANS: [&str; 3] = ["free", "starter", "unlimited"];

fn step() -> impl Strategy<Value = Step> {
    let kind = || prop_oneof![Just(Kind::Monthly), Just(Kind::OneTime)];
    let amount = || 1i64..200_000_000;
    let account = 0..ACCOUNTS.len();
    prop_oneof![
        2 => (1i64..2_000).prop_map(|hours| Step::Wait { hours }),
        2 => (account.clone(), kind(), amount()).prop_map(|(account, kind, amount)| Step::Grant { account, kind, amount }),
        1 => (account.clone(), kind(), amount())
            .prop_map(|(account, kind, amount)| Step::Withdraw { account, kind, amount }),
        1 => (account.clone(), 0..PLANS.len()).prop_map(|(account, plan)| Step::Move { account, plan }),
        4 => (0..SITES.len(), proptest::option::weighted(0.8, (amount(), amount())))
            .prop_map(|(site, allocation)| Step::Allocate { site, allocation }),
        4 => (0..SITES.len(), amount()).prop_map(|(site, amount)| Step::Spend { site, amount }),
        1 => proptest::collection::vec(proptest::option::weighted(0.8, account), SITES.len())
            .prop_map(|owners| Step::Declare { owners }),
        1 => Just(Step::Restart),
    ]
}

/// What the rules refuse is refused; anything else is a fault.
fn allow<T>(result: Result<T, LedgerError>) {
    if let Err(error) = result {
        let is_refusal =
            matches!(error, LedgerError::NotFree(_) | LedgerError::Insufficient(_) | LedgerError::NoSuchSite(_));
        assert!(is_refusal, "{error:?}");
    }
}

async fn take(store: Store, step: Step, now: &mut Timestamp) -> Store {
    let ledger = &store.ledger;
    let grant = |account: usize, kind, amount| Grant {
        account: ACCOUNTS[account].parse().unwrap(),
        kind,
        amount: Microcredits::new(amount),
        reference: String::new(),
    };
    match step {
        Step::Wait { hours } => *now = now.checked_add(hours.hours()).unwrap(),
        Step::Grant { account, kind, amount } => {
            ledger.grant(None, &grant(account, kind, amount), *now).await.unwrap();
        }
        Step::Withdraw { account, kind, amount } => {
            allow(ledger.withdraw(None, &grant(account, kind, amount), *now).await);
        }
        Step::Move { account, plan } => {
            ledger.change_plan(None, &ACCOUNTS[account].parse().unwrap(), PLANS[plan], *now).await.unwrap();
        }
        Step::Allocate { site: of, allocation } => {
            let allocation = allocation.map(|(monthly, one_time)| Allocation {
                monthly: Microcredits::new(monthly),
                one_time: Microcredits::new(one_time),
            });
            allow(ledger.allocate(None, &site(SITES[of]), allocation, *now).await);
        }
        Step::Spend { site: by, amount } => {
            allow(spend(ledger, &site(SITES[by]), Microcredits::new(amount), *now).await);
        }
        Step::Declare { owners } => {
            let owned = SITES.iter().zip(owners).filter_map(|(id, owner)| Some((*id, ACCOUNTS[owner?])));
            let owned: Vec<_> = owned.map(|(id, owner)| (site(id), owner.parse().unwrap(), EGRESS)).collect();
            ledger.declare_sites(&owned, *now).await.unwrap();
        }
        Step::Restart => return store.reopened().await,
    }
    store
}

async fn check(store: &Store, now: Timestamp) {
    store.must_agree().await;
    let mut left = Microcredits::ZERO;
    for account in store.ledger.accounts(None, 10, now).await.unwrap().items {
        left = left.plus(account.balance.total().unwrap()).unwrap();
    }
    // Nothing lies where nobody can reach it.
    assert_eq!(left, store.ledger.verify().await.unwrap().left);
    let exceeded = "SELECT count(*) FROM site JOIN ledger_account ON \
        (ledger_account.id = 'site/' || site.id || '/monthly' \
        AND balance > max(allocation_monthly - used_monthly, 0)) OR \
        (ledger_account.id = 'site/' || site.id || '/one_time' \
        AND balance > max(allocation_one_time - used_one_time, 0))";
    let exceeded: i64 = sqlx::query_scalar(exceeded).fetch_one(&mut store.raw().await).await.unwrap();
    assert_eq!(exceeded, 0, "an allocation is exceeded");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_books_agree_whatever_happens(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut store, mut now) = (Store::furnished().await, start());
            store.ledger.declare_account(&"beta".parse().unwrap(), "starter", now).await.unwrap();
            for step in steps {
                store = take(store, step, &mut now).await;
                check(&store, now).await;
            }
        });
    }
}

//! The life of an account (`billing.md` rules 7, 8, 12, 16).

use super::*;
use crate::billing::{LedgerAccount, Period};

const FEBRUARY: &str = "2026-02-10T00:00:00Z";
const MARCH: &str = "2026-03-01T00:00:00Z";
const APRIL: &str = "2026-04-01T00:00:00Z";

#[tokio::test]
async fn an_account_begins_with_its_plans_credits_and_a_period() {
    let store = Store::furnished().await;
    let account = store.ledger.account(&acme(), start()).await.unwrap();
    assert_eq!((account.balance, account.unallocated), (balance(100, 0), balance(100, 0)));
    assert_eq!(account.period, Period { start: start(), end: time("2026-02-28T12:00:00Z") });
    assert_eq!((account.plan.as_str(), account.sites), ("free", vec![site("blog"), site("shop")]));
    store.must_agree().await;
}

#[tokio::test]
async fn monthly_credits_end_with_the_period_and_one_time_credits_stay() {
    let store = Store::furnished().await;
    store.grant(Kind::OneTime, 50, FEBRUARY).await;
    store.grant(Kind::Monthly, 7, FEBRUARY).await;
    store.spend("shop", credits(30), FEBRUARY).await;
    assert_eq!(store.balance("2026-02-28T11:59:59Z").await, balance(77, 50));
    assert_eq!(store.balance("2026-02-28T12:00:00Z").await, balance(100, 50));
    let expired = store.ledger.verify().await.unwrap().expired;
    assert_eq!(expired, credits(77));
    store.must_agree().await;
}

#[tokio::test]
async fn a_period_from_the_31st_ends_on_each_months_last_day() {
    let store = Store::furnished().await;
    for (now, begins, ends) in [
        ("2026-02-28T11:59:59Z", "2026-01-31T12:00:00Z", "2026-02-28T12:00:00Z"),
        ("2026-02-28T12:00:00Z", "2026-02-28T12:00:00Z", "2026-03-31T12:00:00Z"),
        ("2026-03-31T12:00:00Z", "2026-03-31T12:00:00Z", "2026-04-30T12:00:00Z"),
        ("2026-04-30T12:00:00Z", "2026-04-30T12:00:00Z", "2026-05-31T12:00:00Z"),
    ] {
        let period = store.ledger.account(&acme(), time(now)).await.unwrap().period;
        assert_eq!(period, Period { start: time(begins), end: time(ends) }, "{now}");
    }
    store.must_agree().await;
}

#[tokio::test]
async fn periods_that_nobody_lived_through_are_not_issued() {
    let store = Store::furnished().await;
    assert_eq!(store.balance("2027-01-15T00:00:00Z").await, balance(100, 0));
    assert_eq!(store.ledger.verify().await.unwrap().issued, credits(200));
    assert_eq!(store.reasons().await, [Reason::Refill, Reason::Expiry, Reason::Refill]);
    store.must_agree().await;
}

#[tokio::test]
async fn a_clock_that_goes_back_brings_no_period_back() {
    let store = Store::furnished().await;
    store.balance(MARCH).await;
    let period = store.ledger.account(&acme(), start()).await.unwrap().period;
    assert_eq!(period.start, time("2026-02-28T12:00:00Z"));
    assert_eq!(store.balance(MARCH).await, balance(100, 0));
    assert_eq!(store.ledger.verify().await.unwrap().issued, credits(200));
}

#[tokio::test]
async fn lists_close_what_is_over_too() {
    let store = Store::furnished().await;
    store.spend("shop", credits(100), FEBRUARY).await;
    let accounts = store.ledger.accounts(None, 10, time(MARCH)).await.unwrap();
    assert_eq!(accounts.items[0].balance, balance(100, 0));
    store.spend("shop", credits(100), MARCH).await;
    let sites = store.ledger.all_sites(time(APRIL)).await.unwrap();
    assert!(sites.iter().all(|site| site.balance == balance(100, 0)));
}

#[tokio::test]
async fn a_larger_plan_gives_the_difference_at_once() {
    let store = Store::furnished().await;
    store.spend("shop", credits(100), FEBRUARY).await;
    let changes = store.ledger.changes();
    let account = store.ledger.change_plan(None, &acme(), "starter", time(FEBRUARY)).await.unwrap();
    assert_eq!((account.plan.as_str(), account.balance), ("starter", balance(6_900, 0)));
    assert!(changes.has_changed().unwrap());
    assert_eq!(store.reasons().await.last(), Some(&Reason::PlanChange));
    assert_eq!(store.balance(MARCH).await, balance(7_000, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn a_smaller_plan_takes_nothing_back_and_holds_from_the_next_period_on() {
    let store = Store::furnished().await;
    store.ledger.change_plan(None, &acme(), "starter", time(FEBRUARY)).await.unwrap();
    let account = store.ledger.change_plan(None, &acme(), "free", time(FEBRUARY)).await.unwrap();
    assert_eq!(account.balance, balance(7_000, 0));
    assert_eq!(store.balance(MARCH).await, balance(100, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn going_down_and_up_again_gives_nothing_twice() {
    let store = Store::furnished().await;
    for plan in ["starter", "free", "starter", "basic", "free", "basic"] {
        store.ledger.change_plan(None, &acme(), plan, time(FEBRUARY)).await.unwrap();
    }
    assert_eq!(store.balance(FEBRUARY).await, balance(16_000, 0));
    // In the next period it counts from the plan that it then has.
    store.ledger.change_plan(None, &acme(), "free", time(FEBRUARY)).await.unwrap();
    store.ledger.change_plan(None, &acme(), "starter", time(MARCH)).await.unwrap();
    assert_eq!(store.balance(MARCH).await, balance(7_000, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn the_files_plan_counts_only_where_the_file_changes_it() {
    let store = Store::furnished().await;
    store.ledger.change_plan(None, &acme(), "starter", time(FEBRUARY)).await.unwrap();
    let store = store.reopened().await;
    store.ledger.declare_account(&acme(), "free", time(FEBRUARY)).await.unwrap();
    assert_eq!(store.ledger.account(&acme(), time(FEBRUARY)).await.unwrap().plan, "starter");
    let store = store.reopened().await;
    store.ledger.declare_account(&acme(), "basic", time(FEBRUARY)).await.unwrap();
    let account = store.ledger.account(&acme(), time(FEBRUARY)).await.unwrap();
    assert_eq!((account.plan.as_str(), account.balance), ("basic", balance(16_000, 0)));
    // An account made through the API that the file names for the first time.
    store.ledger.create_account(None, &"beta".parse().unwrap(), "free", time(FEBRUARY)).await.unwrap();
    store.ledger.declare_account(&"beta".parse().unwrap(), "starter", time(FEBRUARY)).await.unwrap();
    let beta = store.ledger.account(&"beta".parse().unwrap(), time(FEBRUARY)).await.unwrap();
    assert_eq!((beta.plan.as_str(), beta.balance), ("starter", balance(7_000, 0)));
    store.must_agree().await;
}

#[tokio::test]
async fn what_cannot_be_says_why() {
    let store = Store::furnished().await;
    let (ledger, nobody) = (&store.ledger, "nobody".parse().unwrap());
    let error = ledger.create_account(None, &acme(), "free", start()).await.unwrap_err();
    assert!(matches!(error, LedgerError::AccountExists(id) if id == acme()));
    let error = ledger.create_account(None, &nobody, "gold", start()).await.unwrap_err();
    assert!(matches!(error, LedgerError::NoSuchPlan(plan) if plan == "gold"));
    let error = ledger.declare_account(&acme(), "gold", start()).await.unwrap_err();
    assert!(matches!(error, LedgerError::NoSuchPlan(_)));
    let error = ledger.change_plan(None, &acme(), "gold", start()).await.unwrap_err();
    assert!(matches!(error, LedgerError::NoSuchPlan(_)));
    for error in [
        ledger.account(&nobody, start()).await.unwrap_err(),
        ledger.change_plan(None, &nobody, "free", start()).await.unwrap_err(),
        ledger.grant(None, &Grant { account: nobody, ..grant(Kind::OneTime, 1) }, start()).await.unwrap_err(),
    ] {
        assert!(matches!(error, LedgerError::NoSuchAccount(id) if id == "nobody"));
    }
}

#[tokio::test]
async fn a_subscription_that_starts_within_a_second_keeps_whole_seconds() {
    let store = Store::open().await;
    let account = store.ledger.create_account(None, &acme(), "free", time("2026-01-31T12:00:00.9Z")).await.unwrap();
    assert_eq!(account.period, Period { start: start(), end: time("2026-02-28T12:00:00Z") });
    let read = store.ledger.account(&acme(), time("2026-01-31T12:00:01Z")).await.unwrap();
    assert_eq!(read, account);
    let refill =
        &store.ledger.transfers(&TransferFilter { limit: 1, ..TransferFilter::default() }).await.unwrap().items[0];
    assert_eq!(refill.reference, "2026-01-31T12:00:00Z to 2026-02-28T12:00:00Z");
}

#[tokio::test]
async fn accounts_are_listed_in_parts_by_name() {
    let store = Store::furnished().await;
    for id in ["zeta", "beta", "nu"] {
        store.ledger.create_account(None, &id.parse().unwrap(), "free", start()).await.unwrap();
    }
    store.declare(&[("shop", "zeta"), ("blog", "acme"), ("docs", "nu")]).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.ledger.accounts(after.as_deref(), 2, start()).await.unwrap();
        seen.extend(page.items.into_iter().map(|account| (account.id.to_string(), account.sites)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let one = |account: &str, sites: &[&str]| (account.to_owned(), sites.iter().map(|id| site(id)).collect());
    assert_eq!(seen, [one("acme", &["blog"]), one("beta", &[]), one("nu", &["docs"]), one("zeta", &["shop"])]);
}

#[tokio::test]
async fn an_accounts_balance_has_what_is_assigned_to_its_sites_in_it() {
    let store = Store::furnished().await;
    store.grant(Kind::OneTime, 20, FEBRUARY).await;
    store.allocate("shop", 40, 5, FEBRUARY).await.unwrap();
    store.spend("shop", credits(10), FEBRUARY).await;
    let account = store.ledger.account(&acme(), time(FEBRUARY)).await.unwrap();
    assert_eq!((account.balance, account.unallocated), (balance(90, 20), balance(60, 15)));
}

#[tokio::test]
async fn an_unlimited_plans_quota_is_credits_for_egress() {
    let store = Store::furnished().await;
    store.ledger.change_plan(None, &acme(), "unlimited", time(FEBRUARY)).await.unwrap();
    assert_eq!(store.balance(FEBRUARY).await, balance(100_000, 0));
    let filter = TransferFilter { reason: Some(Reason::PlanChange), limit: 10, ..TransferFilter::default() };
    let transfers = store.ledger.transfers(&filter).await.unwrap().items;
    assert_eq!((transfers.len(), transfers[0].reference.as_str()), (1, "free to unlimited"));
    assert_eq!(transfers[0].credit, LedgerAccount::Unallocated(acme(), Kind::Monthly));
}

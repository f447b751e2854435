//! Allocations (`billing.md` rules 9, 10, 11, 13, 14, 16).

use super::*;
use crate::billing::Entitlement;

const FEBRUARY: &str = "2026-02-10T00:00:00Z";
const MARCH: &str = "2026-03-01T00:00:00Z";

async fn entitlement(store: &Store, id: &str) -> Entitlement {
    store.ledger.site(&site(id), time(FEBRUARY)).await.unwrap().entitlement
}

#[tokio::test]
async fn a_site_draws_on_its_allocation_and_the_others_on_what_is_left() {
    let store = Store::furnished().await;
    assert_eq!(store.allocate("shop", 40, 0, FEBRUARY).await.unwrap(), balance(40, 0));
    store.spend("shop", credits(15), FEBRUARY).await;
    store.spend("blog", credits(5), FEBRUARY).await;
    let shop = store.ledger.site(&site("shop"), time(FEBRUARY)).await.unwrap();
    assert_eq!(shop.allocation, Some(Allocation { monthly: credits(40), one_time: credits(0) }));
    assert_eq!(shop.balance, balance(25, 0));
    assert_eq!(store.ledger.site(&site("blog"), time(FEBRUARY)).await.unwrap().balance, balance(55, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn more_than_is_free_is_refused_naming_it_and_nothing_is_written() {
    let store = Store::furnished().await;
    store.allocate("blog", 30, 0, FEBRUARY).await.unwrap();
    store.allocate("shop", 20, 0, FEBRUARY).await.unwrap();
    store.spend("shop", credits(5), FEBRUARY).await;
    let (before, reasons) = (store.ledger.site(&site("shop"), time(FEBRUARY)).await.unwrap(), store.reasons().await);
    let refused = store.allocate("shop", 71, 0, FEBRUARY).await.unwrap_err();
    let LedgerError::NotFree(refused) = refused else { panic!("{refused:?}") };
    assert_eq!((refused.kind, refused.wanted, refused.free), (Kind::Monthly, credits(71), credits(70)));
    let refused = store.allocate("shop", 20, 1, FEBRUARY).await.unwrap_err();
    assert!(matches!(refused, LedgerError::NotFree(refused) if refused.kind == Kind::OneTime));
    assert_eq!(store.ledger.site(&site("shop"), time(FEBRUARY)).await.unwrap(), before);
    assert_eq!(store.reasons().await, reasons);
    assert_eq!(store.allocate("shop", 70, 0, FEBRUARY).await.unwrap(), balance(65, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn negative_allocations_are_refused() {
    let store = Store::furnished().await;
    for (monthly, one_time) in [(-1, 0), (0, -1)] {
        let refused = store.allocate("shop", monthly, one_time, FEBRUARY).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Amount(_)), "{refused:?}");
    }
}

#[tokio::test]
async fn taking_an_allocation_back_returns_what_is_unused() {
    let store = Store::furnished().await;
    store.grant(Kind::OneTime, 10, FEBRUARY).await;
    store.allocate("shop", 40, 10, FEBRUARY).await.unwrap();
    store.spend("shop", credits(43), FEBRUARY).await;
    assert_eq!(store.unallocated(FEBRUARY).await, balance(60, 0));
    let shop = store.ledger.allocate(None, &site("shop"), None, time(FEBRUARY)).await.unwrap();
    assert_eq!((shop.allocation, shop.balance), (None, balance(60, 7)));
    assert_eq!(store.unallocated(FEBRUARY).await, balance(60, 7));
    store.must_agree().await;
}

#[tokio::test]
async fn a_smaller_allocation_returns_the_difference() {
    let store = Store::furnished().await;
    store.allocate("shop", 40, 0, FEBRUARY).await.unwrap();
    store.spend("shop", credits(10), FEBRUARY).await;
    assert_eq!(store.allocate("shop", 25, 0, FEBRUARY).await.unwrap(), balance(15, 0));
    assert_eq!(store.allocate("shop", 5, 0, FEBRUARY).await.unwrap(), balance(0, 0));
    assert_eq!(store.unallocated(FEBRUARY).await, balance(90, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn taking_back_and_giving_again_is_no_way_around_the_cap() {
    let store = Store::furnished().await;
    store.allocate("shop", 40, 0, FEBRUARY).await.unwrap();
    store.spend("shop", credits(40), FEBRUARY).await;
    store.ledger.allocate(None, &site("shop"), None, time(FEBRUARY)).await.unwrap();
    assert_eq!(store.allocate("shop", 40, 0, FEBRUARY).await.unwrap(), balance(0, 0));
    // The next period is another.
    assert_eq!(store.ledger.site(&site("shop"), time(MARCH)).await.unwrap().balance, balance(40, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn one_time_credits_that_were_used_are_gone_and_count_no_more_once_taken_back() {
    let store = Store::furnished().await;
    store.grant(Kind::OneTime, 10, FEBRUARY).await;
    store.allocate("shop", 0, 10, FEBRUARY).await.unwrap();
    store.spend("shop", credits(3), FEBRUARY).await;
    store.ledger.allocate(None, &site("shop"), None, time(FEBRUARY)).await.unwrap();
    assert_eq!(store.allocate("shop", 0, 7, FEBRUARY).await.unwrap(), balance(0, 7));
    store.must_agree().await;
}

#[tokio::test]
async fn allocations_are_filled_up_every_period_and_their_rest_ends_with_it() {
    let store = Store::furnished().await;
    store.grant(Kind::OneTime, 10, FEBRUARY).await;
    store.allocate("shop", 40, 10, FEBRUARY).await.unwrap();
    store.spend("shop", credits(10), FEBRUARY).await;
    let shop = store.ledger.site(&site("shop"), time(MARCH)).await.unwrap();
    assert_eq!(shop.balance, balance(40, 10));
    assert_eq!(store.unallocated(MARCH).await, balance(60, 0));
    assert_eq!(store.ledger.verify().await.unwrap().expired, credits(90));
    store.must_agree().await;
}

#[tokio::test]
async fn an_allocation_made_after_the_periods_end_is_of_the_next() {
    let store = Store::furnished().await;
    store.allocate("shop", 40, 0, FEBRUARY).await.unwrap();
    store.spend("shop", credits(40), FEBRUARY).await;
    assert_eq!(store.allocate("shop", 50, 0, MARCH).await.unwrap(), balance(50, 0));
    assert_eq!(store.unallocated(MARCH).await, balance(50, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn a_plan_that_became_smaller_fills_allocations_by_name_as_far_as_it_reaches() {
    let store = Store::furnished().await;
    store.ledger.change_plan(None, &acme(), "starter", time(FEBRUARY)).await.unwrap();
    store.allocate("blog", 80, 0, FEBRUARY).await.unwrap();
    store.allocate("shop", 80, 0, FEBRUARY).await.unwrap();
    store.ledger.change_plan(None, &acme(), "free", time(FEBRUARY)).await.unwrap();
    assert_eq!(store.ledger.site(&site("blog"), time(MARCH)).await.unwrap().balance, balance(80, 0));
    assert_eq!(store.ledger.site(&site("shop"), time(MARCH)).await.unwrap().balance, balance(20, 0));
    assert_eq!(store.unallocated(MARCH).await, balance(0, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn a_site_out_of_its_allocation_is_essential_and_the_others_go_on() {
    let store = Store::furnished().await;
    store.allocate("shop", 10, 0, FEBRUARY).await.unwrap();
    store.spend("shop", credits(10), FEBRUARY).await;
    assert_eq!(entitlement(&store, "shop").await, Entitlement::Essential);
    assert_eq!(entitlement(&store, "blog").await, Entitlement::Optimize);
    let changes = store.ledger.changes();
    store.allocate("shop", 20, 0, FEBRUARY).await.unwrap();
    assert_eq!(entitlement(&store, "shop").await, Entitlement::Optimize);
    assert!(changes.has_changed().unwrap(), "nodes are told");
    store.spend("shop", credits(10), FEBRUARY).await;
    store.spend("blog", credits(80), FEBRUARY).await;
    assert_eq!(entitlement(&store, "shop").await, Entitlement::Essential);
    assert_eq!(entitlement(&store, "blog").await, Entitlement::Essential);
    store.grant(Kind::OneTime, 1, FEBRUARY).await;
    assert_eq!(entitlement(&store, "shop").await, Entitlement::Essential);
    assert_eq!(entitlement(&store, "blog").await, Entitlement::Optimize);
}

#[tokio::test]
async fn allocated_monthly_credits_are_used_before_allocated_one_time_credits() {
    let store = Store::furnished().await;
    store.grant(Kind::OneTime, 10, FEBRUARY).await;
    store.allocate("shop", 5, 5, FEBRUARY).await.unwrap();
    assert_eq!(store.spend("shop", credits(7), FEBRUARY).await, balance(5, 2));
    // Never beyond its allocation, though the account has more.
    assert_eq!(store.spend("shop", credits(7), FEBRUARY).await, balance(0, 3));
    assert_eq!(store.unallocated(FEBRUARY).await, balance(95, 5));
    store.must_agree().await;
}

#[tokio::test]
async fn a_site_that_is_not_there_gets_nothing() {
    let store = Store::furnished().await;
    store.declare(&[("blog", "acme")]).await;
    for id in ["shop", "nowhere"] {
        let refused = store.allocate(id, 1, 0, FEBRUARY).await.unwrap_err();
        assert!(matches!(refused, LedgerError::NoSuchSite(name) if name == id));
    }
}

//! Requests with an `Idempotency-Key` (invariant C).

use std::sync::Arc;

use super::*;
use crate::store::{AccountView, NewSite};

const FEBRUARY: &str = "2026-02-10T00:00:00Z";

#[tokio::test]
async fn a_request_sent_again_is_answered_as_it_was_then_and_done_once() {
    let store = Store::furnished().await;
    let (once, pack) = (once("pack-1", 1), grant(Kind::OneTime, 50));
    let first = store.ledger.grant(Some(&once), &pack, time(FEBRUARY)).await.unwrap();
    store.spend("shop", credits(120), FEBRUARY).await;
    let store = store.reopened().await;
    let again = store.ledger.grant(Some(&once), &pack, time("2026-05-01T00:00:00Z")).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(store.balance(FEBRUARY).await, balance(0, 30));
    store.must_agree().await;
}

#[tokio::test]
async fn every_answer_is_kept_whole() {
    let store = Store::furnished().await;
    let (ledger, now) = (&store.ledger, time(FEBRUARY));
    let new = NewSite { id: site("docs"), account: acme(), tariff: Tariff::Variants, settings: "{}".to_owned() };
    let made = ledger.create_site(Some(&once("a", 1)), &new, now).await.unwrap();
    assert_eq!(ledger.create_site(Some(&once("a", 1)), &new, now).await.unwrap(), made);
    let new = NewSite { tariff: EGRESS, ..new };
    let changed = ledger.change_site(Some(&once("b", 1)), &new, now).await.unwrap();
    assert_eq!((made.tariff, changed.tariff), (Tariff::Variants, EGRESS));
    assert_eq!(ledger.change_site(Some(&once("b", 1)), &new, now).await.unwrap(), changed);
    let allocation = Some(Allocation { monthly: credits(5), one_time: credits(0) });
    let allocated = ledger.allocate(Some(&once("c", 1)), &site("docs"), allocation, now).await.unwrap();
    assert_eq!(ledger.allocate(Some(&once("c", 1)), &site("docs"), allocation, now).await.unwrap(), allocated);
    let beta = "beta".parse().unwrap();
    let account = ledger.create_account(Some(&once("d", 1)), &beta, "free", now).await.unwrap();
    assert_eq!(ledger.create_account(Some(&once("d", 1)), &beta, "free", now).await.unwrap(), account);
    let moved = ledger.change_plan(Some(&once("e", 1)), &beta, "starter", now).await.unwrap();
    assert_eq!(ledger.change_plan(Some(&once("e", 1)), &beta, "starter", now).await.unwrap(), moved);
    let taken = ledger.withdraw(Some(&once("f", 1)), &grant(Kind::Monthly, 5), now).await.unwrap();
    assert_eq!(ledger.withdraw(Some(&once("f", 1)), &grant(Kind::Monthly, 5), now).await.unwrap(), taken);
    assert_eq!(taken.sites, [site("blog"), site("docs"), site("shop")]);
    store.must_agree().await;
}

#[tokio::test]
async fn a_key_used_for_something_else_is_refused() {
    let store = Store::furnished().await;
    store.ledger.grant(Some(&once("k", 1)), &grant(Kind::OneTime, 50), time(FEBRUARY)).await.unwrap();
    let refused = store.ledger.grant(Some(&once("k", 2)), &grant(Kind::OneTime, 60), time(FEBRUARY)).await;
    assert!(matches!(refused, Err(LedgerError::KeyReused)));
    assert_eq!(store.balance(FEBRUARY).await, balance(100, 50));
}

#[tokio::test]
async fn a_request_that_failed_leaves_its_key_free() {
    let store = Store::furnished().await;
    let taken = grant(Kind::OneTime, 50);
    let refused = store.ledger.withdraw(Some(&once("k", 1)), &taken, time(FEBRUARY)).await;
    assert!(matches!(refused, Err(LedgerError::Insufficient(_))));
    store.grant(Kind::OneTime, 50, FEBRUARY).await;
    store.ledger.withdraw(Some(&once("k", 1)), &taken, time(FEBRUARY)).await.unwrap();
    assert_eq!(store.balance(FEBRUARY).await, balance(100, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn requests_without_a_key_each_happen() {
    let store = Store::furnished().await;
    for _ in 0..3 {
        store.grant(Kind::OneTime, 5, FEBRUARY).await;
    }
    assert_eq!(store.balance(FEBRUARY).await, balance(100, 15));
}

#[tokio::test]
async fn a_key_that_looks_like_another_ones_transfer_is_a_key_like_any_other() {
    let store = Store::furnished().await;
    for key in ["k", "k/grant", "k/grant/grant", ""] {
        store.ledger.grant(Some(&once(key, 1)), &grant(Kind::OneTime, 1), time(FEBRUARY)).await.unwrap();
    }
    assert_eq!(store.balance(FEBRUARY).await, balance(100, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_one_key_at_the_same_time_are_done_once() {
    let store = Store::furnished().await;
    // Two processes on one file.
    let other = open(&store.dir).await;
    let ask = |ledger: Ledger| async move {
        let ledger = Arc::new(ledger);
        let asked: Vec<_> = (0..8).map(|_| tokio::spawn(ask_until_answered(Arc::clone(&ledger)))).collect();
        let mut answers = Vec::new();
        for task in asked {
            answers.push(task.await.unwrap());
        }
        answers
    };
    let Store { dir, ledger } = store;
    let (mut answers, others) = tokio::join!(ask(ledger), ask(other));
    answers.extend(others);
    assert!(answers.iter().all(|answer| answer.balance == balance(100, 50)), "{answers:?}");
    let store = Store { ledger: open(&dir).await, dir };
    assert_eq!(store.balance(FEBRUARY).await, balance(100, 50));
    store.must_agree().await;
}

/// As a client does: what is told to pass is asked again.
async fn ask_until_answered(ledger: Arc<Ledger>) -> AccountView {
    loop {
        match ledger.grant(Some(&once("k", 1)), &grant(Kind::OneTime, 50), time(FEBRUARY)).await {
            Err(error) if error.is_passing() => {}
            answer => return answer.unwrap(),
        }
    }
}

/// Compiled, not run: whoever asks may be on any thread, and may be moved to another while he waits.
#[expect(dead_code, reason = "that it compiles is the test")]
fn every_request_may_move_between_threads(ledger: &Ledger, new: &NewSite, pack: &Grant, now: Timestamp) {
    fn moves(_: impl Send) {}
    let filter = TransferFilter::default();
    moves(ledger.declare_account(&pack.account, "free", now));
    moves(ledger.create_account(None, &pack.account, "free", now));
    moves(ledger.change_plan(None, &pack.account, "free", now));
    moves(ledger.account(&pack.account, now));
    moves(ledger.accounts(None, 1, now));
    moves(ledger.declare_sites(&[], now));
    moves(ledger.create_site(None, new, now));
    moves(ledger.change_site(None, new, now));
    moves(ledger.remove_site(&new.id, now));
    moves(ledger.site(&new.id, now));
    moves(ledger.sites(None, None, 1, now));
    moves(ledger.all_sites(now));
    moves(ledger.allocate(None, &new.id, None, now));
    moves(ledger.grant(None, pack, now));
    moves(ledger.withdraw(None, pack, now));
    moves(ledger.transfers(&filter));
    moves(ledger.close_periods(now));
    moves(ledger.verify());
}

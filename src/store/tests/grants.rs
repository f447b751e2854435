//! Grants and withdrawals (`billing.md` rules 8, 12, 19).

use super::*;
use crate::billing::AmountError;

const FEBRUARY: &str = "2026-02-10T00:00:00Z";

#[tokio::test]
async fn what_is_granted_is_of_its_kind_and_has_its_reason() {
    let store = Store::furnished().await;
    let changes = store.ledger.changes();
    let account = store.ledger.grant(None, &grant(Kind::OneTime, 50), time(FEBRUARY)).await.unwrap();
    assert_eq!(account.balance, balance(100, 50));
    assert!(changes.has_changed().unwrap(), "nodes are told");
    store.grant(Kind::Monthly, 5, FEBRUARY).await;
    assert_eq!(store.balance(FEBRUARY).await, balance(105, 50));
    let transfers = store.ledger.transfers(&TransferFilter { limit: 2, ..TransferFilter::default() }).await.unwrap();
    assert!(transfers.items.iter().all(|transfer| transfer.reason == Reason::Grant && transfer.reference == "pack"));
    store.must_agree().await;
}

#[tokio::test]
async fn a_grant_at_a_periods_end_is_of_the_next() {
    let store = Store::furnished().await;
    store.grant(Kind::Monthly, 5, "2026-02-28T12:00:00Z").await;
    assert_eq!(store.balance("2026-02-28T12:00:00Z").await, balance(105, 0));
}

#[tokio::test]
async fn amounts_that_cannot_be_are_refused() {
    let store = Store::furnished().await;
    for (microcredits, error) in [
        (0, AmountError::NotPositive),
        (-1, AmountError::NotPositive),
        (Microcredits::MAX.get() + 1, AmountError::TooLarge),
        (i64::MAX, AmountError::TooLarge),
    ] {
        let refused = Grant { amount: Microcredits::new(microcredits), ..grant(Kind::OneTime, 1) };
        for result in [
            store.ledger.grant(None, &refused, time(FEBRUARY)).await,
            store.ledger.withdraw(None, &refused, time(FEBRUARY)).await,
        ] {
            assert!(matches!(result, Err(LedgerError::Amount(found)) if found == error), "{microcredits}: {result:?}");
        }
    }
    assert_eq!(store.reasons().await, [Reason::Refill]);
}

#[tokio::test]
async fn grants_end_where_sums_would_overflow_and_periods_still_begin() {
    let store = Store::furnished().await;
    // To the last microcredit.
    let (mut amount, mut granted) = (Microcredits::MAX.get(), 0);
    while amount > 0 {
        let large = Grant { amount: Microcredits::new(amount), ..grant(Kind::OneTime, 1) };
        match store.ledger.grant(None, &large, time(FEBRUARY)).await {
            Ok(_) => granted += amount,
            Err(LedgerError::Amount(AmountError::TooLarge)) => amount /= 2,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(store.balance(FEBRUARY).await.one_time.get(), granted);
    assert_eq!(store.ledger.close_periods(time("2026-03-01T00:00:00Z")).await.unwrap(), [acme()]);
    store.must_agree().await;
}

#[tokio::test]
async fn a_withdrawal_takes_what_is_unallocated_of_its_kind_and_no_more() {
    let store = Store::furnished().await;
    store.grant(Kind::OneTime, 50, FEBRUARY).await;
    store.allocate("shop", 40, 20, FEBRUARY).await.unwrap();
    let refused = store.ledger.withdraw(None, &grant(Kind::OneTime, 31), time(FEBRUARY)).await.unwrap_err();
    let LedgerError::Insufficient(short) = refused else { panic!("{refused:?}") };
    assert_eq!((short.needed, short.available, short.missing), (credits(31), credits(30), credits(1)));
    let account = store.ledger.withdraw(None, &grant(Kind::OneTime, 30), time(FEBRUARY)).await.unwrap();
    assert_eq!((account.balance, account.unallocated), (balance(100, 20), balance(60, 0)));
    store.ledger.withdraw(None, &grant(Kind::Monthly, 60), time(FEBRUARY)).await.unwrap();
    assert_eq!(store.unallocated(FEBRUARY).await, balance(0, 0));
    assert_eq!(store.ledger.verify().await.unwrap().withdrawn, credits(90));
    store.must_agree().await;
}

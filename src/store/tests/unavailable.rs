//! A database that cannot be written now.

use super::*;

const FEBRUARY: &str = "2026-02-10T00:00:00Z";
const MARCH: &str = "2026-03-01T00:00:00Z";

/// As another process does that writes for long.
async fn locked(store: &Store) -> SqliteConnection {
    let mut other = store.raw().await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    other
}

#[tokio::test]
async fn what_cannot_be_written_now_is_refused_and_done_when_asked_again() {
    let store = Store::furnished().await;
    let mut other = locked(&store).await;
    let pack = grant(Kind::OneTime, 50);
    let refused = store.ledger.grant(Some(&once("k", 1)), &pack, time(FEBRUARY)).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Unavailable(_)), "{refused:?}");
    assert!(refused.is_passing());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let account = store.ledger.grant(Some(&once("k", 1)), &pack, time(FEBRUARY)).await.unwrap();
    assert_eq!(account.balance, balance(100, 50));
    store.must_agree().await;
}

#[tokio::test]
async fn what_is_read_is_answered_as_it_stands_and_its_period_closed_later() {
    let store = Store::furnished().await;
    store.spend("shop", credits(30), FEBRUARY).await;
    let mut other = locked(&store).await;
    assert_eq!(store.balance(MARCH).await, balance(70, 0));
    assert_eq!(store.ledger.all_sites(time(MARCH)).await.unwrap()[0].balance, balance(70, 0));
    assert_eq!(store.ledger.site(&site("shop"), time(MARCH)).await.unwrap().balance, balance(70, 0));
    assert!(store.ledger.close_periods(time(MARCH)).await.unwrap_err().is_passing());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(store.balance(MARCH).await, balance(100, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn a_change_given_up_halfway_leaves_nothing() {
    let store = Store::furnished().await;
    for polls in 1..40 {
        let pack = grant(Kind::OneTime, 50);
        let mut change = Box::pin(store.ledger.grant(None, &pack, time(FEBRUARY)));
        let mut left = polls;
        let given_up = std::future::poll_fn(|context| {
            left -= 1;
            match change.as_mut().poll(context) {
                std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
                std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
                std::task::Poll::Pending => std::task::Poll::Pending,
            }
        })
        .await
        .is_none();
        drop(change);
        if !given_up {
            break;
        }
        store.must_agree().await;
    }
    let monthly = store.balance(FEBRUARY).await.monthly;
    assert_eq!(monthly, credits(100));
}

/// Sets something of the connection that writes.
async fn of_the_writer(store: &Store, pragma: &'static str) {
    sqlx::raw_sql(pragma).execute(&store.ledger.writer).await.unwrap();
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_half_written_and_all_is_done_when_there_is_room() {
    let store = Store::furnished().await;
    // As many pages as there are, and no more.
    of_the_writer(&store, "PRAGMA max_page_count = 1").await;
    let pack = Grant { reference: "x".repeat(200), ..grant(Kind::OneTime, 1) };
    let mut given = 0;
    let refused = loop {
        match store.ledger.grant(None, &pack, time(FEBRUARY)).await {
            Ok(_) => given += 1,
            Err(error) => break error,
        }
        assert!(given < 10_000, "the file has grown");
    };
    assert!(refused.is_passing(), "{refused:?}");
    assert_eq!(store.balance(FEBRUARY).await, balance(100, given));
    store.must_agree().await;
    of_the_writer(&store, "PRAGMA max_page_count = 1000000").await;
    store.ledger.grant(None, &pack, time(FEBRUARY)).await.unwrap();
    assert_eq!(store.balance(FEBRUARY).await, balance(100, given + 1));
    store.must_agree().await;
}

#[tokio::test]
async fn a_read_only_ledger_refuses_and_is_read_all_the_same() {
    let store = Store::furnished().await;
    of_the_writer(&store, "PRAGMA query_only = ON").await;
    let refused = store.ledger.grant(None, &grant(Kind::OneTime, 50), time(FEBRUARY)).await.unwrap_err();
    assert!(refused.is_passing(), "{refused:?}");
    assert_eq!(store.balance(FEBRUARY).await, balance(100, 0));
    of_the_writer(&store, "PRAGMA query_only = OFF").await;
    store.ledger.grant(None, &grant(Kind::OneTime, 50), time(FEBRUARY)).await.unwrap();
    assert_eq!(store.balance(FEBRUARY).await, balance(100, 50));
}

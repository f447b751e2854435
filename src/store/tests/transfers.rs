//! Lists of transfers (`billing.md` rule 12).

use super::*;

async fn ids(store: &Store, filter: TransferFilter) -> Vec<i64> {
    let page = store.ledger.transfers(&filter).await.unwrap();
    page.items.into_iter().map(|transfer| transfer.id).collect()
}

fn all() -> TransferFilter {
    TransferFilter { limit: 1_000, ..TransferFilter::default() }
}

/// 1: refill of acme, 2: refill of beta, 3 to 12: a grant a day from the 1st of February on, 13: an allocation to shop.
async fn with_transfers() -> Store {
    let store = Store::furnished().await;
    store.ledger.create_account(None, &"beta".parse().unwrap(), "free", start()).await.unwrap();
    for day in 1..=10 {
        store.grant(Kind::OneTime, day, &format!("2026-02-{day:02}T00:00:00Z")).await;
    }
    store.allocate("shop", 5, 0, "2026-02-20T00:00:00Z").await.unwrap();
    store
}

#[tokio::test]
async fn parts_follow_each_other_from_the_latest_to_the_first() {
    let store = with_transfers().await;
    let (mut seen, mut before, mut parts) = (Vec::new(), None, 0);
    loop {
        let page = store.ledger.transfers(&TransferFilter { limit: 4, before, ..all() }).await.unwrap();
        // What happens meanwhile moves nothing.
        store.grant(Kind::OneTime, 1, "2026-02-21T00:00:00Z").await;
        seen.extend(page.items.into_iter().map(|transfer| transfer.id));
        parts += 1;
        match page.next {
            Some(next) => before = Some(next.parse().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen, (1..=13).rev().collect::<Vec<_>>());
    assert_eq!(parts, 4);
    let page = store.ledger.transfers(&TransferFilter { limit: 1, before: Some(2), ..all() }).await.unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
    assert_eq!(ids(&store, TransferFilter { limit: 0, ..all() }).await.len(), 1);
}

#[tokio::test]
async fn filters_hold_together() {
    let store = with_transfers().await;
    let (beta, day) = ("beta".parse().unwrap(), |day: u8| Some(time(&format!("2026-02-{day:02}T00:00:00Z"))));
    assert_eq!(ids(&store, TransferFilter { account: Some(beta), ..all() }).await, [2]);
    assert_eq!(ids(&store, TransferFilter { site: Some(site("shop")), ..all() }).await, [13]);
    assert_eq!(ids(&store, TransferFilter { reason: Some(Reason::Refill), ..all() }).await, [2, 1]);
    assert_eq!(ids(&store, TransferFilter { from: day(3), to: day(5), ..all() }).await, [6, 5]);
    let grants = TransferFilter { account: Some(acme()), reason: Some(Reason::Grant), from: day(9), ..all() };
    assert_eq!(ids(&store, grants.clone()).await, [12, 11]);
    assert!(ids(&store, TransferFilter { site: Some(site("shop")), ..grants }).await.is_empty());
}

#[tokio::test]
async fn a_transfer_is_told_as_it_happened() {
    let store = with_transfers().await;
    let transfer = store.ledger.transfers(&TransferFilter { before: Some(4), limit: 1, ..all() }).await.unwrap().items;
    assert_eq!(transfer[0].at, time("2026-02-01T00:00:00Z"));
    assert_eq!(
        (transfer[0].debit.to_string(), transfer[0].credit.to_string()),
        ("issued".into(), "account/acme/one_time".into())
    );
    assert_eq!((transfer[0].amount, transfer[0].reason), (credits(1), Reason::Grant));
    assert_eq!(transfer[0].reference, "pack");
}

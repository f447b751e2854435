//! The audit (`billing.md` rule 12, invariants A and B).

use super::*;

const FEBRUARY: &str = "2026-02-10T00:00:00Z";

/// An account that has all kinds of transfers, and a charge of an image size beside its egress.
async fn lived() -> Store {
    let store = Store::furnished().await;
    store.grant(Kind::OneTime, 50, FEBRUARY).await;
    store.ledger.withdraw(None, &grant(Kind::OneTime, 5), time(FEBRUARY)).await.unwrap();
    store.allocate("shop", 40, 5, FEBRUARY).await.unwrap();
    store.spend("shop", credits(43), FEBRUARY).await;
    store.spend("blog", Microcredits::new(1_234_567), FEBRUARY).await;
    store.allocate("shop", 40, 4, FEBRUARY).await.unwrap();
    charge_a_size(&store).await;
    store.balance("2026-03-01T00:00:00Z").await;
    store
}

/// As the charges of image sizes do it.
async fn charge_a_size(store: &Store) {
    let (catalogue, now) = (store.ledger.catalogue(), time(FEBRUARY));
    let mut books = store.ledger.begin().await.unwrap();
    let mut blog = paying_site(&mut books, &catalogue, &site("blog"), now).await.unwrap();
    blog.pay(&mut books, balance(1, 0), Reason::Size, "/a.jpg", "variant/1/size", now).await.unwrap();
    for sql in [
        "INSERT INTO variant_charge (window, component, at) VALUES (1, 'size', 0)",
        "INSERT INTO usage (site, hour, size) VALUES ('blog', 0, 1000000)",
    ] {
        sqlx::query(sql).execute(books.db()).await.unwrap();
    }
    books.commit().await.unwrap();
}

#[tokio::test]
async fn books_that_are_in_order_agree_and_add_up() {
    let store = lived().await;
    let found = store.ledger.verify().await.unwrap();
    assert!(found.agrees(), "{found:?}");
    assert_eq!(found.sum, Microcredits::ZERO);
    assert_eq!((found.issued, found.withdrawn), (credits(250), credits(5)));
    assert_eq!(found.spent, Microcredits::new(45_234_567));
    let rest = [found.spent, found.expired, found.withdrawn, found.left].map(Microcredits::get);
    assert_eq!(rest.iter().sum::<i64>(), found.issued.get());
    assert_eq!(found.transfers, store.reasons().await.len() as u64);
    assert_eq!(found.accounts, 9);
}

#[tokio::test]
async fn an_empty_ledger_agrees() {
    Store::open().await.must_agree().await;
}

#[tokio::test]
async fn whatever_was_tampered_with_is_found() {
    for (sql, finding) in [
        (
            "UPDATE ledger_account SET balance = balance + 7 WHERE id = 'account/acme/one_time'",
            "balance of account/acme/one_time: 41.000007 is kept, it should be 41",
        ),
        (
            "UPDATE transfer SET amount = amount + 1 WHERE reason = 'withdrawal'",
            "balance of account/acme/withdrawn: 5 is kept, it should be 5.000001",
        ),
        ("UPDATE transfer SET amount = 9223372036854775807", "balance of issued"),
        (
            "DELETE FROM transfer WHERE reason = 'withdrawal'",
            "balance of account/acme/withdrawn: 5 is kept, it should be 0",
        ),
        (
            "DELETE FROM ledger_account WHERE id = 'account/acme/expired'",
            "account/acme/expired has transfers and no balance",
        ),
        (
            "PRAGMA ignore_check_constraints = 1; UPDATE ledger_account SET balance = -1 WHERE id = 'site/shop/monthly'",
            "site/shop/monthly is negative",
        ),
        ("UPDATE site SET removed = 1 WHERE id = 'shop'", "site/shop/monthly without an allocation"),
        ("UPDATE usage SET egress = egress - 1 WHERE site = 'shop'", "usage for egress of site/shop/spent"),
        ("DELETE FROM usage WHERE size > 0", "usage for size of site/blog/spent: 0 is kept, it should be 1"),
        ("UPDATE transfer SET reason = 'grant' WHERE reason = 'size'", "site/blog/spent for what is no usage"),
        ("UPDATE rated SET charged = charged + 1 WHERE site = 'blog'", "rated egress of site/blog/spent"),
        ("UPDATE rated SET bytes = bytes + 5 WHERE site = 'blog'", "egress of site/blog at 5000000 bytes a credit"),
        ("UPDATE usage SET written_off = 1 WHERE site = 'shop'", "usage written off of site/shop/spent"),
        ("DELETE FROM variant_charge", "paid for size in all: 1 is kept, it should be 0"),
        (
            "INSERT INTO variant_charge (window, component, at) VALUES (2, 'webp', 0)",
            "paid for webp of window 2: 0 is kept, it should be 1",
        ),
        ("UPDATE transfer SET key = 'variant/3/size/monthly' WHERE reason = 'size'", "paid for size of window 1"),
    ] {
        let store = lived().await;
        store.tamper(sql).await;
        let found = store.ledger.verify().await.unwrap();
        assert!(!found.agrees(), "{sql}");
        let told: Vec<_> = found.disagreements.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.starts_with(finding)), "{sql}: {told:#?}");
    }
}

#[tokio::test]
async fn balances_that_do_not_add_up_to_zero_are_found() {
    let store = lived().await;
    store.tamper("UPDATE ledger_account SET balance = balance + 1000000 WHERE id = 'account/acme/one_time'").await;
    let found = store.ledger.verify().await.unwrap();
    assert_eq!(found.sum, credits(1));
}

#[tokio::test]
async fn the_audit_is_as_of_one_moment() {
    let store = Store::furnished().await;
    store.grant(Kind::OneTime, 1_000_000, FEBRUARY).await;
    let write = async {
        loop {
            store.spend("shop", credits(1), FEBRUARY).await;
        }
    };
    let audit = async {
        for _ in 0..50 {
            store.must_agree().await;
        }
    };
    tokio::select! { () = write => (), () = audit => () }
}

//! Sites (`billing.md` rules 10, 11), across restarts.

use super::*;
use crate::{
    billing::Entitlement,
    store::{NewSite, SiteView},
};

const FEBRUARY: &str = "2026-02-10T00:00:00Z";

fn of_api(id: &str, account: &str, tariff: Tariff) -> NewSite {
    NewSite { id: site(id), account: account.parse().unwrap(), tariff, settings: format!(r#"{{"id":"{id}"}}"#) }
}

async fn look(store: &Store, id: &str) -> SiteView {
    store.ledger.site(&site(id), time(FEBRUARY)).await.unwrap()
}

async fn with_beta() -> Store {
    let store = Store::furnished().await;
    store.ledger.declare_account(&"beta".parse().unwrap(), "free", start()).await.unwrap();
    store
}

#[tokio::test]
async fn declaring_the_same_again_changes_nothing() {
    let store = Store::furnished().await;
    store.allocate("shop", 40, 0, FEBRUARY).await.unwrap();
    let (before, version) = (look(&store, "shop").await, store.ledger.changes());
    store.declare(&[("shop", "acme"), ("blog", "acme")]).await;
    assert!(!version.has_changed().unwrap(), "nodes have nothing to look for");
    let store = store.reopened().await;
    store.declare(&[("shop", "acme"), ("blog", "acme")]).await;
    assert_eq!(look(&store, "shop").await, before);
    store.must_agree().await;
}

#[tokio::test]
async fn a_site_that_the_file_has_no_more_is_removed_and_returns_its_allocation() {
    let store = Store::furnished().await;
    store.grant(Kind::OneTime, 10, FEBRUARY).await;
    store.allocate("shop", 40, 10, FEBRUARY).await.unwrap();
    store.spend("shop", credits(5), FEBRUARY).await;
    let store = store.reopened().await;
    store.declare(&[("blog", "acme")]).await;
    let gone = store.ledger.site(&site("shop"), time(FEBRUARY)).await.unwrap_err();
    assert!(matches!(gone, LedgerError::NoSuchSite(id) if id == "shop"));
    let account = store.ledger.account(&acme(), time(FEBRUARY)).await.unwrap();
    assert_eq!((account.unallocated, account.sites), (balance(95, 10), vec![site("blog")]));
    assert_eq!(store.ledger.all_sites(time(FEBRUARY)).await.unwrap().len(), 1);
    // Back again, it begins without an allocation; what it used of monthly credits counts.
    store.declare(&[("blog", "acme"), ("shop", "acme")]).await;
    assert_eq!(look(&store, "shop").await.allocation, None);
    assert_eq!(store.allocate("shop", 40, 10, FEBRUARY).await.unwrap(), balance(35, 10));
    store.must_agree().await;
}

#[tokio::test]
async fn sites_of_the_api_stay_when_the_file_is_read() {
    let store = Store::furnished().await;
    store.ledger.create_site(None, &of_api("docs", "acme", EGRESS), time(FEBRUARY)).await.unwrap();
    let store = store.reopened().await;
    store.declare(&[("shop", "acme")]).await;
    assert_eq!(look(&store, "docs").await.settings.as_deref(), Some(r#"{"id":"docs"}"#));
}

#[tokio::test]
async fn a_site_of_the_api_that_the_file_names_is_the_files_from_then_on() {
    let store = Store::furnished().await;
    store.ledger.create_site(None, &of_api("docs", "acme", Tariff::Variants), time(FEBRUARY)).await.unwrap();
    store.declare(&[("shop", "acme"), ("docs", "acme")]).await;
    let docs = look(&store, "docs").await;
    assert_eq!((docs.settings, docs.tariff), (None, EGRESS));
    let refused = store.ledger.change_site(None, &of_api("docs", "acme", EGRESS), time(FEBRUARY)).await.unwrap_err();
    assert!(matches!(refused, LedgerError::OfFile(id) if id == site("docs")));
    let refused = store.ledger.remove_site(&site("docs"), time(FEBRUARY)).await.unwrap_err();
    assert!(matches!(refused, LedgerError::OfFile(_)));
    // And with the file it goes.
    store.declare(&[("shop", "acme")]).await;
    assert!(store.ledger.site(&site("docs"), time(FEBRUARY)).await.is_err());
}

#[tokio::test]
async fn a_site_that_goes_to_another_account_leaves_its_allocation_behind() {
    let store = with_beta().await;
    store.grant(Kind::OneTime, 10, FEBRUARY).await;
    store.allocate("shop", 40, 10, FEBRUARY).await.unwrap();
    store.spend("shop", credits(15), FEBRUARY).await;
    store.declare(&[("shop", "beta"), ("blog", "acme")]).await;
    assert_eq!(store.unallocated(FEBRUARY).await, balance(85, 10));
    let shop = look(&store, "shop").await;
    assert_eq!((shop.account.as_str(), shop.allocation, shop.balance), ("beta", None, balance(100, 0)));
    // What it used was the other's.
    assert_eq!(store.allocate("shop", 40, 0, FEBRUARY).await.unwrap(), balance(40, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn a_site_that_goes_after_its_accounts_period_returns_what_the_next_gave() {
    let store = with_beta().await;
    store.ledger.create_site(None, &of_api("docs", "acme", EGRESS), start()).await.unwrap();
    store.allocate("docs", 40, 0, FEBRUARY).await.unwrap();
    store.spend("docs", credits(40), FEBRUARY).await;
    let march = time("2026-03-01T00:00:00Z");
    store.ledger.change_site(None, &of_api("docs", "beta", EGRESS), march).await.unwrap();
    assert_eq!(store.unallocated("2026-03-01T00:00:00Z").await, balance(100, 0));
    store.must_agree().await;
}

#[tokio::test]
async fn sites_of_the_api_are_made_changed_and_removed() {
    let store = Store::furnished().await;
    let (ledger, now) = (&store.ledger, time(FEBRUARY));
    let made = ledger.create_site(None, &of_api("docs", "acme", Tariff::Variants), now).await.unwrap();
    assert_eq!(
        (made.tariff, made.balance, made.entitlement),
        (Tariff::Variants, balance(100, 0), Entitlement::Optimize)
    );
    let refused = ledger.create_site(None, &of_api("docs", "acme", EGRESS), now).await.unwrap_err();
    assert!(matches!(refused, LedgerError::SiteExists(id) if id == site("docs")));
    let changes = ledger.changes();
    let changed = ledger.change_site(None, &of_api("docs", "acme", EGRESS), now).await.unwrap();
    assert_eq!(changed.tariff, EGRESS);
    assert!(changes.has_changed().unwrap(), "nodes are told");
    store.allocate("docs", 40, 0, FEBRUARY).await.unwrap();
    ledger.remove_site(&site("docs"), now).await.unwrap();
    assert_eq!(store.unallocated(FEBRUARY).await, balance(100, 0));
    for refused in [
        ledger.remove_site(&site("docs"), now).await.unwrap_err(),
        ledger.change_site(None, &of_api("docs", "acme", EGRESS), now).await.unwrap_err(),
        ledger.site(&site("docs"), now).await.unwrap_err(),
    ] {
        assert!(matches!(refused, LedgerError::NoSuchSite(_)));
    }
    ledger.create_site(None, &of_api("docs", "acme", EGRESS), now).await.unwrap();
    store.must_agree().await;
}

#[tokio::test]
async fn sites_are_of_accounts_that_are_there() {
    let store = Store::furnished().await;
    let nowhere = [(site("shop"), "nobody".parse().unwrap(), EGRESS), (site("new"), acme(), EGRESS)];
    let refused = store.ledger.declare_sites(&nowhere, start()).await.unwrap_err();
    assert!(matches!(refused, LedgerError::NoSuchAccount(id) if id == "nobody"));
    assert_eq!(store.ledger.all_sites(start()).await.unwrap().len(), 2, "all of it or nothing");
    let refused = store.ledger.create_site(None, &of_api("docs", "nobody", EGRESS), start()).await.unwrap_err();
    assert!(matches!(refused, LedgerError::NoSuchAccount(_)));
}

#[tokio::test]
async fn another_tariff_or_account_forgets_what_a_refused_charge_would_have_taken() {
    let store = with_beta().await;
    for (change, forgets) in [
        (of_api("docs", "acme", Tariff::Variants), false),
        (of_api("docs", "acme", EGRESS), true),
        (of_api("docs", "beta", Tariff::Variants), true),
    ] {
        let before = of_api("docs", "acme", Tariff::Variants);
        store.ledger.create_site(None, &before, time(FEBRUARY)).await.unwrap();
        store.tamper("UPDATE site SET needed = 500000000 WHERE id = 'docs'").await;
        assert_eq!(look(&store, "docs").await.entitlement, Entitlement::Essential);
        let change = NewSite { settings: "{}".to_owned(), ..change };
        store.ledger.change_site(None, &change, time(FEBRUARY)).await.unwrap();
        let entitlement = look(&store, "docs").await.entitlement;
        assert_eq!(entitlement == Entitlement::Optimize, forgets, "{change:?}");
        store.ledger.remove_site(&site("docs"), time(FEBRUARY)).await.unwrap();
        store.tamper("DELETE FROM site WHERE id = 'docs'").await;
    }
}

#[tokio::test]
async fn another_plan_forgets_it_too() {
    let store = Store::furnished().await;
    store.tamper("UPDATE site SET needed = 500000000000 WHERE id = 'shop'").await;
    store.ledger.change_plan(None, &acme(), "unlimited", time(FEBRUARY)).await.unwrap();
    assert_eq!(look(&store, "shop").await.entitlement, Entitlement::Optimize);
}

#[tokio::test]
async fn a_plan_decides_over_a_sites_tariff() {
    let store = Store::furnished().await;
    store.ledger.create_site(None, &of_api("docs", "acme", Tariff::Variants), time(FEBRUARY)).await.unwrap();
    store.ledger.change_plan(None, &acme(), "unlimited", time(FEBRUARY)).await.unwrap();
    assert_eq!(look(&store, "docs").await.tariff, EGRESS);
    store.ledger.change_plan(None, &acme(), "free", time(FEBRUARY)).await.unwrap();
    assert_eq!(look(&store, "docs").await.tariff, Tariff::Variants);
}

#[tokio::test]
async fn sites_are_listed_in_parts_by_name() {
    let store = with_beta().await;
    store.declare(&[("a", "acme"), ("b", "beta"), ("c", "acme"), ("d", "acme")]).await;
    let part = async |account: Option<&str>, after: Option<&str>, limit| {
        let account = account.map(|id| id.parse().unwrap());
        let page = store.ledger.sites(account.as_ref(), after, limit, start()).await.unwrap();
        let ids: Vec<_> = page.items.iter().map(|site| site.id.to_string()).collect();
        (ids.concat(), page.next)
    };
    assert_eq!(part(None, None, 3).await, ("abc".to_owned(), Some("c".to_owned())));
    assert_eq!(part(None, Some("c"), 3).await, ("d".to_owned(), None));
    assert_eq!(part(Some("acme"), None, 2).await, ("ac".to_owned(), Some("c".to_owned())));
    assert_eq!(part(Some("acme"), Some("c"), 2).await, ("d".to_owned(), None));
    assert_eq!(part(Some("acme"), None, 3).await, ("acd".to_owned(), None));
    assert_eq!(part(None, None, 0).await, ("a".to_owned(), Some("a".to_owned())));
}

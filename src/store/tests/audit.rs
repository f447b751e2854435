//! The audit.

use serde_json::json;

use super::*;
use crate::store::{AuditEvent, AuditFilter, MAX_AGE, MAX_EVENTS};

fn event(site: &str, account: Option<&str>) -> AuditEvent {
    AuditEvent {
        actor: "operator".to_owned(),
        action: "purge",
        site: Some(site.parse().unwrap()),
        account: account.map(|id| id.parse().unwrap()),
        detail: json!({ "of": site }),
    }
}

async fn done(store: &Store, once: Option<&Once>, at: &str, event: AuditEvent) -> Result<u32, LedgerError> {
    store.ledger.audited(once, time(at), async || Ok::<_, LedgerError>((7, event))).await
}

async fn ids(store: &Store, filter: AuditFilter) -> Vec<i64> {
    let page = store.ledger.audit(&filter).await.unwrap();
    page.items.into_iter().map(|event| event.id).collect()
}

fn all() -> AuditFilter {
    AuditFilter { limit: 1_000, ..AuditFilter::default() }
}

const DAY: &str = "2026-02-01T00:00:00Z";

#[tokio::test]
async fn what_was_done_is_listed_the_latest_first_by_part_site_and_account() {
    let store = Store::furnished().await;
    for (site, account) in [("shop", Some("acme")), ("blog", Some("acme")), ("nobodys", None)] {
        assert_eq!(done(&store, None, DAY, event(site, account)).await.unwrap(), 7);
    }
    let page = store.ledger.audit(&AuditFilter { limit: 1, ..all() }).await.unwrap();
    assert_eq!(page.next.as_deref(), Some("3"));
    let last = &page.items[0];
    assert_eq!((last.id, last.at, last.actor.as_str(), last.action.as_str()), (3, time(DAY), "operator", "purge"));
    assert_eq!((last.site.as_ref().map(SiteId::as_str), &last.detail), (Some("nobodys"), &json!({ "of": "nobodys" })));
    assert_eq!(ids(&store, AuditFilter { before: Some(3), ..all() }).await, [2, 1]);
    assert_eq!(ids(&store, AuditFilter { site: Some(site("shop")), ..all() }).await, [1]);
    assert_eq!(ids(&store, AuditFilter { account: Some(acme()), ..all() }).await, [2, 1]);
    assert_eq!(ids(&store.reopened().await, all()).await, [3, 2, 1]);
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_neither_done_nor_listed_again() {
    let store = Store::furnished().await;
    let once = Once { key: "operator/k".to_owned(), fingerprint: [1; 32] };
    assert_eq!(done(&store, Some(&once), DAY, event("shop", None)).await.unwrap(), 7);
    let again = async || -> Result<(u32, AuditEvent), LedgerError> { panic!("it is done again") };
    assert_eq!(store.ledger.audited(Some(&once), time(DAY), again).await.unwrap(), 7);
    assert_eq!(ids(&store, all()).await, [1]);
    let other = Once { fingerprint: [2; 32], ..once };
    let refused = done(&store, Some(&other), DAY, event("shop", None)).await.unwrap_err();
    assert!(matches!(refused, LedgerError::KeyReused));
}

#[tokio::test]
async fn what_was_not_done_is_not_listed() {
    let store = Store::furnished().await;
    let once = Once { key: "operator/k".to_owned(), fingerprint: [1; 32] };
    let fail = async || Err::<(u32, AuditEvent), _>(LedgerError::NoSuchSite("shop".to_owned()));
    assert!(store.ledger.audited(Some(&once), time(DAY), fail).await.is_err());
    assert!(ids(&store, all()).await.is_empty());
    // And the key is free.
    done(&store, Some(&once), DAY, event("shop", None)).await.unwrap();
}

#[tokio::test]
async fn what_is_too_old_or_too_much_is_dropped() {
    let store = Store::furnished().await;
    done(&store, None, DAY, event("shop", None)).await.unwrap();
    let a_year_later = time(DAY).checked_add(MAX_AGE).unwrap().to_string();
    done(&store, None, &a_year_later, event("shop", None)).await.unwrap();
    assert_eq!(ids(&store, all()).await, [2, 1]);
    let later = time(&a_year_later).checked_add(jiff::SignedDuration::from_secs(1)).unwrap().to_string();
    done(&store, None, &later, event("shop", None)).await.unwrap();
    assert_eq!(ids(&store, all()).await, [3, 2]);
    let mut raw = store.raw().await;
    sqlx::query("UPDATE sqlite_sequence SET seq = ? WHERE name = 'audit'")
        .bind(MAX_EVENTS + 1)
        .execute(&mut raw)
        .await
        .unwrap();
    done(&store, None, &later, event("shop", None)).await.unwrap();
    assert_eq!(ids(&store, all()).await, [MAX_EVENTS + 2, 3]);
}

//! API keys.

use super::*;
use crate::store::ApiKey;

fn key(id: &str, account: &str, created: &str) -> ApiKey {
    let account = account.parse().unwrap();
    ApiKey { id: id.to_owned(), account, name: "CI".to_owned(), created: time(created), revoked: None }
}

#[tokio::test]
async fn a_key_opens_its_account_until_it_is_revoked() {
    let store = Store::furnished().await;
    let made = key("k1", "acme", "2026-02-01T00:00:00Z");
    store.ledger.add_key(&made, &[1; 32]).await.unwrap();
    assert_eq!(store.ledger.account_of_key(&[1; 32]).await.unwrap(), Some((acme(), "k1".to_owned())));
    assert_eq!(store.ledger.account_of_key(&[2; 32]).await.unwrap(), None);
    let at = time("2026-02-02T00:00:00Z");
    let revoked = store.ledger.revoke_key(&acme(), "k1", at).await.unwrap();
    assert_eq!(revoked, ApiKey { revoked: Some(at), ..made });
    assert_eq!(store.ledger.account_of_key(&[1; 32]).await.unwrap(), None);
    // Again, later: it stays revoked since then.
    let again = store.ledger.revoke_key(&acme(), "k1", time("2026-02-03T00:00:00Z")).await.unwrap();
    assert_eq!(again, revoked);
    let store = store.reopened().await;
    assert_eq!(store.ledger.account_of_key(&[1; 32]).await.unwrap(), None);
    assert_eq!(store.ledger.keys(&acme()).await.unwrap(), [revoked]);
}

#[tokio::test]
async fn keys_are_listed_by_account_the_oldest_first() {
    let store = Store::furnished().await;
    store.ledger.create_account(None, &"beta".parse().unwrap(), "free", start()).await.unwrap();
    for (hash, id, account, created) in [
        (1, "later", "acme", "2026-02-02T00:00:00Z"),
        (2, "first", "acme", "2026-02-01T00:00:00Z"),
        (3, "other", "beta", "2026-02-01T00:00:00Z"),
    ] {
        store.ledger.add_key(&key(id, account, created), &[hash; 32]).await.unwrap();
    }
    let ids: Vec<_> = store.ledger.keys(&acme()).await.unwrap().into_iter().map(|key| key.id).collect();
    assert_eq!(ids, ["first", "later"]);
}

#[tokio::test]
async fn nobody_revokes_another_accounts_key() {
    let store = Store::furnished().await;
    let beta = "beta".parse().unwrap();
    store.ledger.create_account(None, &beta, "free", start()).await.unwrap();
    store.ledger.add_key(&key("k1", "acme", "2026-02-01T00:00:00Z"), &[1; 32]).await.unwrap();
    let refused = store.ledger.revoke_key(&beta, "k1", start()).await.unwrap_err();
    assert!(matches!(refused, LedgerError::NoSuchKey(id) if id == "k1"));
    assert_eq!(store.ledger.account_of_key(&[1; 32]).await.unwrap(), Some((acme(), "k1".to_owned())));
}

#[tokio::test]
async fn keys_are_of_accounts_that_are_there() {
    let store = Store::furnished().await;
    let refused = store.ledger.add_key(&key("k1", "nobody", "2026-02-01T00:00:00Z"), &[1; 32]).await.unwrap_err();
    assert!(matches!(refused, LedgerError::NoSuchAccount(_)));
    let refused = store.ledger.keys(&"nobody".parse().unwrap()).await.unwrap_err();
    assert!(matches!(refused, LedgerError::NoSuchAccount(_)));
}

#[tokio::test]
async fn a_key_that_is_there_already_is_no_passing_trouble() {
    let store = Store::furnished().await;
    let made = key("k1", "acme", "2026-02-01T00:00:00Z");
    store.ledger.add_key(&made, &[1; 32]).await.unwrap();
    let refused = store.ledger.add_key(&made, &[1; 32]).await.unwrap_err();
    assert!(!refused.is_passing(), "{refused:?}");
}

//! Purging, and the list of who did.

use super::*;
use crate::{
    cache::purge::{Stamp, Standing},
    request::key::SourceName,
};

impl Server {
    /// How what was asked for now stands after `purge`.
    async fn standing_after(&self, source: &str, purge: impl AsyncFnOnce()) -> Standing {
        let stamp = Stamp::of(self.api.purges.now(), &HeaderMap::new());
        purge().await;
        self.api.purges.standing(SourceName { scope: "shop https://shop.example/", source }, &stamp)
    }
}

#[tokio::test]
async fn a_purge_holds_when_the_answer_comes() {
    let server = Server::start().await;
    let purge = async || {
        let body = json!({ "urls": ["https://img.shop.example/a.jpg?w=400"] });
        let purged = server.done("POST", "/sites/shop/purge", body).await;
        let generation = server.api.purges.now().0;
        let expected =
            json!({ "site": "shop", "generation": generation, "mode": "hard", "at": "2026-03-01T00:00:00Z" });
        assert_eq!(purged, expected);
    };
    assert_eq!(server.standing_after("/a.jpg", purge).await, Standing::Gone);
    for (source, body, standing) in [
        ("/b/c.jpg", json!({ "prefixes": ["/b/"], "mode": "soft" }), Standing::Stale { since: NOW }),
        ("/d.jpg", json!({ "prefixes": ["/b/"], "mode": "soft" }), Standing::Valid),
        ("/d.jpg", json!({ "everything": true }), Standing::Gone),
    ] {
        let purge = async || drop(server.done("POST", "/sites/shop/purge", body.clone()).await);
        assert_eq!(server.standing_after(source, purge).await, standing, "{source} {body}");
    }
}

#[tokio::test]
async fn a_site_that_nobody_pays_for_is_purged_by_the_operator() {
    let server = Server::start().await;
    server.done("POST", "/sites/nobodys/purge", json!({ "everything": true })).await;
    assert_eq!(server.get("/audit").await.body["items"][0]["site"], "nobodys");
    let key = server.key_of("acme").await;
    let refused = server.ask(&key, "POST", "/sites/nobodys/purge", json!({ "everything": true })).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_accounts_key_purges_its_own_sites_and_no_others() {
    let server = Server::start().await;
    let key = server.key_of("acme").await;
    let purge = async |site: &str| {
        server.ask(&key, "POST", &format!("/sites/{site}/purge"), json!({ "everything": true })).await.status
    };
    assert_eq!(purge("shop").await, StatusCode::OK);
    let before = server.api.purges.now();
    assert_eq!(purge("theirs").await, StatusCode::NOT_FOUND);
    assert_eq!(purge("nowhere").await, StatusCode::NOT_FOUND);
    assert_eq!(server.api.purges.now(), before);
}

#[tokio::test]
async fn what_cannot_be_purged_is_refused_and_the_field_named() {
    let server = Server::start().await;
    for (body, field) in [
        (json!({}), Value::Null),
        (json!({ "urls": ["/a.jpg", "https://else.example/a.jpg"] }), json!("urls[1]")),
        (json!({ "urls": [""] }), json!("urls[0]")),
        (json!({ "prefixes": ["/a/.."] }), json!("prefixes[0]")),
        (json!({ "keys": [" "] }), json!("keys[0]")),
        (json!({ "keys": vec!["a"; 1_001] }), json!("keys")),
        (json!({ "everything": true, "mode": "gentle" }), json!("mode")),
        (json!({ "url": "/a.jpg" }), json!("url")),
    ] {
        let answer = server.ask(OPERATOR, "POST", "/sites/shop/purge", body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.body["field"], field, "{body}: {}", answer.body);
    }
    assert_eq!(server.get("/audit").await.body["items"], json!([]));
}

#[tokio::test]
async fn a_purge_that_is_sent_again_happens_once() {
    let server = Server::start().await;
    let first = server.once("k", "POST", "/sites/shop/purge", json!({ "everything": true })).await;
    let after = server.api.purges.now();
    let again = server.once("k", "POST", "/sites/shop/purge", json!({ "everything": true })).await;
    assert_eq!((again.status, again.body), (StatusCode::OK, first.body));
    assert_eq!(server.api.purges.now(), after);
    let other = server.once("k", "POST", "/sites/shop/purge", json!({ "urls": ["/a.jpg"] })).await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    assert_eq!(server.get("/audit").await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_audit_says_who_purged_what() {
    let server = Server::start().await;
    let key = server.key_of("acme").await;
    let key_id = server.get("/accounts/acme/keys").await.body["items"][0]["id"].as_str().unwrap().to_owned();
    server.done("POST", "/sites/theirs/purge", json!({ "everything": true, "mode": "soft" })).await;
    let body = json!({ "urls": ["/a.jpg"], "keys": ["red"] });
    server.ask(&key, "POST", "/sites/shop/purge", body).await;
    let generation = server.api.purges.now().0;
    let expected = json!({
        "id": 2, "at": "2026-03-01T00:00:00Z", "actor": format!("account/acme/key/{key_id}"), "action": "purge",
        "site": "shop",
        "detail": {
            "mode": "hard", "everything": false, "urls": ["/a.jpg"], "prefixes": [], "keys": ["red"], "not_shown": 0,
            "generation": generation,
        },
    });
    let listed = server.get("/audit").await.body;
    assert_eq!((&listed["items"][0], &listed["items"][1]["actor"]), (&expected, &json!("operator")));
    assert_eq!(server.get("/audit?limit=1").await.body["next"], "2");
    assert_eq!(server.get("/audit?before=2").await.body["items"][0]["id"], 1);
    assert_eq!(server.get("/audit?site=shop").await.body["items"], json!([expected]));
    // An account sees what was done to its own.
    let own = server.ask(&key, "GET", "/audit", Value::Null).await.body;
    assert_eq!(own["items"], json!([expected]));
    assert_eq!(server.ask(&key, "GET", "/audit?site=theirs", Value::Null).await.body["items"], json!([]));
    let other = server.ask(&key, "GET", "/audit?account=other", Value::Null).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
}

//! Accounts' own keys, and what they open.

use super::*;

#[tokio::test]
async fn a_key_is_shown_once_and_opens_its_own_account() {
    let server = Server::start().await;
    let answer = server.ask(OPERATOR, "POST", "/accounts/acme/keys", json!({ "name": "shop system" })).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(
        (&answer.body["name"], &answer.body["created"]),
        (&json!("shop system"), &json!("2026-03-01T00:00:00Z"))
    );
    let key = answer.body["key"].as_str().unwrap();
    assert!(key.starts_with("lmk_") && key.len() == 68, "{key}");
    assert_eq!(server.ask(key, "GET", "/accounts/acme", Value::Null).await.status, StatusCode::OK);

    let listed = server.get("/accounts/acme/keys").await.body;
    let shown =
        json!({ "id": answer.body["id"], "name": "shop system", "created": "2026-03-01T00:00:00Z", "revoked": null });
    assert_eq!(listed, json!({ "items": [shown] }));
}

#[tokio::test]
async fn a_revoked_key_opens_nothing() {
    let server = Server::start().await;
    let made = server.done("POST", "/accounts/acme/keys", json!({ "name": "test" })).await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let elsewhere = format!("/accounts/other/keys/{id}");
    assert_eq!(server.ask(OPERATOR, "DELETE", &elsewhere, Value::Null).await.status, StatusCode::NOT_FOUND);
    let own = format!("/accounts/acme/keys/{id}");
    assert_eq!(server.ask(key, "DELETE", &own, Value::Null).await.status, StatusCode::NO_CONTENT);
    let after = server.ask(key, "GET", "/accounts/acme", Value::Null).await;
    assert_eq!(
        (after.status, &after.headers["www-authenticate"]),
        (StatusCode::UNAUTHORIZED, &"Bearer".parse().unwrap())
    );
    assert_eq!(server.ask(OPERATOR, "DELETE", &own, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.get("/accounts/acme/keys").await.body["items"][0]["revoked"], "2026-03-01T00:00:00Z");
    let never = format!("lmk_{}", "0".repeat(64));
    assert_eq!(server.ask(&never, "GET", "/accounts", Value::Null).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_sees_its_own_in_every_list() {
    let server = Server::start().await;
    let key = server.key_of("acme").await;
    let list = async |path: &str| server.ask(&key, "GET", path, Value::Null).await.body;
    assert_eq!(ids(&list("/accounts").await), ["acme"]);
    assert_eq!(ids(&list("/accounts?after=acme").await), Vec::<&str>::new());
    assert_eq!(ids(&list("/sites").await), ["big", "shop"]);
    assert_eq!(ids(&list("/sites?account=acme&limit=1").await), ["big"]);
    let transfers = list("/transfers").await;
    let credited: Vec<_> = transfers["items"].as_array().unwrap().iter().map(|item| &item["credit"]).collect();
    assert_eq!(credited, ["account/acme/monthly"]);
    assert_eq!(list("/transfers?site=theirs").await, json!({ "items": [], "next": null }));
    assert_eq!(list("/sites/shop").await["id"], "shop");
    assert_eq!(list("/sites/shop/usage").await["site"], "shop");
}

/// What belongs to others answers, word for word, as what is not there.
#[tokio::test]
async fn what_belongs_to_others_is_not_there() {
    let server = Server::start().await;
    let key = server.key_of("acme").await;
    let credits = || json!({ "kind": "monthly", "amount": "5" });
    let settings = || json!({ "account": "acme", "hosts": ["x.example"], "origin": "https://x.example" });
    let estimate = |site: &str| json!({ "site": site, "images": [{ "url": "/a.jpg" }] });
    for (method, path, body) in [
        ("GET", "/accounts/other", Value::Null),
        ("PATCH", "/accounts/other", json!({ "plan": "free" })),
        ("POST", "/accounts/other/credits", credits()),
        ("POST", "/accounts/other/withdrawals", credits()),
        ("GET", "/accounts/other/keys", Value::Null),
        ("POST", "/accounts/other/keys", json!({ "name": "mine" })),
        ("DELETE", "/accounts/other/keys/1", Value::Null),
        ("GET", "/accounts/other/transfers", Value::Null),
        ("GET", "/transfers?account=other", Value::Null),
        ("GET", "/sites?account=other", Value::Null),
        ("GET", "/sites/theirs", Value::Null),
        ("PUT", "/sites/theirs", settings()),
        ("DELETE", "/sites/theirs", Value::Null),
        ("GET", "/sites/theirs/allocation", Value::Null),
        ("PUT", "/sites/theirs/allocation", json!({ "monthly": "5" })),
        ("DELETE", "/sites/theirs/allocation", Value::Null),
        ("GET", "/sites/theirs/usage", Value::Null),
        ("POST", "/estimate", estimate("theirs")),
    ] {
        let hidden = server.ask(&key, method, path, body.clone()).await;
        assert_eq!(hidden.status, StatusCode::NOT_FOUND, "{method} {path}: {}", hidden.body);
        let absent = |text: &str| text.replace("other", "absent").replace("theirs", "absent");
        let unknown = serde_json::from_str(&absent(&body.to_string())).unwrap();
        let unknown = server.ask(&key, method, &absent(path), unknown).await;
        assert_eq!(absent(&hidden.body.to_string()), unknown.body.to_string(), "{method} {path}");
    }
    assert_eq!(server.ask(&key, "GET", "/sites/nobodys", Value::Null).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_only_the_operator_may_do_is_forbidden_on_ones_own() {
    let server = Server::start().await;
    let key = server.key_of("acme").await;
    let credits = || json!({ "kind": "monthly", "amount": "5" });
    let settings = || json!({ "id": "x", "account": "acme", "hosts": ["x.example"], "origin": "https://x.example" });
    for (method, path, body) in [
        ("POST", "/accounts", json!({ "id": "new" })),
        ("PATCH", "/accounts/acme", json!({ "plan": "max" })),
        ("POST", "/accounts/acme/credits", credits()),
        ("POST", "/accounts/acme/withdrawals", credits()),
        ("POST", "/sites", settings()),
        ("PUT", "/sites/shop", settings()),
        ("DELETE", "/sites/shop", Value::Null),
        ("GET", "/test-clock", Value::Null),
        ("POST", "/test-clock", json!({ "now": "2026-04-01T00:00:00Z" })),
    ] {
        let answer = server.ask(&key, method, path, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}: {}", answer.body);
    }
    assert_eq!(server.get("/accounts/acme").await.body["balance"]["monthly"], "7000");
}

#[tokio::test]
async fn two_accounts_may_use_the_same_idempotency_key() {
    let server = Server::start().await;
    let (ours, theirs) = (server.key_of("acme").await, server.key_of("other").await);
    for (key, site, monthly) in [(&ours, "shop", "5"), (&theirs, "theirs", "6")] {
        let path = format!("/sites/{site}/allocation");
        let mut request = request(key, "PUT", &path, &json!({ "monthly": monthly }));
        request.headers_mut().insert("idempotency-key", "1".parse().unwrap());
        let answer = server.send(request).await;
        assert_eq!((answer.status, &answer.body["allocation"]["monthly"]), (StatusCode::OK, &json!(monthly)));
    }
}

//! Sites and what is assigned to them.

use super::*;

fn blog() -> Value {
    json!({ "id": "blog", "account": "acme", "hosts": ["blog.example"], "origin": "https://blog.example" })
}

#[tokio::test]
async fn a_site_is_made_shown_changed_and_removed() {
    let server = Server::start().await;
    let made = server.ask(OPERATOR, "POST", "/sites", blog()).await;
    assert_eq!((made.status, &made.headers["location"]), (StatusCode::CREATED, &"/api/v1/sites/blog".parse().unwrap()));
    assert_eq!(
        made.body,
        json!({
            "id": "blog", "account": "acme", "hosts": ["blog.example"], "tariff": "variants",
            "entitlement": "optimize", "allocation": null,
            "balance": { "monthly": "7000", "one_time": "0", "total": "7000" },
            "origin": "https://blog.example/", "from": "api", "problem": null,
        })
    );
    assert_eq!(server.get("/sites/blog").await.body, made.body);
    assert_eq!(server.get("/accounts/acme").await.body["sites"], json!(["big", "blog", "shop"]));

    let settings =
        json!({ "account": "acme", "hosts": ["b.example"], "origin": "https://b.example", "tariff": "egress" });
    let changed = server.done("PUT", "/sites/blog", settings).await;
    assert_eq!((&changed["hosts"], &changed["tariff"]), (&json!(["b.example"]), &json!("egress")));
    assert_eq!(server.api.directory.site("blog").unwrap().hosts, ["b.example"]);

    let removed = server.ask(OPERATOR, "DELETE", "/sites/blog", Value::Null).await;
    assert_eq!((removed.status, removed.body), (StatusCode::NO_CONTENT, Value::Null));
    assert_eq!(server.get("/sites/blog").await.status, StatusCode::NOT_FOUND);
    assert!(server.api.directory.site("blog").is_none());
}

#[tokio::test]
async fn a_site_whose_name_or_host_is_taken_is_not_made() {
    let server = Server::start().await;
    server.done("POST", "/sites", blog()).await;
    let mut same_host = blog();
    (same_host["id"], same_host["hosts"]) = (json!("second"), json!(["img.shop.example"]));
    for id in ["blog", "shop", "nobodys"] {
        let mut taken = blog();
        (taken["id"], taken["hosts"]) = (json!(id), json!(["new.example"]));
        assert_eq!(server.ask(OPERATOR, "POST", "/sites", taken).await.status, StatusCode::CONFLICT, "{id}");
    }
    let refused = server.ask(OPERATOR, "POST", "/sites", same_host).await;
    assert_eq!((refused.status, &refused.body["field"]), (StatusCode::CONFLICT, &json!("hosts")));
    let mut nobody = blog();
    (nobody["id"], nobody["account"], nobody["hosts"]) = (json!("third"), json!("nobody"), json!(["c.example"]));
    assert_eq!(server.ask(OPERATOR, "POST", "/sites", nobody).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_site_of_the_file_is_changed_there() {
    let server = Server::start().await;
    let settings = json!({ "account": "acme", "hosts": ["new.example"], "origin": "https://a.example" });
    for id in ["shop", "nobodys"] {
        let path = format!("/sites/{id}");
        for (method, body) in [("PUT", settings.clone()), ("DELETE", Value::Null)] {
            let answer = server.ask(OPERATOR, method, &path, body).await;
            assert_eq!(answer.status, StatusCode::CONFLICT, "{method} {path}");
            assert!(answer.detail().contains("configuration file"), "{}", answer.detail());
        }
    }
    assert_eq!(server.get("/sites/shop").await.body["from"], "file");
}

#[tokio::test]
async fn sites_are_listed_in_parts_those_without_an_account_in_their_place() {
    let server = Server::start().await;
    let first = server.done("GET", "/sites?limit=2", Value::Null).await;
    assert_eq!(ids(&first), ["big", "nobodys"]);
    let next = first["next"].as_str().unwrap();
    let last = server.done("GET", &format!("/sites?limit=2&after={next}"), Value::Null).await;
    assert_eq!((ids(&last), &last["next"]), (vec!["shop", "theirs"], &Value::Null));
    let own = server.done("GET", "/sites?account=other", Value::Null).await;
    assert_eq!(ids(&own), ["theirs"]);
}

#[tokio::test]
async fn a_site_that_is_not_served_says_why() {
    let server = Server::start().await;
    server.done("POST", "/sites", blog()).await;
    let file = FILE.replace("nobodys.example'", "blog.example'");
    server.api.directory.reload(&toml::from_str(&file).unwrap(), server.api.clock.timestamp()).await.unwrap();
    let problem = server.get("/sites/blog").await.body["problem"].clone();
    assert!(problem.as_str().unwrap().contains("belongs to another site"), "{problem}");
    assert_eq!(server.ask(OPERATOR, "DELETE", "/sites/blog", Value::Null).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn credits_are_assigned_to_a_site_and_taken_back() {
    let server = Server::start().await;
    server.done("POST", "/accounts/acme/credits", json!({ "kind": "one_time", "amount": "10" })).await;
    let given = server.done("PUT", "/sites/shop/allocation", json!({ "monthly": "40", "one_time": 2.5 })).await;
    assert_eq!(given["allocation"], json!({ "monthly": "40", "one_time": "2.5" }));
    assert_eq!(given["balance"], json!({ "monthly": "40", "one_time": "2.5", "total": "42.5" }));
    let account = server.get("/accounts/acme").await.body;
    assert_eq!(account["balance"]["total"], "7010");
    assert_eq!(account["unallocated"], json!({ "monthly": "6960", "one_time": "7.5", "total": "6967.5" }));
    assert_eq!(server.get("/sites/shop/allocation").await.body, given);

    let fewer = server.done("PUT", "/sites/shop/allocation", json!({ "monthly": "1" })).await;
    assert_eq!(fewer["allocation"], json!({ "monthly": "1", "one_time": "0" }));
    let none = server.done("DELETE", "/sites/shop/allocation", Value::Null).await;
    assert_eq!((&none["allocation"], &none["balance"]["total"]), (&Value::Null, &json!("7010")));
}

#[tokio::test]
async fn a_site_with_nothing_assigned_is_in_essential_mode() {
    let server = Server::start().await;
    let site = server.done("PUT", "/sites/shop/allocation", json!({})).await;
    assert_eq!((&site["entitlement"], &site["allocation"]["monthly"]), (&json!("essential"), &json!("0")));
    assert_eq!(server.get("/sites/big").await.body["entitlement"], "optimize");
}

#[tokio::test]
async fn more_than_is_free_cannot_be_assigned() {
    let server = Server::start().await;
    server.done("PUT", "/sites/big/allocation", json!({ "monthly": "6000" })).await;
    let refused = server.ask(OPERATOR, "PUT", "/sites/shop/allocation", json!({ "monthly": "1000.000001" })).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!((&refused.body["kind"], &refused.body["free"]), (&json!("monthly"), &json!("1000")));
    let negative = server.ask(OPERATOR, "PUT", "/sites/shop/allocation", json!({ "monthly": "-1" })).await;
    assert_eq!((negative.status, &negative.body["field"]), (StatusCode::BAD_REQUEST, &json!("monthly")));
}

#[tokio::test]
async fn an_accounts_own_key_assigns_its_credits() {
    let server = Server::start().await;
    let key = server.key_of("acme").await;
    let given = server.ask(&key, "PUT", "/sites/shop/allocation", json!({ "monthly": "40" })).await;
    assert_eq!((given.status, &given.body["balance"]["total"]), (StatusCode::OK, &json!("40")));
    let back = server.ask(&key, "DELETE", "/sites/shop/allocation", Value::Null).await;
    assert_eq!((back.status, &back.body["allocation"]), (StatusCode::OK, &Value::Null));
}

#[tokio::test]
async fn taking_back_with_a_key_happens_once() {
    let server = Server::start().await;
    server.done("PUT", "/sites/shop/allocation", json!({ "monthly": "40" })).await;
    let first = server.once("k", "DELETE", "/sites/shop/allocation", Value::Null).await;
    server.done("PUT", "/sites/shop/allocation", json!({ "monthly": "30" })).await;
    let again = server.once("k", "DELETE", "/sites/shop/allocation", Value::Null).await;
    assert_eq!((again.status, again.body), (StatusCode::OK, first.body));
    assert_eq!(server.get("/sites/shop").await.body["allocation"]["monthly"], "30");
}

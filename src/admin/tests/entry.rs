//! Who is let in, and how what cannot be is refused. None of this asks the ledger.

use super::*;

async fn server() -> Server {
    Server::empty(Clock::standing_at(NOW), Some(OPERATOR)).await
}

fn is_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    assert_eq!(answer.headers[CONTENT_TYPE], "application/problem+json");
    assert_eq!(answer.body["type"], "about:blank");
    assert_eq!(answer.body["status"], status);
    assert_eq!(answer.body["title"], answer.status.canonical_reason().unwrap());
    assert!(!answer.detail().is_empty());
}

#[tokio::test]
async fn without_the_right_token_nothing_is_told() {
    let server = server().await;
    let missing = Request::get("/api/v1/accounts").body(Body::empty()).unwrap();
    for answer in [server.send(missing).await, server.ask("wrong", "GET", "/accounts", Value::Null).await] {
        is_problem(&answer, 401);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(server.get("/plans").await.status, StatusCode::OK);
}

#[tokio::test]
async fn where_no_operators_token_is_configured_the_answer_says_how_to_set_one() {
    let server = Server::empty(Clock::system(), None).await;
    let answer = server.ask("secret", "GET", "/accounts", Value::Null).await;
    is_problem(&answer, 401);
    assert!(answer.detail().contains("admin.token"), "{}", answer.detail());
}

#[tokio::test]
async fn who_has_no_token_learns_nothing_of_what_is_there_or_allowed() {
    let server = server().await;
    for (method, path, body) in [
        ("GET", "/accounts/acme", Value::Null),
        ("GET", "/accounts/%FF", Value::Null),
        ("POST", "/accounts", json!({ "nonsense": true })),
        ("POST", "/estimate", json!([])),
        ("GET", "/transfers?nonsense=1", Value::Null),
        ("POST", "/test-clock", json!({})),
        ("DELETE", "/sites/shop/allocation", Value::Null),
    ] {
        is_problem(&server.ask("wrong", method, path, body).await, 401);
    }
}

#[tokio::test]
async fn a_path_or_method_that_is_not_there_is_a_problem_too() {
    let server = server().await;
    is_problem(&server.get("/nothing").await, 404);
    let elsewhere = Request::get("/elsewhere").body(Body::empty()).unwrap();
    is_problem(&server.send(elsewhere).await, 404);
    let method = server.ask(OPERATOR, "DELETE", "/accounts", Value::Null).await;
    is_problem(&method, 405);
    let allowed = method.headers["allow"].to_str().unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST") && !allowed.contains("DELETE"), "{allowed}");
}

#[tokio::test]
async fn a_name_that_nothing_can_have_is_not_there() {
    let server = server().await;
    for path in ["/accounts/a%20b", "/accounts/%FF", "/sites/-a", &format!("/sites/{}/usage", "x".repeat(64))] {
        is_problem(&server.get(path).await, 404);
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_it_must_be_is_refused_by_field() {
    let server = server().await;
    let long = "x".repeat(201);
    for (path, body, field) in [
        ("/accounts", json!({ "id": "a b" }), "id"),
        ("/accounts", json!({ "id": "a", "colour": "red" }), "colour"),
        ("/accounts/acme/credits", json!({ "kind": "monthly", "amount": "0" }), "amount"),
        ("/accounts/acme/credits", json!({ "kind": "monthly", "amount": "-5" }), "amount"),
        ("/accounts/acme/credits", json!({ "kind": "monthly", "amount": "0.0000001" }), "amount"),
        ("/accounts/acme/credits", json!({ "kind": "monthly", "amount": 1e300 }), "amount"),
        ("/accounts/acme/credits", json!({ "kind": "yearly", "amount": "5" }), "kind"),
        ("/accounts/acme/credits", json!({ "kind": "monthly", "amount": "5", "reference": long }), "reference"),
        ("/accounts/acme/credits", json!({ "pack": "gold" }), "pack"),
        ("/accounts/acme/withdrawals", json!({ "pack": "pack-10k" }), "pack"),
        ("/accounts/acme/keys", json!({ "name": "" }), "name"),
        (
            "/sites",
            json!({ "id": "s", "hosts": [], "origin": "https://a.example", "first_view": "soon" }),
            "first_view",
        ),
        ("/sites", json!({ "id": "s", "hosts": [7], "origin": "https://a.example" }), "hosts[0]"),
        ("/sites", json!({ "id": "s", "account": "acme", "hosts": [], "origin": "https://a.example" }), "hosts"),
        ("/sites", json!({ "id": "s", "hosts": ["a.example"], "origin": "https://a.example" }), "account"),
        ("/estimate", json!({ "site": "shop", "images": [{ "url": "/a.jpg", "views": -1 }] }), "images[0].views"),
        ("/test-clock", json!({ "now": "yesterday" }), "now"),
        ("/test-clock", json!({ "now": "1969-12-31T23:59:59Z" }), "now"),
    ] {
        let answer = server.ask(OPERATOR, "POST", path, body).await;
        is_problem(&answer, 400);
        assert_eq!(answer.body["field"], field, "{path}: {}", answer.detail());
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let server = server().await;
    let with = |media_type: &str, body: String| {
        let mut request = request(OPERATOR, "POST", "/accounts", &json!({}));
        request.headers_mut().insert(CONTENT_TYPE, media_type.parse().unwrap());
        *request.body_mut() = body.into();
        request
    };
    for body in ["", "{", "{\"id\":\"a\"} {}", "\u{feff}{}", "[\"a\"]", "null"] {
        is_problem(&server.send(with("application/json", body.into())).await, 400);
    }
    is_problem(&server.send(with("text/plain", "{}".into())).await, 415);
}

#[tokio::test]
async fn a_body_has_a_mebibyte_at_the_most() {
    let server = server().await;
    let of = |bytes: usize| {
        let mut request = request(OPERATOR, "POST", "/accounts", &json!({}));
        *request.body_mut() = format!("{{}}{}", " ".repeat(bytes - 2)).into();
        request
    };
    is_problem(&server.send(of(1 << 20)).await, 400);
    is_problem(&server.send(of((1 << 20) + 1)).await, 413);
}

#[tokio::test]
async fn a_parameter_that_is_not_what_it_must_be_is_refused_by_name() {
    let server = server().await;
    for (path, field) in [
        ("/accounts?limit=0", "limit"),
        ("/accounts?limit=1001", "limit"),
        ("/accounts?limit=many", "limit"),
        ("/accounts?after=a%20b", "after"),
        ("/sites?account=", "account"),
        ("/sites?colour=red", "colour"),
        ("/transfers?reason=whim", "reason"),
        ("/transfers?from=2026-03-01", "from"),
        ("/transfers?before=-1", "before"),
        ("/transfers?before=99999999999999999999", "before"),
        ("/accounts/acme/transfers?account=acme", "account"),
        ("/sites/shop/usage?step=week", "step"),
    ] {
        let answer = server.get(path).await;
        is_problem(&answer, 400);
        assert_eq!(answer.body["field"], field, "{path}: {}", answer.detail());
    }
    is_problem(&server.get("/accounts?limit=1&limit=2").await, 400);
}

#[tokio::test]
async fn an_idempotency_key_is_visible_ascii() {
    let server = server().await;
    for key in ["", "a b", &"x".repeat(256)] {
        let answer = server.once(key, "POST", "/accounts", json!({ "id": "a" })).await;
        is_problem(&answer, 400);
        assert_eq!(answer.body["field"], "Idempotency-Key");
    }
}

#[tokio::test]
async fn without_a_test_clock_there_is_no_such_path() {
    let server = Server::empty(Clock::system(), Some(OPERATOR)).await;
    is_problem(&server.get("/test-clock").await, 404);
    let body = json!({ "now": "2026-03-01T00:00:00Z" });
    is_problem(&server.ask(OPERATOR, "POST", "/test-clock", body).await, 404);
}

#[tokio::test]
async fn the_test_clock_tells_the_time_that_stands() {
    let answer = server().await.get("/test-clock").await;
    assert_eq!(answer.body, json!({ "now": "2026-03-01T00:00:00Z" }));
}

#[tokio::test]
async fn a_site_that_nobody_pays_for_is_shown_and_counts_nothing() {
    let server = server().await;
    assert_eq!(
        server.get("/sites/nobodys").await.body,
        json!({
            "id": "nobodys", "account": null, "hosts": ["nobodys.example"], "tariff": "variants",
            "entitlement": "optimize", "allocation": null, "balance": null, "origin": "https://nobodys.example/",
            "from": "file", "problem": null,
        })
    );
    for path in ["/sites/nobodys/usage", "/sites/nobodys/allocation"] {
        is_problem(&server.get(path).await, 409);
    }
    let body = json!({ "site": "nobodys", "images": [{ "url": "/a.jpg" }] });
    is_problem(&server.ask(OPERATOR, "POST", "/estimate", body).await, 409);
    is_problem(&server.ask(OPERATOR, "DELETE", "/sites/nobodys", Value::Null).await, 409);
}

#[tokio::test]
async fn the_catalogue_is_listed() {
    let body = server().await.get("/plans").await.body;
    assert_eq!(body["currency"], "USD");
    assert_eq!(
        body["plans"][1],
        json!({ "id": "starter", "name": "Starter", "price": "4.99", "monthly_credits": "7000", "egress_quota_bytes": null })
    );
    assert_eq!(body["plans"][6]["egress_quota_bytes"], 500_000_000_000u64);
    assert_eq!(
        body["packs"][0],
        json!({ "id": "pack-10k", "name": "10,000 credits", "price": "9.99", "credits": "10000" })
    );
}

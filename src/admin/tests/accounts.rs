//! Accounts, their credits and the list of transfers.

use super::*;

#[tokio::test]
async fn an_account_is_made_with_its_plans_credits() {
    let server = Server::start().await;
    let answer = server.ask(OPERATOR, "POST", "/accounts", json!({ "id": "new", "plan": "basic" })).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.headers["location"], "/api/v1/accounts/new");
    let credits = json!({ "monthly": "16000", "one_time": "0", "total": "16000" });
    assert_eq!(
        answer.body,
        json!({
            "id": "new", "plan": "basic",
            "period": { "start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z" },
            "balance": credits, "unallocated": credits, "sites": [],
        })
    );
    assert_eq!(server.get("/accounts/new").await.body, answer.body);
}

#[tokio::test]
async fn an_account_is_free_where_no_plan_is_named_and_its_name_is_its_own() {
    let server = Server::start().await;
    assert_eq!(server.done("POST", "/accounts", json!({ "id": "new" })).await["plan"], "free");
    let again = server.ask(OPERATOR, "POST", "/accounts", json!({ "id": "new" })).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let unknown = server.ask(OPERATOR, "POST", "/accounts", json!({ "id": "next", "plan": "gold" })).await;
    assert_eq!((unknown.status, &unknown.body["field"]), (StatusCode::BAD_REQUEST, &json!("plan")));
    assert_eq!(server.get("/accounts/next").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn accounts_are_listed_in_parts() {
    let server = Server::start().await;
    let first = server.done("GET", "/accounts?limit=1", Value::Null).await;
    assert_eq!(ids(&first), ["acme"]);
    let next = first["next"].as_str().unwrap();
    let last = server.done("GET", &format!("/accounts?limit=1&after={next}"), Value::Null).await;
    assert_eq!(ids(&last), ["other"]);
    assert_eq!(server.done("GET", "/accounts?after=other", Value::Null).await, json!({ "items": [], "next": null }));
}

#[tokio::test]
async fn a_larger_plan_gives_the_difference_at_once() {
    let server = Server::start().await;
    let changed = server.done("PATCH", "/accounts/acme", json!({ "plan": "basic" })).await;
    assert_eq!((&changed["plan"], &changed["balance"]["monthly"]), (&json!("basic"), &json!("16000")));
    let unknown = server.ask(OPERATOR, "PATCH", "/accounts/acme", json!({ "plan": "gold" })).await;
    assert_eq!((unknown.status, &unknown.body["field"]), (StatusCode::BAD_REQUEST, &json!("plan")));
}

#[tokio::test]
async fn credits_are_given_as_an_amount_or_as_a_pack() {
    let server = Server::start().await;
    let body = json!({ "kind": "monthly", "amount": "99.5", "reference": "sorry" });
    let answer = server.ask(OPERATOR, "POST", "/accounts/other/credits", body).await;
    assert_eq!((answer.status, &answer.body["balance"]["monthly"]), (StatusCode::CREATED, &json!("199.5")));
    let packed = server.done("POST", "/accounts/other/credits", json!({ "pack": "pack-10k" })).await;
    assert_eq!(packed["balance"], json!({ "monthly": "199.5", "one_time": "10000", "total": "10199.5" }));
    let numbers = server.done("POST", "/accounts/other/credits", json!({ "kind": "one_time", "amount": 0.5 })).await;
    assert_eq!(numbers["balance"]["one_time"], "10000.5");
    let nobody = server.ask(OPERATOR, "POST", "/accounts/nobody/credits", json!({ "pack": "pack-10k" })).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn more_cannot_be_taken_back_than_there_is() {
    let server = Server::start().await;
    let body = |amount: &str| json!({ "kind": "monthly", "amount": amount, "reference": "refund" });
    let answer = server.ask(OPERATOR, "POST", "/accounts/other/withdrawals", body("40")).await;
    assert_eq!((answer.status, &answer.body["balance"]["monthly"]), (StatusCode::CREATED, &json!("60")));
    let refused = server.ask(OPERATOR, "POST", "/accounts/other/withdrawals", body("60.000001")).await;
    assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED);
    let told = ["needed", "available", "shortfall"].map(|field| refused.body[field].clone());
    assert_eq!(told, [json!("60.000001"), json!("60"), json!("0.000001")]);
}

#[tokio::test]
async fn what_would_not_fit_into_the_books_is_refused() {
    let server = Server::start().await;
    let body = json!({ "kind": "one_time", "amount": "999999999999" });
    for _ in 0..10 {
        let answer = server.ask(OPERATOR, "POST", "/accounts/other/credits", body.clone()).await;
        if answer.status != StatusCode::CREATED {
            assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
            return;
        }
    }
    panic!("ten trillion credits are more than 64 bits hold");
}

#[tokio::test]
async fn a_request_with_a_key_happens_once() {
    let server = Server::start().await;
    let body = json!({ "kind": "one_time", "amount": "5" });
    let first = server.once("order-17", "POST", "/accounts/other/credits", body).await;
    server.done("POST", "/accounts/other/credits", json!({ "kind": "one_time", "amount": "1" })).await;
    let spaced = json!({ "amount": "5", "kind": "one_time" });
    let again = server.once("order-17", "POST", "/accounts/other/credits", spaced).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &first.body));
    assert_eq!(server.get("/accounts/other").await.body["balance"]["one_time"], "6");

    for (path, amount) in [("/accounts/other/credits", "6"), ("/accounts/acme/credits", "5")] {
        let other = server.once("order-17", "POST", path, json!({ "kind": "one_time", "amount": amount })).await;
        assert_eq!(other.status, StatusCode::CONFLICT, "{path} {amount}");
        assert!(other.detail().contains("Idempotency-Key"), "{}", other.detail());
    }
}

#[tokio::test]
async fn a_key_that_was_refused_is_free_for_another_try() {
    let server = Server::start().await;
    let body = |amount: &str| json!({ "kind": "monthly", "amount": amount });
    let refused = server.once("r", "POST", "/accounts/other/withdrawals", body("1000")).await;
    assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED);
    let done = server.once("r", "POST", "/accounts/other/withdrawals", body("10")).await;
    assert_eq!(done.status, StatusCode::CREATED);
}

#[tokio::test]
async fn every_movement_is_listed_the_latest_first() {
    let server = Server::start().await;
    let gift = json!({ "kind": "one_time", "amount": "5", "reference": "gift" });
    server.done("POST", "/accounts/other/credits", gift).await;
    let list = server.done("GET", "/accounts/other/transfers", Value::Null).await;
    let latest = &list["items"][0];
    assert!(latest["id"].is_i64());
    assert_eq!(latest["at"], "2026-03-01T00:00:00Z");
    let told = ["debit", "credit", "amount", "reason", "reference"].map(|field| latest[field].as_str().unwrap());
    assert_eq!(told, ["issued", "account/other/one_time", "5", "grant", "gift"]);
    let reasons: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["reason"]).collect();
    assert_eq!(reasons, ["grant", "refill"]);
    assert_eq!(server.get("/accounts/nobody/transfers").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn transfers_are_listed_in_parts_and_by_what_they_are() {
    let server = Server::start().await;
    let amounts = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|item| item["amount"].as_str().unwrap().to_owned()).collect()
    };
    for amount in ["1", "2", "3"] {
        server.done("POST", "/accounts/other/credits", json!({ "kind": "one_time", "amount": amount })).await;
    }
    let first = server.done("GET", "/transfers?account=other&reason=grant&limit=2", Value::Null).await;
    assert_eq!(amounts(&first), ["3", "2"]);
    let next = first["next"].as_str().unwrap();
    let path = format!("/transfers?account=other&reason=grant&limit=2&before={next}");
    let last = server.done("GET", &path, Value::Null).await;
    assert_eq!((amounts(&last), &last["next"]), (vec!["1".to_owned()], &Value::Null));

    let now = "2026-03-01T00:00:00Z";
    let before = server.done("GET", &format!("/transfers?account=other&to={now}"), Value::Null).await;
    assert_eq!(amounts(&before), Vec::<String>::new());
    let after = server.done("GET", &format!("/transfers?account=other&from={now}"), Value::Null).await;
    assert_eq!(amounts(&after).len(), 4);
    assert_eq!(amounts(&server.done("GET", "/transfers?site=shop", Value::Null).await), Vec::<String>::new());
}

#[tokio::test]
async fn the_test_clock_closes_periods_when_it_is_set() {
    let server = Server::start().await;
    server.done("POST", "/accounts/other/withdrawals", json!({ "kind": "monthly", "amount": "40" })).await;
    let set = server.done("POST", "/test-clock", json!({ "now": "2026-04-01T02:00:00+02:00" })).await;
    assert_eq!(set, json!({ "now": "2026-04-01T00:00:00Z" }));
    let account = server.get("/accounts/other").await.body;
    assert_eq!(account["period"]["start"], "2026-04-01T00:00:00Z");
    assert_eq!(account["balance"]["monthly"], "100");
    let list = server.done("GET", "/accounts/other/transfers?limit=2", Value::Null).await;
    let reasons: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["reason"]).collect();
    assert_eq!(reasons, ["refill", "expiry"]);
}

#[tokio::test]
async fn while_the_ledger_cannot_be_written_the_answer_says_when_to_try_again() {
    let server = Server::start().await;
    let path = server._home.path().join("ledger.db");
    let other = sqlx::SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let refused = server.ask(OPERATOR, "POST", "/accounts", json!({ "id": "new" })).await;
    assert_eq!(
        (refused.status, &refused.headers["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    lock.rollback().await.unwrap();
    server.done("POST", "/accounts", json!({ "id": "new" })).await;
}

//! A ledger that cannot be written: images go on being served, usage is kept and posted later, readiness and metrics say so,
//! nothing is lost and nobody is charged twice.

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, api::number, pictures, until};

/// Holds the ledger's lock, as another program would that looks into it.
struct Lock(SqliteConnection);

impl Lock {
    async fn take(edge: &Edge) -> Self {
        let options = SqliteConnectOptions::new().filename(edge.data_dir().join("ledger.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
        Self(connection)
    }

    async fn release(mut self) {
        sqlx::query("ROLLBACK").execute(&mut self.0).await.unwrap();
    }
}

async fn shop(tariff: &str) -> (Origin, Edge) {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(86_400)).await;
    let edge = Edge::start(Setup::paid(&origin, tariff)).await;
    edge.until_entitlement("shop", "optimize").await;
    (origin, edge)
}

#[tokio::test]
async fn images_go_on_being_served_and_usage_is_posted_later() {
    let (_origin, edge) = shop("egress").await;
    let mut sent = edge.get("/coffee.jpg").accept(CHROMIUM).await.body.len() as u64;
    edge.until_posted().await;
    let lock = Lock::take(&edge).await;
    for _ in 0..5 {
        let answer = edge.get("/coffee.jpg").accept(CHROMIUM).await;
        assert_eq!(answer.detail(), "avif");
        sent += answer.body.len() as u64;
    }
    until("readiness says so", async || edge.admin("/readyz").await.status == 503).await;
    assert!(edge.admin("/readyz").await.text().contains("ledger"));
    assert_eq!(edge.admin("/healthz").await.status, 200);
    assert_eq!(edge.metric("lightmeter_ledger_available", &[]).await, 0);
    assert!(edge.metric("lightmeter_ledger_errors_total", &[("operation", "post")]).await > 0);
    assert!(edge.metric("lightmeter_unposted_bytes", &[("site", "shop")]).await > 0);
    lock.release().await;
    until("readiness says so", async || edge.admin("/readyz").await.status == 200).await;
    edge.until_posted().await;
    assert_eq!(edge.usage("shop").await["egress_bytes"], sent);
}

#[tokio::test]
async fn what_cannot_be_charged_is_not_delivered_but_its_original_is() {
    let (_origin, edge) = shop("variants").await;
    assert_eq!(edge.get("/coffee.jpg?w=100").accept(CHROMIUM).await.detail(), "avif");
    let lock = Lock::take(&edge).await;
    // What is paid for already needs no ledger.
    assert_eq!(edge.get("/coffee.jpg?w=100").accept(CHROMIUM).await.detail(), "avif");
    let unpaid = edge.get("/coffee.jpg?w=200").accept(CHROMIUM).await;
    assert_eq!((unpaid.status.as_u16(), unpaid.detail().as_str()), (200, "ledger-unavailable"));
    assert_eq!(unpaid.body, pictures::demo("coffee.jpg"));
    assert!(unpaid.max_age().unwrap() <= 10);
    assert!(edge.metric("lightmeter_ledger_errors_total", &[("operation", "charge")]).await > 0);
    lock.release().await;
    until("it is delivered", async || edge.get("/coffee.jpg?w=200").accept(CHROMIUM).await.detail() == "avif").await;
    assert_eq!(number(&edge.usage("shop").await["credits"]["total"]), 4.0);
}

#[tokio::test]
async fn a_write_to_the_api_fails_and_can_be_repeated() {
    let (_origin, edge) = shop("variants").await;
    let grant = || {
        let body = serde_json::json!({"kind": "one_time", "amount": "5"});
        edge.api(reqwest::Method::POST, "/accounts/acme/credits").header("idempotency-key", "pack-1").json(&body)
    };
    let lock = Lock::take(&edge).await;
    let refused = grant().await;
    assert_eq!(refused.status, 503);
    assert!(refused.has("retry-after"));
    lock.release().await;
    for _ in 0..3 {
        assert_eq!(grant().await.status, 201);
    }
    assert_eq!(edge.credits("acme").await, 105.0);
}

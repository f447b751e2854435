//! The operator's side: what tests ask of it again and again.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Edge,
    request::{Answer, Request},
    until,
};

impl Edge {
    /// A request to the admin API, with the operator's token.
    pub(crate) fn api(&self, method: Method, path: &str) -> Request {
        self.admin_request(method, &format!("/api/v1{path}")).authorized()
    }

    /// What the API has at `path`.
    pub(crate) async fn read(&self, path: &str) -> Value {
        self.api(Method::GET, path).await.json()
    }

    /// Posts to the API.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.api(Method::POST, path).json(&body).await
    }

    /// Gives one-time credits.
    pub(crate) async fn grant(&self, account: &str, amount: &str) {
        let grant = json!({"kind": "one_time", "amount": amount});
        self.post(&format!("/accounts/{account}/credits"), grant).await.json();
    }

    /// Credits that an account has, in all.
    pub(crate) async fn credits(&self, account: &str) -> f64 {
        number(&self.read(&format!("/accounts/{account}")).await["balance"]["total"])
    }

    /// Waits until a site may do what is wanted.
    pub(crate) async fn until_entitlement(&self, site: &str, wanted: &str) {
        until(&format!("{site} is {wanted}"), async || {
            self.read(&format!("/sites/{site}")).await["entitlement"] == wanted
        })
        .await;
        // The ledger has it; that the request path has it too is seen here.
        let is_entitled = u64::from(wanted == "optimize");
        self.until_metric("lightmeter_entitlement", &[("site", site)], |value| value == is_entitled).await;
    }

    /// What a site has used in all.
    pub(crate) async fn usage(&self, site: &str) -> Value {
        self.read(&format!("/sites/{site}/usage?from=2000-01-01T00:00:00Z&to=2200-01-01T00:00:00Z&step=month")).await
    }

    /// Waits until all that was counted is in the ledger.
    pub(crate) async fn until_posted(&self) {
        self.until_metric("lightmeter_unposted_bytes", &[], |bytes| bytes == 0).await;
    }

    /// Sets the standing clock.
    pub(crate) async fn set_clock(&self, now: &str) {
        self.post("/test-clock", json!({"now": now})).await.json();
    }

    /// Lets time pass on the standing clock.
    pub(crate) async fn pass(&self, seconds: i64) {
        let now: jiff::Timestamp = self.read("/test-clock").await["now"].as_str().unwrap().parse().unwrap();
        self.set_clock(&(now + jiff::SignedDuration::from_secs(seconds)).to_string()).await;
    }
}

/// A decimal string as a number.
pub(crate) fn number(value: &Value) -> f64 {
    value.as_str().unwrap_or_else(|| panic!("{value} is no decimal string")).parse().unwrap()
}

//! The API over its router, with a ledger of its own and time that stands.

mod accounts;
mod description;
mod entry;
mod estimate;
mod keys;
mod purge;
mod sites;
mod usage;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header::CONTENT_TYPE},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Api, OperatorToken};
use crate::{
    billing::Catalogue,
    cache::purge::{Entries, Purges},
    clock::Clock,
    config::{self, Config},
    directory::Directory,
    http::time::UnixSeconds,
    store::{Durability, Ledger},
};

const OPERATOR: &str = "secret";

/// 2026-03-01T00:00:00Z, where time stands.
const NOW: UnixSeconds = UnixSeconds(1_772_323_200);

/// Two accounts, three sites that are paid for and one that is not.
const FILE: &str = "\
    [[account]]\nid = 'acme'\nplan = 'starter'\n\
    [[account]]\nid = 'other'\n\
    [[site]]\nid = 'shop'\naccount = 'acme'\nhosts = ['img.shop.example']\norigin = 'https://shop.example'\n\
    [[site]]\nid = 'big'\naccount = 'acme'\nhosts = ['big.example']\norigin = 'https://big.example'\ntariff = 'egress'\n\
    [[site]]\nid = 'theirs'\naccount = 'other'\nhosts = ['theirs.example']\norigin = 'https://theirs.example'\n\
    [[site]]\nid = 'nobodys'\nhosts = ['nobodys.example']\norigin = 'https://nobodys.example'\n";

struct Server {
    _home: tempfile::TempDir,
    api: Api,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Server {
    /// Nothing of the file is in the ledger yet.
    async fn empty(clock: Clock, token: Option<&str>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let ledger = Ledger::open(&path, Catalogue::shipped().unwrap(), Durability::Process).await.unwrap();
        let ledger = Arc::new(ledger);
        let config: Config = toml::from_str(FILE).unwrap();
        let directory = Arc::new(Directory::new(Arc::clone(&ledger), &config));
        let admin = config::Admin { token: token.map(str::to_owned), ..config::Admin::default() };
        let operator = OperatorToken::of(&admin).unwrap();
        let purges = Purges::open(home.path(), 1_000, Entries::None, std::time::SystemTime::now()).unwrap();
        let api = Api { ledger, directory, purges: Arc::new(purges), clock, operator };
        Self { _home: home, router: api.clone().router(), api }
    }

    /// As it is when the program has started.
    async fn start() -> Self {
        let server = Self::empty(Clock::standing_at(NOW), Some(OPERATOR)).await;
        server.api.directory.load(server.api.clock.timestamp()).await.unwrap();
        server
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Asks with a token, and with a body unless that is null.
    async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        self.send(request(token, method, path, &body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(OPERATOR, "GET", path, Value::Null).await
    }

    /// Asks as the operator; the answer is a success.
    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.ask(OPERATOR, method, path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// Asks as the operator, once for ever.
    async fn once(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        let mut request = request(OPERATOR, method, path, &body);
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        self.send(request).await
    }

    /// A new key of an account.
    async fn key_of(&self, account: &str) -> String {
        let made = self.done("POST", &format!("/accounts/{account}/keys"), json!({ "name": "test" })).await;
        made["key"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap()
    }
}

fn request(token: &str, method: &str, path: &str, body: &Value) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("authorization", format!("Bearer {token}"));
    match body {
        Value::Null => request.body(Body::empty()).unwrap(),
        body => request.header(CONTENT_TYPE, "application/json").body(body.to_string().into()).unwrap(),
    }
}

/// The ids of a list.
fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

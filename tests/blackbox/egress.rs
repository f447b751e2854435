//! The `egress` tariff (`billing.md` rules 1, 2, 6, 12): body bytes of optimized images that were really sent.

use bytes::Bytes;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpStream;

use crate::harness::{
    CHROMIUM, Edge, Origin, Reply, Setup, api::number, edge::Ending, pictures, pictures::Scan, raw::Raw, setup::HOST,
    until,
};

/// The most that a connection is given at once.
const PIECE: u64 = 64 * 1024;

async fn shop() -> (Origin, Edge) {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(86_400)).await;
    let edge = Edge::start(Setup::paid(&origin, "egress")).await;
    edge.until_entitlement("shop", "optimize").await;
    (origin, edge)
}

/// Bytes that the ledger has, all being posted.
async fn posted_bytes(edge: &Edge) -> u64 {
    edge.until_posted().await;
    edge.usage("shop").await["egress_bytes"].as_u64().unwrap()
}

#[tokio::test]
async fn what_was_sent_of_optimized_images_is_charged_to_the_microcredit() {
    let (_origin, edge) = shop().await;
    let mut sent = 0;
    for query in ["w=300", "w=300", "w=200", ""] {
        sent += edge.get(&format!("/coffee.jpg?{query}")).accept(CHROMIUM).await.body.len() as u64;
    }
    until("all is posted", async || posted_bytes(&edge).await == sent).await;
    let credits = number(&edge.usage("shop").await["credits"]["egress"]);
    let wanted = (sent * 1_000_000 / 5_000_000) as f64 / 1e6;
    assert_eq!(credits, wanted);
    assert_eq!(edge.credits("acme").await, 100.0 - wanted);
}

#[tokio::test]
async fn a_rate_of_its_own_holds_for_a_site() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(86_400)).await;
    let edge = Edge::start(Setup::paid(&origin, "egress").site("bytes_per_credit", "1000")).await;
    edge.until_entitlement("shop", "optimize").await;
    let sent = edge.get("/coffee.jpg?w=100").accept(CHROMIUM).await.body.len() as f64;
    until("it is posted", async || posted_bytes(&edge).await > 0).await;
    assert_eq!(number(&edge.usage("shop").await["credits"]["egress"]), sent / 1e3);
}

#[tokio::test]
async fn heads_conditions_originals_and_other_files_count_nothing() {
    let (origin, edge) = shop().await;
    origin.set("/style.css", Reply::ok("text/css", "body { color: red }"));
    let variant = edge.get("/coffee.jpg").accept(CHROMIUM).await;
    let sent = variant.body.len() as u64;
    edge.request(Method::HEAD, "/coffee.jpg").accept(CHROMIUM).await;
    edge.get("/coffee.jpg").accept(CHROMIUM).header("if-none-match", &variant.etag()).await;
    edge.get("/coffee.jpg").accept(CHROMIUM).header("cache-control", "no-transform").await;
    edge.get("/style.css").await;
    edge.get("/missing.jpg").accept(CHROMIUM).await;
    let part = edge.get("/coffee.jpg").accept(CHROMIUM).header("range", "bytes=0-99").await;
    assert_eq!(part.body.len(), 100);
    until("all is posted", async || posted_bytes(&edge).await == sent + 100).await;
}

#[tokio::test]
async fn an_aborted_download_counts_what_was_sent() {
    let origin = Origin::with("/large.png", Reply::png(pictures::noise_png(2_800, 2_800)).max_age(86_400)).await;
    let edge = Edge::start(Setup::paid(&origin, "egress").set("images.memory_budget", "'2GiB'")).await;
    edge.until_entitlement("shop", "optimize").await;
    // Made by a request that counts nothing.
    let whole: u64 = edge
        .request(Method::HEAD, "/large.png?q=100")
        .accept("image/webp")
        .await
        .field("content-length")
        .parse()
        .unwrap();
    assert!(whole > 20 * PIECE, "{whole}: not large enough to be cut off");
    let head = format!("GET /large.png?q=100 HTTP/1.1\r\nHost: {HOST}\r\nAccept: image/webp\r\n\r\n");
    let mut visitor = Raw::send(edge.http, head).await;
    let received = visitor.read_until(|bytes| bytes.len() as u64 > 3 * PIECE).await;
    let head_len = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    // Held still, so that what the sockets' buffers hold can be read to the end: it was sent.
    edge.signal(Signal::STOP);
    let received = (received.len() - head_len) as u64 + visitor.take_what_is_there().await;
    visitor.reset();
    edge.signal(Signal::CONT);
    assert!(received < whole - PIECE, "nothing was cut off");
    until("the abort is counted, to the byte", async || posted_bytes(&edge).await == received).await;
}

#[tokio::test]
async fn what_waits_for_a_window_of_http2_is_not_sent() {
    let (_origin, edge) = shop().await;
    let whole = edge.get("/coffee.jpg?w=300").accept(CHROMIUM).await.body.len() as u64;
    let window = 1_000;
    assert!(window < whole);
    let socket = TcpStream::connect(edge.http).await.unwrap();
    let client = h2::client::Builder::new().initial_window_size(window as u32).handshake::<_, Bytes>(socket);
    let (mut ask, connection) = client.await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..20 {
        let request = http::Request::get(format!("http://{HOST}/coffee.jpg?w=300")).header("accept", CHROMIUM);
        let (answer, mut stream) = ask.send_request(request.body(()).unwrap(), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        let mut received = 0;
        while received < window {
            received += body.data().await.unwrap().unwrap().len() as u64;
        }
        stream.send_reset(h2::Reason::CANCEL);
    }
    drop(ask);
    connection.abort();
    until("what was sent is counted", async || posted_bytes(&edge).await >= whole + 20 * window).await;
    let sent = edge.get("/coffee.jpg?w=300").accept(CHROMIUM).await.body.len() as u64;
    until("all is posted", async || posted_bytes(&edge).await == whole + 20 * window + sent).await;
}

#[tokio::test]
async fn at_the_end_of_the_credits_what_is_under_way_is_completed_and_written_off() {
    let origin = Origin::with("/a.jpg", Reply::jpeg(pictures::jpeg(900, 700, 1, Scan::Baseline)).max_age(86_400)).await;
    let edge = Edge::start(Setup::paid(&origin, "egress").site("bytes_per_credit", "1000")).await;
    edge.until_entitlement("shop", "optimize").await;
    let mut sent = 0;
    until("the credits are gone", async || {
        let answer = edge.get("/a.jpg").accept(CHROMIUM).await;
        if answer.detail() == "avif" {
            sent += answer.body.len() as u64;
        }
        answer.detail() == "essential"
    })
    .await;
    until("all is posted", async || posted_bytes(&edge).await == sent).await;
    let usage = edge.usage("shop").await;
    assert_eq!(number(&usage["credits"]["egress"]), 100.0);
    assert_eq!((number(&usage["written_off"]) * 1e3).round(), sent as f64 - 100e3);
    assert_eq!(edge.credits("acme").await, 0.0);
    // Originals cost nothing.
    edge.get("/a.jpg").accept(CHROMIUM).await;
    assert_eq!(posted_bytes(&edge).await, sent);
}

#[tokio::test]
async fn what_a_killed_process_had_not_posted_is_posted_by_the_next() {
    let (origin, edge) = shop().await;
    let mut sent = 0;
    for _ in 0..20 {
        sent += edge.get("/coffee.jpg").accept(CHROMIUM).await.body.len() as u64;
    }
    let edge = edge.restart(Ending::Killed).await;
    until("all is posted", async || posted_bytes(&edge).await == sent).await;
    let edge = edge.restart(Ending::Killed).await;
    assert_eq!(posted_bytes(&edge).await, sent, "it was counted again");
    assert_eq!(origin.count("/coffee.jpg"), 1);
}

#[tokio::test]
async fn on_an_unlimited_plan_variants_are_free_and_egress_uses_the_quota() {
    let origin = Origin::with("/coffee.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(86_400)).await;
    let edge = Edge::start(Setup::paid(&origin, "variants")).await;
    edge.api(Method::PATCH, "/accounts/acme").json(&json!({"plan": "unlimited"})).await.json();
    until("the plan holds", async || {
        edge.get("/coffee.jpg").accept(CHROMIUM).await;
        edge.until_posted().await;
        number(&edge.usage("shop").await["credits"]["egress"]) > 0.0
    })
    .await;
    assert!(number(&edge.usage("shop").await["credits"]["size"]) <= 1.0);
    assert_eq!(edge.read("/accounts/acme").await["plan"], "unlimited");
}

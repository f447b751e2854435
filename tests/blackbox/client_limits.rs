//! How much one client, or one site, may ask for: connections and requests. Whoever keeps to it notices nothing.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, pictures, raw::Raw, setup::HOST, until};

fn page_request(host: &str) -> String {
    format!("GET /page HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

async fn origin_with_page() -> Origin {
    Origin::with("/page", Reply::page("page").max_age(600)).await
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_no_more() {
    let origin = origin_with_page().await;
    let edge = Edge::start(Setup::of(&origin).set("edge.max_connections_per_address", "3")).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut client = Raw::send(edge.http, page_request(HOST)).await;
        assert_eq!(client.status().await, 200);
        open.push(client);
    }
    let mut fourth = Raw::send(edge.http, page_request(HOST)).await;
    assert_eq!(fourth.status().await, 0, "it was answered");
    let refused = edge.metric("lightmeter_refused_total", &[("reason", "address_connections")]).await;
    assert_eq!(refused, 1);
    // Another address has its own.
    let other = reqwest::Client::builder().local_address(std::net::IpAddr::from([127, 0, 0, 2])).no_proxy().build();
    let answer = other.unwrap().get(format!("http://{}/page", edge.http)).header("host", HOST).send().await;
    assert!(answer.unwrap().status().is_success());
    open.pop();
    until("the place is free", async || {
        let Some(mut client) = Raw::try_send(edge.http, page_request(HOST)).await else { return false };
        client.status().await == 200
    })
    .await;
}

#[tokio::test]
async fn more_connections_than_there_are_places_wait() {
    let origin = origin_with_page().await;
    let edge = Edge::start(Setup::of(&origin).set("edge.max_connections", "2")).await;
    let mut first = Raw::send(edge.http, page_request(HOST)).await;
    let mut second = Raw::send(edge.http, page_request(HOST)).await;
    assert_page(&mut first).await;
    assert_page(&mut second).await;
    let mut third = Raw::send(edge.http, page_request(HOST)).await;
    // Those who are in are served meanwhile, as often as they like.
    for _ in 0..20 {
        first.write(page_request(HOST)).await;
        assert_page(&mut first).await;
    }
    assert_eq!(third.take_what_is_there().await, 0, "it was answered");
    assert_eq!(edge.metric("lightmeter_connections", &[]).await, 2);
    drop(second);
    assert_page(&mut third).await;
}

async fn assert_page(client: &mut Raw) {
    let answer = client.read_until(|bytes| bytes.ends_with(b"\r\n\r\npage")).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn who_asks_too_often_gets_429_and_when_to_come_again() {
    let origin = origin_with_page().await;
    let setup = Setup::of(&origin)
        .set("edge.limits.requests_per_second_per_address", "1")
        .set("edge.limits.burst_per_address", "5");
    let edge = Edge::start(setup).await;
    let answers = join_all((0..20).map(|_| edge.get("/page").into_future())).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS).collect();
    let served = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert!(served >= 5 && !refused.is_empty() && served + refused.len() == 20, "{served} served");
    for answer in &refused {
        assert!((1..=2).contains(&answer.field("retry-after").parse::<u64>().unwrap()), "{answer:?}");
        assert!(answer.problem().contains("too many requests"));
        assert_eq!(answer.field("cache-control"), "no-store");
    }
    let counted = edge.metric("lightmeter_refused_total", &[("reason", "address_rate")]).await;
    assert_eq!(counted, refused.len() as u64);
    until("it may ask again", async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        edge.get("/page").await.status == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn what_a_site_is_asked_too_often_is_not_charged_and_no_other_site_notices() {
    let origin = Origin::with("/a.jpg", Reply::jpeg(pictures::demo("coffee.jpg")).max_age(86_400)).await;
    let setup = Setup::paid(&origin, "egress").site("requests_per_second", "1").site("burst", "4").with_site(
        "other",
        &["other.test"],
        &origin.url(),
    );
    let edge = Edge::start(setup).await;
    edge.until_entitlement("shop", "optimize").await;
    let (mut sent, mut refused) = (0, 0);
    for _ in 0..40 {
        let answer = edge.get("/a.jpg").accept(CHROMIUM).await;
        match answer.status {
            StatusCode::OK => sent += answer.body.len() as u64,
            status => {
                assert_eq!((status, answer.has("retry-after")), (StatusCode::TOO_MANY_REQUESTS, true));
                refused += 1;
            }
        }
        assert_eq!(edge.get("/a.jpg").host("other.test").await.status, StatusCode::OK);
    }
    assert!(refused >= 10, "only {refused} were refused");
    until("all is posted", async || {
        edge.until_posted().await;
        edge.usage("shop").await["egress_bytes"] == sent
    })
    .await;
    assert_eq!(edge.metric("lightmeter_refused_total", &[("reason", "site_rate")]).await, refused);
    assert_eq!(edge.metric("lightmeter_requests_total", &[("site", "shop")]).await, 40 - refused);
}

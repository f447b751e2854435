//! What passes on to the origin and back (RFC 9110, 7.6 and 10.1.1), beside what `passthrough` shows.

use reqwest::{Method, StatusCode};

use crate::harness::{Edge, Origin, Reply, Setup, raw::Raw, setup::HOST};

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let origin = Origin::with("/form", Reply::of(crate::harness::reply::Content::Echo)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let head = format!(
        "POST /form HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    );
    let mut raw = Raw::send(edge.http, head).await;
    let interim = raw.head().await;
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    raw.write("body").await;
    let answer = raw.rest().await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("body"), "{answer}");
}

#[tokio::test]
async fn a_body_that_comes_with_a_get_changes_nothing_that_others_get() {
    let origin = Origin::with("/page", Reply::of(crate::harness::reply::Content::Echo).max_age(600)).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    edge.request(Method::GET, "/page").body("poison").await;
    let other = edge.get("/page").await;
    assert_eq!((other.status, other.text().as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn fields_that_the_key_does_not_hold_cannot_plant_an_answer() {
    for field in [
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-uri",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "forwarded",
        "x-host",
    ] {
        let content = crate::harness::reply::Content::Field(field);
        let origin = Origin::with("/page", Reply::of(content).max_age(600)).await;
        let edge = Edge::start(Setup::of(&origin)).await;
        edge.get("/page").header(field, "evil.test").await;
        let other = edge.get("/page").await;
        assert!(!other.text().contains("evil.test"), "{field} planted {:?}", other.text());
    }
}

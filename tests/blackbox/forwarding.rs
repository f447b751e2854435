//! What passes on to the origin and back (RFC 9110, 7.6 and 10.1.1), beside what `passthrough` shows.

use reqwest::{Method, StatusCode};

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, raw::Raw, setup::HOST, until};

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
        "origin",
    ] {
        let content = crate::harness::reply::Content::Field(field);
        let origin = Origin::with("/page", Reply::of(content).max_age(600)).await;
        let edge = Edge::start(Setup::of(&origin)).await;
        edge.get("/page").header(field, "evil.test").await;
        let other = edge.get("/page").await;
        assert!(!other.text().contains("evil.test"), "{field} planted {:?}", other.text());
    }
}

/// Who sends what the origin cannot read is refused alone (CPDoS: an oversize field, one with odd characters, another method).
#[tokio::test]
async fn what_an_origin_refuses_one_visitor_for_is_not_stored_for_others() {
    let big = "a".repeat(30_000);
    for status in [400, 405, 413, 431, 500, 501] {
        for path in ["/page", "/a.jpg"] {
            for value in [big.as_str(), "\t{}%00\u{ff}"] {
                let origin = Origin::with(path, Reply::fit_for(path).max_age(600).refusing("x-odd", status)).await;
                let setup = Setup::of(&origin).site("passthrough_ttl", "'1h'").site("default_ttl", "'1h'");
                let edge = Edge::start(setup.set("origin.failure_ttl", "'0s'")).await;
                let refused = edge.get(path).header("x-odd", value).await;
                let other = edge.get(path).accept(CHROMIUM).await;
                assert_eq!(other.status, StatusCode::OK, "{path}: {status} was stored: {refused:?}");
            }
        }
    }
}

/// Beside what the key does not hold, what origins are known to look at: what they say to one page is not what another gets, though
/// they forget to say that it varies.
#[tokio::test]
async fn an_answer_to_a_page_elsewhere_is_kept_for_that_page_alone() {
    let answer = |origin: &str| Reply::page(origin).max_age(600).header("access-control-allow-origin", origin);
    let origin = Origin::with("/font", answer("https://one.test")).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let asked_by = async |page: &str| {
        let answer = edge.get("/font").header("origin", page).await;
        (answer.field("access-control-allow-origin"), answer.field("vary"), answer.is_hit())
    };
    let one = ("https://one.test".to_owned(), "origin".to_owned());
    let (allowed, vary, _) = asked_by("https://one.test").await;
    assert_eq!((allowed, vary.to_ascii_lowercase()), one);
    until("it is kept", async || asked_by("https://one.test").await.2).await;
    origin.set("/font", answer("https://other.test"));
    assert_eq!(asked_by("https://other.test").await.0, "https://other.test");
    assert_eq!(asked_by("https://one.test").await.0, "https://one.test");
    origin.set("/font", answer("*"));
    assert_eq!(edge.get("/font").await.field("access-control-allow-origin"), "*");
}

/// What is kept for all is asked after in nobody's name.
#[tokio::test]
async fn a_page_elsewhere_has_no_say_in_how_what_is_kept_for_all_is_validated() {
    let page = Reply::page("page").timeless().control("max-age=10");
    let kept = || page.clone().header("etag", "\"1\"").header("access-control-allow-origin", "*");
    let origin = Origin::with("/page", kept()).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    until("it is kept", async || edge.get("/page").await.is_hit()).await;
    edge.pass(60).await;
    origin.set("/page", kept().refusing("origin", 400));
    assert_eq!(edge.get("/page").header("origin", "https://evil.test").await.status, StatusCode::OK);
    assert_eq!(origin.count("/page"), 2);
    assert_eq!(origin.last("/page").field("origin"), "");
}

/// Some origins say who may read them to those alone who ask from elsewhere, and forget to say that it varies.
#[tokio::test]
async fn an_answer_that_nobody_elsewhere_asked_for_is_not_given_to_a_page_elsewhere() {
    let silent = || Reply::page("page").max_age(600);
    let told = || silent().header("access-control-allow-origin", "https://one.test");
    let origin = Origin::with("/font", silent()).await;
    let edge = Edge::start(Setup::of(&origin)).await;
    let asked = async |by: Option<&str>| {
        let request = edge.get("/font");
        let answer = if let Some(page) = by { request.header("origin", page).await } else { request.await };
        (answer.field("access-control-allow-origin"), answer.is_hit())
    };
    until("it is kept", async || asked(None).await.1).await;
    origin.set("/font", told());
    until("it is kept for the page", async || {
        asked(Some("https://one.test")).await == ("https://one.test".into(), true)
    })
    .await;
    origin.set("/font", silent());
    until("and for who names none", async || asked(None).await == (String::new(), true)).await;
    assert_eq!(asked(Some("https://one.test")).await, ("https://one.test".into(), true));
    assert_eq!(origin.count("/font"), 3);
}

#[tokio::test]
async fn what_is_kept_for_a_page_elsewhere_is_validated_and_stays_its_own() {
    let kept = Reply::page("page").timeless().control("max-age=10").header("etag", "\"1\"");
    let kept = kept.header("vary", "Accept-Encoding").header("access-control-allow-origin", "https://one.test");
    let origin = Origin::with("/font", kept).await;
    let edge = Edge::start(Setup::at_standing_time(&origin)).await;
    let asked = || edge.get("/font").header("origin", "https://one.test");
    until("it is kept", async || asked().await.is_hit()).await;
    for round in 1..=3 {
        edge.pass(60).await;
        let validated = asked().await;
        assert_eq!(validated.status, StatusCode::OK);
        assert!(validated.field("vary").to_ascii_lowercase().contains("origin"), "{validated:?}");
        assert_eq!(origin.last("/font").field("if-none-match"), "\"1\"", "round {round}");
        until("it is kept again", async || asked().await.is_hit()).await;
    }
    assert_eq!(origin.count("/font"), 4);
}
